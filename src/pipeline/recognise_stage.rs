use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};

use super::{
    PipelineError, Roster, Standing, Witness,
    counters::{Counters, count},
    see_stage::{SeenFace, Sighting},
};
use crate::{
    decide::{Case, Policy},
    domain::{
        AccessEvent, BBox, BootId, CandidateList, Clock, Decision, EventId, FrameRef, ModelId, PadVerdict, Probe,
        QualityPart, StageTimes, Stamp, TrackId,
    },
    embed::FaceEmbedder,
    gallery::Snapshot,
    identify::identify,
};

/// Faces compared in one frame at most. Those nearest to a decision come first, so that a crowd keeps nobody waiting who is about to
/// be let in; the others have their turn in the next frames.
const LOOKS_A_FRAME: usize = 2;

/// What every event of this door says of it.
pub(super) struct Doorplate {
    pub(super) door: Arc<str>,
    pub(super) boot: BootId,
    pub(super) operating_point: Arc<str>,
}

/// Compares faces with the gallery and decides on their tracks.
pub(super) struct RecogniseStage {
    pub(super) sightings: Receiver<Sighting>,
    pub(super) events: Sender<AccessEvent>,
    pub(super) roster: Roster,
    pub(super) policy: Policy,
    pub(super) plate: Doorplate,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) witness: Option<Witness>,
    /// Number of the next event.
    pub(super) sequence: u64,
    pub(super) counters: Arc<Counters>,
}

/// A decision and what led to it.
struct Verdict {
    decision: Decision,
    candidates: CandidateList,
    decided: Stamp,
    stages: StageTimes,
}

impl Verdict {
    fn without_comparison(decision: Decision, decided: Stamp, stages: StageTimes) -> Self {
        Self { decision, candidates: CandidateList::default(), decided, stages }
    }
}

/// What a track was looked at last.
struct Glimpse {
    at: FrameRef,
    bbox: BBox,
}

impl RecogniseStage {
    pub(super) fn run(mut self, embedder: &mut dyn FaceEmbedder) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        // What each track's last event was, for the witness.
        let mut told: HashMap<TrackId, AccessEvent> = HashMap::new();
        let mut glimpses: HashMap<TrackId, Glimpse> = HashMap::new();
        while let Ok(Sighting { frame, detect, mut faces, lost }) = self.sightings.recv() {
            for track in lost {
                told.remove(&track);
                let Some((decision, glimpse)) = self.policy.leave(track).zip(glimpses.remove(&track)) else { continue };
                let verdict = Verdict::without_comparison(decision, self.clock.now(), StageTimes::default());
                let event = self.event(track, glimpse, verdict, embedder.model(), &self.roster.current());
                if !self.send(event) {
                    return Ok(());
                }
            }
            // Whoever is nearest to a first decision comes first, then whoever is nearest to the door.
            faces.sort_by_cached_key(|seen| {
                let size = (seen.face.quality.size_px * 16.0) as i64;
                Reverse((self.policy.urgency(seen.tracked.track), size))
            });
            let mut looks = 0;
            for seen in &faces {
                let track = seen.tracked.track;
                // One snapshot a face: an enrolment counts from the next face on.
                let snapshot = self.roster.current();
                let verdict = match seen.refusal {
                    Some(refusal) => self.refuse(seen, refusal.part, detect),
                    None if looks < LOOKS_A_FRAME && self.is_worth_a_look(seen) => {
                        looks += 1;
                        glimpses.insert(track, Glimpse { at: frame.at.clone(), bbox: seen.face.bbox });
                        self.judge(seen, detect, embedder, &snapshot)?
                    }
                    None => None,
                };
                let Some(verdict) = verdict else { continue };
                let glimpse = Glimpse { at: frame.at.clone(), bbox: seen.face.bbox };
                let event = self.event(track, glimpse, verdict, embedder.model(), &snapshot);
                if self.witness.is_some() {
                    told.insert(track, event.clone());
                }
                if !self.send(event) {
                    return Ok(());
                }
            }
            if let Some(witness) = &mut self.witness
                && !faces.is_empty()
            {
                let standing = |seen: &SeenFace| Standing {
                    bbox: seen.face.bbox,
                    track: seen.tracked.track,
                    event: told.get(&seen.tracked.track).cloned(),
                };
                witness(&frame, &faces.iter().map(standing).collect::<Vec<_>>());
            }
            count(&self.counters.judged, 1);
        }
        Ok(())
    }

    fn event(
        &mut self,
        track: TrackId,
        glimpse: Glimpse,
        verdict: Verdict,
        model: &ModelId,
        snapshot: &Snapshot,
    ) -> AccessEvent {
        let name = verdict.decision.subject().and_then(|s| snapshot.subject(s)).map(|s| s.name.clone());
        let sequence = self.sequence;
        self.sequence += 1;
        AccessEvent {
            id: EventId::now(),
            sequence,
            boot: self.plate.boot,
            door: self.plate.door.clone(),
            at: glimpse.at,
            track,
            bbox: glimpse.bbox,
            similarity: verdict.candidates.first().map(|c| c.similarity),
            decision: verdict.decision,
            name,
            model: model.clone(),
            operating_point: self.plate.operating_point.clone(),
            decided: verdict.decided,
            stages: verdict.stages,
        }
    }

    /// Whether somebody took it.
    fn send(&self, event: AccessEvent) -> bool {
        let decided = if event.decision.is_granted() { &self.counters.granted } else { &self.counters.denied };
        count(decided, 1);
        self.events.send(event).is_ok()
    }

    fn is_worth_a_look(&self, seen: &SeenFace) -> bool {
        seen.tracked.worthwhile && self.policy.awaits(seen.tracked.track, self.clock.now().monotonic)
    }

    fn refuse(&mut self, seen: &SeenFace, part: QualityPart, detect: Duration) -> Option<Verdict> {
        count(&self.counters.refused, 1);
        let decided = self.clock.now();
        let decision = self.policy.refuse(seen.tracked.track, part, decided)?;
        let stages = StageTimes { detect, align: seen.align, ..StageTimes::default() };
        Some(Verdict::without_comparison(decision, decided, stages))
    }

    /// `None` when this look decides nothing, and when the recogniser failed on this face: no decision, no door.
    fn judge(
        &mut self,
        seen: &SeenFace,
        detect: Duration,
        embedder: &mut dyn FaceEmbedder,
        snapshot: &Snapshot,
    ) -> Result<Option<Verdict>, PipelineError> {
        let mut stages = StageTimes { detect, align: seen.align, ..StageTimes::default() };
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
            track: seen.tracked.track,
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
        let (embedding, pad) = (&probe.embedding, probe.pad);
        let case = Case { at: &probe.at, embedding, pad, candidates: &candidates, searched, expires };
        let decision = self.policy.look(probe.track, case, decided);
        stages.decide = started.elapsed();
        Ok(decision.map(|decision| Verdict { decision, candidates, decided, stages }))
    }
}
