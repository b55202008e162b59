//! What is not for this engine stays in float, is named in the log, and is still right.

use crate::net::{Conv, INPUT_STEP, Net, STEP, Zero};
use crate::run;

const U128: Zero = Zero::Unsigned(128);

/// A network whose first convolution fuses; `middle` comes behind it, and a last convolution that fuses again.
fn about(middle: impl FnOnce(&mut Net, &str) -> String) -> (Net, String) {
    let mut net = Net::new(&[1, 3, 8, 8]);
    let x = net.rounded("x", INPUT_STEP, U128);
    let y = net.conv(&x, &Conv::new(3, 20, 3));
    let y = middle(&mut net, &y);
    let y = net.rounded(&y, STEP, U128);
    let y = net.conv(&y, &Conv::new(20, 12, 1));
    let y = net.rounded(&y, STEP, U128);
    (net, y)
}

#[test]
fn padding_worked_out_by_the_engine() {
    let (mut net, y) = about(|net, y| {
        let y = net.rounded(y, STEP, U128);
        net.conv(&y, &Conv { auto_pad: Some("SAME_UPPER"), strides: [2, 2], ..Conv::new(20, 20, 3) })
    });
    let ran = run("auto_pad", &mut net, &[&y]);
    ran.agrees_to_a_step(STEP).left(&["DequantizeLinear3 (DequantizeLinear)", "Conv1 (Conv)"]);
    assert!(ran.kinds.contains("Int8Convolution") && ran.kinds.contains("Int8Pointwise"), "{:?}", ran.kinds);
}

/// Padding of a depthwise convolution whose input has an offset a channel.
#[test]
fn a_padded_depthwise_convolution_of_an_offset() {
    let (mut net, y) = about(|net, y| {
        let offsets = net.randoms(20, 0.5);
        let y = net.rounded_about(y, STEP, Zero::Signed(0), &offsets);
        net.conv(&y, &Conv::depthwise(20, 3))
    });
    let ran = run("padded offset", &mut net, &[&y]);
    ran.agrees_to_a_step(STEP).left(&["DequantizeLinear3 (DequantizeLinear)", "Conv1 (Conv)"]);
    assert!(ran.kinds.contains("Int8Convolution") && ran.kinds.contains("Int8Pointwise"), "{:?}", ran.kinds);
}

#[test]
fn activations_with_a_scale_for_each_channel() {
    let (mut net, y) = about(|net, y| {
        let y = net.rounded_by_channel(y, 20, STEP);
        net.conv(&y, &Conv::new(20, 20, 3))
    });
    let ran = run("by channel", &mut net, &[&y]);
    ran.agrees_to_a_step(STEP);
    assert!(ran.float_nodes.contains(&"Conv1 (Conv)".to_owned()), "{:?}", ran.float_nodes);
    assert!(!ran.float_nodes.contains(&"Conv0 (Conv)".to_owned()), "{:?}", ran.float_nodes);
}

/// Two readers want the same tensor rounded to different steps.
#[test]
fn two_scales_for_one_tensor() {
    let mut net = Net::new(&[1, 3, 8, 8]);
    let x = net.rounded("x", INPUT_STEP, U128);
    let y = net.conv(&x, &Conv::new(3, 20, 3));
    let fine = net.rounded(&y, STEP, U128);
    let coarse = net.rounded(&y, 2.0 * STEP, U128);
    let a = net.conv(&fine, &Conv::new(20, 12, 1));
    let a = net.rounded(&a, STEP, U128);
    let b = net.conv(&coarse, &Conv::new(20, 12, 1));
    let b = net.rounded(&b, STEP, U128);
    let ran = run("two scales", &mut net, &[&a, &b]);
    ran.agrees_to_a_step(STEP);
    assert!(ran.kinds.contains("Int8Convolution") && ran.kinds.contains("Int8Pointwise"), "{:?}", ran.kinds);
}

/// Nothing here has a quantised input: the file is not slower or other than in float.
#[test]
fn quantised_weights_alone() {
    let mut net = Net::new(&[1, 3, 8, 8]);
    let y = net.conv("x", &Conv::new(3, 20, 3));
    let y = net.prelu(&y, 20, 2.0);
    let y = net.conv(&y, &Conv::new(20, 8, 1));
    run("weights alone", &mut net, &[&y]).agrees().stayed_float();
}

#[test]
fn activations_of_16_bits() {
    let mut net = Net::new(&[1, 3, 8, 8]);
    let x = net.rounded("x", INPUT_STEP / 256.0, Zero::Wide);
    let y = net.conv(&x, &Conv::new(3, 20, 3));
    let file = net.file(&[&y]);
    match doorward::nn::Graph::load("16 bits", &file, &net.shape) {
        // As long as the importer has no 16-bit activations.
        Err(error) => assert!(error.to_string().contains("16 bits"), "{error}"),
        Ok(_) => {
            run("16 bits, run", &mut net, &[&y]).agrees().stayed_float();
        }
    }
}

/// A Clip with the bounds the wrong way round is the upper bound everywhere, and two in a row are more than one range.
#[test]
fn odd_bounds() {
    let clip = |net: &mut Net, x: &str, low: f32, high: f32| {
        let (low, high) = (net.floats(&[], &[low]), net.floats(&[], &[high]));
        net.node("Clip", &[x, &low, &high], vec![])
    };
    let (mut net, y) = about(|net, y| {
        let y = clip(net, y, -1.0, 1.5);
        let y = clip(net, &y, -0.5, 3.0);
        net.node("Relu", &[&y], vec![])
    });
    run("bounds in a row", &mut net, &[&y]).agrees_to_a_step(STEP);
}
/// The addition of one value a channel that a network computes itself.
#[test]
fn an_addition_of_another_size() {
    let (mut net, y) = about(|net, y| {
        let y = net.rounded(y, STEP, U128);
        let mean = net.node("GlobalAveragePool", &[&y], vec![]);
        let mean = net.rounded(&mean, STEP, U128);
        let gate = net.conv(&mean, &Conv::new(20, 20, 1));
        let gate = net.rounded(&gate, STEP, U128);
        net.node("Add", &[&y, &gate], vec![])
    });
    run("broadcast", &mut net, &[&y]).agrees_to_a_step(STEP);
}
