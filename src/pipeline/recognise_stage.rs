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
    presentations::Presentations,
    see_stage::{SeenFace, Sighting},
};
use crate::{
    decide::{Case, Hints, Policy},
    domain::{
        AccessEvent, BBox, CandidateList, Clock, Decision, DenyReason, Frame, FrameRef, Hint, HintEvent, ModelId,
        Monotonic, News, PadVerdict, Probe, QualityPart, StageTimes, Stamp, TrackId,
    },
    embed::FaceEmbedder,
    gallery::Snapshot,
    identify::identify,
    pad::{self, PadAssessor},
    scene::Light,
};

/// Faces compared in one frame at most. Those nearest to a decision come first, so that a crowd keeps nobody waiting who is about to
/// be let in; the others have their turn in the next frames.
const LOOKS_A_FRAME: usize = 2;

/// Compares faces with the gallery and decides on their tracks.
pub(super) struct RecogniseStage {
    pub(super) sightings: Receiver<Sighting>,
    pub(super) news: Sender<News>,
    pub(super) roster: Roster,
    /// What is known of presentations, where they are assessed.
    pub(super) presentations: Option<Presentations>,
    pub(super) policy: Policy,
    pub(super) hints: Hints,
    /// Name of the operating point in events.
    pub(super) operating_point: Arc<str>,
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

impl Verdict {
    fn without_comparison(decision: Decision, decided: Stamp, stages: StageTimes) -> Self {
        Self { decision, candidates: CandidateList::default(), decided, stages }
    }
}

/// Where a track was looked at.
#[derive(Clone)]
struct Glimpse {
    at: FrameRef,
    bbox: BBox,
}

/// What one stay before the camera came to so far.
#[derive(Default)]
struct Stay {
    /// When a frame first showed the face well enough to be compared.
    usable_since: Option<Monotonic>,
    /// When the last such frame but one was.
    usable_before: Option<Monotonic>,
    usable_last: Option<Monotonic>,
    /// The last look at it.
    glimpse: Option<Glimpse>,
    /// Its last event, for the witness.
    told: Option<AccessEvent>,
}

/// The networks of this stage.
struct Networks {
    embedder: Box<dyn FaceEmbedder>,
    assessor: Option<Box<dyn PadAssessor>>,
}

/// Why the stage ends before its input does.
enum Halt {
    /// Nobody takes events any more.
    Unheard,
    Failed(PipelineError),
}

impl From<PipelineError> for Halt {
    fn from(error: PipelineError) -> Self {
        Self::Failed(error)
    }
}

impl From<Halt> for Result<(), PipelineError> {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Unheard => Ok(()),
            Halt::Failed(error) => Err(error),
        }
    }
}

impl RecogniseStage {
    pub(super) fn run(
        mut self,
        embedder: Box<dyn FaceEmbedder>,
        assessor: Option<Box<dyn PadAssessor>>,
    ) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut networks = Networks { embedder, assessor };
        let mut stays = HashMap::new();
        while let Ok(sighting) = self.sightings.recv() {
            match self.attend(&sighting, &mut networks, &mut stays) {
                Ok(()) => count(&self.counters.judged, 1),
                Err(halt) => return halt.into(),
            }
        }
        Ok(())
    }

    fn attend(
        &mut self,
        sighting: &Sighting,
        networks: &mut Networks,
        stays: &mut HashMap<TrackId, Stay>,
    ) -> Result<(), Halt> {
        for track in &sighting.lost {
            let stay = stays.remove(track);
            self.leave(*track, stay, networks.embedder.model())?;
        }
        self.hint_without_face(sighting)?;
        self.meet(sighting, networks, stays)
    }

    /// A track is lost: who was not told of yet is told of now.
    fn leave(&mut self, track: TrackId, stay: Option<Stay>, model: &ModelId) -> Result<(), Halt> {
        let pad = self.verdict(track);
        self.hints.forget(track);
        let report = self.presentations.as_mut().and_then(|presentations| presentations.leave(track));
        let decision = self.policy.leave(track);
        if let Some((decision, Stay { usable_since, glimpse: Some(glimpse), .. })) = decision.zip(stay) {
            let verdict = Verdict::without_comparison(decision, self.clock.now(), StageTimes::default());
            let event = self.event(track, glimpse, usable_since, verdict, pad, model, &self.roster.current());
            self.send(News::Access(Box::new(event)))?;
        }
        report.map_or(Ok(()), |report| self.send(News::Presentation(report)))
    }

    /// The faces of one frame.
    fn meet(
        &mut self,
        sighting: &Sighting,
        networks: &mut Networks,
        stays: &mut HashMap<TrackId, Stay>,
    ) -> Result<(), Halt> {
        let Sighting { frame, detect, .. } = sighting;
        let mut faces: Vec<&SeenFace> = sighting.faces.iter().collect();
        // Whoever is nearest to a first decision comes first, then whoever is nearest to the door.
        faces.sort_by_cached_key(|seen| {
            let size = (seen.face.quality.size_px * 16.0) as i64;
            Reverse((self.policy.urgency(seen.tracked.track), size))
        });
        let (mut looks, mut assessed) = (0, 0);
        for seen in &faces {
            let track = seen.tracked.track;
            let glimpse = Glimpse { at: frame.at.clone(), bbox: seen.face.bbox };
            let stay = stays.entry(track).or_default();
            if seen.refusal.is_none() {
                let now = frame.at.captured.monotonic;
                stay.usable_since.get_or_insert(now);
                stay.usable_before = stay.usable_last.replace(now);
            }
            // One snapshot a face: an enrolment counts from the next face on.
            let snapshot = self.roster.current();
            let looked_at = seen.refusal.is_none() && looks < LOOKS_A_FRAME && self.is_worth_a_look(seen);
            let mut stages = StageTimes { detect: *detect, align: seen.align, ..StageTimes::default() };
            if seen.refusal.is_none() && self.presentations.is_none() {
                self.hints.forget(track);
            }
            if seen.refusal.is_none() && assessed < LOOKS_A_FRAME && self.is_worth_assessing(track, looked_at) {
                assessed += 1;
                self.assess(seen, frame, networks, &mut stages)?;
            }
            let verdict = match seen.refusal {
                Some(refusal) => {
                    self.hint(seen, Hint::against(&refusal))?;
                    self.refuse(seen, refusal.part, stages)
                }
                None if looked_at => {
                    looks += 1;
                    stay.glimpse = Some(glimpse.clone());
                    self.judge(seen, stages, networks.embedder.as_mut(), &snapshot)?
                }
                None => None,
            };
            let Some(verdict) = verdict else { continue };
            let pad = self.verdict(track);
            if verdict.decision == Decision::Denied(DenyReason::IdentityChanged) {
                // It takes two looks to tell: the one before showed the other face, too.
                stay.usable_since = stay.usable_before.or(stay.usable_since);
                if let Some(presentations) = &mut self.presentations {
                    presentations.start_anew(track);
                }
            }
            let since = stay.usable_since;
            let event = self.event(track, glimpse, since, verdict, pad, networks.embedder.model(), &snapshot);
            if self.witness.is_some() {
                stay.told = Some(event.clone());
            }
            self.send(News::Access(Box::new(event)))?;
        }
        if let Some(witness) = &mut self.witness
            && !faces.is_empty()
        {
            let standing = |seen: &&SeenFace| Standing {
                bbox: seen.face.bbox,
                track: seen.tracked.track,
                event: stays.get(&seen.tracked.track).and_then(|stay| stay.told.clone()),
            };
            witness(frame, &faces.iter().map(standing).collect::<Vec<_>>());
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the event that comes from elsewhere")]
    fn event(
        &self,
        track: TrackId,
        glimpse: Glimpse,
        usable_since: Option<Monotonic>,
        verdict: Verdict,
        pad: PadVerdict,
        model: &ModelId,
        snapshot: &Snapshot,
    ) -> AccessEvent {
        let name = verdict.decision.subject().and_then(|s| snapshot.subject(s)).map(|s| s.name.clone());
        AccessEvent {
            at: glimpse.at,
            track,
            bbox: glimpse.bbox,
            similarity: verdict.candidates.first().map(|c| c.similarity),
            decision: verdict.decision,
            name,
            pad,
            model: model.clone(),
            operating_point: self.operating_point.clone(),
            waited: usable_since.map_or(Duration::ZERO, |since| verdict.decided.monotonic.saturating_since(since)),
            decided: verdict.decided,
            stages: verdict.stages,
        }
    }

    fn send(&self, news: News) -> Result<(), Halt> {
        let counter = match &news {
            News::Access(event) if event.decision.is_granted() => &self.counters.granted,
            News::Access(_) => &self.counters.denied,
            _ => &self.counters.told,
        };
        count(counter, 1);
        self.news.send(news).map_err(|_| Halt::Unheard)
    }

    /// What a person can do whose face is seen and cannot be judged. Who was let in is left in peace.
    fn hint(&mut self, seen: &SeenFace, hint: Hint) -> Result<(), Halt> {
        let track = seen.tracked.track;
        if self.policy.has_granted(track) {
            return Ok(());
        }
        let said = self.hints.on_face(track, hint, seen.face.at.captured.monotonic);
        said.map_or(Ok(()), |hint| {
            self.send(News::Hint(HintEvent { at: seen.face.at.clone(), track: Some(track), hint }))
        })
    }

    /// What somebody can do whose face is too far away, or of whom nothing is seen.
    fn hint_without_face(&mut self, sighting: &Sighting) -> Result<(), Halt> {
        let Sighting { frame, distant, light, .. } = sighting;
        let now = frame.at.captured.monotonic;
        let said = match light {
            Light::Dark => self.hints.on_picture(Hint::MoreLight, now),
            Light::Dazzled => self.hints.on_picture(Hint::LessLight, now),
            Light::Usable if *distant => self.hints.on_distant_face(now),
            Light::Usable => None,
        };
        said.map_or(Ok(()), |hint| self.send(News::Hint(HintEvent { at: frame.at.clone(), track: None, hint })))
    }

    fn is_worth_a_look(&self, seen: &SeenFace) -> bool {
        seen.tracked.worthwhile && self.policy.awaits(seen.tracked.track, self.clock.now().monotonic)
    }

    fn verdict(&self, track: TrackId) -> PadVerdict {
        self.presentations.as_ref().map_or(PadVerdict::NotAssessed, |presentations| presentations.verdict(track))
    }

    /// Where the verdict decides, each assessment goes with a look, so that it is of the face that was compared. Where it is reported, it
    /// is sought until it is there.
    fn is_worth_assessing(&self, track: TrackId, looked_at: bool) -> bool {
        self.presentations.as_ref().is_some_and(|presentations| match presentations.verdict(track) {
            PadVerdict::NotAssessed | PadVerdict::Undetermined(_) => looked_at || presentations.reports(),
            PadVerdict::BonaFide(_) | PadVerdict::Attack(_) => looked_at && !presentations.reports(),
        })
    }

    /// Adds this frame to what is known of the presentation. A net that fails says nothing: where its verdict decides, the door stays
    /// shut.
    fn assess(
        &mut self,
        seen: &SeenFace,
        frame: &Frame,
        networks: &mut Networks,
        stages: &mut StageTimes,
    ) -> Result<(), Halt> {
        let (Some(presentations), Some(assessor)) = (&mut self.presentations, &mut networks.assessor) else {
            return Ok(());
        };
        let started = Instant::now();
        let assessment = match assessor.assess(&frame.image, &seen.face.bbox) {
            Ok(Some(assessment)) => assessment,
            Ok(None) => return Ok(()),
            Err(e) => {
                count(&self.counters.failed, 1);
                log::error!("{}: {e}", frame.at);
                return Ok(());
            }
        };
        let (track, quality) = (seen.tracked.track, &seen.face.quality);
        presentations.add(track, &frame.at, &assessment, quality);
        stages.pad = started.elapsed();
        let doubt = pad::doubt(&assessment, quality, presentations.limits());
        let report = presentations.report(track);
        // Where nothing depends on it, nobody is asked to do anything.
        let hint = doubt.filter(|_| !presentations.reports()).and_then(Hint::against_doubt);
        match hint {
            Some(hint) => self.hint(seen, hint)?,
            None => self.hints.forget(track),
        }
        report.map_or(Ok(()), |report| self.send(News::Presentation(report)))
    }

    fn refuse(&mut self, seen: &SeenFace, part: QualityPart, stages: StageTimes) -> Option<Verdict> {
        count(&self.counters.refused, 1);
        let decided = self.clock.now();
        let decision = self.policy.refuse(seen.tracked.track, part, decided)?;
        Some(Verdict::without_comparison(decision, decided, stages))
    }

    /// `None` when this look decides nothing, and when the recogniser failed on this face: no decision, no door.
    fn judge(
        &mut self,
        seen: &SeenFace,
        mut stages: StageTimes,
        embedder: &mut dyn FaceEmbedder,
        snapshot: &Snapshot,
    ) -> Result<Option<Verdict>, PipelineError> {
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
            pad: self.verdict(seen.tracked.track),
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
