//! Quantised files from outside: what becomes an integer operator, what stays in float, and that both give what tract gives
//! that runs the same file node by node in float.

mod fallback;
mod files;
mod forms;
mod net;
#[allow(dead_code, reason = "shared with the tests of bad files, which write more")]
#[path = "../models_bad/onnx.rs"]
mod onnx;
mod random;
mod shapes;

use std::collections::BTreeSet;
use std::sync::{Mutex, Once};

use doorward::nn::{Graph, Precision, Profile, Tensor};
use net::Net;
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor as TractTensor, tvec,
};

/// What was computed, and by whom.
struct Ran {
    ours: Vec<Tensor>,
    stock: Vec<Tensor>,
    kinds: BTreeSet<String>,
    float_nodes: Vec<String>,
    precision: Precision,
}

/// Loads a network under a name that no other test uses, and runs it on both engines.
#[track_caller]
fn run(name: &str, net: &mut Net, outputs: &[&str]) -> Ran {
    let file = net.file(outputs);
    let count = net.shape.iter().product();
    let input = Tensor::new(net.shape.clone(), net.randoms(count, 1.1)).unwrap();
    let (mut graph, float_nodes) = load(name, &file, &net.shape);
    let mut profile = Profile::default();
    let ours = graph.run_profiled(|buffer| buffer.copy_from_slice(input.data()), &mut profile).unwrap();
    assert_eq!(graph.run(&input).unwrap(), ours, "a second run gives something else");
    let kinds = profile.times().map(|(kind, _)| kind.to_owned()).filter(|kind| kind != "Source").collect();
    Ran { ours, stock: stock(&file, &input), kinds, float_nodes, precision: graph.precision() }
}

/// Loads a file; the nodes that the log says are computed in float.
fn load(name: &str, file: &[u8], shape: &[usize]) -> (Graph, Vec<String>) {
    listen();
    let graph = Graph::load(name, file, shape).unwrap();
    let start = format!("model {name}: computed in float: ");
    let mut lines = LINES.lock().unwrap();
    let found: Vec<String> = lines.extract_if(.., |line| line.starts_with(&start)).collect();
    assert!(found.len() <= 1, "logged more than once: {found:?}");
    let nodes = found.first().map_or(vec![], |line| line[start.len()..].split(", ").map(str::to_owned).collect());
    (graph, nodes)
}

/// The outputs of tract alone, without any operator of ours.
fn stock(file: &[u8], input: &Tensor) -> Vec<Tensor> {
    let importer = tract_onnx::onnx().with_ignore_value_info(true);
    let plan = importer
        .model_for_read(&mut &file[..])
        .and_then(|model| model.with_input_fact(0, f32::fact(input.shape()).into()))
        .and_then(|model| model.into_typed()?.into_decluttered()?.into_runnable())
        .unwrap();
    let input = TractTensor::from_shape(input.shape(), input.data()).unwrap();
    let outputs = plan.run(tvec!(input.into_tvalue())).unwrap();
    let tensor = |output: &TractTensor| {
        let values = output.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec();
        Tensor::new(output.shape().to_vec(), values).unwrap()
    };
    outputs.iter().map(|output| tensor(output)).collect()
}

impl Ran {
    /// The largest and the mean difference over all outputs, and the largest magnitude.
    fn differences(&self) -> (f32, f32, f32) {
        assert_eq!(self.ours.len(), self.stock.len());
        let (mut largest, mut sum, mut magnitude, mut count) = (0f32, 0f32, 0f32, 0);
        for (ours, stock) in self.ours.iter().zip(&self.stock) {
            assert_eq!(ours.shape(), stock.shape());
            for (ours, stock) in ours.data().iter().zip(stock.data()) {
                // Not `max`, which passes over NaN.
                assert!(ours.is_finite(), "{ours} comes out");
                largest = largest.max((ours - stock).abs());
                sum += (ours - stock).abs();
                magnitude = magnitude.max(stock.abs());
                count += 1;
            }
        }
        (largest, sum / count as f32, magnitude)
    }

    /// Outputs that were rounded to steps differ by at most one, and hardly ever: only a value midway is rounded either way.
    #[track_caller]
    fn agrees_to_a_step(&self, step: f32) -> &Ran {
        let (largest, mean, magnitude) = self.differences();
        assert!(magnitude > 20.0 * step, "an output of at most {magnitude} pins nothing");
        assert!(largest < 1.01 * step && mean < 0.01 * step, "{largest} apart, {mean} in the mean, one step is {step}");
        self
    }

    /// Float outputs differ by rounding in `f32`, and where a value midway was rounded the other way before.
    #[track_caller]
    fn agrees(&self) -> &Ran {
        let (largest, mean, magnitude) = self.differences();
        assert!(magnitude > 0.1, "an output of at most {magnitude} pins nothing");
        let fits = largest < 1e-2 * magnitude && mean < 1e-4 * magnitude;
        assert!(fits, "{largest} apart, {mean} in the mean, the largest value is {magnitude}");
        self
    }

    /// The kinds of integer operators that ran, with the steps into and out of integers.
    #[track_caller]
    fn ran_as(&self, kinds: &[&str]) -> &Ran {
        let ours = |kind: &&str| kind.starts_with("Int8") || ["Quantise", "Dequantise"].contains(kind);
        let found: BTreeSet<&str> = self.kinds.iter().map(String::as_str).filter(ours).collect();
        assert_eq!(found, kinds.iter().copied().collect::<BTreeSet<&str>>(), "of {:?}", self.kinds);
        self
    }

    /// The nodes that stayed in float; all else is integer.
    #[track_caller]
    fn left(&self, nodes: &[&str]) -> &Ran {
        assert_eq!(self.precision, Precision::Int8);
        assert_eq!(self.float_nodes, nodes);
        self
    }

    /// Nothing was fused.
    #[track_caller]
    fn stayed_float(&self) -> &Ran {
        assert_eq!(self.precision, Precision::Float);
        assert!(!self.kinds.iter().any(|kind| kind.starts_with("Int8")), "{:?}", self.kinds);
        self
    }
}

/// What was logged so far.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Listener;

impl log::Log for Listener {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("doorward") {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Listener).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}
