//! A buffer of a camera as a picture.

use std::borrow::Cow;

use image::RgbImage;
use yuv::{YuvPackedImage, YuvRange, YuvStandardMatrix, yuyv422_to_rgb};

use super::{
    found::Pixels,
    jpeg::{self, JpegWalk, Walk},
    side::check_frame_size,
};

/// How a buffer is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) pixels: Pixels,
    pub(super) width_px: u32,
    pub(super) height_px: u32,
    /// From one line to the next, bytes; of no meaning for JPEG.
    pub(super) stride: usize,
}

/// A buffer as the driver filled it.
pub(super) struct RawFrame {
    pub(super) bytes: Vec<u8>,
    pub(super) layout: Layout,
    /// The driver says that something is wrong with it (`V4L2_BUF_FLAG_ERROR`).
    pub(super) damaged: bool,
}

impl RawFrame {
    /// The picture, or what is wrong with it.
    pub(super) fn decode(&self) -> Result<RgbImage, String> {
        if self.damaged {
            return Err("the driver says that it is damaged".into());
        }
        if self.bytes.is_empty() {
            return Err("empty".into());
        }
        let Layout { width_px, height_px, .. } = self.layout;
        match self.layout.pixels {
            Pixels::Mjpeg => self.decode_jpeg(),
            Pixels::Yuyv => {
                check_frame_size(width_px, height_px)?;
                let yuy_stride = width_px.next_multiple_of(2) * 2;
                let yuy = self.lines(yuy_stride as usize)?;
                let packed = YuvPackedImage { yuy: &yuy, yuy_stride, width: width_px, height: height_px };
                let mut image = RgbImage::new(width_px, height_px);
                yuyv422_to_rgb(&packed, &mut image, width_px * 3, YuvRange::Limited, YuvStandardMatrix::Bt601)
                    .map_err(|e| e.to_string())?;
                Ok(image)
            }
            Pixels::Grey => {
                check_frame_size(width_px, height_px)?;
                let rgb = self.lines(width_px as usize)?.iter().flat_map(|&y| [y; 3]).collect();
                RgbImage::from_raw(width_px, height_px, rgb).ok_or_else(|| "cut off".into())
            }
        }
    }

    /// A driver may pad the picture, and leave older bytes behind it.
    fn decode_jpeg(&self) -> Result<RgbImage, String> {
        if !self.bytes.starts_with(&[0xFF, jpeg::SOI]) {
            return Err("no JPEG picture".into());
        }
        match JpegWalk::new().step(&self.bytes) {
            Walk::End(end) => jpeg::decode_frame(&self.bytes[..end]),
            Walk::NeedsMore => Err("cut off: the end of the picture is missing".into()),
            Walk::Broken { why, .. } => Err(why.into()),
        }
    }

    /// The lines of the picture, `line` bytes each, without their padding.
    fn lines(&self, line: usize) -> Result<Cow<'_, [u8]>, String> {
        let Layout { height_px, stride, .. } = self.layout;
        if stride < line {
            return Err(format!("lines of {stride} bytes, of which a picture needs {line}"));
        }
        let whole = stride.checked_mul(height_px as usize - 1).and_then(|above| above.checked_add(line));
        let padded = whole.and_then(|whole| self.bytes.get(..whole)).ok_or("cut off")?;
        if stride == line {
            return Ok(padded.into());
        }
        Ok(padded.chunks(stride).flat_map(|padded| &padded[..line]).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PORTRAIT: &[u8] = include_bytes!("../../tests/pictures/portrait.jpg");

    fn frame(pixels: Pixels, stride: usize, bytes: &[u8]) -> RawFrame {
        let layout = Layout { pixels, width_px: 34, height_px: 32, stride };
        RawFrame { bytes: bytes.to_vec(), layout, damaged: false }
    }

    #[test]
    fn what_lies_behind_a_jpeg_is_not_read() {
        let mut bytes = PORTRAIT.to_vec();
        bytes.extend(&PORTRAIT[..PORTRAIT.len() / 2]);
        bytes.extend([0; 1000]);
        assert_eq!(frame(Pixels::Mjpeg, 0, &bytes).decode(), jpeg::decode_frame(PORTRAIT));
    }

    #[test]
    fn garbage_has_a_reason_and_no_picture() {
        let noise: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let cases: [(&[u8], &str); 5] = [
            (&PORTRAIT[..PORTRAIT.len() / 2], "cut off"),
            (&[], "empty"),
            (&[0; 20_000], "no JPEG"),
            (&noise, "no JPEG"),
            (&[0xFF, 0xD8], "cut off"),
        ];
        for (bytes, why) in cases {
            let said = frame(Pixels::Mjpeg, 0, bytes).decode().unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let damaged = RawFrame { damaged: true, ..frame(Pixels::Mjpeg, 0, PORTRAIT) };
        assert!(damaged.decode().unwrap_err().contains("driver"));
    }

    #[test]
    fn grey_becomes_three_equal_channels_and_padding_is_left_out() {
        let mut bytes = vec![255; 40 * 31 + 34];
        for (y, line) in bytes.chunks_mut(40).enumerate() {
            line[..34].fill(y as u8 * 8);
        }
        let image = frame(Pixels::Grey, 40, &bytes).decode().unwrap();
        assert_eq!(image.dimensions(), (34, 32));
        assert!(image.enumerate_pixels().all(|(_, y, p)| p.0 == [y as u8 * 8; 3]));
        bytes.pop();
        assert_eq!(frame(Pixels::Grey, 40, &bytes).decode().unwrap_err(), "cut off");
    }

    #[test]
    fn yuyv_is_of_limited_range_and_its_padding_is_left_out() {
        // Luma 16 is black and 235 white; 128 is no colour.
        let mut bytes = vec![0; 80 * 32];
        for (y, line) in bytes.chunks_mut(80).enumerate() {
            let luma = if y < 16 { 16 } else { 235 };
            line[..68].copy_from_slice(&[luma, 128].repeat(34));
        }
        let image = frame(Pixels::Yuyv, 80, &bytes).decode().unwrap();
        assert_eq!((image.get_pixel(33, 15).0, image.get_pixel(33, 16).0), ([0; 3], [255; 3]));
        assert_eq!(frame(Pixels::Yuyv, 80, &bytes[..2000]).decode().unwrap_err(), "cut off");
        let narrow = frame(Pixels::Yuyv, 60, &bytes).decode().unwrap_err();
        assert!(narrow.contains("60 bytes"), "{narrow}");
    }

    #[test]
    fn a_size_that_no_frame_may_have_is_refused() {
        let mut huge = frame(Pixels::Grey, 34, &[0; 64]);
        (huge.layout.width_px, huge.layout.height_px) = (100_000, 0);
        assert!(huge.decode().unwrap_err().contains("100000x0"));
    }

    proptest! {
        #[test]
        fn no_buffer_is_a_panic_and_a_picture_has_the_size_of_its_layout(
            bytes in prop::collection::vec(any::<u8>(), 0..9000), width_px in 0u32..90, height_px in 0u32..60, stride in 0usize..200,
            pixels in prop::sample::select(vec![Pixels::Mjpeg, Pixels::Yuyv, Pixels::Grey]),
        ) {
            let layout = Layout { pixels, width_px, height_px, stride };
            if let Ok(image) = (RawFrame { bytes, layout, damaged: false }).decode() && pixels != Pixels::Mjpeg {
                prop_assert_eq!(image.dimensions(), (width_px, height_px));
            }
        }
    }
}
