use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    cmd::{Failure, compute::ComputeArgs, engine::Engine, place::GalleryPlace},
    config::{Config, PadSettings, SourceKind, SourceSettings},
    domain::FaceChoice,
    eval::{Conditions, PadStages, QualificationFile, QualificationRecord},
};

/// Which door it is about.
#[derive(Debug, Args)]
pub(super) struct DoorArgs {
    /// Configuration of the door: what is qualified is its source with its detector, engine and limits
    #[arg(long, value_name = "FILE", required_unless_present = "source")]
    config: Option<PathBuf>,

    /// Source of frames instead: a .mjpeg or .y4m file, a folder or glob, http://..., /dev/video0, or -
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,

    #[command(flatten)]
    place: GalleryPlace,

    #[command(flatten)]
    compute: ComputeArgs,
}

/// A door with everything that a qualification is bound to.
pub(super) struct Door {
    pub(super) source: SourceSettings,
    pub(super) engine: Engine,
    pub(super) pad: PadSettings,
    pub(super) file: QualificationFile,
}

impl DoorArgs {
    pub(super) fn door(&self, models: Option<&Path>) -> Result<Door, Failure> {
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let engine = match &config {
            Some(config) => Engine::configured(config, models, &self.compute)?,
            None => Engine::new(models, &self.compute)?,
        };
        let configured = config.map(|config| config.source);
        let asked = self.source.as_deref().map(SourceSettings::from_arg);
        let source = match (asked, configured) {
            (Some(asked), Some(configured)) if is_one_place(&asked.kind, &configured.kind) => configured,
            (Some(source), _) | (None, Some(source)) => source,
            (None, None) => return Err(Failure::usage("name the door by --config or --source")),
        };
        let folder = self.place.dir(engine.gallery_dir.clone())?;
        Ok(Door { source, pad: engine.pad.clone(), engine, file: QualificationFile::in_folder(&folder) })
    }
}

/// Whether a word on the command line means the source of the configuration, which says more of it.
fn is_one_place(asked: &SourceKind, configured: &SourceKind) -> bool {
    match (asked, configured) {
        (SourceKind::Camera(asked), SourceKind::Camera(configured)) => asked.device == configured.device,
        _ => asked == configured,
    }
}

impl Door {
    pub(super) fn conditions(&self) -> Result<Conditions, Failure> {
        Ok(Conditions::of(&self.source, &self.engine.detector, &self.pad, &self.engine.store)?)
    }

    pub(super) fn stages(&self) -> PadStages<'_> {
        // The largest: whoever is presented stands in front.
        PadStages {
            models: &self.engine.store,
            detector: self.engine.detector,
            pad: &self.pad,
            face: FaceChoice::Largest,
        }
    }
}

pub(super) fn parse_subject(text: &str) -> Result<String, String> {
    QualificationRecord::subject_named(text)
}

pub(super) fn parse_species(text: &str) -> Result<String, String> {
    QualificationRecord::species_named(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CameraSettings;

    #[test]
    fn a_camera_named_again_is_the_configured_one() {
        let camera = |device: &str, width_px| {
            SourceKind::Camera(CameraSettings { width_px, ..CameraSettings::new(device.to_owned()) })
        };
        assert!(is_one_place(&camera("/dev/video0", 640), &camera("/dev/video0", 1280)));
        assert!(!is_one_place(&camera("/dev/video0", 640), &camera("/dev/video2", 640)));
        assert!(!is_one_place(&SourceKind::Mjpeg("a".into()), &SourceKind::Y4m("a".into())));
    }
}
