//! What a sitter is asked to do next: a state machine over what was seen and when. It looks at no picture and no clock.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{
    Refusal,
    heading::{ASIDE_DEG, Heading, OwnFront, Quotas, UP_DEG},
};
use crate::{
    config::QualityLimits,
    domain::{QualityPart, QualityRefusal, SampleQuality},
};

/// The headings in the order in which they are asked for. The front comes again for what the others did not give: not
/// everybody can turn their head.
const PLAN: [Heading; 5] = [Heading::Front, Heading::Left, Heading::Right, Heading::Up, Heading::Front];

// Chosen, not measured: how long it is polite to wait.

/// For somebody to come before the camera and look into it.
const ARRIVAL: Duration = Duration::from_secs(30);
/// For a heading to be held, from when it is asked for or the last frame of it was taken: time to hear, to try, to be told "not
/// so far" and to try again.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a sitter to move at all, when every frame is as one that was taken.
const ALIKE_PATIENCE: Duration = Duration::from_secs(4);
/// For the whole sitting, whatever it still gives.
const LONGEST: Duration = Duration::from_secs(120);
/// How long a remark must be true before it is made: of one blurred frame nothing need be said.
const STEADY: Duration = Duration::from_millis(400);
/// The same for "the other way": whoever was just told to turn is still on the way.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// What is said to a sitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Advice {
    /// Look into the camera.
    LookAtCamera,
    /// Turn the head to their left.
    TurnLeft,
    /// Turn the head to their right.
    TurnRight,
    /// Raise the chin.
    RaiseChin,
    /// Turned or raised too far.
    NotSoFar,
    /// Turned the other way than asked.
    OtherWay,
    /// As wanted.
    Hold,
    /// As wanted, but every frame is as one that was taken.
    MoveALittle,
    /// The face is too small.
    ComeCloser,
    /// The face is too dark.
    MoreLight,
    /// The face is too bright.
    LessLight,
    /// The face has too little contrast.
    OtherLight,
    /// The face is blurred.
    HoldStill,
    /// The head is tilted.
    HeadUpright,
    /// The detector is not sure of the face.
    ShowFace,
    /// Nobody is to be seen.
    StepIntoView,
    /// Several people are to be seen.
    OnePerson,
    /// Somebody else than before is to be seen.
    SamePerson,
    /// The picture lies on its side.
    CameraUpright,
    /// It is over.
    Done,
}

impl Advice {
    const fn asking_for(heading: Heading) -> Self {
        match heading {
            Heading::Front => Self::LookAtCamera,
            Heading::Left => Self::TurnLeft,
            Heading::Right => Self::TurnRight,
            Heading::Up => Self::RaiseChin,
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LookAtCamera => "look at the camera",
            Self::TurnLeft => "turn your head a little to your left",
            Self::TurnRight => "turn your head a little to your right",
            Self::RaiseChin => "raise your chin a little",
            Self::NotSoFar => "not so far",
            Self::OtherWay => "the other way, please",
            Self::Hold => "good, stay like that",
            Self::MoveALittle => "good, now move your head just a little",
            Self::ComeCloser => "come closer",
            Self::MoreLight => "more light on the face, please",
            Self::LessLight => "less light on the face, please",
            Self::OtherLight => "the face is too flat: light from another side, please",
            Self::HoldStill => "hold still",
            Self::HeadUpright => "hold your head upright",
            Self::ShowFace => "show your whole face",
            Self::StepIntoView => "step before the camera",
            Self::OnePerson => "only one person, please",
            Self::SamePerson => "this is somebody else than before: the one who is being enrolled, please",
            Self::CameraUpright => "the picture lies on its side: turn the camera upright",
            Self::Done => "thank you",
        })
    }
}

/// What a frame showed.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A sample that is good enough.
    Good(&'a SampleQuality),
    /// Nothing to take, and why.
    Refused(&'a Refusal),
}

/// Leads a sitter through the headings.
#[derive(Debug, Clone)]
pub struct Guide {
    limits: QualityLimits,
    front: OwnFront,
    quotas: Quotas,
    taken: [usize; 4],
    /// Where in the [`PLAN`]; behind it when all is over.
    step: usize,
    /// Time of the first frame.
    began: Option<Duration>,
    /// Since when the heading is asked for, or when the last frame of it was taken.
    since: Duration,
    /// Since when its frames were all as one that was taken.
    alike_since: Option<Duration>,
    said: Advice,
    /// What would be said if it stayed true, and since when it is.
    wish: (Advice, Duration),
}

impl Guide {
    /// For so many frames in all, of samples within these limits.
    pub fn new(frames: usize, limits: QualityLimits) -> Self {
        Self {
            limits,
            front: OwnFront::default(),
            quotas: Quotas::of(frames),
            taken: [0; 4],
            step: 0,
            began: None,
            since: Duration::ZERO,
            alike_since: None,
            said: Advice::LookAtCamera,
            wish: (Advice::LookAtCamera, Duration::ZERO),
        }
    }

    /// The heading asked for; `None` when all is over.
    pub fn asked(&self) -> Option<Heading> {
        PLAN.get(self.step).copied()
    }

    /// Which way the head of a good sample points. Learns the sitter's own front, as long as nothing else was asked for.
    pub fn heading(&mut self, quality: &SampleQuality) -> Option<Heading> {
        if self.step > 0 {
            return self.front.heading(quality);
        }
        self.front.learn(quality);
        OwnFront::may_be(quality).then_some(Heading::Front)
    }

    /// Whether frames of this heading are still wanted. Also of one that is not asked for yet: then it need not be.
    pub fn wants(&self, heading: Heading) -> bool {
        let in_turn = self.step > 0 || heading == Heading::Front;
        let more = self.taken_of(heading) < self.quotas.get(heading);
        self.asked().is_some() && in_turn && more && self.has_room_for(heading)
    }

    /// A frame of this heading was taken.
    pub fn took(&mut self, heading: Heading, at: Duration) {
        self.taken[heading as usize] += 1;
        if self.asked() == Some(heading) {
            (self.since, self.alike_since) = (at, None);
        }
    }

    /// A frame of this heading was not taken, as it is like one that was.
    pub fn too_alike(&mut self, heading: Heading, at: Duration) {
        if self.asked() == Some(heading) {
            self.alike_since.get_or_insert(at);
        }
    }

    /// Whether what is asked for is not waited for any longer. What is at hand of it is to be taken now, before it is given up.
    pub fn is_late(&self, at: Duration) -> bool {
        let passed = |since: Duration, time: Duration| at.saturating_sub(since) >= time;
        let nobody_yet = self.step == 0 && self.taken_of(Heading::Front) == 0;
        self.began.is_some_and(|began| {
            passed(began, LONGEST) || passed(self.since, if nobody_yet { ARRIVAL } else { PATIENCE })
        }) || self.alike_since.is_some_and(|since| passed(since, ALIKE_PATIENCE))
    }

    /// Goes on with the plan, as far as the time and what was taken allow. Gives the headings that are given up.
    pub fn go_on(&mut self, at: Duration) -> Vec<Heading> {
        if self.began.is_none() {
            (self.began, self.since) = (Some(at), at);
        }
        let (before, mut given_up) = (self.step, Vec::new());
        while let Some(asked) = self.asked() {
            let taken = self.taken_of(asked);
            let enough = taken >= self.quotas.get(asked);
            if !enough && !self.is_late(at) && self.has_room_for(asked) {
                break;
            }
            if !enough && asked != Heading::Front {
                self.quotas.hand_to_front(asked, taken);
                if taken == 0 {
                    given_up.push(asked);
                }
            }
            // Without a front there is nothing to turn from: nobody came.
            self.step = if self.step == 0 && taken == 0 { PLAN.len() } else { self.step + 1 };
            (self.since, self.alike_since) = (at, None);
        }
        if self.step != before {
            self.said = self.asked().map_or(Advice::Done, Advice::asking_for);
            self.wish = (self.said, at);
        }
        given_up
    }

    /// What to say, a frame having shown this.
    pub fn advise(&mut self, seen: Seen<'_>, at: Duration) -> Advice {
        let wish = self.wish_for(seen);
        if wish != self.wish.0 {
            self.wish = (wish, at);
        }
        if at.saturating_sub(self.wish.1) >= if wish == Advice::OtherWay { ON_THE_WAY } else { STEADY } {
            self.said = wish;
        }
        self.said
    }

    fn has_room_for(&self, heading: Heading) -> bool {
        heading == Heading::Front || self.front.has_room_for(heading, &self.limits)
    }

    fn taken_of(&self, heading: Heading) -> usize {
        self.taken[heading as usize]
    }

    fn wish_for(&self, seen: Seen<'_>) -> Advice {
        let Some(asked) = self.asked() else { return Advice::Done };
        match seen {
            Seen::Good(quality) => self.wish_for_good(asked, quality),
            Seen::Refused(refusal) => match refusal {
                Refusal::NoFace => Advice::StepIntoView,
                Refusal::SeveralFaces(_) => Advice::OnePerson,
                Refusal::AnotherPerson { .. } => Advice::SamePerson,
                Refusal::Turned { .. } => Advice::CameraUpright,
                Refusal::Quality(parts) => parts.first().map_or(Advice::HoldStill, |part| remedy(part, asked)),
                // It is not sure yet.
                Refusal::EnrolledAs { .. } => Advice::Hold,
                _ => Advice::HoldStill,
            },
        }
    }

    fn wish_for_good(&self, asked: Heading, quality: &SampleQuality) -> Advice {
        let heading = if self.step == 0 {
            OwnFront::may_be(quality).then_some(Heading::Front)
        } else {
            self.front.heading(quality)
        };
        if heading == Some(asked) {
            return if self.alike_since.is_some() { Advice::MoveALittle } else { Advice::Hold };
        }
        let away = self.front.deviation(quality).map_or((0.0, 0.0), |d| (d.left_deg, d.up_deg));
        let (far, begins, ends) = match asked {
            Heading::Front => return Advice::LookAtCamera,
            Heading::Left => (away.0, *ASIDE_DEG.start(), *ASIDE_DEG.end()),
            Heading::Right => (-away.0, *ASIDE_DEG.start(), *ASIDE_DEG.end()),
            Heading::Up => (away.1, *UP_DEG.start(), *UP_DEG.end()),
        };
        if far > ends {
            Advice::NotSoFar
        } else if far <= -begins && asked != Heading::Up {
            // Perhaps the camera's picture is a mirror's: then this leads them right all the same.
            Advice::OtherWay
        } else {
            Advice::asking_for(asked)
        }
    }
}

fn remedy(refusal: &QualityRefusal, asked: Heading) -> Advice {
    match refusal.part {
        QualityPart::Size => Advice::ComeCloser,
        QualityPart::Sharpness => Advice::HoldStill,
        QualityPart::Brightness if refusal.measured < refusal.limit => Advice::MoreLight,
        QualityPart::Brightness => Advice::LessLight,
        QualityPart::Contrast => Advice::OtherLight,
        QualityPart::Yaw | QualityPart::Pitch if asked == Heading::Front => Advice::LookAtCamera,
        QualityPart::Yaw | QualityPart::Pitch => Advice::NotSoFar,
        QualityPart::Roll => Advice::HeadUpright,
        QualityPart::DetectorScore => Advice::ShowFace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(yaw_deg: f32, pitch_deg: f32) -> SampleQuality {
        SampleQuality {
            size_px: 100.0,
            sharpness: 800.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg,
            pitch_deg,
            roll_deg: 0.0,
            detector_score: 0.9,
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A sitter before a camera of ten frames a second; every wanted frame is taken.
    struct Sitter {
        guide: Guide,
        now: Duration,
        given_up: Vec<Heading>,
    }

    impl Sitter {
        fn new(frames: usize) -> Self {
            Self { guide: Guide::new(frames, QualityLimits::default()), now: ms(5_000), given_up: Vec::new() }
        }

        fn frame(&mut self, seen: Seen<'_>) -> Advice {
            if let Seen::Good(quality) = seen
                && let Some(heading) = self.guide.heading(quality)
                && self.guide.wants(heading)
            {
                self.guide.took(heading, self.now);
            }
            self.given_up.extend(self.guide.go_on(self.now));
            let said = self.guide.advise(seen, self.now);
            self.now += ms(100);
            said
        }

        /// The last of what is said while this is shown for so long.
        fn show(&mut self, seen: Seen<'_>, time_ms: u64) -> Advice {
            (0..time_ms / 100).map(|_| self.frame(seen)).last().unwrap()
        }
    }

    #[test]
    fn a_willing_sitter_is_led_through_all_headings() {
        let mut sitter = Sitter::new(5);
        assert_eq!(sitter.frame(Seen::Good(&quality(2.0, -4.0))), Advice::LookAtCamera);
        assert_eq!(sitter.frame(Seen::Good(&quality(0.0, -4.0))), Advice::TurnLeft);
        assert_eq!(sitter.frame(Seen::Good(&quality(18.0, -4.0))), Advice::TurnRight);
        assert_eq!(sitter.frame(Seen::Good(&quality(-18.0, -4.0))), Advice::RaiseChin);
        assert_eq!(sitter.frame(Seen::Good(&quality(1.0, 10.0))), Advice::Done);
        assert_eq!((sitter.guide.asked(), sitter.guide.taken), (None, [2, 1, 1, 1]));
        assert_eq!(sitter.given_up, []);
    }

    #[test]
    fn who_cannot_turn_gives_front_frames_instead() {
        let mut sitter = Sitter::new(5);
        sitter.show(Seen::Good(&quality(0.0, 0.0)), 60_000);
        assert_eq!((sitter.guide.asked(), sitter.guide.taken), (None, [5, 0, 0, 0]));
        assert_eq!(sitter.given_up, [Heading::Left, Heading::Right, Heading::Up]);
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let mut sitter = Sitter::new(10);
        assert_eq!(sitter.show(Seen::Refused(&Refusal::NoFace), 29_000), Advice::StepIntoView);
        assert_eq!(sitter.show(Seen::Refused(&Refusal::NoFace), 2_000), Advice::Done);
        assert_eq!(sitter.guide.asked(), None);
    }

    #[test]
    fn a_sitter_who_goes_away_is_given_up() {
        let mut sitter = Sitter::new(10);
        sitter.frame(Seen::Good(&quality(0.0, 0.0)));
        sitter.show(Seen::Refused(&Refusal::NoFace), 51_000);
        assert_eq!((sitter.guide.asked(), sitter.guide.taken), (None, [1, 0, 0, 0]));
    }

    #[test]
    fn the_other_way_is_taken_and_told() {
        let mut sitter = Sitter::new(5);
        sitter.show(Seen::Good(&quality(0.0, 0.0)), 200);
        assert_eq!(sitter.guide.asked(), Some(Heading::Left));
        // Asked to turn left, they turn right: that one need not be asked for any more.
        assert_eq!(sitter.show(Seen::Good(&quality(-18.0, 0.0)), 1_500), Advice::TurnLeft);
        assert_eq!(sitter.show(Seen::Good(&quality(-18.0, 0.0)), 1_000), Advice::OtherWay);
        assert_eq!(sitter.frame(Seen::Good(&quality(18.0, 0.0))), Advice::RaiseChin);
        assert_eq!(sitter.guide.taken, [2, 1, 1, 0]);
    }

    #[test]
    fn too_far_is_told_within_and_beyond_the_limits() {
        let mut sitter = Sitter::new(5);
        sitter.show(Seen::Good(&quality(0.0, 0.0)), 200);
        assert_eq!(sitter.show(Seen::Good(&quality(36.0, 0.0)), 600), Advice::NotSoFar);
        let beyond = Refusal::Quality(vec![QualityRefusal { part: QualityPart::Yaw, measured: 50.0, limit: 40.0 }]);
        assert_eq!(sitter.show(Seen::Refused(&beyond), 600), Advice::NotSoFar);
        assert_eq!(sitter.show(Seen::Good(&quality(4.0, 0.0)), 600), Advice::TurnLeft);
    }

    #[test]
    fn one_frame_alone_changes_nothing_that_is_said() {
        let mut sitter = Sitter::new(10);
        sitter.show(Seen::Refused(&Refusal::SeveralFaces(2)), 600);
        assert_eq!(sitter.frame(Seen::Refused(&Refusal::NoFace)), Advice::OnePerson);
        assert_eq!(sitter.frame(Seen::Refused(&Refusal::SeveralFaces(2))), Advice::OnePerson);
        assert_eq!(sitter.show(Seen::Refused(&Refusal::NoFace), 600), Advice::StepIntoView);
    }

    #[test]
    fn every_quality_part_has_its_remedy() {
        let remedy = |part, measured, limit| {
            let refusal = Refusal::Quality(vec![QualityRefusal { part, measured, limit }]);
            Sitter::new(5).show(Seen::Refused(&refusal), 600)
        };
        for (part, measured, limit, advice) in [
            (QualityPart::Size, 20.0, 60.0, Advice::ComeCloser),
            (QualityPart::Sharpness, 2.0, 10.0, Advice::HoldStill),
            (QualityPart::Brightness, 20.0, 40.0, Advice::MoreLight),
            (QualityPart::Brightness, 240.0, 220.0, Advice::LessLight),
            (QualityPart::Contrast, 2.0, 15.0, Advice::OtherLight),
            (QualityPart::Yaw, 50.0, 40.0, Advice::LookAtCamera),
            (QualityPart::Pitch, 50.0, 35.0, Advice::LookAtCamera),
            (QualityPart::Roll, 50.0, 40.0, Advice::HeadUpright),
            (QualityPart::DetectorScore, 0.5, 0.7, Advice::ShowFace),
        ] {
            assert_eq!(remedy(part, measured, limit), advice, "{part}");
        }
    }

    #[test]
    fn who_does_not_move_is_told_to_and_then_passed_over() {
        let mut guide = Guide::new(10, QualityLimits::default());
        let front = quality(0.0, 0.0);
        guide.heading(&front);
        guide.took(Heading::Front, ms(0));
        guide.go_on(ms(0));
        guide.too_alike(Heading::Front, ms(1_000));
        guide.advise(Seen::Good(&front), ms(1_000));
        assert_eq!(guide.advise(Seen::Good(&front), ms(1_500)), Advice::MoveALittle);
        guide.go_on(ms(4_900));
        assert_eq!(guide.asked(), Some(Heading::Front));
        guide.go_on(ms(5_000));
        assert_eq!(guide.asked(), Some(Heading::Left));
    }

    #[test]
    fn a_heading_that_the_limits_leave_no_room_for_is_not_asked_for() {
        let limits = QualityLimits { max_yaw_deg: 12.0, ..QualityLimits::default() };
        let mut sitter = Sitter { guide: Guide::new(5, limits), ..Sitter::new(5) };
        assert_eq!(sitter.show(Seen::Good(&quality(0.0, 0.0)), 200), Advice::RaiseChin);
        assert_eq!(sitter.given_up, [Heading::Left, Heading::Right]);
    }

    #[test]
    fn what_is_serialised_is_what_the_manual_names() {
        assert_eq!(serde_json::to_value(Advice::TurnLeft).unwrap(), "turn-left");
        assert_eq!(serde_json::to_value(Advice::MoveALittle).unwrap(), "move-a-little");
    }
}
