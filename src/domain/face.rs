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

    /// Left and right exchanged. The ArcFace template is nearly symmetric, so the mirror image of a crop is a crop.
    pub fn mirrored(&self) -> Self {
        let rows = self.0.as_chunks::<3>().0.chunks_exact(Self::SIDE_PX);
        Self(rows.flat_map(|row| row.iter().rev().flatten().copied()).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_crop_has_left_and_right_exchanged() {
        let crop = FaceCrop::from_rgb((0..FaceCrop::BYTES).map(|i| (i % 251) as u8).collect()).unwrap();
        let mirrored = crop.mirrored();
        let pixel =
            |crop: &FaceCrop, x: usize, y: usize| crop.as_rgb()[3 * (y * FaceCrop::SIDE_PX + x)..][..3].to_vec();
        for (x, y) in [(0, 0), (111, 0), (17, 60), (0, 111)] {
            assert_eq!(pixel(&mirrored, x, y), pixel(&crop, 111 - x, y));
        }
        assert_ne!(mirrored, crop);
        assert_eq!(mirrored.mirrored(), crop);
    }
}
