//! Photos of one enrolment are held against each other.

use serde_json::{Value, json};

use super::{Place, Said, obama, picture};

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
