//! Convolutions of all shapes, and graphs that branch.

use crate::net::{Conv, INPUT_STEP, Net, STEP, Weights, Zero};
use crate::run;

const U100: Zero = Zero::Unsigned(100);

/// One convolution of a quantised tensor, with a quantised and with a float result, of a picture (pixel by pixel without gaps)
/// and of a tensor laid out for the kernels.
#[track_caller]
fn check(name: &str, conv: &Conv, kind: &str) {
    for (picture, prelu, rounded) in [(true, false, true), (false, true, true), (false, false, false)] {
        let mut net = Net::new(&[1, conv.inputs, 9, 11]);
        let x = net.rounded("x", INPUT_STEP, U100);
        let x = if picture { x } else { net.max_pool(&x, 1, 1, [0; 4]) };
        let mut y = net.conv(&x, conv);
        if prelu {
            y = net.prelu(&y, conv.outputs, 2.0);
        }
        if rounded {
            y = net.rounded(&y, STEP, U100);
        }
        let ran = run(&format!("{name} {picture} {prelu} {rounded}"), &mut net, &[&y]);
        if rounded {
            ran.agrees_to_a_step(STEP)
        } else {
            ran.agrees()
        };
        ran.left(&[]);
        assert!(picture || ran.kinds.contains(kind), "{name}: {kind} is missing in {:?}", ran.kinds);
    }
}

#[test]
fn dense() {
    check("1x1", &Conv::new(17, 70, 1), "Int8Pointwise");
    check("1x1, strides", &Conv { strides: [2, 1], ..Conv::new(32, 65, 1) }, "Int8Convolution");
    check("3x3", &Conv::new(19, 33, 3), "Int8Convolution");
    check("5x5", &Conv::new(3, 8, 5), "Int8Convolution");
    check("2x4", &Conv { kernel: [2, 4], pads: [1, 2, 0, 1], ..Conv::new(6, 6, 3) }, "Int8Convolution");
    check("strides, pads", &Conv { strides: [2, 2], pads: [0, 1, 2, 0], ..Conv::new(20, 24, 3) }, "Int8Convolution");
    check("dilations", &Conv { dilations: [2, 3], pads: [2, 3, 2, 3], ..Conv::new(16, 16, 3) }, "Int8Convolution");
    check("whole", &Conv { kernel: [9, 11], pads: [0; 4], ..Conv::new(16, 130, 3) }, "Int8Convolution");
}

#[test]
fn in_groups() {
    for (groups, each_in, each_out) in [(2, 9, 5), (4, 16, 16), (8, 2, 3), (3, 1, 1), (20, 1, 2), (6, 1, 4)] {
        let conv = Conv { groups, ..Conv::new(groups * each_in, groups * each_out, 3) };
        let kind = if (each_in, each_out) == (1, 1) { "Int8Depthwise" } else { "Int8Convolution" };
        check(&format!("{groups} groups, {each_in} to {each_out}"), &conv, kind);
    }
}

#[test]
fn depthwise() {
    for channels in [2, 16, 30, 64, 100] {
        check(&format!("{channels} channels"), &Conv::depthwise(channels, 3), "Int8Depthwise");
    }
    check("dw strides", &Conv { strides: [2, 2], pads: [0, 0, 1, 1], ..Conv::depthwise(40, 3) }, "Int8Depthwise");
    check("dw 5x5", &Conv { strides: [1, 2], ..Conv::depthwise(20, 5) }, "Int8Depthwise");
    check("dw dilations", &Conv { dilations: [2, 2], pads: [2; 4], ..Conv::depthwise(20, 3) }, "Int8Depthwise");
    check("dw whole", &Conv { kernel: [9, 11], pads: [0; 4], ..Conv::depthwise(70, 3) }, "Int8Depthwise");
}

/// Where an input's real zero is no integer, the bias depends on how much of the kernel lies inside.
#[test]
fn padding_of_an_input_with_an_offset() {
    for (name, conv) in [
        ("3x3", Conv::new(3, 20, 3)),
        ("strides", Conv { strides: [2, 2], pads: [0, 0, 1, 1], ..Conv::new(3, 20, 3) }),
        ("5x3", Conv { kernel: [5, 3], pads: [2, 0, 4, 2], ..Conv::new(3, 20, 3) }),
        ("dilations", Conv { dilations: [2, 1], pads: [2, 1, 2, 1], ..Conv::new(3, 20, 3) }),
    ] {
        let mut net = Net::new(&[1, 3, 8, 9]);
        // Large against a step, so that a wrong border shows.
        let x = net.rounded_about("x", INPUT_STEP, Zero::Signed(0), &[0.3, -0.2, 0.25]);
        let y = net.conv(&x, &conv);
        let y = net.prelu(&y, 20, 2.0);
        let y = net.rounded(&y, STEP, U100);
        run(&format!("offset {name}"), &mut net, &[&y])
            .agrees_to_a_step(STEP)
            .ran_as(&["Int8Convolution", "Dequantise"])
            .left(&[]);
    }
}

#[test]
fn one_tensor_read_by_two() {
    let mut net = Net::new(&[1, 4, 6, 6]);
    let x = net.rounded("x", INPUT_STEP, U100);
    let trunk = net.conv(&x, &Conv::new(4, 20, 3));
    let trunk = net.rounded(&trunk, STEP, U100);
    let a = net.conv(&trunk, &Conv::new(20, 12, 1));
    let a = net.rounded(&a, STEP, U100);
    let b = net.conv(&trunk, &Conv::new(20, 7, 3));
    let ran = run("two readers", &mut net, &[&a, &b]);
    ran.agrees().ran_as(&["Int8Convolution", "Int8Pointwise", "Dequantise"]).left(&[]);
}

/// The quantised form of a tensor is read, and so is the tensor itself.
#[test]
fn a_float_output_that_is_quantised_as_well() {
    let mut net = Net::new(&[1, 4, 6, 6]);
    let x = net.rounded("x", INPUT_STEP, U100);
    let raw = net.conv(&x, &Conv::new(4, 20, 3));
    let y = net.rounded(&raw, STEP, U100);
    let y = net.conv(&y, &Conv::new(20, 12, 1));
    let y = net.rounded(&y, STEP, U100);
    let ran = run("read twice", &mut net, &[&y, &raw]);
    ran.agrees().left(&[]);
    assert!(ran.kinds.contains("Int8Convolution") && ran.kinds.contains("Int8Pointwise"), "{:?}", ran.kinds);
}

/// The main path and a shortcut, each with a convolution, as ResNet's blocks have them.
#[test]
fn two_convolutions_are_added() {
    for rounded in [true, false] {
        let mut net = Net::new(&[1, 12, 8, 8]);
        let x = net.rounded("x", INPUT_STEP, U100);
        let main = net.conv(&x, &Conv { strides: [2, 2], ..Conv::new(12, 24, 3) });
        let shortcut = net.conv(&x, &Conv { strides: [2, 2], ..Conv::new(12, 24, 1) });
        let shortcut = if rounded { net.rounded(&shortcut, STEP, U100) } else { shortcut };
        let y = net.node("Add", &[&main, &shortcut], vec![]);
        let y = net.node("Relu", &[&y], vec![]);
        let y = net.rounded(&y, STEP, Zero::Unsigned(0));
        let y = net.conv(&y, &Conv::new(24, 8, 1));
        let y = net.rounded(&y, STEP, U100);
        let ran = run(&format!("shortcut {rounded}"), &mut net, &[&y]);
        ran.agrees_to_a_step(STEP).left(if rounded { &[] } else { &["Add0 (Add)", "Relu0 (Relu)"] });
        assert!(ran.kinds.contains("Int8Convolution") && ran.kinds.contains("Int8Pointwise"), "{:?}", ran.kinds);
    }
}

/// Nodes of the file's own come first: the picture is scaled in the graph, then quantised.
#[test]
fn an_input_that_is_not_quantised_at_once() {
    let mut net = Net::new(&[1, 3, 8, 8]);
    let factor = net.floats(&[], &[0.7]);
    let scaled = net.node("Mul", &["x", &factor], vec![]);
    let x = net.rounded(&scaled, INPUT_STEP, U100);
    let y = net.conv(&x, &Conv::new(3, 20, 3));
    let y = net.rounded(&y, STEP, U100);
    let ran = run("scaled", &mut net, &[&y]);
    ran.agrees_to_a_step(STEP).left(&["Mul0 (Mul)"]);
    assert!(ran.kinds.contains("Quantise") && ran.kinds.contains("Int8Convolution"), "{:?}", ran.kinds);
}

/// The input is read by a depthwise convolution, or twice: it is quantised in a step of its own.
#[test]
fn an_input_that_is_not_read_by_dense_convolutions_alone() {
    let mut net = Net::new(&[1, 3, 8, 8]);
    let x = net.rounded("x", INPUT_STEP, U100);
    let y = net.conv(&x, &Conv { weights: Weights::PerTensor, ..Conv::depthwise(3, 3) });
    let y = net.node("Add", &[&y, &x], vec![]);
    let y = net.rounded(&y, STEP, U100);
    run("thin", &mut net, &[&y]).agrees_to_a_step(STEP).ran_as(&["Quantise", "Int8Depthwise", "Dequantise"]).left(&[]);
}
