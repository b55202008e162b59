//! One small net of each family, written as its exporter writes it (`make.py`), against onnxruntime.

use std::fs;

use doorward::domain::FaceCrop;
use doorward::models::import::{Draft, Examination};
use doorward::models::{Alignment, Colour, InputSpec, Layout, LoadedModel};
use doorward::nn::{Engine, Graph, Signature};
use serde_json::Value;

use super::{crop, here};

/// A family as `own_models.json` has it.
struct Family {
    name: String,
    bytes: Vec<u8>,
    /// The pictures, and what onnxruntime gave for each.
    expected: Vec<(FaceCrop, Vec<f32>)>,
    layout: Layout,
    mean: f32,
    scale: f32,
}

fn families() -> Vec<Family> {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(here("own_models.json")).unwrap()).unwrap();
    let family = |case: &Value| {
        let text = |key: &str| case[key].as_str().unwrap();
        let values = fs::read(here(text("expected"))).unwrap();
        let values: Vec<f32> = values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let pictures = case["pictures"].as_array().unwrap();
        let dimension = case["dimension"].as_u64().unwrap() as usize;
        assert_eq!(values.len(), pictures.len() * dimension);
        let crops = pictures.iter().map(|picture| crop(picture.as_str().unwrap()));
        Family {
            name: text("file").to_owned(),
            bytes: fs::read(here(text("file"))).unwrap(),
            expected: crops.zip(values.chunks_exact(dimension).map(<[f32]>::to_vec)).collect(),
            layout: serde_json::from_value(case["layout"].clone()).unwrap(),
            mean: case["mean"].as_f64().unwrap() as f32,
            scale: case["scale"].as_f64().unwrap() as f32,
        }
    };
    let families: Vec<Family> = cases.iter().map(family).collect();
    assert_eq!(families.len(), 4);
    families
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn every_family_computes_what_onnxruntime_does() {
    for family in families() {
        let shape = match family.layout {
            Layout::Nchw => [1, 3, 112, 112],
            Layout::Nhwc => [1, 112, 112, 3],
        };
        let input = InputSpec {
            shape,
            layout: family.layout,
            colour: Colour::Rgb,
            mean: vec![family.mean; 3],
            scale: family.scale,
            alignment: Alignment::Arcface112,
            box_scale: None,
            size_step_px: None,
        };
        let mut graph = Graph::load(&family.name, &family.bytes, &shape).unwrap();
        for (crop, expected) in &family.expected {
            let found = input.infer(&mut graph, crop.as_rgb(), (112, 112), None).unwrap();
            let largest = expected.iter().fold(0f32, |largest, v| largest.max(v.abs()));
            assert_eq!(found[0].data().len(), expected.len(), "{}", family.name);
            for (found, expected) in found[0].data().iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-4 * largest, "{}: {found} for {expected}", family.name);
            }
            assert!(cosine(found[0].data(), expected) > 0.999_999, "{}", family.name);
        }
    }
}

#[test]
fn every_family_is_examined_and_runs_as_its_card_says() {
    for family in families() {
        let draft = Draft {
            id: Some("own".to_owned()),
            licence: Some("MIT".to_owned()),
            colour: Some(Colour::Rgb),
            mean: Some(doorward::models::import::Mean::One(family.mean)),
            scale: Some(family.scale),
            ..Draft::default()
        };
        let (mut calls, mut last) = (0, (0, 0));
        let mut progress = |done: usize, all: usize| {
            calls += 1;
            last = (done, all);
        };
        let examined =
            Examination::of(&family.name, family.bytes.clone(), &draft, Engine::default(), &mut progress).unwrap();
        assert_eq!((calls, last), (last.1, (last.1, last.1)), "{}", family.name);
        assert_eq!(examined.card.input.layout, family.layout, "{}", family.name);
        assert_eq!(examined.card.output.dimension, family.expected[0].1.len());
        assert!(examined.trial.stated && examined.inference.as_nanos() > 0);

        let id = doorward::domain::ModelId::new("own", examined.card.sha256.0);
        let model =
            LoadedModel { card: examined.card.clone(), bytes: family.bytes.into(), id, engine: Engine::default() };
        let mut graph = model.graph(&examined.card.input.shape).unwrap();
        for (crop, expected) in &family.expected {
            let found = model.card.input.infer(&mut graph, crop.as_rgb(), (112, 112), None).unwrap();
            assert!(cosine(found[0].data(), expected) > 0.999_99, "{}", family.name);
        }
    }
}

#[test]
fn the_signature_is_what_the_exporter_wrote() {
    let read = |name: &str| Signature::read(name, &fs::read(here(name)).unwrap()).unwrap();
    let insightface = read("insightface.onnx");
    assert_eq!((insightface.opset, &*insightface.producer, insightface.quantised), (11, "pytorch", false));
    assert_eq!(insightface.input.to_string(), "input.1 [?, 3, 112, 112]");
    let mxnet = read("mxnet.onnx");
    assert_eq!((mxnet.opset, &*mxnet.input.name, mxnet.outputs[0].to_string()), (8, "data", "fc1 [1, 160]".to_owned()));
    assert_eq!(read("keras.onnx").input.to_string(), "input_1 [?, 112, 112, 3]");
    assert_eq!(read("torch21.onnx").input.shape, [None, Some(3), Some(112), Some(112)], "a batch of -1 is open");
}
