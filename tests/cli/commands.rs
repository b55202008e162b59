//! What each command answers when all is well.

use serde_json::{Value, json};

use super::{Place, obama, picture, project};

fn near(value: &Value, expected: f64, tolerance: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() <= tolerance
}

#[test]
fn enrolled_from_two_photos_a_person_is_granted_by_a_third() {
    let place = Place::new();
    place.enrol();
    let gallery = place.gallery();
    // Frame 90 of the demo's sequence shows a portrait of another year.
    let frames = jpegs(&std::fs::read(project("demo/door.mjpeg")).unwrap());
    let other_year = place.file("2012.jpg", &frames[90]);
    let said = place.run(&["identify", "--gallery", &gallery, "--json", "--scores", &other_year]);
    assert_eq!(said.code, 0, "{said:?}");
    let face = &said.json()[0]["faces"][0];
    assert_eq!(face["decision"], "granted");
    assert_eq!((&face["subject"], &face["name"]), (&json!("barack-obama"), &json!("Barack Obama")));
    assert!(face["similarity"].as_f64().unwrap() > 0.6, "{face}");

    let said = place.run(&["identify", "--gallery", &gallery, "--json", &picture("stranger.jpg")]);
    assert_eq!(said.code, 1, "{said:?}");
    let face = &said.json()[0]["faces"][0];
    assert_eq!((&face["decision"], &face["reason"]), (&json!("denied"), &json!("below-threshold")));
    assert_eq!(face["subject"], Value::Null);
    assert!(face.get("similarity").is_none(), "no score unless asked for: {face}");
}

/// The pictures of concatenated JPEGs.
pub(crate) fn jpegs(stream: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(&a, b)| stream[a..b].to_vec()).collect()
}

#[test]
fn the_gallery_is_listed_shown_and_emptied() {
    let place = Place::new();
    place.enrol();
    let gallery = place.gallery();
    let list = place.run(&["gallery", "list", "--gallery", &gallery, "--json"]).json();
    assert_eq!(
        (list.len(), &list[0]["subject"], &list[0]["name"]),
        (1, &json!("barack-obama"), &json!("Barack Obama"))
    );
    let show = &place.run(&["gallery", "show", "barack-obama", "--gallery", &gallery, "--json"]).json()[0];
    assert_eq!(show["templates"].as_array().unwrap().len(), 2);
    assert_eq!(show["templates"][0]["source"], "2009.jpg", "the folder of a photo is nobody's business");
    assert!(show.to_string().find("embedding").is_none());
    let verify = place.run(&["gallery", "verify", "--gallery", &gallery, "--json"]);
    assert_eq!((verify.code, &verify.json()[0]["problems"]), (0, &json!([])));
    let removed = place.run(&["gallery", "remove", "barack-obama", "--gallery", &gallery]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(place.run(&["gallery", "list", "--gallery", &gallery]).out, "");
    assert_eq!(place.run(&["gallery", "remove", "barack-obama", "--gallery", &gallery]).code, 2);
}

#[test]
fn an_export_moves_a_gallery_to_another_board() {
    let place = Place::new();
    place.enrol();
    let passphrase = place.file("passphrase", "correct horse battery staple\n");
    let file = place.path("gallery.age").display().to_string();
    let elsewhere = place.path("elsewhere").display().to_string();
    let export = ["gallery", "export", &file, "--passphrase-file", &passphrase, "--gallery", &place.gallery()];
    assert_eq!(place.run(&export).code, 0);
    assert_eq!(place.run(&export).code, 2, "an export is never overwritten");
    let none = place.run(&["gallery", "import", &file, "--gallery", &elsewhere]);
    assert_ne!(none.code, 0, "without the passphrase: {none:?}");
    let import = ["gallery", "import", &file, "--passphrase-file", &passphrase, "--gallery", &elsewhere, "--json"];
    assert_eq!(place.run(&import).json(), [json!({"added": 1, "unchanged": 0})]);
    assert_eq!(place.run(&import).json(), [json!({"added": 0, "unchanged": 1})]);
    let said = place.run(&["identify", "--gallery", &elsewhere, &obama("2009.jpg")]);
    assert_eq!(said.code, 0, "{said:?}");
    let plain = place.path("gallery.json").display().to_string();
    let said = place.run(&["gallery", "export", &plain, "--plain", "--gallery", &elsewhere]);
    assert!(said.code == 0 && said.err.contains("not encrypted"), "{said:?}");
    let undecided = place.run(&["gallery", "export", &plain, "--gallery", &elsewhere]);
    assert_eq!(undecided.code, 2, "plain only when asked for");
}

#[test]
fn the_gallery_is_where_systemd_or_the_user_keeps_data() {
    let place = Place::new();
    let state = place.path("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let enrol = ["enroll", "Barack Obama", &obama("2009.jpg")];
    place.command(&enrol).env("STATE_DIRECTORY", &state).assert().success();
    assert!(state.join("gallery.redb").exists() && state.join("gallery.key").exists());
    place.command(&enrol).assert().success();
    assert!(place.path(".local/share/doorward/gallery.redb").exists());
}

#[test]
fn verify_compares_one_to_one() {
    let place = Place::new();
    let same = place.run(&["verify", &obama("2009.jpg"), &obama("2009.jpg"), "--json"]);
    assert_eq!(same.code, 0, "{same:?}");
    let record = &same.json()[0];
    assert!(near(&record["similarity"], 1.0, 0.001) && record["mated"] == true, "{record}");
    let two = &place.run(&["verify", &obama("2009.jpg"), &obama("2010.jpg"), "--json"]).json()[0];
    assert!(two["mated"] == true && two["similarity"].as_f64().unwrap() < 0.999, "{two}");
    let strangers = place.run(&["verify", &obama("2009.jpg"), &picture("stranger.jpg"), "--json"]);
    assert_eq!((strangers.code, &strangers.json()[0]["mated"]), (1, &json!(false)));
    let strict = place.run(&["verify", &obama("2009.jpg"), &obama("2010.jpg"), "--threshold", "0.99"]);
    assert_eq!(strict.code, 1, "{strict:?}");
    let point = |name| place.run(&["verify", &obama("2009.jpg"), &obama("2010.jpg"), "--operating-point", name]);
    assert_eq!(point("fmr-0.001").code, 0);
    assert_eq!((point("fpir-0.01").code, point("perfect").code), (2, 2), "never another point than the one asked for");
    let nobody = place.run(&["verify", &obama("2009.jpg"), &picture("no-face.jpg"), "--json"]);
    assert_eq!((nobody.code, &nobody.json()[0]["similarity"]), (1, &Value::Null));
    assert!(nobody.err.contains("no-face.jpg"), "{nobody:?}");
}

#[test]
fn embed_prints_unit_vectors() {
    let place = Place::new();
    let said = place.run(&["embed", "--json", &picture("portrait.jpg"), &picture("no-face.jpg")]);
    let lines = said.json();
    assert_eq!((said.code, lines.len()), (0, 2));
    let face = &lines[0]["faces"][0];
    let norm: f64 = face["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap().powi(2)).sum();
    assert!((norm - 1.0).abs() < 1e-4, "{norm}");
    assert_eq!(face["landmarks"].as_array().unwrap().len(), 5);
    assert_eq!(face["bbox"].as_array().unwrap().len(), 4);
    assert!(face["score"].as_f64().unwrap() > 0.5);
    assert_eq!(lines[1]["faces"], json!([]));
}

#[test]
fn aligned_crops_are_embedded_as_they_are() {
    let place = Place::new();
    let crop = |name: &str| project("tests/golden").join(name).display().to_string();
    let said =
        place.run(&["embed", "--aligned", "--json", &crop("obama-2009-aligned.png"), &crop("obama-2012-aligned.png")]);
    let vector = |v: &Value| -> Vec<f64> {
        v["faces"][0]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    let lines = said.json();
    let cosine: f64 = vector(&lines[0]).iter().zip(vector(&lines[1])).map(|(a, b)| a * b).sum();
    assert!(cosine > 0.5, "two portraits of one man: {cosine}");
    let wrong = place.run(&["embed", "--aligned", "--json", &picture("portrait.jpg")]);
    assert!(wrong.code == 2 && wrong.err.contains("112x112"), "{wrong:?}");
}

#[test]
fn detect_finds_six_faces_and_draws_them() {
    let place = Place::new();
    let out = place.path("out");
    let out_dir = out.display().to_string();
    let said = place.run(&["detect", "--json", "--out", &out_dir, &picture("six-faces.jpg")]);
    assert_eq!(said.code, 0, "{said:?}");
    let faces = said.json()[0]["faces"].clone();
    assert_eq!(faces.as_array().unwrap().len(), 6);
    assert!(faces[0]["quality"]["size_px"].as_f64().unwrap() > 20.0);
    let drawn = image::open(out.join("six-faces.jpg")).unwrap().to_rgb8();
    let plain = image::open(picture("six-faces.jpg")).unwrap().to_rgb8();
    assert_eq!(drawn.dimensions(), plain.dimensions());
    assert_ne!(drawn, plain);
    assert_eq!(place.run(&["detect", &picture("no-face.jpg")]).code, 1);
}

#[test]
fn both_detectors_find_the_portrait() {
    let place = Place::new();
    let bbox = |detector| {
        let said = place.run(&["detect", "--json", "--detector", detector, &picture("portrait.jpg")]);
        let faces = said.json()[0]["faces"].clone();
        assert_eq!(faces.as_array().unwrap().len(), 1, "{detector}: {said:?}");
        let points = faces[0]["landmarks"].clone();
        (points[0][0].as_f64().unwrap(), points[1][0].as_f64().unwrap())
    };
    let (yunet, seeta) = (bbox("yunet"), bbox("seeta"));
    let eye_distance = yunet.1 - yunet.0;
    assert!((yunet.0 - seeta.0).abs() < 0.2 * eye_distance, "{yunet:?} {seeta:?}");
}

#[test]
fn bench_reports_every_stage() {
    let place = Place::new();
    let said = place.run(&["bench", "--json", "--frames", "20", "--rounds", "1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let report = &said.json()[0];
    for stage in ["detect", "align", "embed", "identify", "decide"] {
        for key in ["p50_ms", "p95_ms", "p99_ms"] {
            assert!(report["stages"][stage][key].as_f64().unwrap() >= 0.0, "{stage} {key}: {report}");
        }
        assert!(report["stages"][stage]["n"].as_u64().unwrap() > 0, "{stage}: {report}");
    }
    assert!(report["frames_per_s"].as_f64().unwrap() > 0.0 && report["rss_mb"].as_f64().unwrap() > 1.0);
    assert_eq!(report["isa"], doorward::nn::Isa::best().name());
    assert_eq!(report["threads"], 1);
    assert_eq!(report["machine"]["architecture"], std::env::consts::ARCH);
    assert!(report["machine"]["cores"].as_u64().unwrap() >= 1, "{report}");
    assert!(report.get("profile").is_none(), "only when asked for: {report}");
}

#[test]
fn models_are_listed_shown_and_verified() {
    let place = Place::new();
    let list = place.run(&["models", "list", "--json"]).json();
    assert!(list.len() >= 4 && list.iter().any(|m| m["role"] == "recogniser"), "{list:?}");
    let show = place.run(&["models", "show", "mobilefacenet-arcface-192"]);
    assert!(show.out.contains("ArcFace") && show.out.contains("sha256"), "{show:?}");
    let verify = place.run(&["models", "verify", "--json"]);
    assert_eq!(verify.code, 0);
    assert!(verify.json().iter().all(|m| m["ok"] == true));
    assert_eq!(place.run(&["models", "show", "arcface-r100"]).code, 2);
    let folder = project("models").display().to_string();
    assert_eq!(place.run(&["--models", &folder, "models", "verify"]).code, 0);
}

#[test]
fn help_has_examples_and_every_command() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert!(help.code == 0 && help.out.contains("Examples:") && help.out.contains("Exit codes"), "{help:?}");
    for command in
        ["demo", "run", "enrol", "gallery", "identify", "verify", "embed", "detect", "bench", "doctor", "models"]
    {
        assert!(help.out.contains(command), "{command}");
        assert_eq!(place.run(&[command, "--help"]).code, 0, "{command}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new();
    place.enrol();
    // The read end is gone before the first byte is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["gallery", "list", "--json", "--gallery", &place.gallery()])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn an_expired_enrolment_is_denied_by_name() {
    let place = Place::new();
    let gallery = place.gallery();
    let photo = obama("2009.jpg");
    let said = place.run(&["enrol", "Barack Obama", &photo, "--expires", "2020-01-01", "--gallery", &gallery]);
    assert!(said.code == 0 && said.err.contains("expired"), "{said:?}");
    let said = place.run(&["identify", &photo, "--json", "--gallery", &gallery]);
    let face = &said.json()[0]["faces"][0];
    assert_eq!((said.code, &face["decision"], &face["reason"]), (1, &json!("denied"), &json!("expired")));
    assert_eq!(face["subject"], "barack-obama");
}

#[test]
fn enrolment_accepts_in_part_and_says_which() {
    let place = Place::new();
    let said = place.run(&[
        "enrol",
        "Barack Obama",
        &obama("2009.jpg"),
        &picture("no-face.jpg"),
        &picture("six-faces.jpg"),
        "--json",
        "--gallery",
        &place.gallery(),
        "--attribute",
        "floor=2",
        "--expires",
        "2099-12-31",
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    let lines = said.json();
    assert_eq!(lines[0]["taken"], true);
    assert_eq!((&lines[1]["taken"], &lines[1]["reasons"]), (&json!(false), &json!(["no-face"])));
    assert_eq!(lines[2]["reasons"], json!(["several-faces"]));
    assert_eq!((&lines[3]["taken"], &lines[3]["refused"], &lines[3]["enrolled"]), (&json!(1), &json!(2), &json!(true)));
    let list = place.run(&["gallery", "list", "--json", "--gallery", &place.gallery()]).json();
    assert_eq!(list[0]["attributes"], json!({"floor": "2"}));
    assert!(
        list[0]["expires"].as_str().unwrap().starts_with("2099-12-31")
            || list[0]["expires"].as_str().unwrap().starts_with("2100-01-01")
    );
}

#[test]
fn enrolment_never_overwrites_and_never_takes_somebody_else() {
    let place = Place::new();
    place.enrol();
    let gallery = place.gallery();
    let again = place.run(&["enrol", "Barack Obama", &obama("2009.jpg"), "--gallery", &gallery]);
    assert!(again.code == 2 && again.err.contains("enrolled already") && again.err.contains("--add"), "{again:?}");
    let added = place.run(&["enrol", "--add", "Barack Obama", &obama("2010.jpg"), "--gallery", &gallery]);
    assert_eq!(added.code, 0, "{added:?}");
    let other = place.run(&["enrol", "Somebody Else", &obama("2010.jpg"), "--gallery", &gallery, "--json"]);
    assert_eq!(other.code, 1, "{other:?}");
    let refused = &other.json()[0];
    assert_eq!(refused["reasons"], json!(["enrolled-as-another"]));
    assert!(refused["text"].as_str().unwrap().contains("barack-obama"), "{refused}");
    let list = place.run(&["gallery", "list", "--json", "--gallery", &gallery]).json();
    assert_eq!(list.len(), 1);
    let unknown = place.run(&["enrol", "--add", "Nobody", &picture("stranger.jpg"), "--gallery", &gallery]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
}

#[test]
fn enrolment_takes_the_best_frames_of_a_source() {
    let place = Place::new();
    let frames = jpegs(&std::fs::read(project("demo/door.mjpeg")).unwrap());
    let recording = place.file("portrait.mjpeg", frames[81..105].concat());
    let said = place.run(&["enrol", "Visitor", "--source", &recording, "--gallery", &place.gallery(), "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let lines = said.json();
    let subject = lines.last().unwrap();
    assert!((2..=5).contains(&subject["taken"].as_u64().unwrap()), "{subject}");
    let said = place.run(&["identify", "--gallery", &place.gallery(), &obama("2010.jpg"), "--scores"]);
    assert!(said.out.contains("Visitor"), "{said:?}");
}
