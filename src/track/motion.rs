use std::time::Duration;

use crate::domain::{BBox, Monotonic, Point};

/// Nobody's head keeps its speed for longer; a prediction further ahead stays where this one ends.
const HORIZON: Duration = Duration::from_millis(300);

/// How much of a newly measured velocity is believed: boxes tremble by a few pixels from frame to frame.
const GAIN: f32 = 0.5;

/// Where a face is and how fast its box moves.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    bbox: BBox,
    /// Of the box's centre, pixels a second.
    velocity: Point,
    at: Monotonic,
}

impl Motion {
    /// A face seen for the first time stands still.
    pub(super) fn new(bbox: BBox, at: Monotonic) -> Self {
        Self { bbox, velocity: Point { x: 0.0, y: 0.0 }, at }
    }

    /// When it was seen last.
    pub(super) fn at(&self) -> Monotonic {
        self.at
    }

    /// Where its box is expected at `now`, in its last size.
    pub(super) fn predicted(&self, now: Monotonic) -> BBox {
        let ahead_s = now.saturating_since(self.at).min(HORIZON).as_secs_f32();
        BBox { x: self.bbox.x + self.velocity.x * ahead_s, y: self.bbox.y + self.velocity.y * ahead_s, ..self.bbox }
    }

    /// It has been seen again.
    pub(super) fn seen(&mut self, bbox: BBox, now: Monotonic) {
        let passed_s = now.saturating_since(self.at).as_secs_f32();
        if passed_s > 0.0 {
            let (from, to) = (self.bbox.centre(), bbox.centre());
            let blend = |old: f32, moved: f32| old + GAIN * (moved / passed_s - old);
            self.velocity =
                Point { x: blend(self.velocity.x, to.x - from.x), y: blend(self.velocity.y, to.y - from.y) };
        }
        (self.bbox, self.at) = (bbox, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_boot(Duration::from_millis(ms))
    }

    fn bbox(x: f32) -> BBox {
        BBox { x, y: 0.0, w: 10.0, h: 10.0 }
    }

    #[test]
    fn a_steady_walk_is_predicted_and_not_for_ever() {
        let mut motion = Motion::new(bbox(0.0), at(0));
        assert_eq!(motion.predicted(at(500)), bbox(0.0));
        for step in 1..20 {
            motion.seen(bbox(step as f32 * 6.0), at(step * 60));
        }
        // 100 px a second, from 114 px at 1140 ms.
        assert!((motion.predicted(at(1200)).x - 120.0).abs() < 0.1, "{motion:?}");
        assert_eq!(motion.predicted(at(1440)), motion.predicted(at(9000)));
    }

    #[test]
    fn two_looks_at_one_moment_change_no_velocity() {
        let mut motion = Motion::new(bbox(0.0), at(0));
        motion.seen(bbox(5.0), at(0));
        assert_eq!(motion.predicted(at(100)), bbox(5.0));
    }
}
