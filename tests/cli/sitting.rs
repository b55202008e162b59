//! Enrolment before a source: recordings, and recordings played as if somebody sat before a camera.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Place, Said, commands::jpegs, project};

/// Writes these frames of the demo's sequence as a recording of their own.
fn recording(place: &Place, name: &str, frames: impl IntoIterator<Item = usize>) -> String {
    let sequence = jpegs(&fs::read(project("demo/door.mjpeg")).unwrap());
    let bytes: Vec<u8> = frames.into_iter().flat_map(|n| sequence[n].clone()).collect();
    place.file(name, bytes)
}

fn enrol(place: &Place, name: &str, source: &str, more: &[&str]) -> Said {
    let gallery = place.gallery();
    place.run(&[&["enrol", name, "--gallery", &gallery, "--source", source], more].concat())
}

/// The lines about pictures.
fn pictures(said: &Said) -> Vec<Value> {
    said.json().into_iter().filter(|line| line.get("image").is_some()).collect()
}

fn number(picture: &Value) -> usize {
    picture["image"].as_str().unwrap().rsplit('#').next().unwrap().parse().unwrap()
}

#[test]
fn frames_of_one_person_are_taken_apart_from_each_other() {
    let place = Place::new();
    let source = recording(&place, "film.mjpeg", 8..45);
    let said = enrol(&place, "Resident", &source, &["--json", "--frames", "4"]);
    assert_eq!(said.code, 0, "{said:?}");
    let numbers: Vec<usize> = pictures(&said).iter().map(number).collect();
    assert!((3..=4).contains(&numbers.len()), "{numbers:?}");
    // At fifteen frames a second half a second is seven and a half.
    assert!(numbers.windows(2).all(|two| two[1] >= two[0] + 8), "{numbers:?}");
    assert!(said.json().iter().all(|line| line.get("guide").is_none()), "nobody is there to be guided");
}

#[test]
fn whoever_comes_later_is_not_taken() {
    let place = Place::new();
    let source = recording(&place, "two.mjpeg", (8..45).chain(51..75));
    let said = enrol(&place, "Resident", &source, &["--json", "--frames", "30"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(pictures(&said).iter().all(|picture| picture["taken"] == true && number(picture) < 37), "{said:?}");
}

#[test]
fn somebody_who_is_enrolled_already_is_told_at_once() {
    let place = Place::new();
    place.enrol();
    let source = recording(&place, "again.mjpeg", 81..105);
    let said = enrol(&place, "Somebody Else", &source, &["--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let refused = &pictures(&said)[0];
    assert_eq!(refused["reasons"], json!(["enrolled-as-another"]));
    assert_eq!(refused["image"], "again.mjpeg (3 frames)", "it is sure after three");
    assert!(refused["text"].as_str().unwrap().contains("barack-obama"), "{refused}");
}

#[test]
fn too_few_good_frames_enrol_nobody_and_say_why() {
    let place = Place::new();
    let sheet = place.path("sheet.jpg");
    let source = recording(&place, "wall.mjpeg", (0..8).chain(45..51).chain(81..83));
    let more = ["--json", "--out", sheet.to_str().unwrap()];
    let said = enrol(&place, "Nobody", &source, &more);
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(pictures(&said)[0]["reasons"], json!(["too-few-frames", "no-face"]));
    let text = pictures(&said)[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("1 good frame") && text.contains("3 are needed") && text.contains("14 no-face"), "{text}");
    assert!(!place.path("gallery").exists() && !sheet.exists(), "nothing is left behind");
}

#[test]
fn a_sheet_of_what_was_taken_is_written_only_when_asked_for() {
    let place = Place::new();
    let (source, sheet) = (recording(&place, "film.mjpeg", 8..45), place.path("sheet.jpg"));
    let out = ["--out", sheet.to_str().unwrap()];
    let said = enrol(&place, "Resident", &source, &out);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(fs::metadata(&sheet).unwrap().permissions().mode() & 0o777, 0o600);
    let taken = said.out.lines().filter(|line| line.starts_with("taken")).count() as u32;
    let drawn = image::open(&sheet).unwrap().to_rgb8();
    assert!(drawn.width() >= taken.min(5) * 112 && drawn.height() >= 112, "{taken} in {:?}", drawn.dimensions());
    let again = enrol(&place, "Resident", &source, &[&out[..], &["--add"]].concat());
    assert!(again.code == 2 && again.err.contains("sheet.jpg") && again.err.contains("not overwritten"), "{again:?}");

    let elsewhere = Place::new();
    let source = recording(&elsewhere, "film.mjpeg", 8..45);
    assert_eq!(enrol(&elsewhere, "Resident", &source, &[]).code, 0);
    let left: Vec<_> = fs::read_dir(elsewhere.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the recording and the gallery: {left:?}");
}

/// Longer than it takes until three frames half a second apart are had, on a busy machine too.
fn portrait_for_long(place: &Place) -> String {
    recording(place, "sitter.mjpeg", (0..6).flat_map(|_| 81..105))
}

#[test]
fn a_sitter_is_guided_line_by_line_or_as_json() {
    let place = Place::new();
    let source = portrait_for_long(&place);
    let said = enrol(&place, "Sitter", &source, &["--realtime", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let guide: Vec<Value> = said.json().into_iter().filter(|line| line.get("guide").is_some()).collect();
    assert_eq!(guide[0], json!({"guide": "look-at-camera", "taken": 0, "of": 5}));
    assert!(guide.iter().any(|line| line["guide"] == "turn-left"), "{guide:?}");
    assert!(guide.windows(2).all(|two| two[0] != two[1]), "only what changes: {guide:?}");

    let elsewhere = Place::new();
    let said = enrol(&elsewhere, "Sitter", &source, &["--realtime"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("[0/5] look at the camera\n"), "{said:?}");
    assert!(said.err.contains("turn your head a little to your left\n") && !said.err.contains('\r'), "{said:?}");
}

#[test]
fn an_interrupt_leaves_nothing_enrolled() {
    let place = Place::new();
    let (source, sheet) = (portrait_for_long(&place), place.path("sheet.jpg"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["enrol", "Sitter", "--source", &source, "--realtime", "--json", "--gallery", &place.gallery(), "--out"])
        .arg(&sheet)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert!(first.contains("look-at-camera"), "{first}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("nothing was enrolled"), "{said}");
    assert!(!place.path("gallery").exists() && !sheet.exists());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    let source = recording(&place, "film.mjpeg", 8..10);
    let photo = project("tests/pictures/portrait.jpg").display().to_string();
    for (arguments, named) in [
        (vec!["--source", &source, "--frames", "3"], "4..=30"),
        (vec!["--source", &source, "--frames", "31"], "4..=30"),
        (vec![&photo, "--frames", "5"], "IMAGE"),
        (vec![&photo, "--realtime"], "IMAGE"),
        (vec!["--source", "http://127.0.0.1:9/", "--realtime"], "--realtime"),
        (vec!["--source", &source, "--out", "sheet.gif"], ".jpg"),
    ] {
        let gallery = place.gallery();
        let said = place.run(&[&["enrol", "Somebody", "--gallery", &gallery], &arguments[..]].concat());
        assert!(said.code == 2 && said.err.contains(named), "{arguments:?}: {said:?}");
    }
}
