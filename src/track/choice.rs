use crate::domain::SampleQuality;

/// A frame is passed over when its worth is below this share of the best one's of its track.
const SHARE: f32 = 0.6;

/// So many frames in a row are passed over at most: who does not come closer again is looked at as they are.
const PATIENCE: u32 = 3;

/// Sharpness that counts half. Chosen, not measured: it only ranks the frames of one face.
const HALF_SHARPNESS: f32 = 200.0;

/// Which frames of a track are worth an embedding: not those much worse than one it had moments ago.
#[derive(Debug, Clone, Default)]
pub(super) struct Choice {
    best: f32,
    passed_over: u32,
}

impl Choice {
    /// Whether a frame with this quality is taken.
    pub(super) fn take(&mut self, quality: &SampleQuality) -> bool {
        let worth = worth(quality);
        self.best = self.best.max(worth);
        let taken = worth >= SHARE * self.best || self.passed_over >= PATIENCE;
        self.passed_over = if taken { 0 } else { self.passed_over + 1 };
        taken
    }
}

/// How much a sample tells, 0..=1: a large, sharp face that looks at the camera is worth most.
fn worth(quality: &SampleQuality) -> f32 {
    let size = (quality.size_px / 112.0).clamp(0.0, 1.0);
    let sharpness = quality.sharpness.max(0.0) / (quality.sharpness.max(0.0) + HALF_SHARPNESS);
    let frontal = (quality.yaw_deg.to_radians().cos() * quality.pitch_deg.to_radians().cos()).max(0.0);
    let worth = size * sharpness * frontal;
    if worth.is_finite() { worth } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(size_px: f32, sharpness: f32, yaw_deg: f32) -> SampleQuality {
        SampleQuality {
            size_px,
            sharpness,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        }
    }

    #[test]
    fn larger_sharper_and_frontal_is_worth_more() {
        let base = worth(&quality(80.0, 400.0, 10.0));
        assert!(worth(&quality(100.0, 400.0, 10.0)) > base);
        assert!(worth(&quality(80.0, 600.0, 10.0)) > base);
        assert!(worth(&quality(80.0, 400.0, 30.0)) < base);
        assert_eq!(worth(&quality(f32::NAN, 400.0, 0.0)), 0.0);
    }

    #[test]
    fn a_frame_much_worse_than_the_best_is_passed_over_but_not_for_ever() {
        let (good, blurred) = (quality(112.0, 800.0, 0.0), quality(112.0, 60.0, 0.0));
        let mut choice = Choice::default();
        assert!(choice.take(&blurred), "the best so far");
        assert!(choice.take(&good));
        let taken: Vec<bool> = (0..8).map(|_| choice.take(&blurred)).collect();
        assert_eq!(taken, [false, false, false, true, false, false, false, true]);
        assert!(choice.take(&good));
    }
}
