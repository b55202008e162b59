//! Files and cards that will not do: each is told what is wrong, and nothing is written.

use super::command::{Place, card};
use super::nets;
use super::onnx::{FLOAT, Message, floats, tensor};

/// Imports and expects a refusal with the exit code, each part of the message, and no file.
#[track_caller]
fn refused(model: impl AsRef<[u8]>, card: &str, more: &[&str], code: i32, parts: &[&str]) {
    let place = Place::new();
    place.file("licence.txt", "");
    let said = place.import(&place.file("net.onnx", model), &place.file("card.toml", card), more);
    assert_eq!(said.code, code, "{said:?}");
    for part in parts {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert_eq!(said.out, "");
    assert!(place.written().is_empty(), "{:?}", place.written());
}

#[test]
fn a_file_that_is_no_model() {
    refused("P6 3 3 255", &card("own"), &[], 3, &["net.onnx", "no ONNX model"]);
    refused("", &card("own"), &[], 3, &["net.onnx"]);
    refused(&nets::torch(96)[..4000], &card("own"), &[], 3, &["net.onnx", "cut off"]);
    let weights = Message::default().ints(1, &[96]).int(2, FLOAT).bytes(8, "scale").int(14, 1);
    let entry = Message::default().bytes(1, "location").bytes(2, "weights.bin");
    refused(
        nets::scaled_by(weights.message(13, entry)),
        &card("own"),
        &[],
        3,
        &["weights.bin", "save_as_external_data"],
    );
    refused(nets::scaled_by(floats("scale", &[96], &[f32::NAN; 96])), &card("own"), &[], 3, &["tensor scale", "NaN"]);
    refused(
        nets::scaled_by(tensor("scale", FLOAT, &[96], &[0; 4])),
        &card("own"),
        &[],
        3,
        &["tensor scale", "4 bytes"],
    );
}

#[test]
fn a_model_that_is_no_recogniser() {
    let model = |name: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        std::fs::read(folder.join(name)).unwrap()
    };
    refused(model("yunet-2023mar.onnx"), &card("own"), &["--output", "cls_8"], 3, &["pictures of another size"]);
    refused(model("yunet-2023mar.onnx"), &card("own"), &[], 2, &["12 outputs", "cls_8", "--output"]);
    refused(model("landmarks-68.onnx"), &card("own"), &[], 3, &["1, 64, 64", "three channels"]);
    refused(nets::with_input(&[1, 3, 160, 160]), &card("own"), &[], 3, &["160, 160", "112x112"]);
    refused(nets::with_input(&[2, 3, 112, 112]), &card("own"), &[], 3, &["2 pictures at once"]);
    refused(nets::with_input(&[-1, -1, -1, -1]), &card("own"), &[], 3, &["layout"]);
    refused(nets::with_input(&[1, 3, 112, 112]), &card("own"), &[], 3, &["output y is [1, 3, 112, 112]"]);
    refused(nets::torch(40), &card("own"), &[], 3, &["40 values"]);
}

#[test]
fn a_network_that_tells_nobody_apart() {
    refused(nets::constant(), &card("own"), &[], 3, &["the same vector for every bundled face"]);
    refused(nets::scaled_by(floats("scale", &[96], &[0.0; 96])), &card("own"), &[], 3, &["zeros"]);
}

#[test]
fn a_card_that_lacks_something_or_has_too_much() {
    let net = || nets::torch(96);
    let without = |line: &str| -> String {
        let rest = card("own").lines().filter(|l| !l.starts_with(line)).collect::<Vec<_>>().join("\n");
        assert_ne!(rest.len() + 1, card("own").len());
        rest
    };
    refused(net(), &without("licence ="), &[], 2, &["licence", "SPDX", "--licence"]);
    refused(net(), &without("id"), &[], 2, &["no id", "--id"]);
    refused(net(), &without("scale"), &[], 2, &["card.toml", "mean is given without scale"]);
    refused(net(), &format!("colur = \"RGB\"\n{}", card("own")), &[], 2, &["card.toml", "colur"]);
    refused(net(), &card("Own Model"), &[], 2, &["Own Model", "lower-case"]);
    refused(net(), &card("own"), &["--licence", "see <http>"], 2, &["licence", "SPDX"]);
    refused(net(), &card("own"), &["--output", "fc1"], 2, &["no output fc1", "y"]);
    refused(net(), &card("own"), &["--layout", "NHWC"], 3, &["the card says NHWC"]);
    refused(net(), &card("own"), &["--mean", "1,2", "--scale", "1"], 2, &["three with commas"]);
    refused(net(), &card("own"), &["--licence-file", "nowhere.txt"], 2, &["nowhere.txt"]);
    refused(net(), &format!("quantised_from = \"x\"\n{}", card("own")), &[], 2, &["quantised_from"]);
    refused(net(), "\u{0}", &[], 2, &["card.toml"]);
}

#[test]
fn the_embedding_may_be_one_of_several_outputs() {
    let place = Place::new();
    place.file("licence.txt", "");
    let said = place.import(
        &place.file("net.onnx", nets::two_outputs()),
        &place.file("card.toml", format!("output = \"y\"\n{}", card("own"))),
        &[],
    );
    assert_eq!(said.code, 0, "{said:?}");
    let picture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures/portrait.jpg");
    let said = place.run(&["embed", "--models", &place.models(), "--model", "own", &picture.display().to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let place = Place::new();
    place.file("licence.txt", "");
    let (net, text) = (place.file("net.onnx", nets::torch(96)), place.file("card.toml", card("own")));
    let folder = format!("{}/inside", place.file("a-file", ""));
    let said = place.run(&["models", "import", &net, "--card", &text, "--into", &folder]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("a-file"), "{said:?}");
}
