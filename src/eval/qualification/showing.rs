use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use super::Outcome;
use crate::{
    config::PadLimits,
    domain::{Monotonic, PadDoubt, PadVerdict},
    eval::{AcquisitionFailure, List, Presented, SeenFrame},
    pad::{self, Evidence},
};

/// Judged frames after which a presentation is over: three times what a verdict needs by default, so that one that turns is seen.
const JUDGED: usize = 30;
/// Frames that show a face after which it is over, judged or not: 10 s at 30 frames a second.
const FRAMES: usize = 300;
/// The same in time, where time is real.
const LASTS: Duration = Duration::from_secs(10);
/// How long a face is waited for.
const WAITS: Duration = Duration::from_secs(30);
/// Frames without a face that a recording may have.
const MAX_WITHOUT_FACE: u64 = 10_000;

/// A presentation under way: one person coming to the camera once, or one attack held up once.
///
/// Pure: no clock, no pictures. The times of frames are those of their capture.
#[derive(Debug, Clone)]
pub struct Showing {
    limits: PadLimits,
    evidence: Evidence,
    /// Whether the verdict ever was bona fide: a door may open at once.
    accepted: bool,
    frames: Vec<(f32, Option<PadDoubt>)>,
    without_face: u64,
    frame_px: Option<[u32; 2]>,
    begun: Option<Monotonic>,
    first_face: Option<Monotonic>,
}

/// What came of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glimpse {
    /// It counts.
    Judged,
    /// It shows a face of which nothing can be said.
    Doubted(PadDoubt),
    /// It shows no face that could be looked at.
    NoFace,
}

impl Showing {
    /// One of which nothing was seen yet, at a door with these limits.
    pub fn new(limits: PadLimits) -> Self {
        Self {
            limits,
            evidence: Evidence::new(limits),
            accepted: false,
            frames: Vec::new(),
            without_face: 0,
            frame_px: None,
            begun: None,
            first_face: None,
        }
    }

    /// Takes the next frame; `at` is when it was captured, where that is real time and not a recording's.
    pub fn add(&mut self, at: Option<Monotonic>, seen: &Result<SeenFrame, AcquisitionFailure>) -> Glimpse {
        self.begun = self.begun.or(at);
        let Ok(seen) = seen else {
            self.without_face += 1;
            return Glimpse::NoFace;
        };
        self.first_face = self.first_face.or(at);
        self.frame_px.get_or_insert(seen.frame_px);
        let assessment = seen.assessment();
        let doubt = pad::doubt(&assessment, &seen.quality, &self.limits);
        self.evidence.add(&assessment, &seen.quality);
        self.accepted |= matches!(self.evidence.verdict(), PadVerdict::BonaFide(_));
        self.frames.push((seen.log_odds, doubt));
        doubt.map_or(Glimpse::Judged, Glimpse::Doubted)
    }

    /// Whether enough was seen, or nothing more can be expected; `now` as in [`add`](Self::add).
    pub fn is_over(&self, now: Option<Monotonic>) -> bool {
        let since = |begin: Option<Monotonic>| match (begin, now) {
            (Some(begin), Some(now)) => now.saturating_since(begin),
            _ => Duration::ZERO,
        };
        let too_long = match self.first_face {
            Some(_) => since(self.first_face) >= LASTS,
            None => since(self.begun) >= WAITS,
        };
        let full = self.frames.len() >= FRAMES || self.without_face >= MAX_WITHOUT_FACE;
        // A door may ask for more frames than the usual thirty.
        self.judged() >= JUDGED.max(self.limits.min_frames) || full || too_long
    }

    /// Frames judged.
    pub fn judged(&self) -> usize {
        self.evidence.judged()
    }

    /// How many judged frames it takes.
    pub fn wanted(&self) -> usize {
        JUDGED.max(self.limits.min_frames)
    }

    /// Mean log-odds of the judged frames.
    pub fn mean(&self) -> Option<f64> {
        self.evidence.mean()
    }

    /// Log-odds of the frames that show a face, and why one was not judged.
    pub fn frames(&self) -> &[(f32, Option<PadDoubt>)] {
        &self.frames
    }

    /// How many frames were not judged, by reason.
    pub fn doubts(&self) -> BTreeMap<PadDoubt, usize> {
        let mut doubts = BTreeMap::new();
        self.frames.iter().filter_map(|(_, doubt)| *doubt).for_each(|doubt| *doubts.entry(doubt).or_default() += 1);
        doubts
    }

    /// Frames without a face.
    pub fn without_face(&self) -> u64 {
        self.without_face
    }

    /// Size of the first frame that shows a face.
    pub fn frame_px(&self) -> Option<[u32; 2]> {
        self.frame_px
    }

    /// What the door makes of it. An attack counts as accepted if the verdict ever was bona fide, whatever came after: a door may have
    /// opened by then. A person counts as accepted by the last verdict, which an attack found before it rules out.
    pub fn outcome(&self, is_attack: bool) -> Outcome {
        match self.evidence.verdict() {
            PadVerdict::BonaFide(_) => Outcome::Accepted,
            _ if is_attack && self.accepted => Outcome::Accepted,
            PadVerdict::Attack(_) => Outcome::Refused,
            PadVerdict::Undetermined(doubt) => Outcome::Undetermined(doubt),
            PadVerdict::NotAssessed => Outcome::Undetermined(PadDoubt::TooFewFrames),
        }
    }
}

/// The presentations of a list, each with the first row that tells of it, in the order of the list; `seen` is of `recordings`.
pub fn showings<'a>(
    list: &'a List<Presented>,
    recordings: &[PathBuf],
    seen: &[Vec<Result<SeenFrame, AcquisitionFailure>>],
    limits: PadLimits,
) -> Vec<(&'a Presented, Showing)> {
    let seen: HashMap<&Path, _> = recordings.iter().map(PathBuf::as_path).zip(seen).collect();
    let mut found: Vec<(&Presented, Showing)> = Vec::new();
    let mut places = HashMap::new();
    for row in &list.rows {
        let place = *places.entry((&row.subject, &row.species, &row.presentation)).or_insert_with(|| {
            found.push((row, Showing::new(limits)));
            found.len() - 1
        });
        let showing = &mut found[place].1;
        for frame in seen.get(row.recording.as_path()).into_iter().copied().flatten() {
            if !showing.is_over(None) {
                showing.add(None, frame);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SampleQuality;

    fn frame(log_odds: f32, scale: f32) -> Result<SeenFrame, AcquisitionFailure> {
        let quality = SampleQuality {
            size_px: 120.0,
            sharpness: 200.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        Ok(SeenFrame { log_odds, scale, saturation: 40.0, frame_px: [640, 480], quality })
    }

    fn at(ms: u64) -> Option<Monotonic> {
        Some(Monotonic::from_boot(Duration::from_millis(1_000_000 + ms)))
    }

    fn of(log_odds: &[f32]) -> Showing {
        let mut showing = Showing::new(PadLimits::default());
        log_odds.iter().for_each(|odds| assert_eq!(showing.add(None, &frame(*odds, 2.7)), Glimpse::Judged));
        showing
    }

    #[test]
    fn thirty_judged_frames_are_enough() {
        let mut showing = of(&[1.0; 29]);
        assert_eq!(showing.add(at(0), &frame(1.0, 1.5)), Glimpse::Doubted(PadDoubt::Scale));
        assert!(!showing.is_over(at(0)));
        showing.add(at(10), &frame(1.0, 2.7));
        assert!(showing.is_over(at(10)));
        assert_eq!((showing.judged(), showing.frames().len(), showing.frame_px()), (30, 31, Some([640, 480])));
        assert_eq!(showing.doubts(), BTreeMap::from([(PadDoubt::Scale, 1)]));
    }

    #[test]
    fn a_door_that_asks_for_more_frames_is_given_them() {
        let mut showing = Showing::new(PadLimits { min_frames: 40, ..PadLimits::default() });
        (0..39).for_each(|_| _ = showing.add(None, &frame(1.0, 2.7)));
        assert!(!showing.is_over(None));
        showing.add(None, &frame(1.0, 2.7));
        assert!(showing.is_over(None) && showing.outcome(false) == Outcome::Accepted);
    }

    #[test]
    fn a_face_is_waited_for_and_then_has_ten_seconds() {
        let nobody = Err(AcquisitionFailure::NoFace);
        let mut showing = Showing::new(PadLimits::default());
        assert_eq!(showing.add(at(0), &nobody), Glimpse::NoFace);
        assert!(!showing.is_over(at(29_999)) && showing.is_over(at(30_000)));
        showing.add(at(25_000), &frame(1.0, 1.0));
        assert!(!showing.is_over(at(34_999)) && showing.is_over(at(35_000)));
        // A recording has no time of its own.
        assert!(!showing.is_over(None));
    }

    #[test]
    fn a_recording_ends_too() {
        let mut showing = Showing::new(PadLimits::default());
        (0..FRAMES).for_each(|_| _ = showing.add(None, &frame(1.0, 1.0)));
        assert!(showing.is_over(None));
        assert_eq!(showing.outcome(false), Outcome::Undetermined(PadDoubt::Scale));
    }

    #[test]
    fn an_attack_that_was_bona_fide_once_was_accepted_and_a_person_is_judged_by_the_end() {
        let turned = of(&[[2.0; 10].as_slice(), &[-9.0; 10]].concat());
        assert_eq!((turned.outcome(true), turned.outcome(false)), (Outcome::Accepted, Outcome::Refused));
        let late = of(&[[-2.0; 10].as_slice(), &[9.0; 10]].concat());
        assert_eq!((late.outcome(true), late.outcome(false)), (Outcome::Refused, Outcome::Refused));
        let short = of(&[5.0; 9]);
        assert_eq!(short.outcome(true), Outcome::Undetermined(PadDoubt::TooFewFrames));
    }

    #[test]
    fn rows_of_one_presentation_are_put_together_in_the_order_of_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pad.csv");
        let text = "video,attack,species,presentation,subject\nb,no,,1,Zoe\na,yes,print,1,Ada\nc,no,,1,Zoe\n";
        std::fs::write(&path, text).unwrap();
        let list = List::presented(&path).unwrap();
        let recordings = ["a", "b", "c"].map(PathBuf::from);
        let seen = [vec![frame(-1.0, 2.7); 12], vec![frame(3.0, 2.7); 5], vec![frame(1.0, 2.7); 40]];
        let found = showings(&list, &recordings, &seen, PadLimits::default());
        let [(zoe, first), (ada, second)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((zoe.subject.as_str(), ada.species.as_deref()), ("Zoe", Some("print")));
        assert_eq!((first.judged(), first.frames()[4].0, first.frames()[5].0), (30, 3.0, 1.0));
        assert_eq!((second.judged(), second.outcome(true)), (12, Outcome::Refused));
    }
}
