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
    /// A file that a key names cannot be used.
    #[error("{key}: {path}: {why}", path = path.display())]
    File {
        /// The key, with its section.
        key: String,
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// Not TOML, an unknown key, or a value of the wrong type: what, and where.
    #[error("{0}")]
    Syntax(String),
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

impl From<toml::de::Error> for ConfigError {
    /// The parser shows the line at fault, in which an address may hold a password.
    fn from(error: toml::de::Error) -> Self {
        let shown: Vec<String> = error.to_string().lines().map(without_address).collect();
        Self::Syntax(shown.join("\n"))
    }
}

/// A line up to the scheme of an address in it.
fn without_address(line: &str) -> String {
    match line.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://..."),
        None => line.to_owned(),
    }
}

impl ConfigError {
    pub(super) fn value(key: &str, value: impl Display, allowed: impl Display) -> Self {
        Self::Value { key: key.into(), value: value.to_string(), allowed: allowed.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_the_address_in_it() {
        let error = toml::from_str::<toml::Table>("a = 1\nhttp = \"http://door:secret@cam/\nb = 2").unwrap_err();
        assert!(error.to_string().contains("secret"), "else this tests nothing: {error}");
        let said = ConfigError::from(error).to_string();
        assert!(said.contains("line 2") && said.contains("http://...") && !said.contains("secret"), "{said}");
    }
}
