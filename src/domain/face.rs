//! A face brought to the pose and size a recogniser was trained on.

use std::fmt;

use super::{BBox, FrameRef, Landmarks5, SampleQuality};

/// An RGB crop of [`FaceCrop::SIDE_PX`] squared, aligned to the ArcFace template.
#[derive(Clone, PartialEq, Eq)]
pub struct FaceCrop(Box<[u8]>);

impl FaceCrop {
    /// Width and height in pixels.
    pub const SIDE_PX: usize = 112;
    /// Bytes of a crop: 112 x 112 x 3.
    pub const BYTES: usize = Self::SIDE_PX * Self::SIDE_PX * 3;

    /// Takes row-major RGB pixels; `None` when there are not exactly [`Self::BYTES`].
    pub fn from_rgb(pixels: Vec<u8>) -> Option<Self> {
        (pixels.len() == Self::BYTES).then(|| Self(pixels.into_boxed_slice()))
    }

    /// Row-major RGB pixels.
    pub fn as_rgb(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FaceCrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaceCrop(112x112)")
    }
}

/// A face cut out of a frame, with what is known of its quality.
#[derive(Debug, Clone)]
pub struct AlignedFace {
    /// The frame it was cut from.
    pub at: FrameRef,
    /// Where it was in the frame.
    pub bbox: BBox,
    /// Its landmarks in the frame.
    pub landmarks: Landmarks5,
    /// The aligned crop.
    pub crop: FaceCrop,
    /// The sample's quality.
    pub quality: SampleQuality,
}
