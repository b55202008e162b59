//! Every operator of the table against tract's own importer: the same file, the same values, the same result.

mod cases;
mod graph;

use std::collections::BTreeSet;

use tract_onnx::tract_hir::internal::*;

use super::TABLES;
use graph::{Case, ours, theirs};

/// What a result may differ by, where our wiring is not tract's.
const TOLERANCE: f32 = 1e-6;

/// The values of a tensor of any type.
fn values(tensor: &Tensor) -> Vec<f32> {
    let kind = if tensor.datum_type() == TDim::datum_type() { DatumType::I64 } else { tensor.datum_type() };
    let numbers = tensor.cast_to_dt(kind).unwrap();
    let numbers = numbers.cast_to::<f32>().unwrap();
    numbers.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn same(one: f32, other: f32) -> bool {
    one == other || one.is_nan() && other.is_nan() || (one - other).abs() <= TOLERANCE * other.abs().max(1.0)
}

#[test]
fn every_operator_computes_what_tract_does() {
    for case in cases::all() {
        let (ours, theirs) = (case.run(&ours()), case.yardstick().run(&theirs()));
        let ours = ours.unwrap_or_else(|error| panic!("{case}: {error:#}"));
        let theirs = theirs.unwrap_or_else(|error| panic!("{case}, by tract: {error:#}"));
        assert_eq!(ours.len(), theirs.len(), "{case}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.shape(), theirs.shape(), "{case}");
            assert_eq!(ours.datum_type(), theirs.datum_type(), "{case}");
            let (ours, theirs) = (values(ours), values(theirs));
            let differ = ours.iter().zip(&theirs).position(|(&ours, &theirs)| !same(ours, theirs));
            assert_eq!(differ, None, "{case}:\n{ours:?}\n{theirs:?}");
        }
    }
}

#[test]
fn every_operator_has_a_case() {
    let cases = cases::all();
    let tested: BTreeSet<&str> = cases.iter().map(Case::operator).collect();
    let listed: Vec<&str> = TABLES.into_iter().flatten().map(|&(name, _)| name).collect();
    let names: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(names.len(), listed.len(), "an operator is listed twice");
    assert_eq!(tested, names);
}

#[test]
fn operators_that_nobody_looked_at_are_unknown() {
    let register = super::register().0;
    for operator in ["LSTM", "Attention", "TreeEnsembleClassifier", "DFT", "Loop", "If", "RandomNormal", "Fantasy"] {
        assert!(!register.contains_key(operator), "{operator}");
    }
}

#[test]
fn nodes_that_make_no_sense_are_errors_with_their_name() {
    for case in cases::hostile() {
        let Err(error) = case.run(&ours()) else { panic!("{case}: it is taken") };
        let error = format!("{error:#}");
        assert!(error.contains(graph::NODE), "{case}: {error}");
    }
}
