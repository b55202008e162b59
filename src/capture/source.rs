//! Sources of frames, all behind one trait.

use std::{sync::Arc, time::Duration};

use image::RgbImage;

use super::{
    CaptureError,
    framing::Framing,
    stop::StopSignal,
    stream::{ByteStream, Progress, StreamSource},
};
use crate::domain::{Clock, Stamp};

/// What a source gave.
pub enum Received {
    /// A picture: RGB, 32 to 4096 pixels each way.
    Picture {
        /// The pixels.
        image: RgbImage,
        /// When its last byte had arrived.
        captured: Stamp,
    },
    /// A frame that arrived and cannot be used.
    Corrupt {
        /// What is wrong with it.
        reason: String,
    },
    /// A replay is over, or a stop was signalled.
    End,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Picture { image, .. } => write!(f, "Picture({}x{})", image.width(), image.height()),
            Self::Corrupt { reason } => write!(f, "Corrupt({reason})"),
            Self::End => f.write_str("End"),
        }
    }
}

/// Who sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// The source: a frame not taken in time is replaced by the next.
    Live,
    /// The taker: no frame is lost.
    OnDemand,
}

/// Gives frames, one after the other. Not `Send`: open it on the thread that reads it.
pub trait FrameSource {
    /// Who sets the pace.
    fn pacing(&self) -> Pacing;

    /// Waits for the next frame. A stop is noticed within 0.3 s, as [`Received::End`].
    ///
    /// # Errors
    /// Names the source and why it gives no more frames. Open it again to go on.
    fn receive(&mut self) -> Result<Received, CaptureError>;
}

/// What the sources have in common.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) pacing: Pacing,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: StopSignal,
}

impl Parts {
    pub(super) fn stream<B: ByteStream, F: Framing>(
        &self,
        place: String,
        bytes: B,
        framing: F,
        expected: &'static str,
    ) -> StreamSource<B, F> {
        StreamSource {
            place,
            bytes,
            framing,
            expected,
            pacing: self.pacing,
            stall_timeout: self.stall_timeout,
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            progress: Progress::default(),
        }
    }
}
