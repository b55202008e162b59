//! Embeddings: points on the unit hypersphere, each bound to the model that made it.

use std::{fmt, sync::Arc};

use super::Similarity;

/// A model, by its name in the catalogue and the SHA-256 of its file. Two files are two models,
/// whatever they are called: their embeddings must not be compared.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    name: Arc<str>,
    sha256: [u8; 32],
}

impl ModelId {
    /// A model called `name` whose file has the hash `sha256`.
    pub fn new(name: &str, sha256: [u8; 32]) -> Self {
        Self { name: name.into(), sha256 }
    }

    /// Its id in the catalogue.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the model file.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The same as 64 hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        self.sha256.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@", self.name)?;
        self.sha256[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Embeddings of two different models were about to be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "embeddings of {left} and {right} cannot be compared: enrol again with the model in use, or set engine or recogniser.model to the other one"
)]
pub struct ModelMismatch {
    /// The model of the one.
    pub left: ModelId,
    /// The model of the other.
    pub right: ModelId,
}

/// Why a vector is no embedding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// A component is NaN or infinite.
    #[error("{model} gave an embedding with a component that is not finite")]
    NotFinite {
        /// The model.
        model: ModelId,
    },
    /// The vector has no direction.
    #[error("{model} gave an embedding without direction (its norm is zero)")]
    ZeroNorm {
        /// The model.
        model: ModelId,
    },
}

/// A face as a direction: a vector of unit norm, by construction, and the model that made it.
///
/// A template is a picture of a face (a model can be inverted, Deng et al., TPAMI 2021): `Debug`
/// never prints the values.
#[derive(Clone, PartialEq)]
pub struct Embedding {
    model: ModelId,
    values: Arc<[f32]>,
}

impl Embedding {
    /// Normalises `values` to unit length. Values that are of unit length already are kept bit for
    /// bit, so that what was stored comes back the same.
    ///
    /// # Errors
    /// When a component is not finite, or the norm is zero.
    pub fn new(model: ModelId, values: &[f32]) -> Result<Self, EmbeddingError> {
        if values.iter().any(|v| !v.is_finite()) {
            return Err(EmbeddingError::NotFinite { model });
        }
        let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if norm < 1e-12 {
            return Err(EmbeddingError::ZeroNorm { model });
        }
        // Rounding to f32 leaves a norm within 2^-24 of one.
        let norm = if (norm - 1.0).abs() < 1e-7 { 1.0 } else { norm };
        let values = values.iter().map(|v| (f64::from(*v) / norm) as f32).collect();
        Ok(Self { model, values })
    }

    /// The normalised mean of embeddings of one model: a subject's reference.
    ///
    /// # Errors
    /// [`EmbeddingError::ZeroNorm`] when they cancel out; `Ok(None)` for an empty list or for
    /// embeddings of several models.
    pub fn mean(embeddings: &[&Self]) -> Result<Option<Self>, EmbeddingError> {
        let Some(first) = embeddings.first() else {
            return Ok(None);
        };
        if embeddings.iter().any(|e| e.model != first.model || e.values.len() != first.values.len()) {
            return Ok(None);
        }
        let mut sum = vec![0f32; first.values.len()];
        for e in embeddings {
            sum.iter_mut().zip(e.values.iter()).for_each(|(s, v)| *s += v);
        }
        Self::new(first.model.clone(), &sum).map(Some)
    }

    /// The model that made it.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// The unit vector.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Cosine similarity.
    ///
    /// # Errors
    /// When the two were made by different models.
    pub fn similarity(&self, other: &Self) -> Result<Similarity, ModelMismatch> {
        if self.model != other.model || self.values.len() != other.values.len() {
            return Err(ModelMismatch { left: self.model.clone(), right: other.model.clone() });
        }
        let dot = self.values.iter().zip(other.values.iter()).map(|(a, b)| a * b).sum();
        Ok(Similarity::new(dot))
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({}, {} values)", self.model, self.values.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model(n: u8) -> ModelId {
        ModelId::new("test", [n; 32])
    }

    proptest! {
        #[test]
        fn unit_norm_and_self_similarity(v in prop::collection::vec(-1e3f32..1e3, 1..64)) {
            prop_assume!(v.iter().any(|x| x.abs() > 1e-3));
            let e = Embedding::new(model(1), &v).unwrap();
            let norm: f32 = e.values().iter().map(|x| x * x).sum();
            prop_assert!((norm - 1.0).abs() < 1e-4);
            prop_assert!(e.similarity(&e).unwrap().value() > 0.9999);
            prop_assert_eq!(Embedding::new(model(1), e.values()).unwrap(), e);
        }

        #[test]
        fn similarity_is_symmetric_and_blind_to_length(
            a in prop::collection::vec(0.1f32..1.0, 8), b in prop::collection::vec(-1.0f32..-0.1, 8), k in 0.1f32..100.0,
        ) {
            let (x, y) = (Embedding::new(model(1), &a).unwrap(), Embedding::new(model(1), &b).unwrap());
            let scaled = Embedding::new(model(1), &a.iter().map(|v| v * k).collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(x.similarity(&y).unwrap(), y.similarity(&x).unwrap());
            prop_assert!(scaled.similarity(&x).unwrap().value() > 0.9999);
        }
    }

    #[test]
    fn two_models_are_never_compared() {
        let a = Embedding::new(model(1), &[1.0, 0.0]).unwrap();
        let b = Embedding::new(model(2), &[1.0, 0.0]).unwrap();
        assert!(a.similarity(&b).is_err());
        assert_eq!(Embedding::mean(&[&a, &b]).unwrap(), None);
    }

    #[test]
    fn a_vector_without_direction_is_refused() {
        assert!(matches!(Embedding::new(model(1), &[0.0; 4]), Err(EmbeddingError::ZeroNorm { .. })));
        assert!(matches!(Embedding::new(model(1), &[f32::NAN, 1.0]), Err(EmbeddingError::NotFinite { .. })));
    }

    #[test]
    fn debug_shows_no_values() {
        let e = Embedding::new(model(1), &[0.6, 0.8]).unwrap();
        assert_eq!(format!("{e:?}"), "Embedding(test@01010101, 2 values)");
    }
}
