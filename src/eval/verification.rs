use super::{
    Rate, RatesAt,
    threshold::{descending, least_threshold, reaching},
};
use crate::domain::{Similarity, Threshold};

/// The similarities of one-to-one comparisons, and the rates that come of them (ISO/IEC 19795-1).
///
/// Only what could be compared is in here. A comparison one of whose samples failed to acquire counts in the FTA and not in FMR
/// or FNMR.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// The largest first.
    mated: Vec<Similarity>,
    /// The largest first.
    nonmated: Vec<Similarity>,
}

/// The equal error rate, and the two threshold steps it lies between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EqualErrorRate {
    /// The rate, 0..=1.
    pub value: f64,
    /// The highest threshold at which FMR is not below FNMR.
    pub threshold: Threshold,
    /// FMR at that threshold.
    pub fmr: Rate,
    /// FNMR at that threshold.
    pub fnmr: Rate,
}

impl Verification {
    /// Takes the similarities of mated and of non-mated comparisons, in any order.
    pub fn new(mated: Vec<Similarity>, nonmated: Vec<Similarity>) -> Self {
        Self { mated: descending(mated), nonmated: descending(nonmated) }
    }

    /// Similarities of mated comparisons, the largest first.
    pub fn mated(&self) -> &[Similarity] {
        &self.mated
    }

    /// Similarities of non-mated comparisons, the largest first.
    pub fn nonmated(&self) -> &[Similarity] {
        &self.nonmated
    }

    /// False match rate: non-mated comparisons that reach the threshold. `None` is a threshold that nothing reaches.
    pub fn fmr(&self, threshold: Option<Threshold>) -> Rate {
        Rate { errors: reaching(&self.nonmated, threshold), trials: self.nonmated.len() as u64 }
    }

    /// False non-match rate: mated comparisons that do not reach the threshold.
    pub fn fnmr(&self, threshold: Option<Threshold>) -> Rate {
        let trials = self.mated.len() as u64;
        Rate { errors: trials - reaching(&self.mated, threshold), trials }
    }

    /// The least threshold whose FMR is at most `target`, and the rates there.
    pub fn at_fmr(&self, target: f64) -> RatesAt {
        let threshold = least_threshold(&self.nonmated, self.nonmated.len() as u64, target);
        RatesAt { target, threshold, false_positives: self.fmr(threshold), false_negatives: self.fnmr(threshold) }
    }

    /// The rate at which FMR and FNMR are equal. Both are steps; between two steps that have FNMR above and FMR at or above, the two
    /// are joined by straight lines, which is where the ROC curve drawn with straight lines meets its diagonal. `None` without
    /// both kinds of comparison.
    pub fn equal_error_rate(&self) -> Option<EqualErrorRate> {
        if self.mated.is_empty() || self.nonmated.is_empty() {
            return None;
        }
        let (mut fmr_before, mut fnmr_before) = (0.0, 1.0);
        for (threshold, fmr, fnmr) in self.steps() {
            let (x, y) = (share(fmr), share(fnmr));
            if x >= y {
                let (above, below) = (fnmr_before - fmr_before, x - y);
                let way = above / (above + below);
                let value = fmr_before + way * (x - fmr_before);
                return Some(EqualErrorRate { value, threshold, fmr, fnmr });
            }
            (fmr_before, fnmr_before) = (x, y);
        }
        None
    }

    /// The curve of FMR and FNMR over the threshold, from a threshold that nothing reaches to one that everything does.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let steps = self.steps().map(|(_, fmr, fnmr)| (share(fmr), share(fnmr)));
        std::iter::once((0.0, 1.0)).chain(steps).collect()
    }

    /// The rates at every similarity taken as the threshold, the highest first.
    fn steps(&self) -> impl Iterator<Item = (Threshold, Rate, Rate)> {
        let mut all = descending(self.mated.iter().chain(&self.nonmated).copied().collect());
        all.dedup();
        all.into_iter().map(|s| {
            let threshold = Threshold::new(s.value()).expect("a similarity is a cosine");
            (threshold, self.fmr(Some(threshold)), self.fnmr(Some(threshold)))
        })
    }
}

fn share(rate: Rate) -> f64 {
    rate.value().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(mated: &[f32], nonmated: &[f32]) -> Verification {
        let similarities = |values: &[f32]| values.iter().map(|v| Similarity::new(*v)).collect();
        Verification::new(similarities(mated), similarities(nonmated))
    }

    #[test]
    fn rates_at_a_target_by_hand() {
        let v = of(&[0.2, 0.6, 0.7, 0.9], &[0.1, 0.3, 0.5, 0.0, -0.2, 0.25, 0.05, 0.15, 0.2, 0.65]);
        let at = v.at_fmr(0.1);
        assert_eq!(at.threshold.unwrap().value(), 0.5f32.next_up());
        assert_eq!((at.false_positives.errors, at.false_positives.trials), (1, 10));
        assert_eq!((at.false_negatives.errors, at.false_negatives.trials), (1, 4));
        let strict = v.at_fmr(0.01);
        assert!(!strict.is_resolved());
        assert_eq!((strict.threshold.unwrap().value(), strict.false_negatives.errors), (0.65f32.next_up(), 2));
    }

    #[test]
    fn equal_error_rate_by_hand() {
        // At 0.6: FMR 1/4, FNMR 1/4.
        let v = of(&[0.9, 0.8, 0.6, 0.1], &[0.7, 0.3, 0.2, 0.0]);
        let eer = v.equal_error_rate().unwrap();
        assert_eq!((eer.value, eer.threshold.value()), (0.25, 0.6));
        assert_eq!((eer.fmr.errors, eer.fnmr.errors), (1, 1));
        // Between (0, 1/3) and (1/2, 1/3) FNMR stays at 1/3.
        assert!((of(&[0.9, 0.8, 0.1], &[0.5, 0.0]).equal_error_rate().unwrap().value - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(of(&[0.9], &[0.1]).equal_error_rate().unwrap().value, 0.0);
        assert_eq!(of(&[0.1], &[0.9]).equal_error_rate().unwrap().value, 1.0);
        assert_eq!(of(&[0.5], &[0.5]).equal_error_rate().unwrap().value, 0.5);
        assert_eq!(of(&[0.5], &[]).equal_error_rate(), None);
    }

    #[test]
    fn the_curve_goes_from_nothing_to_everything() {
        let curve = of(&[0.9, 0.2], &[0.5]).curve();
        assert_eq!(curve, [(0.0, 1.0), (0.0, 0.5), (1.0, 0.5), (1.0, 0.0)]);
    }

    proptest! {
        #[test]
        fn fnmr_does_not_fall_as_the_target_gets_stricter(
            mated in prop::collection::vec(-1f32..=1.0, 1..60), nonmated in prop::collection::vec(-1f32..=1.0, 1..60),
            a in 0f64..=1.0, b in 0f64..=1.0,
        ) {
            let v = of(&mated, &nonmated);
            let (loose, strict) = (v.at_fmr(a.max(b)), v.at_fmr(a.min(b)));
            prop_assert!(strict.false_negatives.errors >= loose.false_negatives.errors);
            prop_assert!(strict.false_positives.value().unwrap() <= strict.target);
            // The least: one step lower, the target is missed.
            let lower = loose.threshold.and_then(|t| Threshold::new(t.value().next_down()));
            if let Some(lower) = lower {
                prop_assert!(v.fmr(Some(lower)).value().unwrap() > loose.target);
            }
        }

        #[test]
        fn the_equal_error_rate_lies_between_the_rates_of_its_step(
            mated in prop::collection::vec(-1f32..=1.0, 1..60), nonmated in prop::collection::vec(-1f32..=1.0, 1..60),
        ) {
            let eer = of(&mated, &nonmated).equal_error_rate().unwrap();
            prop_assert!(eer.fnmr.value().unwrap() <= eer.value + 1e-12 && eer.value <= eer.fmr.value().unwrap() + 1e-12);
        }
    }
}
