//! The quantised files of `models/`.

use std::fs;
use std::path::{Path, PathBuf};

use doorward::align;
use doorward::capture::read_picture;
use doorward::config::DetectorSettings;
use doorward::detect;
use doorward::domain::{Clock, FrameRef, SourceId, SystemClock};
use doorward::models::ModelStore;
use doorward::nn::{Engine, Graph, Isa, Precision, Profile, Tensor};

use crate::{load, stock};

const RECOGNISER: &str = "mobilefacenet-arcface-192";
const DETECTOR: &str = "yunet-2023mar";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn store() -> ModelStore {
    ModelStore::open(&folder("models")).unwrap()
}

fn int8(store: &ModelStore, model: &str) -> Vec<u8> {
    store.load(&format!("{model}-int8")).unwrap().bytes.into_owned()
}

/// A golden picture as the model takes it.
fn golden(store: &ModelStore, model: &str, picture: &str) -> Tensor {
    let rgb = image::open(folder("tests/golden").join(picture)).unwrap().into_rgb8();
    let card = store.catalogue().get(model).unwrap();
    card.input.to_tensor(rgb.as_raw(), rgb.width() as usize, rgb.height() as usize).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The kinds of operators in one run.
fn kinds(graph: &mut Graph, input: &Tensor) -> Vec<String> {
    let mut profile = Profile::default();
    graph.run_profiled(|buffer| buffer.copy_from_slice(input.data()), &mut profile).unwrap();
    profile.times().map(|(kind, _)| kind.to_owned()).collect()
}

/// All is integer but the tail, which the recipe leaves in float.
#[test]
fn the_recogniser_is_fused_wholly() {
    let store = store();
    let input = golden(&store, RECOGNISER, "hopper-aligned.png");
    let (mut graph, float_nodes) = load("whole recogniser", &int8(&store, RECOGNISER), input.shape());
    assert_eq!(graph.precision(), Precision::Int8);
    assert_eq!(float_nodes, ["conv:conv49 (Conv)", "conv:conv51 (Conv)", "flatten:embedding (Flatten)"]);
    let kinds = kinds(&mut graph, &input);
    for kind in ["Int8Convolution", "Int8Depthwise", "Int8Pointwise"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is missing in {kinds:?}");
    }
    // It takes the picture's bytes, and its last integer layer gives floats.
    assert!(!kinds.iter().any(|kind| kind.contains("Quantise") || kind.contains("Dequantise")), "{kinds:?}");
    assert!(!kinds.iter().any(|kind| kind.contains("Linear") || kind.contains("Prelu")), "{kinds:?}");
}

/// All is integer but what turns maps into lists of scores and boxes.
#[test]
fn the_detector_is_fused_wholly() {
    let store = store();
    let input = golden(&store, DETECTOR, "collins-frame.png");
    let (mut graph, float_nodes) = load("whole detector", &int8(&store, DETECTOR), input.shape());
    assert_eq!(graph.precision(), Precision::Int8);
    for node in &float_nodes {
        let is_tail = ["(Split)", "(Sigmoid)", "(Transpose)", "(Reshape)"].iter().any(|kind| node.ends_with(kind));
        assert!(is_tail, "{node} is computed in float");
    }
    let kinds = kinds(&mut graph, &input);
    for kind in ["Int8Convolution", "Int8Depthwise", "Int8Pointwise", "Int8MaxPool", "Int8Enlarge"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is missing in {kinds:?}");
    }
    assert!(!kinds.iter().any(|kind| kind.contains("Linear")), "{kinds:?}");
}

/// Sizes whose maps are odd, so that borders and strides fall differently.
#[test]
fn the_detector_agrees_with_tract_at_other_sizes() {
    let store = store();
    let file = int8(&store, DETECTOR);
    let card = store.catalogue().get(DETECTOR).unwrap();
    let rgb = image::open(folder("tests/pictures/six-faces.jpg")).unwrap().into_rgb8();
    for (width, height) in [(224, 160), (96, 288)] {
        let cut = image::imageops::crop_imm(&rgb, 40, 20, width, height).to_image();
        let input = card.input.to_tensor(cut.as_raw(), width as usize, height as usize).unwrap();
        let ours = Graph::load("detector", &file, input.shape()).unwrap().run(&input).unwrap();
        let stock = stock(&file, &input);
        for (ours, stock) in ours.iter().zip(&stock) {
            assert_eq!(ours.shape(), stock.shape());
        }
        // Together: a map of scores where nothing is found, hardly above zero, is all rounding.
        let values =
            |outputs: &[Tensor]| outputs.iter().flat_map(|output| output.data().to_vec()).collect::<Vec<f32>>();
        let cosine = cosine(&values(&ours), &values(&stock));
        assert!(cosine > 0.998, "{width}x{height}: cosine {cosine}");
    }
}

/// Rounding costs the embedding little, on every face of the test pictures.
#[test]
fn int8_embeddings_are_near_the_float_ones() {
    let store = store();
    let card = store.catalogue().get(RECOGNISER).unwrap();
    let mut float = Graph::load("float", &store.load(RECOGNISER).unwrap().bytes, &card.input.shape).unwrap();
    let mut quantised = Graph::load("int8", &int8(&store, RECOGNISER), &card.input.shape).unwrap();
    let mut crops: Vec<Tensor> = fs::read_dir(folder("tests/golden"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-aligned.png"))
        .map(|name| golden(&store, RECOGNISER, &name))
        .collect();
    let mut detector = detect::build(&DetectorSettings::default(), &store).unwrap();
    for picture in ["portrait.jpg", "six-faces.jpg", "stranger.jpg"] {
        let rgb = read_picture(&folder("tests/pictures").join(picture)).unwrap();
        let at = FrameRef { source: SourceId::new(picture), seq: 0, captured: SystemClock.now() };
        for face in detector.detect(&rgb).unwrap() {
            let crop = align::align(&at, &rgb, &face).unwrap().crop;
            crops.push(card.input.to_tensor(crop.as_rgb(), 112, 112).unwrap());
        }
    }
    assert!(crops.len() >= 10, "only {} faces", crops.len());
    let cosines: Vec<f64> = crops
        .iter()
        .map(|crop| cosine(float.run(crop).unwrap()[0].data(), quantised.run(crop).unwrap()[0].data()))
        .collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    assert!(cosines.iter().all(|&cosine| cosine >= 0.99), "{cosines:?}");
    assert!(mean >= 0.998, "{mean} in the mean of {cosines:?}");
}

/// Families of kernels and threads differ in speed only.
#[test]
fn every_engine_gives_the_same_bits() {
    let store = store();
    for (model, picture) in [(RECOGNISER, "biden-aligned.png"), (DETECTOR, "collins-frame.png")] {
        let file = int8(&store, model);
        let input = golden(&store, model, picture);
        let outputs = |isa: Isa, threads: usize| -> Vec<f32> {
            let engine = Engine { isa, threads };
            let mut graph = Graph::load_with(model, &file, input.shape(), engine).unwrap();
            assert_eq!(graph.engine(), engine);
            // Not the first run alone: buffers hold what the run before left.
            let first = graph.run(&input).unwrap();
            graph.run_with(|buffer| buffer.fill(0.3)).unwrap();
            assert_eq!(graph.run(&input).unwrap(), first, "{model} on {engine:?}");
            first.into_iter().flat_map(Tensor::into_data).collect()
        };
        let portable = outputs(Isa::Portable, 1);
        let largest = portable.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        for isa in Isa::available() {
            let alone = outputs(isa, 1);
            // The float tail is computed with other instructions, which round otherwise; one other integer would show.
            let apart = portable.iter().zip(&alone).fold(0f32, |apart, (a, b)| apart.max((a - b).abs()));
            assert!(apart <= 1e-5 * largest, "{model}: {isa} lies {apart} from portable");
            for threads in [2, 3] {
                let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
                let together = outputs(isa, threads);
                assert!(bits(&together) == bits(&alone), "{model} on {isa}: {threads} threads differ from one");
            }
        }
    }
}
