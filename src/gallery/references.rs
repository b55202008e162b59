//! The references of a snapshot: each in bytes, to be searched, and exact, to be compared with.

use std::borrow::Cow;

use super::{
    GalleryError,
    sealed_vectors::{SealedVectors, VectorWriter},
};
use crate::nn::{ByteCode, ByteRows, Isa};

/// References in bytes, by row. Reference `i` is `scales()[i]` times row `i` of `rows()`, plus an error of at most the norm
/// `residuals()[i]`; see [`ByteCode`]. `Debug` shows no component.
#[derive(Debug)]
pub struct ReferenceCodes {
    rows: ByteRows,
    scales: Vec<f32>,
    residuals: Vec<f32>,
}

impl ReferenceCodes {
    pub(super) fn with_capacity(isa: Isa, dimension: usize, subjects: usize) -> Self {
        Self {
            rows: ByteRows::with_capacity(isa, dimension, subjects),
            scales: Vec::with_capacity(subjects),
            residuals: Vec::with_capacity(subjects),
        }
    }

    pub(super) fn push(&mut self, reference: &[f32]) {
        let ByteCode { bytes, scale, residual } = ByteCode::of(reference);
        self.rows.push(&bytes);
        self.scales.push(scale);
        self.residuals.push(residual);
    }

    /// The bytes.
    pub fn rows(&self) -> &ByteRows {
        &self.rows
    }

    /// What each row's 1 stands for.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// How far each row is off, as a norm.
    pub fn residuals(&self) -> &[f32] {
        &self.residuals
    }
}

/// References as they are, by row.
pub(super) enum ExactReferences {
    /// One after the other.
    Memory(Vec<f32>),
    Sealed(SealedVectors),
}

/// The same while they are gathered.
pub(super) enum ExactWriter {
    Memory(Vec<f32>),
    Sealed(VectorWriter),
}

impl ExactWriter {
    pub fn push(&mut self, reference: &[f32]) -> Result<(), GalleryError> {
        match self {
            Self::Memory(values) => {
                values.extend_from_slice(reference);
                Ok(())
            }
            Self::Sealed(writer) => writer.push(reference),
        }
    }

    pub fn finish(self) -> Result<ExactReferences, GalleryError> {
        match self {
            Self::Memory(values) => Ok(ExactReferences::Memory(values)),
            Self::Sealed(writer) => writer.finish().map(ExactReferences::Sealed),
        }
    }
}

impl ExactReferences {
    /// The reference in `row`, which has `dimension` components.
    pub fn get(&self, row: usize, dimension: usize) -> Result<Cow<'_, [f32]>, GalleryError> {
        match self {
            Self::Memory(values) => Ok(Cow::Borrowed(&values[row * dimension..][..dimension])),
            Self::Sealed(vectors) => vectors.read(row).map(Cow::Owned),
        }
    }
}
