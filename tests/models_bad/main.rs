//! Model files that are damaged, hostile or not for this engine: each is refused with the node, tensor or field named, in bounded
//! memory and without a panic.

mod mutated;
mod onnx;
mod quantised;
mod refused;
mod seeds;
mod small_memory;

use doorward::nn::{Fault, Graph, NnError};

/// The shape of the input of [`onnx::Graph::new`].
const SHAPE: [usize; 4] = [1, 3, 8, 8];

/// Loads a file that must be refused, and returns the fault with its message.
fn fault(file: &[u8]) -> (Fault, String) {
    fault_at(file, &SHAPE)
}

fn fault_at(file: &[u8], shape: &[usize]) -> (Fault, String) {
    let error = Graph::load("gate-model", file, shape).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("model gate-model"), "{message}");
    match error {
        NnError::Refused { fault, .. } => (*fault, message),
        other => panic!("not refused by the check: {other}"),
    }
}

/// The message must name all `parts`.
#[track_caller]
fn assert_names(file: &[u8], parts: &[&str]) {
    let (_, message) = fault(file);
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

/// What the engine makes of a sound file on zeros.
#[track_caller]
fn outputs(file: &[u8]) -> Vec<doorward::nn::Tensor> {
    let mut graph = Graph::load("gate-model", file, &SHAPE).unwrap();
    graph.run_with(|input| input.fill(0.0)).unwrap()
}
