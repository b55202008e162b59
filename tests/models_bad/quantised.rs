//! Quantisation parameters.

use doorward::nn::{Graph as Loaded, NnError};

use crate::onnx::*;
use crate::{SHAPE, assert_names, outputs};

/// `x` quantised and dequantised again, with the parameters of both.
fn round_trip(scale: Message, zero_point: Message, attributes: Vec<Message>) -> Vec<u8> {
    Graph::new()
        .tensor(scale)
        .tensor(zero_point)
        .node("QuantizeLinear", "q", &["x", "s", "z"], &["xq"], attributes.clone())
        .node("DequantizeLinear", "dq", &["xq", "s", "z"], &["y"], attributes)
        .file()
}

/// A convolution with int8 weights as tools write them: quantised input, dequantised weights.
fn conv(weight_scales: &[f32], zero_points: usize, axis: i64) -> Vec<u8> {
    Graph::new()
        .tensor(floats("s", &[], &[0.05]))
        .tensor(tensor("z", UINT8, &[], &[128]))
        .tensor(tensor("w", INT8, &[4, 3, 1, 1], &[1; 12]))
        .tensor(floats("ws", &[weight_scales.len() as i64], weight_scales))
        .tensor(tensor("wz", INT8, &[zero_points as i64], &vec![0; zero_points]))
        .node("QuantizeLinear", "q", &["x", "s", "z"], &["xq"], vec![])
        .node("DequantizeLinear", "dq", &["xq", "s", "z"], &["xf"], vec![])
        .node("DequantizeLinear", "dqw", &["w", "ws", "wz"], &["wf"], vec![attr_int("axis", axis)])
        .node("Conv", "conv1", &["xf", "wf"], &["y"], vec![])
        .file()
}

fn scale(value: f32) -> Message {
    floats("s", &[], &[value])
}

fn zero() -> Message {
    tensor("z", UINT8, &[], &[128])
}

#[test]
fn sound_quantised_graphs_run() {
    assert_eq!(outputs(&round_trip(scale(0.1), zero(), vec![]))[0].shape(), [1, 3, 8, 8]);
    assert_eq!(outputs(&conv(&[0.1, 0.2, 1e-30, 0.4], 4, 0))[0].shape(), [1, 4, 8, 8]);
    assert_eq!(outputs(&conv(&[0.1, 0.2, 0.3, 0.4], 4, -4))[0].shape(), [1, 4, 8, 8]);
}

#[test]
fn a_scale_must_be_positive_and_neither_overflow_nor_vanish() {
    for value in [0.0, -0.0, -0.1, 1e-13, 1e13, f32::MIN_POSITIVE / 2.0] {
        assert_names(&round_trip(scale(value), zero(), vec![]), &["node q (QuantizeLinear)", "y_scale", "value 0"]);
    }
    for value in [f32::NAN, f32::INFINITY] {
        assert_names(&round_trip(scale(value), zero(), vec![]), &["tensor s", "value 0"]);
    }
    for value in [0.0, -1.0, 1e13, f32::MIN_POSITIVE / 2.0] {
        assert_names(&conv(&[0.1, 0.2, value, 0.4], 4, 0), &["node dqw (DequantizeLinear)", "x_scale", "value 2"]);
    }
}

#[test]
fn scales_and_zero_points_fit_the_values() {
    assert_names(&conv(&[0.1; 3], 3, 0), &["node dqw", "x_scale", "3 scales along axis 0 of [4, 3, 1, 1]"]);
    assert_names(&conv(&[0.1; 4], 4, 1), &["node dqw", "x_scale", "4 scales along axis 1"]);
    for axis in [4, -5, i64::MAX, i64::MIN] {
        assert_names(&conv(&[0.1; 4], 4, axis), &["node dqw", "axis", &axis.to_string()]);
    }
    assert_names(&conv(&[0.1; 4], 3, 0), &["node dqw", "x_zero_point", "shape [3] for 4 scales"]);
    assert_names(&conv(&[], 0, 0), &["node dqw", "x_scale"]);
    let square = floats("s", &[2, 2], &[0.1; 4]);
    assert_names(&round_trip(square, zero(), vec![]), &["node q", "y_scale", "[2, 2]"]);
}

#[test]
fn types_fit() {
    let whole = tensor("s", INT32, &[], &[1, 0, 0, 0]);
    assert_names(&round_trip(whole, zero(), vec![]), &["node q", "y_scale", "FLOAT is expected, not INT32"]);
    let wide = tensor("z", INT32, &[], &[0; 4]);
    assert_names(&round_trip(scale(0.1), wide, vec![]), &["node q", "y_zero_point", "INT32"]);
    let signs = Graph::new()
        .tensor(scale(0.1))
        .tensor(zero())
        .tensor(tensor("zi", INT8, &[], &[0]))
        .node("QuantizeLinear", "q", &["x", "s", "z"], &["xq"], vec![])
        .node("DequantizeLinear", "dq", &["xq", "s", "zi"], &["y"], vec![])
        .file();
    assert_names(&signs, &["node dq", "x_zero_point", "INT8 where the values are UINT8"]);
}

#[test]
fn parameters_are_constants() {
    let computed = Graph::new()
        .tensor(scale(0.1))
        .node("Relu", "r", &["s"], &["sr"], vec![])
        .node("QuantizeLinear", "q", &["x", "sr"], &["xq"], vec![])
        .node("DequantizeLinear", "dq", &["xq", "s"], &["y"], vec![])
        .file();
    assert_names(&computed, &["node q", "y_scale", "Constant"]);
    let missing = Graph::new().node("QuantizeLinear", "q", &["x"], &["y"], vec![]).file();
    assert_names(&missing, &["node q", "y_scale"]);
}

#[test]
fn the_operators_that_carry_their_weights_are_checked_too() {
    let file = |x: f32, w: &[f32], y: f32| {
        Graph::new()
            .tensor(floats("xs", &[], &[x]))
            .tensor(tensor("z", UINT8, &[], &[128]))
            .tensor(tensor("w", INT8, &[4, 3, 1, 1], &[1; 12]))
            .tensor(floats("ws", &[w.len() as i64], w))
            .tensor(tensor("wz", INT8, &[w.len() as i64], &vec![0; w.len()]))
            .tensor(floats("ys", &[], &[y]))
            .node("QuantizeLinear", "q", &["x", "xs", "z"], &["xq"], vec![])
            .node("QLinearConv", "conv1", &["xq", "xs", "z", "w", "ws", "wz", "ys", "z"], &["yq"], vec![])
            .node("DequantizeLinear", "dq", &["yq", "ys", "z"], &["y"], vec![])
            .file()
    };
    assert_eq!(outputs(&file(0.1, &[0.2; 4], 0.3))[0].shape(), [1, 4, 8, 8]);
    assert_names(&file(0.1, &[0.2, 0.0, 0.2, 0.2], 0.3), &["node conv1 (QLinearConv)", "w_scale", "value 1"]);
    assert_names(&file(0.1, &[0.2; 3], 0.3), &["node conv1 (QLinearConv)", "w_scale", "3 scales along axis 0"]);
    assert_names(&file(0.1, &[0.2; 4], 1e-20), &["node conv1 (QLinearConv)", "y_scale", "1e-20"]);
}

/// tract rounds to `i32` and then adds the zero point: with overflow checks it panics on a value far beyond the scale.
#[test]
fn an_engine_that_panics_in_a_run_is_an_error_and_the_next_run_works() {
    let mut graph = Loaded::load("gate-model", &round_trip(scale(1e-12), zero(), vec![]), &SHAPE).unwrap();
    let far = graph.run_with(|input| input.fill(1e6));
    if let Err(error) = far {
        assert!(matches!(&error, NnError::Run { model, .. } if model == "gate-model"), "{error}");
    }
    assert_eq!(graph.run_with(|input| input.fill(0.0)).unwrap()[0].data(), [0.0; 192]);
}
