//! The profile `sface`. Its files are too large to be committed: what runs them needs the folder that `models/build.py sface` makes,
//! named by the environment variable DOORWARD_SFACE.

use std::{env, path::Path};

use doorward::{
    config::EngineChoice,
    domain::FaceCrop,
    embed,
    models::{ModelStore, Precision, Role},
    nn::Engine,
};
use serde_json::json;

use super::{Place, obama, picture, project};

const PROFILE: &str = "[source]\nmjpeg = 'none.mjpeg'\n[recogniser]\nprofile = 'sface'\n";

/// The folder with SFace's files, if there is one.
fn folder() -> Option<String> {
    let folder = env::var("DOORWARD_SFACE").ok();
    if folder.is_none() {
        eprintln!("skipped: DOORWARD_SFACE names no folder made by models/build.py sface");
    }
    folder
}

/// The embedding of each golden crop, by the recogniser for `choice`.
fn golden(folder: &str, choice: EngineChoice) -> Vec<Vec<f32>> {
    let store = ModelStore::open(Path::new(folder)).unwrap().computed_by(Engine::default(), choice);
    let mut embedder = embed::build(None, &store).unwrap();
    let crops = ["biden", "collins", "hopper", "obama-2009", "obama-2012"];
    let embedding = |name: &str| {
        let picture = image::open(project("tests/golden").join(format!("{name}-aligned.png"))).unwrap().into_rgb8();
        embedder.embed(&FaceCrop::from_rgb(picture.into_raw()).unwrap()).unwrap().values().to_vec()
    };
    crops.into_iter().map(embedding).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn without_its_folder_the_remedy_is_named() {
    let place = Place::new();
    let file = place.file("door.toml", PROFILE);
    let said = place.run(&["embed", "--config", &file, &picture("portrait.jpg")]);
    assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    for part in ["profile sface", "it has: arcface", "models.dir", "models/README.md"] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
}

#[test]
fn the_profile_takes_the_variant_of_the_engine_and_its_own_threshold() {
    let Some(folder) = folder() else { return };
    let store = ModelStore::open(Path::new(&folder)).unwrap();
    assert!(store.verify().iter().all(|check| check.outcome.is_ok()), "{:?}", store.verify());
    let place = Place::new();
    let file = place.file("door.toml", format!("{PROFILE}operating_point = 'fpir-0.01'\n"));
    for (engine, id) in [("f32", "sface"), ("int8", "sface-int8")] {
        let Ok(card) = store.catalogue().get(id) else { continue };
        let with = |command: &[&str]| {
            let models = ["--models", folder.as_str()];
            place.run(&[&models[..], command, &["--config", &file, "--engine", engine]].concat())
        };
        assert_eq!(with(&["doctor", "--json"]).json()[0]["recogniser"]["model"], json!(id));
        let said = with(&["verify", "--json", &obama("2009.jpg"), &obama("2010.jpg")]);
        assert_eq!((said.code, &said.json()[0]["mated"]), (0, &json!(true)), "{said:?}");
        let threshold = said.json()[0]["threshold"].as_f64().unwrap();
        let own = f64::from(card.one_to_one("fmr-0.001").unwrap().value());
        assert!((threshold - own).abs() < 1e-6, "{threshold}, the card of {id} says {own}");

        let gallery = place.path(engine).display().to_string();
        assert_eq!(with(&["enrol", "Barack Obama", &obama("2009.jpg"), "--gallery", &gallery]).code, 0);
        assert_eq!(with(&["identify", &obama("2010.jpg"), "--gallery", &gallery]).code, 0);
        assert_eq!(with(&["identify", &picture("stranger.jpg"), "--gallery", &gallery]).code, 1);
    }
}

#[test]
fn int8_sees_what_float_sees() {
    let Some(folder) = folder() else { return };
    let store = ModelStore::open(Path::new(&folder)).unwrap();
    let float = golden(&folder, EngineChoice::F32);
    assert!(cosine(&float[3], &float[4]) > 0.5, "two photographs of one man: {}", cosine(&float[3], &float[4]));
    for (i, j) in [(0, 1), (0, 2), (1, 2), (2, 3)] {
        assert!(cosine(&float[i], &float[j]) < 0.3, "{i} and {j}: {}", cosine(&float[i], &float[j]));
    }
    let card = store.default_for(Role::Recogniser).unwrap();
    if store.catalogue().variant(card, Precision::Int8).is_none() {
        eprintln!("skipped: {folder} was made without calibration pictures, so without the int8 file");
        return;
    }
    for (float, int8) in float.iter().zip(golden(&folder, EngineChoice::Int8)) {
        let cosine = cosine(float, &int8);
        assert!(cosine > 0.995 && cosine < 0.99999, "another model, quantised well: {cosine}");
    }
}
