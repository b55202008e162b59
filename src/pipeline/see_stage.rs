use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;

use super::{
    PipelineError,
    counters::{Counters, count},
    slot::SlotReceiver,
};
use crate::{
    align,
    config::QualityLimits,
    detect::FaceDetector,
    domain::{AlignedFace, Frame, QualityPart, QualityRefusal, TrackId},
    track::{Tracked, Tracker},
};

/// A frame with faces in it, or in which a track was found lost.
pub(super) struct Sighting {
    pub(super) frame: Frame,
    pub(super) detect: Duration,
    pub(super) faces: Vec<SeenFace>,
    /// Tracks lost since the sighting before.
    pub(super) lost: Vec<TrackId>,
}

/// One face, cut out, judged and joined to its track.
pub(super) struct SeenFace {
    pub(super) face: AlignedFace,
    pub(super) tracked: Tracked,
    pub(super) refusal: Option<QualityRefusal>,
    pub(super) align: Duration,
}

/// Finds the faces of each frame, aligns them, judges their quality and follows them.
pub(super) struct SeeStage {
    pub(super) slot: SlotReceiver<Frame>,
    pub(super) sightings: Sender<Sighting>,
    pub(super) limits: QualityLimits,
    pub(super) tracker: Tracker,
    pub(super) counters: Arc<Counters>,
}

impl SeeStage {
    pub(super) fn run(mut self, detector: &mut dyn FaceDetector) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut failing = false;
        let mut last = None;
        while let Some(frame) = self.slot.take() {
            count(&self.counters.seen, 1);
            let started = Instant::now();
            let detections = match detector.detect(&frame.image) {
                Ok(detections) => detections,
                Err(e) => {
                    count(&self.counters.failed, 1);
                    // Once a burst: a camera of an impossible size would fill the log.
                    if !failing {
                        log::error!("{}: {e}", frame.at);
                    }
                    failing = true;
                    continue;
                }
            };
            failing = false;
            let detect = started.elapsed();
            count(&self.counters.faces, detections.len() as u64);
            let mut judged = Vec::with_capacity(detections.len());
            for detection in &detections {
                let started = Instant::now();
                match align::align(&frame.at, &frame.image, detection) {
                    Ok(face) => {
                        let refusal = align::refusals(&face.quality, &self.limits).into_iter().next();
                        if refusal.is_some_and(|r| r.part == QualityPart::Size) {
                            // Somebody passing in the background is not at the door.
                            count(&self.counters.too_small, 1);
                        } else {
                            judged.push((face, refusal, started.elapsed()));
                        }
                    }
                    Err(e) => {
                        count(&self.counters.failed, 1);
                        log::debug!("{}: {e}", frame.at);
                    }
                }
            }
            let places: Vec<_> = judged.iter().map(|(face, ..)| (face.bbox, face.quality)).collect();
            let tracked = self.tracker.join(frame.at.captured.monotonic, &places);
            let faces: Vec<SeenFace> = judged
                .into_iter()
                .zip(tracked)
                .map(|((face, refusal, align), tracked)| SeenFace { face, tracked, refusal, align })
                .collect();
            let lost = self.tracker.take_lost();
            if !faces.is_empty() || !lost.is_empty() {
                count(&self.counters.sightings, 1);
                if self.sightings.send(Sighting { frame: frame.clone(), detect, faces, lost }).is_err() {
                    break;
                }
            }
            count(&self.counters.searched, 1);
            last = Some(frame);
        }
        self.tracker.lose_all();
        if let Some(frame) = last {
            count(&self.counters.sightings, 1);
            let (detect, faces, lost) = (Duration::ZERO, Vec::new(), self.tracker.take_lost());
            // Who would have heard of it is gone; so is the reason to tell.
            let _ = self.sightings.send(Sighting { frame, detect, faces, lost });
        }
        Ok(())
    }
}
