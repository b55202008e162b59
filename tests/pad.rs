//! The reference pictures of presentation attacks: a bona fide one, a print, a screen. They belong to others and stay outside; this
//! reads them from the folder `DOORWARD_DATA` (CONTRIBUTING.md says how it is laid out), and skips without it.

use std::path::PathBuf;

use image::RgbImage;

use doorward::{
    align::align,
    capture::{Framing, MjpegSplitter, Part, read_picture},
    config::{DetectorSettings, EngineChoice, PadLimits, PadSettings},
    detect,
    domain::{Clock, FaceChoice, FrameRef, PadVerdict, SampleQuality, SourceId, SystemClock},
    eval::{Outcome, PadStages, Showing, Standing},
    models::ModelStore,
    nn::Engine,
    pad::{self, Assessment, Evidence, PadAssessor},
};

/// A picture, what the net must say of it, and its log-odds when this was written.
const PICTURES: [(&str, bool, f64); 3] =
    [("image_T1.jpg", true, 0.92), ("image_F1.jpg", false, -10.17), ("image_F2.jpg", false, -2.59)];
/// The detector's box moves the log-odds: by so much its variants and other resizers may.
const TOLERANCE: f64 = 0.5;

fn samples() -> Option<PathBuf> {
    let folder = std::env::var_os("DOORWARD_DATA").map(|data| PathBuf::from(data).join("pad-samples"));
    let found = folder.filter(|folder| folder.join(PICTURES[0].0).is_file());
    if found.is_none() {
        eprintln!("skipped: DOORWARD_DATA names no folder with pad-samples/{}", PICTURES[0].0);
    }
    found
}

fn assess(choice: EngineChoice, name: &str, folder: &std::path::Path) -> (Assessment, SampleQuality) {
    let models = ModelStore::open("models".as_ref()).unwrap().computed_by(Engine::default(), choice);
    let image = read_picture(&folder.join(name)).unwrap();
    let found = detect::build(&DetectorSettings::default(), &models).unwrap().detect(&image).unwrap();
    let face = FaceChoice::Largest.of(&found, image.dimensions()).expect("the picture shows a face");
    let at = FrameRef { source: SourceId::new(name), seq: 0, captured: SystemClock.now() };
    let quality = align(&at, &image, face).unwrap().quality;
    let mut nets = pad::build(&PadSettings::default(), &models).unwrap();
    (nets.assess(&image, &face.bbox).unwrap().expect("the face has a place in the picture"), quality)
}

/// A presentation of `frames` that all show the picture, at a door that is content with a frame and with faces as near as these.
fn presented(image: &RgbImage, name: &str, frames: usize) -> Showing {
    let models = ModelStore::open("models".as_ref()).unwrap();
    let limits = PadLimits { min_frames: 1, min_scale: 1.5, ..PadLimits::default() };
    let pad = PadSettings { limits, ..PadSettings::default() };
    let stages =
        PadStages { models: &models, detector: DetectorSettings::default(), pad: &pad, face: FaceChoice::Largest };
    let mut eyes = stages.eyes().unwrap();
    let at = FrameRef { source: SourceId::new(name), seq: 0, captured: SystemClock.now() };
    let seen = eyes.frame(&at, image).unwrap();
    let mut showing = Showing::new(limits);
    (0..frames).for_each(|_| _ = showing.add(None, &seen));
    showing
}

#[test]
fn the_reference_pictures_count_for_a_qualification() {
    let Some(folder) = samples() else { return };
    let outcome =
        |name: &str, is_attack| presented(&read_picture(&folder.join(name)).unwrap(), name, 3).outcome(is_attack);
    let results = [
        ("one", None, outcome(PICTURES[0].0, false)),
        ("one", Some("print"), outcome(PICTURES[1].0, true)),
        ("one", Some("screen"), outcome(PICTURES[2].0, true)),
    ];
    let standing = Standing::of(results);
    let gates: Vec<String> = standing.gates().into_iter().map(|gate| gate.text).collect();
    assert_eq!(
        gates,
        [
            "print: 1 of 29 presentations, none accepted",
            "screen: 1 of 29 presentations, none accepted",
            "bona fide: 1 of 59 presentations, none denied"
        ]
    );
    assert!(!standing.met());
}

/// Without the reference pictures: people of the demo's sequence, whatever the net says of them.
#[test]
fn people_of_the_demo_are_presented() {
    let stream = std::fs::read("demo/door.mjpeg").unwrap();
    let mut splitter = MjpegSplitter::new();
    splitter.push(&stream);
    let mut judged = 0;
    let mut frames = 0;
    while let Ok(Some(part)) = splitter.next_part() {
        let Part::Frame(jpeg) = part else { continue };
        frames += 1;
        if frames % 6 != 1 {
            continue;
        }
        let showing = presented(&splitter.decode(&jpeg).unwrap(), "demo", 2);
        if showing.judged() == 0 {
            continue;
        }
        judged += 1;
        let expected = if showing.mean().unwrap() >= 0.0 { Outcome::Accepted } else { Outcome::Refused };
        assert_eq!((showing.outcome(false), showing.outcome(true)), (expected, expected), "frame {frames}");
        assert_eq!(showing.frames().len(), 2);
    }
    assert!(judged >= 2, "{judged} of {frames} frames judged");
}

#[test]
fn the_print_and_the_screen_are_refused_and_the_bona_fide_one_is_not() {
    let Some(folder) = samples() else { return };
    for choice in [EngineChoice::F32, EngineChoice::Int8] {
        for (name, bona_fide, expected) in PICTURES {
            let (seen, quality) = assess(choice, name, &folder);
            assert!((seen.log_odds - expected).abs() < TOLERANCE, "{name}, {choice}: {seen:?}");
            assert_eq!(seen.log_odds >= PadLimits::default().min_log_odds, bona_fide, "{name}, {choice}: {seen:?}");
            // What a door would say of ten such frames. The pictures are 480 px wide and the faces 240 to 300 px high: less is around
            // them than a door demands, which is a matter of a pixel with the first two.
            let mut near = Evidence::new(PadLimits { min_scale: 1.5, ..PadLimits::default() });
            (0..10).for_each(|_| near.add(&seen, &quality));
            match near.verdict() {
                PadVerdict::BonaFide(_) => assert!(bona_fide, "{name}, {choice}"),
                PadVerdict::Attack(_) => assert!(!bona_fide, "{name}, {choice}"),
                other => panic!("{name}, {choice}: {other:?}"),
            }
            let mut door = Evidence::new(PadLimits::default());
            (0..10).for_each(|_| door.add(&seen, &quality));
            assert!(bona_fide || !matches!(door.verdict(), PadVerdict::BonaFide(_)), "{name}, {choice}");
        }
    }
}
