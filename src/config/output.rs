use std::{path::PathBuf, time::Duration};

use super::{ConfigError, number::millis, raw};

/// One place events go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOutput {
    /// JSON lines on standard output.
    Stdout,
    /// JSON lines at the end of a file.
    File(PathBuf),
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSettings {
    /// The places, at least one.
    pub outputs: Vec<EventOutput>,
    /// Whether events carry similarities. Off: a score lets an attacker climb towards a match.
    pub scores: bool,
    /// Least pause between two hints; zero: none are given.
    pub hint_every: Duration,
}

impl Default for OutputSettings {
    fn default() -> Self {
        // As long as it takes to say one and to do it.
        Self { outputs: vec![EventOutput::Stdout], scores: false, hint_every: Duration::from_secs(2) }
    }
}

impl OutputSettings {
    pub(super) fn from_raw(raw: raw::Output) -> Result<Self, ConfigError> {
        let d = Self::default();
        // Standard output is the default place; naming a file moves events there unless both are asked for.
        let stdout = raw.stdout.unwrap_or(raw.file.is_none());
        let mut outputs = Vec::new();
        outputs.extend(stdout.then_some(EventOutput::Stdout));
        outputs.extend(raw.file.map(EventOutput::File));
        if outputs.is_empty() {
            return Err(ConfigError::Missing {
                key: "output.file".into(),
                remedy: "with stdout = false events need a file, or nobody would learn of them".into(),
            });
        }
        Ok(Self {
            outputs,
            scores: raw.scores.unwrap_or(d.scores),
            hint_every: millis("output.hint_every_ms", raw.hint_every_ms, d.hint_every, 0..=600_000)?,
        })
    }
}
