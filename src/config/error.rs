use std::{fmt::Display, io, path::PathBuf};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the file is wrong.
    #[error("configuration {path}: {source}", path = path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// A value outside what is allowed.
    #[error("{key} = {value}: allowed is {allowed}")]
    Value {
        /// The key, with its section.
        key: String,
        /// What it was set to.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A key without which another makes no sense.
    #[error("{key} is missing: {remedy}")]
    Missing {
        /// The key, with its section.
        key: String,
        /// What to write.
        remedy: String,
    },
    /// A key that means nothing beside another.
    #[error("{key} has no meaning here: {why}")]
    Surplus {
        /// The key, with its section.
        key: String,
        /// Why.
        why: String,
    },
}

impl ConfigError {
    pub(super) fn value(key: &str, value: impl Display, allowed: impl Display) -> Self {
        Self::Value { key: key.into(), value: value.to_string(), allowed: allowed.to_string() }
    }
}
