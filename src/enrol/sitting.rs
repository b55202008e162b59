//! One subject before one source: which frames become templates. Pure; pictures are judged elsewhere, the time is passed in.

use std::{collections::BTreeMap, time::Duration};

use super::{Accepted, Advice, Guide, Heading, Look, OwnFront, Quotas, Refusal, guide::Seen};
use crate::{
    config::QualityLimits,
    domain::{Embedding, FrameRef, ModelMismatch, Similarity, SubjectId, Threshold},
};

/// Fewer frames than these make no enrolment: three to five photos are where the mean of embeddings stops gaining.
pub const MIN_FRAMES: usize = 3;

/// Time between two frames that are taken, at least: neighbours show the same.
const SPACING: Duration = Duration::from_millis(500);
/// The same where otherwise too few were taken: a short recording, a sitter who cannot turn.
const NEAR: Duration = Duration::from_millis(200);
/// From the first good frame on, so long for a sharper one: about as long as a head moves into a pose.
const BURST: Duration = Duration::from_millis(300);
/// Frames put by: each that is taken may lie too near to two of them.
const SPARE: usize = 3 * MIN_FRAMES;
/// Two frames this much alike show the same. In a film of somebody speaking 75 of 90 pairs half a second apart are less alike,
/// of a photograph that is moved 3 of 51.
const ALIKE: f32 = 0.97;
/// So many frames in a row that show the same other subject are no chance: the door asks for as many looks before it opens.
const SURE: usize = 3;

/// Who sits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody who can be asked to turn.
    Guided,
    /// A recording: whatever it shows.
    Recording {
        /// Time between its frames. Their stamps tell when they were read, not when they were taken.
        interval: Duration,
    },
}

/// What a sitting is to give.
#[derive(Debug, Clone, Copy)]
pub struct SittingSettings {
    /// Who sits there.
    pub kind: Kind,
    /// Templates wanted.
    pub frames: usize,
    /// The limits that samples are held against.
    pub limits: QualityLimits,
    /// How alike pictures of one person are; `None` to take anybody's.
    pub one_person: Option<Threshold>,
}

impl SittingSettings {
    /// Templates, unless asked for more: three to five photos are where the mean of embeddings stops gaining.
    pub const DEFAULT_FRAMES: usize = 5;

    /// When a frame was taken; comparable within one sitting only.
    pub fn time_of(&self, frame: &FrameRef) -> Duration {
        match self.kind {
            Kind::Guided => frame.captured.monotonic.since_boot(),
            Kind::Recording { interval } => interval.saturating_mul(u32::try_from(frame.seq).unwrap_or(u32::MAX)),
        }
    }

    /// Frames of a recording looked at, at most: at 15 a second, a second for each template, at least ten.
    pub fn max_recorded(&self) -> usize {
        15 * self.frames.max(10)
    }
}

impl Kind {
    /// A folder of pictures: each is of another moment.
    pub const PICTURES: Self = Self::Recording { interval: SPACING };
}

/// A frame that was taken.
#[derive(Debug, Clone)]
pub struct Take {
    /// Its number in the source.
    pub seq: u64,
    /// When it was taken.
    pub at: Duration,
    /// Which way the head points; `None` between the windows.
    pub heading: Option<Heading>,
    /// The template, with its quality and crop.
    pub accepted: Accepted,
}

/// How far a sitting has come after a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to say to the sitter; `None` in a recording.
    pub advice: Option<Advice>,
    /// Headings that were given up with this frame.
    pub given_up: Vec<Heading>,
    /// Frames taken so far.
    pub taken: usize,
    /// Whether no more frames are wanted.
    pub over: bool,
}

/// The best frame of a moment that has just begun.
struct Burst {
    since: Duration,
    best: Take,
}

/// Takes varied good frames of one person.
pub struct Sitting {
    settings: SittingSettings,
    /// Templates that the subject has already.
    known: Vec<Embedding>,
    guide: Option<Guide>,
    /// In a recording; a guide has its own.
    front: OwnFront,
    burst: Option<Burst>,
    takes: Vec<Take>,
    /// Good, but like one that was taken or soon after it. Better than none.
    spare: Vec<Take>,
    frames: usize,
    refused: BTreeMap<String, usize>,
    /// Somebody else's enrolment that the last good frames showed, and how many.
    somebody: Option<(SubjectId, Similarity, usize)>,
    latest: Duration,
    over: bool,
}

impl Sitting {
    /// Of a subject who has these templates already.
    pub fn new(settings: SittingSettings, known: Vec<Embedding>) -> Self {
        let guided = settings.kind == Kind::Guided;
        Self {
            settings,
            known,
            guide: guided.then(|| Guide::new(settings.frames, settings.limits)),
            front: OwnFront::default(),
            burst: None,
            takes: Vec::new(),
            spare: Vec::new(),
            frames: 0,
            refused: BTreeMap::new(),
            somebody: None,
            latest: Duration::ZERO,
            over: false,
        }
    }

    /// Frames looked at.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Looks at what frame `seq` of the time `at` was judged to show. Times that go back stand still.
    ///
    /// # Errors
    /// When embeddings of different models are mixed.
    pub fn look(&mut self, seq: u64, at: Duration, seen: Result<Look, Refusal>) -> Result<Step, ModelMismatch> {
        if self.over {
            return Ok(self.step(self.guide.as_ref().map(|_| Advice::Done), Vec::new()));
        }
        self.latest = self.latest.max(at);
        let at = self.latest;
        self.frames += 1;
        if self.burst.as_ref().is_some_and(|burst| at.saturating_sub(burst.since) >= BURST) {
            self.close_burst()?;
        }
        let seen = match seen {
            Ok(look) => self.hold_against_the_others(look)?,
            refused => refused.map(|look| look.accepted),
        };
        if let Err(refusal) = &seen {
            for code in refusal.codes() {
                *self.refused.entry(code).or_default() += 1;
            }
        }
        let quality = seen.as_ref().ok().map(|accepted| accepted.quality);
        let refusal = match seen {
            Ok(accepted) => {
                self.consider(Take { seq, at, heading: None, accepted })?;
                None
            }
            Err(refusal) => Some(refusal),
        };
        if self.guide.as_ref().is_some_and(|guide| guide.is_late(at)) {
            self.close_burst()?;
        }
        let given_up = self.guide.as_mut().map(|guide| guide.go_on(at)).unwrap_or_default();
        let shown = match (&quality, &refusal) {
            (Some(quality), _) => Some(Seen::Good(quality)),
            (None, Some(refusal)) => Some(Seen::Refused(refusal)),
            (None, None) => None,
        };
        let advice = self.guide.as_mut().zip(shown).map(|(guide, shown)| guide.advise(shown, at));
        let is_duplicate = self.somebody.as_ref().is_some_and(|(_, _, n)| *n >= SURE);
        let all_seen = match &self.guide {
            Some(guide) => guide.asked().is_none(),
            None => self.frames >= self.settings.max_recorded(),
        };
        self.over = is_duplicate || all_seen;
        Ok(self.step(advice, given_up))
    }

    /// What came of it: at least [`MIN_FRAMES`] templates, in the order of time.
    ///
    /// # Errors
    /// Why there are not: the subject is enrolled as somebody else, or too few frames were good. `Ok(Err(_))`; the outer error is
    /// that of [`look`](Self::look).
    pub fn finish(mut self) -> Result<Result<Vec<Take>, Refusal>, ModelMismatch> {
        if let Some((subject, similarity, _)) = self.somebody.take_if(|(_, _, n)| *n >= SURE) {
            return Ok(Err(Refusal::EnrolledAs { subject, similarity }));
        }
        self.close_burst()?;
        for take in std::mem::take(&mut self.spare) {
            if self.takes.len() < MIN_FRAMES && lie_apart(&self.takes, take.at, NEAR) {
                self.takes.push(take);
            }
        }
        if self.takes.len() < MIN_FRAMES {
            let mut reasons: Vec<(String, usize)> = self.refused.into_iter().collect();
            reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            let (good, needed) = (self.takes.len(), MIN_FRAMES);
            return Ok(Err(Refusal::TooFewFrames { good, needed, frames: self.frames, reasons }));
        }
        let mut takes = match self.guide {
            Some(_) => self.takes,
            None => spread(self.takes, &self.front, self.settings.frames),
        };
        takes.sort_by_key(|take| take.seq);
        Ok(Ok(takes))
    }

    fn step(&self, advice: Option<Advice>, given_up: Vec<Heading>) -> Step {
        Step { advice, given_up, taken: self.takes.len().min(self.settings.frames), over: self.over }
    }

    /// Is it the person of the frames before it, and nobody who is enrolled?
    fn hold_against_the_others(&mut self, look: Look) -> Result<Result<Accepted, Refusal>, ModelMismatch> {
        let Look { accepted, enrolled_as } = look;
        if let Some(threshold) = self.settings.one_person {
            let taken = self.takes.iter().chain(self.burst.as_ref().map(|burst| &burst.best));
            let others: Vec<&Embedding> = self.known.iter().chain(taken.map(|take| &take.accepted.embedding)).collect();
            if let Some(similarity) = mean_similarity(&accepted.embedding, &others)?
                && !similarity.reaches(threshold)
            {
                return Ok(Err(Refusal::AnotherPerson { similarity, threshold }));
            }
        }
        let before = self.somebody.take();
        let Some((subject, similarity)) = enrolled_as else { return Ok(Ok(accepted)) };
        let run = before.filter(|(other, ..)| *other == subject).map_or(0, |(_, _, n)| n);
        self.somebody = Some((subject.clone(), similarity, run + 1));
        Ok(Err(Refusal::EnrolledAs { subject, similarity }))
    }

    /// Keeps a good frame if it is wanted, and better than what this moment gave so far.
    fn consider(&mut self, mut take: Take) -> Result<(), ModelMismatch> {
        match &mut self.guide {
            None => self.front.learn(&take.accepted.quality),
            Some(guide) => {
                take.heading = guide.heading(&take.accepted.quality);
                if !take.heading.is_some_and(|heading| guide.wants(heading)) {
                    self.put_by(take);
                    return Ok(());
                }
            }
        }
        if self.burst.as_ref().is_some_and(|burst| burst.best.heading != take.heading) {
            self.close_burst()?;
        }
        if !lie_apart(&self.takes, take.at, SPACING) {
            self.put_by(take);
            return Ok(());
        }
        match &mut self.burst {
            None => self.burst = Some(Burst { since: take.at, best: take }),
            Some(burst) if take.accepted.quality.sharpness > burst.best.accepted.quality.sharpness => burst.best = take,
            Some(_) => {}
        }
        Ok(())
    }

    /// Takes the best frame of the moment that is over, unless it shows what another one does.
    fn close_burst(&mut self) -> Result<(), ModelMismatch> {
        let Some(Burst { best, .. }) = self.burst.take() else { return Ok(()) };
        let mut alike = false;
        for take in &self.takes {
            alike |= best.accepted.embedding.similarity(&take.accepted.embedding)?.value() >= ALIKE;
        }
        if let (Some(guide), Some(heading)) = (&mut self.guide, best.heading) {
            if alike {
                guide.too_alike(heading, best.at);
            } else {
                guide.took(heading, best.at);
            }
        }
        if alike {
            self.put_by(best);
        } else {
            self.takes.push(best);
        }
        Ok(())
    }

    /// Keeps a good frame for the case that there are too few; of somebody who is guided only from the front, of which no number
    /// is too many.
    fn put_by(&mut self, take: Take) {
        let fits = self.guide.is_none() || take.heading == Some(Heading::Front);
        if fits
            && self.spare.len() < SPARE
            && lie_apart(&self.takes, take.at, NEAR)
            && lie_apart(&self.spare, take.at, NEAR)
        {
            self.spare.push(take);
        }
    }
}

fn lie_apart(takes: &[Take], at: Duration, by: Duration) -> bool {
    takes.iter().all(|take| take.at.abs_diff(at) >= by)
}

fn mean_similarity(one: &Embedding, others: &[&Embedding]) -> Result<Option<Similarity>, ModelMismatch> {
    let mut sum = 0.0;
    for other in others {
        sum += one.similarity(other)?.value();
    }
    Ok((!others.is_empty()).then(|| Similarity::new(sum / others.len() as f32)))
}

/// Of what a recording gave, so many: of each heading the sharpest up to its quota, then the sharpest of the rest.
fn spread(mut takes: Vec<Take>, front: &OwnFront, frames: usize) -> Vec<Take> {
    for take in &mut takes {
        take.heading = front.heading(&take.accepted.quality);
    }
    takes.sort_by(|a, b| b.accepted.quality.sharpness.total_cmp(&a.accepted.quality.sharpness));
    let quotas = Quotas::of(frames);
    let mut counts = [0; 4];
    let (mut kept, mut rest): (Vec<Take>, Vec<Take>) = takes.into_iter().partition(|take| {
        take.heading.is_some_and(|heading| {
            counts[heading as usize] += 1;
            counts[heading as usize] <= quotas.get(heading)
        })
    });
    rest.truncate(frames.saturating_sub(kept.len()));
    kept.append(&mut rest);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{FaceCrop, ModelId, SampleQuality};

    const FRAME: Duration = Duration::from_millis(100);

    /// A look at a head turned by `yaw_deg` and raised by `pitch_deg`; its embedding points `direction_deg` off in the plane.
    fn look(yaw_deg: f32, pitch_deg: f32, sharpness: f32, direction_deg: f32) -> Look {
        let quality = SampleQuality {
            size_px: 100.0,
            sharpness,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg,
            pitch_deg,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        let (sin, cos) = direction_deg.to_radians().sin_cos();
        let embedding = Embedding::new(ModelId::new("test", [1; 32]), &[cos, sin]).unwrap();
        let crop = FaceCrop::from_rgb(vec![0; FaceCrop::BYTES]).unwrap();
        Look { accepted: Accepted { embedding, quality, crop }, enrolled_as: None }
    }

    fn settings(kind: Kind, frames: usize) -> SittingSettings {
        SittingSettings { kind, frames, limits: QualityLimits::default(), one_person: Threshold::new(0.5) }
    }

    fn guided(frames: usize) -> Sitting {
        Sitting::new(settings(Kind::Guided, frames), Vec::new())
    }

    fn recorded(frames: usize) -> Sitting {
        Sitting::new(settings(Kind::Recording { interval: FRAME }, frames), Vec::new())
    }

    /// Shows the looks at ten a second, and what became of it.
    fn show(sitting: &mut Sitting, looks: impl IntoIterator<Item = Result<Look, Refusal>>) -> Option<Step> {
        let mut last = None;
        for seen in looks {
            let seq = sitting.frames() as u64;
            last = Some(sitting.look(seq, FRAME * seq as u32, seen).unwrap());
        }
        last
    }

    /// So many frames of a head that is held so; each is 15 degrees from the one before it, which is less alike than 0.97.
    fn held(yaw_deg: f32, pitch_deg: f32, frames: u16) -> impl Iterator<Item = Result<Look, Refusal>> {
        (0..frames).map(move |n| Ok(look(yaw_deg, pitch_deg, 500.0, 15.0 * f32::from(n % 4))))
    }

    fn headings(takes: &[Take]) -> Vec<&str> {
        takes.iter().map(|take| take.heading.map_or("between", Heading::as_str)).collect()
    }

    #[test]
    fn a_sitter_who_follows_is_taken_from_all_sides() {
        let mut sitting = Sitting::new(SittingSettings { one_person: None, ..settings(Kind::Guided, 5) }, Vec::new());
        // Every heading shows something new, every moment too.
        let side = |yaw, pitch, first: u16| {
            (0..20).map(move |n| Ok(look(yaw, pitch, 500.0, f32::from(first) + 15.0 * f32::from(n / 6_u16))))
        };
        show(&mut sitting, side(1.0, 0.0, 0).take(12));
        show(&mut sitting, side(18.0, 0.0, 90).take(8));
        show(&mut sitting, side(-18.0, 0.0, 180).take(8));
        let step = show(&mut sitting, side(1.0, 12.0, 270).take(8)).unwrap();
        assert!(step.over && step.taken == 5 && step.advice == Some(Advice::Done), "{step:?}");
        let takes = sitting.finish().unwrap().unwrap();
        assert_eq!(headings(&takes), ["front", "front", "left", "right", "up"]);
    }

    #[test]
    fn of_a_moment_the_sharpest_frame_is_taken() {
        let mut sitting = recorded(5);
        let sharp =
            [300.0, 900.0, 500.0, 100.0, 100.0, 100.0, 100.0, 700.0, 800.0, 600.0, 100.0, 100.0, 100.0, 100.0, 50.0];
        show(&mut sitting, sharp.iter().enumerate().map(|(n, &s)| Ok(look(0.0, 0.0, s, 15.0 * (n / 5) as f32))));
        let takes = sitting.finish().unwrap().unwrap();
        assert_eq!(takes.iter().map(|take| take.seq).collect::<Vec<_>>(), [1, 8, 13]);
    }

    #[test]
    fn a_photograph_on_a_stand_gives_no_more_than_it_must() {
        let mut sitting = guided(10);
        show(&mut sitting, (0..600).map(|_| Ok(look(0.0, 0.0, 500.0, 0.0))));
        assert!(sitting.over, "who does not move is not waited for for ever");
        assert_eq!(sitting.finish().unwrap().unwrap().len(), MIN_FRAMES);
    }

    #[test]
    fn too_few_good_frames_are_refused_with_the_commonest_reasons() {
        let mut sitting = recorded(5);
        show(&mut sitting, (0..7).map(|_| Err(Refusal::NoFace)));
        show(&mut sitting, (0..2).map(|_| Err(Refusal::SeveralFaces(2))));
        show(&mut sitting, held(0.0, 0.0, 3));
        let refusal = sitting.finish().unwrap().unwrap_err();
        assert_eq!(refusal.codes(), ["too-few-frames", "no-face", "several-faces"]);
        let said = refusal.to_string();
        assert!(
            said.starts_with("1 good frame") && said.contains("12 were looked at, refused: 7 no-face, 2 several-faces"),
            "{said}"
        );
    }

    #[test]
    fn somebody_who_steps_in_is_refused() {
        let mut sitting = recorded(5);
        show(&mut sitting, held(0.0, 0.0, 20));
        show(&mut sitting, (0..60).map(|_| Ok(look(0.0, 0.0, 9000.0, 120.0))));
        assert_eq!(sitting.refused["another-person"], 60);
        let takes = sitting.finish().unwrap().unwrap();
        assert!(takes.iter().all(|take| take.seq < 20), "{takes:?}");
    }

    #[test]
    fn frames_are_held_against_the_templates_there_are() {
        let known = vec![look(0.0, 0.0, 1.0, 0.0).accepted.embedding];
        let mut sitting = Sitting::new(settings(Kind::Guided, 5), known);
        let step = show(&mut sitting, (0..10).map(|_| Ok(look(0.0, 0.0, 500.0, 90.0)))).unwrap();
        assert_eq!((step.advice, step.taken), (Some(Advice::SamePerson), 0));
    }

    #[test]
    fn who_is_enrolled_as_somebody_else_is_told_as_soon_as_it_is_sure() {
        let id = |name: &str| SubjectId::from_name(name).unwrap();
        let showing = |name: &str| {
            let mut look = look(0.0, 0.0, 500.0, 0.0);
            look.enrolled_as = Some((id(name), Similarity::new(0.8)));
            Ok(look)
        };
        let mut sitting = guided(10);
        // Two in a row may be chance; two of another are another two.
        let step = show(&mut sitting, [showing("Ada"), showing("Ada"), showing("Bob"), showing("Bob")]).unwrap();
        assert!(!step.over);
        show(&mut sitting, [Ok(look(0.0, 0.0, 500.0, 0.0)), showing("Bob"), showing("Bob"), Err(Refusal::NoFace)]);
        assert!(!sitting.over);
        assert!(show(&mut sitting, [showing("Bob")]).unwrap().over);
        let refusal = sitting.finish().unwrap().unwrap_err();
        assert!(matches!(refusal, Refusal::EnrolledAs { subject, .. } if subject == id("Bob")));
    }

    #[test]
    fn an_enrolled_passer_by_is_no_duplicate() {
        let mut sitting = recorded(5);
        show(&mut sitting, held(0.0, 0.0, 20));
        let mut passer_by = look(0.0, 0.0, 500.0, 150.0);
        passer_by.enrolled_as = Some((SubjectId::from_name("Ada").unwrap(), Similarity::new(0.9)));
        show(&mut sitting, (0..10).map(|_| Ok(passer_by.clone())));
        assert!(sitting.finish().unwrap().is_ok());
    }

    #[test]
    fn a_recording_gives_what_headings_it_has() {
        let mut sitting = Sitting::new(
            SittingSettings { one_person: None, ..settings(Kind::Recording { interval: FRAME }, 4) },
            Vec::new(),
        );
        let turning = |n: u16| match n / 20 {
            0 => (0.0, 500.0),
            1 => (18.0, 100.0),
            _ => (-18.0, 300.0),
        };
        show(
            &mut sitting,
            (0..60).map(|n| {
                let (yaw, sharpness) = turning(n);
                Ok(look(yaw, 0.0, sharpness, 15.0 * f32::from(n / 5)))
            }),
        );
        let takes = sitting.finish().unwrap().unwrap();
        // One of each, though the sharpest are all of the front; nobody looked up, so the front gives one more.
        assert_eq!(headings(&takes), ["front", "front", "left", "right"]);
    }

    #[test]
    fn a_recording_is_looked_at_so_far_and_no_further() {
        let mut sitting = recorded(5);
        let step = show(&mut sitting, (0..149).map(|_| Err(Refusal::NoFace))).unwrap();
        assert!(!step.over);
        assert!(show(&mut sitting, [Err(Refusal::NoFace)]).unwrap().over);
    }

    /// Milliseconds since the last frame, and what it shows: nothing, or a head.
    fn seen() -> impl Strategy<Value = (u64, Option<(f32, f32, f32, f32)>)> {
        let head = (-45f32..45.0, -25f32..25.0, 20f32..2000.0, -60f32..60.0);
        (10u64..600, prop_oneof![1 => Just(None), 4 => head.prop_map(Some)])
    }

    proptest! {
        #[test]
        fn no_more_than_wanted_none_refused_all_apart_and_it_ends(
            frames in 4usize..=30, guided in any::<bool>(), looks in prop::collection::vec(seen(), 1..400),
        ) {
            let kind = if guided { Kind::Guided } else { Kind::Recording { interval: FRAME } };
            let mut sitting = Sitting::new(SittingSettings { one_person: None, ..settings(kind, frames) }, Vec::new());
            let (mut at, mut over_at, mut given_up) = (Duration::ZERO, None, Vec::new());
            for (seq, (wait_ms, head)) in looks.iter().enumerate() {
                at += Duration::from_millis(*wait_ms);
                let seen = head.map(|(yaw, pitch, sharpness, off)| look(yaw, pitch, sharpness, off)).ok_or(Refusal::NoFace);
                let step = sitting.look(seq as u64, at, seen).unwrap();
                prop_assert!(step.taken <= frames);
                given_up.extend(step.given_up);
                over_at = over_at.or(step.over.then_some(seq as u64));
            }
            // A frame after the longest time is the last.
            let last = sitting.look(looks.len() as u64, at + Duration::from_secs(121), Err(Refusal::NoFace)).unwrap();
            prop_assert!(last.over || !guided);
            if let Ok(takes) = sitting.finish().unwrap() {
                prop_assert!((MIN_FRAMES..=frames).contains(&takes.len()));
                prop_assert!(takes.iter().all(|take| looks[take.seq as usize].1.is_some()), "a refused frame was taken");
                prop_assert!(takes.iter().all(|take| over_at.is_none_or(|over| take.seq <= over)));
                let few = takes.len() == MIN_FRAMES;
                let by = if few { NEAR } else { SPACING };
                prop_assert!(takes.is_sorted_by(|a, b| a.seq < b.seq && a.at.abs_diff(b.at) >= by));
                for (n, take) in takes.iter().enumerate() {
                    let alike = |other: &Take| take.accepted.embedding.similarity(&other.accepted.embedding).unwrap().value() >= ALIKE;
                    prop_assert!(few || !takes[..n].iter().any(alike), "two that show the same");
                }
                for heading in Heading::ALL.into_iter().filter(|heading| guided && *heading != Heading::Front) {
                    let n = takes.iter().filter(|take| take.heading == Some(heading)).count();
                    prop_assert!(n <= Quotas::of(frames).get(heading), "{n} of {heading:?}");
                    prop_assert!(n == 0 || !given_up.contains(&heading));
                }
            }
        }
    }
}
