use std::path::PathBuf;

use super::Preprocessing;
use crate::models::ModelsError;

/// Why a model could not be brought in. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The card is not one.
    #[error("the card: {reason}")]
    Card {
        /// What is wrong with it, naming the key.
        reason: String,
    },
    /// The card leaves out what nobody else knows.
    #[error("the card has no {key}: {what} is needed")]
    Missing {
        /// The key.
        key: &'static str,
        /// What it is to say.
        what: &'static str,
    },
    /// The file, its catalogue entry, or the catalogue it is to join.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// The network takes something else.
    #[error("input {input}: {reason}")]
    Input {
        /// The input with its shape, as the file declares it.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file has several outputs, and the card does not say which one counts.
    #[error(
        "the file has {count} outputs: {outputs}; a recogniser has one embedding: name it with output = (--output), if it is among them"
    )]
    SeveralOutputs {
        /// How many.
        count: usize,
        /// The first of them with their shapes.
        outputs: String,
    },
    /// The card names an output that is not there.
    #[error("the file has no output {name}; it has: {outputs}")]
    NoSuchOutput {
        /// The name.
        name: String,
        /// The outputs there are, with their shapes.
        outputs: String,
    },
    /// What comes out is no embedding.
    #[error("output {output} is {shape:?}: {reason}; is this a face recogniser?")]
    Output {
        /// The output.
        output: String,
        /// Its shape for one picture.
        shape: Vec<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// The network gives no direction for a bundled face.
    #[error(
        "fed {preprocessing}, the network gives zeros or values that are not finite for a bundled face: \
         correct colour, mean and scale, or export the model again"
    )]
    NoDirection {
        /// The preprocessing.
        preprocessing: Preprocessing,
    },
    /// The network gives the same vector for all faces.
    #[error(
        "fed {preprocessing}, the network gives the same vector for every bundled face: everybody would be one person; \
         correct colour, mean and scale, or take the trained weights"
    )]
    Constant {
        /// The preprocessing.
        preprocessing: Preprocessing,
    },
    /// There is a model of this id.
    #[error("{id} is in the catalogue of {folder} already: choose another id (--id), or say --replace")]
    Exists {
        /// The id.
        id: String,
        /// The folder.
        folder: PathBuf,
    },
    /// There is a model of this id, and it is not the folder's own.
    #[error("{id} is one of the models in the binary, which cannot be replaced: choose another id (--id)")]
    BuiltIn {
        /// The id.
        id: String,
    },
    /// The faces that come with doorward, to try a network on, are not there.
    #[error(
        "the faces to try it on are not inside this program, and {why}; install the package of doorward, or build with the feature \
         embedded-extras"
    )]
    Faces {
        /// What was found instead, and where.
        why: String,
    },
    /// The folder or a file in it could not be written.
    #[error("cannot write {path}: {source}; nothing was changed")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ImportError {
    /// Whether the caller asked for something that cannot be, rather than the file being unusable.
    pub fn is_usage(&self) -> bool {
        use ImportError::{BuiltIn, Card, Exists, Missing, Models, NoSuchOutput, SeveralOutputs};
        matches!(
            self,
            Card { .. }
                | Missing { .. }
                | Exists { .. }
                | BuiltIn { .. }
                | NoSuchOutput { .. }
                | SeveralOutputs { .. }
                | Models(ModelsError::Card { .. } | ModelsError::NotEmbedded)
        )
    }
}
