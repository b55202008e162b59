use std::{io, path::PathBuf};

use crate::{detect::DetectError, domain::EmbeddingError, embed::EmbedError, pad::PadError};

/// Why recognition could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// No such rule.
    #[error("no reference rule is called {name:?}; there are: {known}")]
    UnknownRule {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A chart could not be drawn.
    #[error("the chart could not be drawn: {reason}")]
    Chart {
        /// What the library said.
        reason: String,
    },
    /// A list is not what it should be.
    #[error("list {}{}: {reason}", path.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
    List {
        /// The list.
        path: PathBuf,
        /// The line, from 1, where it is about one.
        line: Option<u64>,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// Pictures of the lists are not there.
    #[error(
        "{missing} of {of} pictures in the lists are not in {}: {first}; paths in a list are relative to --root",
        root.display()
    )]
    Missing {
        /// The folder the lists speak of.
        root: PathBuf,
        /// How many are missing.
        missing: usize,
        /// Of how many.
        of: usize,
        /// The first few.
        first: String,
    },
    /// The cache cannot be used.
    #[error("cache {}: cannot be {action}: {source}; name another folder with --cache, or leave it out with --no-cache", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The detector failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// The recogniser failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// Presentation attack detection failed.
    #[error(transparent)]
    Pad(#[from] PadError),
    /// Stopped before every picture was looked at.
    #[error(
        "stopped: {done} of {of} pictures are done; what was found is in the cache, the same command goes on from there"
    )]
    Stopped {
        /// Pictures that are done.
        done: usize,
        /// Of how many.
        of: usize,
    },
    /// No picture gave an embedding.
    #[error("none of {photos} pictures gave an embedding, so nothing can be said; the first one's reason: {reason}")]
    NoEmbedding {
        /// How many pictures there are.
        photos: usize,
        /// Why the first of them gave none.
        reason: String,
    },
    /// No recording shows a face that could be assessed.
    #[error("none of {recordings} recordings shows a face, so nothing can be said; the first one's reason: {reason}")]
    NothingAssessed {
        /// How many recordings there are.
        recordings: usize,
        /// Why the first of them gave nothing.
        reason: String,
    },
    /// The recogniser tells nobody from anybody.
    #[error(
        "model {model} gave the same embedding for all {photos} pictures: it recognises nobody; check its file and the input on its card"
    )]
    Constant {
        /// The model.
        model: String,
        /// How many pictures it saw.
        photos: usize,
    },
    /// A subject's templates give no reference.
    #[error("subject {subject}: its photos give no reference: {source}")]
    Reference {
        /// The subject.
        subject: String,
        /// Why.
        source: EmbeddingError,
    },
    /// Nobody is enrolled whose templates could be compared.
    #[error("nobody is enrolled with the model in use, so there is nothing to calibrate by")]
    NothingToCalibrate,
    /// A subject's embeddings are of several models.
    #[error("subject {subject}: its photos were embedded by several models, whose embeddings are never compared")]
    Mixed {
        /// The subject.
        subject: String,
    },
    /// Operating points cannot be measured on these lists.
    #[error("no operating points: {reason}")]
    Points {
        /// What is missing.
        reason: String,
    },
    /// The record of a camera's qualification cannot be read or written.
    #[error(
        "{}: the record of the camera's qualification cannot be {action}: {source}; it lies in the gallery's folder, which this user \
         must own",
        path.display()
    )]
    Qualification {
        /// The record.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room in the record of a camera's qualification.
    #[error("{}: the record of the camera's qualification is full; `doorward pad qualify reset` begins anew", path.display())]
    QualificationFull {
        /// The record.
        path: PathBuf,
    },
    /// Nobody could be enrolled.
    #[error("nobody could be enrolled: none of the {photos} photos in list {} gave a template", list.display())]
    NobodyEnrolled {
        /// The gallery's list.
        list: PathBuf,
        /// How many photos it names.
        photos: usize,
    },
}

impl EvalError {
    /// Whether the caller named something that is not there, or cannot be.
    pub fn is_usage(&self) -> bool {
        let of_pad = matches!(self, Self::Pad(error) if error.is_usage());
        of_pad
            || matches!(self, Self::UnknownRule { .. } | Self::List { .. } | Self::Missing { .. } | Self::Cache { .. })
    }
}
