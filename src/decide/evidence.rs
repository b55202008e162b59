use std::collections::{BTreeSet, VecDeque};

use crate::domain::{DenyReason, Embedding, Monotonic, SubjectId};

/// So many looks in a row that resemble neither the others of their track nor a mishap: somebody else stands there now.
const STRANGE_LOOKS: u32 = 2;

/// What one look at a face came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// It is this subject, by threshold and margin.
    For(SubjectId),
    /// It is nobody, for this reason.
    Against(DenyReason),
}

/// What is known of one track.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The latest findings, oldest first.
    findings: VecDeque<Finding>,
    /// Sum of the embeddings that were compared since the track was seen first or changed.
    face: Vec<f32>,
    strange: u32,
    stage: Stage,
    /// Who was granted: from now on looks only tell whether it is still the same face.
    granted: Option<SubjectId>,
    /// Codes of the denials that were told.
    told: BTreeSet<&'static str>,
    refused_since: Option<Monotonic>,
    /// What the looks that agree have to wait for.
    waits_for: Option<DenyReason>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Stage {
    /// Findings are gathered.
    #[default]
    Open,
    /// A denial has been; nothing is gathered before then.
    Resting(Monotonic),
    /// An attack was found: this track is through.
    Closed,
}

impl Evidence {
    /// Whether another look could lead to a decision.
    pub(super) fn awaits(&self, now: Monotonic) -> bool {
        match self.stage {
            Stage::Open => true,
            Stage::Resting(until) => now >= until,
            Stage::Closed => false,
        }
    }

    /// Whether a face is that of the track: not when it is unlike what was compared before, twice in a row, nor when it is for another
    /// subject than the one granted. `None` says that one look is not enough to tell, and that it counts for nothing.
    pub(super) fn is_same_face(&mut self, embedding: &Embedding, least: f32, finding: &Finding) -> Option<bool> {
        let before = || Embedding::new(embedding.model().clone(), &self.face).ok();
        let resembles = || before().and_then(|face| face.similarity(embedding).ok()).is_none_or(|s| s.value() >= least);
        let alike = match (&self.granted, finding) {
            (Some(granted), Finding::For(subject)) => granted == subject,
            _ => resembles(),
        };
        if alike {
            self.strange = 0;
            // Or the face of whoever was granted would become that of whoever steps in, look by look.
            if self.granted.is_some() && !matches!(finding, Finding::For(_)) {
                return Some(true);
            }
            self.face.resize(embedding.values().len(), 0.0);
            for (sum, value) in self.face.iter_mut().zip(embedding.values()) {
                *sum += value;
            }
            return Some(true);
        }
        self.strange += 1;
        (self.strange >= STRANGE_LOOKS).then_some(false)
    }

    /// Adds a finding; the last `looks` count.
    pub(super) fn add(&mut self, finding: Finding, looks: usize) {
        self.refused_since = None;
        self.findings.push_back(finding);
        while self.findings.len() > looks {
            self.findings.pop_front();
        }
    }

    /// A face that cannot be compared: since when that is so.
    pub(super) fn refused(&mut self, now: Monotonic) -> Monotonic {
        *self.refused_since.get_or_insert(now)
    }

    /// The looks agree, and a grant has to wait; should nothing come of it, for this reason.
    pub(super) fn wait_for(&mut self, reason: DenyReason) {
        self.waits_for = Some(reason);
    }

    /// What a grant has waited for.
    pub(super) fn waits_for(&self) -> Option<DenyReason> {
        self.waits_for.clone()
    }

    /// How many findings are for `subject`.
    pub(super) fn votes(&self, subject: &SubjectId) -> usize {
        self.findings.iter().filter(|f| matches!(f, Finding::For(s) if s == subject)).count()
    }

    /// The most findings for one subject.
    pub(super) fn agreement(&self) -> usize {
        let subjects = self.findings.iter().filter_map(|f| match f {
            Finding::For(subject) => Some(subject),
            Finding::Against(_) => None,
        });
        subjects.map(|s| self.votes(s)).max().unwrap_or(0)
    }

    /// Whether findings name a subject other than `subject`.
    pub(super) fn names_other_than(&self, subject: &SubjectId) -> bool {
        self.findings.iter().any(|f| matches!(f, Finding::For(s) if s != subject))
    }

    /// How many findings there are.
    pub(super) fn len(&self) -> usize {
        self.findings.len()
    }

    /// The reason that most findings have, of equals the latest; `None` when all are for somebody.
    pub(super) fn main_reason(&self) -> Option<DenyReason> {
        let reasons = || {
            self.findings.iter().filter_map(|f| match f {
                Finding::Against(reason) => Some(reason),
                Finding::For(_) => None,
            })
        };
        reasons().max_by_key(|reason| reasons().filter(|r| r == reason).count()).cloned()
    }

    /// Gathers afresh from `until` on.
    pub(super) fn rest(&mut self, until: Monotonic) {
        self.findings.clear();
        (self.refused_since, self.waits_for) = (None, None);
        self.stage = Stage::Resting(until);
    }

    /// Somebody else stands there: what was known of the face is gone, and what was told of it.
    pub(super) fn start_anew(&mut self) {
        *self = Self::default();
    }

    /// Somebody is granted; the next look is due at `until`.
    pub(super) fn grant(&mut self, subject: SubjectId, until: Monotonic) {
        self.granted = Some(subject);
        self.rest(until);
    }

    /// Whether somebody was granted.
    pub(super) fn is_granted(&self) -> bool {
        self.granted.is_some()
    }

    /// Nothing more is decided on this track.
    pub(super) fn close(&mut self) {
        self.findings.clear();
        self.stage = Stage::Closed;
    }

    /// Whether a decision was told.
    pub(super) fn is_told(&self) -> bool {
        self.granted.is_some() || !self.told.is_empty()
    }

    /// Whether a denial with this reason has not been told yet; now it is.
    pub(super) fn tell(&mut self, reason: &DenyReason) -> bool {
        self.told.insert(reason.code())
    }
}
