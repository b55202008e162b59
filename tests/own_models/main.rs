//! Bringing a recogniser of one's own: the families that people have, and files and cards that will not do.

mod command;
mod families;
mod nets;
#[path = "../models_bad/onnx.rs"]
#[allow(dead_code, reason = "written for other tests too")]
mod onnx;
mod refused;

use std::path::{Path, PathBuf};

use doorward::domain::FaceCrop;

/// A file of this folder.
fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/own_models").join(name)
}

/// An aligned crop of the golden vectors.
fn crop(picture: &str) -> FaceCrop {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(picture);
    let image = doorward::capture::read_picture(&path).unwrap();
    FaceCrop::from_rgb(image.into_raw()).unwrap()
}
