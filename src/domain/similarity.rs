//! Comparison scores and the thresholds applied to them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Cosine similarity of two embeddings, -1..=1; larger is more alike.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Similarity(f32);

impl Similarity {
    /// Takes a cosine; values beyond -1..=1 by rounding are brought back, NaN becomes -1 (no
    /// comparison that failed may ever look like a match).
    pub fn new(cosine: f32) -> Self {
        Self(if cosine.is_nan() { -1.0 } else { cosine.clamp(-1.0, 1.0) })
    }

    /// The cosine.
    pub const fn value(self) -> f32 {
        self.0
    }

    /// Whether this similarity reaches the threshold.
    pub fn reaches(self, threshold: Threshold) -> bool {
        self.0 >= threshold.0
    }

    /// Total order, larger first.
    pub fn descending(self, other: Self) -> std::cmp::Ordering {
        other.0.total_cmp(&self.0)
    }
}

impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.0)
    }
}

/// The smallest similarity that counts as mated. Belongs to a model's operating point.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f32")]
pub struct Threshold(f32);

impl Threshold {
    /// `None` unless the value is a cosine, -1..=1.
    pub fn new(cosine: f32) -> Option<Self> {
        (-1.0..=1.0).contains(&cosine).then_some(Self(cosine))
    }

    /// The cosine.
    pub const fn value(self) -> f32 {
        self.0
    }
}

impl TryFrom<f32> for Threshold {
    type Error = String;

    fn try_from(cosine: f32) -> Result<Self, Self::Error> {
        Self::new(cosine).ok_or_else(|| format!("threshold {cosine}: not a cosine, allowed are -1 to 1"))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_never_reaches_a_threshold() {
        let lowest = Threshold::new(-0.999).unwrap();
        assert!(!Similarity::new(f32::NAN).reaches(lowest));
    }

    #[test]
    fn a_threshold_is_a_cosine() {
        assert!(Threshold::new(f32::NAN).is_none());
        assert!(Threshold::new(1.5).is_none());
        assert!(Similarity::new(0.3).reaches(Threshold::new(0.3).unwrap()));
    }
}
