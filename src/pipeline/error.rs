use crate::{
    capture::CaptureError, detect::DetectError, domain::ModelMismatch, embed::EmbedError, emit::EmitError,
    pad::PadError,
};

/// Why a pipeline ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The source failed for good.
    #[error(transparent)]
    Source(#[from] CaptureError),
    /// The detector could not be built.
    #[error(transparent)]
    Detector(#[from] DetectError),
    /// The recogniser could not be built.
    #[error(transparent)]
    Recogniser(#[from] EmbedError),
    /// Presentation attack detection could not be built.
    #[error(transparent)]
    Pad(#[from] PadError),
    /// The gallery holds embeddings of another model.
    #[error(transparent)]
    Gallery(#[from] ModelMismatch),
    /// A sink failed for good.
    #[error(transparent)]
    Sink(#[from] EmitError),
    /// A stage panicked: a bug.
    #[error("stage {stage} panicked: {message}; this is a bug, please report it")]
    Panicked {
        /// The stage.
        stage: &'static str,
        /// What it said.
        message: String,
    },
    /// A thread could not be started.
    #[error("stage {stage}: its thread cannot be started: {source}")]
    Thread {
        /// The stage.
        stage: &'static str,
        /// Why.
        source: std::io::Error,
    },
}
