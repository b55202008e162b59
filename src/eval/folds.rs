use std::collections::BTreeMap;

use super::Rate;
use crate::domain::Similarity;

/// One comparison of a protocol with folds, as LFW's View 2 is.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedComparison {
    /// Which fold it belongs to.
    pub fold: String,
    /// Whether both samples are of one person.
    pub mated: bool,
    /// How alike they are; -1 where one of them failed to acquire, since the protocol wants every pair decided and a door
    /// stays shut.
    pub similarity: Similarity,
}

/// The share of right decisions, each fold decided by the threshold that was best on all the others.
///
/// This is the figure that LFW's protocol calls accuracy (Huang et al., 2007). It depends on how many of the pairs are mated, and so
/// says little of a door; it is here to be set beside publications.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoldAccuracy {
    /// Mean over the folds, 0..=1.
    pub mean: f64,
    /// Standard deviation over the folds, with n - 1 in the denominator. LFW's standard error is this by the root of their number.
    pub std: f64,
    /// How many folds there are.
    pub folds: usize,
    /// Wrong decisions in all folds together.
    pub wrong: Rate,
}

impl FoldAccuracy {
    /// Decides every fold by the others. `None` with fewer than two folds: then there is nothing to choose a threshold on.
    ///
    /// Of thresholds equally good on the other folds the lowest is taken; thresholds are tried midway between neighbouring
    /// similarities.
    pub fn of(comparisons: &[FoldedComparison]) -> Option<Self> {
        let mut folds: BTreeMap<&str, Vec<&FoldedComparison>> = BTreeMap::new();
        for comparison in comparisons {
            folds.entry(&comparison.fold).or_default().push(comparison);
        }
        if folds.len() < 2 {
            return None;
        }
        let wrong_in = |(name, fold): (&&str, &Vec<&FoldedComparison>)| {
            let threshold = best_threshold(comparisons.iter().filter(|c| c.fold != **name));
            Rate::count(fold.iter().map(|c| (f64::from(c.similarity.value()) >= threshold) != c.mated))
        };
        let wrong: Vec<Rate> = folds.iter().map(wrong_in).collect();
        let right: Vec<f64> = wrong.iter().filter_map(|r| r.value()).map(|wrong| 1.0 - wrong).collect();
        let n = right.len() as f64;
        let mean = right.iter().sum::<f64>() / n;
        let variance = right.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let sum = |of: fn(&Rate) -> u64| wrong.iter().map(of).sum();
        let wrong = Rate { errors: sum(|r| r.errors), trials: sum(|r| r.trials) };
        Some(Self { mean, std: variance.sqrt(), folds: right.len(), wrong })
    }
}

/// The threshold with the most right decisions.
fn best_threshold<'a>(comparisons: impl Iterator<Item = &'a FoldedComparison>) -> f64 {
    let mut ascending: Vec<(f64, bool)> = comparisons.map(|c| (f64::from(c.similarity.value()), c.mated)).collect();
    ascending.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // From a threshold that everything reaches upwards: a non-mated pair below it becomes right, a mated one wrong.
    let (mut gain, mut best) = (0i64, (0i64, -1.0));
    for (i, &(similarity, mated)) in ascending.iter().enumerate() {
        gain += if mated { -1 } else { 1 };
        let next = ascending.get(i + 1).map_or(f64::INFINITY, |next| next.0);
        if next > similarity && gain > best.0 {
            best = (gain, f64::midpoint(similarity, next));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparisons(list: &[(&str, bool, f32)]) -> Vec<FoldedComparison> {
        list.iter()
            .map(|&(fold, mated, s)| FoldedComparison { fold: fold.into(), mated, similarity: Similarity::new(s) })
            .collect()
    }

    #[test]
    fn each_fold_is_decided_by_the_others() {
        // Fold a alone would choose 0.7 and be right everywhere; fold b's best is 0.35, at which one of a's is wrong.
        let list = comparisons(&[
            ("a", true, 0.9),
            ("a", false, 0.5),
            ("b", true, 0.4),
            ("b", false, 0.3),
            ("b", true, 0.45),
            ("b", false, 0.1),
        ]);
        let accuracy = FoldAccuracy::of(&list).unwrap();
        // a by 0.35: one of two wrong. b by 0.7: both mated wrong, two of four.
        assert_eq!((accuracy.mean, accuracy.std, accuracy.folds), (0.5, 0.0, 2));
        assert_eq!(accuracy.wrong, Rate { errors: 3, trials: 6 });
    }

    #[test]
    fn the_deviation_is_over_the_folds() {
        let list = comparisons(&[
            ("1", true, 0.9),
            ("1", false, 0.1),
            ("2", true, 0.8),
            ("2", false, 0.2),
            ("3", true, 0.1),
            ("3", false, 0.2),
        ]);
        let accuracy = FoldAccuracy::of(&list).unwrap();
        assert!((accuracy.mean - 2.5 / 3.0).abs() < 1e-12, "{accuracy:?}");
        assert!((accuracy.std - (0.25f64 / 3.0).sqrt()).abs() < 1e-12, "{accuracy:?}");
    }

    #[test]
    fn one_fold_has_nothing_to_choose_on() {
        assert_eq!(FoldAccuracy::of(&comparisons(&[("1", true, 0.9), ("1", false, 0.1)])), None);
        assert_eq!(FoldAccuracy::of(&[]), None);
    }

    #[test]
    fn ties_are_never_split() {
        let list = comparisons(&[("1", true, 0.5), ("1", false, 0.5), ("1", false, 0.2)]);
        assert!((best_threshold(list.iter()) - 0.35).abs() < 1e-6);
        let all_mated = comparisons(&[("1", true, 0.5)]);
        assert_eq!(best_threshold(all_mated.iter()), -1.0);
        let none_mated = comparisons(&[("1", false, 0.5)]);
        assert_eq!(best_threshold(none_mated.iter()), f64::INFINITY);
    }
}
