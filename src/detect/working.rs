//! The working picture: the frame at the size the detector looks at it, padded to the steps its network takes.

use image::RgbImage;

use super::DetectError;
use super::resample::{Resampler, Target};

/// How a frame lies in its working picture: from the upper left corner, black to the right and below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Letterbox {
    /// Width of the frame in the working picture, px.
    pub(super) inner_width: usize,
    /// Height of the frame in the working picture, px.
    pub(super) inner_height: usize,
    /// Width of the working picture, px.
    pub(super) width: usize,
    /// Height of the working picture, px.
    pub(super) height: usize,
    /// Frame px a working px, across.
    pub(super) scale_x: f32,
    /// Frame px a working px, down.
    pub(super) scale_y: f32,
}

impl Letterbox {
    /// Fits a frame of `width` x `height` px so that its longer side has `longer_px`, padded to multiples of `step_px`.
    pub(super) fn fit(width: u32, height: u32, longer_px: u32, step_px: usize) -> Letterbox {
        let scale = f64::from(longer_px) / f64::from(width.max(height));
        let inner = |side: u32| ((f64::from(side) * scale).round() as usize).max(1);
        let (inner_width, inner_height) = (inner(width), inner(height));
        Letterbox {
            inner_width,
            inner_height,
            width: inner_width.next_multiple_of(step_px),
            height: inner_height.next_multiple_of(step_px),
            scale_x: width as f32 / inner_width as f32,
            scale_y: height as f32 / inner_height as f32,
        }
    }
}

/// Makes working pictures, keeping its buffers from frame to frame.
pub(super) struct WorkingPicture {
    resampler: Resampler,
    rgb: Vec<u8>,
    shape: Option<Letterbox>,
}

impl WorkingPicture {
    pub(super) fn new() -> Self {
        Self { resampler: Resampler::new(), rgb: Vec::new(), shape: None }
    }

    /// The working picture of `frame`: row-major RGB, `letterbox.width` x `letterbox.height`.
    pub(super) fn of(&mut self, frame: &RgbImage, letterbox: &Letterbox) -> Result<&[u8], DetectError> {
        let (width, height) = frame.dimensions();
        let empty = || DetectError::EmptyPicture { width, height };
        if width == 0 || height == 0 {
            return Err(empty());
        }
        if self.shape != Some(*letterbox) {
            // All black again: another shape has its padding elsewhere.
            self.rgb.clear();
            self.rgb.resize(letterbox.width * letterbox.height * 3, 0);
            self.shape = Some(*letterbox);
        }
        let Letterbox { inner_width, inner_height, width, height, .. } = *letterbox;
        let target = Target { rgb: &mut self.rgb, width, height, inner_width, inner_height };
        self.resampler.resample(frame, None, target).ok_or_else(empty)?;
        Ok(&self.rgb)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_door_camera_frame_fills_the_width() {
        let l = Letterbox::fit(1280, 720, 320, 32);
        assert_eq!((l.inner_width, l.inner_height, l.width, l.height), (320, 180, 320, 192));
        assert_eq!((l.scale_x, l.scale_y), (4.0, 4.0));
    }

    proptest! {
        #[test]
        fn every_frame_fits(width in 1u32..=4096, height in 1u32..=4096, longer in 64u32..=1920) {
            let l = Letterbox::fit(width, height, longer, 32);
            prop_assert!(l.inner_width <= l.width && l.inner_height <= l.height);
            prop_assert!(l.width.is_multiple_of(32) && l.height.is_multiple_of(32) && l.height > 0);
            prop_assert_eq!(l.inner_width.max(l.inner_height), longer as usize);
            prop_assert!((l.scale_x * l.inner_width as f32 - width as f32).abs() < 0.01);
        }
    }

    #[test]
    fn the_frame_lies_in_the_corner_and_the_rest_is_black() {
        let mut working = WorkingPicture::new();
        // A larger picture first: nothing of it may stay.
        working.of(&RgbImage::from_pixel(64, 64, Rgb([255; 3])), &Letterbox::fit(64, 64, 64, 32)).unwrap();
        let l = Letterbox::fit(100, 50, 50, 32);
        let rgb = working.of(&RgbImage::from_pixel(100, 50, Rgb([10, 20, 30])), &l).unwrap();
        assert_eq!(rgb.len(), 64 * 32 * 3);
        for (i, pixel) in rgb.as_chunks::<3>().0.iter().enumerate() {
            let inside = i % 64 < 50 && i / 64 < 25;
            assert_eq!(*pixel, if inside { [10, 20, 30] } else { [0; 3] }, "pixel {i}");
        }
    }

    #[test]
    fn an_empty_picture_is_an_error() {
        let error = WorkingPicture::new().of(&RgbImage::new(0, 5), &Letterbox::fit(0, 5, 64, 32)).unwrap_err();
        assert!(matches!(error, DetectError::EmptyPicture { width: 0, height: 5 }), "{error}");
    }
}
