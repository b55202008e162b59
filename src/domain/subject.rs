//! Who is enrolled.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A string that cannot be a subject's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("subject id {0:?}: allowed are 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit")]
pub struct InvalidSubjectId(pub String);

/// Names an enrolled subject in the gallery and in events: 1 to 64 of `a-z 0-9 . _ -`, starting
/// with a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectId(Arc<str>);

impl SubjectId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id a display name suggests: lower case, other characters turned into single dashes.
    /// `None` when nothing is left of it (a name without Latin letters or digits).
    pub fn from_name(name: &str) -> Option<Self> {
        let mut id = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                id.push(c);
            } else if !id.is_empty() && !id.ends_with('-') {
                id.push('-');
            }
        }
        id.truncate(64);
        Self::try_from(id.trim_end_matches('-').to_owned()).ok()
    }
}

impl TryFrom<String> for SubjectId {
    type Error = InvalidSubjectId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let starts = id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if starts && id.len() <= 64 && id.bytes().all(allowed) {
            Ok(Self(id.into()))
        } else {
            Err(InvalidSubjectId(id))
        }
    }
}

impl std::str::FromStr for SubjectId {
    type Err = InvalidSubjectId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::try_from(id.to_owned())
    }
}

impl From<SubjectId> for String {
    fn from(id: SubjectId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one enrolled template: a UUID of version 7, so that ids sort by time of enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateId(pub Uuid);

impl TemplateId {
    /// A new id, of this moment.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_become_ids() {
        let id = |n| SubjectId::from_name(n).map(|s| s.as_str().to_owned());
        assert_eq!(id("Ada Lovelace").as_deref(), Some("ada-lovelace"));
        assert_eq!(id("  J.-P. O'Neill ").as_deref(), Some("j-p-o-neill"));
        assert_eq!(id("李"), None);
    }

    proptest! {
        #[test]
        fn what_a_name_suggests_is_always_valid(name in "\\PC{0,80}") {
            if let Some(id) = SubjectId::from_name(&name) {
                prop_assert!(SubjectId::try_from(id.as_str().to_owned()).is_ok());
            }
        }
    }

    #[test]
    fn ids_that_could_be_paths_or_options_are_refused() {
        for bad in ["", "-rf", "..", "a/b", "A", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<SubjectId>().is_err(), "{bad}");
        }
    }
}
