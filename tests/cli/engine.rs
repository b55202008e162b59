//! Which engine computes, on which kernels and threads, and what is said of it.

use doorward::nn::Isa;
use serde_json::{Value, json};

use super::{Place, Said, obama, picture, project};

const FLOAT: &str = "mobilefacenet-arcface-192";
const INT8: &str = "mobilefacenet-arcface-192-int8";

impl Place {
    /// Runs with the kernels held to `isa`.
    fn run_on(&self, isa: &str, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).env("DOORWARD_ISA", isa).output().unwrap())
    }
}

#[test]
fn bench_names_engine_models_kernels_and_threads() {
    let place = Place::new();
    for (engine, networks) in [
        ("int8", json!({"detect": "yunet-2023mar-int8", "embed": INT8})),
        ("f32", json!({"detect": "yunet-2023mar", "embed": FLOAT})),
    ] {
        let arguments = ["bench", "--json", "--frames", "12", "--rounds", "1", "--engine", engine, "--threads", "2"];
        let said = place.run(&arguments);
        assert_eq!(said.code, 0, "{said:?}");
        let report = &said.json()[0];
        let name = format!("tract {engine}");
        assert_eq!((&report["engine"], &report["threads"]), (&json!(name), &json!(2)), "{report}");
        assert_eq!(report["isa"], Isa::best().name());
        for stage in ["detect", "embed"] {
            assert_eq!(report["networks"][stage], json!({"model": networks[stage], "engine": name}));
        }
    }
}

#[test]
fn bench_profiles_both_networks_by_operator() {
    let place = Place::new();
    let bench = ["bench", "--frames", "12", "--rounds", "1", "--profile", "--engine", "int8"];
    let said = place.run(&[&bench[..], &["--json"]].concat());
    let report = &said.json()[0];
    for stage in ["detect", "embed"] {
        let kinds = report["profile"][stage].as_object().unwrap();
        assert!(kinds.contains_key("Int8Pointwise") && kinds.contains_key("Int8Depthwise"), "{stage}: {report}");
        let times: Vec<f64> = kinds.values().map(|ms| ms.as_f64().unwrap()).collect();
        assert!(times.iter().all(|ms| *ms >= 0.0) && times.iter().sum::<f64>() > 0.1, "{stage}: {report}");
    }
    let text = place.run(&bench).out;
    for part in ["detect, by operator", "embed, by operator", "Int8Depthwise", "ms a run", "tract int8", "1 thread"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The one face that `embed --json` found: its box and its embedding.
fn face(said: &Said) -> (Value, Vec<f64>) {
    assert_eq!(said.code, 0, "{said:?}");
    let faces = said.json()[0]["faces"].clone();
    assert_eq!(faces.as_array().unwrap().len(), 1);
    let values = faces[0]["embedding"].as_array().unwrap();
    (faces[0]["bbox"].clone(), values.iter().map(|value| value.as_f64().unwrap()).collect())
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The environment and the number of threads are about time. Int8 gives the same bits on all kernels; the recogniser's last two
/// layers are in float, where the order of additions is the kernels' own.
#[test]
fn neither_kernels_nor_threads_change_what_int8_models_see() {
    let place = Place::new();
    let portrait = picture("portrait.jpg");
    let embed = ["embed", "--json", "--engine", "int8", portrait.as_str()];
    let (bbox, embedding) = face(&place.run(&embed));
    for isa in Isa::available().filter(|isa| *isa != Isa::best()) {
        let (same, alike) = face(&place.run_on(isa.name(), &embed));
        assert_eq!(same, bbox, "{isa}");
        let cosine = cosine(&embedding, &alike);
        assert!((cosine - 1.0).abs() < 1e-6, "{isa}: {cosine}");
    }
    assert_eq!(face(&place.run(&[&embed[..], &["--threads", "3"]].concat())), (bbox, embedding.clone()));
    let (_, float) = face(&place.run(&["embed", "--json", "--engine", "f32", &portrait]));
    let cosine = cosine(&embedding, &float);
    assert!(cosine > 0.99 && cosine < 0.99999, "another model, quantised well: {cosine}");
}

#[test]
fn kernels_this_processor_does_not_have_are_a_usage_error() {
    let place = Place::new();
    let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    for isa in ["nonsense", "AVX2", foreign] {
        let said = place.run_on(isa, &["embed", &picture("portrait.jpg")]);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains(&format!("DOORWARD_ISA={isa}")) && said.err.contains("portable"), "{said:?}");
    }
    assert_eq!(place.run_on("", &["models", "list"]).code, 0, "empty is as not set");
}

#[test]
fn engine_and_threads_out_of_bounds_are_usage_errors() {
    let place = Place::new();
    let portrait = picture("portrait.jpg");
    for (option, value, allowed) in
        [("--engine", "fast", "auto, int8 or f32"), ("--threads", "0", "1..=16"), ("--threads", "17", "1..=16")]
    {
        for command in
            [&["embed", portrait.as_str()][..], &["demo"], &["run", "--config", "x"], &["bench"], &["doctor"]]
        {
            let said = place.run(&[command, &[option, value]].concat());
            assert!(said.code == 2 && said.err.contains(value) && said.err.contains(allowed), "{said:?}");
        }
    }
}

#[test]
fn a_model_that_is_named_wins_over_auto_and_contradicts_the_others() {
    let place = Place::new();
    let portrait = picture("portrait.jpg");
    let embed = |engine, model| place.run(&["embed", "--engine", engine, "--model", model, &portrait]);
    for (engine, model, code) in [
        ("auto", FLOAT, 0),
        ("auto", INT8, 0),
        ("f32", FLOAT, 0),
        ("int8", INT8, 0),
        ("f32", INT8, 2),
        ("int8", FLOAT, 2),
    ] {
        let said = embed(engine, model);
        assert_eq!(said.code, code, "{engine} {model}: {said:?}");
        if code == 2 {
            assert!(said.err.contains(&format!("engine = \"{engine}\"")) && said.err.contains(model), "{said:?}");
        }
    }
}

#[test]
fn a_configuration_that_contradicts_itself_names_both_keys_and_the_command_line_wins() {
    let place = Place::new();
    let door = project("demo/door.mjpeg").display().to_string();
    let text = format!("engine = 'f32'\n[source]\nmjpeg = '{door}'\n[recogniser]\nmodel = '{INT8}'\n");
    let file = place.file("door.toml", text);
    for command in [&["run"][..], &["doctor"], &["identify", "no-picture.jpg"]] {
        let said = place.run(&[command, &["--config", &file, "--gallery", &place.gallery()]].concat());
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("engine = \"f32\"") && said.err.contains(INT8), "{said:?}");
    }
    let portrait = picture("portrait.jpg");
    assert_eq!(place.run(&["embed", "--config", &file, "--engine", "int8", &portrait]).code, 0);
}

#[test]
fn an_engine_without_its_models_is_missed_only_when_asked_for() {
    let place = Place::new();
    let folder = place.path("models");
    std::fs::create_dir(&folder).unwrap();
    let catalogue = std::fs::read_to_string(project("models/catalogue.toml")).unwrap();
    // The cards of the float models come first.
    let (float, _) = catalogue.split_once("[[model]]\nid = \"yunet-2023mar-int8\"").unwrap();
    std::fs::write(folder.join("catalogue.toml"), float).unwrap();
    for file in ["yunet-2023mar.onnx", "mobilefacenet-arcface-192.onnx"] {
        std::fs::copy(project("models").join(file), folder.join(file)).unwrap();
    }
    let folder = folder.display().to_string();
    let embed = |engine| place.run(&["--models", &folder, "embed", "--engine", engine, &picture("portrait.jpg")]);
    assert_eq!(embed("auto").code, 0);
    let said = embed("int8");
    assert!(said.code == 2 && said.err.contains("int8") && said.err.contains("--engine auto"), "{said:?}");
}

#[test]
fn templates_of_the_other_variant_are_not_compared_and_the_remedy_is_named() {
    let place = Place::new();
    let (photo, gallery) = (obama("2009.jpg"), place.gallery());
    let with = |engine, command: &[&str]| place.run(&[command, &["--engine", engine, "--gallery", &gallery]].concat());
    assert_eq!(with("f32", &["enrol", "Barack Obama", &photo]).code, 0);
    let same = with("f32", &["identify", &photo]);
    assert!(same.code == 0 && same.err.is_empty(), "{same:?}");
    let other = with("int8", &["identify", &photo]);
    assert_eq!(other.code, 1, "{other:?}");
    for part in [INT8, FLOAT, "--engine f32", "enrol them again"] {
        assert!(other.err.contains(part), "{part}: {other:?}");
    }
    // Named, the model is the remedy: engine = "f32" would contradict it.
    let named = place.run(&["identify", &photo, "--model", INT8, "--gallery", &gallery]);
    assert!(named.err.contains(&format!("the model {FLOAT}")) && !named.err.contains("--engine"), "{named:?}");

    let found = &with("int8", &["doctor", "--json"]).json()[0]["gallery"];
    assert_eq!((&found["enrolled"], &found["recognisable"]), (&json!(1), &json!(0)));
    assert!(found["remedy"].as_str().unwrap().contains("--engine f32"), "{found}");

    // Enrolled again with the other variant, both work.
    assert_eq!(with("int8", &["enrol", "--add", "Barack Obama", &photo]).code, 0);
    for engine in ["int8", "f32"] {
        let said = with(engine, &["identify", &photo]);
        assert!(said.code == 0 && said.err.is_empty(), "{said:?}");
    }
}

#[test]
fn doctor_finds_a_sound_board() {
    let place = Place::new();
    let said = place.run(&["doctor", "--json", "--engine", "int8", "--threads", "2"]);
    assert_eq!(said.code, 0, "{said:?}");
    let found = &said.json()[0];
    assert_eq!((&found["ok"], &found["gallery"]), (&json!(true), &Value::Null));
    assert_eq!(found["processor"]["architecture"], std::env::consts::ARCH);
    let families: Vec<_> = Isa::available().map(Isa::name).collect();
    assert_eq!(found["processor"]["families"], json!(families));
    let engine = &found["engine"];
    assert_eq!((&engine["choice"], &engine["threads"]), (&json!("int8"), &json!(2)));
    assert_eq!(engine["isa"], Isa::best().name());
    assert!(["int8", "f32"].contains(&engine["auto"].as_str().unwrap()) && engine["reason"].is_string(), "{engine}");
    assert_eq!(found["detector"], json!({"model": "yunet-2023mar-int8", "engine": "tract int8", "error": null}));
    assert_eq!(found["recogniser"], json!({"model": INT8, "engine": "tract int8", "error": null}));
    assert!(found["models"].as_array().unwrap().iter().all(|model| model["ok"] == true), "{found}");

    let slow = Isa::best() == Isa::Portable;
    assert_eq!(found["remarks"].as_array().unwrap().is_empty(), !slow, "{found}");

    let held = place.run_on("portable", &["doctor", "--json"]);
    assert_eq!(held.code, 0, "slow is no fault: {held:?}");
    let held = &held.json()[0];
    assert_eq!((&held["ok"], &held["engine"]["isa"]), (&json!(true), &json!("portable")));
    assert!(held["remarks"][0].as_str().unwrap().contains("portable kernels"), "{held}");
    assert_eq!(held["engine"]["auto"], engine["auto"], "auto goes by the processor, not by the kernels in use");

    let text = place.run(&["doctor"]).out;
    for part in ["processor", std::env::consts::ARCH, Isa::best().name(), "auto takes", "nobody is enrolled"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn slow_kernels_are_remarked_on_once() {
    let place = Place::new();
    place.enrol();
    let stream = std::fs::read(project("demo/door.mjpeg")).unwrap();
    let second = stream.windows(3).skip(1).position(|w| w == [0xff, 0xd8, 0xff]).unwrap() + 1;
    let recording = place.file("one.mjpeg", &stream[..second]);
    let config = place.file("door.toml", format!("[source]\nmjpeg = '{recording}'\n"));
    let run = ["run", "--config", &config, "--gallery", &place.gallery()];
    let said = place.run_on("portable", &run);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.err.matches("portable kernels").count(), 1, "{said:?}");
    assert!(said.err.contains("WARN"), "{said:?}");
    assert!(place.run_on("portable", &["doctor"]).out.contains("remark      "));
    if Isa::best() != Isa::Portable {
        assert!(!place.run(&run).err.contains("portable"));
        assert!(!place.run(&["doctor"]).out.contains("remark"));
    }
}

#[test]
fn doctor_finds_what_is_broken() {
    let place = Place::new();
    place.enrol();
    let folder = place.path("models");
    std::fs::create_dir(&folder).unwrap();
    for file in ["catalogue.toml", "yunet-2023mar.onnx"] {
        std::fs::copy(project("models").join(file), folder.join(file)).unwrap();
    }
    let models = folder.display().to_string();
    let said = place.run(&["--models", &models, "doctor", "--json", "--engine", "f32", "--gallery", &place.gallery()]);
    assert_eq!(said.code, 3, "{said:?}");
    let found = &said.json()[0];
    assert_eq!((&found["ok"], &found["detector"]["error"]), (&json!(false), &Value::Null));
    assert!(found["recogniser"]["error"].as_str().unwrap().contains("mobilefacenet-arcface-192.onnx"), "{found}");
    assert_eq!(found["models"].as_array().unwrap().iter().filter(|model| model["ok"] == true).count(), 1);
    assert_eq!((&found["gallery"]["enrolled"], &found["gallery"]["error"]), (&json!(1), &Value::Null));

    let key = place.path("gallery").join("gallery.key");
    std::fs::write(&key, "no key").unwrap();
    let said = place.run(&["doctor", "--gallery", &place.gallery()]);
    assert!(said.code == 3 && said.out.contains("FAILED") && said.out.contains("gallery.key"), "{said:?}");
    let nowhere = place.path("nowhere").display().to_string();
    let said = place.run(&["doctor", "--gallery", &nowhere]);
    assert!(said.code == 3 && said.out.contains(&nowhere), "named, it must be there: {said:?}");
}

#[test]
fn models_list_tells_precision_and_what_is_taken() {
    let place = Place::new();
    let list = place.run(&["models", "list", "--json"]).json();
    let card = |id: &str| list.iter().find(|card| card["id"] == id).unwrap();
    assert_eq!((&card(FLOAT)["precision"], card(FLOAT).get("quantised_from")), (&json!("f32"), None));
    assert_eq!((&card(INT8)["precision"], &card(INT8)["quantised_from"]), (&json!("int8"), &json!(FLOAT)));
    let shown = place.run(&["models", "show", INT8]).out;
    assert!(
        shown.contains("precision = \"int8\"") && shown.contains(&format!("quantised_from = \"{FLOAT}\"")),
        "{shown}"
    );

    let text = place.run(&["models", "list"]).out;
    let taken: Vec<&str> = text.lines().filter(|line| line.starts_with('*')).collect();
    let doctor = &place.run(&["doctor", "--json"]).json()[0];
    for part in ["detector", "recogniser"] {
        let model = doctor[part]["model"].as_str().unwrap();
        assert!(taken.iter().any(|line| line.split_whitespace().nth(1) == Some(model)), "{model}: {text}");
    }
    assert_eq!(taken.len(), 4, "detector, landmarks, pad, recogniser: {text}");
}

#[test]
fn embeddings_of_two_views_are_compared_with_those_of_one() {
    let place = Place::new();
    let similarity = |arguments: &[&str]| {
        let photos = [obama("2009.jpg"), obama("2010.jpg")];
        let said = place.run(&[&["verify", &photos[0], &photos[1], "--json"], arguments].concat());
        assert_eq!(said.code, 0, "{said:?}");
        said.json()[0]["similarity"].as_f64().unwrap()
    };
    let (single, mirrored) = (similarity(&[]), similarity(&["--views", "mirrored"]));
    assert!((single - mirrored).abs() > 1e-4, "{single} {mirrored}");
    assert_eq!(single, similarity(&["--views", "single"]));
    let config = place.file("door.toml", "[source]\nmjpeg = '-'\n[recogniser]\nviews = 'mirrored'\n");
    assert_eq!(similarity(&["--config", &config]), mirrored);
    assert_eq!(similarity(&["--config", &config, "--views", "single"]), single);
    // Enrolled with two views, found with one.
    let (one, other) = (obama("2009.jpg"), obama("2010.jpg"));
    let enrolled = ["enrol", "Barack Obama", &one, "--views", "mirrored", "--gallery", &place.gallery()];
    assert_eq!(place.run(&enrolled).code, 0);
    assert_eq!(place.run(&["identify", &other, "--gallery", &place.gallery()]).code, 0);
    let wrong = place.run(&["embed", &obama("2009.jpg"), "--views", "both"]);
    assert!(wrong.code == 2 && wrong.err.contains("single or mirrored"), "{wrong:?}");
}
