use std::{fmt, io, process::ExitCode};

use crate::{
    capture::{CaptureError, PictureError},
    config::ConfigError,
    eval::EvalError,
    gallery::GalleryError,
    models::{ModelsError, import::ImportError},
    pad::PadError,
    pipeline::PipelineError,
};

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Done,
    /// Done, and the answer is no: no match, denied, nobody enrolled.
    Negative,
    /// The command line or the configuration is wrong.
    Usage,
    /// Something failed at run time.
    Failed,
    /// A signal asked to stop before the work was done.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Negative => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
            // What a shell reports of a process that SIGINT ended.
            Exit::Interrupted => 130,
        })
    }
}

/// Why a command failed: a message for people, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// The command line asks for something that cannot be.
    pub(super) fn usage(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Usage, error: anyhow::Error::msg(message) }
    }

    /// Whether the reader of our output is gone (`doorward ... | head`): no failure of ours.
    pub fn is_broken_pipe(&self) -> bool {
        self.error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let exit = match () {
            () if error.chain().any(is_usage) => Exit::Usage,
            () if matches!(error.downcast_ref(), Some(EvalError::Stopped { .. })) => Exit::Interrupted,
            () => Exit::Failed,
        };
        Self { exit, error }
    }
}

/// Whether the caller named something that is not there, or cannot be.
fn is_usage(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<ConfigError>()
        || cause.downcast_ref().is_some_and(|e| matches!(e, PictureError::Missing { .. } | PictureError::Folder { .. }))
        || cause.downcast_ref().is_some_and(CaptureError::is_usage)
        || cause.downcast_ref().is_some_and(EvalError::is_usage)
        || cause.downcast_ref().is_some_and(ImportError::is_usage)
        || cause.downcast_ref().is_some_and(PadError::is_usage)
        || cause.downcast_ref().is_some_and(|e| matches!(e, PipelineError::Source(source) if source.is_usage()))
        || cause.downcast_ref().is_some_and(|e| {
            matches!(
                e,
                GalleryError::NotFound { .. }
                    | GalleryError::UnknownSubject { .. }
                    | GalleryError::AlreadyEnrolled { .. }
                    | GalleryError::Value { .. }
            )
        })
        || cause.downcast_ref().is_some_and(|e| {
            matches!(
                e,
                ModelsError::NotEmbedded
                    | ModelsError::NotInstalled { .. }
                    | ModelsError::Unknown { .. }
                    | ModelsError::NoDefault { .. }
                    | ModelsError::NoVariant { .. }
                    | ModelsError::NoProfile { .. }
                    | ModelsError::NoOperatingPoint { .. }
                    | ModelsError::OtherComparison { .. }
            )
        })
}
