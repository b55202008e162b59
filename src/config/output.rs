use std::path::PathBuf;

use super::{ConfigError, raw};

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
}

impl Default for OutputSettings {
    fn default() -> Self {
        Self { outputs: vec![EventOutput::Stdout], scores: false }
    }
}

impl OutputSettings {
    pub(super) fn from_raw(raw: raw::Output) -> Result<Self, ConfigError> {
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
        Ok(Self { outputs, scores: raw.scores.unwrap_or(false) })
    }
}
