//! The faces that come with doorward, to try a recogniser on.
//!
//! Six aligned crops of four people, three of them of one person (`models/faces/CREDITS.md`). That is few, so each is also varied in
//! ways that leave the person who they are: mirrored, turned, moved, darkened, blurred, flattened. Pairs of variants count as mated.

use std::borrow::Cow;

use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};

use super::ImportError;
use crate::domain::FaceCrop;

/// Who is seen on each crop of the strip, by number.
const PEOPLE: [usize; 6] = [0, 0, 0, 1, 2, 3];

/// A crop of [`FaceCrop::SIDE_PX`] squared with the number of the person on it.
pub(super) struct Face {
    pub(super) person: usize,
    /// Row-major red, green, blue.
    pub(super) rgb: Vec<u8>,
}

/// How a crop is varied.
#[derive(Debug, Clone, Copy)]
enum Variant {
    AsItIs,
    Mirrored,
    /// Turned by so many degrees and enlarged, then moved by so many px.
    Moved {
        deg: f32,
        scale: f32,
        px: [f32; 2],
    },
    /// Each value times the first plus the second.
    Relit(f32, f32),
    /// Down to so many px and back.
    Blurred(u32),
}

const VARIANTS: [Variant; 7] = [
    Variant::AsItIs,
    Variant::Mirrored,
    Variant::Moved { deg: 8.0, scale: 1.06, px: [0.0, 0.0] },
    Variant::Moved { deg: -5.0, scale: 0.94, px: [3.0, -2.0] },
    Variant::Relit(0.45, 0.0),
    Variant::Relit(0.5, 90.0),
    Variant::Blurred(28),
];

/// How many crops [`faces`] gives.
pub(super) const COUNT: usize = PEOPLE.len() * VARIANTS.len();

/// The crops side by side, as a PNG: in the program, or where the package installs it.
#[cfg(feature = "embedded-extras")]
fn strip() -> Result<Cow<'static, [u8]>, ImportError> {
    Ok(Cow::Borrowed(include_bytes!("../../../models/faces/faces.png")))
}

#[cfg(not(feature = "embedded-extras"))]
fn strip() -> Result<Cow<'static, [u8]>, ImportError> {
    let path = crate::models::installed("models/faces/faces.png");
    std::fs::read(&path).map(Cow::Owned).map_err(|e| ImportError::Faces { why: format!("{}: {e}", path.display()) })
}

/// The crops in all variants, those of one photo together, each as it is first.
///
/// # Errors
/// When they are in a file beside the program, and it is not there or another.
pub(super) fn faces() -> Result<Vec<Face>, ImportError> {
    let strip = image::load_from_memory_with_format(&strip()?, ImageFormat::Png)
        .map_err(|e| ImportError::Faces { why: e.to_string() })?
        .into_rgb8();
    let side = FaceCrop::SIDE_PX as u32;
    if strip.dimensions() != (side * PEOPLE.len() as u32, side) {
        return Err(ImportError::Faces { why: "not the picture that comes with doorward".into() });
    }
    let photo = |(place, &person): (usize, &usize)| {
        let crop = imageops::crop_imm(&strip, place as u32 * side, 0, side, side).to_image();
        VARIANTS.map(|variant| Face { person, rgb: variant.of(&crop).into_raw() })
    };
    Ok(PEOPLE.iter().enumerate().flat_map(photo).collect())
}

impl Variant {
    fn of(self, crop: &RgbImage) -> RgbImage {
        match self {
            Variant::AsItIs => crop.clone(),
            Variant::Mirrored => imageops::flip_horizontal(crop),
            Variant::Moved { deg, scale, px } => moved(crop, deg, scale, px),
            Variant::Relit(factor, offset) => {
                let mut relit = crop.clone();
                relit.iter_mut().for_each(|value| *value = (f32::from(*value) * factor + offset) as u8);
                relit
            }
            Variant::Blurred(px) => {
                let small = imageops::resize(crop, px, px, FilterType::Triangle);
                imageops::resize(&small, crop.width(), crop.height(), FilterType::Triangle)
            }
        }
    }
}

/// The crop turned and scaled about its middle, then moved; black where it has nothing.
fn moved(crop: &RgbImage, deg: f32, scale: f32, [right, down]: [f32; 2]) -> RgbImage {
    let middle = (crop.width() - 1) as f32 / 2.0;
    let (sin, cos) = deg.to_radians().sin_cos();
    RgbImage::from_fn(crop.width(), crop.height(), |x, y| {
        let (dx, dy) = (x as f32 - middle - right, y as f32 - middle - down);
        let (from_x, from_y) = ((cos * dx - sin * dy) / scale + middle, (sin * dx + cos * dy) / scale + middle);
        imageops::interpolate_bilinear(crop, from_x, from_y).unwrap_or(image::Rgb([0; 3]))
    })
}

#[cfg(test)]
#[cfg(feature = "embedded-extras")]
mod tests {
    use super::*;

    #[test]
    fn every_photo_comes_in_every_variant_and_no_two_are_the_same() {
        let faces = faces().unwrap();
        assert_eq!(faces.len(), COUNT);
        assert!(faces.iter().all(|face| face.rgb.len() == FaceCrop::BYTES));
        for (i, one) in faces.iter().enumerate() {
            assert!(faces[..i].iter().all(|other| other.rgb != one.rgb), "{i} stands there twice");
        }
        assert_eq!(faces.iter().filter(|face| face.person == 0).count(), 3 * VARIANTS.len());
    }

    #[test]
    fn a_crop_that_is_not_moved_stays() {
        let crop = RgbImage::from_raw(112, 112, faces().unwrap()[0].rgb.clone()).unwrap();
        assert_eq!(moved(&crop, 0.0, 1.0, [0.0, 0.0]), crop);
        let right = moved(&crop, 0.0, 1.0, [3.0, -2.0]);
        assert_eq!(right.get_pixel(53, 48), crop.get_pixel(50, 50));
    }
}
