//! What is tried of each operator: each attribute that it has, each form that it had.

use super::graph::*;

/// A picture of four channels, odd on purpose.
const PICTURE: [usize; 4] = [1, 4, 7, 6];

/// All that must come out as tract has it.
pub(super) fn all() -> Vec<Case> {
    [
        convolutions(),
        poolings(),
        normalisations(),
        arithmetic(),
        activations(),
        products(),
        reductions(),
        shapes(),
        pieces(),
        values(),
        resizing(),
        quantised(),
        computed_sizes(),
    ]
    .concat()
}

fn convolutions() -> Vec<Case> {
    let weights = || any("w", &[6, 4, 3, 3]);
    let grouped = || any("w", &[6, 2, 3, 3]);
    let conv = |tensors, attributes| case("Conv", 13, &PICTURE, tensors, attributes);
    let back = |tensors, attributes| case("ConvTranspose", 11, &PICTURE, tensors, attributes);
    let spread = || any("w", &[4, 3, 3, 3]);
    let stored = |operator, opset, tensors: Vec<_>, attributes| {
        let quantise = vec![floats("qs", &[], &[0.02]), bytes("qz", &[], &[120])];
        case(operator, opset, &PICTURE, tensors, attributes).after("QuantizeLinear", quantise, vec![])
    };
    let some_bytes: Vec<u8> = (0..216u32).map(|i| (i * 37 % 251) as u8).collect();
    let some_signed: Vec<i8> = some_bytes.iter().map(|&byte| (byte as i8) / 2).collect();
    let q_linear = |scales: &[f32], more: Vec<_>| {
        let tensors = vec![
            floats("xs", &[], &[0.02]),
            bytes("xz", &[], &[120]),
            signed("w", &[6, 4, 3, 3], &some_signed),
            floats("ws", &if scales.len() > 1 { vec![scales.len()] } else { vec![] }, scales),
            signed("wz", &if scales.len() > 1 { vec![scales.len()] } else { vec![] }, &vec![0; scales.len()]),
            floats("ys", &[], &[0.3]),
            bytes("yz", &[], &[100]),
        ];
        stored("QLinearConv", 10, [tensors, more].concat(), vec![ints("pads", &[1, 1, 1, 1])])
    };
    let mut cases = vec![
        conv(vec![weights()], vec![]),
        conv(vec![weights(), any("b", &[6])], vec![ints("kernel_shape", &[3, 3])]),
        conv(vec![weights()], vec![ints("pads", &[1, 0, 2, 1]), ints("strides", &[2, 1])]),
        conv(vec![weights()], vec![ints("pads", &[2, 2, 2, 2]), ints("dilations", &[2, 1])]),
        conv(vec![grouped(), any("b", &[6])], vec![int("group", 2), ints("pads", &[1, 1, 1, 1])]),
        conv(vec![any("w", &[4, 1, 3, 3])], vec![int("group", 4)]),
        case("Conv", 8, &[1, 3, 8], vec![any("w", &[2, 3, 3])], vec![ints("pads", &[1, 1])]),
        back(vec![spread()], vec![]),
        back(vec![spread(), any("b", &[3])], vec![ints("strides", &[2, 2]), ints("pads", &[1, 0, 1, 1])]),
        back(vec![spread()], vec![ints("strides", &[2, 2]), ints("output_padding", &[1, 1])]),
        back(vec![spread()], vec![ints("strides", &[2, 2]), ints("output_shape", &[16, 14])]),
        back(vec![spread()], vec![ints("dilations", &[2, 1])]),
        back(vec![spread(), any("b", &[6])], vec![int("group", 2)]),
        back(vec![spread()], vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])]),
        stored("ConvInteger", 10, vec![bytes("w", &[6, 4, 3, 3], &some_bytes)], vec![ints("pads", &[1, 1, 1, 1])]),
        stored(
            "ConvInteger",
            10,
            vec![bytes("w", &[6, 4, 3, 3], &some_bytes), bytes("xz", &[], &[120]), bytes("wz", &[], &[90])],
            vec![ints("strides", &[2, 2])],
        ),
        q_linear(&[0.01], vec![]),
        q_linear(&[0.01, 0.02, 0.005, 0.011, 0.03, 0.01], vec![words("b", &[6], &[100, -300, 5000, 0, 77, -9])]),
    ];
    for auto_pad in ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"] {
        cases.push(conv(vec![weights()], vec![text("auto_pad", auto_pad), ints("strides", &[2, 2])]));
    }
    cases
}

fn poolings() -> Vec<Case> {
    let mut cases = vec![
        case("GlobalAveragePool", 13, &PICTURE, vec![], vec![]),
        case("GlobalMaxPool", 13, &PICTURE, vec![], vec![]),
    ];
    let window = || vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2])];
    for operator in ["MaxPool", "AveragePool"] {
        let pool = |attributes: Vec<_>| case(operator, 12, &PICTURE, vec![], [window(), attributes].concat());
        cases.extend([
            case(operator, 8, &PICTURE, vec![], vec![ints("kernel_shape", &[2, 3])]),
            pool(vec![]),
            pool(vec![ints("pads", &[1, 0, 1, 2])]),
            pool(vec![int("ceil_mode", 1)]),
            pool(vec![int("ceil_mode", 1), ints("pads", &[1, 1, 1, 1])]),
        ]);
        for auto_pad in ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"] {
            cases.push(pool(vec![text("auto_pad", auto_pad)]));
        }
    }
    cases.push(case("MaxPool", 12, &PICTURE, vec![], [window(), vec![ints("dilations", &[2, 2])]].concat()));
    let pads = || vec![ints("pads", &[1, 1, 1, 1]), int("count_include_pad", 1)];
    cases.push(case("AveragePool", 12, &PICTURE, vec![], [window(), pads()].concat()));
    cases.push(case("AveragePool", 12, &PICTURE, vec![], [window(), pads(), vec![int("ceil_mode", 1)]].concat()));
    cases
}

fn normalisations() -> Vec<Case> {
    let statistics = || vec![any("s", &[4]), any("b", &[4]), any("m", &[4]), positive("v", &[4])];
    let batch = |opset, attributes| case("BatchNormalization", opset, &PICTURE, statistics(), attributes);
    let layer = |tensors, attributes| case("LayerNormalization", 17, &PICTURE, tensors, attributes);
    vec![
        batch(7, vec![int("spatial", 1), float("momentum", 0.9)]),
        batch(9, vec![float("epsilon", 1e-3)]),
        batch(15, vec![int("training_mode", 0)]),
        case("BatchNormalization", 9, &[2, 4], statistics(), vec![]),
        case("InstanceNormalization", 6, &[2, 4, 7, 6], vec![any("s", &[4]), any("b", &[4])], vec![]),
        case("InstanceNormalization", 6, &PICTURE, vec![any("s", &[4]), any("b", &[4])], vec![float("epsilon", 1e-2)]),
        layer(vec![any("s", &[6])], vec![]),
        layer(vec![any("s", &[6]), any("b", &[6])], vec![float("epsilon", 1e-3)]),
        layer(vec![any("s", &[4, 7, 6]), any("b", &[4, 7, 6])], vec![int("axis", 1), int("stash_type", 1)]),
        case("LpNormalization", 1, &PICTURE, vec![], vec![]),
        case("LpNormalization", 1, &[2, 5], vec![], vec![int("axis", 1), int("p", 2)]),
        case("LpNormalization", 1, &PICTURE, vec![], vec![int("axis", 1), int("p", 1)]),
        // All zeros stay zeros.
        case("LpNormalization", 1, &[2, 5], vec![], vec![]).after("Mul", vec![floats("zero", &[], &[0.0])], vec![]),
        case("Dropout", 10, &PICTURE, vec![], vec![float("ratio", 0.3)]),
        case("Dropout", 13, &PICTURE, vec![floats("r", &[], &[0.3])], vec![]),
        case("Dropout", 13, &PICTURE, vec![none(), flag("t", false)], vec![]),
        case("Dropout", 13, &PICTURE, vec![], vec![]).outputs(2),
    ]
}

fn arithmetic() -> Vec<Case> {
    let mut cases = Vec::new();
    for operator in ["Add", "Sub", "Mul", "Div", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"] {
        for dims in [&PICTURE[..], &[4, 1, 1], &[6], &[]] {
            cases.push(case(operator, 13, &PICTURE, vec![any("b", dims)], vec![]));
        }
    }
    for operator in ["Sum", "Mean", "Max", "Min"] {
        cases.push(case(operator, 13, &PICTURE, vec![any("b", &[4, 1, 1]), any("c", &PICTURE)], vec![]));
        cases.push(case(operator, 13, &PICTURE, vec![], vec![]));
    }
    for operator in
        ["Abs", "Neg", "Sign", "Sqrt", "Exp", "Log", "Erf", "Reciprocal", "Floor", "Ceil", "Round", "Identity"]
    {
        cases.push(case(operator, 13, &PICTURE, vec![], vec![]));
    }
    for exponent in [floats("e", &[], &[2.0]), floats("e", &[], &[0.5]), any("e", &[6]), long("e", 3)] {
        cases.push(case("Pow", 13, &PICTURE, vec![exponent], vec![]));
    }
    cases.push(case("Pow", 13, &PICTURE, vec![any("e", &[6])], vec![]).after("Cast", vec![], vec![int("to", 6)]));
    let above = |operator: &str, tensors| {
        case(operator, 13, &PICTURE, tensors, vec![]).after("Greater", vec![floats("o", &[], &[0.0])], vec![])
    };
    cases.extend([
        above("And", vec![flag("b", true)]),
        above("Or", vec![flag("b", false)]),
        above("Not", vec![]),
        above("Where", vec![any("b", &PICTURE), any("c", &[4, 1, 1])]),
    ]);
    cases
}

fn activations() -> Vec<Case> {
    let of = |operator, opset, tensors, attributes| case(operator, opset, &PICTURE, tensors, attributes);
    let mut cases = Vec::new();
    for operator in [
        "Relu",
        "LeakyRelu",
        "ThresholdedRelu",
        "Elu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Softplus",
        "Softsign",
        "Mish",
    ] {
        cases.push(of(operator, 14, vec![], vec![]));
    }
    for operator in ["LeakyRelu", "ThresholdedRelu", "Elu"] {
        cases.push(of(operator, 14, vec![], vec![float("alpha", 0.3)]));
    }
    let (least, most) = (|| floats("least", &[], &[-0.5]), || floats("most", &[], &[1.25]));
    cases.extend([
        of("HardSigmoid", 14, vec![], vec![float("alpha", 1.0 / 6.0), float("beta", 0.4)]),
        of("Selu", 14, vec![], vec![float("alpha", 1.6), float("gamma", 1.1)]),
        // tract's defaults have six digits.
        of("Selu", 14, vec![], vec![]).against(of(
            "Selu",
            14,
            vec![],
            vec![float("alpha", 1.673_263_2), float("gamma", 1.050_701)],
        )),
        of("Clip", 6, vec![], vec![float("min", -0.5), float("max", 1.25)]),
        of("Clip", 6, vec![], vec![float("min", -0.5)]),
        of("Clip", 10, vec![], vec![]),
        of("Clip", 11, vec![least(), most()], vec![]),
        of("Clip", 13, vec![least()], vec![]),
        of("Clip", 13, vec![none(), most()], vec![]),
        of("Clip", 13, vec![], vec![]),
        of("Gelu", 20, vec![], vec![]),
        of("Gelu", 20, vec![], vec![text("approximate", "none")]),
        of("Gelu", 20, vec![], vec![text("approximate", "tanh")]),
    ]);
    for operator in ["Softmax", "LogSoftmax"] {
        for opset in [11, 13] {
            cases.push(of(operator, opset, vec![], vec![]));
            for axis in [1, 2, -1] {
                cases.push(of(operator, opset, vec![], vec![int("axis", axis)]));
            }
        }
    }
    cases
}

fn products() -> Vec<Case> {
    let gemm = |tensors, attributes| case("Gemm", 11, &[3, 4], tensors, attributes);
    vec![
        case("MatMul", 13, &[3, 4], vec![any("b", &[4, 5])], vec![]),
        case("MatMul", 13, &[2, 3, 4], vec![any("b", &[4, 5])], vec![]),
        case("MatMul", 13, &[2, 3, 4], vec![any("b", &[2, 4, 5])], vec![]),
        case("MatMul", 13, &[3, 4], vec![any("b", &[4])], vec![]),
        case("MatMul", 13, &[4], vec![any("b", &[4, 5])], vec![]),
        gemm(vec![any("b", &[4, 5])], vec![]),
        gemm(vec![any("b", &[4, 5]), any("c", &[5])], vec![]),
        gemm(vec![any("b", &[4, 5]), any("c", &[])], vec![float("beta", 0.5)]),
        gemm(vec![any("b", &[5, 4]), any("c", &[3, 1])], vec![int("transB", 1), float("alpha", 0.5)]),
        gemm(vec![any("b", &[3, 5]), any("c", &[1, 5])], vec![int("transA", 1), float("beta", 0.0)]),
        gemm(vec![any("b", &[5, 3])], vec![int("transA", 1), int("transB", 1)]),
    ]
}

fn reductions() -> Vec<Case> {
    let of = |operator, opset, tensors, attributes| case(operator, opset, &PICTURE, tensors, attributes);
    let mut cases = Vec::new();
    for operator in
        ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"]
    {
        cases.extend([
            of(operator, 11, vec![], vec![]),
            of(operator, 11, vec![], vec![ints("axes", &[2, 3])]),
            of(operator, 11, vec![], vec![ints("axes", &[-1]), int("keepdims", 0)]),
            of(operator, 11, vec![], vec![int("keepdims", 0)]),
            of(operator, 18, vec![], vec![]),
            of(operator, 18, vec![longs("a", &[1, -1])], vec![]),
            of(operator, 18, vec![longs("a", &[3, 2])], vec![int("keepdims", 0)]),
            of(operator, 18, vec![longs("a", &[])], vec![]),
        ]);
    }
    cases.extend([
        of("ReduceMean", 13, vec![], vec![ints("axes", &[1])]),
        of("ReduceSum", 13, vec![longs("a", &[1])], vec![int("keepdims", 0)]),
        of("ReduceSum", 13, vec![], vec![int("noop_with_empty_axes", 1)]),
        of("ReduceSum", 13, vec![longs("a", &[])], vec![int("noop_with_empty_axes", 1)]),
    ]);
    for operator in ["ArgMax", "ArgMin"] {
        cases.extend([
            of(operator, 13, vec![], vec![]),
            of(operator, 13, vec![], vec![int("axis", 1), int("keepdims", 0)]),
            of(operator, 13, vec![], vec![int("axis", -1)]),
            of(operator, 13, vec![], vec![int("axis", 2), int("select_last_index", 1)]).after("Sign", vec![], vec![]),
        ]);
    }
    cases
}

fn shapes() -> Vec<Case> {
    let of = |operator, opset, tensors, attributes| case(operator, opset, &PICTURE, tensors, attributes);
    let ones = [1, 4, 1, 1];
    let mut cases = vec![
        of("Reshape", 5, vec![longs("s", &[0, -1])], vec![]),
        of("Reshape", 14, vec![longs("s", &[4, 42])], vec![int("allowzero", 1)]),
        of("Reshape", 13, vec![longs("s", &[-1])], vec![]),
        of("Transpose", 13, vec![], vec![]),
        of("Transpose", 13, vec![], vec![ints("perm", &[0, 2, 3, 1])]),
        case("Squeeze", 11, &ones, vec![], vec![ints("axes", &[2, 3])]),
        case("Squeeze", 11, &ones, vec![], vec![ints("axes", &[-1])]),
        case("Squeeze", 13, &ones, vec![longs("a", &[0, 2])], vec![]),
        case("Squeeze", 13, &ones, vec![], vec![]),
        of("Unsqueeze", 11, vec![], vec![ints("axes", &[0, 5])]),
        of("Unsqueeze", 11, vec![], vec![ints("axes", &[-1])]),
        of("Unsqueeze", 13, vec![longs("a", &[2, -1])], vec![]),
        case("Expand", 13, &ones, vec![longs("s", &[2, 1, 3, 1])], vec![]),
        case("Expand", 13, &[4, 1], vec![longs("s", &[2, 1, 3])], vec![]),
        of("Tile", 13, vec![longs("m", &[2, 1, 1, 3])], vec![]),
        of("Shape", 13, vec![], vec![]),
        of("Shape", 15, vec![], vec![int("start", 1), int("end", -1)]),
        of("Shape", 15, vec![], vec![int("start", -2)]),
        of("Shape", 15, vec![], vec![int("start", 3), int("end", 1)]),
        case("DepthToSpace", 11, &[1, 12, 3, 2], vec![], vec![int("blocksize", 2)]),
        case("DepthToSpace", 11, &[1, 12, 3, 2], vec![], vec![int("blocksize", 2), text("mode", "CRD")]),
        case("DepthToSpace", 11, &[2, 9, 3, 2], vec![], vec![int("blocksize", 3), text("mode", "DCR")]),
        case("SpaceToDepth", 11, &[2, 3, 4, 6], vec![], vec![int("blocksize", 2)]),
    ];
    for axis in [0, 1, 3, 4, -1] {
        cases.push(of("Flatten", 11, vec![], vec![int("axis", axis)]));
    }
    cases.push(of("Flatten", 11, vec![], vec![]));
    cases
}

fn pieces() -> Vec<Case> {
    let of = |operator, opset, tensors, attributes| case(operator, opset, &PICTURE, tensors, attributes);
    let bounds = || vec![longs("s", &[1, 0]), longs("e", &[5, 4])];
    vec![
        of("Concat", 13, vec![any("b", &[1, 2, 7, 6])], vec![int("axis", 1)]),
        of("Concat", 4, vec![any("b", &PICTURE), any("c", &[1, 4, 7, 1])], vec![int("axis", -1)]),
        of("Gather", 13, vec![longs("i", &[2, 0, -1])], vec![int("axis", 1)]),
        of("Gather", 13, vec![long("i", 3)], vec![int("axis", -1)]),
        of("Gather", 11, vec![longs("i", &[0, 0])], vec![]),
        of("Slice", 9, vec![], vec![ints("axes", &[1, 3]), ints("starts", &[1, 0]), ints("ends", &[3, -2])]),
        of("Slice", 9, vec![], vec![ints("starts", &[0, 1, 2, 3]), ints("ends", &[1, 9, i64::MAX, -1])]),
        case("Slice", 13, &[6, 5], bounds(), vec![]),
        of("Slice", 13, [bounds(), vec![longs("a", &[2, -1])]].concat(), vec![]),
        of("Slice", 13, [bounds(), vec![longs("a", &[2, 3]), longs("t", &[2, 3])]].concat(), vec![]),
        of("Slice", 13, vec![longs("s", &[-1]), longs("e", &[i64::MIN]), longs("a", &[1]), longs("t", &[-1])], vec![]),
        of("Split", 11, vec![], vec![int("axis", 1)]).outputs(2),
        of("Split", 11, vec![], vec![int("axis", 2), ints("split", &[3, 4])]).outputs(2),
        of("Split", 13, vec![longs("l", &[1, 2, 3])], vec![int("axis", -1)]).outputs(3),
        of("Split", 13, vec![], vec![int("axis", 3)]).outputs(3),
        of("Split", 18, vec![], vec![int("axis", 2), int("num_outputs", 3)]).outputs(3),
        of("Pad", 2, vec![], vec![ints("pads", &[0, 0, 1, 2, 0, 1, 0, 3]), float("value", 0.5)]),
        of("Pad", 10, vec![], vec![ints("pads", &[0, 0, 1, 2, 0, 0, 0, 3]), text("mode", "reflect")]),
        of("Pad", 10, vec![], vec![ints("pads", &[0, 0, 1, 2, 0, 0, 0, 3]), text("mode", "edge")]),
        of("Pad", 11, vec![longs("p", &[0, 0, 1, 2, 0, 1, 0, 3])], vec![]),
        of("Pad", 13, vec![longs("p", &[0, 0, 1, 2, 0, 1, 0, 3]), floats("c", &[], &[-1.5])], vec![]),
        of("Pad", 13, vec![longs("p", &[0, 0, 1, 2, 0, 0, 6, 3])], vec![text("mode", "reflect")]),
        of("Pad", 18, vec![longs("p", &[1, 2, 0, 3]), none(), longs("a", &[-1, 1])], vec![]),
    ]
}

fn values() -> Vec<Case> {
    let constant = |attribute| case("Constant", 13, &[2], vec![], vec![attribute]).without_x();
    let filled = |attributes| case("ConstantOfShape", 9, &[2], vec![longs("s", &[2, 3])], attributes).without_x();
    let mut cases = vec![
        constant(value("value", any("", &[2, 3]))),
        constant(float("value_float", 0.25)),
        constant(int("value_int", 7)),
        constant(float_list("value_floats", &[1.0, -2.5])),
        constant(ints("value_ints", &[1, -2])),
        // tract fills with zeros of 64 bits, ONNX with such of 32.
        filled(vec![]).against(filled(vec![value("value", floats("", &[1], &[0.0]))])),
        filled(vec![value("value", floats("", &[1], &[1.5]))]),
        filled(vec![value("value", longs("", &[3]))]),
        case("Range", 11, &[2], vec![long("s", 2), long("e", 9), long("t", 3)], vec![]).without_x(),
        case("Identity", 13, &[2, 3], vec![], vec![]),
    ];
    // FLOAT, UINT8, INT32, INT64, BOOL, DOUBLE
    for to in [1, 2, 6, 7, 9, 11] {
        cases.push(case("Cast", 13, &PICTURE, vec![], vec![int("to", to)]).after("Abs", vec![], vec![]));
    }
    cases
}

fn resizing() -> Vec<Case> {
    let scales = |values: &[f32]| floats("s", &[values.len()], values);
    let region = || floats("roi", &[0], &[]);
    let by_scale = |opset, values: &[f32], attributes| {
        let first = if opset < 13 { region() } else { none() };
        case("Resize", opset, &PICTURE, vec![first, scales(values)], attributes)
    };
    let by_size =
        |values: &[i64], attributes| case("Resize", 13, &PICTURE, vec![none(), none(), longs("z", values)], attributes);
    let transforms = [
        "half_pixel",
        "pytorch_half_pixel",
        "half_pixel_symmetric",
        "align_corners",
        "asymmetric",
        "tf_half_pixel_for_nn",
    ];
    let mut cases = Vec::new();
    for transform in transforms {
        let transform = || text("coordinate_transformation_mode", transform);
        for rounding in ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"] {
            let attributes = || vec![transform(), text("nearest_mode", rounding)];
            for factor in [2.0, 3.0, 1.5, 0.5] {
                cases.push(by_scale(13, &[1.0, 1.0, factor, 2.0], attributes()));
            }
            cases.push(by_size(&[1, 4, 16, 5], attributes()));
        }
        for mode in ["linear", "cubic"] {
            let attributes = || vec![transform(), text("mode", mode)];
            cases.push(by_scale(11, &[1.0, 1.0, 2.0, 1.5], attributes()));
            cases.push(by_scale(13, &[1.0, 1.0, 0.6, 0.5], attributes()));
            cases.push(by_size(&[1, 4, 16, 5], attributes()));
        }
    }
    // Opset 11 has an empty list of scales where sizes are given.
    let tensors = vec![region(), scales(&[]), longs("z", &[1, 4, 14, 12])];
    cases.push(case("Resize", 11, &PICTURE, tensors, vec![text("mode", "linear")]));
    cases.push(by_scale(18, &[2.0, 3.0], vec![ints("axes", &[3, -2]), text("nearest_mode", "floor")]));
    // Before there was a mode, tract rounds, onnxruntime does not.
    for (factor, rounding) in [(3.0, "floor"), (0.5, "ceil")] {
        let tensors = |first: Vec<_>| [first, vec![scales(&[1.0, 1.0, factor, factor])]].concat();
        let stated = vec![text("coordinate_transformation_mode", "asymmetric"), text("nearest_mode", rounding)];
        let stated = case("Resize", 11, &PICTURE, tensors(vec![region()]), stated);
        cases.push(case("Resize", 10, &PICTURE, tensors(vec![]), vec![]).against(stated));
    }
    let twice = || vec![scales(&[1.0, 1.0, 2.0, 2.0])];
    for mode in ["nearest", "linear"] {
        let old = |operator, opset, tensors, attributes: Vec<_>| {
            case(operator, opset, &PICTURE, tensors, [vec![text("mode", mode)], attributes].concat())
        };
        let resize = || old("Resize", 10, twice(), vec![]);
        let listed = vec![float_list("scales", &[1.0, 1.0, 2.0, 2.0])];
        cases.extend([
            resize(),
            old("Upsample", 9, twice(), vec![]).against(resize()),
            old("Upsample", 7, vec![], listed).against(resize()),
        ]);
    }
    cases
}

fn quantised() -> Vec<Case> {
    let (scale, zero) = (|| floats("s", &[], &[0.017]), || bytes("z", &[], &[120]));
    let scales = || floats("ss", &[4], &[0.01, 0.02, 0.03, 0.007]);
    let quantise = |tensors, attributes| case("QuantizeLinear", 13, &PICTURE, tensors, attributes);
    let back = |tensors: Vec<_>, attributes: Vec<_>| {
        case("DequantizeLinear", 13, &PICTURE, tensors, attributes).after(
            "QuantizeLinear",
            vec![floats("fs", &[], &[0.02]), bytes("fz", &[], &[100])],
            vec![],
        )
    };
    let matrix: Vec<i8> = (0..20).map(|i| (i * 29 % 101) as i8 - 50).collect();
    let product = vec![
        floats("as", &[], &[0.02]),
        bytes("az", &[], &[100]),
        signed("b", &[4, 5], &matrix),
        floats("bs", &[], &[0.013]),
        signed("bz", &[], &[3]),
        floats("ys", &[], &[0.031]),
        bytes("yz", &[], &[90]),
    ];
    let stored = vec![signed("v", &[2, 4], &[1, -2, 3, -4, 50, 60, -70, 127])];
    let listed = |tensors: Vec<_>, attributes| {
        case("DequantizeLinear", 13, &[2], [stored.clone(), tensors].concat(), attributes).without_x()
    };
    vec![
        quantise(vec![scale(), zero()], vec![]),
        quantise(vec![scale()], vec![]),
        quantise(vec![scale(), signed("z", &[], &[-3])], vec![]),
        quantise(vec![scales(), bytes("z", &[4], &[1, 120, 130, 255])], vec![]),
        quantise(vec![scales(), signed("z", &[4], &[0, 0, 1, -1])], vec![int("axis", -3)]),
        back(vec![scale(), zero()], vec![]),
        back(vec![scale()], vec![]),
        back(vec![scales(), bytes("z", &[4], &[1, 120, 130, 255])], vec![int("axis", 1)]),
        listed(vec![scale(), signed("z", &[], &[5])], vec![]),
        listed(vec![scales(), signed("z", &[4], &[0, 1, 2, 3])], vec![int("axis", -1)]),
        case(
            "DequantizeLinear",
            13,
            &[2],
            vec![words("v", &[2], &[70_000, -5]), scale(), words("z", &[], &[0])],
            vec![],
        )
        .without_x(),
        case("QLinearMatMul", 10, &[3, 4], product, vec![]).after(
            "QuantizeLinear",
            vec![floats("fs", &[], &[0.02]), bytes("fz", &[], &[100])],
            vec![],
        ),
    ]
}

/// Sizes worked out in the graph, as exporters leave them where the size of the input is open.
fn computed_sizes() -> Vec<Case> {
    let flat = case("Reshape", 13, &PICTURE, vec![], vec![])
        .reading("rows")
        .beside("Shape", &["x"], vec![], "shape")
        .beside("Gather", &["shape"], vec![long("first", 0)], "batch")
        .beside("Unsqueeze", &["batch"], vec![longs("front", &[0])], "batches")
        .beside("Concat", &["batches"], vec![longs("rest", &[-1])], "rows")
        .with(int("axis", 0));
    let enlarged = case("Resize", 11, &PICTURE, vec![floats("roi", &[0], &[]), floats("none", &[0], &[])], vec![])
        .reading("sizes")
        .beside("Shape", &["x"], vec![], "shape")
        .beside("Slice", &["shape"], vec![longs("from", &[0]), longs("to", &[2])], "channels")
        .beside("Slice", &["shape"], vec![longs("start", &[2]), longs("end", &[4])], "size")
        .beside("Cast", &["size"], vec![], "real")
        .with(int("to", 1))
        .beside("Mul", &["real"], vec![floats("twice", &[], &[2.0])], "larger")
        .beside("Cast", &["larger"], vec![], "whole")
        .with(int("to", 7))
        .beside("Concat", &["channels", "whole"], vec![], "sizes")
        .with(int("axis", 0));
    vec![flat, enlarged]
}

/// What must be refused, whatever comes after.
pub(super) fn hostile() -> Vec<Case> {
    let of = |operator, opset, tensors, attributes| case(operator, opset, &PICTURE, tensors, attributes);
    let mut cases = Vec::new();
    for axis in [4, 9, -5, i64::MAX, i64::MIN] {
        let axis = || vec![int("axis", axis)];
        cases.extend([
            of("Softmax", 11, vec![], axis()),
            of("Softmax", 13, vec![], axis()),
            of("LogSoftmax", 13, vec![], axis()),
            of("Gather", 13, vec![longs("i", &[0])], axis()),
            of("Concat", 13, vec![any("b", &PICTURE)], axis()),
            of("Split", 11, vec![], axis()).outputs(2),
            of("LpNormalization", 1, vec![], axis()),
            of("LayerNormalization", 17, vec![any("s", &[6])], axis()),
            of("ArgMax", 13, vec![], axis()),
        ]);
    }
    for axes in [&[9i64][..], &[-7], &[i64::MIN], &[0, 0]] {
        cases.extend([
            of("ReduceMean", 11, vec![], vec![ints("axes", axes)]),
            of("ReduceSum", 13, vec![longs("a", axes)], vec![]),
            of("Squeeze", 11, vec![], vec![ints("axes", axes)]),
            of("Unsqueeze", 13, vec![longs("a", axes)], vec![]),
        ]);
    }
    for scale in [0.0, -2.0, f32::NAN, f32::INFINITY, 1e30, 1e-9] {
        cases.push(of("Resize", 13, vec![none(), floats("s", &[4], &[1.0, 1.0, scale, 2.0])], vec![]));
    }
    for sizes in [&[1i64, 4, 0, 6][..], &[1, 4, -1, 6], &[1, 4], &[1, 4, 7, i64::MAX]] {
        cases.push(of("Resize", 13, vec![none(), none(), longs("z", sizes)], vec![]));
    }
    for pads in [&[0i64; 6][..], &[0, 0, 0, -1, 0, 0, 0, 0], &[0, 0, 0, i64::MAX, 0, 0, 0, 0]] {
        cases.push(of("Pad", 10, vec![], vec![ints("pads", pads)]));
        cases.push(of("Pad", 13, vec![longs("p", pads)], vec![]));
    }
    for lengths in [&[7i64][..], &[3, 3], &[-1, 8], &[i64::MAX, i64::MAX]] {
        cases.push(of("Split", 11, vec![], vec![int("axis", 2), ints("split", lengths)]).outputs(2));
        cases.push(of("Split", 13, vec![longs("l", lengths)], vec![int("axis", 2)]).outputs(2));
    }
    for block in [0, -2, 3, 1 << 40] {
        cases.push(of("DepthToSpace", 11, vec![], vec![int("blocksize", block)]));
        cases.push(of("SpaceToDepth", 11, vec![], vec![int("blocksize", block)]));
    }
    for step in [0, -1] {
        cases.push(of("Range", 11, vec![long("s", 0), long("e", 9), long("t", step)], vec![]).without_x());
    }
    let back = |attributes| of("ConvTranspose", 11, vec![any("w", &[4, 3, 3, 3])], attributes);
    let slice = |step| vec![longs("s", &[0]), longs("e", &[2]), longs("a", &[1]), longs("t", &[step])];
    cases.extend([
        of("Slice", 13, slice(0), vec![]),
        of("Slice", 13, slice(i64::MIN), vec![]),
        of("Slice", 9, vec![], vec![ints("starts", &[0, 1]), ints("ends", &[2])]),
        of("Slice", 9, vec![], vec![ints("starts", &[0]), ints("ends", &[2]), ints("axes", &[7])]),
        of("Pad", 13, vec![longs("p", &[0, 0, 7, 0, 0, 0, 0, 0])], vec![text("mode", "reflect")]),
        of("Pad", 13, vec![longs("p", &[0; 8])], vec![text("mode", "fantasy")]),
        of("Flatten", 11, vec![], vec![int("axis", 5)]),
        of("Squeeze", 11, vec![], vec![ints("axes", &[1])]),
        of("Resize", 13, vec![], vec![]),
        of("Resize", 13, vec![none(), floats("s", &[2], &[2.0, 2.0])], vec![]),
        of("Resize", 18, vec![none(), floats("s", &[2], &[2.0, 2.0])], vec![ints("axes", &[2, 2])]),
        of("Resize", 13, vec![none(), floats("s", &[4], &[2.0; 4])], vec![text("mode", "fantasy")]),
        of("Upsample", 11, vec![floats("s", &[4], &[2.0; 4])], vec![]),
        of("MaxPool", 12, vec![], vec![]),
        of("MaxPool", 12, vec![], vec![ints("kernel_shape", &[2, 2])]).outputs(2),
        of("MaxPool", 12, vec![], vec![ints("kernel_shape", &[2, 2]), text("auto_pad", "SAME")]),
        of("MaxPool", 12, vec![], vec![ints("kernel_shape", &[2, 2]), ints("pads", &[1, 1, 1])]),
        of("Conv", 13, vec![any("w", &[6, 4, 3, 3])], vec![ints("strides", &[-1, 1])]),
        of("Conv", 13, vec![any("w", &[6, 4, 3, 3])], vec![float("group", 1.0)]),
        of("QLinearConv", 10, vec![floats("xs", &[], &[0.1])], vec![]),
        back(vec![ints("output_shape", &[3, 3])]),
        back(vec![ints("output_shape", &[9])]),
        back(vec![ints("output_shape", &[9, 9]), text("auto_pad", "SAME_UPPER")]),
        back(vec![int("group", 3)]),
        back(vec![int("group", 0)]),
        of("BatchNormalization", 15, vec![], vec![int("training_mode", 1)]),
        of("BatchNormalization", 8, vec![], vec![int("spatial", 0)]),
        of("Dropout", 13, vec![none(), flag("t", true)], vec![]),
        of("LpNormalization", 1, vec![], vec![int("p", 3)]),
        of("LayerNormalization", 17, vec![any("s", &[6])], vec![int("stash_type", 10)]),
        of("Gelu", 20, vec![], vec![text("approximate", "fantasy")]),
        of("Cast", 13, vec![], vec![]),
        of("Cast", 13, vec![], vec![int("to", 8)]),
        of("Cast", 13, vec![], vec![int("to", 99)]),
        of("Constant", 13, vec![], vec![]).without_x(),
        of("Constant", 13, vec![], vec![text("value_string", "words")]).without_x(),
        of("ConstantOfShape", 9, vec![longs("s", &[2])], vec![value("value", longs("", &[1, 2]))]).without_x(),
        of("MatMul", 13, vec![any("b", &[])], vec![]),
        case("MatMul", 13, &[4], vec![any("b", &[4])], vec![]),
        case("Gemm", 11, &[3, 4], vec![any("b", &[3, 4])], vec![]),
        of("QuantizeLinear", 21, vec![any("s", &[])], vec![int("block_size", 4)]),
        of("QuantizeLinear", 13, vec![positive("s", &[4])], vec![int("axis", 4)]),
        of("Reshape", 13, vec![longs("s", &[5, -1])], vec![]),
        of("Clip", 6, vec![], vec![int("min", 1)]),
    ]);
    cases
}
