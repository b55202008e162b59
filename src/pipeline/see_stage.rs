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
    domain::{AlignedFace, Detection, Frame, QualityPart, QualityRefusal, TrackId},
    scene::{Attention, Glance, Light},
    track::{Tracked, Tracker},
};

/// A frame of which something is to be said: faces, tracks that were lost, or why nothing can be seen.
pub(super) struct Sighting {
    pub(super) frame: Frame,
    pub(super) detect: Duration,
    pub(super) faces: Vec<SeenFace>,
    /// Whether nobody is there but faces too far away.
    pub(super) distant: bool,
    pub(super) light: Light,
    /// Tracks lost since the sighting before.
    pub(super) lost: Vec<TrackId>,
}

impl Sighting {
    fn is_news(&self) -> bool {
        !self.faces.is_empty() || self.distant || self.light != Light::Usable || !self.lost.is_empty()
    }
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
    /// `None`: faces are looked for in every frame.
    pub(super) attention: Option<Attention>,
    pub(super) tracker: Tracker,
    pub(super) counters: Arc<Counters>,
}

/// What was found in a frame, before it is joined to what was there.
struct Found {
    detect: Duration,
    judged: Vec<(AlignedFace, Option<QualityRefusal>, Duration)>,
    distant: usize,
}

impl SeeStage {
    pub(super) fn run(mut self, detector: &mut dyn FaceDetector) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut failing = false;
        let mut dark_before = false;
        let mut last = None;
        while let Some(frame) = self.slot.take() {
            count(&self.counters.seen, 1);
            let glance = Glance::of(&frame.image);
            let light = glance.light();
            let dark = light == Light::Dark;
            let nothing = Found { detect: Duration::ZERO, judged: Vec::new(), distant: 0 };
            let found = if dark {
                count(&self.counters.passed_over, 1);
                // An infrared lamp that strobes leaves every other frame black: one alone says nothing of who is there.
                dark_before.then_some(nothing)
            } else if self.wants(&frame, &glance) {
                let started = Instant::now();
                match detector.detect(&frame.image) {
                    Ok(detections) => {
                        failing = false;
                        Some(self.judge(&frame, &detections, started.elapsed()))
                    }
                    Err(e) => {
                        count(&self.counters.failed, 1);
                        // Once a burst: a camera of an impossible size would fill the log.
                        if !failing {
                            log::error!("{}: {e}", frame.at);
                        }
                        failing = true;
                        None
                    }
                }
            } else {
                count(&self.counters.passed_over, 1);
                None
            };
            dark_before = dark;
            let Some(found) = found else { continue };
            let sighting = self.join(frame.clone(), found, light);
            if sighting.is_news() && !self.tell(sighting) {
                break;
            }
            if !dark {
                count(&self.counters.searched, 1);
            }
            last = Some(frame);
        }
        self.tracker.lose_all();
        if let Some(frame) = last {
            let lost = self.tracker.take_lost();
            let (faces, light) = (Vec::new(), Light::Usable);
            // Who would have heard of it is gone; so is the reason to tell.
            self.tell(Sighting { frame, detect: Duration::ZERO, faces, distant: false, light, lost });
        }
        Ok(())
    }

    /// Whether to look for faces in this frame.
    fn wants(&mut self, frame: &Frame, glance: &Glance) -> bool {
        let following = !self.tracker.is_idle();
        let now = frame.at.captured.monotonic;
        self.attention.as_mut().is_none_or(|attention| attention.wants(now, glance, following))
    }

    /// Aligns the faces and judges their quality.
    fn judge(&self, frame: &Frame, detections: &[Detection], detect: Duration) -> Found {
        count(&self.counters.faces, detections.len() as u64);
        let mut found = Found { detect, judged: Vec::with_capacity(detections.len()), distant: 0 };
        for detection in detections {
            let started = Instant::now();
            match align::align(&frame.at, &frame.image, detection) {
                Ok(face) => {
                    let refusal = align::refusals(&face.quality, &self.limits).into_iter().next();
                    if refusal.is_some_and(|r| r.part == QualityPart::Size) {
                        // Somebody passing in the background is not at the door.
                        count(&self.counters.too_small, 1);
                        found.distant += 1;
                    } else {
                        found.judged.push((face, refusal, started.elapsed()));
                    }
                }
                Err(e) => {
                    count(&self.counters.failed, 1);
                    log::debug!("{}: {e}", frame.at);
                }
            }
        }
        found
    }

    /// Joins the faces to the tracks.
    fn join(&mut self, frame: Frame, found: Found, light: Light) -> Sighting {
        let places: Vec<_> = found.judged.iter().map(|(face, ..)| (face.bbox, face.quality)).collect();
        let tracked = self.tracker.join(frame.at.captured.monotonic, &places);
        let faces: Vec<SeenFace> = found
            .judged
            .into_iter()
            .zip(tracked)
            .map(|((face, refusal, align), tracked)| SeenFace { face, tracked, refusal, align })
            .collect();
        let distant = found.distant > 0 && faces.is_empty();
        // Faces that were found say that there is light enough.
        let light = if faces.is_empty() && !distant { light } else { Light::Usable };
        Sighting { frame, detect: found.detect, faces, distant, light, lost: self.tracker.take_lost() }
    }

    /// Whether somebody took it.
    fn tell(&self, sighting: Sighting) -> bool {
        count(&self.counters.sightings, 1);
        self.sightings.send(sighting).is_ok()
    }
}
