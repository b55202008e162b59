//! The reference pictures of presentation attacks: a bona fide one, a print, a screen. They belong to others and stay outside; this
//! reads them from the folder `DOORWARD_DATA` (CONTRIBUTING.md says how it is laid out), and skips without it.

use std::path::PathBuf;

use doorward::{
    align::align,
    capture::read_picture,
    config::{DetectorSettings, EngineChoice, PadLimits, PadSettings},
    detect,
    domain::{Clock, FaceChoice, FrameRef, PadVerdict, SampleQuality, SourceId, SystemClock},
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
