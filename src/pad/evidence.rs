//! One verdict a track: what its frames say together.

use crate::config::PadLimits;
use crate::domain::{PadDoubt, PadVerdict, SampleQuality};

use super::Assessment;

/// Why a frame cannot be judged; `None` when it can. Gates only: none of them tells bona fide from attack.
///
/// A measure that is NaN was not taken and fails its gate.
pub fn doubt(assessment: &Assessment, quality: &SampleQuality, limits: &PadLimits) -> Option<PadDoubt> {
    let gates = [
        (PadDoubt::Small, quality.size_px >= limits.min_size_px),
        (PadDoubt::Scale, assessment.scale >= limits.min_scale),
        (PadDoubt::Monochrome, assessment.saturation >= limits.min_saturation),
        (PadDoubt::Dark, quality.brightness >= limits.min_brightness),
        (PadDoubt::Blurred, quality.sharpness >= limits.min_sharpness),
    ];
    gates.into_iter().find_map(|(doubt, passed)| (!passed).then_some(doubt))
}

/// The frames of one track, as far as they were assessed. Pure: no clock, no pictures.
///
/// The verdict is that of the mean log-odds over all judged frames, never of the best of them: granting as soon as any window
/// passes took the APCER from 5 to 22 % (`docs/pad.md`). Once there was an attack it stays one, whatever comes after.
#[derive(Debug, Clone)]
pub struct Evidence {
    limits: PadLimits,
    sum: f64,
    judged: usize,
    /// Frames that failed a gate, in the order of [`PadDoubt::ALL`].
    doubted: [usize; PadDoubt::ALL.len()],
    /// The mean log-odds at which the track was found to be an attack.
    attack: Option<f64>,
}

impl Evidence {
    /// Of a track that nothing is known of yet.
    pub fn new(limits: PadLimits) -> Evidence {
        Evidence { limits, sum: 0.0, judged: 0, doubted: [0; PadDoubt::ALL.len()], attack: None }
    }

    /// Takes the next frame: its assessment and the quality of its sample.
    pub fn add(&mut self, assessment: &Assessment, quality: &SampleQuality) {
        match doubt(assessment, quality, &self.limits) {
            Some(doubt) => self.doubt(doubt),
            None => self.judge(assessment.log_odds),
        }
    }

    fn doubt(&mut self, doubt: PadDoubt) {
        if let Some(place) = PadDoubt::ALL.iter().position(|other| *other == doubt) {
            self.doubted[place] += 1;
        }
    }

    fn judge(&mut self, log_odds: f64) {
        self.sum += log_odds;
        self.judged += 1;
        if let Some(mean) = self.settled() {
            // NaN must not pass.
            if mean.is_nan() || mean < self.limits.min_log_odds {
                self.attack.get_or_insert(mean);
            }
        }
    }

    /// Mean log-odds of the judged frames; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.judged > 0).then(|| self.sum / self.judged as f64)
    }

    /// Frames that passed every gate.
    pub fn judged(&self) -> usize {
        self.judged
    }

    /// The mean, once it is over enough frames.
    fn settled(&self) -> Option<f64> {
        self.mean().filter(|_| self.judged >= self.limits.min_frames)
    }

    /// What the track is by now: an attack if it ever was one.
    pub fn verdict(&self) -> PadVerdict {
        match (self.attack, self.settled()) {
            (Some(mean), _) => PadVerdict::Attack(mean as f32),
            (None, Some(mean)) => PadVerdict::BonaFide(mean as f32),
            (None, None) => PadVerdict::Undetermined(self.reason()),
        }
    }

    /// Why there is no verdict yet: the commonest doubt, if without doubts there would be frames enough.
    fn reason(&self) -> PadDoubt {
        let doubted: usize = self.doubted.iter().sum();
        if self.judged + doubted < self.limits.min_frames {
            return PadDoubt::TooFewFrames;
        }
        // The first of several that are as common.
        let commonest = PadDoubt::ALL.into_iter().zip(self.doubted).rev().max_by_key(|(_, frames)| *frames);
        commonest.filter(|(_, frames)| *frames > 0).map_or(PadDoubt::TooFewFrames, |(doubt, _)| doubt)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: SampleQuality = SampleQuality {
        size_px: 120.0,
        sharpness: 200.0,
        brightness: 120.0,
        contrast: 50.0,
        yaw_deg: 0.0,
        pitch_deg: 0.0,
        roll_deg: 0.0,
        detector_score: 0.9,
    };

    fn seen(log_odds: f64) -> Assessment {
        Assessment { log_odds, scale: 2.7, saturation: 40.0 }
    }

    fn of(log_odds: &[f64]) -> Evidence {
        let mut evidence = Evidence::new(PadLimits::default());
        log_odds.iter().for_each(|odds| evidence.add(&seen(*odds), &GOOD));
        evidence
    }

    #[test]
    fn ten_frames_make_a_verdict_and_nine_do_not() {
        assert_eq!(of(&[]).verdict(), PadVerdict::Undetermined(PadDoubt::TooFewFrames));
        assert_eq!(of(&[-9.0; 9]).verdict(), PadVerdict::Undetermined(PadDoubt::TooFewFrames));
        assert_eq!(of(&[2.0; 10]).verdict(), PadVerdict::BonaFide(2.0));
        assert_eq!(of(&[-2.0; 10]).verdict(), PadVerdict::Attack(-2.0));
        // At the threshold it is bona fide.
        assert_eq!(of(&[0.0; 10]).verdict(), PadVerdict::BonaFide(0.0));
    }

    #[test]
    fn the_mean_decides_and_not_the_best_window() {
        let mut frames = vec![3.0; 5];
        frames.extend([-4.0; 5]);
        frames.extend([5.0; 20]);
        assert_eq!(of(&frames[..10]).verdict(), PadVerdict::Attack(-0.5));
        assert_eq!(of(&frames).verdict(), PadVerdict::Attack(-0.5), "latched");
    }

    #[test]
    fn each_gate_has_its_reason_and_what_was_not_measured_fails() {
        let nan = f32::NAN;
        for (assessment, quality, expected) in [
            (seen(1.0), SampleQuality { size_px: 79.0, ..GOOD }, PadDoubt::Small),
            (Assessment { scale: 1.99, ..seen(1.0) }, GOOD, PadDoubt::Scale),
            (Assessment { saturation: 7.9, ..seen(1.0) }, GOOD, PadDoubt::Monochrome),
            (seen(1.0), SampleQuality { brightness: 39.0, ..GOOD }, PadDoubt::Dark),
            (seen(1.0), SampleQuality { sharpness: 9.0, ..GOOD }, PadDoubt::Blurred),
            (seen(1.0), SampleQuality { sharpness: nan, ..GOOD }, PadDoubt::Blurred),
            (Assessment { scale: nan, ..seen(1.0) }, GOOD, PadDoubt::Scale),
        ] {
            let mut evidence = Evidence::new(PadLimits::default());
            (0..10).for_each(|_| evidence.add(&assessment, &quality));
            assert_eq!(evidence.verdict(), PadVerdict::Undetermined(expected));
            assert_eq!((evidence.judged(), evidence.mean()), (0, None), "a doubted frame counts for nothing");
        }
        let limits = PadLimits::default();
        let edge = Assessment { log_odds: 0.0, scale: limits.min_scale, saturation: limits.min_saturation };
        assert_eq!(doubt(&edge, &GOOD, &limits), None);
    }

    #[test]
    fn the_commonest_doubt_is_told() {
        let mut evidence = of(&[1.0; 4]);
        (0..2).for_each(|_| evidence.add(&seen(1.0), &SampleQuality { brightness: 3.0, ..GOOD }));
        assert_eq!(evidence.verdict(), PadVerdict::Undetermined(PadDoubt::TooFewFrames));
        (0..4).for_each(|_| evidence.add(&seen(1.0), &SampleQuality { sharpness: 3.0, ..GOOD }));
        assert_eq!(evidence.verdict(), PadVerdict::Undetermined(PadDoubt::Blurred));
        (0..2).for_each(|_| evidence.add(&seen(1.0), &SampleQuality { brightness: 3.0, ..GOOD }));
        assert_eq!(evidence.verdict(), PadVerdict::Undetermined(PadDoubt::Dark), "of two as common, the first");
    }

    proptest! {
        #[test]
        fn more_frames_never_turn_an_attack_back(
            before in prop::collection::vec(-10f64..-0.01, 10..20),
            after in prop::collection::vec(-10f64..100.0, 0..60),
        ) {
            let mut evidence = of(&before);
            let attack = evidence.verdict();
            prop_assert!(matches!(attack, PadVerdict::Attack(_)));
            for odds in after {
                evidence.add(&seen(odds), &GOOD);
                prop_assert_eq!(evidence.verdict(), attack);
            }
        }

        #[test]
        fn the_mean_does_not_depend_on_the_order(
            (frames, shuffled) in prop::collection::vec(-30f64..30.0, 1..60)
                .prop_flat_map(|frames| (Just(frames.clone()), Just(frames).prop_shuffle())),
        ) {
            prop_assert!((of(&frames).mean().unwrap() - of(&shuffled).mean().unwrap()).abs() < 1e-9);
        }

        #[test]
        fn nothing_is_bona_fide_unless_its_mean_over_enough_frames_is(
            frames in prop::collection::vec(-30f64..30.0, 0..60),
        ) {
            let evidence = of(&frames);
            if let PadVerdict::BonaFide(mean) = evidence.verdict() {
                prop_assert!(frames.len() >= 10 && mean >= 0.0);
            }
        }
    }
}
