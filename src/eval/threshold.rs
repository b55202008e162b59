use super::Rate;
use crate::domain::{Similarity, Threshold};

/// What comes of the threshold that a rate of false positives asks for.
///
/// One to one the two rates are FMR and FNMR, one to many FPIR and FNIR.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatesAt {
    /// The rate of false positives asked for, 0..=1.
    pub target: f64,
    /// The least threshold at which the rate of false positives is at most the target. `None` where no cosine is high enough:
    /// too many non-mated similarities of 1.
    pub threshold: Option<Threshold>,
    /// False positives there: FMR or FPIR.
    pub false_positives: Rate,
    /// False negatives there: FNMR or FNIR.
    pub false_negatives: Rate,
}

impl RatesAt {
    /// Whether the data can speak about the target at all. With fewer than `1 / target` non-mated trials not even one false
    /// positive is allowed: the threshold then lies above every non-mated similarity, and the interval of
    /// [`false_positives`](Self::false_positives) says how little that proves.
    pub fn is_resolved(&self) -> bool {
        allowed(self.target, self.false_positives.trials) > 0
    }
}

/// How many of `trials` may be false positives.
fn allowed(target: f64, trials: u64) -> u64 {
    // 0.003 * 1000 may come out as 2.9999999999999996.
    (target * trials as f64 + 1e-9) as u64
}

/// The least threshold that at most `target` of `trials` non-mated similarities reach. `descending` are those there are, the
/// largest first; trials without one (failures to acquire) reach nothing.
///
/// A similarity equal to the threshold reaches it, so of ties at the edge all go or none.
pub(super) fn least_threshold(descending: &[Similarity], trials: u64, target: f64) -> Option<Threshold> {
    let allowed = usize::try_from(allowed(target, trials)).unwrap_or(usize::MAX);
    match descending.get(allowed) {
        Some(first_too_many) => Threshold::new(first_too_many.value().next_up()),
        None => Threshold::new(-1.0),
    }
}

/// Of `trials`, how many reach the threshold. `descending` are their similarities, the largest first.
pub(super) fn reaching(descending: &[Similarity], threshold: Option<Threshold>) -> u64 {
    threshold.map_or(0, |t| descending.partition_point(|s| s.reaches(t)) as u64)
}

/// The similarities, the largest first.
pub(super) fn descending(mut similarities: Vec<Similarity>) -> Vec<Similarity> {
    similarities.sort_unstable_by(|a, b| a.descending(*b));
    similarities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarities(values: &[f32]) -> Vec<Similarity> {
        descending(values.iter().map(|v| Similarity::new(*v)).collect())
    }

    #[test]
    fn the_threshold_is_the_least_that_keeps_the_target() {
        let s = similarities(&[0.1, 0.2, 0.3, 0.4]);
        let threshold = least_threshold(&s, 4, 0.25);
        assert_eq!(threshold.unwrap().value(), 0.3f32.next_up());
        assert_eq!(reaching(&s, threshold), 1);
        assert_eq!(reaching(&s, Threshold::new(0.3)), 2, "one step lower is too low");
    }

    #[test]
    fn ties_at_the_edge_all_go() {
        let s = similarities(&[0.1, 0.3, 0.3, 0.4]);
        let threshold = least_threshold(&s, 4, 0.5);
        assert_eq!((threshold.unwrap().value(), reaching(&s, threshold)), (0.3f32.next_up(), 1));
    }

    #[test]
    fn too_few_trials_put_the_threshold_above_all() {
        let s = similarities(&[0.1, 0.5]);
        assert_eq!(least_threshold(&s, 2, 0.01).unwrap().value(), 0.5f32.next_up());
        let at = |trials| RatesAt {
            target: 0.01,
            threshold: None,
            false_positives: Rate { errors: 0, trials },
            false_negatives: Rate { errors: 0, trials: 1 },
        };
        assert!(!at(99).is_resolved() && at(100).is_resolved());
        assert_eq!(allowed(0.003, 1000), 3);
    }

    #[test]
    fn where_everything_may_pass_the_threshold_is_the_lowest_cosine() {
        assert_eq!(least_threshold(&similarities(&[0.1]), 1, 1.0), Threshold::new(-1.0));
        assert_eq!(least_threshold(&[], 0, 0.01), Threshold::new(-1.0));
    }

    #[test]
    fn no_threshold_is_above_a_similarity_of_one() {
        let s = similarities(&[1.0, 1.0]);
        assert_eq!(least_threshold(&s, 2, 0.01), None);
        assert_eq!(reaching(&s, None), 0);
    }
}
