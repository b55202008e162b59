//! The configuration, in two steps: [`raw`] is the TOML file as written, [`Config`] is what it
//! means, every value checked and every default filled in. A default stands once, with its reason,
//! in the `Default` of its section.

mod detector;
mod engine;
mod error;
mod http;
mod idle;
mod number;
mod output;
mod pad;
mod policy;
mod quality;
pub mod raw;
mod source;
mod supervision;
mod track;
mod views;

use std::{fs, path::Path, path::PathBuf, sync::Arc};

pub use detector::{DetectorBackend, DetectorSettings};
pub use engine::{EngineChoice, EngineSettings};
pub use error::ConfigError;
pub use http::{HttpSettings, Login, Password, Trust};
pub use idle::IdleSettings;
pub use output::{EventOutput, OutputSettings};
pub use pad::{PadLimits, PadMode, PadSettings};
pub use policy::{PolicySettings, RecogniserChoice, RecogniserSettings, ThresholdChoice};
pub use quality::QualityLimits;
pub use source::{CameraSettings, Pace, SourceKind, SourceSettings};
pub use supervision::SupervisionSettings;
pub use track::TrackSettings;
pub use views::Views;

/// Everything `doorward run` needs to know, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the door in events.
    pub door: Arc<str>,
    /// How the networks are computed.
    pub engine: EngineSettings,
    /// Where frames come from.
    pub source: SourceSettings,
    /// How faces are found.
    pub detector: DetectorSettings,
    /// Which samples are good enough.
    pub quality: QualityLimits,
    /// Which model compares faces, and at which operating point.
    pub recogniser: RecogniserSettings,
    /// When faces are looked for less often, because nothing happens.
    pub idle: IdleSettings,
    /// When faces of different frames are one stay before the camera.
    pub track: TrackSettings,
    /// What presentation attack detection may say.
    pub pad: PadSettings,
    /// When somebody is granted.
    pub policy: PolicySettings,
    /// Folder of the gallery; `None` means the default folder.
    pub gallery_dir: Option<PathBuf>,
    /// Folder of the models; `None` means those in the binary.
    pub models_dir: Option<PathBuf>,
    /// Where events go.
    pub output: OutputSettings,
    /// How errors of the source are met, and how long a stop may take.
    pub supervision: SupervisionSettings,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, and the key and value at fault with what is allowed.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|e| ConfigError::In { path: path.into(), source: Box::new(e) })
    }

    /// Reads and checks TOML text.
    ///
    /// # Errors
    /// Names the key and value at fault with what is allowed.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: raw::Config = toml::from_str(text)?;
        Ok(Self {
            door: match raw.door {
                None => "door".into(),
                Some(name) if (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control) => {
                    name.into()
                }
                Some(name) => return Err(ConfigError::value("door", &name, "1 to 64 printable characters")),
            },
            engine: EngineSettings::from_raw(raw.engine, raw.threads)?,
            source: SourceSettings::from_raw(raw.source)?,
            detector: DetectorSettings::from_raw(raw.detector)?,
            quality: QualityLimits::from_raw(raw.quality)?,
            recogniser: RecogniserSettings::from_raw(raw.recogniser)?,
            idle: IdleSettings::from_raw(raw.idle)?,
            track: TrackSettings::from_raw(raw.track)?,
            pad: PadSettings::from_raw(raw.pad)?,
            policy: PolicySettings::from_raw(raw.policy)?,
            gallery_dir: raw.gallery.dir,
            models_dir: raw.models.dir,
            output: OutputSettings::from_raw(raw.output)?,
            supervision: SupervisionSettings::from_raw(raw.supervision)?,
        })
    }
}
