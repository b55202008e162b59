use std::collections::HashMap;

use crate::{
    config::PadLimits,
    domain::{FrameRef, PadVerdict, PresentationEvent, SampleQuality, TrackId},
    pad::{Assessment, Evidence},
};

/// What presentation attack detection knows of the tracks.
pub(super) struct Presentations {
    limits: PadLimits,
    /// Whether verdicts are told of, because nothing is decided by them.
    reports: bool,
    tracks: HashMap<TrackId, Presentation>,
}

struct Presentation {
    evidence: Evidence,
    last: FrameRef,
    told: bool,
}

impl Presentations {
    pub(super) fn new(limits: PadLimits, reports: bool) -> Self {
        Self { limits, reports, tracks: HashMap::new() }
    }

    pub(super) fn limits(&self) -> &PadLimits {
        &self.limits
    }

    /// Whether verdicts are told of rather than decided by.
    pub(super) fn reports(&self) -> bool {
        self.reports
    }

    /// What the track is by now.
    pub(super) fn verdict(&self, track: TrackId) -> PadVerdict {
        self.tracks.get(&track).map_or(PadVerdict::NotAssessed, |presentation| presentation.evidence.verdict())
    }

    /// Takes a frame of a track.
    pub(super) fn add(&mut self, track: TrackId, at: &FrameRef, assessment: &Assessment, quality: &SampleQuality) {
        let limits = self.limits;
        let fresh = || Presentation { evidence: Evidence::new(limits), last: at.clone(), told: false };
        let presentation = self.tracks.entry(track).or_insert_with(fresh);
        presentation.evidence.add(assessment, quality);
        presentation.last = at.clone();
    }

    /// The verdict, when it is to be told of, has come, and was not told yet.
    pub(super) fn report(&mut self, track: TrackId) -> Option<PresentationEvent> {
        let presentation = self.tracks.get_mut(&track).filter(|_| self.reports)?;
        let verdict = presentation.evidence.verdict();
        let settled = matches!(verdict, PadVerdict::BonaFide(_) | PadVerdict::Attack(_));
        if !settled || presentation.told {
            return None;
        }
        presentation.told = true;
        Some(PresentationEvent { at: presentation.last.clone(), track, verdict })
    }

    /// Another face is in the track now: what was said for the one before says nothing for it. An attack stays one.
    pub(super) fn start_anew(&mut self, track: TrackId) {
        if !matches!(self.verdict(track), PadVerdict::Attack(_)) {
            self.tracks.remove(&track);
        }
    }

    /// The track is lost. `Some` when it is to be told of and nothing was told yet.
    pub(super) fn leave(&mut self, track: TrackId) -> Option<PresentationEvent> {
        let presentation = self.tracks.remove(&track)?;
        let due = self.reports && !presentation.told;
        due.then(|| PresentationEvent { at: presentation.last, track, verdict: presentation.evidence.verdict() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, PadDoubt, SourceId, SystemClock};

    const GOOD: SampleQuality = SampleQuality {
        size_px: 120.0,
        sharpness: 200.0,
        brightness: 120.0,
        contrast: 50.0,
        yaw_deg: 0.0,
        pitch_deg: 0.0,
        roll_deg: 0.0,
        detector_score: 0.9,
    };

    const TRACK: TrackId = TrackId::new(3);

    /// Frames of a track, all with these log-odds; what is reported on the way.
    fn shown(presentations: &mut Presentations, frames: u64, log_odds: f64) -> Vec<(u64, PadVerdict)> {
        let mut reported = Vec::new();
        for seq in 0..frames {
            let at = FrameRef { source: SourceId::new("test"), seq, captured: SystemClock.now() };
            presentations.add(TRACK, &at, &Assessment { log_odds, scale: 2.7, saturation: 40.0 }, &GOOD);
            reported.extend(presentations.report(TRACK).map(|event| (event.at.seq, event.verdict)));
        }
        reported
    }

    #[test]
    fn a_verdict_is_reported_once_with_the_frame_that_settled_it() {
        let mut presentations = Presentations::new(PadLimits::default(), true);
        assert_eq!(presentations.verdict(TRACK), PadVerdict::NotAssessed);
        assert_eq!(shown(&mut presentations, 30, 2.0), [(9, PadVerdict::BonaFide(2.0))]);
        assert_eq!(presentations.leave(TRACK), None);
    }

    #[test]
    fn who_leaves_early_is_reported_as_undetermined() {
        let mut presentations = Presentations::new(PadLimits::default(), true);
        assert_eq!(shown(&mut presentations, 4, 2.0), []);
        let left = presentations.leave(TRACK).unwrap();
        assert_eq!((left.at.seq, left.verdict), (3, PadVerdict::Undetermined(PadDoubt::TooFewFrames)));
        assert_eq!(presentations.leave(TRACK), None);
    }

    #[test]
    fn what_decides_is_not_reported() {
        let mut presentations = Presentations::new(PadLimits::default(), false);
        assert_eq!(shown(&mut presentations, 30, -2.0), []);
        assert_eq!(presentations.verdict(TRACK), PadVerdict::Attack(-2.0));
        assert_eq!(presentations.leave(TRACK), None);
    }

    #[test]
    fn another_face_inherits_an_attack_and_nothing_else() {
        let mut presentations = Presentations::new(PadLimits::default(), false);
        shown(&mut presentations, 10, 2.0);
        presentations.start_anew(TRACK);
        assert_eq!(presentations.verdict(TRACK), PadVerdict::NotAssessed);
        shown(&mut presentations, 10, -2.0);
        presentations.start_anew(TRACK);
        assert_eq!(presentations.verdict(TRACK), PadVerdict::Attack(-2.0));
    }
}
