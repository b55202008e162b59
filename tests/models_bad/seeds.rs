//! Small sound models: what the fuzz target starts from, and what `mutated` changes.

use std::path::{Path, PathBuf};

use crate::onnx::*;
use crate::outputs;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/model")
}

/// Each operator of the committed models and of quantised ones, in graphs of a few hundred bytes.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let half = |name: &str, dims: &[i64]| floats(name, dims, &vec![0.5; dims.iter().product::<i64>() as usize]);
    let block = Graph::new()
        .tensor(half("w", &[4, 3, 3, 3]))
        .tensor(half("b", &[4]))
        .tensor(half("slope", &[4, 1, 1]))
        .tensor(half("d", &[4, 1, 3, 3]))
        .node("Conv", "conv", &["x", "w", "b"], &["c"], vec![attr_ints("pads", &[1; 4]), attr_ints("strides", &[2, 2])])
        .node("PRelu", "prelu", &["c", "slope"], &["p"], vec![])
        .node("Conv", "depthwise", &["p", "d"], &["e"], vec![attr_ints("pads", &[1; 4]), attr_int("group", 4)])
        .node("Add", "residual", &["p", "e"], &["y"], vec![]);
    let detector = Graph::new()
        .tensor(half("w", &[2, 3, 1, 1]))
        .tensor(floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]))
        .tensor(longs("shape", &[1, -1, 2]))
        .node(
            "MaxPool",
            "pool",
            &["x"],
            &["p"],
            vec![attr_ints("kernel_shape", &[2, 2]), attr_ints("strides", &[2, 2])],
        )
        .node("Resize", "resize", &["p", "", "scales"], &["r"], vec![])
        .node("Conv", "head", &["r", "w"], &["h"], vec![])
        .node("Transpose", "last", &["h"], &["t"], vec![attr_ints("perm", &[0, 2, 3, 1])])
        .node("Reshape", "rows", &["t", "shape"], &["q"], vec![])
        .node("Sigmoid", "sigmoid", &["q"], &["y"], vec![]);
    let tail = Graph::new()
        .tensor(half("w", &[192, 5]))
        .tensor(half("b", &[5]))
        .tensor(half("one", &[3]))
        .node(
            "BatchNormalization",
            "norm",
            &["x", "one", "one", "one", "one"],
            &["n"],
            vec![attr_float("epsilon", 1e-3)],
        )
        .node("Flatten", "flatten", &["n"], &["f"], vec![attr_int("axis", 1)])
        .node("Gemm", "linear", &["f", "w", "b"], &["g"], vec![attr_float("alpha", 1.0)])
        .node("Softmax", "softmax", &["g"], &["y"], vec![attr_int("axis", 1)]);
    let quantised = Graph::new()
        .tensor(floats("s", &[], &[0.05]))
        .tensor(tensor("z", UINT8, &[], &[128]))
        .tensor(tensor("w", INT8, &[4, 3, 1, 1], &[1; 12]))
        .tensor(floats("ws", &[4], &[0.1, 0.2, 0.3, 0.4]))
        .tensor(tensor("wz", INT8, &[4], &[0; 4]))
        .tensor(tensor("b", INT32, &[4], &[0; 16]))
        .tensor(half("offset", &[4, 1, 1]))
        .node("QuantizeLinear", "q", &["x", "s", "z"], &["xq"], vec![])
        .node("DequantizeLinear", "dq", &["xq", "s", "z"], &["xf"], vec![])
        .node("DequantizeLinear", "dqw", &["w", "ws", "wz"], &["wf"], vec![attr_int("axis", 0)])
        .node("DequantizeLinear", "dqb", &["b", "ws"], &["bf"], vec![attr_int("axis", 0)])
        .node("Conv", "conv", &["xf", "wf", "bf"], &["c"], vec![])
        .node("Relu", "relu", &["c"], &["r"], vec![])
        .node("Sub", "off", &["r", "offset"], &["o"], vec![])
        .node("QuantizeLinear", "q2", &["o", "s", "z"], &["oq"], vec![])
        .node("DequantizeLinear", "dq2", &["oq", "s", "z"], &["of"], vec![])
        .node("Add", "on", &["of", "offset"], &["y"], vec![]);
    let shapes = Graph::new()
        .tensor(longs("zero", &[0]))
        .tensor(longs("tail", &[-1]))
        .tensor(longs("axes", &[2]))
        .node("Constant", "c", &[], &["two"], vec![attr_tensor("value", floats("", &[], &[2.0]))])
        .node("Shape", "shape", &["x"], &["dims"], vec![])
        .node("Gather", "batch", &["dims", "zero"], &["first"], vec![attr_int("axis", 0)])
        .node("Concat", "to", &["first", "tail"], &["target"], vec![attr_int("axis", 0)])
        .node("Mul", "double", &["x", "two"], &["m"], vec![])
        .node("Reshape", "flat", &["m", "target"], &["f"], vec![])
        .node("Unsqueeze", "wide", &["f", "axes"], &["y"], vec![]);
    vec![
        ("block.onnx", block.file()),
        ("detector.onnx", detector.file()),
        ("tail.onnx", tail.file()),
        ("quantised.onnx", quantised.file()),
        ("shapes.onnx", shapes.file()),
    ]
}

#[test]
fn every_seed_loads_and_runs() {
    for (name, file) in seeds() {
        assert!(!outputs(&file).is_empty(), "{name}");
    }
}

/// `DOORWARD_WRITE_SEEDS=1 cargo test --test models_bad seeds` writes them again.
#[test]
fn the_committed_seeds_are_these() {
    for (name, file) in seeds() {
        let path = folder().join(name);
        if std::env::var_os("DOORWARD_WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(folder()).unwrap();
            std::fs::write(&path, &file).unwrap();
        }
        assert!(std::fs::read(&path).unwrap() == file, "{name} is not what seeds() makes");
    }
}
