//! Numbers the frames of a source, and skips what cannot be decoded.

use std::sync::Arc;

use super::{
    CaptureError,
    source::{FrameSource, Received},
};
use crate::domain::{Frame, FrameRef, SourceId};

/// Gives each frame its number. It outlives the source: when that is opened again, numbers go on,
/// so that none is ever used twice.
#[derive(Debug)]
pub struct Reader {
    name: SourceId,
    next_seq: u64,
    corrupt: u64,
    /// Corrupt frames since the last good one.
    burst: u64,
}

impl Reader {
    /// For the source of this name, before its first frame.
    pub fn new(name: SourceId) -> Self {
        Self { name, next_seq: 0, corrupt: 0, burst: 0 }
    }

    /// The next good frame; `None` at the end or when a stop was signalled. A frame that cannot be
    /// decoded uses up its number, is counted, and is logged once a burst.
    ///
    /// # Errors
    /// Those of the source. Open it again and go on with this same reader.
    pub fn next(&mut self, source: &mut dyn FrameSource) -> Result<Option<Frame>, CaptureError> {
        loop {
            match source.receive()? {
                Received::Picture { image, captured } => {
                    self.end_burst();
                    let at = FrameRef { source: self.name.clone(), seq: self.number(), captured };
                    return Ok(Some(Frame { at, image: Arc::new(image) }));
                }
                Received::Corrupt { reason } => {
                    let seq = self.number();
                    if self.burst == 0 {
                        log::warn!("{}#{seq}: corrupt frame skipped: {reason}", self.name);
                    }
                    self.burst += 1;
                    self.corrupt += 1;
                }
                Received::End => {
                    self.end_burst();
                    return Ok(None);
                }
            }
        }
    }

    /// Frames that could not be decoded so far.
    pub fn corrupt(&self) -> u64 {
        self.corrupt
    }

    fn number(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn end_burst(&mut self) {
        // The first was logged on its own.
        if self.burst > 1 {
            log::warn!("{}: {} corrupt frames in a row were skipped", self.name, self.burst);
        }
        self.burst = 0;
    }
}
