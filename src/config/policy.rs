use std::{sync::Arc, time::Duration};

use super::{
    ConfigError, Views,
    number::{count, millis, within},
    raw,
};
use crate::domain::Threshold;

/// Which threshold the recogniser's similarities must reach.
#[derive(Debug, Clone, PartialEq)]
pub enum ThresholdChoice {
    /// The one of this operating point of the model.
    OperatingPoint(Arc<str>),
    /// This one, at the operator's own risk.
    Fixed(Threshold),
}

/// Which model compares faces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecogniserChoice {
    /// The catalogue's default, in the variant that [`EngineSettings`](super::EngineSettings) ask for.
    #[default]
    Default,
    /// The one of this profile of the catalogue, in the variant that the engine settings ask for.
    Profile(Arc<str>),
    /// The one with this id, and no other variant of it.
    Model(Arc<str>),
}

/// Which model compares faces, and at which operating point.
#[derive(Debug, Clone, PartialEq)]
pub struct RecogniserSettings {
    /// The model.
    pub model: RecogniserChoice,
    /// The threshold.
    pub threshold: ThresholdChoice,
    /// Of which views of a face embeddings are made.
    pub views: Views,
}

impl Default for RecogniserSettings {
    fn default() -> Self {
        // Three strangers in a thousand taken for someone enrolled: the figure that NIST's FRTE reports, and the
        // strictest that the open-set lists of LFW can still measure.
        let threshold = ThresholdChoice::OperatingPoint("fpir-0.003".into());
        Self { model: RecogniserChoice::Default, threshold, views: Views::Single }
    }
}

impl RecogniserSettings {
    pub(super) fn from_raw(raw: raw::Recogniser) -> Result<Self, ConfigError> {
        let d = Self::default();
        let threshold = match (raw.operating_point, raw.threshold) {
            (None, None) => d.threshold,
            (Some(name), None) => ThresholdChoice::OperatingPoint(name.into()),
            (None, Some(t)) => ThresholdChoice::Fixed(
                Threshold::new(t)
                    .filter(|_| t > 0.0)
                    .ok_or_else(|| ConfigError::value("recogniser.threshold", t, "a cosine above 0 and up to 1"))?,
            ),
            (Some(_), Some(_)) => {
                return Err(ConfigError::Surplus {
                    key: "recogniser.operating_point".into(),
                    why: "recogniser.threshold overrides it; keep one of the two".into(),
                });
            }
        };
        let model = match (raw.profile, raw.model) {
            (None, None) => d.model,
            (Some(profile), None) => RecogniserChoice::Profile(profile.into()),
            (None, Some(id)) => RecogniserChoice::Model(id.into()),
            (Some(_), Some(_)) => {
                return Err(ConfigError::Surplus {
                    key: "recogniser.profile".into(),
                    why: "recogniser.model names one variant of one model; keep one of the two".into(),
                });
            }
        };
        let views = match raw.views {
            None => d.views,
            Some(name) => name.parse().map_err(|_| {
                ConfigError::value("recogniser.views", format!("{name:?}"), "\"single\" or \"mirrored\"")
            })?,
        };
        Ok(Self { model, threshold, views })
    }
}

/// When somebody is granted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicySettings {
    /// Least lead of the best subject's similarity over the second's.
    pub margin: f32,
    /// A frame older than this is never decided on.
    pub max_frame_age: Duration,
    /// Pause after a grant before the same subject is granted again.
    pub cooldown: Duration,
    /// Looks at a face, within the last `looks`, that must agree on one subject.
    pub agree: usize,
    /// Looks that a decision rests on at most: after so many without agreement the face is denied.
    pub looks: usize,
    /// Pause after a denial before the same face is looked at again.
    pub retry: Duration,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            // Look-alikes enrolled side by side are told apart or not granted.
            margin: 0.03,
            // Half a second is more than twice the worst frame age measured on a loaded board, and
            // too short for someone else to have stepped in front of the camera.
            max_frame_age: Duration::from_millis(500),
            // One grant is one passage: the lock is open long enough to walk through.
            cooldown: Duration::from_secs(5),
            // One look in which a stranger resembles somebody opens nothing, one in which a resident blinks costs nothing.
            agree: 3,
            looks: 5,
            // A stranger who stays is reported again, and a resident whom a bad light hid may try again without stepping back.
            retry: Duration::from_secs(1),
        }
    }
}

impl PolicySettings {
    pub(super) fn from_raw(raw: raw::Policy) -> Result<Self, ConfigError> {
        let d = Self::default();
        let looks = count("policy.looks", raw.looks, d.looks, 1..=30)?;
        let agree = count("policy.agree", raw.agree, d.agree.min(looks), 1..=30)?;
        if agree > looks {
            return Err(ConfigError::value("policy.agree", agree, "at most policy.looks, which is smaller here"));
        }
        Ok(Self {
            agree,
            looks,
            retry: millis("policy.retry_ms", raw.retry_ms, d.retry, 0..=3_600_000)?,
            margin: within("policy.margin", raw.margin, d.margin, 0.0..=1.0)?,
            max_frame_age: millis("policy.max_frame_age_ms", raw.max_frame_age_ms, d.max_frame_age, 50..=10_000)?,
            cooldown: millis("policy.cooldown_ms", raw.cooldown_ms, d.cooldown, 0..=3_600_000)?,
        })
    }
}
