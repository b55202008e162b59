use std::fmt;

use super::{Interval, Rate};
use crate::domain::{Similarity, Threshold};

/// Searches in galleries that are drawn at random out of a pool of people, without drawing any.
///
/// Whether somebody among `N` people drawn out of a pool of `M` reaches a threshold depends on one number only: how many of the pool
/// do. With `k` of them, none is drawn with probability `C(M - k, N) / C(M, N)` (hypergeometric). The mean over all probes is
/// the expectation over all galleries of that size, exactly: one test answers for every size up to the pool's.
#[derive(Debug, Clone, Default)]
pub struct RandomGallery {
    nonmated: Vec<Option<NonmatedSearch>>,
    mated: Vec<Option<OwnSearch>>,
}

/// A stranger's similarities to everybody in the pool.
#[derive(Debug, Clone)]
pub struct NonmatedSearch {
    /// The largest first.
    others: Vec<Similarity>,
}

/// The similarities of a probe whose subject is enrolled.
#[derive(Debug, Clone)]
pub struct OwnSearch {
    own: Similarity,
    /// The largest first.
    others: Vec<Similarity>,
}

/// A rate that is the mean of probabilities instead of a count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedRate {
    /// Errors expected among the trials.
    pub errors: f64,
    /// Trials: probes, each of another person or photo.
    pub trials: u64,
}

impl NonmatedSearch {
    /// A stranger's similarities to everybody in the pool but itself, in any order.
    pub fn new(others: Vec<Similarity>) -> Self {
        Self { others: descending(others) }
    }
}

impl OwnSearch {
    /// A probe's similarity to its own subject, and those to everybody else in the pool, in any order.
    pub fn new(own: Similarity, others: Vec<Similarity>) -> Self {
        Self { own, others: descending(others) }
    }
}

impl RandomGallery {
    /// Takes the search of every non-mated and every mated probe; `None` where there was none, since probe or subject failed to
    /// acquire.
    pub fn new(nonmated: Vec<Option<NonmatedSearch>>, mated: Vec<Option<OwnSearch>>) -> Self {
        Self { nonmated, mated }
    }

    /// The largest gallery that can be drawn for every probe.
    pub fn largest(&self) -> usize {
        let strangers = self.nonmated.iter().flatten().map(|s| s.others.len());
        // With its own subject, which is always drawn.
        let own = self.mated.iter().flatten().map(|s| s.others.len() + 1);
        strangers.chain(own).min().unwrap_or(0)
    }

    /// FPIR: a stranger resembles somebody in a gallery of `subjects`. A stranger that failed to acquire resembles nobody.
    /// `None` where so many cannot be drawn.
    pub fn fpir(&self, threshold: Option<Threshold>, subjects: usize) -> Option<ExpectedRate> {
        let met = |search: &Option<NonmatedSearch>| {
            let Some(NonmatedSearch { others }) = search else { return 0.0 };
            threshold.map_or(0.0, |t| somebody(others.len(), reaching(others, t), subjects))
        };
        (subjects <= self.largest()).then(|| ExpectedRate::mean(self.nonmated.iter().map(met)))
    }

    /// FNIR: a mated probe does not reach the threshold, or somebody else in a gallery of `subjects`, its own among them, comes
    /// first. One that failed to acquire is a miss. `None` where so many cannot be drawn.
    pub fn fnir(&self, threshold: Option<Threshold>, subjects: usize) -> Option<ExpectedRate> {
        let missed = |search: &Option<OwnSearch>| match (search, threshold) {
            (Some(OwnSearch { own, others }), Some(t)) if own.reaches(t) => {
                // A tie is no recognition.
                let before = others.partition_point(|other| other >= own);
                somebody(others.len(), before, subjects.saturating_sub(1))
            }
            _ => 1.0,
        };
        (subjects <= self.largest()).then(|| ExpectedRate::mean(self.mated.iter().map(missed)))
    }

    /// The least threshold at which the FPIR in a gallery of `subjects` is at most `target`; `None` where so many cannot be drawn or
    /// no cosine is high enough.
    pub fn threshold_at_fpir(&self, target: f64, subjects: usize) -> Option<Threshold> {
        let keeps = |cosine: f32| {
            self.fpir(Threshold::new(cosine), subjects).is_some_and(|rate| rate.value().is_none_or(|v| v <= target))
        };
        if keeps(-1.0) {
            return Threshold::new(-1.0);
        }
        // FPIR never rises with the threshold; halve until two cosines are neighbours.
        let (mut fails, mut holds) = (-1f32, 1f32);
        if !keeps(holds) {
            return None;
        }
        loop {
            let middle = fails + (holds - fails) / 2.0;
            if middle <= fails || middle >= holds {
                return Threshold::new(holds);
            }
            *(if keeps(middle) { &mut holds } else { &mut fails }) = middle;
        }
    }
}

impl ExpectedRate {
    /// The mean of the probabilities of error, one a trial.
    pub fn mean(probabilities: impl IntoIterator<Item = f64>) -> Self {
        let mut rate = Self { errors: 0.0, trials: 0 };
        for p in probabilities {
            rate.errors += p;
            rate.trials += 1;
        }
        rate
    }

    /// The rate, 0..=1; `None` without trials.
    pub fn value(self) -> Option<f64> {
        (self.trials > 0).then(|| self.errors / self.trials as f64)
    }

    /// The 95 % interval of Clopper and Pearson for as many errors as are expected, rounded outwards to whole ones.
    ///
    /// It is wide enough for the choice of probes: had each trial its own gallery, drawn at random, the errors would be binomial, and
    /// their mean over all galleries varies less than that. It does not speak of the choice of the pool.
    pub fn interval(self) -> Interval {
        let whole = |errors: f64| Rate { errors: (errors as u64).min(self.trials), trials: self.trials };
        // 3.0000000000000004 is three.
        let errors = (self.errors * 1e9).round() / 1e9;
        Interval { low: whole(errors.floor()).interval().low, high: whole(errors.ceil()).interval().high }
    }
}

impl fmt::Display for ExpectedRate {
    /// `0.98 % (0.64-1.41 %), 28.6 of 2915`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high } = self.interval();
        match self.value() {
            Some(value) => write!(f, "{:.2} %", 100.0 * value)?,
            None => f.write_str("cannot be said")?,
        }
        write!(f, " ({:.2}-{:.2} %), {:.1} of {}", 100.0 * low, 100.0 * high, self.errors, self.trials)
    }
}

/// The probability that `drawn` out of a pool hold at least one of `hits` in it.
fn somebody(pool: usize, hits: usize, drawn: usize) -> f64 {
    if drawn + hits > pool {
        return if hits == 0 { 0.0 } else { 1.0 };
    }
    // C(M - k, N) / C(M, N), one of the hits after the other.
    let nobody: f64 = (0..hits).map(|i| (pool - drawn - i) as f64 / (pool - i) as f64).product();
    1.0 - nobody
}

fn descending(mut similarities: Vec<Similarity>) -> Vec<Similarity> {
    similarities.sort_unstable_by(|a, b| a.descending(*b));
    similarities
}

fn reaching(descending: &[Similarity], threshold: Threshold) -> usize {
    descending.partition_point(|s| s.reaches(threshold))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn similarities(values: &[f32]) -> Vec<Similarity> {
        values.iter().map(|v| Similarity::new(*v)).collect()
    }

    fn stranger(values: &[f32]) -> Option<NonmatedSearch> {
        Some(NonmatedSearch::new(similarities(values)))
    }

    fn at(cosine: f32) -> Option<Threshold> {
        Threshold::new(cosine)
    }

    #[test]
    fn the_chance_of_meeting_somebody_by_hand() {
        // Two of five, one of which resembles: 2/5. Two do: 1 - C(3,2)/C(5,2) = 7/10.
        assert!((somebody(5, 1, 2) - 0.4).abs() < 1e-12);
        assert!((somebody(5, 2, 2) - 0.7).abs() < 1e-12);
        assert_eq!((somebody(5, 0, 5), somebody(5, 1, 5), somebody(5, 4, 2)), (0.0, 1.0, 1.0));
        assert_eq!((somebody(5, 0, 0), somebody(5, 5, 0), somebody(0, 0, 0)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn rates_by_hand() {
        let strangers = vec![stranger(&[0.1, 0.6, 0.3, 0.5, 0.2]), stranger(&[0.0, 0.1, 0.5, 0.2, 0.1]), None];
        let own = |own: f32, others: &[f32]| Some(OwnSearch::new(Similarity::new(own), similarities(others)));
        let mated = vec![own(0.9, &[0.1; 4]), own(0.5, &[0.6, 0.5, 0.0, 0.0]), own(0.4, &[0.0; 4]), None];
        let pool = RandomGallery::new(strangers, mated);
        assert_eq!(pool.largest(), 5);
        let fpir = pool.fpir(at(0.5), 2).unwrap();
        assert!((fpir.errors - (0.7 + 0.4)).abs() < 1e-12 && fpir.trials == 3, "{fpir:?}");
        // The second meets one of two, in one of four others: C(2,1)/C(4,1).
        let fnir = pool.fnir(at(0.5), 2).unwrap();
        assert!((fnir.errors - (0.5 + 1.0 + 1.0)).abs() < 1e-12 && fnir.trials == 4, "{fnir:?}");
        assert_eq!(pool.fpir(at(0.5), 6), None);
        assert_eq!(pool.fpir(None, 2).unwrap().errors, 0.0);
        assert_eq!(pool.fnir(None, 2).unwrap().errors, 4.0);
    }

    #[test]
    fn the_threshold_is_the_least_that_keeps_the_target() {
        let pool = RandomGallery::new(vec![stranger(&[0.5, 0.2]), stranger(&[0.3, 0.1])], vec![]);
        // One drawn of two: each similarity is met by a quarter.
        assert_eq!(pool.threshold_at_fpir(0.25, 1).unwrap().value(), 0.3f32.next_up());
        assert_eq!(pool.threshold_at_fpir(0.0, 1).unwrap().value(), 0.5f32.next_up());
        assert_eq!(pool.threshold_at_fpir(1.0, 1).unwrap().value(), -1.0);
        assert_eq!(RandomGallery::new(vec![stranger(&[1.0])], vec![]).threshold_at_fpir(0.5, 1), None);
    }

    #[test]
    fn the_interval_is_rounded_outwards() {
        let rate = |errors, trials| ExpectedRate { errors, trials };
        assert_eq!(rate(3.0, 100).interval(), Rate { errors: 3, trials: 100 }.interval());
        let between = rate(2.5, 100).interval();
        assert_eq!(between.low, Rate { errors: 2, trials: 100 }.interval().low);
        assert_eq!(between.high, Rate { errors: 3, trials: 100 }.interval().high);
        assert_eq!(rate(0.0, 0).interval(), Interval { low: 0.0, high: 1.0 });
        assert!(rate(0.0, 10).to_string().starts_with("0.00 % (0.00-30.85 %)"));
    }

    proptest! {
        #[test]
        fn more_subjects_and_lower_thresholds_never_mean_fewer_false_positives(
            strangers in prop::collection::vec(prop::collection::vec(-1f32..=1.0, 12), 1..20),
            small in 0usize..=12, more in 0usize..=12, low in -1f32..=1.0, high in -1f32..=1.0, target in 0f64..=1.0,
        ) {
            let pool = RandomGallery::new(strangers.iter().map(|s| stranger(s)).collect(), vec![]);
            let (small, more) = (small.min(more), small.max(more));
            let (low, high) = (at(low.min(high)), at(low.max(high)));
            let fpir = |t, n| pool.fpir(t, n).unwrap().errors;
            prop_assert!(fpir(low, small) <= fpir(low, more) + 1e-9);
            prop_assert!(fpir(high, more) <= fpir(low, more) + 1e-9);
            if let Some(t) = pool.threshold_at_fpir(target, more) {
                prop_assert!(pool.fpir(Some(t), more).unwrap().value().unwrap() <= target);
                prop_assert!(t >= pool.threshold_at_fpir(target, small).unwrap());
            }
        }

        #[test]
        fn drawing_everybody_is_counting(strangers in prop::collection::vec(prop::collection::vec(-1f32..=1.0, 5), 1..20), t in -1f32..=1.0) {
            let pool = RandomGallery::new(strangers.iter().map(|s| stranger(s)).collect(), vec![]);
            let counted = strangers.iter().filter(|s| s.iter().any(|v| *v >= t)).count();
            prop_assert_eq!(pool.fpir(at(t), 5).unwrap().errors, counted as f64);
        }
    }
}
