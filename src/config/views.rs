use std::{fmt, str::FromStr};

/// Of which views of a face its embedding is made.
///
/// Embeddings of both kinds are of one model and may be compared with each other at the same threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Views {
    /// The crop as it is. With three photos a subject the second view finds hardly anybody more, and it costs the recogniser's
    /// time again: `docs/recognition.md`.
    #[default]
    Single,
    /// The crop and its mirror image: the sum of both embeddings, brought back to unit norm.
    Mirrored,
}

impl Views {
    /// Its name in configurations and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Mirrored => "mirrored",
        }
    }
}

impl FromStr for Views {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "single" => Ok(Self::Single),
            "mirrored" => Ok(Self::Mirrored),
            _ => Err(format!("views {s:?}: allowed is single or mirrored")),
        }
    }
}

impl fmt::Display for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
