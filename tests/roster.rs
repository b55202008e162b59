//! What a door knows is replaced under a search, and neither waits for the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use doorward::{
    domain::{Embedding, ModelId},
    gallery::{Snapshot, SnapshotBuilder},
    identify::identify,
    pipeline::Roster,
};

fn embedding(seed: usize) -> Embedding {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f32> = (0..192)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect();
    Embedding::new(ModelId::new("test", [1; 32]), &values).unwrap()
}

fn snapshot(subjects: std::ops::Range<usize>) -> Arc<Snapshot> {
    let mut builder = SnapshotBuilder::new(ModelId::new("test", [1; 32]), subjects.len());
    for n in subjects {
        builder.push(&format!("s{n:06}").parse().unwrap(), "Somebody", None, &embedding(n)).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

#[test]
fn a_snapshot_is_replaced_while_a_search_goes_on_in_the_old_one() {
    let (large, other) = (snapshot(0..30_000), snapshot(10_000..40_000));
    let probe = embedding(5_000);
    let best_of = |s: &Arc<Snapshot>| identify(s, &probe).unwrap().first().unwrap().subject.clone();
    let (in_large, in_other) = (best_of(&large), best_of(&other));
    assert_eq!(in_large.as_str(), "s005000");
    assert_ne!(in_large, in_other);

    let roster = Roster::new(large.clone());
    let (begun, ended, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let replaced = std::thread::scope(|scope| {
        let searcher = scope.spawn(|| {
            while !stop.load(SeqCst) {
                let current = roster.current();
                begun.fetch_add(1, SeqCst);
                let best = best_of(&current);
                ended.fetch_add(1, SeqCst);
                assert_eq!(best, if Arc::ptr_eq(&current, &large) { in_large.clone() } else { in_other.clone() });
            }
        });
        let mut replaced = 0;
        let until = Instant::now() + Duration::from_secs(30);
        while replaced < 20 && Instant::now() < until && !searcher.is_finished() {
            let before = ended.load(SeqCst);
            let under_way = begun.load(SeqCst) == before + 1;
            roster.replace(if replaced % 2 == 0 { other.clone() } else { large.clone() });
            // The same search from before the replacement until after it: had one waited for the other, it would have ended.
            replaced += usize::from(under_way && ended.load(SeqCst) == before);
        }
        stop.store(true, SeqCst);
        searcher.join().unwrap();
        replaced
    });
    assert_eq!(replaced, 20, "replacements within a search");
}
