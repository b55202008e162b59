use super::Interval;
use crate::domain::{Similarity, Threshold};

/// How the chance that two people resemble each other falls as the similarity asked for rises: an exponential tail, fitted to the
/// most alike of all non-mated comparisons (peaks over a threshold, Pickands 1975, with the shape 0).
///
/// It speaks of similarities that nobody in the data has reached yet, so it is an extrapolation. Cosines of embeddings fall faster
/// than an exponential, which makes it err towards too many false positives: `docs/recognition.md` says by how much.
#[derive(Debug, Clone, PartialEq)]
pub struct ResemblanceTail {
    /// Where the tail begins.
    from: f64,
    mean_excess: f64,
    share: f64,
    people: Vec<Exceeding>,
}

/// One person's comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Exceeding {
    comparisons: f64,
    exceeding: f64,
    excess: f64,
}

/// A rate that is extrapolated, with its 95 % interval by the jackknife over people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extrapolated {
    /// The rate, 0..=1.
    pub value: f64,
    /// How much the choice of people may have shifted it; not how well an exponential fits.
    pub interval: Interval,
}

impl ResemblanceTail {
    /// Comparisons in the tail: enough for a mean.
    pub const LEAST_EXCEEDING: usize = 20;
    /// Comparisons without which there is no tail to speak of.
    pub const LEAST_COMPARISONS: usize = 200;

    /// Fits the tail to the non-mated similarities of each person. `None` with too few comparisons or people, or when the most
    /// alike are all equally alike.
    pub fn fit(people: &[Vec<Similarity>]) -> Option<Self> {
        let mut all: Vec<f64> = people.iter().flatten().map(|s| f64::from(s.value())).collect();
        if all.len() < Self::LEAST_COMPARISONS || people.iter().filter(|own| !own.is_empty()).count() < 3 {
            return None;
        }
        // The hundredth part: a wider tail is not exponential any more, a narrower one is too few.
        let exceeding = (all.len() / 100).max(Self::LEAST_EXCEEDING);
        let (_, from, _) = all.select_nth_unstable_by(exceeding, |a, b| b.total_cmp(a));
        let from = *from;
        let of_person = |own: &Vec<Similarity>| {
            let above = own.iter().map(|s| f64::from(s.value()) - from).filter(|excess| *excess > 0.0);
            let (exceeding, excess) = above.fold((0.0, 0.0), |(n, sum), excess| (n + 1.0, sum + excess));
            Exceeding { comparisons: own.len() as f64, exceeding, excess }
        };
        let people: Vec<Exceeding> = people.iter().map(of_person).collect();
        let Exceeding { comparisons, exceeding, excess } = total(&people);
        (excess > 0.0).then(|| Self { from, mean_excess: excess / exceeding, share: exceeding / comparisons, people })
    }

    /// FPIR at a threshold in a gallery of `subjects`, were all strangers equally likely to resemble somebody: `1 - (1 - FMR)^N`.
    /// Since some are more so than others it is a little lower. `None` below the tail.
    pub fn fpir(&self, threshold: Threshold, subjects: usize) -> Option<Extrapolated> {
        let threshold = f64::from(threshold.value());
        if threshold < self.from {
            return None;
        }
        let at_gallery = |fmr: f64| -(subjects as f64 * (-fmr.min(1.0)).ln_1p()).exp_m1();
        let log_fmr = |sums: Exceeding| {
            let mean_excess = sums.excess / sums.exceeding;
            (sums.exceeding / sums.comparisons).ln() - (threshold - self.from) / mean_excess
        };
        let all = total(&self.people);
        let logs: Vec<f64> =
            self.people.iter().map(|own| log_fmr(all.without(*own))).filter(|l| l.is_finite()).collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let deviation = (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() * (n - 1.0) / n).sqrt();
        let at = |deviations: f64| at_gallery((log_fmr(all) + deviations * deviation).exp());
        Some(Extrapolated { value: at(0.0), interval: Interval { low: at(-1.96), high: at(1.96) } })
    }

    /// The threshold at which the FPIR in a gallery of `subjects` is `target`; `None` below the tail or above 1.
    pub fn threshold(&self, target: f64, subjects: usize) -> Option<Threshold> {
        let fmr = -((-target).ln_1p() / subjects.max(1) as f64).exp_m1();
        let cosine = self.from + self.mean_excess * (self.share / fmr).ln();
        Threshold::new(cosine as f32).filter(|t| f64::from(t.value()) >= self.from)
    }
}

impl Exceeding {
    fn without(self, own: Self) -> Self {
        Self {
            comparisons: self.comparisons - own.comparisons,
            exceeding: self.exceeding - own.exceeding,
            excess: self.excess - own.excess,
        }
    }
}

fn total(people: &[Exceeding]) -> Exceeding {
    people.iter().fold(Exceeding::default(), |sum, own| Exceeding {
        comparisons: sum.comparisons + own.comparisons,
        exceeding: sum.exceeding + own.exceeding,
        excess: sum.excess + own.excess,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// People whose similarities have an exponential tail of the mean 0.05 above 0.1.
    fn people(n: usize, each: usize) -> Vec<Vec<Similarity>> {
        let count = (n * each) as f64;
        let at = |i: usize| Similarity::new((0.1 - 0.05 * ((i as f64 + 0.5) / count).ln()) as f32);
        (0..n).map(|person| (0..each).map(|i| at(i * n + person)).collect()).collect()
    }

    #[test]
    fn an_exponential_tail_is_found_again() {
        let tail = ResemblanceTail::fit(&people(50, 200)).unwrap();
        assert!((tail.mean_excess - 0.05).abs() < 0.003, "{tail:?}");
        // P(s > 0.56) = exp(-(0.56 - 0.1) / 0.05) = 1.01e-4; in a gallery of 100: 1 %.
        let threshold = Threshold::new(0.56).unwrap();
        let rate = tail.fpir(threshold, 100).unwrap();
        assert!((rate.value - 0.01).abs() < 0.004, "{rate:?}");
        assert!(
            rate.interval.low < rate.value && rate.value < rate.interval.high && rate.interval.high < 0.1,
            "{rate:?}"
        );
        let back = tail.threshold(rate.value, 100).unwrap();
        assert!((back.value() - threshold.value()).abs() < 1e-4);
    }

    #[test]
    fn little_data_and_equal_similarities_are_no_tail() {
        assert_eq!(ResemblanceTail::fit(&people(10, 10)), None);
        assert_eq!(ResemblanceTail::fit(&people(2, 500)), None);
        assert_eq!(ResemblanceTail::fit(&vec![vec![Similarity::new(0.3); 100]; 10]), None);
        assert_eq!(ResemblanceTail::fit(&[]), None);
    }

    #[test]
    fn below_the_tail_nothing_is_said() {
        let tail = ResemblanceTail::fit(&people(50, 200)).unwrap();
        assert_eq!(tail.fpir(Threshold::new(0.2).unwrap(), 10), None);
        assert_eq!(tail.threshold(0.9999, 1), None);
    }

    proptest! {
        #[test]
        fn the_rate_grows_with_the_gallery_and_falls_with_the_threshold(
            a in 0.4f32..1.0, b in 0.4f32..1.0, small in 1usize..1000, more in 1usize..100_000,
        ) {
            let tail = ResemblanceTail::fit(&people(20, 100)).unwrap();
            let at = |t: f32, n| tail.fpir(Threshold::new(t).unwrap(), n).unwrap().value;
            prop_assert!(at(a.max(b), small) <= at(a.min(b), small));
            prop_assert!(at(a, small.min(more)) <= at(a, small.max(more)));
            prop_assert!((0.0..=1.0).contains(&at(a, more)));
        }
    }
}
