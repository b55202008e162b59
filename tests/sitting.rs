//! A sitting before real pictures: the way from frames to templates, with real models and a time that is made up.

use std::{fs, path::Path, sync::Arc, time::Duration};

use doorward::{
    capture::{decode_picture, read_picture},
    config::{DetectorSettings, QualityLimits},
    detect,
    domain::{Embedding, SubjectId, SystemClock, Threshold},
    embed,
    enrol::{Advice, EnrolSession, Heading, Kind, Look, Refusal, Sitting, SittingSettings, Take},
    models::{ModelStore, Role},
};
use image::{RgbImage, imageops};

/// At ten frames a second.
const FRAME: Duration = Duration::from_millis(100);

struct Camera {
    session: EnrolSession,
    sitting: Sitting,
    subject: SubjectId,
    frames: u32,
    said: Vec<Advice>,
}

impl Camera {
    fn new(frames: usize, known: Vec<Embedding>) -> Self {
        let store = ModelStore::embedded().unwrap();
        let one_person = store.default_for(Role::Recogniser).unwrap().one_to_one("fmr-0.001").unwrap();
        let limits = QualityLimits::default();
        let session = EnrolSession::new(
            detect::build(&DetectorSettings::default(), &store).unwrap(),
            embed::build(None, &store).unwrap(),
            limits,
            None,
            Threshold::new(0.6).unwrap(),
            Arc::new(SystemClock),
        );
        let settings = SittingSettings { kind: Kind::Guided, frames, limits, one_person: Some(one_person) };
        let sitting = Sitting::new(settings, known);
        Self { session, sitting, subject: SubjectId::from_name("Sitter").unwrap(), frames: 0, said: Vec::new() }
    }

    fn judge(&mut self, picture: &RgbImage) -> Result<Look, Refusal> {
        self.session.look(picture, &self.subject).unwrap()
    }

    /// Holds a picture before the camera for so many frames.
    fn shows(&mut self, picture: &RgbImage, frames: u32) {
        let seen = self.judge(picture);
        for _ in 0..frames {
            let again = match &seen {
                Ok(look) => Ok(look.clone()),
                Err(Refusal::SeveralFaces(n)) => Err(Refusal::SeveralFaces(*n)),
                Err(_) => Err(Refusal::NoFace),
            };
            let step = self.sitting.look(self.frames.into(), FRAME * self.frames, again).unwrap();
            self.frames += 1;
            let advice = step.advice.unwrap();
            if self.said.last() != Some(&advice) {
                self.said.push(advice);
            }
        }
    }
}

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn picture(path: &str) -> RgbImage {
    read_picture(&project(path)).unwrap()
}

/// A frame of the demo's sequence; from 81 to 104 a portrait looks into the camera.
fn frame(n: usize) -> RgbImage {
    let stream = fs::read(project("demo/door.mjpeg")).unwrap();
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    decode_picture(&stream[starts[n]..starts.get(n + 1).copied().unwrap_or(stream.len())], "door.mjpeg").unwrap()
}

fn headings(takes: &[Take]) -> Vec<Option<Heading>> {
    takes.iter().map(|take| take.heading).collect()
}

/// In the photograph of 2009 one sees his left ear and hardly the right one: he has turned to his right, and the nose points to
/// the picture's left. In that of 2010 it is the other way round.
const TURNED_RIGHT: &str = "demo/enrol/Barack Obama/2009.jpg";
const TURNED_LEFT: &str = "demo/enrol/Barack Obama/2010.jpg";

#[test]
fn left_and_right_are_the_sitters() {
    let [front, left, right] = [frame(100), picture(TURNED_LEFT), picture(TURNED_RIGHT)];
    let mirrored = [&front, &right, &left].map(imageops::flip_horizontal);
    for [front, left, right] in [[front, left, right], mirrored] {
        let mut camera = Camera::new(4, Vec::new());
        camera.shows(&front, 5);
        assert_eq!(camera.said.last(), Some(&Advice::TurnLeft));
        camera.shows(&left, 8);
        assert_eq!(camera.said.last(), Some(&Advice::TurnRight));
        camera.shows(&right, 8);
        assert_eq!(camera.said.last(), Some(&Advice::RaiseChin));
        // Nobody raises the chin: they are not waited for, and front frames do instead.
        camera.shows(&front, 200);
        assert_eq!(camera.said.last(), Some(&Advice::Done));
        let takes = camera.sitting.finish().unwrap().unwrap();
        assert_eq!(headings(&takes), [Some(Heading::Front), Some(Heading::Left), Some(Heading::Right)]);
    }
}

#[test]
fn who_turns_the_other_way_is_told_and_taken() {
    let mut camera = Camera::new(4, Vec::new());
    camera.shows(&frame(100), 5);
    camera.shows(&picture(TURNED_RIGHT), 30);
    assert!(camera.said.contains(&Advice::OtherWay), "{:?}", camera.said);
    camera.shows(&picture(TURNED_LEFT), 8);
    assert_eq!(camera.said.last(), Some(&Advice::RaiseChin), "the right is had already");
}

#[test]
fn two_people_nobody_and_somebody_else_are_told_what_to_do() {
    let mut camera = Camera::new(10, Vec::new());
    camera.shows(&picture("tests/pictures/no-face.jpg"), 6);
    camera.shows(&picture("tests/pictures/six-faces.jpg"), 6);
    camera.shows(&frame(100), 5);
    camera.shows(&picture("tests/pictures/stranger.jpg"), 6);
    let expected = [Advice::LookAtCamera, Advice::StepIntoView, Advice::OnePerson, Advice::Hold, Advice::SamePerson];
    assert_eq!(camera.said, expected);
    let refusal = camera.sitting.finish().unwrap().unwrap_err();
    assert_eq!(refusal.codes(), ["too-few-frames", "another-person", "no-face", "several-faces"]);
}

#[test]
fn photos_that_are_added_must_be_of_the_same_person() {
    let known = Camera::new(4, Vec::new()).judge(&picture(TURNED_LEFT)).unwrap();
    let mut camera = Camera::new(4, vec![known.accepted.embedding]);
    camera.shows(&picture("tests/pictures/stranger.jpg"), 10);
    assert_eq!(camera.said.last(), Some(&Advice::SamePerson));
    camera.shows(&frame(100), 10);
    assert_eq!(camera.said.last(), Some(&Advice::TurnLeft));
}
