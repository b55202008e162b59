use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};

use super::{
    PipelineError, Roster, Witness,
    counters::{Counters, count},
    see_stage::{SeenFace, Sighting},
};
use crate::{
    decide::{Case, Policy},
    domain::{
        AccessEvent, BootId, CandidateList, Clock, Decision, DenyReason, EventId, PadVerdict, Probe, StageTimes, Stamp,
    },
    embed::FaceEmbedder,
    gallery::Snapshot,
    identify::identify,
};

/// What every event of this door says of it.
pub(super) struct Doorplate {
    pub(super) door: Arc<str>,
    pub(super) boot: BootId,
    pub(super) operating_point: Arc<str>,
}

/// Compares each face with the gallery and decides.
pub(super) struct RecogniseStage {
    pub(super) sightings: Receiver<Sighting>,
    pub(super) events: Sender<AccessEvent>,
    pub(super) roster: Roster,
    pub(super) policy: Policy,
    pub(super) plate: Doorplate,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) witness: Option<Witness>,
    pub(super) counters: Arc<Counters>,
}

/// A decision and what led to it.
struct Verdict {
    decision: Decision,
    candidates: CandidateList,
    decided: Stamp,
    stages: StageTimes,
}

impl RecogniseStage {
    pub(super) fn run(mut self, embedder: &mut dyn FaceEmbedder) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut sequence = 0;
        while let Ok(Sighting { frame, detect, faces }) = self.sightings.recv() {
            let mut told = Vec::new();
            for seen in faces {
                // One snapshot a face: an enrolment counts from the next face on.
                let snapshot = self.roster.current();
                let Some(verdict) = self.judge(&seen, detect, embedder, &snapshot)? else {
                    continue;
                };
                let name = verdict.decision.subject().and_then(|s| snapshot.subject(s)).map(|s| s.name.clone());
                let event = AccessEvent {
                    id: EventId::now(),
                    sequence,
                    boot: self.plate.boot,
                    door: self.plate.door.clone(),
                    at: frame.at.clone(),
                    bbox: seen.face.bbox,
                    similarity: verdict.candidates.first().map(|c| c.similarity),
                    decision: verdict.decision,
                    name,
                    model: embedder.model().clone(),
                    operating_point: self.plate.operating_point.clone(),
                    decided: verdict.decided,
                    stages: verdict.stages,
                };
                sequence += 1;
                let decided = if event.decision.is_granted() { &self.counters.granted } else { &self.counters.denied };
                count(decided, 1);
                if self.witness.is_some() {
                    told.push(event.clone());
                }
                if self.events.send(event).is_err() {
                    return Ok(());
                }
            }
            if let Some(witness) = &mut self.witness {
                witness(&frame, &told);
            }
            count(&self.counters.judged, 1);
        }
        Ok(())
    }

    /// `None` when the recogniser failed on this face: no decision, no door.
    fn judge(
        &mut self,
        seen: &SeenFace,
        detect: Duration,
        embedder: &mut dyn FaceEmbedder,
        snapshot: &Snapshot,
    ) -> Result<Option<Verdict>, PipelineError> {
        let mut stages = StageTimes { detect, align: seen.align, ..StageTimes::default() };
        if let Some(refusal) = seen.refusal {
            count(&self.counters.refused, 1);
            return Ok(Some(Verdict {
                decision: Decision::Denied(DenyReason::Quality(refusal.part)),
                candidates: CandidateList::default(),
                decided: self.clock.now(),
                stages,
            }));
        }
        let started = Instant::now();
        let embedding = match embedder.embed(&seen.face.crop) {
            Ok(embedding) => embedding,
            Err(e) => {
                count(&self.counters.failed, 1);
                log::error!("{}: {e}", seen.face.at);
                return Ok(None);
            }
        };
        stages.embed = started.elapsed();
        let probe = Probe {
            at: seen.face.at.clone(),
            bbox: seen.face.bbox,
            embedding,
            quality: seen.face.quality,
            pad: PadVerdict::NotAssessed,
        };
        count(&self.counters.probes, 1);

        let started = Instant::now();
        let candidates = identify(snapshot, &probe.embedding)?;
        stages.identify = started.elapsed();

        let started = Instant::now();
        let decided = self.clock.now();
        let expires = candidates.first().and_then(|c| snapshot.subject(&c.subject)).and_then(|s| s.expires);
        // The threshold follows the very snapshot that was searched.
        let searched = snapshot.subjects().len();
        let case = Case { at: &probe.at, pad: probe.pad, candidates: &candidates, searched, expires };
        let decision = self.policy.decide(case, decided);
        stages.decide = started.elapsed();
        Ok(Some(Verdict { decision, candidates, decided, stages }))
    }
}
