use std::{fmt, str::FromStr};

use super::{ConfigError, number::within, raw};

/// Which detector finds the faces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DetectorBackend {
    /// YuNet: five landmarks of its own, the default.
    #[default]
    Yunet,
    /// SeetaFace by rustface: boxes only, completed by the landmark net.
    Seeta,
}

impl FromStr for DetectorBackend {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "yunet" => Ok(Self::Yunet),
            "seeta" => Ok(Self::Seeta),
            _ => Err(format!("detector {s:?}: allowed is yunet or seeta")),
        }
    }
}

impl fmt::Display for DetectorBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yunet => "yunet",
            Self::Seeta => "seeta",
        })
    }
}

/// How faces are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectorSettings {
    /// The detector.
    pub backend: DetectorBackend,
    /// Longer side of the picture the detector sees, pixels; the other side follows the frame's
    /// shape. Smaller is faster and misses smaller faces.
    pub working_size_px: u32,
    /// Smallest score that counts as a face, 0..=1.
    pub min_score: f32,
    /// Intersection over union above which two boxes are one face.
    pub nms_iou: f32,
    /// Smallest face, shorter side of its box, pixels of the original frame.
    pub min_face_px: f32,
}

impl Default for DetectorSettings {
    /// Chosen by measurement, `docs/detection.md` has the table. A face 60 px wide in a 1280x720 frame must be found: at 480 px
    /// 98.7 % of 150 are, at 320 78 %, at 640 100 %, and a frame costs 8.4, 4.6 and 14.5 ms. 448 finds as many of these, but fewer
    /// of those farther away. At a score of 0.7 nothing but faces was found.
    fn default() -> Self {
        Self { backend: DetectorBackend::Yunet, working_size_px: 480, min_score: 0.7, nms_iou: 0.3, min_face_px: 24.0 }
    }
}

impl DetectorSettings {
    pub(super) fn from_raw(raw: raw::Detector) -> Result<Self, ConfigError> {
        let d = Self::default();
        let backend = match raw.backend {
            None => d.backend,
            Some(b) => b
                .parse()
                .map_err(|_| ConfigError::value("detector.backend", format!("{b:?}"), "\"yunet\" or \"seeta\""))?,
        };
        Ok(Self {
            backend,
            working_size_px: within("detector.working_size_px", raw.working_size_px, d.working_size_px, 64..=1920)?,
            min_score: within("detector.min_score", raw.min_score, d.min_score, 0.05..=1.0)?,
            nms_iou: within("detector.nms_iou", raw.nms_iou, d.nms_iou, 0.0..=1.0)?,
            min_face_px: within("detector.min_face_px", raw.min_face_px, d.min_face_px, 8.0..=4096.0)?,
        })
    }
}
