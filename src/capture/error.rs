use std::{io, path::PathBuf, time::Duration};

/// Why a source cannot be opened, or gives no more frames. `place` names the source: a path, a
/// program, an address without its user, password and query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("source {place}: cannot be opened: {source}")]
    Open {
        /// The source.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// Reading from it failed.
    #[error("source {place}: cannot be read: {source}")]
    Read {
        /// The source.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A folder or pattern that names no picture.
    #[error("source {path}: no pictures found; {remedy}", path = path.display())]
    NoPictures {
        /// The folder or pattern.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// It ended without a single whole frame.
    #[error("source {place}: not one frame in it; check that it is {expected}")]
    NoFrame {
        /// The source.
        place: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// What it sends is not what it should be.
    #[error("source {place}: {why}")]
    Format {
        /// The source.
        place: String,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// A server that cannot be reached, or refuses.
    #[error("source {place}: {why}")]
    Http {
        /// The address, without user, password and query.
        place: String,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// A server that does not let us in: user and password are wrong, or the account is locked.
    #[error("source {place}: {why}")]
    Refused {
        /// The address, without user, password and query.
        place: String,
        /// What it said, and the remedy.
        why: String,
    },
    /// A program that cannot be started.
    #[error("source {place}: cannot be started: {source}; {remedy}")]
    Start {
        /// The program.
        place: String,
        /// Why.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// No frame for too long.
    #[error("source {place}: no frame for {} ms", timeout.as_millis())]
    Stalled {
        /// The source.
        place: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// A live source that should run on has ended.
    #[error("source {place}: ended: {how}")]
    Ended {
        /// The source.
        place: String,
        /// How it ended.
        how: String,
    },
    /// A camera that cannot be opened or read.
    #[error("camera {device}: {why}")]
    Camera {
        /// The device.
        device: String,
        /// What is wrong, and the remedy.
        why: String,
    },
    /// This binary was built without cameras.
    #[error(
        "camera {device}: this doorward was built without camera support; install the package with it, or build with \
         --features camera (needs libclang)"
    )]
    NoCameraSupport {
        /// The device.
        device: String,
    },
    /// A stop was signalled while the source was being opened.
    #[error("source {place}: stopped while it was being opened")]
    Stopped {
        /// The source.
        place: String,
    },
}

impl CaptureError {
    /// Whether opening the source again may help: something that was there may come back. What was
    /// never there, or is not what it should be, stays so.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Http { .. }
            | Self::Refused { .. }
            | Self::Stalled { .. }
            | Self::Ended { .. }
            | Self::Camera { .. }
            | Self::Stopped { .. } => true,
            Self::Open { .. }
            | Self::Start { .. }
            | Self::NoPictures { .. }
            | Self::NoFrame { .. }
            | Self::Format { .. }
            | Self::NoCameraSupport { .. } => false,
        }
    }

    /// Whether asking again soon would do harm: a camera counts wrong passwords, and locks the account.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether the caller named something that cannot be a source.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Start { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::NoPictures { .. } | Self::NoCameraSupport { .. } => true,
            _ => false,
        }
    }
}
