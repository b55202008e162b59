//! Small recognisers with random weights, written byte by byte: nothing but what each test is about.

use crate::onnx::*;

/// Random values between -`limit` and `limit`.
fn randoms(count: usize, limit: f32) -> Vec<f32> {
    let mut state = count as u64;
    let mut next = || {
        // Knuth's generator; its upper bits.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * limit
    };
    (0..count).map(|_| next()).collect()
}

/// A convolution of stride 8 over an NCHW value `x`, then one row of `dimension` values called `y`.
fn body(graph: Graph, x: &str, dimension: i64) -> Graph {
    let count = |dims: &[i64]| dims.iter().product::<i64>() as usize;
    let (kernel, matrix) = ([4, 3, 8, 8], [4 * 14 * 14, dimension]);
    graph
        .tensor(floats("w", &kernel, &randoms(count(&kernel), 0.1)))
        .tensor(floats("slope", &[4, 1, 1], &[0.1, 0.2, 0.3, -0.1]))
        .tensor(floats("m", &matrix, &randoms(count(&matrix), 0.1)))
        .node("Conv", "conv", &[x, "w"], &["c"], vec![attr_ints("strides", &[8, 8])])
        .node("PRelu", "prelu", &["c", "slope"], &["p"], vec![])
        .node("Flatten", "flatten", &["p"], &["f"], vec![attr_int("axis", 1)])
        .node("MatMul", "matmul", &["f", "m"], &["y"], vec![])
}

/// PyTorch's way: channels first.
pub fn torch(dimension: i64) -> Vec<u8> {
    body(Graph::empty().input("data", FLOAT, &[1, 3, 112, 112]).output("y"), "data", dimension).file()
}

/// Keras's way: channels last, the batch open.
pub fn keras(dimension: i64) -> Vec<u8> {
    let graph = Graph::empty().input("input", FLOAT, &[-1, 112, 112, 3]).output("y").node(
        "Transpose",
        "to_nchw",
        &["input"],
        &["t"],
        vec![attr_ints("perm", &[0, 3, 1, 2])],
    );
    body(graph, "t", dimension).file()
}

/// As [`torch`], with the embedding the second of two outputs.
pub fn two_outputs() -> Vec<u8> {
    body(Graph::empty().input("data", FLOAT, &[1, 3, 112, 112]).output("c").output("y"), "data", 96).file()
}

/// Takes pictures of another size or batch.
pub fn with_input(shape: &[i64]) -> Vec<u8> {
    Graph::empty().input("data", FLOAT, shape).output("y").node("Relu", "relu", &["data"], &["y"], vec![]).file()
}

/// Always the same row of 64 values: its input counts for nothing but its place.
pub fn constant() -> Vec<u8> {
    let row = randoms(64, 1.0);
    Graph::empty()
        .input("data", FLOAT, &[1, 3, 112, 112])
        .output("y")
        .tensor(floats("zeros", &[3 * 112 * 112, 64], &vec![0.0; 3 * 112 * 112 * 64]))
        .tensor(floats("row", &[1, 64], &row))
        .node("Flatten", "flatten", &["data"], &["f"], vec![attr_int("axis", 1)])
        .node("MatMul", "matmul", &["f", "zeros"], &["z"], vec![])
        .node("Add", "add", &["z", "row"], &["y"], vec![])
        .file()
}

/// As [`torch`], with `weights` for the row that scales its output.
pub fn scaled_by(weights: Message) -> Vec<u8> {
    let graph = Graph::empty().input("data", FLOAT, &[1, 3, 112, 112]).output("scaled").tensor(weights);
    body(graph, "data", 96).node("Mul", "mul", &["y", "scale"], &["scaled"], vec![]).file()
}
