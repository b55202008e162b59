//! Faces joined over frames.
//!
//! A *track* is one face's stay before the camera. A face belongs to the track whose box, moved on by its velocity, it overlaps
//! most; where frames are far apart and nothing overlaps, to the one that it is nearest to. A track that was not seen for
//! [`TrackSettings::lost_after`] and in two frames searched since is lost: the face that returns is another track, and has to be
//! recognised anew. That two people who change places in one moment are told apart does not rest on boxes; the policy compares
//! faces (`decide`).
//!
//! Of a track the better frames are worth an embedding, see [`Tracked::worthwhile`].

mod choice;
mod motion;

use crate::{
    config::TrackSettings,
    domain::{BBox, Monotonic, SampleQuality, TrackId},
};
use choice::Choice;
use motion::Motion;

/// Least overlap (intersection over union) of a face with where its track is expected.
const MIN_OVERLAP: f32 = 0.3;

/// How far a face may have moved from where it was expected when nothing overlaps, in sizes of its box. Chosen, not measured: less than
/// the distance at which two heads stand side by side.
const REACH: f32 = 0.75;

/// Boxes of one face differ in size by this factor at most from one frame to the next.
const MAX_GROWTH: f32 = 1.7;

/// Frames searched without a track's face before it can be lost: one miss of the detector ends nothing, however slow the machine is.
const MISSES: u32 = 2;

/// Joins the faces of one camera.
#[derive(Debug)]
pub struct Tracker {
    settings: TrackSettings,
    tracks: Vec<Track>,
    next: u64,
    lost: Vec<TrackId>,
}

#[derive(Debug)]
struct Track {
    id: TrackId,
    motion: Motion,
    misses: u32,
    choice: Choice,
}

/// A face and its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    /// The track.
    pub track: TrackId,
    /// Whether the face is about as good a sample as its track had, so that an embedding of it tells something.
    pub worthwhile: bool,
}

impl Tracker {
    /// A tracker without tracks.
    pub fn new(settings: TrackSettings) -> Self {
        Self { settings, tracks: Vec::new(), next: 0, lost: Vec::new() }
    }

    /// Whether no face is being followed.
    pub fn is_idle(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Joins the faces of one frame, received at `now`, to the tracks; the answers are in the faces' order.
    ///
    /// To be called for frames without faces too: that is how tracks are lost.
    pub fn join(&mut self, now: Monotonic, faces: &[(BBox, SampleQuality)]) -> Vec<Tracked> {
        let mut homes: Vec<Option<usize>> = vec![None; faces.len()];
        let mut taken = vec![false; self.tracks.len()];
        for (face, track) in self.pairs(now, faces) {
            if homes[face].is_none() && !taken[track] {
                (homes[face], taken[track]) = (Some(track), true);
            }
        }
        for (track, taken) in self.tracks.iter_mut().zip(&taken) {
            track.misses = if *taken { 0 } else { track.misses.saturating_add(1) };
        }
        let joined = faces.iter().zip(homes).map(|((bbox, quality), home)| {
            let track = match home {
                Some(index) => {
                    self.tracks[index].motion.seen(*bbox, now);
                    &mut self.tracks[index]
                }
                None => {
                    let id = TrackId::new(self.next);
                    self.next += 1;
                    let (motion, choice) = (Motion::new(*bbox, now), Choice::default());
                    self.tracks.push(Track { id, motion, misses: 0, choice });
                    self.tracks.last_mut().expect("a track was pushed")
                }
            };
            Tracked { track: track.id, worthwhile: track.choice.take(quality) }
        });
        let joined = joined.collect();
        let lost_after = self.settings.lost_after;
        let lost = self
            .tracks
            .extract_if(.., |t| t.misses >= MISSES && now.saturating_since(t.motion.at()) > lost_after)
            .map(|t| t.id);
        self.lost.extend(lost);
        joined
    }

    /// The tracks lost since this was asked last.
    pub fn take_lost(&mut self) -> Vec<TrackId> {
        std::mem::take(&mut self.lost)
    }

    /// All tracks are lost: no frame comes any more.
    pub fn lose_all(&mut self) {
        self.lost.extend(self.tracks.drain(..).map(|track| track.id));
    }

    /// Every face with every track that it may belong to, the likeliest pair first. With the few faces that stand before a door the
    /// likeliest first is the best assignment, but where two are nearly alike; there the prediction decides.
    fn pairs(&self, now: Monotonic, faces: &[(BBox, SampleQuality)]) -> Vec<(usize, usize)> {
        let expected: Vec<BBox> = self.tracks.iter().map(|t| t.motion.predicted(now)).collect();
        let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
        for (face, (bbox, _)) in faces.iter().enumerate() {
            for (track, expected) in expected.iter().enumerate() {
                if let Some(likeness) = likeness(expected, bbox) {
                    pairs.push((likeness, face, track));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        pairs.into_iter().map(|(_, face, track)| (face, track)).collect()
    }
}

/// How likely a box is that of a face expected elsewhere: the overlap, or below every overlap that counts, how near it is. `None`:
/// it is another face.
fn likeness(expected: &BBox, found: &BBox) -> Option<f32> {
    let (before, after) = (expected.area().sqrt(), found.area().sqrt());
    let growth = (before / after).max(after / before);
    // Not a number for a box without area.
    if growth.is_nan() || growth > MAX_GROWTH {
        return None;
    }
    let overlap = expected.iou(found);
    if overlap >= MIN_OVERLAP {
        return Some(overlap);
    }
    let (a, b) = (expected.centre(), found.centre());
    let distance = (a.x - b.x).hypot(a.y - b.y) / before.max(after);
    (distance <= REACH).then(|| MIN_OVERLAP * (1.0 - distance / REACH) - 1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_boot(Duration::from_millis(ms))
    }

    fn face(x: f32, y: f32, size: f32) -> (BBox, SampleQuality) {
        let quality = SampleQuality {
            size_px: size,
            sharpness: 400.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        (BBox { x, y, w: size, h: size }, quality)
    }

    fn tracker() -> Tracker {
        Tracker::new(TrackSettings { lost_after: Duration::from_millis(600) })
    }

    fn ids(joined: &[Tracked]) -> Vec<u64> {
        joined.iter().map(|t| t.track.number()).collect()
    }

    #[test]
    fn a_face_that_moves_keeps_its_track() {
        let mut tracker = tracker();
        for step in 0..40u64 {
            let joined = tracker.join(at(step * 66), &[face(step as f32 * 20.0, 50.0, 80.0)]);
            assert_eq!(ids(&joined), [0], "step {step}");
        }
    }

    #[test]
    fn several_faces_in_any_order_keep_theirs() {
        let mut tracker = tracker();
        let people = [face(0.0, 0.0, 80.0), face(200.0, 10.0, 90.0), face(400.0, 0.0, 70.0)];
        assert_eq!(ids(&tracker.join(at(0), &people)), [0, 1, 2]);
        assert_eq!(ids(&tracker.join(at(66), &[people[2], people[0], people[1]])), [2, 0, 1]);
        assert_eq!(ids(&tracker.join(at(132), &[people[1]])), [1]);
        assert_eq!(ids(&tracker.join(at(198), &people)), [0, 1, 2]);
    }

    #[test]
    fn two_who_cross_keep_theirs() {
        let mut tracker = tracker();
        // One walks to the right, one to the left behind them, a little higher; in the middle one hides the other for two frames.
        for step in 0..24u64 {
            let x = step as f32 * 22.0;
            let (right, left) = (face(x, 60.0, 80.0), face(500.0 - x, 40.0, 72.0));
            let hidden = (right.0.centre().x - left.0.centre().x).abs() < 25.0;
            let faces = if hidden { vec![right] } else { vec![right, left] };
            let joined = ids(&tracker.join(at(step * 66), &faces));
            assert_eq!(joined, if hidden { vec![0] } else { vec![0, 1] }, "step {step}");
        }
    }

    #[test]
    fn a_face_that_leaves_and_returns_is_a_new_track() {
        let mut tracker = tracker();
        let person = [face(100.0, 50.0, 80.0)];
        assert_eq!(ids(&tracker.join(at(0), &person)), [0]);
        // The detector missed it for half a second.
        for ms in [66, 500] {
            tracker.join(at(ms), &[]);
        }
        assert_eq!(ids(&tracker.join(at(560), &person)), [0]);
        for ms in [700, 900, 1_161] {
            assert_eq!(tracker.take_lost(), []);
            tracker.join(at(ms), &[]);
        }
        assert_eq!(tracker.take_lost(), [TrackId::new(0)]);
        assert!(tracker.is_idle());
        assert_eq!(ids(&tracker.join(at(1_200), &person)), [1]);
    }

    #[test]
    fn a_slow_machine_loses_nobody_between_two_frames() {
        let mut tracker = tracker();
        let person = [face(100.0, 50.0, 80.0)];
        for second in 0..5 {
            assert_eq!(ids(&tracker.join(at(second * 1_000), &person)), [0]);
        }
        tracker.join(at(6_000), &[]);
        assert_eq!(ids(&tracker.join(at(7_000), &person)), [0]);
        tracker.join(at(8_000), &[]);
        tracker.join(at(9_000), &[]);
        assert_eq!(ids(&tracker.join(at(10_000), &person)), [1]);
    }

    #[test]
    fn another_face_elsewhere_or_of_another_size_is_a_new_track() {
        let mut tracker = tracker();
        tracker.join(at(0), &[face(0.0, 0.0, 80.0)]);
        assert_eq!(ids(&tracker.join(at(66), &[face(200.0, 0.0, 80.0)])), [1]);
        assert_eq!(ids(&tracker.join(at(132), &[face(180.0, 0.0, 160.0)])), [2]);
    }

    proptest! {
        #[test]
        fn a_frame_never_gives_one_track_to_two_faces(
            frames in prop::collection::vec(prop::collection::vec((-50f32..700.0, -50f32..500.0, -5f32..200.0), 0..6), 1..12),
            step_ms in 0u64..400,
        ) {
            let mut tracker = tracker();
            let mut lost = Vec::new();
            for (n, frame) in frames.iter().enumerate() {
                let faces: Vec<_> = frame.iter().map(|&(x, y, size)| face(x, y, size)).collect();
                let mut joined = ids(&tracker.join(at(n as u64 * step_ms), &faces));
                prop_assert_eq!(joined.len(), faces.len());
                joined.sort_unstable();
                joined.dedup();
                prop_assert_eq!(joined.len(), faces.len());
                // What was lost never comes back.
                prop_assert!(joined.iter().all(|id| !lost.contains(id)));
                lost.extend(tracker.take_lost().iter().map(|t| t.number()));
            }
        }
    }
}
