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
    domain::{AlignedFace, Frame, QualityPart, QualityRefusal},
};

/// A frame with faces in it.
pub(super) struct Sighting {
    pub(super) frame: Frame,
    pub(super) detect: Duration,
    pub(super) faces: Vec<SeenFace>,
}

/// One face, cut out and judged.
pub(super) struct SeenFace {
    pub(super) face: AlignedFace,
    pub(super) refusal: Option<QualityRefusal>,
    pub(super) align: Duration,
}

/// Finds the faces of each frame, aligns them and judges their quality.
pub(super) struct SeeStage {
    pub(super) slot: SlotReceiver<Frame>,
    pub(super) sightings: Sender<Sighting>,
    pub(super) limits: QualityLimits,
    pub(super) counters: Arc<Counters>,
}

impl SeeStage {
    pub(super) fn run(self, detector: &mut dyn FaceDetector) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut failing = false;
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
            let mut faces = Vec::with_capacity(detections.len());
            for detection in &detections {
                let started = Instant::now();
                match align::align(&frame.at, &frame.image, detection) {
                    Ok(face) => {
                        let refusal = align::refusals(&face.quality, &self.limits).into_iter().next();
                        if refusal.is_some_and(|r| r.part == QualityPart::Size) {
                            // Somebody passing in the background is not at the door.
                            count(&self.counters.too_small, 1);
                        } else {
                            faces.push(SeenFace { face, refusal, align: started.elapsed() });
                        }
                    }
                    Err(e) => {
                        count(&self.counters.failed, 1);
                        log::debug!("{}: {e}", frame.at);
                    }
                }
            }
            if !faces.is_empty() {
                count(&self.counters.sightings, 1);
                if self.sightings.send(Sighting { frame, detect, faces }).is_err() {
                    break;
                }
            }
            count(&self.counters.searched, 1);
        }
        Ok(())
    }
}
