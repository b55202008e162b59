//! Policy: grant, or deny with a reason. Pure: the time is passed in, nothing is read or written.
//!
//! The checks stand in one order, and the first that fails gives the reason. Whatever is missing
//! or doubtful denies.

mod cooldown;

use std::time::Duration;

use jiff::Timestamp;

use self::cooldown::Cooldowns;
use crate::domain::{CandidateList, Decision, DenyReason, FrameRef, PadVerdict, Stamp, ThresholdLadder};

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
}

/// What is known of a probe when the decision is due.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The frame the probe was seen in.
    pub at: &'a FrameRef,
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
}

impl Policy {
    /// A door that demands this of a grant, and has granted nothing yet.
    pub fn new(demands: Demands) -> Self {
        Self { demands, cooldowns: Cooldowns::default() }
    }

    /// Decides. A grant is remembered: it starts the subject's cooldown.
    pub fn decide(&mut self, case: Case<'_>, now: Stamp) -> Decision {
        let Demands { ref thresholds, margin, max_frame_age, cooldown } = self.demands;
        let deny = Decision::Denied;
        if now.monotonic.saturating_since(case.at.captured.monotonic) > max_frame_age {
            return deny(DenyReason::FrameTooOld);
        }
        // What is undetermined denies nothing here, as what was not assessed.
        if let PadVerdict::Attack(_) = case.pad {
            return deny(DenyReason::PresentationAttack);
        }
        let Some(best) = case.candidates.first() else {
            return deny(DenyReason::GalleryEmpty);
        };
        if !best.similarity.reaches(thresholds.at(case.searched).threshold) {
            return deny(DenyReason::BelowThreshold);
        }
        if let Some(second) = case.candidates.second()
            && best.similarity.value() - second.similarity.value() < margin
        {
            return deny(DenyReason::Ambiguous);
        }
        if case.expires.is_some_and(|end| now.wall >= end) {
            return deny(DenyReason::Expired(best.subject.clone()));
        }
        if !self.cooldowns.start(&best.subject, now.monotonic, cooldown) {
            return deny(DenyReason::Cooldown(best.subject.clone()));
        }
        Decision::Granted(best.subject.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Candidate, Monotonic, PadDoubt, Rung, Similarity, SourceId, SubjectId, Threshold};

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

    fn demands() -> Demands {
        Demands {
            thresholds: ThresholdLadder::fixed(Threshold::new(0.4).unwrap()),
            margin: 0.05,
            max_frame_age: Duration::from_millis(500),
            cooldown: Duration::from_secs(5),
        }
    }

    fn decide_once(list: &[(&str, f32)], pad: PadVerdict, expires_ms: Option<u64>, age_ms: u64) -> Decision {
        let now = at(10_000);
        let case = Case {
            at: &frame(10_000 - age_ms),
            pad,
            candidates: &candidates(list),
            searched: list.len(),
            expires: expires_ms.map(|ms| at(ms).wall),
        };
        Policy::new(demands()).decide(case, now)
    }

    #[test]
    fn each_demand_has_its_reason() {
        let fine = PadVerdict::NotAssessed;
        let denied = Decision::Denied;
        assert_eq!(decide_once(&[("ada", 0.4)], fine, None, 500), Decision::Granted(subject("ada")));
        assert_eq!(decide_once(&[("ada", 0.9)], fine, None, 501), denied(DenyReason::FrameTooOld));
        assert_eq!(
            decide_once(&[("ada", 0.9)], PadVerdict::Attack(0.9), None, 0),
            denied(DenyReason::PresentationAttack)
        );
        for doubt in PadDoubt::ALL {
            let undetermined = PadVerdict::Undetermined(doubt);
            assert_eq!(decide_once(&[("ada", 0.4)], undetermined, None, 0), Decision::Granted(subject("ada")));
            assert_eq!(decide_once(&[("ada", 0.3)], undetermined, None, 0), denied(DenyReason::BelowThreshold));
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
        let mut policy = Policy::new(Demands { thresholds, cooldown: Duration::ZERO, ..demands() });
        let list = candidates(&[("ada", 0.5)]);
        let mut decide = |searched| {
            let pad = PadVerdict::NotAssessed;
            policy.decide(Case { at: &frame(0), pad, candidates: &list, searched, expires: None }, at(0))
        };
        assert!(decide(10).is_granted());
        assert_eq!(decide(11), Decision::Denied(DenyReason::BelowThreshold));
    }

    #[test]
    fn one_grant_is_one_passage() {
        let mut policy = Policy::new(demands());
        let list = candidates(&[("ada", 0.9)]);
        let mut decide = |ms| {
            let pad = PadVerdict::NotAssessed;
            let case = Case { at: &frame(ms), pad, candidates: &list, searched: 1, expires: None };
            policy.decide(case, at(ms))
        };
        assert!(decide(1_000).is_granted());
        assert_eq!(decide(1_100), Decision::Denied(DenyReason::Cooldown(subject("ada"))));
        // Standing there does not prolong the pause: it runs from the grant.
        assert_eq!(decide(5_999), Decision::Denied(DenyReason::Cooldown(subject("ada"))));
        assert!(decide(6_000).is_granted());
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
    }
}
