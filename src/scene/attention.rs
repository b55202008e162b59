use std::time::Duration;

use super::Glance;
use crate::{config::IdleSettings, domain::Monotonic};

/// How much a cell must differ from what was there, luma. The noise of a dark frame of a cheap camera moves the mean of 16 pixels by one
/// or two; compression by a few more.
const CHANGE: i32 = 12;

/// So many cells must have changed: a face at the least size that is compared covers about ten of a picture 640 px wide.
const CHANGED_CELLS: usize = 6;

/// The background follows by this share a frame, in 256ths: what stands still for a second or two becomes part of it.
const FOLLOWS: i32 = 16;

/// Decides in which frames faces are looked for: in all while something moves, somebody is there, or either was so a while ago; else
/// now and then. Pure: glances and times in, yes or no out.
#[derive(Debug, Clone)]
pub struct Attention {
    settings: IdleSettings,
    /// The cells as they usually are, in 256ths.
    background: Option<Box<[i32; Glance::CELLS]>>,
    /// When something happened last.
    stirred: Option<Monotonic>,
    /// When faces were looked for last.
    searched: Option<Monotonic>,
}

impl Attention {
    /// Before the first frame.
    pub fn new(settings: IdleSettings) -> Self {
        Self { settings, background: None, stirred: None, searched: None }
    }

    /// Whether to look for faces in the frame received at `now`. `following`: a face is being followed.
    pub fn wants(&mut self, now: Monotonic, glance: &Glance, following: bool) -> bool {
        if self.settings.search_every.is_zero() {
            return true;
        }
        let moved = self.moved(glance);
        if moved || following {
            self.stirred = Some(now);
        }
        let passed = |since: Option<Monotonic>| since.map_or(Duration::MAX, |since| now.saturating_since(since));
        let wants = passed(self.stirred) <= self.settings.after || passed(self.searched) >= self.settings.search_every;
        if wants {
            self.searched = Some(now);
        }
        wants
    }

    /// Whether enough cells differ from the background by more than the whole picture does: a lamp or the camera's own exposure
    /// changes all of them alike. The background follows.
    fn moved(&mut self, glance: &Glance) -> bool {
        let Some(background) = &mut self.background else {
            self.background = Some(Box::new(glance.cells().map(|cell| i32::from(cell) << 8)));
            return true;
        };
        let differences = || glance.cells().iter().zip(background.iter()).map(|(cell, b)| (i32::from(*cell) << 8) - b);
        let overall = differences().sum::<i32>() / Glance::CELLS as i32;
        let changed = differences().filter(|d| (d - overall).abs() > CHANGE << 8).count();
        for (cell, background) in glance.cells().iter().zip(background.iter_mut()) {
            *background += ((i32::from(*cell) << 8) - *background) * FOLLOWS / 256;
        }
        changed >= CHANGED_CELLS
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};
    use proptest::prelude::*;

    use super::*;

    const FRAME_MS: u64 = 66;

    fn at(frame: u64) -> Monotonic {
        Monotonic::from_boot(Duration::from_millis(10_000 + frame * FRAME_MS))
    }

    /// A corridor with sensor noise, and somebody `size` px wide in it at `x`, if anybody.
    fn scene(frame: u64, light: i32, somebody: Option<(u32, u32)>) -> Glance {
        Glance::of(&RgbImage::from_fn(640, 480, |x, y| {
            let noise = ((x * 7919 + y * 104_729 + frame as u32 * 31_337) % 13) as i32 - 6;
            let there = somebody.is_some_and(|(left, size)| x >= left && x < left + size && y >= 150 && y < 150 + size);
            let wall = if there { 170 } else { 60 + (x / 8) as i32 };
            Rgb([(wall + light + noise).clamp(0, 255) as u8; 3])
        }))
    }

    fn searched(frames: std::ops::Range<u64>, attention: &mut Attention, of: impl Fn(u64) -> Glance) -> Vec<u64> {
        frames.filter(|frame| attention.wants(at(*frame), &of(*frame), false)).collect()
    }

    #[test]
    fn a_still_scene_is_searched_now_and_then() {
        let mut attention = Attention::new(IdleSettings::default());
        let all = searched(0..150, &mut attention, |frame| scene(frame, 0, None));
        let settled: Vec<u64> = all.iter().copied().filter(|frame| *frame > 60).collect();
        assert!(settled.windows(2).all(|pair| (pair[1] - pair[0]) * FRAME_MS <= 300), "{settled:?}");
        assert!(settled.len() <= 90 / 3, "every fourth frame or so: {settled:?}");
    }

    #[test]
    fn whoever_comes_in_is_looked_for_at_once_and_for_a_while() {
        let mut attention = Attention::new(IdleSettings::default());
        searched(0..150, &mut attention, |frame| scene(frame, 0, None));
        let comes =
            searched(150..240, &mut attention, |frame| scene(frame, 0, Some((20 + (frame as u32 - 150) * 3, 64))));
        assert_eq!(comes, (150..240).collect::<Vec<_>>());
    }

    #[test]
    fn somebody_who_is_followed_is_never_idle() {
        let mut attention = Attention::new(IdleSettings::default());
        assert!((0..200).all(|frame| attention.wants(at(frame), &scene(frame, 0, Some((200, 90))), true)));
    }

    #[test]
    fn a_lamp_that_dims_wakes_nobody() {
        let mut attention = Attention::new(IdleSettings::default());
        searched(0..150, &mut attention, |frame| scene(frame, 0, None));
        let dimmed =
            searched(150..240, &mut attention, |frame| scene(frame, if frame % 2 == 0 { 30 } else { 0 }, None));
        assert!(dimmed.len() <= 90 / 3, "{dimmed:?}");
    }

    #[test]
    fn zero_looks_in_every_frame() {
        let mut attention = Attention::new(IdleSettings { search_every: Duration::ZERO, after: Duration::ZERO });
        assert_eq!(searched(0..50, &mut attention, |frame| scene(frame, 0, None)).len(), 50);
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_it_may_be(steps_ms in prop::collection::vec(1u64..400, 1..200), following: bool) {
            let settings = IdleSettings::default();
            let mut attention = Attention::new(settings);
            let (mut now, mut last) = (Monotonic::from_boot(Duration::from_secs(5)), None);
            let still = scene(0, 0, None);
            for step in steps_ms {
                now = now + Duration::from_millis(step);
                let wants = attention.wants(now, &still, following);
                let due = last.is_none_or(|last| now.saturating_since(last) >= settings.search_every);
                prop_assert!(wants || !(due || following));
                if wants {
                    last = Some(now);
                }
            }
        }
    }
}
