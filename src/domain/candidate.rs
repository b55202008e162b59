//! What an identification search returns.

use super::{Similarity, SubjectId};

/// One enrolled subject and how alike the probe is to its reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The subject.
    pub subject: SubjectId,
    /// Similarity of the probe to the subject's reference.
    pub similarity: Similarity,
}

/// Candidates, best first; ties in order of subject id, so that a result never depends on chance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CandidateList(Vec<Candidate>);

impl CandidateList {
    /// Sorts `candidates`.
    pub fn new(mut candidates: Vec<Candidate>) -> Self {
        candidates.sort_by(|a, b| a.similarity.descending(b.similarity).then_with(|| a.subject.cmp(&b.subject)));
        Self(candidates)
    }

    /// The best candidate.
    pub fn first(&self) -> Option<&Candidate> {
        self.0.first()
    }

    /// The best candidate of another subject.
    pub fn second(&self) -> Option<&Candidate> {
        self.0.get(1)
    }

    /// All, best first.
    pub fn as_slice(&self) -> &[Candidate] {
        &self.0
    }
}
