//! Photos of one enrolment are held against each other; what that finds is measured.

use serde_json::{Value, json};

use super::{Place, Said, obama, picture, project};

fn enrol(place: &Place, arguments: &[&str]) -> Said {
    let gallery = place.gallery();
    place.run(&[&["enrol", "Barack Obama", "--gallery", gallery.as_str()], arguments].concat())
}

fn reasons(said: &Said) -> Vec<Value> {
    said.json().into_iter().filter(|line| line.get("image").is_some()).map(|line| line["reasons"].clone()).collect()
}

fn templates(place: &Place) -> usize {
    let shown = place.run(&["gallery", "show", "barack-obama", "--json", "--gallery", &place.gallery()]);
    shown.json()[0]["templates"].as_array().unwrap().len()
}

#[test]
fn a_photo_of_somebody_else_is_set_aside_and_the_others_are_enrolled() {
    let place = Place::new();
    let photos = [picture("stranger.jpg"), obama("2009.jpg"), obama("2010.jpg")];
    let said = enrol(&place, &[&photos[0], &photos[1], &photos[2], "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(reasons(&said), [json!(["set-aside"]), json!([]), json!([])]);
    let text = said.json()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("alone: similarity") && text.contains("below 0.4"), "{text}");
    assert_eq!(templates(&place), 2);
}

#[test]
fn of_two_photos_that_disagree_neither_is_taken_unless_asked_for() {
    let place = Place::new();
    let (one, other) = (obama("2009.jpg"), picture("stranger.jpg"));
    let said = enrol(&place, &[&one, &other, "--json"]);
    assert_eq!((said.code, reasons(&said)), (1, vec![json!(["undecided"]), json!(["undecided"])]), "{said:?}");
    assert_eq!(said.json()[2]["enrolled"], false);
    assert!(!place.path("gallery").exists(), "nothing is left behind");
    let told = enrol(&place, &[&one, &other]);
    assert!(told.out.contains("do not show one face") && told.out.contains("--keep-all"), "{told:?}");
    let all = enrol(&place, &[&one, &other, "--keep-all", "--json"]);
    assert_eq!((all.code, reasons(&all)), (0, vec![json!([]), json!([])]), "{all:?}");
    assert_eq!(templates(&place), 2);
}

#[test]
fn photos_that_are_added_are_held_against_those_enrolled() {
    let place = Place::new();
    let (stranger, again) = (picture("stranger.jpg"), obama("2010.jpg"));
    assert_eq!(enrol(&place, &[&obama("2009.jpg")]).code, 0);
    let said = enrol(&place, &["--add", &stranger, "--json"]);
    assert_eq!((said.code, reasons(&said)), (1, vec![json!(["set-aside"])]), "{said:?}");
    let said = enrol(&place, &["--add", &stranger, &again, "--json"]);
    assert_eq!((said.code, reasons(&said)), (0, vec![json!(["set-aside"]), json!([])]), "{said:?}");
    assert_eq!(templates(&place), 2);
    let said = enrol(&place, &["--add", "--keep-all", &stranger]);
    assert_eq!((said.code, templates(&place)), (0, 3), "{said:?}");
}

/// A list of the photos in the project.
fn list(place: &Place, name: &str, rows: &[(&str, &str)]) -> String {
    let rows: String = rows.iter().map(|(subject, image)| format!("{subject},{image}\n")).collect();
    place.file(name, format!("subject,image\n{rows}"))
}

const ENROLLED: &[(&str, &str)] = &[
    ("Obama", "demo/enrol/Barack Obama/2009.jpg"),
    ("Obama", "demo/enrol/Barack Obama/2010.jpg"),
    ("Resident", "demo/enrol/Resident/video-240.jpg"),
    ("Resident", "demo/enrol/Resident/video-256.jpg"),
    ("Resident", "demo/enrol/Resident/video-272.jpg"),
];

fn measure(place: &Place, gallery: &str, strangers: &str, more: &[&str]) -> Said {
    let root = project("").display().to_string();
    let arguments = ["eval", "enrolment", "--gallery", gallery, "--nonmated", strangers, "--root", &root, "--no-cache"];
    place.run(&[&arguments, more].concat())
}

#[test]
fn a_planted_photo_is_found() {
    let place = Place::new();
    let gallery = list(&place, "gallery.csv", ENROLLED);
    let strangers = list(&place, "strangers.csv", &[("", "tests/pictures/stranger.jpg")]);
    let plot = place.path("planted.svg").display().to_string();
    let more = ["--photos", "3,4,10", "--repetitions", "2"];
    let said = measure(&place, &gallery, &strangers, &[&more[..], &["--json", "--plot", &plot]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let report = &said.json()[0];
    assert_eq!((&report["subjects"], &report["nonmated"], &report["repetitions"]), (&json!(2), &json!(1), &json!(2)));
    let three = &report["planted"]["3"];
    assert_eq!(
        (&three["subjects"], &three["found"]["errors"], &three["found"]["trials"]),
        (&json!(2), &json!(4), &json!(4))
    );
    assert_eq!((&three["lost"]["errors"], &three["lost"]["trials"]), (&json!(0), &json!(8)));
    assert_eq!(three["fnir_purified"]["trials"], 2, "one photo of the resident is left each time");
    assert_eq!(report["planted"]["4"]["subjects"], 1);
    assert_eq!(report["planted"]["10"], Value::Null);
    assert!(std::fs::read_to_string(&plot).unwrap().starts_with("<svg"));
    let told = measure(&place, &gallery, &strangers, &more);
    assert!(
        told.out.contains("1 wrong photo in 10: cannot be said") && told.out.contains("wrong photo found"),
        "{told:?}"
    );
}

#[test]
fn lists_that_say_nothing_about_enrolment_are_refused() {
    let place = Place::new();
    let gallery = list(&place, "gallery.csv", ENROLLED);
    for (rows, expected) in [
        (&[("Obama", "tests/pictures/stranger.jpg")][..], "subject Obama"),
        (&[("", "demo/enrol/Barack Obama/2009.jpg")], "2009.jpg"),
        (&[("", "demo/enrol/nobody.jpg")], "nobody.jpg"),
    ] {
        let said = measure(&place, &gallery, &list(&place, "strangers.csv", rows), &[]);
        assert!(said.code == 2 && said.err.contains(expected), "{said:?}");
    }
    let strangers = list(&place, "strangers.csv", &[("", "tests/pictures/stranger.jpg")]);
    assert_eq!(measure(&place, &gallery, &strangers, &["--photos", "1"]).code, 2);
    assert_eq!(measure(&place, &gallery, &strangers, &["--repetitions", "0"]).code, 2);
}
