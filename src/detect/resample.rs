//! Pictures brought to another size.

use fast_image_resize::images::{TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use crate::domain::BBox;

/// Scales by a bilinear filter as wide as the reduction: one of 2x2 pixels would skip some and show the network patterns that are not there.
///
/// For pixels known at compile time: a resizer for any pixel is 2 MB of code.
pub(super) struct Resampler {
    resizer: Resizer,
    bilinear: ResizeOptions,
}

/// Where a scaled picture goes: the upper left corner of a picture of row-major RGB.
pub(super) struct Target<'a> {
    /// The whole picture's bytes,
    pub(super) rgb: &'a mut [u8],
    /// its width, px,
    pub(super) width: usize,
    /// and its height, px.
    pub(super) height: usize,
    /// Width of the corner, px.
    pub(super) inner_width: usize,
    /// Height of the corner, px.
    pub(super) inner_height: usize,
}

impl Resampler {
    pub(super) fn new() -> Self {
        let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        Self { resizer: Resizer::new(), bilinear }
    }

    /// Brings `part` of a picture, or all of it, into the target's corner; `None` when one of them has no pixels or `part` does not
    /// lie in the picture.
    pub(super) fn resample(&mut self, image: &RgbImage, part: Option<&BBox>, target: Target<'_>) -> Option<()> {
        let side = |px: usize| u32::try_from(px).ok();
        let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw()).ok()?;
        let mut whole = TypedImage::<U8x3>::from_buffer(side(target.width)?, side(target.height)?, target.rgb).ok()?;
        let mut corner =
            TypedCroppedImageMut::from_ref(&mut whole, 0, 0, side(target.inner_width)?, side(target.inner_height)?)
                .ok()?;
        let options = part.map_or(self.bilinear, |part| {
            self.bilinear.crop(f64::from(part.x), f64::from(part.y), f64::from(part.w), f64::from(part.h))
        });
        self.resizer.resize_typed(&source, &mut corner, &options).ok()
    }
}
