use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{Exit, Failure, printer::Printer};
use crate::{
    capture::{self, FoundCamera, FoundFormat, FoundSize},
    config::{CameraSettings, Config, SourceKind},
};

/// The cameras that are plugged in, what they offer, and what of it would be taken
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward cameras
  doorward cameras --config /etc/doorward/doorward.toml

Without a configuration the marks tell what would be taken of each camera; with one, which camera it names, and what would be taken of that. Put
the longest-lived name, the first below the device, into the configuration. A camera that another program uses is listed, too.

Exit code 0; 1 when there is no camera, or not the one that the configuration names.")]
pub(super) struct Cameras {
    /// Mark the camera that this configuration names, and what of it would be taken
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// One JSON object a camera
    #[arg(long)]
    json: bool,
}

/// A camera, and whether it would be taken.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    camera: FoundCamera,
    /// Whether the configuration names it; null without one.
    configured: Option<bool>,
}

impl Cameras {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let configured = self.config.as_deref().map(asked_by).transpose()?;
        let asked = configured.clone().unwrap_or_else(|| CameraSettings::new(String::new()));
        let names_it = |camera: &FoundCamera| configured.as_ref().map(|settings| camera.answers_to(&settings.device));
        let listed = |camera: FoundCamera| Listed { configured: names_it(&camera), camera };
        let cameras: Vec<_> = capture::cameras(&asked)?.into_iter().map(listed).collect();
        let mut printer = Printer::new(self.json);
        for listed in &cameras {
            printer.result(listed, || describe(listed))?;
        }
        // Without a configuration any camera will do.
        let usable = |listed: &Listed| listed.configured.unwrap_or(true);
        if cameras.iter().any(usable) {
            return Ok(Exit::Done);
        }
        match &configured {
            Some(settings) => eprintln!("camera {}, which the configuration names, is not plugged in", settings.device),
            None => eprintln!("no camera is plugged in, or none that gives pictures"),
        }
        Ok(Exit::Negative)
    }
}

/// What a configuration asks of which camera.
fn asked_by(config: &Path) -> Result<CameraSettings, Failure> {
    match Config::load(config)?.source.kind {
        SourceKind::Camera(settings) => Ok(settings),
        _ => Err(Failure::usage(format!("{}: its source is no camera; set source.camera", config.display()))),
    }
}

/// The device with its lasting names, then a line a format; an arrow before what is taken.
fn describe(listed: &Listed) -> String {
    let Listed { camera, configured } = listed;
    let arrow = |taken: bool| if taken { "->" } else { "  " };
    let driver = camera.driver.as_deref().map(|driver| format!(" ({driver})")).unwrap_or_default();
    let mut text = format!("{} {}  {}{driver}\n", arrow(*configured == Some(true)), camera.path.display(), camera.name);
    for link in &camera.links {
        text += &format!("     {}\n", link.display());
    }
    for format in &camera.formats {
        text += &format!("     {}  {}\n", format.fourcc, sizes(format));
    }
    match (&camera.error, camera.takes) {
        (Some(error), _) => text += &format!("     {error}\n"),
        (None, None) => text += "     of which nothing is read: that is MJPG, YUYV and GREY\n",
        (None, Some(mode)) if *configured != Some(false) => text += &format!("  -> {mode}\n"),
        (None, Some(_)) => {}
    }
    text
}

fn sizes(format: &FoundFormat) -> String {
    let size = |size: &FoundSize| {
        let rates: Vec<_> = size.fps.iter().map(u32::to_string).collect();
        let rates = if rates.is_empty() { String::new() } else { format!(" at {}", rates.join(", ")) };
        format!("{}x{}{rates}", size.width_px, size.height_px)
    };
    format.sizes.iter().map(size).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Pixels, VideoMode};

    fn listed(configured: Option<bool>) -> Listed {
        let size = |width_px, height_px, fps: &[u32]| FoundSize { width_px, height_px, fps: fps.to_vec() };
        let jpeg = FoundFormat {
            fourcc: "MJPG".into(),
            pixels: Some(Pixels::Mjpeg),
            sizes: vec![size(1280, 720, &[30]), size(640, 480, &[30, 15])],
        };
        let raw = FoundFormat { fourcc: "H264".into(), pixels: None, sizes: vec![size(640, 480, &[])] };
        Listed {
            camera: FoundCamera {
                path: "/dev/video0".into(),
                links: vec!["/dev/v4l/by-id/usb-Door_Camera-video-index0".into()],
                name: "Door Camera".into(),
                driver: Some("uvcvideo".into()),
                formats: vec![jpeg, raw],
                takes: Some(VideoMode { pixels: Pixels::Mjpeg, width_px: 640, height_px: 480, fps: 15 }),
                error: None,
            },
            configured,
        }
    }

    #[test]
    fn a_camera_in_words() {
        let whole = "-> /dev/video0  Door Camera (uvcvideo)
     /dev/v4l/by-id/usb-Door_Camera-video-index0
     MJPG  1280x720 at 30; 640x480 at 30, 15
     H264  640x480
  -> MJPG 640x480 at 15 frames/s
";
        assert_eq!(describe(&listed(Some(true))), whole);
        let other = describe(&listed(Some(false)));
        assert!(!other.contains("->"), "{other}");
        let any = describe(&listed(None));
        assert!(any.starts_with("   /dev/video0") && any.ends_with("  -> MJPG 640x480 at 15 frames/s\n"), "{any}");
    }

    #[test]
    fn a_camera_for_programs() {
        let mut listed = listed(Some(true));
        let json = serde_json::to_value(&listed).unwrap();
        assert_eq!(json["takes"], serde_json::json!({"pixels": "MJPG", "width_px": 640, "height_px": 480, "fps": 15}));
        assert_eq!(json["formats"][0]["sizes"][1]["fps"], serde_json::json!([30, 15]));
        assert_eq!((json["configured"].as_bool(), json["path"].as_str()), (Some(true), Some("/dev/video0")));
        listed.camera.takes = None;
        assert!(describe(&listed).contains("nothing is read"));
        listed.camera.error = Some("cannot be opened".into());
        assert!(describe(&listed).contains("cannot be opened") && !describe(&listed).contains("nothing is read"));
    }
}
