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
    /// Set on 500 photos of LFW View 1 (faces 76 to 137 px wide) so that nothing but a turned head is refused: 7 of them, 1.4 %,
    /// all turned by 40 degrees or more. `docs/detection.md` has the distributions.
    fn default() -> Self {
        Self {
            // A face this wide is enlarged about 1.3 times; below, the detector of the default settings misses some as well.
            min_size_px: 60.0,
            // The least of LFW is 11.9; a sharp 93 px portrait blurred by 2 px has 13.7, by 3 px 6.3.
            min_sharpness: 10.0,
            // LFW spans 51 to 196.
            min_brightness: 40.0,
            max_brightness: 220.0,
            // The least of LFW is 23.
            min_contrast: 15.0,
            // 99 % of LFW lie within; a turned head hides one half of the face.
            max_yaw_deg: 40.0,
            // 99 % of LFW lie within 12 degrees of their median; the rest is room for a camera above or below the eyes.
            max_pitch_deg: 35.0,
            // Alignment undoes a tilt of up to about 30 degrees. YuNet's landmarks lean towards upright and never show more
            // than some 17, so with it this hardly refuses anybody; enrolment looks for turned pictures by itself.
            max_roll_deg: 40.0,
            // The least of LFW is 0.86. The same as the detector's own limit, so that this refuses only where that was lowered.
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
