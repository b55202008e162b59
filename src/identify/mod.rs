//! One-to-many identification: exact search over a snapshot, one pass over memory.
//!
//! The pass goes over the references in bytes, a quarter of the memory of the references themselves, and keeps whoever could be
//! among the best for all that the bytes tell (`shortlist`). Those few are compared exactly. `docs/search.md` has the
//! proof and the figures.

mod shortlist;

use std::cmp::Ordering;

use crate::{
    domain::{Candidate, CandidateList, Embedding, ModelMismatch, Similarity},
    gallery::{GalleryError, Snapshot},
};
use shortlist::{Contender, shortlist};

/// How many candidates a search returns: the best, the second for the margin, and a few more to
/// show.
pub const CANDIDATES: usize = 5;

/// Independent sums, so that the compiler can use vector registers of any width up to 512 bits.
const LANES: usize = 16;

/// The subjects of `snapshot` whose references are most alike `probe`, best first, at most
/// [`CANDIDATES`]. Every subject is compared; ties go to the smaller id. The snapshot never changes, so that nothing waits for
/// a search and a search waits for nobody.
///
/// Should references of a large snapshot be unreadable (a broken disk), candidates come with what is proven without them: the
/// best with the least that its similarity can be, its rivals with the most, so that neither threshold nor margin is
/// reached by an error.
///
/// # Errors
/// When the probe was made by another model than the snapshot's references.
pub fn identify(snapshot: &Snapshot, probe: &Embedding) -> Result<CandidateList, ModelMismatch> {
    let fits = snapshot.codes().is_none() || probe.values().len() == snapshot.dimension();
    if probe.model() != snapshot.model() || !fits {
        return Err(ModelMismatch { left: probe.model().clone(), right: snapshot.model().clone() });
    }
    let Some(codes) = snapshot.codes() else {
        return Ok(CandidateList::default());
    };
    let contenders = shortlist(codes, probe.values(), CANDIDATES);
    let best = compare(snapshot, probe, &contenders).unwrap_or_else(|e| {
        log::error!("{e}; candidates are told by what is proven without it");
        proven(snapshot, &contenders)
    });
    let candidate = |(similarity, row)| Candidate { subject: snapshot.subject_at(row).id, similarity };
    Ok(CandidateList::new(best.into_iter().map(candidate).collect()))
}

/// The best of the contenders, who come in order of what they can be at most, with their exact similarities.
fn compare(
    snapshot: &Snapshot,
    probe: &Embedding,
    contenders: &[Contender],
) -> Result<Vec<(Similarity, usize)>, GalleryError> {
    let mut best: Vec<(Similarity, usize)> = Vec::with_capacity(CANDIDATES + 1);
    for contender in contenders {
        // Nobody from here on reaches the last of the best; who equals it might, by a smaller id.
        if best.get(CANDIDATES - 1).is_some_and(|(last, _)| contender.most() < last.value()) {
            break;
        }
        let row = contender.row as usize;
        let similarity = Similarity::new(dot(probe.values(), &snapshot.reference_at(row)?));
        let order = |(s, r): &(Similarity, usize)| {
            s.descending(similarity).then_with(|| snapshot.id_at(*r).cmp(snapshot.id_at(row)))
        };
        let at = best.partition_point(|other| order(other) == Ordering::Less);
        best.insert(at, (similarity, row));
        best.truncate(CANDIDATES);
    }
    Ok(best)
}

/// What can be said of the contenders without their references.
fn proven(snapshot: &Snapshot, contenders: &[Contender]) -> Vec<(Similarity, usize)> {
    let order = |a: &&Contender, b: &&Contender| {
        let id = |c: &Contender| snapshot.id_at(c.row as usize);
        b.least().total_cmp(&a.least()).then_with(|| id(a).cmp(id(b)))
    };
    let mut contenders: Vec<&Contender> = contenders.iter().collect();
    contenders.sort_by(order);
    let least = contenders.first().map_or(-1.0, |best| best.least());
    let similarity = |place: usize, c: &Contender| if place == 0 { least } else { c.most().min(least) };
    let first = contenders.iter().take(CANDIDATES).enumerate();
    first.map(|(place, c)| (Similarity::new(similarity(place, c)), c.row as usize)).collect()
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
    use crate::{
        domain::{ModelId, SubjectId},
        gallery::{MAX_IN_MEMORY, SnapshotBuilder},
        nn::Isa,
    };

    fn model() -> ModelId {
        ModelId::new("test", [1; 32])
    }

    /// Everybody compared, everybody sorted.
    fn exhaustive(people: &[(SubjectId, Embedding)], probe: &Embedding) -> Vec<(SubjectId, f32)> {
        let mut all: Vec<_> =
            people.iter().map(|(id, e)| (Similarity::new(dot(probe.values(), e.values())), id)).collect();
        all.sort_by(|(a, i), (b, j)| a.descending(*b).then_with(|| i.cmp(j)));
        all.into_iter().take(CANDIDATES).map(|(s, id)| (id.clone(), s.value())).collect()
    }

    fn snapshot(people: &[(SubjectId, Embedding)], expected: usize, isa: Isa) -> Snapshot {
        let mut builder = SnapshotBuilder::new(model(), expected).on(isa);
        for (id, e) in people {
            builder.push(id, "Somebody", None, e).unwrap();
        }
        builder.finish().unwrap()
    }

    /// A direction near one of few centres, so that many are nearly alike, and some exactly.
    fn direction(dimension: usize, centre: u64, spread: f32, seed: u64) -> Option<Embedding> {
        let noise = |seed: u64| {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            std::iter::repeat_with(move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            })
        };
        let values: Vec<f32> =
            noise(centre).zip(noise(seed ^ 0xdead)).take(dimension).map(|(c, n)| c + spread * n).collect();
        Embedding::new(model(), &values).ok()
    }

    fn people(dimension: usize) -> impl Strategy<Value = Vec<(SubjectId, Embedding)>> {
        let spread = prop_oneof![Just(0f32), Just(1e-3), Just(0.05), Just(1.0)];
        prop::collection::vec((0u64..3, spread, 0u64..50, any::<u16>()), 1..120).prop_map(move |drawn| {
            let mut people: Vec<(SubjectId, Embedding)> = Vec::new();
            for (n, (centre, spread, seed, salt)) in drawn.into_iter().enumerate() {
                // Ids in another order than rows.
                let id: SubjectId = format!("{salt:05}-{n}").parse().unwrap();
                people.extend(direction(dimension, centre, spread, seed).map(|e| (id, e)));
            }
            people
        })
    }

    proptest! {
        #[test]
        fn dot_is_the_sum_of_products(pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 0..200)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let exact: f64 = pairs.iter().map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-4);
        }

        #[test]
        fn a_search_finds_what_comparing_everybody_finds_to_the_bit(
            (people, probe) in prop_oneof![Just(1usize), Just(7), Just(64), Just(192), Just(512)]
                .prop_flat_map(|d| (people(d), (0u64..3, 0f32..0.2, 0u64..60).prop_filter_map("no direction", move |(c, s, n)| direction(d, c, s, n)))),
            sealed in any::<bool>(),
        ) {
            let expected = exhaustive(&people, &probe);
            for isa in Isa::available() {
                let snapshot = snapshot(&people, if sealed { MAX_IN_MEMORY + 1 } else { people.len() }, isa);
                let found = identify(&snapshot, &probe).unwrap();
                let found: Vec<_> = found.as_slice().iter().map(|c| (c.subject.clone(), c.similarity.value())).collect();
                prop_assert_eq!(&found, &expected, "{}", isa);
            }
        }

        #[test]
        fn what_is_proven_without_references_is_never_more_than_is_true(
            people in people(192), centre in 0u64..3, spread in 0f32..0.2, seed in 0u64..60,
        ) {
            let probe = direction(192, centre, spread, seed).unwrap();
            let snapshot = snapshot(&people, people.len(), Isa::Portable);
            let contenders = shortlist(snapshot.codes().unwrap(), probe.values(), CANDIDATES);
            let told = proven(&snapshot, &contenders);
            let truth = |row: usize| dot(probe.values(), &snapshot.reference_at(row).unwrap());
            let (first, row) = told[0];
            prop_assert!(first.value() <= truth(row));
            for (rival, row) in &told[1..] {
                // A margin is no wider than it is.
                prop_assert!(first.value() - rival.value() <= (truth(told[0].1) - truth(*row)).max(0.0));
            }
        }
    }
}
