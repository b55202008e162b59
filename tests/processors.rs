//! The same on every processor: what x86-64 computed once, whatever runs this test computes again.
//!
//! The int8 layers must give the bytes of `tests/golden/processors.json`, the embeddings its values but for the rounding of float sums that
//! are added in another order. `DOORWARD_WRITE_GOLDEN=1 cargo test --test processors` writes the file anew, on x86-64.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use doorward::config::EngineChoice;
use doorward::models::ModelStore;
use doorward::nn::{Engine, Graph, Isa};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Component by component, of embeddings of length one.
const LARGEST_DIFFERENCE: f32 = 1e-5;

const INT8: [(&str, &str); 2] =
    [("mobilefacenet-arcface-192-int8", "hopper-aligned.png"), ("yunet-2023mar-int8", "collins-frame.png")];
const RECOGNISERS: [&str; 2] = ["mobilefacenet-arcface-192", "mobilefacenet-arcface-192-int8"];
const CROPS: [&str; 2] = ["hopper-aligned.png", "biden-aligned.png"];

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Golden {
    /// Of each int8 model the layers in order: name and the first 16 hexadecimal digits of the SHA-256 of the output.
    layers: BTreeMap<String, Vec<(String, String)>>,
    /// Embeddings by model and crop.
    embeddings: BTreeMap<String, BTreeMap<String, Vec<f32>>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden() -> Golden {
    serde_json::from_str(&fs::read_to_string(folder().join("processors.json")).unwrap()).unwrap()
}

fn store(isa: Isa) -> ModelStore {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    ModelStore::open(&models).unwrap().computed_by(Engine { isa, threads: 1 }, EngineChoice::Auto)
}

fn graph_and_picture(isa: Isa, model: &str, picture: &str) -> (Graph, Vec<u8>) {
    let picture = image::open(folder().join(picture)).unwrap().into_rgb8();
    let shape = [1, 3, picture.height() as usize, picture.width() as usize];
    let graph = store(isa).load(model).unwrap().graph(&shape).unwrap();
    assert!(graph.takes_pixels());
    (graph, picture.into_raw())
}

fn layers(isa: Isa, model: &str, picture: &str) -> Vec<(String, String)> {
    let (mut graph, picture) = graph_and_picture(isa, model, picture);
    let mut layers = Vec::new();
    let mut see = |name: &str, bytes: &[u8]| {
        let digest: String = Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        layers.push((name.to_owned(), digest));
    };
    graph.run_pixels_traced(&picture, &mut see).unwrap();
    layers
}

fn embedding(isa: Isa, model: &str, crop: &str) -> Vec<f32> {
    let (mut graph, picture) = graph_and_picture(isa, model, crop);
    let values = graph.run_pixels(&picture).unwrap().swap_remove(0).into_data();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}

/// What this processor computes with the best kernels it has.
fn computed(isa: Isa) -> Golden {
    let layers = INT8.map(|(model, picture)| (model.to_owned(), layers(isa, model, picture)));
    let of_crops = |model| CROPS.map(|crop| (crop.to_owned(), embedding(isa, model, crop))).into();
    let embeddings = RECOGNISERS.map(|model| (model.to_owned(), of_crops(model)));
    Golden { layers: layers.into(), embeddings: embeddings.into() }
}

#[test]
fn int8_layers_give_the_bytes_of_x86_64_on_every_family_of_kernels() {
    if std::env::var_os("DOORWARD_WRITE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(&computed(Isa::best())).unwrap();
        fs::write(folder().join("processors.json"), text + "\n").unwrap();
    }
    for isa in Isa::available() {
        for (model, picture) in INT8 {
            let (expected, found) = (&golden().layers[model], layers(isa, model, picture));
            assert!(expected.len() > 40, "{model} has int8 layers");
            let differs = expected.iter().zip(&found).find(|(expected, found)| expected != found);
            assert_eq!(differs, None, "{model} on {isa}");
            assert_eq!(expected.len(), found.len(), "{model} on {isa}");
        }
    }
}

#[test]
fn embeddings_are_those_of_x86_64() {
    for (model, crops) in golden().embeddings {
        for (crop, expected) in crops {
            let found = embedding(Isa::best(), &model, &crop);
            assert_eq!(found.len(), expected.len());
            let difference = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= LARGEST_DIFFERENCE, "{model} on {crop}: {difference:e}");
        }
    }
}
