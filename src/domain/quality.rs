//! How well a sample is suited to be recognised (ISO/IEC 29794-1: quality as utility, part by part).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The measured parts of a sample's quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SampleQuality {
    /// The shorter side of the detected box, pixels of the original frame.
    pub size_px: f32,
    /// Variance of the Laplacian over the crop's luma, computed at crop scale; larger is sharper.
    pub sharpness: f32,
    /// Mean luma of the crop, 0..=255.
    pub brightness: f32,
    /// Standard deviation of the crop's luma, 0..=127.5.
    pub contrast: f32,
    /// Head turned to the side, degrees, estimated from the landmarks; 0 is frontal.
    pub yaw_deg: f32,
    /// Head up or down, degrees, estimated from the landmarks; 0 is level.
    pub pitch_deg: f32,
    /// Head tilted in the picture's plane, degrees; 0 is upright.
    pub roll_deg: f32,
    /// The detector's score, 0..=1.
    pub detector_score: f32,
}

/// A part of the quality, as named in configuration, events and refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QualityPart {
    /// The face is too small.
    Size,
    /// The face is blurred.
    Sharpness,
    /// The face is too dark or too bright.
    Brightness,
    /// The face has too little contrast.
    Contrast,
    /// The head is turned too far to the side.
    Yaw,
    /// The head is raised or lowered too far.
    Pitch,
    /// The head is tilted too far.
    Roll,
    /// The detector is not sure enough.
    DetectorScore,
}

impl QualityPart {
    /// All parts, in the order in which refusals are listed.
    pub const ALL: [Self; 8] = [
        Self::Size,
        Self::Sharpness,
        Self::Brightness,
        Self::Contrast,
        Self::Yaw,
        Self::Pitch,
        Self::Roll,
        Self::DetectorScore,
    ];

    /// The machine-readable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Sharpness => "sharpness",
            Self::Brightness => "brightness",
            Self::Contrast => "contrast",
            Self::Yaw => "yaw",
            Self::Pitch => "pitch",
            Self::Roll => "roll",
            Self::DetectorScore => "detector-score",
        }
    }
}

impl fmt::Display for QualityPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One part of a sample's quality that lies outside its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityRefusal {
    /// Which part.
    pub part: QualityPart,
    /// What was measured.
    pub measured: f32,
    /// The limit it fails.
    pub limit: f32,
}

impl fmt::Display for QualityRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measured, limit, .. } = *self;
        match self.part {
            QualityPart::Size => write!(f, "face too small: {measured:.0} px, needs {limit:.0}"),
            QualityPart::Sharpness => write!(f, "face blurred: sharpness {measured:.1}, needs {limit:.1}"),
            QualityPart::Brightness if measured < limit => {
                write!(f, "face too dark: brightness {measured:.0}, needs {limit:.0}")
            }
            QualityPart::Brightness => write!(f, "face too bright: brightness {measured:.0}, at most {limit:.0}"),
            QualityPart::Contrast => write!(f, "face too flat: contrast {measured:.0}, needs {limit:.0}"),
            QualityPart::Yaw => write!(f, "head turned aside: {measured:.0} degrees, at most {limit:.0}"),
            QualityPart::Pitch => write!(f, "head raised or lowered: {measured:.0} degrees, at most {limit:.0}"),
            QualityPart::Roll => write!(f, "head tilted: {measured:.0} degrees, at most {limit:.0}"),
            QualityPart::DetectorScore => {
                write!(f, "face not clear to the detector: score {measured:.2}, needs {limit:.2}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_name_is_the_serialised_one() {
        for part in QualityPart::ALL {
            assert_eq!(serde_json::to_value(part).unwrap(), part.as_str());
        }
    }
}
