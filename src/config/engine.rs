use std::{fmt, str::FromStr};

use super::{ConfigError, number::within};

/// Which variant of the models is taken where none is named: quantised to 8-bit integers, or in 32-bit floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// The one that measurements on this kind of processor speak for; what there is where there is only one.
    #[default]
    Auto,
    /// Int8.
    Int8,
    /// Float.
    F32,
}

impl FromStr for EngineChoice {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "auto" => Ok(Self::Auto),
            "int8" => Ok(Self::Int8),
            "f32" => Ok(Self::F32),
            _ => Err(format!("engine {s:?}: allowed is auto, int8 or f32")),
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Int8 => "int8",
            Self::F32 => "f32",
        })
    }
}

/// How the networks are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Int8 or float.
    pub choice: EngineChoice,
    /// Threads that share one inference, 1 to [`MAX_THREADS`](Self::MAX_THREADS).
    pub threads: u32,
}

impl EngineSettings {
    /// More than the boards at doors have cores.
    pub const MAX_THREADS: u32 = 16;

    pub(super) fn from_raw(engine: Option<String>, threads: Option<u32>) -> Result<Self, ConfigError> {
        let d = Self::default();
        let choice = match engine {
            None => d.choice,
            Some(name) => name
                .parse()
                .map_err(|_| ConfigError::value("engine", format!("{name:?}"), "\"auto\", \"int8\" or \"f32\""))?,
        };
        Ok(Self { choice, threads: within("threads", threads, d.threads, 1..=Self::MAX_THREADS)? })
    }
}

impl Default for EngineSettings {
    /// One thread: finding and recognising faces run side by side already, and an inference of a few milliseconds is over before
    /// a frame's time is. More threads shorten the wait of a single face and take the cores from everything else.
    fn default() -> Self {
        Self { choice: EngineChoice::Auto, threads: 1 }
    }
}
