//! A captured picture and the reference that rides on everything made from it.

use std::{fmt, sync::Arc};

use image::RgbImage;

use super::Stamp;

/// Which source a frame came from, as the operator named it ("front-camera", "replay:door.mjpeg").
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SourceId(Arc<str>);

impl SourceId {
    /// Names a source.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says which frame a value was made from. Rides on every later value and every error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRef {
    /// The source.
    pub source: SourceId,
    /// Number of the frame in its source, from 0, never reused within a run. A frame that was
    /// received but could not be decoded uses up its number, so a gap is a loss.
    pub seq: u64,
    /// When the frame was received.
    pub captured: Stamp,
}

impl fmt::Display for FrameRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.source, self.seq)
    }
}

/// A captured picture: RGB, 8 bits a channel. Cloning shares the pixels.
#[derive(Clone)]
pub struct Frame {
    /// Which frame this is.
    pub at: FrameRef,
    /// The pixels.
    pub image: Arc<RgbImage>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = self.image.dimensions();
        write!(f, "Frame({} {w}x{h})", self.at)
    }
}
