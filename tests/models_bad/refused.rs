//! Structure, tensors, windows, shapes.

use doorward::nn::{Fault, Graph as Loaded, NnError};

use crate::onnx::*;
use crate::{SHAPE, assert_names, fault, fault_at, outputs};

/// A convolution of 3 to 4 channels with a 3x3 kernel, and what a test changes of it.
fn conv(attributes: Vec<Message>, weight_dims: [i64; 4]) -> Vec<u8> {
    let values = vec![0.5; weight_dims.iter().product::<i64>() as usize];
    Graph::new()
        .tensor(floats("w", &weight_dims, &values))
        .node("Conv", "conv1", &["x", "w"], &["y"], attributes)
        .file()
}

/// A file whose only oddity is its weight tensor, read by an Add.
fn with_tensor(tensor: Message) -> Vec<u8> {
    Graph::new().tensor(tensor).node("Add", "add1", &["x", "w"], &["y"], vec![]).file()
}

#[test]
fn the_sound_models_that_the_others_are_made_from_run() {
    let y = outputs(&conv(vec![attr_ints("pads", &[1, 1, 1, 1]), attr_int("group", 1)], [4, 3, 3, 3]));
    assert_eq!(y[0].shape(), [1, 4, 8, 8]);
    let y = outputs(&with_tensor(floats("w", &[3, 1, 1], &[1.0, 2.0, 3.0])));
    assert_eq!(y[0].data()[64], 2.0);
}

#[test]
fn an_operator_that_the_engine_lacks_is_named_with_its_node() {
    let file = Graph::new().node("Fantasy", "body/dream", &["x"], &["y"], vec![]).file();
    assert_names(&file, &["node body/dream", "operator Fantasy"]);
    let unnamed = Graph::new().node("Fantasy", "", &["x"], &["y"], vec![]).file();
    assert_names(&unnamed, &["node y:"]);
    // An operator of somebody else's, though it bears a known name.
    let relu = node("Relu", "relu1", &["x"], &["y"], vec![]).bytes(7, "acme.ai");
    let foreign = Graph::new().with(Message::default().message(1, relu));
    assert_names(&foreign.file(), &["node relu1", "acme.ai::Relu"]);
}

#[test]
fn a_name_must_be_made_before_it_is_read_and_once() {
    let undefined = Graph::new().node("Add", "add1", &["x", "nowhere"], &["y"], vec![]).file();
    assert_names(&undefined, &["node add1 (Add)", "input 1", "nowhere"]);
    let cycle = Graph::new()
        .node("Add", "add1", &["x", "b"], &["a"], vec![])
        .node("Relu", "relu1", &["a"], &["b"], vec![])
        .node("Relu", "relu2", &["b"], &["y"], vec![])
        .file();
    assert_names(&cycle, &["node add1", "reads b", "cycle"]);
    let itself = Graph::new().node("Relu", "relu1", &["y"], &["y"], vec![]).file();
    assert_names(&itself, &["node relu1", "reads y"]);
    let twice = Graph::new().node("Relu", "a", &["x"], &["y"], vec![]).node("Relu", "b", &["x"], &["y"], vec![]).file();
    assert_names(&twice, &["node b (Relu)", "y is made twice"]);
    let weight = floats("x", &[1], &[0.0]);
    let shadow = Graph::empty().input("z", FLOAT, &[1, 3, 8, 8]).output("y").tensor(weight).node(
        "Relu",
        "r",
        &["z"],
        &["x"],
        vec![],
    );
    assert_names(&shadow.file(), &["x is made twice"]);
    let nothing = Graph::new().node("Relu", "relu1", &["x"], &[], vec![]).file();
    assert_names(&nothing, &["node relu1", "output"]);
}

#[test]
fn the_graph_has_one_input_and_outputs_that_exist() {
    let none = Graph::empty().output("y").tensor(floats("w", &[1], &[1.0])).node("Relu", "r", &["w"], &["y"], vec![]);
    assert_names(&none.file(), &["graph.input", "0 inputs"]);
    let two = Graph::new().input("mask", FLOAT, &[1]).node("Relu", "r", &["x"], &["y"], vec![]);
    assert_names(&two.file(), &["graph.input", "2 inputs", "x, mask"]);
    let no_output = Graph::empty().input("x", FLOAT, &[1, 3, 8, 8]).node("Relu", "r", &["x"], &["y"], vec![]);
    assert_names(&no_output.file(), &["graph.output"]);
    let absent = Graph::new().output("z").node("Relu", "r", &["x"], &["y"], vec![]);
    assert_names(&absent.file(), &["graph.output", "no node makes z"]);
    let twice = Graph::new().output("y").node("Relu", "r", &["x"], &["y"], vec![]);
    assert_names(&twice.file(), &["graph.output", "y stands there twice"]);
    let double = Graph::new().tensor(floats("w", &[1], &[0.0])).tensor(floats("w", &[1], &[0.0]));
    assert_names(&double.node("Add", "a", &["x", "w"], &["y"], vec![]).file(), &["graph.initializer", "w"]);
    assert_names(&Message::default().int(1, 8).0, &["graph", "holds none"]);
}

#[test]
fn graphs_in_nodes_and_functions_are_refused() {
    let body = Graph::empty().output("z").node("Relu", "r", &["x"], &["z"], vec![]);
    for operator in ["If", "Loop", "Scan"] {
        let file =
            Graph::new().node(operator, "branch", &["x"], &["y"], vec![attr_graph("body", body.0.clone())]).file();
        assert_names(&file, &["node branch", operator]);
    }
    let function = Message::default().bytes(1, "Swishy").bytes(4, "a").bytes(5, "b");
    let file =
        Graph::new().node("Relu", "r", &["x"], &["y"], vec![]).file_with(Message::default().message(25, function));
    assert_names(&file, &["functions", "Swishy"]);
    let sparse = Message::default().message(15, Message::default().ints(3, &[4]));
    let graph = Graph::new().node("Relu", "r", &["x"], &["y"], vec![]).with(sparse);
    assert_names(&graph.file(), &["graph.sparse_initializer"]);
    let alpha = || attr_float("alpha", 0.1);
    let twice = Graph::new().node("LeakyRelu", "leak", &["x"], &["y"], vec![alpha(), alpha()]).file();
    assert_names(&twice, &["node leak", "alpha", "twice"]);
}

#[test]
fn a_tensor_holds_what_it_declares() {
    let raw = |dims: &[i64], bytes: usize| with_tensor(tensor("w", FLOAT, dims, &vec![0; bytes]));
    assert_names(&raw(&[-1, 3], 12), &["tensor w: dims", "-1"]);
    assert_names(&raw(&[1 << 40], 4), &["tensor w: dims", "1099511627776"]);
    assert_names(&raw(&[2_000_000_000; 3], 4), &["tensor w: dims", "more values than can be counted"]);
    assert_names(&raw(&[2_000_000_000], 4), &["tensor w: raw_data", "4 bytes", "which takes 8000000000"]);
    assert_names(&raw(&[4], 17), &["tensor w: raw_data", "17 bytes", "which takes 16"]);
    assert_names(&raw(&[3], 0), &["tensor w: float_data", "0 values", "which takes 3"]);
    assert_names(&raw(&[1; 13], 4), &["tensor w: dims", "13 axes"]);

    let typed = Message::default().ints(1, &[3]).int(2, FLOAT).bytes(8, "w");
    assert_names(&with_tensor(typed.clone().bytes(4, [0; 8])), &["tensor w: float_data", "2 values", "takes 3"]);
    assert_names(&with_tensor(typed.clone().ints(5, &[1, 2, 3])), &["tensor w: int32_data", "belong into float_data"]);
    let both = typed.clone().bytes(4, [0; 12]).bytes(9, [0; 12]);
    assert_names(&with_tensor(both), &["tensor w: float_data", "raw_data too"]);
    let pieces = typed.clone().message(3, Message::default().int(1, 0).int(2, 3)).bytes(4, [0; 12]);
    assert_names(&with_tensor(pieces), &["tensor w: segment"]);

    for (data_type, name) in [(0, "UNDEFINED"), (8, "STRING"), (14, "COMPLEX64"), (22, "INT4"), (9999, "type 9999")] {
        assert_names(&with_tensor(tensor("w", data_type, &[1], &[0; 8])), &["tensor w: data_type", name]);
    }
    let constant = attr_tensor("value", tensor("", FLOAT, &[5], &[0; 4]));
    let file = Graph::new()
        .node("Constant", "c", &[], &["five"], vec![constant])
        .node("Add", "a", &["x", "five"], &["y"], vec![])
        .file();
    assert_names(&file, &["tensor five: raw_data"]);
}

#[test]
fn data_in_other_files_are_refused_wherever_they_lie() {
    for location in ["../../etc/passwd", "/etc/passwd", "weights.bin"] {
        let entry = |key: &str, value: &str| Message::default().bytes(1, key).bytes(2, value);
        let tensor =
            Message::default().ints(1, &[3]).int(2, FLOAT).bytes(8, "w").message(13, entry("location", location));
        let (fault, message) = fault(&with_tensor(tensor.clone().int(14, 1)));
        assert!(matches!(fault, Fault::External { .. }), "{fault:?}");
        assert!(message.contains("tensor w") && message.contains(location), "{message}");
        // The keys without the flag, and beside data in the file.
        assert_names(&with_tensor(tensor.bytes(9, [0; 12])), &["tensor w: external_data", location]);
    }
    let flag_only = Message::default().ints(1, &[3]).int(2, FLOAT).bytes(8, "w").int(14, 1);
    assert_names(&with_tensor(flag_only), &["tensor w: external_data", "no location given"]);
}

#[test]
fn weights_must_be_finite() {
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut values = vec![0.5; 300];
        values[211] = value;
        let file = with_tensor(floats("w", &[300], &values));
        assert_names(&file, &["tensor w: raw_data", "value 211", shown]);
        let typed = Message::default().ints(1, &[2]).int(2, FLOAT).bytes(8, "w");
        let packed: Vec<u8> = [1.0, value].iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
        assert_names(&with_tensor(typed.bytes(4, packed)), &["tensor w: float_data", "value 1 is", shown]);
        let leak = Graph::new().node("LeakyRelu", "leak", &["x"], &["y"], vec![attr_float("alpha", value)]).file();
        assert_names(&leak, &["node leak", "alpha"]);
        let double = tensor("w", 11, &[1], &f64::from(value).to_le_bytes());
        assert_names(&with_tensor(double), &["tensor w: raw_data", "value 0 is", shown]);
    }
    for (half, shown) in [(0x7e00u16, "NaN"), (0xfc01, "NaN"), (0x7c00, "inf")] {
        let bytes: Vec<u8> = [0x3c00, half].iter().flat_map(|v: &u16| v.to_le_bytes()).collect();
        assert_names(&with_tensor(tensor("w", 10, &[2], &bytes)), &["tensor w: raw_data", "value 1 is", shown]);
    }
    // The largest finite values are no fault, and infinity as "no bound" is none.
    outputs(&with_tensor(floats("w", &[2, 1, 1, 1], &[f32::MAX, f32::MIN]).bytes(12, "doc")));
    let clip = |most: f32| {
        Graph::new()
            .tensor(floats("least", &[], &[0.0]))
            .tensor(floats("most", &[], &[most]))
            .node("Clip", "clip", &["x", "least", "most"], &["y"], vec![])
            .file()
    };
    outputs(&clip(f32::INFINITY));
    assert_names(&clip(f32::NAN), &["tensor most", "NaN"]);
}

#[test]
fn windows_keep_to_their_bounds() {
    let weights = [4, 3, 3, 3];
    for field in ["strides", "dilations"] {
        for values in [&[0, 1][..], &[-1, 1], &[1 << 40, 1], &[i64::MIN, 1], &[1], &[1, 1, 1], &[]] {
            assert_names(&conv(vec![attr_ints(field, values)], weights), &["node conv1 (Conv)", field]);
        }
    }
    for values in [&[-1, 0, 0, 0][..], &[0, 0, 0, i64::MAX], &[1, 1], &[1; 6], &[]] {
        assert_names(&conv(vec![attr_ints("pads", values)], weights), &["node conv1 (Conv)", "pads"]);
    }
    for values in [&[5, 5][..], &[3], &[0, 0], &[]] {
        assert_names(&conv(vec![attr_ints("kernel_shape", values)], weights), &["node conv1 (Conv)", "kernel_shape"]);
    }
    assert_names(&conv(vec![attr_int("strides", 2)], weights), &["node conv1 (Conv)", "strides", "list"]);
    for group in [0, -1, 5, i64::MIN, i64::MAX] {
        assert_names(
            &conv(vec![attr_int("group", group)], weights),
            &["node conv1 (Conv)", "group", &group.to_string()],
        );
    }
    assert_names(&conv(vec![attr_int("group", 3)], weights), &["node conv1", "group", "3 does not divide the 4"]);
    assert_names(&conv(vec![], [4, 3, 0, 3]), &["node conv1", "weights", "[4, 3, 0, 3]"]);

    let flat = Graph::new().tensor(floats("w", &[4, 3], &[0.0; 12])).node("Conv", "conv1", &["x", "w"], &["y"], vec![]);
    assert_names(&flat.file(), &["node conv1", "weights"]);
    let without = Graph::new().node("Conv", "conv1", &["x"], &["y"], vec![]).file();
    assert_names(&without, &["node conv1", "weights are missing"]);

    let pool = |operator: &str, attributes| Graph::new().node(operator, "pool1", &["x"], &["y"], attributes).file();
    for operator in ["MaxPool", "AveragePool"] {
        assert_names(&pool(operator, vec![]), &["node pool1", operator, "kernel_shape"]);
        assert_names(&pool(operator, vec![attr_ints("kernel_shape", &[0, 2])]), &["node pool1", "kernel_shape"]);
        assert_names(&pool(operator, vec![attr_ints("kernel_shape", &[4000, 4000])]), &["node pool1", "16000000"]);
        assert_names(&pool(operator, vec![attr_ints("kernel_shape", &[1; 5])]), &["node pool1", "5 axes"]);
        let outside = vec![attr_ints("kernel_shape", &[2, 2]), attr_ints("pads", &[0, 0, 0, 2])];
        assert_names(&pool(operator, outside), &["node pool1", "pads", "less than the window"]);
    }
}

#[test]
fn axes_are_named_once() {
    let transpose = |perm: &[i64]| {
        let attributes = vec![attr_ints("perm", perm)];
        Graph::new().node("Transpose", "turn", &["x"], &["y"], attributes).file()
    };
    assert_eq!(outputs(&transpose(&[0, 2, 3, 1]))[0].shape(), [1, 8, 8, 3]);
    // The first of these made the importer take memory without end.
    for perm in [&[0, 2, 0, 1][..], &[0, 1, 2, 4], &[-1, 0, 1, 2], &[0; 40], &[i64::MAX, 1, 2, 3]] {
        assert_names(&transpose(perm), &["node turn (Transpose)", "perm"]);
    }
    let flatten = |axis| Graph::new().node("Flatten", "flat", &["x"], &["y"], vec![attr_int("axis", axis)]).file();
    for axis in [13, -13, i64::MIN, i64::MAX] {
        assert_names(&flatten(axis), &["node flat (Flatten)", "axis", &axis.to_string()]);
    }
    let mean =
        |axes: &[i64]| Graph::new().node("ReduceMean", "mean", &["x"], &["y"], vec![attr_ints("axes", axes)]).file();
    for axes in [&[2, 2][..], &[1 << 40], &[i64::MIN]] {
        assert_names(&mean(axes), &["node mean (ReduceMean)", "axes"]);
    }
}

#[test]
fn the_shape_asked_for_must_be_one_that_the_network_takes() {
    let file = conv(vec![attr_ints("pads", &[1, 1, 1, 1])], [4, 3, 3, 3]);
    // Another size is taken where the network allows it.
    assert_eq!(Loaded::load("net", &file, &[1, 3, 20, 12]).unwrap().input_shape(), [1, 3, 20, 12]);
    for (asked, reason) in [
        (&[3, 8, 8][..], "4 axes, not 3"),
        (&[2, 3, 8, 8], "batch"),
        (&[1, 1, 8, 8], "conv1"),
        (&[1, 4, 8, 8], "conv1"),
    ] {
        let (fault, message) = fault_at(&file, asked);
        assert!(matches!(fault, Fault::Input { .. }), "{fault:?}");
        for part in ["input x", "[1, 3, 8, 8]", &format!("{asked:?}"), reason] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }
    let bytes = Graph::empty().input("pixels", UINT8, &[1, 3, 8, 8]).output("y");
    let bytes = bytes.node("Relu", "r", &["pixels"], &["y"], vec![]).file();
    assert_names(&bytes, &["input pixels", "UINT8"]);
    // The declared size is right, the network is not: the node is named, and no other shape proposed.
    let broken = conv(vec![], [4, 5, 3, 3]);
    let error = Loaded::load("net", &broken, &SHAPE).unwrap_err();
    assert!(matches!(error, NnError::Load { .. }) && error.to_string().contains("conv1"), "{error}");
}

#[test]
fn names_in_messages_are_short_and_carry_no_control_characters() {
    let name = format!("\u{1b}[2J{}", "n".repeat(100_000));
    let file = Graph::new().node("Fantasy", &name, &["x"], &["y"], vec![]).file();
    let (_, message) = fault(&file);
    assert!(message.len() < 400 && !message.contains('\u{1b}') && message.contains("\\u{1b}[2Jnnn"), "{message}");
}

#[test]
fn statistics_of_a_normalisation_are_those_of_channels() {
    let file = |dims: &[i64], spatial: i64| {
        let count = dims.iter().product::<i64>() as usize;
        let names = ["scale", "bias", "mean", "variance"];
        let graph = names.iter().fold(Graph::new(), |g, name| g.tensor(floats(name, dims, &vec![1.0; count])));
        let inputs = ["x", "scale", "bias", "mean", "variance"];
        graph.node("BatchNormalization", "bn", &inputs, &["y"], vec![attr_int("spatial", spatial)]).file()
    };
    // What MXNet writes: spatial is 0, and the statistics are those of the channels all the same.
    assert_eq!(outputs(&file(&[3], 0)), outputs(&file(&[3], 1)));
    assert_names(&file(&[3, 8, 8], 0), &["node bn", "spatial", "one value a channel"]);
}
