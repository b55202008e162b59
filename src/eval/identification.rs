use super::{
    Rate, RatesAt,
    threshold::{descending, least_threshold, reaching},
};
use crate::domain::{Similarity, Threshold};

/// What came of searching a gallery for one mated probe: someone who was to be enrolled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MatedSearch {
    /// The gallery was searched.
    Searched {
        /// How alike the probe is to its own subject's reference.
        own: Similarity,
        /// Whether its own subject was the best candidate.
        first: bool,
    },
    /// The probe failed to acquire: no face, or none that an embedding could be made of.
    FailedToAcquire,
    /// Its subject failed to enrol: none of the photos gave a template.
    NotEnrolled,
}

/// The outcomes of an open-set identification test, and the rates that come of them (ISO/IEC 19795-1).
///
/// Rates are of all probes, as a person at the door meets them:
/// - FNIR counts a mated probe whose own subject is not the best candidate, or is below the threshold, or that failed to acquire, or
///   whose subject failed to enrol.
/// - FPIR counts a non-mated probe whose best candidate reaches the threshold. One that failed to acquire lets nobody in: a trial
///   without error.
#[derive(Debug, Clone, PartialEq)]
pub struct Identification {
    mated: Vec<MatedSearch>,
    /// Own similarities of the mated probes that were first, the largest first.
    hits: Vec<Similarity>,
    /// Best similarities of the non-mated probes, the largest first.
    best: Vec<Similarity>,
    nonmated: u64,
}

impl Identification {
    /// Takes the outcome of every mated probe, and of every non-mated probe the best similarity, `None` where it failed to
    /// acquire.
    pub fn new(mated: Vec<MatedSearch>, nonmated: &[Option<Similarity>]) -> Self {
        let hit = |search: &MatedSearch| match search {
            MatedSearch::Searched { own, first: true } => Some(*own),
            _ => None,
        };
        let hits = descending(mated.iter().filter_map(hit).collect());
        let best = descending(nonmated.iter().flatten().copied().collect());
        Self { mated, hits, best, nonmated: nonmated.len() as u64 }
    }

    /// The mated probes, as they were given.
    pub fn mated(&self) -> &[MatedSearch] {
        &self.mated
    }

    /// Best similarities of the non-mated probes that could be searched for, the largest first.
    pub fn nonmated_best(&self) -> &[Similarity] {
        &self.best
    }

    /// Similarities of the mated probes to their own subject, first or not.
    pub fn own_similarities(&self) -> Vec<Similarity> {
        let own = |search: &MatedSearch| match search {
            MatedSearch::Searched { own, .. } => Some(*own),
            _ => None,
        };
        self.mated.iter().filter_map(own).collect()
    }

    /// Mated probes whose own subject is not the best candidate, whatever the threshold: one less the rank-1 identification rate.
    pub fn rank1_misses(&self) -> Rate {
        self.fnir(Threshold::new(-1.0))
    }

    /// False positive identification rate. `None` is a threshold that nothing reaches.
    pub fn fpir(&self, threshold: Option<Threshold>) -> Rate {
        Rate { errors: reaching(&self.best, threshold), trials: self.nonmated }
    }

    /// False negative identification rate.
    pub fn fnir(&self, threshold: Option<Threshold>) -> Rate {
        let trials = self.mated.len() as u64;
        Rate { errors: trials - reaching(&self.hits, threshold), trials }
    }

    /// The least threshold whose FPIR is at most `target`, and the rates there.
    pub fn at_fpir(&self, target: f64) -> RatesAt {
        let threshold = least_threshold(&self.best, self.nonmated, target);
        RatesAt { target, threshold, false_positives: self.fpir(threshold), false_negatives: self.fnir(threshold) }
    }

    /// The curve of FPIR and FNIR over the threshold, from a threshold that nothing reaches down to the lowest similarity.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let mut steps = descending(self.hits.iter().chain(&self.best).copied().collect());
        steps.dedup();
        let rates = |threshold| {
            let share = |rate: Rate| rate.value().unwrap_or(0.0);
            (share(self.fpir(threshold)), share(self.fnir(threshold)))
        };
        std::iter::once(rates(None)).chain(steps.into_iter().map(|s| rates(Threshold::new(s.value())))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn searched(own: f32, first: bool) -> MatedSearch {
        MatedSearch::Searched { own: Similarity::new(own), first }
    }

    fn best(values: &[f32]) -> Vec<Option<Similarity>> {
        values.iter().map(|v| Some(Similarity::new(*v))).collect()
    }

    #[test]
    fn rates_at_a_target_by_hand() {
        let mated = vec![searched(0.9, true), searched(0.6, true), searched(0.4, true), searched(0.7, false)];
        let trial = Identification::new(mated, &best(&[0.1, 0.5, 0.3, 0.2]));
        assert_eq!(trial.rank1_misses(), Rate { errors: 1, trials: 4 });
        let at = trial.at_fpir(0.25);
        assert_eq!(at.threshold.unwrap().value(), 0.3f32.next_up());
        assert_eq!(at.false_positives, Rate { errors: 1, trials: 4 });
        // 0.7 reaches it, but as another's second.
        assert_eq!(at.false_negatives, Rate { errors: 1, trials: 4 });
        let strict = trial.at_fpir(0.001);
        assert_eq!((strict.threshold.unwrap().value(), strict.is_resolved()), (0.5f32.next_up(), false));
        assert_eq!(strict.false_negatives, Rate { errors: 2, trials: 4 });
    }

    #[test]
    fn failures_to_acquire_and_to_enrol_are_misses_and_no_false_positives() {
        let mated = vec![searched(0.9, true), MatedSearch::FailedToAcquire, MatedSearch::NotEnrolled];
        let nonmated = [None, Some(Similarity::new(0.2)), None, None];
        let trial = Identification::new(mated, &nonmated);
        assert_eq!(trial.rank1_misses(), Rate { errors: 2, trials: 3 });
        assert_eq!(trial.at_fpir(0.25).false_positives, Rate { errors: 1, trials: 4 });
        assert_eq!(trial.own_similarities().len(), 1);
    }

    #[test]
    fn without_probes_nothing_can_be_said() {
        let trial = Identification::new(vec![], &[]);
        let at = trial.at_fpir(0.01);
        assert_eq!((at.false_positives.value(), at.false_negatives.value()), (None, None));
        assert_eq!(trial.rank1_misses().value(), None);
        assert!(!at.is_resolved());
    }

    proptest! {
        #[test]
        fn fnir_does_not_fall_as_the_target_gets_stricter(
            mated in prop::collection::vec((-1f32..=1.0, any::<bool>()), 1..60),
            nonmated in prop::collection::vec(prop::option::of(-1f32..=1.0), 1..60), a in 0f64..=1.0, b in 0f64..=1.0,
        ) {
            let nonmated: Vec<_> = nonmated.into_iter().map(|s| s.map(Similarity::new)).collect();
            let trial = Identification::new(mated.iter().map(|(own, first)| searched(*own, *first)).collect(), &nonmated);
            let (loose, strict) = (trial.at_fpir(a.max(b)), trial.at_fpir(a.min(b)));
            prop_assert!(strict.false_negatives.errors >= loose.false_negatives.errors);
            prop_assert!(strict.false_negatives.errors >= trial.rank1_misses().errors);
            prop_assert!(loose.false_positives.value().unwrap() <= loose.target);
        }
    }
}
