//! `doorward calibrate` and `doorward eval operating-points`: thresholds from data.

use std::fs;

use serde_json::{Value, json};

use super::{Place, obama, picture, project};

fn resident(name: &str) -> String {
    project("demo/enrol/Resident").join(name).display().to_string()
}

impl Place {
    fn enrol_from(&self, name: &str, more: &[&str]) {
        let gallery = self.gallery();
        let mut arguments = vec!["enrol", name, "--gallery", &gallery];
        arguments.extend(more);
        let said = self.run(&arguments);
        assert_eq!(said.code, 0, "{said:?}");
    }

    fn enrol_two(&self) {
        self.enrol();
        let photos = ["video-240.jpg", "video-256.jpg", "video-272.jpg"].map(resident);
        self.enrol_from("Resident", &photos.each_ref().map(String::as_str));
    }

    fn calibrate(&self, more: &[&str]) -> Value {
        let gallery = self.gallery();
        let mut arguments = vec!["calibrate", "--json", "--gallery", &gallery];
        arguments.extend(more);
        let said = self.run(&arguments);
        assert_eq!(said.code, 0, "{said:?}");
        said.json().remove(0)
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_small_gallery_keeps_the_operating_point_and_says_how_little_it_knows() {
    let place = Place::new();
    place.enrol_two();
    let found = place.calibrate(&[]);
    assert_eq!((&found["subjects"], &found["photos"]), (&json!(2), &json!(5)));
    assert_eq!(found["recommended"]["basis"], "operating-point");
    assert_eq!(found["recommended"]["threshold"], found["in_force"]["threshold"]);
    assert_eq!(found["recommended"]["refused"], Value::Null);
    // Each of the two is a stranger to the other; two people prove little, and the interval says so.
    let fpir = &found["recommended"]["fpir"];
    assert_eq!((&fpir["people"], number(&fpir["value"])), (&json!(2), 0.0));
    assert!(number(&fpir["high"]) > 0.8, "{fpir}");
    assert_eq!((&found["mated"]["photos"], &found["between"]["photos"]), (&json!(5), &json!(5)));
    assert!(number(&found["mated"]["least"]) > number(&found["between"]["highest"]), "{found}");
    assert_eq!(found["nonmated"]["median"], Value::Null);
    assert_eq!(found["look_alikes"].as_array().unwrap().len(), 1);
    assert_eq!(found["growth"][0]["fpir"], Value::Null, "of 5 comparisons nothing is extrapolated");
    let said = place.run(&["calibrate", "--gallery", &place.gallery()]);
    assert!(said.out.starts_with("take 0."), "{}", said.out);
    assert!(
        said.out.contains("cannot be said from so few comparisons") && !said.out.contains("embedding\":"),
        "{}",
        said.out
    );
    let line = format!("[recogniser]\nthreshold = {:.3}\n", number(&found["recommended"]["threshold"]));
    assert!(said.out.ends_with(&line), "{}", said.out);
    let config = place.file("door.toml", format!("[source]\nmjpeg = \"-\"\n\n{line}"));
    let said = place.run(&["calibrate", "--gallery", &place.gallery(), "--config", &config]);
    assert!(said.code == 0 && said.out.contains("(fixed)"), "the line is what a configuration takes: {said:?}");
}

#[test]
fn strangers_are_a_file_or_a_folder_each() {
    let place = Place::new();
    place.enrol_two();
    let folder = place.path("strangers");
    fs::create_dir_all(folder.join("collins")).unwrap();
    fs::copy(picture("stranger.jpg"), folder.join("hopper.jpg")).unwrap();
    fs::copy(picture("portrait.jpg"), folder.join("collins/1.jpg")).unwrap();
    fs::copy(picture("grey.jpg"), folder.join("collins/2.jpg")).unwrap();
    fs::copy(picture("no-face.jpg"), folder.join("nobody.jpg")).unwrap();
    fs::write(folder.join("notes.txt"), "no picture").unwrap();
    fs::write(folder.join(".hidden"), "").unwrap();
    let plot = place.path("calibration.svg").display().to_string();
    let found = place.calibrate(&["--nonmated", &folder.display().to_string(), "--plot", &plot]);
    let expected = json!({"people": 2, "pictures": 3, "pictures_failed": 2, "people_failed": 2});
    assert_eq!(found["strangers"], expected);
    assert_eq!((&found["nonmated"]["photos"], &found["recommended"]["fpir"]["people"]), (&json!(3), &json!(4)));
    assert!(number(&found["highest_wrong"]["similarity"]) < number(&found["recommended"]["threshold"]));
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("strangers, best") && svg.contains("recommended"));
}

#[test]
fn a_person_enrolled_twice_raises_the_threshold_and_is_named() {
    let place = Place::new();
    place.enrol_from("Ada", &[&obama("2009.jpg"), "--threshold", "0.99"]);
    place.enrol_from("Bob", &[&obama("2010.jpg"), "--threshold", "0.99"]);
    let found = place.calibrate(&["--fpir", "0.01"]);
    let (wrong, threshold) =
        (number(&found["highest_wrong"]["similarity"]), number(&found["recommended"]["threshold"]));
    assert_eq!(found["recommended"]["basis"], "highest-wrong");
    assert!(
        wrong > number(&found["in_force"]["threshold"]) && threshold > wrong && threshold < wrong + 0.002,
        "{found}"
    );
    assert_eq!(found["look_alikes"][0]["names"], json!(["Ada", "Bob"]));
    assert_eq!(found["look_alikes"][0]["reaches_in_force"], true);
    assert_eq!(number(&found["in_force"]["fpir"]["value"]), 1.0, "each would be taken for the other");
    assert_eq!(found["recommended"]["fnir"]["value"], Value::Null, "nobody has two photos");
}

#[test]
fn one_subject_alone_says_nothing_of_strangers() {
    let place = Place::new();
    place.enrol();
    let found = place.calibrate(&[]);
    assert_eq!((&found["recommended"]["fpir"]["value"], &found["highest_wrong"]), (&Value::Null, &Value::Null));
    assert_eq!(found["recommended"]["fpir"]["high"], 1.0);
    let said = place.run(&["calibrate", "--gallery", &place.gallery()]);
    assert!(said.out.contains("cannot be said from one subject"), "{}", said.out);
}

#[test]
fn templates_of_another_model_are_counted_and_named() {
    let place = Place::new();
    place.enrol_from("Ada", &[&obama("2009.jpg"), "--engine", "int8"]);
    let alone = place.run(&["calibrate", "--gallery", &place.gallery(), "--engine", "f32"]);
    assert_eq!(alone.code, 1, "{alone:?}");
    assert!(alone.err.contains("another model") && alone.err.contains("--engine int8"), "{}", alone.err);
    place.enrol_from("Bob", &[&picture("portrait.jpg"), "--engine", "f32"]);
    let found = place.calibrate(&["--engine", "f32"]);
    assert_eq!((&found["subjects"], &found["subjects_without_model"]), (&json!(1), &json!(1)));
    let others = found["templates_of_other_models"].as_object().unwrap();
    assert_eq!(others.len(), 1);
    let (model, count) = others.iter().next().unwrap();
    assert!(model.starts_with("mobilefacenet-arcface-192-int8@") && *count == 1, "{others:?}");
}

#[test]
fn what_cannot_be_calibrated_is_told() {
    let place = Place::new();
    assert_eq!(place.run(&["calibrate", "--gallery", &place.gallery()]).code, 2, "there is no gallery");
    place.enrol();
    let gallery = place.gallery();
    let refused = |more: &[&str], part: &str| {
        let said = place.run(&[&["calibrate", "--gallery", &gallery], more].concat());
        assert!(said.code == 2 && said.err.contains(part), "{more:?}: {said:?}");
    };
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    refused(&["--nonmated", &empty.display().to_string()], "holds no pictures");
    refused(&["--nonmated", "/no/such/folder"], "/no/such/folder");
    refused(&["--fpir", "1.5"], "below 1");
    refused(&["--plot", "/no/such/folder/plot.svg"], "/no/such/folder/plot.svg");
    assert_eq!(place.run(&["gallery", "remove", "barack-obama", "--gallery", &gallery]).code, 0);
    let said = place.run(&["calibrate", "--gallery", &gallery]);
    assert!(said.code == 1 && said.err.contains("nobody is enrolled"), "{said:?}");
}

#[test]
fn operating_points_are_measured_and_written_into_a_catalogue() {
    let place = Place::new();
    let gallery = place.file("gallery.csv", format!("subject,image\nobama,{}\n", obama("2009.jpg")));
    let mated = place.file("mated.csv", format!("image,identity\n{},obama\n", obama("2010.jpg")));
    let strangers = format!("subject,image\n,{}\n,{}\n", picture("stranger.jpg"), picture("portrait.jpg"));
    let nonmated = place.file("nonmated.csv", strangers);
    let before = fs::read_to_string(project("models/catalogue.toml")).unwrap();
    let catalogue = place.file("catalogue.toml", &before);
    let measure = |more: &[&str]| {
        let lists = ["--gallery", &gallery, "--mated", &mated, "--nonmated", &nonmated, "--data", "three portraits"];
        let fixed =
            ["eval", "operating-points", "--no-cache", "--json", "--engine", "int8", "--fpir", "0.4", "--fmr", "0.4"];
        place.run(&[&fixed[..], &lists, more].concat())
    };
    let said = measure(&["--sizes", "1,2", "--write", &catalogue]);
    assert_eq!(said.code, 0, "{said:?}");
    let points = said.json()[0]["operating_points"].as_array().unwrap().clone();
    assert_eq!(points.len(), 3);
    let (one, two) = (&points[0], &points[1]);
    assert_eq!((&one["name"], &one["gallery_size"], &two["gallery_size"]), (&json!("fpir-0.4"), &json!(1), &json!(2)));
    assert!(number(&one["fpir"]) <= 0.4 && number(&one["threshold"]) <= number(&two["threshold"]), "{points:?}");
    assert_eq!(number(&one["fnir"]), 0.0);
    assert!(number(&one["fnir_interval"][1]) > 0.97, "one probe proves nothing");
    assert!(two["data"].as_str().unwrap().starts_with("three portraits: galleries drawn at random"), "{two}");
    assert_eq!(points[2]["kind"], "one-to-one");

    let after = fs::read_to_string(&catalogue).unwrap();
    let card = after.split("[[model]]").find(|card| card.contains("id = \"mobilefacenet-arcface-192-int8\"")).unwrap();
    assert_eq!(card.matches("[[model.operating_point]]").count(), 3);
    let others = |text: &str| -> Vec<String> {
        let cards = text.split("[[model]]").filter(|card| !card.contains("id = \"mobilefacenet-arcface-192-int8\""));
        cards.map(str::to_owned).collect()
    };
    assert_eq!(others(&before), others(&after));
    let again = measure(&["--sizes", "1,2", "--write", &catalogue]);
    assert!(again.code == 0 && fs::read_to_string(&catalogue).unwrap() == after, "the same again");

    let too_large = measure(&["--sizes", "3"]);
    assert!(too_large.code != 0 && too_large.err.contains("a gallery of 3 cannot be drawn"), "{too_large:?}");
    let no_catalogue = measure(&["--sizes", "1", "--write", &gallery]);
    assert!(no_catalogue.code == 2 && no_catalogue.err.contains("gallery.csv"), "{no_catalogue:?}");
}
