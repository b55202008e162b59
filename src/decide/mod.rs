//! Policy: grant, or deny with a reason. Pure: the time is passed in, nothing is read or written.
//!
//! A decision rests on several looks at one face, those of its track: `agree` of the last `looks` must be for the same subject. What
//! speaks against a look stands in one order, and the first gives the reason. Whatever is missing or doubtful denies.
//!
//! A track is granted once at most: whoever stays has passed or has not, and has to come anew to be let in again. It is denied
//! once for each reason; after that it is looked at in peace, and only a grant, an attack or another face is told. Who was granted is
//! looked at now and then too: whoever steps into their place begins from nothing.
//!
//! Where presentation attack detection is required, it can refuse and never admit: a grant waits until its verdict on the track is bona
//! fide, what it cannot tell is denied, and an attack ends the track and shuts the door for everybody for a while.

mod cooldown;
mod evidence;
mod hints;

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

pub use self::hints::Hints;
use self::{
    cooldown::Cooldowns,
    evidence::{Evidence, Finding},
};
use crate::domain::{
    CandidateList, Decision, DenyReason, Embedding, FrameRef, Monotonic, PadDoubt, PadVerdict, QualityPart, Stamp,
    Threshold, ThresholdLadder, TrackId,
};

/// Share of the threshold that every look at a track must reach in similarity to the looks before. Chosen, not measured: half of what is
/// demanded between days and cameras is little between frames of one camera. Whoever passes it as somebody else inherits the
/// votes of one subject at most, and needs a look that is for that very subject to use them.
const SAME_FACE: f32 = 0.5;

/// A face that cannot be compared is told of when this has lasted: by then it is not just on its way.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a grant demands.
#[derive(Debug, Clone, PartialEq)]
pub struct Demands {
    /// Least similarity to the best subject, by the size of the gallery that was searched.
    pub thresholds: ThresholdLadder,
    /// Least lead of the best subject's similarity over the second's.
    pub margin: f32,
    /// Oldest frame that is decided on.
    pub max_frame_age: Duration,
    /// Pause after a grant before the same subject is granted again.
    pub cooldown: Duration,
    /// Looks, among the last `looks`, that must agree on one subject; at least 1.
    pub agree: usize,
    /// Looks that a decision rests on at most; at least `agree`.
    pub looks: usize,
    /// Pause after a denial before the same face is looked at again.
    pub retry: Duration,
    /// What presentation attack detection must say; `None`: it is not asked.
    pub presentation: Option<PresentationDemands>,
}

/// What is demanded where presentation attack detection must find somebody bona fide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentationDemands {
    /// Pause after an attack before anybody is granted.
    pub cooldown: Duration,
}

impl Demands {
    /// The same demands for a single picture: one look decides, and of one picture nothing is known but whom it resembles.
    #[must_use]
    pub fn of_one_look(self) -> Self {
        Self { agree: 1, looks: 1, retry: Duration::ZERO, presentation: None, ..self }
    }
}

/// What is known of a face in one frame.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The frame.
    pub at: &'a FrameRef,
    /// The face.
    pub embedding: &'a Embedding,
    /// What presentation attack detection says of it.
    pub pad: PadVerdict,
    /// Whom it resembles.
    pub candidates: &'a CandidateList,
    /// Subjects in the gallery that was searched: the threshold depends on it.
    pub searched: usize,
    /// When the best candidate's enrolment ends.
    pub expires: Option<Timestamp>,
}

/// The policy of one door, with the memory that it needs.
#[derive(Debug)]
pub struct Policy {
    demands: Demands,
    cooldowns: Cooldowns,
    /// Until when an attack shuts the door for everybody.
    attacked_until: Option<Monotonic>,
    tracks: HashMap<TrackId, Evidence>,
}

impl Policy {
    /// A door that demands this of a grant, and has granted nothing yet.
    pub fn new(demands: Demands) -> Self {
        Self { demands, cooldowns: Cooldowns::default(), attacked_until: None, tracks: HashMap::new() }
    }

    /// Decides on a single picture: one look, and no memory of others.
    pub fn on_picture(demands: &Demands, case: Case<'_>, now: Stamp) -> Decision {
        let decision = Self::new(demands.clone().of_one_look()).look(TrackId::new(0), case, now);
        decision.expect("a track of one look is decided by it")
    }

    /// Whether a look at this track could lead to a decision now.
    pub fn awaits(&self, track: TrackId, now: Monotonic) -> bool {
        self.tracks.get(&track).is_none_or(|evidence| evidence.awaits(now))
    }

    /// Whether this track was granted.
    pub fn has_granted(&self, track: TrackId) -> bool {
        self.tracks.get(&track).is_some_and(Evidence::is_granted)
    }

    /// How much a look at this track is worth before one at another: whoever was not told of yet comes first, then whoever has the
    /// most looks that agree.
    pub fn urgency(&self, track: TrackId) -> (bool, usize) {
        self.tracks.get(&track).map_or((true, 0), |evidence| (!evidence.is_told(), evidence.agreement()))
    }

    /// A track is lost, and with it what is known of it. `Some` when it was looked at and nothing was decided: whoever comes is told of.
    pub fn leave(&mut self, track: TrackId) -> Option<Decision> {
        let evidence = self.tracks.remove(&track)?;
        let undecided = evidence.len() > 0 && !evidence.is_told();
        let reason = || evidence.waits_for().or_else(|| evidence.main_reason()).unwrap_or(DenyReason::TooFewLooks);
        undecided.then(|| Decision::Denied(reason()))
    }

    /// A face was seen that is not good enough to be compared.
    ///
    /// `Some` when that has lasted for a second and was not told yet.
    pub fn refuse(&mut self, track: TrackId, part: QualityPart, now: Stamp) -> Option<Decision> {
        let evidence = self.tracks.entry(track).or_default();
        if evidence.is_granted() || !evidence.awaits(now.monotonic) {
            return None;
        }
        let since = evidence.refused(now.monotonic);
        let reason = DenyReason::Quality(part);
        let due = self.demands.looks == 1 || now.monotonic.saturating_since(since) >= PATIENCE;
        (due && evidence.tell(&reason)).then_some(Decision::Denied(reason))
    }

    /// A face was compared. `Some` when that decides: the reason of a denial is told once a track.
    ///
    /// A grant is remembered: it starts the subject's cooldown.
    pub fn look(&mut self, track: TrackId, case: Case<'_>, now: Stamp) -> Option<Decision> {
        let Demands { max_frame_age, cooldown, agree, looks, retry, presentation, ref thresholds, .. } = self.demands;
        let evidence = self.tracks.entry(track).or_default();
        if !evidence.awaits(now.monotonic) {
            return None;
        }
        let again_at = now.monotonic + retry;
        let deny = |evidence: &mut Evidence, reason: DenyReason| {
            evidence.rest(again_at);
            evidence.tell(&reason).then_some(Decision::Denied(reason))
        };
        if let Some(demands) = presentation
            && let PadVerdict::Attack(_) = case.pad
        {
            evidence.close();
            self.attacked_until = Some(now.monotonic + demands.cooldown);
            return Some(Decision::Denied(DenyReason::PresentationAttack));
        }
        let threshold = thresholds.at(case.searched).threshold;
        if now.monotonic.saturating_since(case.at.captured.monotonic) > max_frame_age {
            if evidence.is_granted() {
                return None;
            }
            evidence.add(Finding::Against(DenyReason::FrameTooOld), looks);
        } else {
            let finding = finding(&case, threshold, self.demands.margin);
            match evidence.is_same_face(case.embedding, SAME_FACE * threshold.value(), &finding) {
                Some(true) if evidence.is_granted() => {
                    evidence.rest(again_at);
                    return None;
                }
                Some(true) => {}
                Some(false) => {
                    evidence.start_anew();
                    return Some(Decision::Denied(DenyReason::IdentityChanged));
                }
                None => return None,
            }
            if let Finding::For(subject) = &finding
                && evidence.names_other_than(subject)
            {
                evidence.start_anew();
                return Some(Decision::Denied(DenyReason::IdentityChanged));
            }
            evidence.add(finding.clone(), looks);
            if let Finding::For(subject) = finding
                && evidence.votes(&subject) >= agree
            {
                if case.expires.is_some_and(|end| now.wall >= end) {
                    return deny(evidence, DenyReason::Expired(subject));
                }
                if presentation.is_some() {
                    match case.pad {
                        PadVerdict::BonaFide(_) => {}
                        // Told above; an attack never comes as far as this.
                        PadVerdict::Attack(_) => return deny(evidence, DenyReason::PresentationAttack),
                        // More frames will tell.
                        PadVerdict::NotAssessed | PadVerdict::Undetermined(PadDoubt::TooFewFrames) => {
                            evidence.wait_for(DenyReason::PresentationUndetermined(PadDoubt::TooFewFrames));
                            return None;
                        }
                        PadVerdict::Undetermined(doubt) => {
                            return deny(evidence, DenyReason::PresentationUndetermined(doubt));
                        }
                    }
                    if self.attacked_until.is_some_and(|until| now.monotonic < until) {
                        return deny(evidence, DenyReason::AttackCooldown(subject));
                    }
                }
                if !self.cooldowns.start(&subject, now.monotonic, cooldown) {
                    return deny(evidence, DenyReason::Cooldown(subject));
                }
                evidence.grant(subject.clone(), again_at);
                return Some(Decision::Granted(subject));
            }
        }
        if evidence.len() < looks {
            return None;
        }
        // All looks are for one subject, and fewer than must agree: cannot be, as `agree` is at most `looks`.
        let reason = evidence.main_reason().unwrap_or(DenyReason::BelowThreshold);
        deny(evidence, reason)
    }
}

/// What one look comes to.
fn finding(case: &Case<'_>, threshold: Threshold, margin: f32) -> Finding {
    let Some(best) = case.candidates.first() else {
        return Finding::Against(DenyReason::GalleryEmpty);
    };
    if !best.similarity.reaches(threshold) {
        return Finding::Against(DenyReason::BelowThreshold);
    }
    if let Some(second) = case.candidates.second()
        && best.similarity.value() - second.similarity.value() < margin
    {
        return Finding::Against(DenyReason::Ambiguous);
    }
    Finding::For(best.subject.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Candidate, ModelId, PadDoubt, Rung, Similarity, SourceId, SubjectId};

    fn at(ms: u64) -> Stamp {
        let since_boot = Duration::from_millis(ms);
        Stamp {
            monotonic: Monotonic::from_boot(since_boot),
            wall: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_millis(ms as i64),
        }
    }

    fn frame(ms: u64) -> FrameRef {
        FrameRef { source: SourceId::new("test"), seq: 0, captured: at(ms) }
    }

    fn subject(id: &str) -> SubjectId {
        id.parse().unwrap()
    }

    fn candidates(list: &[(&str, f32)]) -> CandidateList {
        let candidate = |(id, s): &(&str, f32)| Candidate { subject: subject(id), similarity: Similarity::new(*s) };
        CandidateList::new(list.iter().map(candidate).collect())
    }

    fn face(values: &[f32]) -> Embedding {
        Embedding::new(ModelId::new("test", [1; 32]), values).unwrap()
    }

    fn demands() -> Demands {
        Demands {
            thresholds: ThresholdLadder::fixed(Threshold::new(0.4).unwrap()),
            margin: 0.05,
            max_frame_age: Duration::from_millis(500),
            cooldown: Duration::from_secs(5),
            agree: 3,
            looks: 5,
            retry: Duration::from_secs(2),
            presentation: None,
        }
    }

    const TRACK: TrackId = TrackId::new(0);

    /// A door, and looks at faces before it 66 ms apart.
    struct Door {
        policy: Policy,
        ms: u64,
    }

    impl Door {
        fn new(demands: Demands) -> Self {
            Self { policy: Policy::new(demands), ms: 1_000 }
        }

        fn present(
            &mut self,
            track: TrackId,
            values: &[f32],
            list: &[(&str, f32)],
            pad: PadVerdict,
        ) -> Option<Decision> {
            self.ms += 66;
            let (at_frame, embedding, candidates) = (frame(self.ms), face(values), candidates(list));
            let case = Case {
                at: &at_frame,
                embedding: &embedding,
                pad,
                candidates: &candidates,
                searched: list.len(),
                expires: None,
            };
            self.policy.look(track, case, at(self.ms))
        }

        fn look_at(&mut self, track: u64, values: &[f32], list: &[(&str, f32)]) -> Option<Decision> {
            self.present(TrackId::new(track), values, list, PadVerdict::NotAssessed)
        }

        /// A look at somebody on the first track, who resembles Ada by this much.
        fn look(&mut self, similarity: f32) -> Option<Decision> {
            self.look_at(0, &[1.0, 0.0], &[("ada", similarity)])
        }
    }

    fn granted(id: &str) -> Option<Decision> {
        Some(Decision::Granted(subject(id)))
    }

    fn denied(reason: DenyReason) -> Option<Decision> {
        Some(Decision::Denied(reason))
    }

    fn decide_once(list: &[(&str, f32)], pad: PadVerdict, expires_ms: Option<u64>, age_ms: u64) -> Decision {
        let now = at(10_000);
        let case = Case {
            at: &frame(10_000 - age_ms),
            embedding: &face(&[1.0, 0.0]),
            pad,
            candidates: &candidates(list),
            searched: list.len(),
            expires: expires_ms.map(|ms| at(ms).wall),
        };
        Policy::on_picture(&demands(), case, now)
    }

    #[test]
    fn each_demand_has_its_reason() {
        let fine = PadVerdict::NotAssessed;
        let denied = Decision::Denied;
        assert_eq!(decide_once(&[("ada", 0.4)], fine, None, 500), Decision::Granted(subject("ada")));
        assert_eq!(decide_once(&[("ada", 0.9)], fine, None, 501), denied(DenyReason::FrameTooOld));
        // Where it is not required, it changes nothing.
        for pad in PadDoubt::ALL.map(PadVerdict::Undetermined).into_iter().chain([PadVerdict::Attack(-9.0)]) {
            assert_eq!(decide_once(&[("ada", 0.4)], pad, None, 0), Decision::Granted(subject("ada")));
            assert_eq!(decide_once(&[("ada", 0.3)], pad, None, 0), denied(DenyReason::BelowThreshold));
        }
        assert_eq!(decide_once(&[], fine, None, 0), denied(DenyReason::GalleryEmpty));
        assert_eq!(decide_once(&[("ada", 0.399)], fine, None, 0), denied(DenyReason::BelowThreshold));
        assert_eq!(decide_once(&[("ada", 0.9), ("eve", 0.86)], fine, None, 0), denied(DenyReason::Ambiguous));
        assert_eq!(decide_once(&[("ada", 0.9)], fine, Some(10_000), 0), denied(DenyReason::Expired(subject("ada"))));
        assert_eq!(decide_once(&[("ada", 0.9)], fine, Some(10_001), 0), Decision::Granted(subject("ada")));
    }

    #[test]
    fn a_larger_gallery_demands_more() {
        let rung = |subjects, t| Rung { subjects, threshold: Threshold::new(t).unwrap() };
        let thresholds = ThresholdLadder::measured(vec![rung(10, 0.4), rung(100, 0.6)]).unwrap();
        let demands = Demands { thresholds, ..demands() };
        let decide = |searched| {
            let case = Case {
                at: &frame(0),
                embedding: &face(&[1.0, 0.0]),
                pad: PadVerdict::NotAssessed,
                candidates: &candidates(&[("ada", 0.5)]),
                searched,
                expires: None,
            };
            Policy::on_picture(&demands, case, at(0))
        };
        assert_eq!(decide(10), Decision::Granted(subject("ada")));
        assert_eq!(decide(11), Decision::Denied(DenyReason::BelowThreshold));
    }

    #[test]
    fn three_of_five_looks_must_agree() {
        let mut door = Door::new(demands());
        assert_eq!([0.9, 0.9].map(|s| door.look(s)), [None, None]);
        assert_eq!(door.look(0.9), granted("ada"));
        let mut door = Door::new(demands());
        assert_eq!([0.9, 0.1, 0.9, 0.1].map(|s| door.look(s)), [const { None }; 4]);
        assert_eq!(door.look(0.9), granted("ada"));
        let mut door = Door::new(demands());
        assert_eq!([0.9, 0.1, 0.1, 0.9].map(|s| door.look(s)), [const { None }; 4]);
        assert_eq!(door.look(0.1), denied(DenyReason::BelowThreshold));
    }

    #[test]
    fn a_track_is_granted_once_and_who_comes_again_after_the_cooldown_again() {
        let mut door = Door::new(demands());
        let looks: Vec<_> = (0..200).filter_map(|_| door.look(0.9)).collect();
        assert_eq!(looks, [Decision::Granted(subject("ada"))], "13 s before the camera");
        let mut arrival = |track: u64| -> Vec<Decision> {
            (0..6).filter_map(|_| door.look_at(track, &[1.0, 0.0], &[("ada", 0.9)])).collect()
        };
        assert_eq!(arrival(1), [Decision::Granted(subject("ada"))]);
        assert_eq!(arrival(2), [Decision::Denied(DenyReason::Cooldown(subject("ada")))]);
    }

    #[test]
    fn whoever_steps_into_the_place_of_somebody_granted_begins_from_nothing() {
        let mut door = Door::new(demands());
        assert_eq!((0..20).filter_map(|_| door.look(0.9)).count(), 1);
        let next = [("eve", 0.9)];
        let told: Vec<_> = (0..40).filter_map(|_| door.look_at(0, &[0.0, 1.0], &next)).collect();
        assert_eq!(told, [Decision::Denied(DenyReason::IdentityChanged), Decision::Granted(subject("eve"))]);
    }

    #[test]
    fn whoever_resembles_somebody_granted_is_still_found_out() {
        let mut door = Door::new(demands());
        assert_eq!((0..20).filter_map(|_| door.look(0.9)).count(), 1);
        // Alike enough to pass for the same face of a stranger, look by look; the gallery knows better.
        let told: Vec<_> = (0..80).filter_map(|_| door.look_at(0, &[0.5, 0.87], &[("eve", 0.9)])).collect();
        assert_eq!(told, [Decision::Denied(DenyReason::IdentityChanged), Decision::Granted(subject("eve"))]);
    }

    #[test]
    fn strangers_do_not_move_what_somebody_granted_looked_like() {
        let mut door = Door::new(demands());
        assert_eq!((0..20).filter_map(|_| door.look(0.9)).count(), 1);
        // One who resembles her a little, for long, and then one who resembles only the first.
        assert!((0..400).all(|_| door.look_at(0, &[0.3, 0.95], &[("ada", 0.3)]).is_none()));
        let told: Vec<_> = (0..80).filter_map(|_| door.look_at(0, &[0.0, 1.0], &[("ada", 0.1)])).collect();
        assert_eq!(told[0], Decision::Denied(DenyReason::IdentityChanged));
    }

    #[test]
    fn a_denial_is_told_once_and_a_later_grant_still_comes() {
        let mut door = Door::new(demands());
        let looks: Vec<_> = (0..100).filter_map(|_| door.look(0.1)).collect();
        assert_eq!(looks, [Decision::Denied(DenyReason::BelowThreshold)]);
        let later: Vec<_> = (0..60).filter_map(|_| door.look(0.9)).collect();
        assert_eq!(later, [Decision::Granted(subject("ada"))]);
    }

    #[test]
    fn between_a_denial_and_the_next_try_nothing_is_awaited() {
        let mut door = Door::new(demands());
        (0..5).for_each(|_| drop(door.look(0.1)));
        let denied_at = door.ms;
        let awaits = |ms| door.policy.awaits(TRACK, at(ms).monotonic);
        assert!(!awaits(denied_at + 1_999) && awaits(denied_at + 2_000));
    }

    #[test]
    fn a_track_that_becomes_another_subject_is_denied_and_starts_anew() {
        let mut door = Door::new(demands());
        door.look_at(0, &[1.0, 0.5], &[("ada", 0.9)]);
        door.look_at(0, &[1.0, 0.5], &[("ada", 0.9)]);
        let changed = door.look_at(0, &[0.5, 1.0], &[("eve", 0.9)]);
        assert_eq!(changed, denied(DenyReason::IdentityChanged));
        let later: Vec<_> = (0..3).map(|_| door.look_at(0, &[0.5, 1.0], &[("eve", 0.9)])).collect();
        assert_eq!(later, [None, None, granted("eve")], "as a face of its own, from the beginning");
    }

    #[test]
    fn a_face_that_becomes_another_is_noticed_even_when_nobody_knows_it() {
        let mut door = Door::new(demands());
        let stranger = [("ada", 0.1)];
        assert_eq!(door.look_at(0, &[1.0, 0.0], &stranger), None);
        assert_eq!(door.look_at(0, &[0.0, 1.0], &[("ada", 0.9)]), None, "one may be a mishap");
        assert_eq!(door.look_at(0, &[0.0, 1.0], &[("ada", 0.9)]), denied(DenyReason::IdentityChanged));
    }

    #[test]
    fn a_look_that_may_be_a_mishap_counts_for_nothing() {
        let mut door = Door::new(demands());
        door.look(0.9);
        assert_eq!(door.look_at(0, &[0.0, 1.0], &[("ada", 0.9)]), None);
        assert_eq!(door.policy.urgency(TRACK), (true, 1));
        assert_eq!([0.9, 0.9].map(|s| door.look(s)), [None, granted("ada")]);
    }

    /// A door at which presentation attack detection must find people bona fide.
    fn requiring() -> Door {
        Door::new(Demands {
            presentation: Some(PresentationDemands { cooldown: Duration::from_secs(10) }),
            ..demands()
        })
    }

    /// Looks at Ada, of whom detection says this; what is decided, and after how many looks.
    fn said(door: &mut Door, looks: usize, pad: PadVerdict) -> Vec<(usize, Decision)> {
        let list = [("ada", 0.9)];
        (0..looks).filter_map(|n| Some((n, door.present(TRACK, &[1.0, 0.0], &list, pad)?))).collect()
    }

    #[test]
    fn a_grant_waits_for_the_verdict() {
        let mut door = requiring();
        assert_eq!(said(&mut door, 5, PadVerdict::NotAssessed), []);
        assert_eq!(said(&mut door, 9, PadVerdict::Undetermined(PadDoubt::TooFewFrames)), []);
        assert_eq!(said(&mut door, 9, PadVerdict::BonaFide(0.4)), [(0, Decision::Granted(subject("ada")))]);
    }

    #[test]
    fn who_leaves_before_the_verdict_is_denied_for_that() {
        let mut door = requiring();
        assert_eq!(said(&mut door, 6, PadVerdict::Undetermined(PadDoubt::TooFewFrames)), []);
        let reason = DenyReason::PresentationUndetermined(PadDoubt::TooFewFrames);
        assert_eq!(door.policy.leave(TRACK), denied(reason));
    }

    #[test]
    fn what_cannot_be_told_is_denied_and_may_be_told_later() {
        let mut door = requiring();
        let reason = DenyReason::PresentationUndetermined(PadDoubt::Scale);
        let told = said(&mut door, 80, PadVerdict::Undetermined(PadDoubt::Scale));
        assert_eq!(told, [(2, Decision::Denied(reason))]);
        assert_eq!(said(&mut door, 40, PadVerdict::BonaFide(0.1)).len(), 1);
    }

    #[test]
    fn an_attack_closes_the_track_and_shuts_the_door_for_a_while() {
        let mut door = requiring();
        assert_eq!(
            said(&mut door, 1, PadVerdict::Attack(-3.0)),
            [(0, Decision::Denied(DenyReason::PresentationAttack))]
        );
        assert_eq!(said(&mut door, 200, PadVerdict::BonaFide(3.0)), []);
        // The cooldown of 10 s is over by now; the next attack begins another.
        let other = TrackId::new(1);
        let list = [("ada", 0.9)];
        door.present(other, &[1.0, 0.0], &list, PadVerdict::Attack(-1.0)).unwrap();
        let third = TrackId::new(2);
        let looks =
            (0..400).filter_map(|n| Some((n, door.present(third, &[1.0, 0.0], &list, PadVerdict::BonaFide(3.0))?)));
        let told: Vec<_> = looks.collect();
        assert_eq!(told[0], (2, Decision::Denied(DenyReason::AttackCooldown(subject("ada")))));
        assert_eq!(told[1].1, Decision::Granted(subject("ada")));
        assert!((150..220).contains(&told[1].0), "after ten seconds: look {}", told[1].0);
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn where_it_is_not_required_an_attack_denies_nobody() {
        let mut door = Door::new(demands());
        assert_eq!(said(&mut door, 9, PadVerdict::Attack(-9.0)), [(2, Decision::Granted(subject("ada")))]);
    }

    #[test]
    fn who_cannot_be_compared_is_told_after_a_second_once_a_reason() {
        let mut policy = Policy::new(demands());
        let mut told = Vec::new();
        for step in 0..60 {
            told.extend(policy.refuse(TRACK, QualityPart::Yaw, at(step * 66)).map(|d| (step, d)));
        }
        assert_eq!(told, [(16, Decision::Denied(DenyReason::Quality(QualityPart::Yaw)))]);
        assert_eq!(
            policy.refuse(TRACK, QualityPart::Sharpness, at(4_000)),
            denied(DenyReason::Quality(QualityPart::Sharpness))
        );
    }

    #[test]
    fn whoever_leaves_undecided_is_denied_and_forgotten() {
        let mut door = Door::new(demands());
        door.look(0.9);
        door.look(0.9);
        assert_eq!(door.policy.leave(TRACK), denied(DenyReason::TooFewLooks));
        assert_eq!(door.policy.urgency(TRACK), (true, 0));
        assert_eq!([0.9, 0.9].map(|s| door.look(s)), [None, None]);
        door.look(0.1);
        assert_eq!(door.policy.leave(TRACK), denied(DenyReason::BelowThreshold));
        assert_eq!(door.policy.leave(TRACK), None);
    }

    #[test]
    fn who_was_decided_on_leaves_without_a_word() {
        for similarity in [0.1, 0.9] {
            let mut door = Door::new(demands());
            assert_eq!((0..40).filter_map(|_| door.look(similarity)).count(), 1);
            assert_eq!(door.policy.leave(TRACK), None);
        }
    }

    proptest! {
        #[test]
        fn a_grant_always_keeps_every_demand(
            first in -1.0f32..1.0, second in -1.0f32..1.0, age_ms in 0u64..1_000, expires_ms in prop::option::of(9_000u64..11_000),
        ) {
            let list = [("ada", first), ("eve", second)];
            if let Decision::Granted(id) = decide_once(&list, PadVerdict::BonaFide(1.0), expires_ms, age_ms) {
                let (best, other) = if id.as_str() == "ada" { (first, second) } else { (second, first) };
                prop_assert!(best >= 0.4 && best - other >= 0.05 && age_ms <= 500);
                prop_assert!(expires_ms.is_none_or(|ms| ms > 10_000));
            }
        }

        #[test]
        fn where_it_is_required_nobody_is_granted_who_is_not_bona_fide_at_that_look_nor_after_an_attack(
            looks in prop::collection::vec((0u64..3, 0usize..9), 1..200),
        ) {
            let mut door = requiring();
            let mut attacked: Option<u64> = None;
            for (track, pad) in looks {
                let pad = match pad {
                    0..=5 => PadVerdict::BonaFide(1.0),
                    6 => PadVerdict::NotAssessed,
                    7 => PadVerdict::Undetermined(PadDoubt::Dark),
                    _ => PadVerdict::Attack(-1.0),
                };
                match door.present(TrackId::new(track), &[1.0, 0.0], &[("ada", 0.9)], pad) {
                    Some(Decision::Granted(_)) => {
                        prop_assert!(matches!(pad, PadVerdict::BonaFide(_)));
                        prop_assert!(attacked.is_none_or(|ms| door.ms >= ms + 10_000));
                    }
                    Some(Decision::Denied(DenyReason::PresentationAttack)) => attacked = Some(door.ms),
                    _ => {}
                }
            }
        }

        #[test]
        fn a_grant_always_has_its_votes_in_a_row_of_looks(
            looks in prop::collection::vec((prop::bool::ANY, prop::bool::ANY), 1..60), agree in 1usize..4, more in 0usize..3,
        ) {
            let demands = Demands { agree, looks: agree + more, ..demands() };
            let mut door = Door::new(demands);
            let mut votes = Vec::new();
            for (is_ada, reaches) in looks {
                let id = if is_ada { "ada" } else { "eve" };
                let decision = door.look_at(0, &[1.0, 0.0], &[(id, if reaches { 0.9 } else { 0.1 })]);
                votes.push(reaches.then_some(id));
                if let Some(Decision::Granted(subject)) = decision {
                    let last = &votes[votes.len().saturating_sub(agree + more)..];
                    prop_assert!(last.iter().flatten().filter(|id| **id == subject.as_str()).count() >= agree);
                }
            }
        }
    }
}
