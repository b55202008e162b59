//! What identification searches: everybody with a reference of one model, never changing.

use std::{borrow::Cow, fmt, sync::Arc};

use jiff::Timestamp;

use super::{
    GalleryError, SnapshotBuilder,
    key::MasterKey,
    references::{ExactReferences, ReferenceCodes},
    register::Register,
    rows::Rows,
    store::Store,
    vault::Vault,
};
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
///
/// Each subject has a row, in no order: what a search goes through. `docs/search.md` counts the memory.
pub struct Snapshot {
    model: ModelId,
    generation: u64,
    without_model: usize,
    register: Register,
    /// Nothing when there is nobody.
    references: Option<References>,
}

struct References {
    dimension: usize,
    codes: ReferenceCodes,
    exact: ExactReferences,
}

impl Snapshot {
    pub(super) fn new(
        model: ModelId,
        register: Register,
        references: Option<(usize, ReferenceCodes, ExactReferences)>,
    ) -> Self {
        let references = references.map(|(dimension, codes, exact)| References { dimension, codes, exact });
        Self { model, generation: 0, without_model: 0, register, references }
    }

    /// Everybody of `model` in `store`, a part of them at a time in memory.
    pub(super) fn read(store: &Store, key: &MasterKey, model: &ModelId) -> Result<Self, GalleryError> {
        let mut builder = None;
        let (mut generation, mut without_model) = (0, 0);
        store.read_parts(|total, rows| {
            let vault = Vault::unlock(key, rows)?;
            generation = rows.generation;
            let builder = builder.get_or_insert_with(|| SnapshotBuilder::new(model.clone(), total).beside(store.dir()));
            for subject in vault.subjects() {
                let subject = subject?;
                let Some(reference) = vault.reference(&subject, model)? else {
                    without_model += 1;
                    continue;
                };
                let found = reference.values().len();
                if let Some(dimension) = builder.dimension().filter(|dimension| *dimension != found) {
                    let detail = format!("{found} components where {dimension} belong");
                    return Err(vault.damaged(Rows::REFERENCES, &subject.slot, &detail));
                }
                let record = subject.record;
                builder.push(&record.id, &record.name, record.expires, &reference)?;
            }
            Ok(())
        })?;
        let builder = builder.expect("a store has at least one part");
        Ok(Self { generation, without_model, ..builder.finish()? })
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
    pub fn subjects(&self) -> Subjects<'_> {
        Subjects { register: &self.register, next: 0 }
    }

    /// Who has `id`.
    pub fn subject(&self, id: &SubjectId) -> Option<SnapshotSubject> {
        self.register.find(id).map(|row| self.register.subject(row))
    }

    /// Number of components of a reference; 0 when there is none.
    pub fn dimension(&self) -> usize {
        self.references.as_ref().map_or(0, |references| references.dimension)
    }

    /// Each subject with its reference, of [`dimension`](Self::dimension) components and unit norm, in order of id.
    ///
    /// An item is an error when the temporary file of a large snapshot (see [`SnapshotBuilder`]) cannot be read.
    pub fn references(&self) -> impl Iterator<Item = Result<(SnapshotSubject, Cow<'_, [f32]>), GalleryError>> {
        self.register.rows().map(|row| Ok((self.register.subject(row), self.reference_at(row)?)))
    }

    /// The references in bytes, by row; `None` when there is nobody.
    pub fn codes(&self) -> Option<&ReferenceCodes> {
        self.references.as_ref().map(|references| &references.codes)
    }

    /// The id of the subject in `row`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn id_at(&self, row: usize) -> &str {
        self.register.id(row)
    }

    /// The subject in `row`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn subject_at(&self, row: usize) -> SnapshotSubject {
        self.register.subject(row)
    }

    /// The reference in `row`, exact.
    ///
    /// # Errors
    /// When the temporary file of a large snapshot cannot be read.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn reference_at(&self, row: usize) -> Result<Cow<'_, [f32]>, GalleryError> {
        let references = self.references.as_ref().expect("there is a row");
        references.exact.get(row, references.dimension)
    }
}

/// The subjects of a snapshot, in order of id.
#[derive(Clone)]
pub struct Subjects<'a> {
    register: &'a Register,
    next: usize,
}

impl Subjects<'_> {
    /// Whether there are none left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Iterator for Subjects<'_> {
    type Item = SnapshotSubject;

    fn next(&mut self) -> Option<SnapshotSubject> {
        let row = self.register.row(self.next)?;
        self.next += 1;
        Some(self.register.subject(row))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.register.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Subjects<'_> {}

impl fmt::Debug for Subjects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subjects({} left)", self.len())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, generation, register, .. } = self;
        write!(f, "Snapshot({model}, generation {generation}, {} subjects)", register.len())
    }
}
