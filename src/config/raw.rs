//! The TOML file as written: every key optional, unknown keys refused. Meaning is given in the
//! parent module.

use std::{fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the door in events.
    pub door: Option<String>,
    /// `auto`, `int8` or `f32`.
    pub engine: Option<String>,
    /// Threads that share one inference.
    pub threads: Option<u32>,
    /// `[source]`
    pub source: Source,
    /// `[detector]`
    pub detector: Detector,
    /// `[quality]`
    pub quality: Quality,
    /// `[recogniser]`
    pub recogniser: Recogniser,
    /// `[idle]`
    pub idle: Idle,
    /// `[track]`
    pub track: Track,
    /// `pad = "require"`, or `[pad]`
    #[serde(deserialize_with = "pad_or_its_mode")]
    pub pad: Pad,
    /// `[policy]`
    pub policy: Policy,
    /// `[gallery]`
    pub gallery: Folder,
    /// `[models]`
    pub models: Folder,
    /// `[output]`
    pub output: Output,
    /// `[supervision]`
    pub supervision: Supervision,
}

/// `[source]`: exactly one of `images`, `mjpeg`, `y4m`, `http`, `command`, `camera`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// Name of the source in events and logs.
    pub name: Option<String>,
    /// A folder or glob of pictures, replayed in natural order.
    pub images: Option<PathBuf>,
    /// A file of concatenated JPEGs, or `-` for standard input.
    pub mjpeg: Option<PathBuf>,
    /// A YUV4MPEG2 file.
    pub y4m: Option<PathBuf>,
    /// Address of an MJPEG stream (multipart/x-mixed-replace).
    pub http: Option<String>,
    /// Who asks an IP camera.
    pub user: Option<String>,
    /// File with that user's password; else the credential `camera-password`.
    pub password_file: Option<PathBuf>,
    /// File with the camera's certificate, or that of the authority that signed it.
    pub certificate: Option<PathBuf>,
    /// SHA-256 of the camera's certificate.
    pub certificate_sha256: Option<String>,
    /// A command and its arguments, whose standard output is MJPEG.
    pub command: Option<Vec<String>>,
    /// A V4L2 camera: `/dev/v4l/by-id/...`, `/dev/videoN` or an index.
    pub camera: Option<String>,
    /// Replay at the recorded pace instead of as fast as frames are taken.
    pub realtime: Option<bool>,
    /// Start again at the end of a replay.
    pub repeat: Option<bool>,
    /// Frames a second: of a replay without times of its own, or asked of a camera.
    pub fps: Option<f32>,
    /// Width asked of a camera, pixels.
    pub width_px: Option<u32>,
    /// Height asked of a camera, pixels.
    pub height_px: Option<u32>,
    /// Longest pause between frames of a live source before it is opened anew.
    pub stall_timeout_ms: Option<u64>,
}

/// `[detector]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detector {
    /// `yunet` or `seeta`.
    pub backend: Option<String>,
    /// Longer side of the picture the detector sees, pixels.
    pub working_size_px: Option<u32>,
    /// Smallest score that counts as a face.
    pub min_score: Option<f32>,
    /// Overlap above which two boxes are one face.
    pub nms_iou: Option<f32>,
    /// Smallest face, pixels of the original frame.
    pub min_face_px: Option<f32>,
}

/// `[quality]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// Smallest face.
    pub min_size_px: Option<f32>,
    /// Least sharpness.
    pub min_sharpness: Option<f32>,
    /// Darkest.
    pub min_brightness: Option<f32>,
    /// Brightest.
    pub max_brightness: Option<f32>,
    /// Least contrast.
    pub min_contrast: Option<f32>,
    /// Furthest turned aside.
    pub max_yaw_deg: Option<f32>,
    /// Furthest raised or lowered.
    pub max_pitch_deg: Option<f32>,
    /// Furthest tilted.
    pub max_roll_deg: Option<f32>,
    /// Least detector score.
    pub min_detector_score: Option<f32>,
}

/// `[recogniser]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recogniser {
    /// Profile in the catalogue.
    pub profile: Option<String>,
    /// Id in the catalogue.
    pub model: Option<String>,
    /// Name of one of the model's operating points.
    pub operating_point: Option<String>,
    /// A threshold that overrides the operating point's.
    pub threshold: Option<f32>,
    /// `single` or `mirrored`.
    pub views: Option<String>,
}

/// `[track]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Track {
    /// How long a face may be out of sight.
    pub lost_after_ms: Option<u64>,
}

/// `[idle]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Idle {
    /// How long nothing must have happened before faces are looked for less often.
    pub after_ms: Option<u64>,
    /// How often they are looked for then.
    pub search_every_ms: Option<u64>,
}

/// `[pad]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pad {
    /// `off`, `report` or `require`.
    pub mode: Option<String>,
    /// Ids in the catalogue.
    pub nets: Option<Vec<String>>,
    /// Least mean log-odds of a bona fide presentation.
    pub min_log_odds: Option<f64>,
    /// Least number of judged frames.
    pub min_frames: Option<u32>,
    /// How long nobody is granted after an attack.
    pub cooldown_ms: Option<u64>,
}

/// The mode alone may stand for the whole section.
fn pad_or_its_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pad, D::Error> {
    struct EitherForm;

    impl<'de> Visitor<'de> for EitherForm {
        type Value = Pad;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"off\", \"report\", \"require\" or a section [pad]")
        }

        fn visit_str<E: de::Error>(self, mode: &str) -> Result<Pad, E> {
            Ok(Pad { mode: Some(mode.to_owned()), ..Pad::default() })
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pad, A::Error> {
            Pad::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(EitherForm)
}

/// `[policy]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Least lead of the best subject over the second.
    pub margin: Option<f32>,
    /// Oldest frame that is decided on.
    pub max_frame_age_ms: Option<u64>,
    /// Pause after a grant before the same subject is granted again.
    pub cooldown_ms: Option<u64>,
    /// Looks at a face that must agree on one subject.
    pub agree: Option<u32>,
    /// Looks that a decision rests on at most.
    pub looks: Option<u32>,
    /// Pause after a denial before the same face is looked at again.
    pub retry_ms: Option<u64>,
}

/// A section that names a folder.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Folder {
    /// The folder.
    pub dir: Option<PathBuf>,
}

/// `[output]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// Events as JSON lines on standard output.
    pub stdout: Option<bool>,
    /// Events as JSON lines at the end of this file.
    pub file: Option<PathBuf>,
    /// Whether events carry similarities.
    pub scores: Option<bool>,
    /// Least pause between two hints.
    pub hint_every_ms: Option<u64>,
}

/// `[supervision]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Supervision {
    /// First pause before a failed source is opened again.
    pub min_backoff_ms: Option<u64>,
    /// Longest pause.
    pub max_backoff_ms: Option<u64>,
}
