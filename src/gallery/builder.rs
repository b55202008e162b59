//! Snapshots from subjects, one after the other.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{
    GalleryError, Snapshot,
    references::{ExactWriter, ReferenceCodes},
    register::Register,
    sealed_vectors::VectorWriter,
};
use crate::{
    domain::{Embedding, ModelId, SubjectId},
    nn::Isa,
};

/// With more subjects than this, a snapshot keeps its references sealed in a temporary file and only their bytes in memory.
///
/// 50,000 references of 192 components are 38 MB, about what the networks of the service take; every further subject would add
/// 768 bytes where its bytes take 200. No door has so many, so that with those there are no file is ever made.
pub const MAX_IN_MEMORY: usize = 50_000;

/// Makes a [`Snapshot`]. [`Gallery::snapshot`](super::Gallery::snapshot) does it from the store; for measuring, any embeddings
/// will do.
///
/// References of more than [`MAX_IN_MEMORY`] subjects go into a file that has no name and is sealed with a key that only this
/// process knows: with the process, or the snapshot, they are gone.
pub struct SnapshotBuilder {
    model: ModelId,
    expected: usize,
    folders: Vec<PathBuf>,
    isa: Isa,
    register: Register,
    /// From the first reference on, which tells the dimension.
    gathered: Option<Gathered>,
}

struct Gathered {
    dimension: usize,
    codes: ReferenceCodes,
    exact: ExactWriter,
}

impl SnapshotBuilder {
    /// Nobody yet; memory for `expected` subjects, by which it is also decided where their references are kept.
    pub fn new(model: ModelId, expected: usize) -> Self {
        Self {
            model,
            expected,
            folders: vec![std::env::temp_dir()],
            isa: Isa::best(),
            register: Register::with_capacity(expected),
            gathered: None,
        }
    }

    /// Tries this folder for the temporary file before the system's.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        self.folders.insert(0, folder.into());
        self
    }

    /// Searches with this family of kernels instead of the best; for measuring.
    #[must_use]
    pub fn on(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Adds a subject, whose id nobody else has.
    ///
    /// # Errors
    /// When the reference is of another model, or has another number of components than those before; when the temporary
    /// file cannot be written.
    pub fn push(
        &mut self,
        id: &SubjectId,
        name: &str,
        expires: Option<Timestamp>,
        reference: &Embedding,
    ) -> Result<(), GalleryError> {
        if *reference.model() != self.model {
            let value = format!("{id}: {}", reference.model());
            return Err(GalleryError::Value { what: "model of a reference", value, allowed: "the snapshot's model" });
        }
        let values = reference.values();
        let gathered = match &mut self.gathered {
            Some(gathered) => gathered,
            none => none.insert(Gathered::new(self.isa, values.len(), self.expected, &self.folders)?),
        };
        let (found, expected) = (values.len(), gathered.dimension);
        if found != expected {
            return Err(GalleryError::Dimension { id: id.clone(), model: self.model.clone(), found, expected });
        }
        gathered.exact.push(values)?;
        gathered.codes.push(values);
        self.register.push(id, name, expires);
        Ok(())
    }

    /// Number of components of the references; `None` before the first.
    pub(super) fn dimension(&self) -> Option<usize> {
        self.gathered.as_ref().map(|gathered| gathered.dimension)
    }

    /// The snapshot of everybody added. `generation` and `without_model` are 0.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn finish(mut self) -> Result<Snapshot, GalleryError> {
        self.register.sort();
        let references =
            self.gathered.map(|Gathered { dimension, codes, exact }| Ok((dimension, codes, exact.finish()?)));
        Ok(Snapshot::new(self.model, self.register, references.transpose()?))
    }
}

impl Gathered {
    fn new(isa: Isa, dimension: usize, expected: usize, folders: &[PathBuf]) -> Result<Self, GalleryError> {
        let exact = if expected <= MAX_IN_MEMORY {
            ExactWriter::Memory(Vec::with_capacity(expected * dimension))
        } else {
            ExactWriter::Sealed(VectorWriter::create(folders, dimension)?)
        };
        Ok(Self { dimension, codes: ReferenceCodes::with_capacity(isa, dimension, expected), exact })
    }
}

impl std::fmt::Debug for SnapshotBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SnapshotBuilder({}, {} subjects)", self.model, self.register.len())
    }
}
