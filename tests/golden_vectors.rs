//! Every model's preprocessing and graph against onnxruntime's outputs (`tests/golden/make.py`).

use std::fs;
use std::path::{Path, PathBuf};

use doorward::models::{Colour, InputSpec, ModelStore};
use doorward::nn::{Graph, Profile, Tensor};
use serde::Deserialize;

/// The least cosine between our output and onnxruntime's that counts as the same.
const LEAST_COSINE: f64 = 0.9999;
/// The same for quantised models: one value that lies midway and is rounded the other way changes what comes behind it.
const LEAST_COSINE_INT8: f64 = 0.998;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    model: String,
    picture: String,
    expected: String,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    name: String,
    shape: Vec<usize>,
}

impl Case {
    fn rgb(&self) -> image::RgbImage {
        image::open(folder().join(&self.picture)).unwrap().into_rgb8()
    }

    /// The expected values of each output.
    fn expected(&self) -> Vec<Vec<f32>> {
        let bytes = fs::read(folder().join(&self.expected)).unwrap();
        let mut values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let expected: Vec<Vec<f32>> =
            self.outputs.iter().map(|output| values.by_ref().take(output.shape.iter().product()).collect()).collect();
        assert!(values.next().is_none(), "{} holds more than its outputs", self.expected);
        expected
    }

    /// Our outputs, with the picture fed as `input` says, and the expected ones.
    fn outputs(&self, store: &ModelStore, input: &InputSpec) -> Vec<(Vec<f32>, Vec<f32>)> {
        let model = store.load(&self.model).unwrap();
        let picture = self.rgb();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let tensor = input.to_tensor(picture.as_raw(), width, height).unwrap();
        let mut graph = Graph::load(&self.model, &model.bytes, tensor.shape()).unwrap();
        let names: Vec<&str> = self.outputs.iter().map(|output| output.name.as_str()).collect();
        assert_eq!(graph.output_names(), names);
        assert_eq!(model.card.output.names, names);

        let outputs = graph.run(&tensor).unwrap();
        assert_eq!(outputs.len(), self.outputs.len());
        for (output, declared) in outputs.iter().zip(&self.outputs) {
            assert_eq!(output.shape(), declared.shape, "{}", declared.name);
        }
        outputs.into_iter().map(Tensor::into_data).zip(self.expected()).collect()
    }

    /// The least cosine over all outputs, with the picture fed as `input` says.
    fn least_cosine(&self, store: &ModelStore, input: &InputSpec) -> f64 {
        self.outputs(store, input).iter().map(|(ours, expected)| cosine(ours, expected)).fold(1.0, f64::min)
    }

    /// The cosine of all outputs taken together: one where nothing is found, hardly above zero, is all rounding in int8.
    fn joined_cosine(&self, store: &ModelStore, input: &InputSpec) -> f64 {
        let (ours, expected): (Vec<_>, Vec<_>) = self.outputs(store, input).into_iter().unzip();
        cosine(&ours.concat(), &expected.concat())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn store() -> ModelStore {
    ModelStore::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models")).unwrap()
}

fn cases(model: &str) -> Vec<Case> {
    let text = fs::read_to_string(folder().join("golden.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
    cases.into_iter().filter(|case| case.model == model).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Checks all cases of a model and returns how many there are.
fn check(model: &str) -> usize {
    let store = store();
    let cases = cases(model);
    for case in &cases {
        let cosine = case.least_cosine(&store, &store.catalogue().get(model).unwrap().input);
        assert!(cosine >= LEAST_COSINE, "{model} on {}: cosine {cosine}", case.picture);
    }
    cases.len()
}

#[test]
fn the_recogniser_agrees_with_onnxruntime() {
    assert_eq!(check("mobilefacenet-arcface-192"), 5);
}

#[test]
fn the_detector_agrees_with_onnxruntime() {
    assert_eq!(check("yunet-2023mar"), 1);
}

#[test]
fn the_int8_models_agree_with_onnxruntime() {
    let store = store();
    for (model, count) in [("mobilefacenet-arcface-192-int8", 5), ("yunet-2023mar-int8", 1)] {
        let cases = cases(model);
        assert_eq!(cases.len(), count);
        for case in &cases {
            let cosine = case.joined_cosine(&store, &store.catalogue().get(model).unwrap().input);
            assert!(cosine >= LEAST_COSINE_INT8, "{model} on {}: cosine {cosine}", case.picture);
        }
    }
}

#[test]
fn the_landmark_net_agrees_with_onnxruntime() {
    assert_eq!(check("landmarks-68"), 2);
}

#[test]
fn the_net_for_presentation_attacks_agrees_with_onnxruntime() {
    assert_eq!(check("fr-liveness"), 2);
}

/// The recogniser's embedding must move when its picture is fed wrongly; otherwise the vectors above would pin nothing.
#[test]
fn a_wrong_preprocessing_does_not_pass() {
    let store = store();
    let right = &store.catalogue().get("mobilefacenet-arcface-192").unwrap().input;
    let wrong = [
        ("raw 0-255", InputSpec { mean: vec![0.0; 3], scale: 1.0, ..right.clone() }),
        ("0 to 1", InputSpec { mean: vec![0.0; 3], scale: 1.0 / 255.0, ..right.clone() }),
        ("channels swapped", InputSpec { colour: Colour::Bgr, ..right.clone() }),
    ];
    for (what, input) in wrong {
        for case in cases("mobilefacenet-arcface-192") {
            let cosine = case.least_cosine(&store, &input);
            assert!(cosine < LEAST_COSINE, "{what}: cosine {cosine} on {}", case.picture);
        }
    }
    let detector = &store.catalogue().get("yunet-2023mar").unwrap().input;
    let swapped = InputSpec { colour: Colour::Rgb, ..detector.clone() };
    let cosine = cases("yunet-2023mar")[0].least_cosine(&store, &swapped);
    assert!(cosine < LEAST_COSINE, "detector, channels swapped: {cosine}");
    // Three logits can point the same way for another picture: their values must agree.
    let liveness = &store.catalogue().get("fr-liveness").unwrap().input;
    let furthest = |input: &InputSpec| {
        let outputs = cases("fr-liveness").into_iter().flat_map(|case| case.outputs(&store, input));
        let apart = |(ours, expected): (Vec<f32>, Vec<f32>)| {
            ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max)
        };
        outputs.map(apart).fold(0f32, f32::max)
    };
    assert!(furthest(liveness) < 0.001, "{}", furthest(liveness));
    for (what, input) in [
        ("channels swapped", InputSpec { colour: Colour::Rgb, ..liveness.clone() }),
        ("0 to 1", InputSpec { scale: 1.0 / 255.0, ..liveness.clone() }),
    ] {
        assert!(furthest(&input) > 0.1, "{what}: {}", furthest(&input));
    }
    let landmarks = &store.catalogue().get("landmarks-68").unwrap().input;
    let raw = InputSpec { scale: 1.0, ..landmarks.clone() };
    let cosine = cases("landmarks-68")[0].least_cosine(&store, &raw);
    assert!(cosine < LEAST_COSINE, "landmarks, raw: {cosine}");
}

#[test]
fn a_graph_gives_the_same_for_the_same_input_after_another() {
    let store = store();
    let model = store.load("mobilefacenet-arcface-192").unwrap();
    let mut graph = Graph::load("recogniser", &model.bytes, &model.card.input.shape).unwrap();
    let tensors: Vec<_> = cases("mobilefacenet-arcface-192")
        .iter()
        .map(|case| model.card.input.to_tensor(case.rgb().as_raw(), 112, 112).unwrap())
        .collect();
    let first = graph.run(&tensors[0]).unwrap();
    let second = graph.run(&tensors[1]).unwrap();
    assert_ne!(first, second);
    assert_eq!(graph.run(&tensors[0]).unwrap(), first);
    assert_eq!(graph.run_with(|buffer| buffer.copy_from_slice(tensors[1].data())).unwrap(), second);
}

#[test]
fn the_yardstick_has_nothing_of_ours_but_prelu_and_gives_the_same() {
    let model = store().load("mobilefacenet-arcface-192").unwrap();
    let input =
        Tensor::new(model.card.input.shape.to_vec(), (0..112 * 112 * 3).map(|i| (i % 255) as f32 / 255.0).collect());
    let (input, shape) = (input.unwrap(), model.card.input.shape);
    let mut ours = Graph::load("ours", &model.bytes, &shape).unwrap();
    let mut yardstick = Graph::load_yardstick("yardstick", &model.bytes, &shape).unwrap();
    let cosine = cosine(ours.run(&input).unwrap()[0].data(), yardstick.run(&input).unwrap()[0].data());
    assert!(cosine > 0.999_999, "{cosine}");

    let kinds = |graph: &mut Graph| {
        let mut profile = Profile::default();
        graph.run_profiled(|values| values.copy_from_slice(input.data()), &mut profile).unwrap();
        profile.times().map(|(kind, _)| kind.to_owned()).collect::<Vec<_>>()
    };
    let (ours, yardstick) = (kinds(&mut ours), kinds(&mut yardstick));
    // On 32-bit ARM float convolutions are left to tract.
    assert_eq!(ours.iter().any(|kind| kind.ends_with("Layer")), !cfg!(target_arch = "arm"), "{ours:?}");
    assert!(!yardstick.iter().any(|kind| kind.ends_with("Layer")), "{yardstick:?}");
    assert!(yardstick.iter().any(|kind| kind == "PReluInPlace"), "{yardstick:?}");
}

#[test]
fn the_detector_runs_at_other_sizes() {
    let store = store();
    let model = store.load("yunet-2023mar").unwrap();
    for (width, height) in [(32, 32), (320, 192), (640, 384)] {
        let mut graph = Graph::load("yunet", &model.bytes, &model.card.input.shape_for(width, height)).unwrap();
        let index = graph.output_index("kps_16").unwrap();
        let outputs = graph.run_with(|buffer| buffer.fill(0.0)).unwrap();
        assert_eq!(outputs[index].shape(), [1, width / 16 * (height / 16), 10]);
    }
}

#[test]
fn what_is_no_graph_is_refused_with_its_name() {
    let store = store();
    let model = store.load("mobilefacenet-arcface-192").unwrap();
    let truncated = &model.bytes[..model.bytes.len() / 2];
    for bytes in [&[][..], b"\xff\xfe\x00 no graph", truncated] {
        let error = Graph::load("gate-model", bytes, &[1, 3, 112, 112]).unwrap_err();
        assert!(error.to_string().contains("gate-model"), "{error}");
    }
}

/// The importer panics on an output that no node makes; that must not reach the caller.
#[test]
fn a_graph_whose_output_does_not_exist_is_refused() {
    let store = store();
    let mut bytes = store.load("mobilefacenet-arcface-192").unwrap().bytes.into_owned();
    let name = b"embedding";
    let last = bytes.windows(name.len()).rposition(|window| window == name).unwrap();
    bytes[last] = b'x';
    let error = Graph::load("gate-model", &bytes, &[1, 3, 112, 112]).unwrap_err();
    assert!(error.to_string().contains("gate-model"), "{error}");
}

#[test]
fn a_graph_can_move_to_another_thread() {
    let store = store();
    let model = store.load("landmarks-68").unwrap();
    let mut graph = Graph::load("landmarks", &model.bytes, &model.card.input.shape).unwrap();
    let here = graph.run_with(|buffer| buffer.fill(0.5)).unwrap();
    let there = std::thread::spawn(move || graph.run_with(|buffer| buffer.fill(0.5)).unwrap()).join().unwrap();
    assert_eq!(here, there);
}

#[test]
fn an_input_of_another_shape_is_refused() {
    let store = store();
    let model = store.load("mobilefacenet-arcface-192").unwrap();
    let error = Graph::load("net", &model.bytes, &[1, 1, 112, 112]).unwrap_err();
    assert!(error.to_string().contains("net"), "{error}");
    let mut graph = Graph::load("net", &model.bytes, &[1, 3, 112, 112]).unwrap();
    let small = doorward::nn::Tensor::zeros(&[1, 3, 96, 96]);
    let error = graph.run(&small).unwrap_err();
    assert!(error.to_string().contains("[1, 3, 112, 112], not [1, 3, 96, 96]"), "{error}");
}
