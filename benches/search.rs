//! A search in galleries of 1,000 to 1,000,000 subjects on each family of kernels that this processor runs.
//!
//! `cargo bench --bench search`, or `cargo bench --bench search -- 100000/` for one size. `benches/peers/search.py` holds the same
//! beside other libraries.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use doorward::domain::{Embedding, ModelId};
use doorward::gallery::{Snapshot, SnapshotBuilder};
use doorward::identify::identify;
use doorward::nn::Isa;

const DIMENSION: usize = 192;
const CENTRES: u64 = 1000;

/// A reproducible direction near one of the centres for odd seeds, anywhere for even ones.
fn embedding(model: &ModelId, seed: u64) -> Embedding {
    let noise = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
    };
    let pull = if seed % 2 == 1 { 1.0 } else { 0.0 };
    let centre = noise(u64::MAX - seed / 2 % CENTRES);
    let values: Vec<f32> = noise(seed).zip(centre).take(DIMENSION).map(|(n, c)| n + pull * c).collect();
    Embedding::new(model.clone(), &values).expect("a random direction is one")
}

fn snapshot(subjects: u64, isa: Isa) -> Snapshot {
    let model = ModelId::new("synthetic", [0; 32]);
    let mut builder = SnapshotBuilder::new(model.clone(), subjects as usize).on(isa);
    for n in 0..subjects {
        let id = format!("{n:07}").parse().expect("digits are an id");
        builder.push(&id, "Somebody", None, &embedding(&model, n)).expect("there is room for a temporary file");
    }
    builder.finish().expect("there is room for a temporary file")
}

fn searches(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    group.sample_size(20);
    for subjects in [1_000, 10_000, 100_000, 1_000_000] {
        group.throughput(Throughput::Elements(subjects));
        for isa in Isa::available() {
            // Made when it is asked for: a million takes some seconds.
            let mut made = None;
            group.bench_function(BenchmarkId::new(subjects.to_string(), isa), |b| {
                let snapshot = made.get_or_insert_with(|| snapshot(subjects, isa));
                let probes: Vec<_> = (0..50).map(|n| embedding(snapshot.model(), 10_000_000 + n)).collect();
                let mut next = probes.iter().cycle();
                b.iter(|| identify(black_box(snapshot), next.next().expect("a cycle has no end")));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, searches);
criterion_main!(benches);
