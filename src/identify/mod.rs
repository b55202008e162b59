//! One-to-many identification: exact search over a snapshot, one pass over memory.

use crate::{
    domain::{Candidate, CandidateList, Embedding, ModelMismatch, Similarity},
    gallery::Snapshot,
};

/// How many candidates a search returns: the best, the second for the margin, and a few more to
/// show.
pub const CANDIDATES: usize = 5;

/// Independent sums, so that the compiler can use vector registers of any width up to 512 bits.
const LANES: usize = 16;

/// The subjects of `snapshot` whose references are most alike `probe`, best first, at most
/// [`CANDIDATES`]. Every subject is compared; ties go to the smaller id.
///
/// # Errors
/// When the probe was made by another model than the snapshot's references.
pub fn identify(snapshot: &Snapshot, probe: &Embedding) -> Result<CandidateList, ModelMismatch> {
    let fits = snapshot.subjects().is_empty() || probe.values().len() == snapshot.dimension();
    if probe.model() != snapshot.model() || !fits {
        return Err(ModelMismatch { left: probe.model().clone(), right: snapshot.model().clone() });
    }
    // Subjects come in order of id: a later one must be more alike to displace an earlier one.
    let mut best: Vec<(Similarity, usize)> = Vec::with_capacity(CANDIDATES + 1);
    for (row, (_, reference)) in snapshot.references().enumerate() {
        let similarity = Similarity::new(dot(probe.values(), reference));
        if best.len() == CANDIDATES && best[CANDIDATES - 1].0 >= similarity {
            continue;
        }
        let at = best.partition_point(|(s, _)| *s >= similarity);
        best.insert(at, (similarity, row));
        best.truncate(CANDIDATES);
    }
    let candidate =
        |(similarity, row): (Similarity, usize)| Candidate { subject: snapshot.subjects()[row].id.clone(), similarity };
    Ok(CandidateList::new(best.into_iter().map(candidate).collect()))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn dot_is_the_sum_of_products(pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 0..200)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let exact: f64 = pairs.iter().map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
        }
    }
}
