//! Files that ask for more memory than they are worth, loaded in a process that has little.

use std::process::Command;
use std::time::{Duration, Instant};

use doorward::nn::{Fault, Graph as Loaded};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::onnx::*;
use crate::{SHAPE, fault};

const IN_CHILD: &str = "DOORWARD_TEST_SMALL_MEMORY";

/// What the process may take in addition to what it has when the test starts. The decoder's own limit is 64 MB before lists
/// have grown; everything else must be refused before it is taken.
const ALLOWANCE_BYTES: u64 = 256 << 20;

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let shape_of = |dims: &[i64]| longs("shape", dims);
    let grown = |operator: &str, more: &[&str], attributes| {
        let inputs: Vec<&str> = [&["one"], more].concat();
        Graph::new()
            .tensor(floats("one", &[1, 1, 1, 1], &[1.0]))
            .tensor(shape_of(&[1, 1 << 20, 1 << 10, 1 << 10]))
            .tensor(longs("pads", &[0, 0, 0, 0, 0, 1 << 20, 1 << 10, 1 << 10]))
            .tensor(floats("scales", &[4], &[1.0, 1e4, 1e4, 1e4]))
            .tensor(floats("none", &[0], &[]))
            .node(operator, "grow", &inputs, &["big"], attributes)
            .node("ReduceSum", "sum", &["big"], &["s"], vec![])
            .node("Add", "add", &["x", "s"], &["y"], vec![])
            .file()
    };
    let filled = Graph::new()
        .tensor(shape_of(&[1 << 20, 1 << 20]))
        .node("ConstantOfShape", "fill", &["shape"], &["big"], vec![])
        .node("ReduceSum", "sum", &["big"], &["s"], vec![])
        .node("Add", "add", &["x", "s"], &["y"], vec![])
        .file();
    let computed = Graph::new()
        .tensor(longs("side", &[30_000]))
        .node("Mul", "square", &["side", "side"], &["area"], vec![])
        .node("ConstantOfShape", "fill", &["area"], &["big"], vec![])
        .node("ReduceSum", "sum", &["big"], &["s"], vec![])
        .node("Add", "add", &["x", "s"], &["y"], vec![])
        .file();
    let range = Graph::new()
        .tensor(floats("from", &[], &[0.0]))
        .tensor(floats("to", &[], &[1e12]))
        .tensor(floats("step", &[], &[1.0]))
        .node("Range", "range", &["from", "to", "step"], &["big"], vec![])
        .node("ReduceSum", "sum", &["big"], &["s"], vec![])
        .node("Add", "add", &["x", "s"], &["y"], vec![])
        .file();
    let outer = Graph::new()
        .tensor(floats("row", &[1, 20_000], &vec![1.0; 20_000]))
        .tensor(floats("column", &[20_000, 1], &vec![1.0; 20_000]))
        .node("Mul", "outer", &["row", "column"], &["big"], vec![])
        .node("ReduceSum", "sum", &["big"], &["s"], vec![])
        .node("Add", "add", &["x", "s"], &["y"], vec![])
        .file();
    let padded = Graph::new()
        .tensor(floats("w", &[1, 3, 1, 1], &[1.0; 3]))
        .node("Conv", "conv1", &["x", "w"], &["a"], vec![attr_ints("pads", &[4096; 4])])
        .node("Conv", "conv2", &["a", "v"], &["b"], vec![attr_ints("pads", &[4096; 4])])
        .node("Conv", "conv3", &["b", "v"], &["y"], vec![attr_ints("pads", &[4096; 4])])
        .tensor(floats("v", &[1, 1, 1, 1], &[1.0]))
        .file();
    let window = Graph::new()
        .tensor(floats("w", &[1, 3, 200, 200], &vec![1.0; 120_000]))
        .node("Conv", "conv1", &["x", "w"], &["y"], vec![attr_ints("pads", &[300; 4])])
        .file();
    let doubling = (0..60).fold(Graph::new(), |graph, i| {
        let from = if i == 0 { "x".to_owned() } else { format!("d{i}") };
        let to = format!("d{}", i + 1);
        graph.node("Concat", &format!("double{i}"), &[&from, &from], &[&to], vec![attr_int("axis", 0)])
    });
    let doubling = doubling.node("ReduceSum", "sum", &["d60"], &["y"], vec![]).file();
    // Each of these 3,000 is within the engine's own limit for a constant that it keeps.
    let many = (0..3_000).fold(Graph::new().tensor(shape_of(&[1 << 20])), |graph, i| {
        graph.node("ConstantOfShape", &format!("fill{i}"), &["shape"], &[&format!("c{i}")], vec![])
    });
    let many =
        many.node("ReduceSum", "sum", &["c2999"], &["s"], vec![]).node("Add", "a", &["x", "s"], &["y"], vec![]).file();
    vec![
        ("fill (ConstantOfShape)", filled),
        ("fill (ConstantOfShape)", computed),
        ("range (Range)", range),
        ("outer (Mul)", outer),
        ("grow (Expand)", grown("Expand", &["shape"], vec![])),
        ("grow (Tile)", grown("Tile", &["shape"], vec![])),
        ("grow (Pad)", grown("Pad", &["pads"], vec![])),
        ("grow (Resize)", grown("Resize", &["none", "scales"], vec![])),
        ("conv2 (Conv)", padded),
        ("conv1 (Conv)", window),
        ("double", doubling),
        ("fill", many),
    ]
}

/// Bytes whose decoding alone would take hundreds of times their number.
fn swollen() -> Vec<Vec<u8>> {
    let empty = |field: u64, times: usize| Message::default().bytes(field, []).0.repeat(times);
    let attributes = Message(empty(5, 4_000_000));
    vec![
        Message::default().message(7, Message::default().message(1, attributes)).0,
        Message::default().message(7, Message(empty(1, 8_000_000))).0,
        Message::default().message(7, Message(empty(5, 8_000_000))).0,
        Message::default()
            .message(7, Message::default().message(5, Message::default().bytes(7, vec![1; 60_000_000])))
            .0,
    ]
}

#[test]
fn what_asks_for_too_much_is_refused_before_it_is_taken() {
    if std::env::var_os(IN_CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["small_memory::what_asks_for_too_much_is_refused_before_it_is_taken", "--exact", "--nocapture"]);
        let output = child.env(IN_CHILD, "1").output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"), "{}\n{said}", output.status);
        return;
    }
    let (hostile, swollen) = (hostile(), swollen());
    let limit = Rlimit { current: Some(address_space_bytes() + ALLOWANCE_BYTES), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).unwrap();
    // The limit holds: what none of the files may get is not to be had.
    assert!(Vec::<u8>::new().try_reserve_exact(2 * ALLOWANCE_BYTES as usize).is_err());

    for (node, file) in hostile {
        let start = Instant::now();
        let (fault, message) = fault(&file);
        assert!(matches!(fault, Fault::Memory { .. }), "{fault:?}");
        assert!(message.contains(&format!("node {node}")), "{node} is missing in: {message}");
        assert!(start.elapsed() < Duration::from_secs(5), "{node} took {:?}", start.elapsed());
    }
    for file in swollen {
        let (fault, message) = fault(&file);
        assert!(matches!(fault, Fault::Encoding { .. }), "{fault:?}");
        assert!(message.contains("more than the file is long"), "{message}");
    }
}

/// The address space that this process has taken.
fn address_space_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn a_constant_of_some_megabytes_is_no_fault() {
    let shape = longs("shape", &[4, 1 << 20]);
    let file = Graph::new()
        .tensor(shape)
        .node("ConstantOfShape", "fill", &["shape"], &["some"], vec![attr_tensor("value", floats("", &[1], &[0.0]))])
        .node("ReduceSum", "sum", &["some"], &["s"], vec![attr_int("keepdims", 0)])
        .node("Add", "add", &["x", "s"], &["y"], vec![])
        .file();
    let mut graph = Loaded::load("net", &file, &SHAPE).unwrap();
    assert_eq!(graph.run_with(|input| input.fill(1.0)).unwrap()[0].data()[0], 1.0);
}
