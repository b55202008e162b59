//! Sources of frames, all behind one trait.

use image::RgbImage;

use super::CaptureError;
use crate::domain::Stamp;

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
