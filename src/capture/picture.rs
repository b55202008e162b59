//! Still pictures: JPEG or PNG, told apart by content, upright, RGB, of a size the stages can hold.

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
};

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{
    DynamicImage, ImageDecoder, Limits, RgbImage, codecs::png::PngDecoder, error::ImageError, metadata::Orientation,
};

use super::{
    jpeg::JpegHeader,
    side::{MAX_SIDE_PX, MIN_SIDE_PX},
};

/// Most pixels of a still picture: 150 MB of RGB, what a board with 1 GB can spare for a moment.
pub const MAX_PIXELS: u64 = 50_000_000;
/// Largest file read as a picture; 50 megapixels of 16-bit PNG rarely reach it.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// What the PNG decoder may allocate beside the pixels (rows, text, profiles).
const MAX_PNG_SIDE_BYTES: u64 = 64 << 20;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG_SIGNATURE: &[u8] = &[0xFF, 0xD8, 0xFF];

/// Why a picture was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// No such file.
    #[error("picture {name}: there is no such file; check the path")]
    Missing {
        /// The path.
        name: String,
    },
    /// A folder where a picture is expected.
    #[error("picture {name}: is a folder; name the pictures in it, for example {name}/*.jpg")]
    Folder {
        /// The path.
        name: String,
    },
    /// The file cannot be read.
    #[error("picture {name}: cannot be read: {source}")]
    Read {
        /// The path.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing in it.
    #[error("picture {name}: the file is empty; copy it again from where it came")]
    Empty {
        /// Path or name.
        name: String,
    },
    /// More bytes than any picture that would be accepted.
    #[error("picture {name}: the file is larger than {limit} MB; save it smaller", limit = MAX_FILE_BYTES >> 20)]
    LongFile {
        /// Path or name.
        name: String,
    },
    /// Another format, whatever its name says.
    #[error("picture {name}: not a JPEG or PNG picture; convert it to one of these")]
    Format {
        /// Path or name.
        name: String,
    },
    /// Too small to hold a face.
    #[error("picture {name}: {width}x{height} is smaller than {MIN_SIDE_PX}x{MIN_SIDE_PX}; use a larger picture")]
    TooSmall {
        /// Path or name.
        name: String,
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
    },
    /// More pixels than a board can hold.
    #[error("picture {name}: {width}x{height} is more than the {limit} megapixels allowed; reduce it first",
            limit = MAX_PIXELS / 1_000_000)]
    TooLarge {
        /// Path or name.
        name: String,
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
    },
    /// A JPEG or PNG that is cut off or corrupt.
    #[error("picture {name}: damaged {format}: {why}; copy it again from where it came")]
    Damaged {
        /// Path or name.
        name: String,
        /// JPEG or PNG.
        format: &'static str,
        /// What the decoder said.
        why: String,
    },
}

/// Reads a JPEG or PNG picture: RGB, upright (EXIF orientation applied), transparency on white,
/// sides from [`MIN_SIDE_PX`] to [`MAX_SIDE_PX`] (a larger one is reduced to fit).
///
/// # Errors
/// Names the path, what is wrong and the remedy.
pub fn read_picture(path: &Path) -> Result<RgbImage, PictureError> {
    let name = path.display().to_string();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PictureError::Missing { name: name.clone() },
        io::ErrorKind::IsADirectory => PictureError::Folder { name: name.clone() },
        _ => PictureError::Read { name: name.clone(), source },
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|f| f.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    decode_picture(&bytes, &name)
}

/// Decodes a JPEG or PNG picture as [`read_picture`] does; `name` is what errors call it.
///
/// # Errors
/// Names the picture, what is wrong and the remedy.
pub fn decode_picture(bytes: &[u8], name: &str) -> Result<RgbImage, PictureError> {
    let owned = || name.to_owned();
    if bytes.is_empty() {
        return Err(PictureError::Empty { name: owned() });
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(PictureError::LongFile { name: owned() });
    }
    let damaged = |format| move |why| PictureError::Damaged { name: name.to_owned(), format, why };
    let (image, orientation) = if bytes.starts_with(JPEG_SIGNATURE) {
        let header = JpegHeader::read(bytes).map_err(damaged("JPEG"))?;
        check_size(header.width, header.height, name)?;
        let orientation = header.orientation();
        (header.decode().map_err(damaged("JPEG"))?, orientation)
    } else if bytes.starts_with(PNG_SIGNATURE) {
        let (width, height) = png_size(bytes).ok_or_else(|| damaged("PNG")("no header".into()))?;
        check_size(width, height, name)?;
        decode_png(bytes).map_err(|e| damaged("PNG")(e.to_string()))?
    } else {
        return Err(PictureError::Format { name: owned() });
    };
    let mut image = DynamicImage::ImageRgb8(fit(image));
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn check_size(width: u32, height: u32, name: &str) -> Result<(), PictureError> {
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::TooLarge { name: name.into(), width, height });
    }
    // A long strip must be large enough even when it was reduced.
    let (fitted_width, fitted_height) = fitted(width, height);
    if fitted_width.min(fitted_height) < MIN_SIDE_PX {
        return Err(PictureError::TooSmall { name: name.into(), width, height });
    }
    Ok(())
}

/// The size from the IHDR chunk, which must come first.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.get(12..24)?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    header.starts_with(b"IHDR").then_some(())?;
    Some((number(4)?, number(8)?))
}

fn decode_png(bytes: &[u8]) -> Result<(RgbImage, Orientation), ImageError> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PNG_SIDE_BYTES);
    let mut decoder = PngDecoder::with_limits(Cursor::new(bytes), limits)?;
    let orientation = decoder.orientation()?;
    let image = DynamicImage::from_decoder(decoder)?;
    Ok((if image.color().has_alpha() { on_white(image) } else { image.into_rgb8() }, orientation))
}

fn on_white(image: DynamicImage) -> RgbImage {
    let rgba = image.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let alpha = u16::from(from[3]);
        for c in 0..3 {
            to[c] = ((u16::from(from[c]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    rgb
}

/// The size after [`fit`].
fn fitted(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= MAX_SIDE_PX {
        return (width, height);
    }
    let reduced = |side: u32| {
        let side = u64::from(side) * u64::from(MAX_SIDE_PX) / u64::from(longest);
        u32::try_from(side).unwrap_or(MAX_SIDE_PX)
    };
    (reduced(width), reduced(height))
}

/// Reduces a picture with a side over [`MAX_SIDE_PX`], its proportions kept.
fn fit(image: RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let (to_width, to_height) = fitted(width, height);
    if (to_width, to_height) == (width, height) {
        return image;
    }
    let mut reduced = RgbImage::new(to_width, to_height);
    let from = TypedImageRef::<U8x3>::from_buffer(width, height, image.as_raw())
        .expect("an RgbImage holds three bytes a pixel");
    let mut to = TypedImage::<U8x3>::from_buffer(to_width, to_height, &mut reduced)
        .expect("an RgbImage holds three bytes a pixel");
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    // For pixels known at compile time: a resizer for any pixel is 2 MB of code.
    Resizer::new().resize_typed(&from, &mut to, &options).expect("all of the picture is taken");
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_picture_is_reduced_to_fit() {
        assert_eq!(fitted(4096, 4096), (4096, 4096));
        assert_eq!(fitted(8192, 6000), (4096, 3000));
        assert_eq!(fitted(5000, 40), (4096, 32));
        let wide = RgbImage::from_fn(8192, 64, |x, _| if x < 4096 { [200, 0, 0].into() } else { [0, 0, 200].into() });
        let small = fit(wide);
        assert_eq!(small.dimensions(), (4096, 32));
        assert_eq!((small[(10, 16)].0, small[(4080, 16)].0), ([200, 0, 0], [0, 0, 200]));
    }

    #[test]
    fn a_strip_too_thin_once_reduced_is_refused() {
        assert!(check_size(4096, 32, "x").is_ok());
        assert!(matches!(check_size(8192, 40, "x"), Err(PictureError::TooSmall { .. })));
        assert!(matches!(check_size(u32::MAX, u32::MAX, "x"), Err(PictureError::TooLarge { .. })));
    }
}
