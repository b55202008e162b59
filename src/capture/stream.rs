//! A source whose frames come as one stream of bytes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    CaptureError,
    framing::{Framing, Part},
    source::{FrameSource, Pacing, Received},
    stop::StopSignal,
};
use crate::domain::Clock;

/// What waiting for bytes came to.
pub(super) enum Chunk<'a> {
    /// At least one byte.
    Bytes(&'a [u8]),
    /// There are no more.
    End,
    /// A stop was signalled.
    Stopped,
    /// The deadline passed.
    Late,
}

/// Where the bytes come from.
pub(super) trait ByteStream {
    /// Waits for bytes, at most until the deadline; notices a stop within 0.1 s.
    fn next_chunk(&mut self, deadline: Option<Instant>) -> Result<Chunk<'_>, CaptureError>;

    /// Called once at the end of the bytes: an error where they should have gone on.
    fn ended(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }
}

/// Frames cut out of a byte stream.
pub(super) struct StreamSource<B, F> {
    pub(super) place: String,
    pub(super) bytes: B,
    pub(super) framing: F,
    /// What the stream should hold, for the error when it does not.
    pub(super) expected: &'static str,
    pub(super) pacing: Pacing,
    /// Longest wait for a frame; a replay may take its time.
    pub(super) stall_timeout: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: StopSignal,
    pub(super) progress: Progress,
}

/// How far a stream has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing that began like a frame yet.
    #[default]
    Started,
    /// At least one frame, whole or cut.
    Flowing,
    /// The last byte was read.
    Over,
}

impl<B: ByteStream, F: Framing> StreamSource<B, F> {
    /// Reads one chunk; `None` when bytes were read and framing may go on, else what to hand out.
    fn fill(&mut self, deadline: Option<Instant>) -> Result<Option<Received>, CaptureError> {
        match self.bytes.next_chunk(deadline)? {
            Chunk::Bytes(bytes) => {
                self.framing.push(bytes);
                Ok(None)
            }
            Chunk::Stopped => Ok(Some(Received::End)),
            Chunk::Late => Err(CaptureError::Stalled {
                place: self.place.clone(),
                timeout: self.stall_timeout.unwrap_or_default(),
            }),
            Chunk::End => {
                let started = std::mem::replace(&mut self.progress, Progress::Over) == Progress::Started;
                match self.framing.finish() {
                    Some(part) => Ok(Some(self.received(part))),
                    None => self.over(started).map(Some),
                }
            }
        }
    }

    fn over(&mut self, without_frame: bool) -> Result<Received, CaptureError> {
        self.bytes.ended()?;
        if without_frame {
            return Err(CaptureError::NoFrame { place: self.place.clone(), expected: self.expected });
        }
        Ok(Received::End)
    }

    fn received(&self, part: Part) -> Received {
        // Stamped before decoding: a frame's age begins when its last byte is here.
        let captured = self.clock.now();
        match part {
            Part::Frame(bytes) => match self.framing.decode(&bytes) {
                Ok(image) => Received::Picture { image, captured },
                Err(reason) => Received::Corrupt { reason },
            },
            Part::Cut(reason) => Received::Corrupt { reason },
        }
    }

    /// Reads until `found` sees in the framing what it looks for.
    ///
    /// # Errors
    /// As for `receive`, and when the stream ends first.
    pub(super) fn read_until<T>(
        &mut self,
        found: impl Fn(&mut F) -> Result<Option<T>, String>,
    ) -> Result<T, CaptureError> {
        loop {
            if let Some(seen) = found(&mut self.framing).map_err(|why| self.format(why))? {
                return Ok(seen);
            }
            match self.fill(None)? {
                None => {}
                Some(_) if self.stop.is_stopped() => return Err(CaptureError::Stopped { place: self.place.clone() }),
                Some(_) => return Err(CaptureError::NoFrame { place: self.place.clone(), expected: self.expected }),
            }
        }
    }

    fn format(&self, why: String) -> CaptureError {
        CaptureError::Format { place: self.place.clone(), why }
    }
}

impl<B: ByteStream, F: Framing> FrameSource for StreamSource<B, F> {
    fn pacing(&self) -> Pacing {
        self.pacing
    }

    fn receive(&mut self) -> Result<Received, CaptureError> {
        let deadline = self.stall_timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if self.stop.is_stopped() {
                return Ok(Received::End);
            }
            if self.progress == Progress::Over {
                return self.over(false);
            }
            if let Some(part) = self.framing.next_part().map_err(|why| self.format(why))? {
                self.progress = Progress::Flowing;
                return Ok(self.received(part));
            }
            if let Some(received) = self.fill(deadline)? {
                return Ok(received);
            }
        }
    }
}
