//! `doorward models import` from outside: what it writes works, and what goes wrong leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use super::nets;

/// A place of its own for one test: a home, files, a folder of models.
pub(super) struct Place(TempDir);

/// What a command said, and its exit code.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Place {
    pub(super) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(super) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name).display().to_string()
    }

    /// The folder that models are brought into.
    pub(super) fn models(&self) -> String {
        self.path("models").display().to_string()
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        for variable in ["STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "RUST_LOG", "DOORWARD_ISA", "XDG_DATA_HOME"] {
            command.env_remove(variable);
        }
        let output = command.args(arguments).env("HOME", self.0.path()).current_dir(self.0.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let code = output.status.code().expect("not killed by a signal");
        let said = Said { code, out: text(&output.stdout), err: text(&output.stderr) };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    /// Imports into the place's folder.
    pub(super) fn import(&self, model: &str, card: &str, more: &[&str]) -> Said {
        self.run(&[&["models", "import", model, "--card", card, "--into", &self.models()][..], more].concat())
    }

    /// All files of the place's folder of models.
    pub(super) fn written(&self) -> BTreeSet<String> {
        fn walk(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, root, found),
                    false => drop(found.insert(path.strip_prefix(root).unwrap().display().to_string())),
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.path("models"), &self.path("models"), &mut found);
        found
    }
}

impl Said {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A card that says everything.
pub(super) fn card(id: &str) -> String {
    format!(
        "id = \"{id}\"\ntitle = \"A small net\"\nlicence = \"MIT\"\nlicence_file = \"licence.txt\"\n\
         colour = \"RGB\"\nmean = 127.5\nscale = 0.0078125\n"
    )
}

fn project(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// The embedding of the only face of a picture, by a model of the place's folder.
fn embedding(place: &Place, arguments: &[&str]) -> Vec<f64> {
    let picture = project("tests/pictures/portrait.jpg");
    let said = place.run(&[&["embed", "--json", &picture][..], arguments].concat());
    let faces = said.json()["faces"].as_array().unwrap().clone();
    assert_eq!(faces.len(), 1, "{said:?}");
    faces[0]["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn two_families_are_imported_and_embed() {
    let place = Place::new();
    place.file("licence.txt", "Permission is hereby granted\n");
    let first = place.file("first.toml", card("first"));
    let second = place.file("second.toml", card("second").replace("licence_file = \"licence.txt\"\n", ""));

    let nchw = place.import(&place.file("torch.onnx", nets::torch(96)), &first, &["--json"]).json();
    assert_eq!(
        (&nchw["id"], &nchw["dimension"], &nchw["preprocessing"]),
        (&"first".into(), &96.into(), &"stated".into())
    );
    assert_eq!(nchw["input"]["layout"], "NCHW");
    assert!(nchw["inference_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(nchw["trial"].as_array().unwrap().len(), 6);

    let nhwc = place.import(&place.file("keras.onnx", nets::keras(128)), &second, &[]);
    assert_eq!(nhwc.code, 0, "{nhwc:?}");
    for part in [
        "second is in",
        "[?, 112, 112, 3]",
        "RGB, (x - 127.5) / 128, as the card says",
        "128 values",
        "no operating points",
    ] {
        assert!(nhwc.out.contains(part), "{part}: {nhwc:?}");
    }

    // Both beside the models in the binary, whose detector finds the face.
    let models = place.models();
    assert_eq!(embedding(&place, &["--models", &models, "--model", "first"]).len(), 96);
    assert_eq!(embedding(&place, &["--models", &models, "--model", "second"]).len(), 128);
    assert_eq!(embedding(&place, &["--models", &models]).len(), 192, "the default stays what it was");
    let config = place.file(
        "doorward.toml",
        format!(
            "[source]\nimages = \"x\"\n[models]\ndir = \"{models}\"\n[recogniser]\nmodel = \"first\"\nthreshold = 0.5\n"
        ),
    );
    assert_eq!(embedding(&place, &["--config", &config]).len(), 96);
    let verified = place.run(&["models", "verify", "--models", &models]);
    assert_eq!(
        (verified.code, verified.out.lines().filter(|line| line.starts_with("ok")).count()),
        (0, 9),
        "{verified:?}"
    );
    let licences: Vec<String> = place.written().into_iter().filter(|file| file.starts_with("LICENSES")).collect();
    assert_eq!(licences.len(), 1, "only one came with a text");
    assert_eq!(fs::read_to_string(place.path("models").join(&licences[0])).unwrap(), "Permission is hereby granted\n");
}

#[test]
fn without_an_operating_point_nothing_is_decided() {
    let place = Place::new();
    place.file("licence.txt", "");
    let said = place.import(&place.file("net.onnx", nets::torch(96)), &place.file("card.toml", card("own")), &[]);
    assert_eq!(said.code, 0, "{said:?}");
    let picture = project("tests/pictures/portrait.jpg");
    let own = ["--models", &place.models(), "--model", "own"];
    for command in [&["identify", &picture][..], &["enrol", "Ada", &picture], &["verify", &picture, &picture]] {
        let said = place.run(&[command, &own].concat());
        assert_eq!(said.code, 2, "{said:?}");
        for part in ["own", "doorward eval identify", "doorward calibrate", "threshold"] {
            assert!(said.err.contains(part), "{command:?}: {said:?}");
        }
        // A point of the default model is not taken for it either.
        let named = place.run(&[command, &own, &["--operating-point", "fpir-0.003"]].concat());
        assert_eq!(named.code, 2, "{named:?}");
    }
    let given = place.run(&[&["verify", &picture, &picture, "--threshold", "0.9"][..], &own].concat());
    assert_eq!(given.code, 0, "{given:?}");
}

#[test]
fn a_wrong_preprocessing_is_warned_of_and_the_right_one_is_not() {
    let place = Place::new();
    let model = project("models/mobilefacenet-arcface-192.onnx");
    let text = card("own").replace("licence_file = \"licence.txt\"\n", "");
    let right = place.import(&model, &place.file("right.toml", &text), &["--json"]).json();
    assert_eq!(right["warnings"].as_array().unwrap().len(), 0, "{right}");
    let wrong = text.replace("\"own\"", "\"wrong\"").replace("127.5", "0.0").replace("0.0078125", "1.0");
    let said = place.import(&model, &place.file("wrong.toml", wrong), &["--json"]).json();
    let warnings = said["warnings"].to_string();
    assert!(warnings.contains("RGB, (x - 127.5) / 127.5 separates the bundled faces better"), "{warnings}");
    assert!(warnings.contains("hardly tells"), "{warnings}");
    assert_eq!(said["trial"][0]["taken"], true, "the card is followed all the same: {said}");
}

#[test]
fn what_a_modelhub_config_leaves_open_is_found() {
    let place = Place::new();
    let config =
        place.file("config.json", r#"{"id": "Arc_Face", "meta": {"name": "ArcFace"}, "model": {"format": ".onnx"}}"#);
    let model = project("models/mobilefacenet-arcface-192.onnx");
    let missing = place.import(&model, &config, &[]);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.err.contains("licence") && missing.err.contains("SPDX"), "{missing:?}");
    let found = place.import(&model, &config, &["--licence", "MIT", "--json"]).json();
    assert_eq!((&found["id"], &found["preprocessing"]), (&"arc-face".into(), &"found".into()));
    assert_eq!(found["input"]["colour"], "RGB", "{found}");
    assert_eq!(found["input"]["mean"][0], 127.5, "{found}");
    assert_eq!(found["warnings"].as_array().unwrap().len(), 0, "{found}");
    let given =
        ["--licence", "MIT", "--id", "given", "--colour", "rgb", "--mean", "127.5", "--scale", "0.0078125", "--json"];
    assert_eq!(place.import(&model, &config, &given).json()["preprocessing"], "stated");
}

#[test]
fn an_id_is_taken_once_and_replaced_only_when_asked() {
    let place = Place::new();
    place.file("licence.txt", "first\n");
    let (net, other) = (place.file("net.onnx", nets::torch(96)), place.file("other.onnx", nets::torch(160)));
    let (text, own) = (card("own"), place.file("card.toml", card("own")));
    assert_eq!(place.import(&net, &own, &[]).code, 0);
    assert_eq!(place.import(&net, &place.file("b.toml", text.replace("\"own\"", "\"beside\"")), &[]).code, 0);
    let before = place.written();

    let again = place.import(&other, &own, &[]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("own is in the catalogue") && again.err.contains("--replace"), "{again:?}");
    let built_in = place.import(&other, &own, &["--id", "yunet-2023mar", "--replace"]);
    assert_eq!(built_in.code, 2, "{built_in:?}");
    assert!(built_in.err.contains("in the binary"), "{built_in:?}");
    assert_eq!(place.written(), before, "a refused import changes nothing");

    place.file("licence.txt", "second\n");
    assert_eq!(place.import(&other, &own, &["--replace"]).code, 0);
    let models = place.models();
    assert_eq!(embedding(&place, &["--models", &models, "--model", "own"]).len(), 160);
    assert_eq!(embedding(&place, &["--models", &models, "--model", "beside"]).len(), 96);
    assert_eq!(place.written().len(), before.len(), "the files of the replaced model are gone: {:?}", place.written());
    assert_eq!(place.run(&["models", "verify", "--models", &models]).code, 0);
}

#[test]
fn a_catalogue_keeps_what_people_wrote_in_it() {
    let place = Place::new();
    place.file("licence.txt", "");
    let net = place.file("net.onnx", nets::torch(96));
    assert_eq!(place.import(&net, &place.file("a.toml", card("a")), &[]).code, 0);
    let path = place.path("models").join("catalogue.toml");
    let edited = fs::read_to_string(&path).unwrap() + "# our own words";
    fs::write(&path, &edited).unwrap();
    assert_eq!(place.import(&net, &place.file("b.toml", card("b")), &["--title", "Say \"yes\""]).code, 0);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&edited) && text.contains("# Imported by doorward"), "{text}");
    let list = place.run(&["models", "list", "--models", &place.models()]);
    assert!(list.out.contains("Say \"yes\""), "{list:?}");
}

#[test]
fn a_model_may_become_the_default_and_the_default_folder_is_the_users() {
    let place = Place::new();
    place.file("licence.txt", "");
    let (net, text) = (place.file("net.onnx", nets::torch(96)), format!("default = true\n{}", card("own")));
    let said = place.run(&["models", "import", &net, "--card", &place.file("card.toml", text)]);
    assert_eq!(said.code, 0, "{said:?}");
    let folder = place.path(".local/share/doorward/models").display().to_string();
    assert!(said.out.contains(&folder), "{said:?}");
    assert_eq!(embedding(&place, &["--models", &folder]).len(), 96);
}

#[test]
fn a_quantised_file_is_an_int8_model() {
    let place = Place::new();
    let card = place.file("card.toml", card("own").replace("licence_file = \"licence.txt\"\n", ""));
    let said = place.import(&project("models/mobilefacenet-arcface-192-int8.onnx"), &card, &["--json"]).json();
    assert_eq!((&said["precision"], said["warnings"].as_array().unwrap().len()), (&"int8".into(), 0), "{said}");
}
