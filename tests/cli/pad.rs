//! `doorward eval pad`: the format it promises, presentations of several frames, bad lists; and detection at the door. What the net is worth is
//! not tested here: `tests/pad.rs` has the reference pictures.

use std::fs;

use serde_json::{Value, json};

use super::{Place, Said, events::problem, picture, project};

const HEADER: &str = "image,video,attack,species,presentation,subject\n";

impl Place {
    /// Recordings of two faces: a picture each, a video of ten frames, a folder.
    fn recordings(&self) -> String {
        let portrait = fs::read(picture("portrait.jpg")).unwrap();
        self.file("portrait.jpg", &portrait);
        self.file("stranger.jpg", fs::read(picture("stranger.jpg")).unwrap());
        self.file("no-face.jpg", fs::read(picture("no-face.jpg")).unwrap());
        self.file("empty.mjpeg", fs::read(picture("no-face.jpg")).unwrap().repeat(2));
        self.file("ten.mjpeg", portrait.repeat(10));
        fs::create_dir(self.path("clip")).unwrap();
        for n in 1..=3 {
            self.file(&format!("clip/{n}.jpg"), &portrait);
        }
        self.file("garbage.jpg", b"no picture at all");
        self.path("").display().to_string()
    }

    fn pad(&self, rows: &str, more: &[&str]) -> Said {
        let (list, root) = (self.file("pad.csv", format!("{HEADER}{rows}")), self.path("").display().to_string());
        self.run(&[&["eval", "pad", "--list", &list, "--root", &root], more].concat())
    }
}

fn one(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    said.json().remove(0)
}

#[test]
fn rates_come_by_species_with_the_promised_keys_first() {
    let place = Place::new();
    place.recordings();
    let rows = "portrait.jpg,,no,,1,Collins\nstranger.jpg,,yes,print,1,Hopper\n,ten.mjpeg,1,screen,1,Collins\n";
    let (cache, plot) = (place.path("cache").display().to_string(), place.path("pad.svg").display().to_string());
    // A threshold below every score accepts all, one above refuses all.
    for (threshold, attacks, bona_fide) in [("-1000", 1.0, 0.0), ("1000", 0.0, 1.0)] {
        let said = place.pad(rows, &["--json", "--pad-threshold", threshold, "--cache", &cache, "--plot", &plot]);
        let report = one(&said);
        assert!(said.out.starts_with(r#"{"apcer":{"print":{"rate":"#), "{said:?}");
        for species in ["print", "screen"] {
            let rate = &report["apcer"][species];
            assert_eq!((&rate["rate"], &rate["n"]), (&json!(attacks), &json!(1)), "{report}");
            assert_eq!(rate.as_object().unwrap().len(), 4, "{rate}");
        }
        assert_eq!((&report["bpcer"]["rate"], &report["bpcer"]["n"]), (&json!(bona_fide), &json!(1)));
        assert_eq!(report["bpcer"].as_object().unwrap().len(), 4);
        assert_eq!(report["threshold"], threshold.parse::<f64>().unwrap());
        // 1 - 0.025: one trial proves next to nothing.
        assert_eq!(report["apcer"]["print"]["high"], json!(if attacks == 1.0 { 1.0 } else { 0.975 }));
        assert_eq!(report["worst_subject"]["name"], "Collins");
        let frames = &report["frames"];
        assert_eq!((&frames["apcer"]["screen"]["n"], &frames["bpcer"]["n"]), (&json!(10), &json!(1)));
        // By the target the threshold is the bona fide presentation's own score, whatever was asked for.
        let at = &report["at_bpcer"]["0.05"];
        assert_eq!((&at["bpcer"]["rate"], &at["resolved"]), (&json!(0.0), &json!(false)));
        assert!(at["threshold"].as_f64().unwrap().abs() < 100.0, "{at}");
        assert_eq!((&report["nets"], &report["failures"]), (&json!(["fr-liveness"]), &json!([])));
    }
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("APCER, false positives, %") && svg.contains("screen"));
}

#[test]
fn a_door_needs_ten_frames_and_says_what_it_does_without() {
    let place = Place::new();
    place.recordings();
    // The face nearly fills the picture: too little around it, ten times.
    let rows = ",ten.mjpeg,no,,1,Collins\n,clip,no,,2,Collins\nstranger.jpg,,yes,print,1,Hopper\n";
    let report = one(&place.pad(rows, &["--json", "--no-cache"]));
    let door = &report["door"];
    assert_eq!(door["min_frames"], 10);
    assert_eq!(door["bona_fide"]["undetermined"], json!({"scale": 1, "too-few-frames": 1}), "{door}");
    assert_eq!(door["attacks"]["print"]["undetermined"], json!({"too-few-frames": 1}));
    assert_eq!(door["bona_fide"]["non_response"]["rate"], 1.0);
    let rates = |how: &str| (door[how]["apcer"]["print"]["rate"].clone(), door[how]["bpcer"]["rate"].clone());
    assert_eq!(rates("undetermined_refused"), (json!(0.0), json!(1.0)));
    assert_eq!(rates("undetermined_admitted"), (json!(1.0), json!(0.0)));
    // The score of a presentation is there all the same.
    assert_eq!((&report["bpcer"]["n"], &report["frames"]["bpcer"]["n"]), (&json!(2), &json!(13)));

    let text = place.pad(rows, &["--no-cache"]).out;
    for expected in
        ["3 presentations, 2 bona fide and 1 attacks; 14 frames", "verdicts over at least 10", "1 too-few-frames"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn what_cannot_be_read_or_shows_nobody_is_named_and_in_no_rate() {
    let place = Place::new();
    place.recordings();
    let rows = "portrait.jpg,,no,,1,A\ngarbage.jpg,,no,,2,A\nno-face.jpg,,yes,print,1,B\n,empty.mjpeg,no,,3,A\n";
    let said = place.pad(rows, &["--json"]);
    let report = one(&said);
    assert_eq!((&report["bpcer"]["n"], &report["apcer"], &report["not_assessed"]), (&json!(1), &json!({}), &json!(3)));
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 3, "{report}");
    assert!(
        failures[0]["recording"] == "garbage.jpg" && failures[0]["reason"].as_str().unwrap().contains("JPEG or PNG")
    );
    assert!(failures[2]["recording"] == "no-face.jpg" && failures[2]["reason"] == "no face found");
    assert!(failures[0]["reason"].as_str().unwrap().contains(".mjpeg"), "{report}");
    let video = &failures[1];
    assert_eq!((&video["recording"], &video["frames"]), (&json!("empty.mjpeg"), &json!(2)), "{report}");
    let text = place.pad(rows, &[]).out;
    assert!(text.contains("80.00 %") && text.contains("  empty.mjpeg: no face found (2 frames)\n"), "{text}");
    // At a door nobody is let in unseen.
    assert_eq!(report["door"]["undetermined_refused"]["apcer"]["print"]["rate"], 0.0);
    // A second run, from the cache, says the same.
    assert_eq!(one(&place.pad(rows, &["--json"])), report);
    let nothing = place.pad("garbage.jpg,,no,,1,A\nno-face.jpg,,yes,print,1,B\n", &[]);
    assert!(nothing.code == 3 && nothing.err.contains("none of 2 recordings shows a face"), "{nothing:?}");
    assert!(nothing.err.contains("garbage.jpg") && nothing.out.is_empty(), "{nothing:?}");
}

#[test]
fn lists_and_options_that_cannot_be_used_are_named_with_the_remedy() {
    let place = Place::new();
    place.recordings();
    let good = "portrait.jpg,,no,,1,A\n";
    for (said, expected) in [
        (place.pad("portrait.jpg,,maybe,,1,A\n", &[]), "pad.csv, line 2: attack is \"maybe\"; yes (or 1)"),
        (place.pad("portrait.jpg,,yes,,1,A\n", &[]), "line 2: species is empty; name the kind of attack"),
        (place.pad(",,no,,1,A\n", &[]), "line 2: image or video is empty"),
        (place.pad("gone.jpg,,no,,1,A\n", &[]), "gone.jpg; paths in a list are relative to --root"),
        (place.pad("", &[]), "has no rows"),
        (
            place.pad(good, &["--pad-net", "landmarks-68"]),
            "landmarks-68 is a landmarks, not one for presentation attack",
        ),
        (place.pad(good, &["--pad-net", "nobody"]), "no model is called nobody"),
        (place.pad(good, &["--pad-net", "fr-liveness", "--pad-net", "fr-liveness"]), "fr-liveness is named twice"),
        (place.pad(good, &["--pad-threshold", "nan"]), "a finite number is expected"),
        (place.pad(good, &["--min-frames", "0"]), "--min-frames"),
        (place.pad(good, &["--threshold", "0.5"]), "--threshold"),
        (place.pad(good, &["--plot", "no/such/folder/plot.svg"]), "no/such/folder/plot.svg: cannot be written"),
    ] {
        assert!(said.code == 2 && said.err.contains(expected) && said.out.is_empty(), "{expected}: {said:?}");
    }
}

/// The demo's sequence at a door; the events, and whether it warned that the camera is not qualified.
fn at_the_door(pad: &str) -> (Vec<Value>, bool) {
    let place = Place::new();
    place.enrol();
    let sequence = project("demo/door.mjpeg").display().to_string();
    // Nothing may depend on how fast this machine is.
    let timeless = "[policy]\nmax_frame_age_ms = 10000\nretry_ms = 0\ncooldown_ms = 0\n";
    let config = place.file("door.toml", format!("pad = '{pad}'\n{timeless}[source]\nmjpeg = '{sequence}'\n"));
    let said = place.run(&["run", "--config", &config, "--gallery", &place.gallery()]);
    assert_eq!(said.code, 0, "{said:?}");
    let events = said.json();
    for event in &events {
        assert_eq!(problem(event), None, "{event}");
    }
    (events, said.err.contains("this camera is not qualified"))
}

#[test]
fn a_report_is_made_of_every_stay_and_decides_nothing() {
    let kinds = |events: &[Value], kind: &str| -> Vec<Value> {
        events.iter().filter(|event| event["event"] == kind).cloned().collect()
    };
    let ((off, _), (report, warned)) = (at_the_door("off"), at_the_door("report"));
    assert!(!warned, "nothing depends on it");
    let decisions = |events: &[Value]| -> Vec<String> {
        let access = kinds(events, "access");
        access.iter().map(|event| format!("{} {} {}", event["frame"], event["decision"], event["reason"])).collect()
    };
    assert_eq!(decisions(&off), decisions(&report));
    assert!(kinds(&off, "access").iter().all(|event| event["pad"]["verdict"] == "not-assessed"));
    let reported = kinds(&report, "presentation");
    let mut tracks: Vec<u64> = reported.iter().map(|event| event["track"].as_u64().unwrap()).collect();
    tracks.dedup();
    assert_eq!(tracks.len(), reported.len(), "one report a stay");
    assert!(reported.len() >= decisions(&report).len(), "{reported:?}");
    assert!(reported.iter().all(|event| event["pad"].get("log_odds").is_none()), "no score unless asked for");
    assert_eq!(kinds(&off, "presentation").len(), 0);
}

#[test]
fn where_it_is_required_nobody_is_granted_but_the_bona_fide() {
    let (events, warned) = at_the_door("require");
    assert!(warned);
    let access: Vec<_> = events.iter().filter(|event| event["event"] == "access").collect();
    assert!(!access.is_empty());
    for event in access {
        if event["decision"] == "granted" {
            assert_eq!((&event["pad"]["verdict"], &event["subject"]), (&"bona-fide".into(), &"barack-obama".into()));
        }
    }
}
