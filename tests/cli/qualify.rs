//! `doorward pad qualify`: what is recorded, what counts, and what makes it stale. What the net is worth is not tested here.

use std::{fs, io::Cursor, os::unix::fs::PermissionsExt};

use image::{ImageFormat, RgbImage, imageops};
use serde_json::{Value, json};

use super::{Place, Said, picture};

impl Place {
    /// A door whose camera is a recording, which is written anew for every presentation.
    fn door(&self) -> String {
        self.door_named("front")
    }

    fn door_named(&self, name: &str) -> String {
        let (recording, gallery) = (self.path("camera.mjpeg"), self.gallery());
        let text = format!("[source]\nname = {name:?}\nmjpeg = {recording:?}\n[gallery]\ndir = {gallery:?}\n");
        self.file("door.toml", text)
    }

    /// The camera's next frames: a face at some distance, with enough around it.
    fn film(&self, frames: usize, shade: u8) {
        let portrait = image::open(picture("portrait.jpg")).unwrap().to_rgb8();
        let mut scene = RgbImage::from_fn(640, 480, |x, y| image::Rgb([(x / 4) as u8, shade, (y / 2) as u8]));
        imageops::overlay(&mut scene, &portrait, 210, 130);
        let mut jpeg = Cursor::new(Vec::new());
        scene.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
        self.file("camera.mjpeg", jpeg.into_inner().repeat(frames));
    }

    fn qualify(&self, step: &str, more: &[&str]) -> Said {
        let config = self.door();
        self.run(&[&["pad", "qualify", step, "--config", &config], more].concat())
    }

    fn record(&self, subject: &str, kind: &[&str]) -> Said {
        self.qualify("record", &[&["--subject", subject, "--json"], kind].concat())
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("gallery/pad-qualification.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn a_presentation_is_recorded_in_numbers_and_a_recording_once() {
    let place = Place::new();
    place.film(40, 90);
    let said = place.record("Ada", &["--bona-fide"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told = &said.json()[0];
    assert_eq!(
        (&told["judged"], &told["not_judged"], &told["recorded"]),
        (&json!(30), &json!({}), &json!(true)),
        "{told}"
    );
    // Whatever the net says of this scene, the outcome is that of the mean.
    let expected = if told["mean_log_odds"].as_f64().unwrap() >= 0.0 { "bona-fide" } else { "attack" };
    assert_eq!((&told["outcome"], &told["qualified"]), (&json!(expected), &json!(false)));

    let path = place.path("gallery/pad-qualification.jsonl");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let lines = place.lines();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(
        (&line["subject"], &line["species"], &line["frame_px"]),
        (&json!("Ada"), &Value::Null, &json!([640, 480]))
    );
    assert_eq!(line["frames"].as_array().unwrap().len(), 30);
    assert!(fs::metadata(&path).unwrap().len() < 4096, "no picture is kept");

    let again = place.record("Ada", &["--attack", "print"]);
    assert!(again.code == 1 && again.json()[0]["recorded"] == json!(false), "{again:?}");
    place.film(11, 200);
    let other = place.record("Ada", &["--attack", " Print"]);
    assert!(other.code == 0 && other.json()[0]["species"] == "print", "{other:?}");
    assert_eq!(place.lines().len(), 2);
    // The folder was made for the record: a gallery finds room in it.
    place.enrol();
}

#[test]
fn nobody_before_the_camera_is_no_presentation() {
    let place = Place::new();
    place.file("camera.mjpeg", fs::read(picture("no-face.jpg")).unwrap().repeat(3));
    let said = place.record("Ada", &["--bona-fide"]);
    assert_eq!((said.code, &said.json()[0]["without_face"]), (1, &json!(3)), "{said:?}");
    assert!(!place.path("gallery").exists());
    let text = place.qualify("record", &["--subject", "Ada", "--bona-fide"]).out;
    assert!(
        text.contains("no face in any frame (3): nothing is recorded")
            && text.contains("nothing is recorded; `doorward")
    );
}

#[test]
fn frames_that_are_not_judged_are_told_with_what_to_do() {
    let place = Place::new();
    place.file("camera.mjpeg", fs::read(picture("portrait.jpg")).unwrap().repeat(12));
    let said = place.qualify("record", &["--subject", "Ada", "--bona-fide"]);
    assert_eq!(said.code, 0, "{said:?}");
    for expected in
        ["Ada, bona fide: undetermined, scale (step back", "12 not judged, scale: step back", "1 of 1 denied"]
    {
        assert!(said.out.contains(expected), "{expected}: {said:?}");
    }
}

/// A record of this door that meets the gate, made of one line that it wrote itself.
fn fill(place: &Place, change: impl Fn(&mut Vec<Value>)) {
    let line = place.lines().remove(0);
    let mut lines = Vec::new();
    for (species, outcome, n) in
        [(Some("print"), "attack", 29), (Some("screen"), "attack", 29), (None, "bona-fide", 59)]
    {
        for n in 0..n {
            let mut line = line.clone();
            line["species"] = json!(species);
            line["outcome"] = json!(outcome);
            line["subject"] = json!(format!("person {}", n % 10));
            lines.push(line);
        }
    }
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    place.file("gallery/pad-qualification.jsonl", text);
}

#[test]
fn a_report_says_whether_the_gate_is_met_and_how_far() {
    let place = Place::new();
    let nothing = place.qualify("report", &["--json"]);
    assert_eq!((nothing.code, &nothing.json()[0]["state"]), (1, &json!("not-qualified")), "{nothing:?}");
    place.film(10, 90);
    assert_eq!(place.record("Ada", &["--bona-fide"]).code, 0);

    fill(&place, |_| ());
    let met = place.qualify("report", &["--json"]);
    let report = &met.json()[0];
    assert_eq!((met.code, &report["state"], &report["warnings"]), (0, &json!("qualified"), &json!([])), "{report}");
    let print = &report["attacks"]["print"];
    assert_eq!((&print["errors"], &print["trials"], &print["met"]), (&json!(0), &json!(29), &json!(true)));
    assert!((print["upper_bound"].as_f64().unwrap() - 0.0981).abs() < 1e-4, "{print}");
    assert_eq!(print["by_subject"]["person 0"], json!({"errors": 0, "trials": 3}));
    let text = place.qualify("report", &[]);
    assert!(
        text.code == 0 && text.out.contains("at most 9.8 % (95 %, one-sided)") && text.out.contains("is qualified")
    );

    // One attack accepted, and one that is not determined; one person fewer.
    fill(&place, |lines| {
        lines[29]["outcome"] = json!("bona-fide");
        lines[0]["outcome"] = json!("dark");
        lines.pop();
    });
    let far = place.qualify("report", &[]);
    assert_eq!(far.code, 1, "{far:?}");
    for expected in [
        "print: 28 of 29 presentations, none accepted (1 more undetermined)",
        "screen: 1 of 29 accepted, this camera does not pass",
        "bona fide: 58 of 59 presentations, none denied",
        "undetermined 1 of 29: 1 dark",
        "not qualified",
    ] {
        assert!(far.out.contains(expected), "{expected}: {far:?}");
    }

    // Torn: the last line was never told of as recorded.
    let path = place.path("gallery/pad-qualification.jsonl");
    fill(&place, |_| ());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], &whole[..300]].concat()).unwrap();
    assert_eq!(place.qualify("report", &[]).code, 0);
    // Damaged inside: what the line told is not known.
    fs::write(&path, [&whole[..300], b"\n", &whole[..]].concat()).unwrap();
    let damaged = place.qualify("report", &["--json"]);
    assert_eq!((damaged.code, &damaged.json()[0]["damaged_lines"]), (1, &json!([1])), "{damaged:?}");
}

#[test]
fn another_camera_or_other_limits_make_it_stale() {
    let place = Place::new();
    place.film(10, 90);
    assert_eq!(place.record("Ada", &["--bona-fide"]).code, 0);
    fill(&place, |_| ());
    assert_eq!(place.qualify("report", &[]).code, 0);
    let config = place.door_named("back");
    let said = place.run(&["pad", "qualify", "report", "--config", &config, "--json"]);
    let report = &said.json()[0];
    assert_eq!((said.code, &report["state"], &report["changed"]), (1, &json!("stale"), &json!(["the source's name"])));
    fill(&place, |lines| {
        for line in lines {
            line["conditions"]["limits"] = json!("others");
        }
    });
    let said = place.qualify("report", &[]);
    assert!(said.code == 1 && said.out.contains("out of date: the limits changed since the last of 117"), "{said:?}");
    // What is recorded now begins anew.
    let recorded = place.record("Ada", &["--bona-fide"]);
    assert_eq!(recorded.code, 0, "{recorded:?}");
    let report = place.qualify("report", &["--json"]).json().remove(0);
    assert_eq!((&report["bona_fide"]["presentations"], &report["not_counted"]), (&json!(1), &json!(117)), "{report}");
}

#[test]
fn a_list_of_recordings_counts_as_if_presented() {
    let place = Place::new();
    place.film(12, 90);
    fs::copy(place.path("camera.mjpeg"), place.path("ada.mjpeg")).unwrap();
    place.film(12, 160);
    fs::copy(place.path("camera.mjpeg"), place.path("print.mjpeg")).unwrap();
    fs::copy(picture("no-face.jpg"), place.path("no-face.jpg")).unwrap();
    let rows = ",ada.mjpeg,no,,1,Ada\n,print.mjpeg,yes,Print,1,Ada\nno-face.jpg,,yes,screen,1,Eve\n";
    let list = place.file("pad.csv", format!("image,video,attack,species,presentation,subject\n{rows}"));
    let root = place.path("").display().to_string();
    let from = || place.qualify("from", &["--list", &list, "--root", &root, "--json"]);
    let said = from();
    assert_eq!(said.code, 0, "{said:?}");
    let told = &said.json()[0];
    assert_eq!((&told["added"], &told["recorded_before"]), (&json!(2), &json!(0)));
    assert_eq!(told["without_face"], json!(["Eve, screen, 1 (frames: 1)"]));
    let report = place.qualify("report", &["--json"]).json().remove(0);
    assert_eq!(report["attacks"]["print"]["presentations"], 1, "{report}");
    assert_eq!((&report["attacks"]["screen"]["presentations"], &report["frame_px"]), (&json!(0), &json!([640, 480])));
    let again = from();
    assert_eq!((again.code, &again.json()[0]["recorded_before"]), (1, &json!(2)), "{again:?}");
}

#[test]
fn a_record_is_removed_only_when_that_is_said() {
    let place = Place::new();
    place.film(10, 90);
    assert_eq!(place.record("Ada", &["--bona-fide"]).code, 0);
    let asked = place.qualify("reset", &[]);
    assert!(
        asked.code == 2 && asked.err.contains("pad-qualification.jsonl") && asked.err.contains("--yes"),
        "{asked:?}"
    );
    assert_eq!(place.lines().len(), 1);
    let removed = place.qualify("reset", &["--yes"]);
    assert!(removed.code == 0 && removed.out.contains("removed"), "{removed:?}");
    assert!(place.qualify("reset", &["--yes"]).out.contains("there is no record"));
    assert_eq!(place.qualify("report", &[]).code, 1);
}

#[test]
fn what_is_not_said_clearly_is_refused_with_the_remedy() {
    let place = Place::new();
    place.film(10, 90);
    let door = place.door();
    let record = |more: &[&str]| place.run(&[&["pad", "qualify", "record"], more].concat());
    for (said, expected) in [
        (record(&["--config", &door, "--subject", "Ada"]), "--bona-fide"),
        (record(&["--config", &door, "--subject", "Ada", "--bona-fide", "--attack", "print"]), "cannot be used with"),
        (record(&["--config", &door, "--subject", " ", "--bona-fide"]), "1 to 64 printable characters"),
        (record(&["--config", &door, "--subject", "Ada", "--attack", ""]), "1 to 64 printable characters"),
        (record(&["--subject", "Ada", "--bona-fide"]), "--config <FILE>"),
        (record(&["--config", "none.toml", "--subject", "Ada", "--bona-fide"]), "none.toml"),
        (place.run(&["pad", "qualify", "report"]), "--config <FILE>"),
    ] {
        assert!(said.code == 2 && said.err.contains(expected) && said.out.is_empty(), "{expected}: {said:?}");
    }
    assert!(!place.path("gallery").exists());
    fs::create_dir_all(place.path("gallery/pad-qualification.jsonl")).unwrap();
    let folder = record(&["--config", &door, "--subject", "Ada", "--bona-fide"]);
    assert!(folder.code == 3 && folder.err.contains("qualification cannot be read"), "{folder:?}");
}
