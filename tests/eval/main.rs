//! The metrics of `eval` against scipy and scikit-learn. `reference.py` made `reference.json`.

use doorward::{
    domain::Similarity,
    eval::{FoldAccuracy, FoldedComparison, Identification, MatedSearch, Rate, Verification},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    intervals: Vec<(u64, u64, f64, f64)>,
    verification: Vec<VerificationReference>,
    folds: FoldsReference,
    identification: IdentificationReference,
}

#[derive(Deserialize)]
struct VerificationReference {
    mated: Vec<f32>,
    nonmated: Vec<f32>,
    eer: f64,
    fnmr_at_fmr: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct FoldsReference {
    fold: Vec<String>,
    mated: Vec<bool>,
    similarity: Vec<f32>,
    mean: f64,
    std: f64,
}

#[derive(Deserialize)]
struct IdentificationReference {
    own: Vec<f32>,
    first: Vec<bool>,
    failed: usize,
    nonmated_best: Vec<f32>,
    rank1: f64,
    fnir_at_fpir: Vec<(f64, f64)>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("reference.json")).unwrap()
}

fn similarities(values: &[f32]) -> Vec<Similarity> {
    values.iter().map(|v| Similarity::new(*v)).collect()
}

fn assert_near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9, "{what}: {found}, the reference has {expected}");
}

#[test]
fn intervals_are_those_of_scipy() {
    for (errors, trials, low, high) in reference().intervals {
        let interval = Rate { errors, trials }.interval();
        assert_near(interval.low, low, &format!("low of {errors} in {trials}"));
        assert_near(interval.high, high, &format!("high of {errors} in {trials}"));
    }
}

#[test]
fn one_to_one_rates_are_those_of_scikit_learn() {
    for expected in reference().verification {
        let v = Verification::new(similarities(&expected.mated), similarities(&expected.nonmated));
        assert_near(v.equal_error_rate().unwrap().value, expected.eer, "equal error rate");
        for (target, fnmr) in expected.fnmr_at_fmr {
            let at = v.at_fmr(target);
            assert!(at.false_positives.value().unwrap() <= target);
            assert_near(at.false_negatives.value().unwrap(), fnmr, &format!("FNMR at FMR {target}"));
        }
    }
}

#[test]
fn accuracy_by_folds_is_that_of_scikit_learn() {
    let FoldsReference { fold, mated, similarity, mean, std } = reference().folds;
    let comparisons: Vec<FoldedComparison> = fold
        .into_iter()
        .zip(mated)
        .zip(similarities(&similarity))
        .map(|((fold, mated), similarity)| FoldedComparison { fold, mated, similarity })
        .collect();
    let accuracy = FoldAccuracy::of(&comparisons).unwrap();
    assert_eq!(accuracy.folds, 10);
    assert_near(accuracy.mean, mean, "mean");
    assert_near(accuracy.std, std, "deviation");
}

#[test]
fn one_to_many_rates_are_those_of_scikit_learn() {
    let expected = reference().identification;
    let searched = |(own, first): (Similarity, &bool)| MatedSearch::Searched { own, first: *first };
    let mated = similarities(&expected.own).into_iter().zip(&expected.first).map(searched);
    let failed = std::iter::repeat_n(MatedSearch::FailedToAcquire, expected.failed);
    let best: Vec<Option<Similarity>> = similarities(&expected.nonmated_best).into_iter().map(Some).collect();
    let trial = Identification::new(mated.chain(failed).collect(), &best);
    assert_near(1.0 - trial.rank1_misses().value().unwrap(), expected.rank1, "rank 1");
    for (target, fnir) in expected.fnir_at_fpir {
        let at = trial.at_fpir(target);
        assert!(at.is_resolved() && at.false_positives.value().unwrap() <= target);
        assert_near(at.false_negatives.value().unwrap(), fnir, &format!("FNIR at FPIR {target}"));
    }
}
