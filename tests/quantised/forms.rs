//! The forms in which tools write quantised networks.

use crate::net::{Bias, Conv, INPUT_STEP, Net, STEP, Weights, Zero};
use crate::run;

const S0: Zero = Zero::Signed(0);
const U128: Zero = Zero::Unsigned(128);

/// What `models/quantize.py` writes: offsets about the quantised pairs, nothing rounded within Conv, PRelu, Add; a float tail.
#[test]
fn the_recipe() {
    let mut net = Net::new(&[1, 3, 12, 12]);
    let x = net.rounded_about("x", INPUT_STEP, Zero::Signed(0), &[0.5 * INPUT_STEP; 3]);
    let first = net.conv(&x, &Conv { strides: [2, 2], pads: [0, 0, 1, 1], ..Conv::new(3, 24, 3) });
    let first = net.prelu(&first, 24, 9.0);
    let offsets = net.randoms(24, 0.5);
    let trunk = net.rounded_about(&first, 2.0 * STEP, Zero::Signed(0), &offsets);
    let wide = net.conv(&trunk, &Conv::new(24, 40, 1));
    let wide = net.prelu(&wide, 40, 1.0);
    let wide = net.rounded(&wide, STEP, S0);
    let deep = net.conv(&wide, &Conv::depthwise(40, 3));
    let deep = net.prelu(&deep, 40, 2.0);
    let offsets = net.randoms(40, 0.5);
    let deep = net.rounded_about(&deep, STEP, Zero::Signed(0), &offsets);
    let narrow = net.conv(&deep, &Conv::new(40, 24, 1));
    let sum = net.node("Add", &[&trunk, &narrow], vec![]);
    let offsets = net.randoms(24, 0.5);
    let sum = net.rounded_about(&sum, 2.0 * STEP, Zero::Signed(0), &offsets);
    let last = net.conv(&sum, &Conv::new(24, 32, 1));
    let last = net.prelu(&last, 32, 1.0);
    let tail = Conv { weights: Weights::Float, kernel: [6, 6], pads: [0; 4], ..Conv::depthwise(32, 6) };
    let tail = net.conv(&last, &tail);
    let out = net.node("Flatten", &[&tail], vec![]);
    run("the recipe", &mut net, &[&out])
        .agrees()
        .ran_as(&["Int8Convolution", "Int8Pointwise", "Int8Depthwise"])
        .left(&["Conv5 (Conv)", "Flatten0 (Flatten)"]);
}

/// What onnxruntime's `quantize_static` writes: a quantised pair about every operator, unsigned activations, integer biases.
#[test]
fn onnxruntimes_standard_form() {
    for weights in [Weights::PerChannel, Weights::PerTensor, Weights::Unsigned] {
        let mut net = Net::new(&[1, 3, 10, 10]);
        let layer = |conv: Conv, step: f32| Conv { weights, bias: Bias::Int32(step), ..conv };
        let x = net.rounded("x", INPUT_STEP, U128);
        let a = net.conv(&x, &layer(Conv::new(3, 20, 3), INPUT_STEP));
        let a = net.rounded(&a, STEP, Zero::Unsigned(120));
        let a = net.node("Relu", &[&a], vec![]);
        let a = net.rounded(&a, STEP, Zero::Unsigned(0));
        let b = net.conv(&a, &layer(Conv::depthwise(20, 3), STEP));
        let b = net.rounded(&b, STEP, Zero::Unsigned(131));
        let b = net.prelu(&b, 20, 2.0);
        let b = net.rounded(&b, STEP, Zero::Unsigned(99));
        let c = net.conv(&b, &layer(Conv::new(20, 20, 1), STEP));
        let c = net.rounded(&c, STEP, U128);
        let sum = net.node("Add", &[&c, &a], vec![]);
        // Not twice the step: half of the sums would lie midway.
        let sum = net.rounded(&sum, 1.9 * STEP, Zero::Unsigned(77));
        run(&format!("standard {weights:?}"), &mut net, &[&sum])
            .agrees_to_a_step(1.9 * STEP)
            .ran_as(&["Int8Convolution", "Int8Depthwise", "Int8Pointwise", "Dequantise"])
            .left(&[]);
    }
}

/// Signed activations, as OpenVINO and TensorRT like them.
#[test]
fn signed_zero_points() {
    let mut net = Net::new(&[1, 5, 7, 9]);
    let x = net.rounded("x", INPUT_STEP, Zero::Signed(-3));
    let y = net.conv(&x, &Conv { bias: Bias::None, ..Conv::new(5, 33, 3) });
    let y = net.node("Relu", &[&y], vec![]);
    let y = net.rounded(&y, STEP, Zero::Signed(-128));
    let y = net.conv(&y, &Conv::new(33, 6, 1));
    let y = net.rounded(&y, STEP, Zero::Signed(17));
    run("signed", &mut net, &[&y])
        .agrees_to_a_step(STEP)
        .ran_as(&["Int8Convolution", "Int8Pointwise", "Dequantise"])
        .left(&[]);
}

/// Activations right behind a convolution and behind a quantised pair, with every kind of zero point.
#[test]
fn activations() {
    use crate::onnx::attr_float;
    type Activation = fn(&mut Net, &str) -> String;
    let activations: [(&str, Activation); 6] = [
        ("Relu", |net, x| net.node("Relu", &[x], vec![])),
        ("LeakyRelu", |net, x| net.node("LeakyRelu", &[x], vec![attr_float("alpha", 0.2)])),
        ("PRelu", |net, x| net.prelu(x, 20, 9.0)),
        ("PRelu, one slope", |net, x| {
            let slope = net.floats(&[1], &[-0.3]);
            net.node("PRelu", &[x, &slope], vec![])
        }),
        ("Clip", |net, x| {
            let (low, high) = (net.floats(&[], &[-0.51]), net.floats(&[], &[1.234]));
            net.node("Clip", &[x, &low, &high], vec![])
        }),
        ("Clip, one bound", |net, x| {
            let high = net.floats(&[], &[1.0]);
            net.node("Clip", &[x, "", &high], vec![])
        }),
    ];
    for (name, activation) in activations {
        for zero in [S0, U128, Zero::Unsigned(60)] {
            let mut net = Net::new(&[1, 6, 5, 5]);
            let x = net.rounded("x", INPUT_STEP, S0);
            let y = net.conv(&x, &Conv::new(6, 20, 3));
            let y = activation(&mut net, &y);
            let y = net.rounded(&y, STEP, zero);
            let y = activation(&mut net, &y);
            let y = net.rounded(&y, STEP, zero);
            run(&format!("{name} {zero:?}"), &mut net, &[&y])
                .agrees_to_a_step(STEP)
                .ran_as(&["Int8Convolution", "Int8Depthwise", "Dequantise"])
                .left(&[]);
        }
    }
}

/// An activation before the residual and one behind it.
#[test]
fn activations_about_a_residual() {
    for (before, after) in [(true, false), (false, true)] {
        let mut net = Net::new(&[1, 18, 6, 6]);
        let x = net.rounded("x", INPUT_STEP, Zero::Unsigned(100));
        let y = net.conv(&x, &Conv::new(18, 18, 3));
        let y = if before { net.prelu(&y, 18, 3.0) } else { y };
        let y = net.node("Add", &[&y, &x], vec![]);
        let y = if after { net.prelu(&y, 18, 3.0) } else { y };
        let y = net.rounded(&y, STEP, Zero::Unsigned(90));
        run(&format!("residual {before} {after}"), &mut net, &[&y])
            .agrees_to_a_step(STEP)
            .ran_as(&["Quantise", "Int8Convolution", "Dequantise"])
            .left(&[]);
    }
}

/// Pooling and enlarging of quantised tensors, and of what is quantised only afterwards.
#[test]
fn pooling_and_enlarging() {
    for first in [true, false] {
        let mut net = Net::new(&[1, 4, 12, 12]);
        let x = net.rounded("x", INPUT_STEP, S0);
        let mut y = net.conv(&x, &Conv::new(4, 20, 3));
        if first {
            y = net.rounded(&y, STEP, S0);
        }
        y = net.max_pool(&y, 3, 2, [1, 1, 0, 0]);
        y = net.rounded(&y, STEP, S0);
        y = net.conv(&y, &Conv::new(20, 24, 1));
        if first {
            y = net.rounded(&y, STEP, U128);
        }
        y = net.doubled(&y);
        y = net.rounded(&y, STEP, U128);
        y = net.conv(&y, &Conv::depthwise(24, 3));
        y = net.rounded(&y, STEP, S0);
        run(&format!("moving {first}"), &mut net, &[&y])
            .agrees_to_a_step(STEP)
            .ran_as(&["Int8Convolution", "Int8MaxPool", "Int8Pointwise", "Int8Enlarge", "Int8Depthwise", "Dequantise"])
            .left(&[]);
    }
}

/// The mean over places stays in float between two integer parts.
#[test]
fn global_average_pooling_lies_between() {
    let mut net = Net::new(&[1, 4, 8, 8]);
    let x = net.rounded("x", INPUT_STEP, U128);
    let y = net.conv(&x, &Conv::new(4, 40, 3));
    let y = net.rounded(&y, STEP, U128);
    let y = net.node("GlobalAveragePool", &[&y], vec![]);
    let y = net.rounded(&y, STEP / 3.7, U128);
    let y = net.conv(&y, &Conv::new(40, 10, 1));
    let y = net.rounded(&y, STEP / 4.0, U128);
    let ran = run("mean", &mut net, &[&y]);
    ran.agrees_to_a_step(STEP / 4.0).left(&["GlobalAveragePool0 (GlobalAveragePool)"]);
    for kind in ["Int8Convolution", "Quantise", "Int8Pointwise", "Dequantise"] {
        assert!(ran.kinds.contains(kind), "{kind} is missing in {:?}", ran.kinds);
    }
}

/// Classifiers: a matrix product over all that comes out of the convolutions.
#[test]
fn matrix_products() {
    for (transposed, quantised) in [(true, true), (true, false), (false, true), (false, false)] {
        for weights in [Weights::PerChannel, Weights::PerTensor, Weights::Unsigned] {
            let mut net = Net::new(&[1, 3, 6, 8]);
            let x = net.rounded("x", INPUT_STEP, S0);
            let y = net.conv(&x, &Conv { strides: [2, 2], ..Conv::new(3, 20, 3) });
            let y = net.rounded(&y, STEP, U128);
            let mut y = net.gemm(&y, [20 * 3 * 4, 30], transposed, weights);
            if quantised {
                y = net.rounded(&y, STEP, U128);
            }
            let ran = run(&format!("gemm {transposed} {quantised} {weights:?}"), &mut net, &[&y]);
            let dequantise: &[&str] = if quantised { &["Dequantise"] } else { &[] };
            ran.ran_as(&[&["Int8Convolution"], dequantise].concat()).left(&[]);
            if quantised {
                ran.agrees_to_a_step(STEP)
            } else {
                ran.agrees()
            };
        }
    }
}

#[test]
fn a_matrix_product_with_its_bias_in_an_addition() {
    let mut net = Net::new(&[1, 3, 6, 8]);
    let x = net.rounded("x", INPUT_STEP, S0);
    let y = net.conv(&x, &Conv { strides: [2, 2], ..Conv::new(3, 20, 3) });
    let y = net.rounded(&y, STEP, U128);
    let shape = net.integers(&[1, -1]);
    let y = net.node("Reshape", &[&y, &shape], vec![]);
    let y = net.matmul(&y, [20 * 3 * 4, 30]);
    run("matmul", &mut net, &[&y]).agrees().ran_as(&["Int8Convolution"]).left(&[]);
}

/// Two layers of a classifier, the first one with an activation.
#[test]
fn matrix_products_in_a_row() {
    let mut net = Net::new(&[1, 3, 4, 4]);
    let x = net.rounded("x", INPUT_STEP, S0);
    let y = net.conv(&x, &Conv::new(3, 16, 3));
    let y = net.rounded(&y, STEP, U128);
    let y = net.gemm(&y, [16 * 16, 30], true, Weights::PerChannel);
    let y = net.node("Relu", &[&y], vec![]);
    let y = net.rounded(&y, STEP, Zero::Unsigned(0));
    let y = net.gemm(&y, [30, 24], true, Weights::PerChannel);
    let y = net.rounded(&y, STEP, U128);
    let y = net.node("LeakyRelu", &[&y], vec![]);
    let y = net.rounded(&y, STEP, U128);
    let y = net.matmul(&y, [24, 40]);
    let y = net.rounded(&y, STEP, U128);
    run("gemms in a row", &mut net, &[&y])
        .agrees_to_a_step(STEP)
        .ran_as(&["Int8Convolution", "Int8Pointwise", "Int8Depthwise", "Dequantise"])
        .left(&[]);
}
