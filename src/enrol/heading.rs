//! Which way a sitter's head points, and how many frames of each are wanted.

use serde::Serialize;

use crate::{config::QualityLimits, domain::SampleQuality};

/// Which way a head points, as the sitter sees it: a camera's picture is no mirror, so who turns to their own left turns the
/// nose to the picture's right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heading {
    /// Into the camera.
    Front,
    /// To the sitter's left.
    Left,
    /// To the sitter's right.
    Right,
    /// The chin raised.
    Up,
}

impl Heading {
    /// All, in the order in which they are asked for.
    pub const ALL: [Self; 4] = [Self::Front, Self::Left, Self::Right, Self::Up];

    /// The machine-readable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Left => "left",
            Self::Right => "right",
            Self::Up => "up",
        }
    }
}

/// Furthest from straight ahead at which a sitter who was asked to look at the camera can be doing so, degrees of yaw: yaw is
/// estimated to about 10 degrees from face to face, and the camera may stand a little aside.
const MAX_FRONT_YAW_DEG: f32 = 15.0;

// Against the sitter's own front, whose bias (the nose, the place of the camera) drops out. What remains is the estimate's own
// unrest: over 24 frames of one photograph yaw and pitch both have a standard deviation of 2.3 degrees.

/// Still in front: three and a half deviations in yaw, three in pitch.
const FRONT_YAW_DEG: f32 = 8.0;
const FRONT_PITCH_DEG: f32 = 7.0;
/// Turned aside: from four deviations on, to where the far half of the face begins to go.
pub(super) const ASIDE_DEG: std::ops::RangeInclusive<f32> = 10.0..=30.0;
/// How far the chin may go up or down meanwhile.
const ASIDE_PITCH_DEG: f32 = 12.0;
/// The chin raised: of 500 photos of LFW, where nobody asked for it, one in a hundred shows 11 degrees or more.
pub(super) const UP_DEG: std::ops::RangeInclusive<f32> = 8.0..=22.0;
/// How far the head may be turned meanwhile: no further than where aside begins.
const UP_YAW_DEG: f32 = 10.0;
/// A window that the quality limits leave less of than this is not asked for: nobody can hold a head that exactly.
const ROOM_DEG: f32 = 5.0;

/// How a sitter's head measures when it faces the camera: the mean of what was seen while they were asked to.
#[derive(Debug, Clone, Copy, Default)]
pub struct OwnFront {
    yaw_sum_deg: f32,
    pitch_sum_deg: f32,
    seen: u16,
}

/// How far a head points away from its own front, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// To the sitter's left.
    pub left_deg: f32,
    /// Upwards.
    pub up_deg: f32,
}

impl OwnFront {
    /// Whether a head may be facing the camera, before anything is known of it. Whatever its pitch: cameras hang above or below
    /// the eyes.
    pub fn may_be(quality: &SampleQuality) -> bool {
        quality.yaw_deg.abs() <= MAX_FRONT_YAW_DEG
    }

    /// Learns from a sample that [may be](Self::may_be) of the front; others are not looked at.
    pub fn learn(&mut self, quality: &SampleQuality) {
        if Self::may_be(quality) && quality.pitch_deg.is_finite() && self.seen < u16::MAX {
            self.yaw_sum_deg += quality.yaw_deg;
            self.pitch_sum_deg += quality.pitch_deg;
            self.seen += 1;
        }
    }

    /// How far a head points away from this front; `None` before anything was learned.
    pub fn deviation(&self, quality: &SampleQuality) -> Option<Deviation> {
        let (yaw_deg, pitch_deg) = self.degrees()?;
        Some(Deviation { left_deg: quality.yaw_deg - yaw_deg, up_deg: quality.pitch_deg - pitch_deg })
    }

    /// Which way a head points; `None` between the windows, or before anything was learned.
    pub fn heading(&self, quality: &SampleQuality) -> Option<Heading> {
        self.deviation(quality)?.heading()
    }

    /// Whether the quality limits leave room for a heading that begins so far away from this front.
    pub fn has_room_for(&self, heading: Heading, limits: &QualityLimits) -> bool {
        let Some((yaw_deg, pitch_deg)) = self.degrees() else { return heading == Heading::Front };
        match heading {
            Heading::Front => true,
            Heading::Left => yaw_deg + ASIDE_DEG.start() + ROOM_DEG <= limits.max_yaw_deg,
            Heading::Right => ASIDE_DEG.start() + ROOM_DEG - yaw_deg <= limits.max_yaw_deg,
            Heading::Up => pitch_deg + UP_DEG.start() + ROOM_DEG <= limits.max_pitch_deg,
        }
    }

    fn degrees(&self) -> Option<(f32, f32)> {
        let n = f32::from(self.seen);
        (self.seen > 0).then(|| (self.yaw_sum_deg / n, self.pitch_sum_deg / n))
    }
}

impl Deviation {
    /// The window it lies in.
    pub fn heading(self) -> Option<Heading> {
        let Self { left_deg, up_deg } = self;
        if left_deg.abs() <= FRONT_YAW_DEG && up_deg.abs() <= FRONT_PITCH_DEG {
            Some(Heading::Front)
        } else if ASIDE_DEG.contains(&left_deg.abs()) && up_deg.abs() <= ASIDE_PITCH_DEG {
            Some(if left_deg > 0.0 { Heading::Left } else { Heading::Right })
        } else if UP_DEG.contains(&up_deg) && left_deg.abs() < UP_YAW_DEG {
            Some(Heading::Up)
        } else {
            None
        }
    }
}

/// How many frames of each heading, of so many in all; they add up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas([usize; 4]);

impl Quotas {
    /// A fifth each for left, right and up, at least one; the rest for the front, which is what the door mostly sees.
    pub fn of(frames: usize) -> Self {
        let each = ((frames + 2) / 5).max(1);
        let mut quotas = [0; 4];
        let mut left = frames;
        // From the last: the front takes what is left.
        for quota in quotas[1..].iter_mut().rev() {
            *quota = each.min(left.saturating_sub(1));
            left -= *quota;
        }
        quotas[0] = left;
        Self(quotas)
    }

    /// How many of this heading.
    pub fn get(&self, heading: Heading) -> usize {
        self.0[heading as usize]
    }

    /// How many in all.
    pub fn total(&self) -> usize {
        self.0.iter().sum()
    }

    /// Leaves of `heading` only `kept`; what is left over is wanted of the front instead.
    pub fn hand_to_front(&mut self, heading: Heading, kept: usize) {
        let over = self.get(heading).saturating_sub(kept);
        self.0[heading as usize] -= over;
        self.0[Heading::Front as usize] += over;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    fn front(yaw_deg: f32, pitch_deg: f32) -> OwnFront {
        let mut front = OwnFront::default();
        front.learn(&quality(yaw_deg, pitch_deg));
        front
    }

    #[test]
    fn left_is_the_sitters_left_which_is_the_pictures_right() {
        let front = front(0.0, 0.0);
        for (yaw_deg, pitch_deg, heading) in [
            (0.0, 0.0, Some(Heading::Front)),
            (7.0, -6.0, Some(Heading::Front)),
            (9.0, 0.0, None),
            (18.0, 3.0, Some(Heading::Left)),
            (-18.0, -3.0, Some(Heading::Right)),
            (2.0, 14.0, Some(Heading::Up)),
            (2.0, -14.0, None),
            (18.0, 18.0, None),
            (35.0, 0.0, None),
            (0.0, 30.0, None),
            (f32::NAN, 0.0, None),
            (0.0, f32::NAN, None),
        ] {
            assert_eq!(front.heading(&quality(yaw_deg, pitch_deg)), heading, "{yaw_deg} {pitch_deg}");
        }
    }

    #[test]
    fn a_camera_above_or_aside_is_taken_into_account() {
        let front = front(9.0, 20.0);
        assert_eq!(front.heading(&quality(12.0, 17.0)), Some(Heading::Front));
        assert_eq!(front.heading(&quality(-5.0, 20.0)), Some(Heading::Right));
        assert_eq!(front.heading(&quality(9.0, 30.0)), Some(Heading::Up));
        assert_eq!(front.heading(&quality(0.0, 0.0)), None);
    }

    #[test]
    fn what_is_no_front_teaches_nothing() {
        let mut front = OwnFront::default();
        for (yaw_deg, pitch_deg) in [(16.0, 0.0), (f32::NAN, 0.0), (0.0, f32::NAN)] {
            front.learn(&quality(yaw_deg, pitch_deg));
        }
        assert_eq!(front.deviation(&quality(0.0, 0.0)), None);
        assert_eq!(front.heading(&quality(0.0, 0.0)), None);
    }

    #[test]
    fn what_the_limits_leave_no_room_for_is_not_asked() {
        let front = front(5.0, 0.0);
        let room = |limits: QualityLimits| Heading::ALL.map(|heading| front.has_room_for(heading, &limits));
        assert_eq!(room(QualityLimits::default()), [true; 4]);
        let narrow = QualityLimits { max_yaw_deg: 18.0, max_pitch_deg: 10.0, ..QualityLimits::default() };
        assert_eq!(room(narrow), [true, false, true, false]);
    }

    #[test]
    fn quotas_of_the_numbers_one_asks_for() {
        let quotas = |n| Heading::ALL.map(|heading| Quotas::of(n).get(heading));
        assert_eq!(quotas(4), [1, 1, 1, 1]);
        assert_eq!(quotas(5), [2, 1, 1, 1]);
        assert_eq!(quotas(10), [4, 2, 2, 2]);
        assert_eq!(quotas(30), [12, 6, 6, 6]);
        let mut five = Quotas::of(5);
        five.hand_to_front(Heading::Up, 0);
        five.hand_to_front(Heading::Left, 1);
        assert_eq!(Heading::ALL.map(|heading| five.get(heading)), [3, 1, 1, 0]);
    }

    proptest! {
        #[test]
        fn quotas_add_up_and_the_front_has_no_less_than_any(n in 1usize..200) {
            let quotas = Quotas::of(n);
            prop_assert_eq!(quotas.total(), n);
            prop_assert!(Heading::ALL.iter().all(|&h| quotas.get(h) <= quotas.get(Heading::Front)));
        }

        #[test]
        fn a_mirror_exchanges_left_and_right(
            front_yaw in -15f32..15.0, front_pitch in -20f32..20.0, yaw in -45f32..45.0, pitch in -40f32..40.0,
        ) {
            let seen = front(front_yaw, front_pitch).heading(&quality(yaw, pitch));
            let mirrored = front(-front_yaw, front_pitch).heading(&quality(-yaw, pitch));
            let expected = seen.map(|heading| match heading {
                Heading::Left => Heading::Right,
                Heading::Right => Heading::Left,
                other => other,
            });
            prop_assert_eq!(mirrored, expected);
        }

        #[test]
        fn a_window_lies_within_the_limits_where_there_is_room(front_yaw in -15f32..15.0, front_pitch in -30f32..30.0) {
            let (front, limits) = (front(front_yaw, front_pitch), QualityLimits::default());
            let edges = [
                (Heading::Left, quality(front_yaw + ASIDE_DEG.start() + 0.1, front_pitch)),
                (Heading::Right, quality(front_yaw - ASIDE_DEG.start() - 0.1, front_pitch)),
                (Heading::Up, quality(front_yaw, front_pitch + UP_DEG.start() + 0.1)),
            ];
            for (heading, at_its_edge) in edges.into_iter().filter(|(heading, _)| front.has_room_for(*heading, &limits)) {
                prop_assert_eq!(front.heading(&at_its_edge), Some(heading));
                prop_assert!(crate::align::refusals(&at_its_edge, &limits).is_empty(), "{:?}", heading);
            }
        }
    }
}
