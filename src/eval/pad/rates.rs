use std::collections::{BTreeMap, BTreeSet};

use crate::eval::{Curve, Rate, RatesAt};

/// A frame or a presentation with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct PadTrial {
    /// Who is shown.
    pub subject: String,
    /// The species of the attack; `None` for a bona fide presentation.
    pub species: Option<String>,
    /// Log-odds of a bona fide presentation.
    pub log_odds: f64,
}

/// Scores of attacks and of bona fide presentations, and the rates that come of a threshold (ISO/IEC 30107-3).
///
/// At a threshold, what reaches it is accepted as bona fide. An attack that is accepted is an error of its species' APCER, a bona fide
/// presentation that is not an error of the BPCER.
#[derive(Debug, Clone, PartialEq)]
pub struct PadTrials {
    trials: Vec<PadTrial>,
    /// Scores of bona fide presentations, the least first.
    bona_fide: Vec<f64>,
    /// Scores of each species, the least first.
    attacks: BTreeMap<String, Vec<f64>>,
}

/// The rates at one threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct PadRates {
    /// The least log-odds that are accepted.
    pub threshold: f64,
    /// Attacks accepted, by species.
    pub apcer: BTreeMap<String, Rate>,
    /// Bona fide presentations refused.
    pub bpcer: Rate,
    /// The same, by subject.
    pub bpcer_by_subject: BTreeMap<String, Rate>,
}

impl PadTrials {
    /// Takes trials in any order; scores that are no numbers count as the least of all.
    pub fn new(trials: impl IntoIterator<Item = PadTrial>) -> PadTrials {
        let number = |trial: PadTrial| match trial.log_odds.is_nan() {
            true => PadTrial { log_odds: f64::NEG_INFINITY, ..trial },
            false => trial,
        };
        let trials: Vec<PadTrial> = trials.into_iter().map(number).collect();
        let (mut bona_fide, mut attacks) = (Vec::new(), BTreeMap::<String, Vec<f64>>::new());
        for trial in &trials {
            match &trial.species {
                None => bona_fide.push(trial.log_odds),
                Some(species) => attacks.entry(species.clone()).or_default().push(trial.log_odds),
            }
        }
        bona_fide.sort_unstable_by(f64::total_cmp);
        attacks.values_mut().for_each(|scores| scores.sort_unstable_by(f64::total_cmp));
        PadTrials { trials, bona_fide, attacks }
    }

    /// Scores of bona fide presentations, the least first.
    pub fn bona_fide(&self) -> &[f64] {
        &self.bona_fide
    }

    /// Scores of each species' attacks, the least first.
    pub fn attacks(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.attacks
    }

    /// The rates at a threshold.
    pub fn at(&self, threshold: f64) -> PadRates {
        let apcer = self.attacks.iter().map(|(species, scores)| (species.clone(), accepted(scores, threshold)));
        let mut bpcer_by_subject: BTreeMap<String, Rate> = BTreeMap::new();
        for trial in self.trials.iter().filter(|trial| trial.species.is_none()) {
            let rate = bpcer_by_subject.entry(trial.subject.clone()).or_insert(Rate { errors: 0, trials: 0 });
            *rate += Rate::count([trial.log_odds < threshold]);
        }
        PadRates { threshold, apcer: apcer.collect(), bpcer: refused(&self.bona_fide, threshold), bpcer_by_subject }
    }

    /// The rates at the highest threshold whose BPCER is at most `target`; `None` without bona fide presentations.
    pub fn at_bpcer(&self, target: f64) -> Option<PadRates> {
        // 0.05 * 20 may come out as 0.9999999999999999.
        let allowed = (target * self.bona_fide.len() as f64 + 1e-9) as usize;
        let last = self.bona_fide.len().checked_sub(1)?;
        Some(self.at(self.bona_fide[allowed.min(last)]))
    }

    /// Whether the data can speak about a BPCER of `target` at all: fewer than `1 / target` bona fide presentations allow none refused.
    pub fn resolves(&self, target: f64) -> bool {
        target * self.bona_fide.len() as f64 + 1e-9 >= 1.0
    }

    /// APCER and BPCER of each species over all thresholds, from one that nothing reaches to one that everything does, with the rates
    /// at `marks` on it. Empty without both kinds.
    pub fn curves(&self, marks: &[&PadRates]) -> Vec<Curve> {
        if self.bona_fide.is_empty() {
            return Vec::new();
        }
        let curve = |(species, scores): (&String, &Vec<f64>)| {
            let thresholds: BTreeSet<Ordered> = scores.iter().chain(&self.bona_fide).map(|s| Ordered(*s)).collect();
            let share = |rate: Rate| rate.value().unwrap_or(0.0);
            let point = |t: &Ordered| (share(accepted(scores, t.0)), share(refused(&self.bona_fide, t.0)));
            let points = std::iter::once((0.0, 1.0)).chain(thresholds.iter().rev().map(point)).collect();
            let mark = |rates: &&PadRates| {
                let (false_positives, target) = (*rates.apcer.get(species)?, rates.threshold);
                Some(RatesAt { target, threshold: None, false_positives, false_negatives: rates.bpcer })
            };
            Curve { label: species.clone(), points, marks: marks.iter().filter_map(mark).collect() }
        };
        self.attacks.iter().map(curve).collect()
    }
}

impl PadRates {
    /// The species of which most are accepted: ISO/IEC 30107-3 judges a detector by it.
    pub fn worst_species(&self) -> Option<(&str, Rate)> {
        worst(&self.apcer)
    }

    /// The person who is refused most often.
    pub fn worst_subject(&self) -> Option<(&str, Rate)> {
        worst(&self.bpcer_by_subject)
    }
}

/// The greatest rate; of several as great the one with most trials, of these the first.
fn worst(rates: &BTreeMap<String, Rate>) -> Option<(&str, Rate)> {
    let key = |rate: &Rate| (rate.value().unwrap_or(0.0), rate.trials);
    let greater = |a: &Rate, b: &Rate| {
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
    };
    rates.iter().rev().max_by(|a, b| greater(a.1, b.1)).map(|(name, rate)| (name.as_str(), *rate))
}

fn refused(ascending: &[f64], threshold: f64) -> Rate {
    Rate { errors: ascending.partition_point(|score| *score < threshold) as u64, trials: ascending.len() as u64 }
}

fn accepted(ascending: &[f64], threshold: f64) -> Rate {
    let Rate { errors, trials } = refused(ascending, threshold);
    Rate { errors: trials - errors, trials }
}

/// A score among others; none is NaN.
#[derive(Clone, Copy, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trial(subject: &str, species: Option<&str>, log_odds: f64) -> PadTrial {
        PadTrial { subject: subject.to_owned(), species: species.map(str::to_owned), log_odds }
    }

    fn rate(errors: u64, trials: u64) -> Rate {
        Rate { errors, trials }
    }

    fn trials() -> PadTrials {
        let bona_fide = [("Ada", 3.0), ("Ada", 1.0), ("Ada", -1.0), ("Eve", 2.0), ("Eve", 0.0)];
        let attacks = [("print", -3.0), ("print", 1.0), ("screen", -2.0), ("screen", -0.5), ("screen", -4.0)];
        PadTrials::new(
            bona_fide
                .map(|(subject, odds)| trial(subject, None, odds))
                .into_iter()
                .chain(attacks.map(|(species, odds)| trial("Ada", Some(species), odds))),
        )
    }

    #[test]
    fn rates_by_hand() {
        let at = trials().at(0.0);
        assert_eq!(at.apcer, BTreeMap::from([("print".to_owned(), rate(1, 2)), ("screen".to_owned(), rate(0, 3))]));
        assert_eq!(at.bpcer, rate(1, 5));
        assert_eq!((at.worst_species(), at.worst_subject()), (Some(("print", rate(1, 2))), Some(("Ada", rate(1, 3)))));
        // What reaches the threshold is accepted.
        assert_eq!(trials().at(1.0).apcer["print"], rate(1, 2));
        assert_eq!(trials().at(1.0f64.next_up()).apcer["print"], rate(0, 2));
    }

    #[test]
    fn the_threshold_at_a_bpcer_is_the_highest_that_keeps_it() {
        let trials = trials();
        let at = trials.at_bpcer(0.2).unwrap();
        assert_eq!((at.threshold, at.bpcer), (0.0, rate(1, 5)));
        assert_eq!(trials.at(at.threshold.next_up()).bpcer, rate(2, 5), "one step higher is too high");
        let strict = trials.at_bpcer(0.05).unwrap();
        assert_eq!((strict.threshold, strict.bpcer, trials.resolves(0.05)), (-1.0, rate(0, 5), false));
        assert!(trials.resolves(0.2));
        assert_eq!(trials.at_bpcer(1.0).unwrap().threshold, 3.0);
        assert_eq!(PadTrials::new([trial("Ada", Some("print"), 0.0)]).at_bpcer(0.05), None);
    }

    #[test]
    fn one_kind_alone_has_no_curve_and_the_other_rate_cannot_be_said() {
        let attacks = PadTrials::new([trial("Ada", Some("print"), 0.0)]);
        assert_eq!((attacks.at(0.0).bpcer.value(), attacks.curves(&[])), (None, vec![]));
        let bona_fide = PadTrials::new([trial("Ada", None, f64::NAN)]);
        let at = bona_fide.at(-1e300);
        assert_eq!((at.bpcer, at.worst_species()), (rate(1, 1), None), "what is no number is refused");
    }

    #[test]
    fn of_equal_rates_the_one_with_most_trials_is_the_worst() {
        let rates = [("a", rate(1, 2)), ("b", rate(2, 4)), ("c", rate(2, 4)), ("d", rate(0, 9))];
        let rates = rates.map(|(name, rate)| (name.to_owned(), rate)).into();
        assert_eq!(worst(&rates), Some(("b", rate(2, 4))));
    }

    proptest! {
        #[test]
        fn a_higher_threshold_accepts_fewer_of_both(
            bona_fide in prop::collection::vec(-5f64..5.0, 1..30),
            attacks in prop::collection::vec(-5f64..5.0, 1..30),
            low in -6f64..6.0, more in 0f64..3.0, target in 0f64..1.0,
        ) {
            let trials = PadTrials::new(
                bona_fide.iter().map(|odds| trial("a", None, *odds))
                    .chain(attacks.iter().map(|odds| trial("a", Some("print"), *odds))),
            );
            let (low, high) = (trials.at(low), trials.at(low + more));
            prop_assert!(low.apcer["print"].errors >= high.apcer["print"].errors && low.bpcer.errors <= high.bpcer.errors);
            prop_assert!(trials.at_bpcer(target).unwrap().bpcer.value().unwrap() <= target + 1e-9);
            let curve = &trials.curves(&[&low, &high])[0];
            prop_assert!(curve.points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 >= b.1));
            prop_assert_eq!((curve.points.first(), curve.points.last()), (Some(&(0.0, 1.0)), Some(&(1.0, 0.0))));
            prop_assert_eq!(curve.marks.len(), 2);
        }
    }
}
