use std::{fmt, str::FromStr};

use super::EvalError;
use crate::domain::{Embedding, EmbeddingError, SampleQuality};

/// One photo of a subject: what an enrolment would keep of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Its embedding.
    pub embedding: Embedding,
    /// The sample's quality.
    pub quality: SampleQuality,
}

/// How a subject's templates become what a search compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum ReferenceRule {
    /// The mean of the embeddings, brought back to unit norm: what the gallery keeps.
    #[default]
    Mean,
    /// Every template; the best one counts.
    BestTemplate,
    /// The mean, each embedding by the weight of its sample's quality.
    QualityWeightedMean,
}

impl ReferenceRule {
    /// All rules, the default first.
    pub const ALL: [Self; 3] = [Self::Mean, Self::BestTemplate, Self::QualityWeightedMean];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::BestTemplate => "best-template",
            Self::QualityWeightedMean => "quality-weighted-mean",
        }
    }

    /// The unit vectors that stand for a subject: a probe's similarity to the subject is that to the most alike of them. None
    /// for a subject without templates.
    ///
    /// # Errors
    /// [`EmbeddingError::ZeroNorm`] when templates cancel out: no person's do.
    pub fn references(self, templates: &[Template]) -> Result<Vec<Embedding>, EmbeddingError> {
        match self {
            Self::Mean => weighted_mean(templates, |_| 1.0),
            Self::BestTemplate => Ok(templates.iter().map(|t| t.embedding.clone()).collect()),
            Self::QualityWeightedMean => weighted_mean(templates, weight),
        }
    }
}

/// How much a sample says of a face, above 0: the detector's score, by how much of the face's width is turned towards the camera.
fn weight(quality: &SampleQuality) -> f32 {
    // A part that was not measured (NaN) weighs little, but a subject with one such photo keeps a reference.
    const LEAST: f32 = 0.05;
    let turned = quality.yaw_deg.to_radians().cos();
    (quality.detector_score * turned).max(LEAST)
}

/// The weighted mean, of unit norm.
fn weighted_mean(
    templates: &[Template],
    weight: impl Fn(&SampleQuality) -> f32,
) -> Result<Vec<Embedding>, EmbeddingError> {
    let Some(first) = templates.first() else { return Ok(vec![]) };
    let mut sum = vec![0f32; first.embedding.values().len()];
    for template in templates {
        let weight = weight(&template.quality);
        sum.iter_mut().zip(template.embedding.values()).for_each(|(s, v)| *s += weight * v);
    }
    Ok(vec![Embedding::new(first.embedding.model().clone(), &sum)?])
}

impl fmt::Display for ReferenceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ReferenceRule {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        Self::ALL.into_iter().find(|rule| rule.name() == name).ok_or_else(|| EvalError::UnknownRule {
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ModelId;

    fn template(values: &[f32], detector_score: f32, yaw_deg: f32) -> Template {
        let quality = SampleQuality {
            size_px: 100.0,
            sharpness: 100.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score,
        };
        Template { embedding: Embedding::new(ModelId::new("test", [1; 32]), values).unwrap(), quality }
    }

    #[test]
    fn each_rule_by_hand() {
        let templates = [template(&[1.0, 0.0], 0.8, 0.0), template(&[0.0, 1.0], 0.8, 60.0)];
        let of = |rule: ReferenceRule| {
            let references = rule.references(&templates).unwrap();
            references.iter().map(|r| r.values().to_vec()).collect::<Vec<_>>()
        };
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert_eq!(of(ReferenceRule::BestTemplate), [[1.0, 0.0], [0.0, 1.0]]);
        assert!(of(ReferenceRule::Mean)[0].iter().all(|v| (v - half).abs() < 1e-6));
        // Weights 0.8 and 0.4: the direction (2, 1).
        let weighted = &of(ReferenceRule::QualityWeightedMean)[0];
        assert!((weighted[0] / weighted[1] - 2.0).abs() < 1e-5, "{weighted:?}");
    }

    #[test]
    fn a_sample_that_was_not_measured_still_counts() {
        let references =
            ReferenceRule::QualityWeightedMean.references(&[template(&[1.0, 0.0], f32::NAN, 0.0)]).unwrap();
        assert_eq!(references[0].values(), [1.0, 0.0]);
    }

    #[test]
    fn nobody_has_no_reference() {
        for rule in ReferenceRule::ALL {
            assert!(rule.references(&[]).unwrap().is_empty());
        }
    }

    #[test]
    fn templates_that_cancel_out_are_an_error() {
        let templates = [template(&[1.0, 0.0], 0.8, 0.0), template(&[-1.0, 0.0], 0.8, 0.0)];
        assert!(ReferenceRule::Mean.references(&templates).is_err());
    }

    #[test]
    fn names_read_back() {
        for rule in ReferenceRule::ALL {
            assert_eq!(rule.name().parse::<ReferenceRule>().unwrap(), rule);
        }
        assert!("median".parse::<ReferenceRule>().unwrap_err().to_string().contains("best-template"));
    }
}
