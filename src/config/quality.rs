use super::{ConfigError, number::within, raw};

/// The limits a sample must keep to be enrolled or decided on; one for each part of
/// [`SampleQuality`](crate::domain::SampleQuality).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityLimits {
    /// Smallest face, pixels of the original frame.
    pub min_size_px: f32,
    /// Least variance of the Laplacian.
    pub min_sharpness: f32,
    /// Darkest mean luma, 0..=255.
    pub min_brightness: f32,
    /// Brightest mean luma, 0..=255.
    pub max_brightness: f32,
    /// Least standard deviation of the luma.
    pub min_contrast: f32,
    /// Furthest turned aside, degrees either way.
    pub max_yaw_deg: f32,
    /// Furthest raised or lowered, degrees either way.
    pub max_pitch_deg: f32,
    /// Furthest tilted, degrees either way.
    pub max_roll_deg: f32,
    /// Least detector score, 0..=1.
    pub min_detector_score: f32,
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            min_size_px: 60.0,
            min_sharpness: 10.0,
            min_brightness: 40.0,
            max_brightness: 220.0,
            min_contrast: 15.0,
            max_yaw_deg: 40.0,
            max_pitch_deg: 35.0,
            max_roll_deg: 40.0,
            min_detector_score: 0.7,
        }
    }
}

impl QualityLimits {
    pub(super) fn from_raw(raw: raw::Quality) -> Result<Self, ConfigError> {
        let d = Self::default();
        let limits = Self {
            min_size_px: within("quality.min_size_px", raw.min_size_px, d.min_size_px, 16.0..=4096.0)?,
            min_sharpness: within("quality.min_sharpness", raw.min_sharpness, d.min_sharpness, 0.0..=1e5)?,
            min_brightness: within("quality.min_brightness", raw.min_brightness, d.min_brightness, 0.0..=255.0)?,
            max_brightness: within("quality.max_brightness", raw.max_brightness, d.max_brightness, 0.0..=255.0)?,
            min_contrast: within("quality.min_contrast", raw.min_contrast, d.min_contrast, 0.0..=127.0)?,
            max_yaw_deg: within("quality.max_yaw_deg", raw.max_yaw_deg, d.max_yaw_deg, 0.0..=90.0)?,
            max_pitch_deg: within("quality.max_pitch_deg", raw.max_pitch_deg, d.max_pitch_deg, 0.0..=90.0)?,
            max_roll_deg: within("quality.max_roll_deg", raw.max_roll_deg, d.max_roll_deg, 0.0..=180.0)?,
            min_detector_score: within(
                "quality.min_detector_score",
                raw.min_detector_score,
                d.min_detector_score,
                0.0..=1.0,
            )?,
        };
        if limits.min_brightness >= limits.max_brightness {
            return Err(ConfigError::value(
                "quality.min_brightness",
                limits.min_brightness,
                format!("below quality.max_brightness ({})", limits.max_brightness),
            ));
        }
        Ok(limits)
    }
}
