//! What identification searches: everybody with a reference of one model, never changing.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::{GalleryError, rows::Rows, vault::Vault};
use crate::domain::{ModelId, SubjectId};

/// A subject in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSubject {
    /// Its id.
    pub id: SubjectId,
    /// Display name.
    pub name: Arc<str>,
    /// From when on it is not granted any more. Expired subjects stay in the snapshot: the policy
    /// denies them, by name.
    pub expires: Option<Timestamp>,
}

/// Everybody who has templates of one model, with their references, at one moment. `Debug` shows no
/// reference.
#[derive(Clone)]
pub struct Snapshot {
    model: ModelId,
    generation: u64,
    without_model: usize,
    subjects: Vec<SnapshotSubject>,
    /// The references, one after the other, in order of `subjects`.
    references: Vec<f32>,
    dimension: usize,
}

impl Snapshot {
    pub(super) fn of(vault: &Vault<'_>, model: &ModelId) -> Result<Self, GalleryError> {
        let mut found = Vec::new();
        let mut without_model = 0;
        for subject in vault.subjects() {
            let subject = subject?;
            match vault.reference(&subject, model)? {
                Some(reference) => found.push((subject, reference)),
                None => without_model += 1,
            }
        }
        found.sort_by(|(a, _), (b, _)| a.record.id.cmp(&b.record.id));
        let dimension = found.first().map_or(0, |(_, r)| r.values().len());
        let mut references = Vec::with_capacity(found.len() * dimension);
        let mut subjects = Vec::with_capacity(found.len());
        for (subject, reference) in found {
            if reference.values().len() != dimension {
                let detail = format!("{} components where {dimension} belong", reference.values().len());
                return Err(vault.damaged(Rows::REFERENCES, &subject.slot, &detail));
            }
            references.extend_from_slice(reference.values());
            let record = subject.record;
            subjects.push(SnapshotSubject { id: record.id, name: record.name.into(), expires: record.expires });
        }
        Ok(Self {
            model: model.clone(),
            generation: vault.rows.generation,
            without_model,
            subjects,
            references,
            dimension,
        })
    }

    /// The model whose references these are.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// Counts the changes committed to the store before this snapshot.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many subjects are enrolled but have no template of this model, and so cannot be found:
    /// after a change of model they have to be enrolled again.
    pub fn without_model(&self) -> usize {
        self.without_model
    }

    /// Everybody, in order of id.
    pub fn subjects(&self) -> &[SnapshotSubject] {
        &self.subjects
    }

    /// Who has `id`.
    pub fn subject(&self, id: &SubjectId) -> Option<&SnapshotSubject> {
        self.subjects.binary_search_by(|s| s.id.cmp(id)).ok().map(|at| &self.subjects[at])
    }

    /// Number of components of a reference; 0 when there is none.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Each subject with its reference, of [`dimension`](Self::dimension) components and unit norm.
    pub fn references(&self) -> impl Iterator<Item = (&SnapshotSubject, &[f32])> {
        // An empty snapshot has dimension 0, which is no chunk size.
        self.subjects.iter().zip(self.references.chunks_exact(self.dimension.max(1)))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, generation, subjects, .. } = self;
        write!(f, "Snapshot({model}, generation {generation}, {} subjects)", subjects.len())
    }
}
