//! Where events go. A sink takes one event at a time and says whether it has it.

mod json;
mod lines;

use std::{io, path::PathBuf};

pub use json::EventRecord;
pub use lines::JsonLines;

use crate::domain::Event;

/// A place events go to. An event counts as emitted once `emit` returned `Ok`.
pub trait EventSink {
    /// The sink's name in logs.
    fn name(&self) -> &str;

    /// Takes one event. After an error the same event is offered again.
    ///
    /// # Errors
    /// When the sink could not take it.
    fn emit(&mut self, event: &Event) -> Result<(), EmitError>;
}

/// Why a sink did not take an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The event file cannot be opened.
    #[error("event file {path}: cannot be opened for appending: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Writing failed; it may succeed later (a full disk).
    #[error("{sink}: cannot write: {source}")]
    Write {
        /// The sink.
        sink: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody reads any more; it will never succeed again.
    #[error("{sink}: the reader is gone")]
    Closed {
        /// The sink.
        sink: String,
    },
}

impl EmitError {
    /// Whether offering the event again may help.
    pub const fn is_lasting(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }
}
