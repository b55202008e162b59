//! Sound models, the real ones and small ones, with bytes changed, cut off or put in: an error or a graph that runs, never a panic.

use std::path::Path;
use std::sync::LazyLock;

use doorward::nn::Graph;
use proptest::prelude::*;

use crate::SHAPE;
use crate::seeds::seeds;

fn model(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file)).unwrap()
}

static YUNET: LazyLock<Vec<u8>> = LazyLock::new(|| model("yunet-2023mar.onnx"));
static LANDMARKS: LazyLock<Vec<u8>> = LazyLock::new(|| model("landmarks-68.onnx"));

/// Loads the bytes, and runs them once when they load.
fn load_and_run(bytes: &[u8], shape: &[usize]) {
    match Graph::load("gate-model", bytes, shape) {
        Ok(mut graph) => match graph.run_with(|input| input.fill(0.5)) {
            Ok(outputs) => assert_eq!(outputs.len(), graph.output_names().len()),
            Err(error) => assert!(error.to_string().contains("gate-model"), "{error}"),
        },
        Err(error) => assert!(error.to_string().contains("gate-model"), "{error}"),
    }
}

/// The place of a changed byte: anywhere, or among the last bytes, where the names and attributes of the nodes mostly stand.
fn place() -> impl Strategy<Value = (bool, prop::sample::Index)> {
    (any::<bool>(), any::<prop::sample::Index>())
}

fn flipped(bytes: &[u8], flips: &[((bool, prop::sample::Index), u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for ((late, index), value) in flips {
        let from = if *late { bytes.len() - bytes.len() / 16 } else { 0 };
        let length = bytes.len() - from;
        bytes[from + index.index(length)] ^= value;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_detector_is_refused_or_runs(flips in prop::collection::vec((place(), 1u8..), 1..6)) {
        load_and_run(&flipped(&YUNET, &flips), &[1, 3, 64, 64]);
    }

    #[test]
    fn a_changed_landmark_net_is_refused_or_runs(flips in prop::collection::vec((place(), 1u8..), 1..6)) {
        load_and_run(&flipped(&LANDMARKS, &flips), &[1, 1, 64, 64]);
    }

    #[test]
    fn a_cut_detector_is_refused(length in any::<prop::sample::Index>()) {
        let length = length.index(YUNET.len());
        prop_assert!(Graph::load("gate-model", &YUNET[..length], &[1, 3, 64, 64]).is_err());
    }
}

/// A change of a small file, which is names and numbers for the most part.
#[derive(Debug, Clone)]
enum Change {
    Set(u8),
    Cut(usize),
    /// Put in again what stands there.
    Repeat(usize),
    /// A varint of extreme value in the place of one byte.
    Extreme(i64),
    Float(f32),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, at: usize) {
        let end = |length: &usize| (at + length).min(bytes.len());
        match self {
            Change::Set(value) => bytes[at] = *value,
            Change::Cut(length) => drop(bytes.drain(at..end(length))),
            Change::Repeat(length) => {
                let again = bytes[at..end(length)].to_vec();
                bytes.splice(at..at, again);
            }
            Change::Extreme(value) => {
                let varint = (0..10).map(|i| (*value as u64 >> (7 * i)) as u8 & 0x7f | if i < 9 { 0x80 } else { 0 });
                bytes.splice(at..=at, varint.collect::<Vec<u8>>());
            }
            Change::Float(value) => {
                let length = 4.min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u8>().prop_map(Change::Set),
        (0u8..12).prop_map(Change::Set),
        (1usize..40).prop_map(Change::Cut),
        (1usize..80).prop_map(Change::Repeat),
        prop::sample::select(vec![-1, i64::MIN, i64::MAX, 1 << 31, 1 << 32, 1 << 16, 0]).prop_map(Change::Extreme),
        prop::sample::select(vec![f32::NAN, f32::INFINITY, -1.0, 0.0, f32::MAX, 1e-40]).prop_map(Change::Float),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn a_changed_small_model_is_refused_or_runs(
        seed in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..4),
    ) {
        let mut bytes = seeds().swap_remove(seed).1;
        for (index, change) in &changes {
            let at = index.index(bytes.len());
            change.apply(&mut bytes, at);
            if bytes.is_empty() {
                break;
            }
        }
        load_and_run(&bytes, &SHAPE);
    }
}
