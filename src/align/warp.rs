//! The warp: the crop's pixels, each looked up in the frame.

use image::RgbImage;

use super::Transform;
use crate::domain::FaceCrop;

/// Cuts the crop to which `transform` brings `image`: every crop pixel is the bilinear mean of the four frame pixels about
/// the place it comes from; frame pixels outside the picture are black.
///
/// This is what OpenCV's `warpAffine` does with `INTER_LINEAR` and a constant border of 0, by which the recognisers'
/// training crops were made; on faces of 40 to 400 px the two differ by `docs/detection.md`'s figures.
pub fn warp(image: &RgbImage, transform: &Transform) -> FaceCrop {
    let back = transform.inverse();
    let frame = Pixels::of(image);
    let mut crop = vec![0u8; FaceCrop::BYTES];
    for (row, line) in crop.chunks_exact_mut(FaceCrop::SIDE_PX * 3).enumerate() {
        for (column, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (x, y) = back.apply(column as f64, row as f64);
            *pixel = frame.bilinear(x, y);
        }
    }
    FaceCrop::from_rgb(crop).expect("the buffer was made with the crop's length")
}

/// A frame's pixels with the number of columns and rows.
struct Pixels<'a> {
    rgb: &'a [[u8; 3]],
    width: i64,
    height: i64,
}

impl<'a> Pixels<'a> {
    fn of(image: &'a RgbImage) -> Self {
        let rgb = image.as_raw().as_chunks::<3>().0;
        Self { rgb, width: i64::from(image.width()), height: i64::from(image.height()) }
    }

    fn bilinear(&self, x: f64, y: f64) -> [u8; 3] {
        let ((column, fx), (row, fy)) = (split(x), split(y));
        let [nw, ne, sw, se] = if column >= 0 && row >= 0 && column + 1 < self.width && row + 1 < self.height {
            let at = (row * self.width + column) as usize;
            let below = at + self.width as usize;
            [self.rgb[at], self.rgb[at + 1], self.rgb[below], self.rgb[below + 1]]
        } else {
            [
                self.or_black(column, row),
                self.or_black(column + 1, row),
                self.or_black(column, row + 1),
                self.or_black(column + 1, row + 1),
            ]
        };
        std::array::from_fn(|c| {
            let upper = f32::from(nw[c]) + (f32::from(ne[c]) - f32::from(nw[c])) * fx;
            let lower = f32::from(sw[c]) + (f32::from(se[c]) - f32::from(sw[c])) * fx;
            (upper + (lower - upper) * fy + 0.5) as u8
        })
    }

    fn or_black(&self, column: i64, row: i64) -> [u8; 3] {
        if (0..self.width).contains(&column) && (0..self.height).contains(&row) {
            self.rgb[(row * self.width + column) as usize]
        } else {
            [0; 3]
        }
    }
}

/// The whole number at or below `v`, and the rest. Not by `floor`, which is a call on processors without SSE 4.1; a value
/// beyond the range saturates, and lies outside every picture all the same.
fn split(v: f64) -> (i64, f32) {
    let whole = (v as i64).clamp(i64::MIN + 1, i64::MAX - 1);
    let whole = if (whole as f64) > v { whole - 1 } else { whole };
    (whole, (v - whole as f64) as f32)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::align::TEMPLATE;
    use crate::domain::{Landmarks5, Point};

    const SIDE: u32 = FaceCrop::SIDE_PX as u32;

    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 2) as u8, (y * 2) as u8, ((x + y) % 256) as u8]))
    }

    /// The transform that takes away `shift` px in both directions.
    fn shifted(shift: f32) -> Transform {
        let moved = Landmarks5(TEMPLATE.0.map(|p| Point { x: p.x + shift, y: p.y + shift }));
        Transform::fit(&moved).unwrap()
    }

    #[test]
    fn identity_gives_the_picture_back() {
        let image = gradient(SIDE, SIDE);
        assert_eq!(warp(&image, &Transform::IDENTITY).as_rgb(), image.as_raw());
    }

    #[test]
    fn splitting_is_floor_and_the_rest() {
        for v in [0.0, 0.25, 7.5, -0.25, -1.0, -7.75, 4095.999] {
            assert_eq!(split(v), (v.floor() as i64, (v - v.floor()) as f32));
        }
        for v in [1e300, -1e300] {
            let (whole, _) = split(v);
            assert!(whole.checked_add(1).is_some() && whole.unsigned_abs() > 1 << 40);
        }
    }

    #[test]
    fn half_a_pixel_is_the_mean_of_four() {
        let image = gradient(200, 200);
        let crop = warp(&image, &shifted(20.5));
        // Red is twice the column: between columns 30 and 31 it is 61.
        assert_eq!(crop.as_rgb()[..2], [41, 41]);
        assert_eq!(crop.as_rgb()[(10 * 112 + 10) * 3], 61);
    }

    #[test]
    fn outside_is_black_and_the_edge_fades_by_half() {
        let white = RgbImage::from_pixel(50, 50, Rgb([255; 3]));
        let crop = warp(&white, &shifted(-10.5));
        let red = |x: usize, y: usize| crop.as_rgb()[(y * 112 + x) * 3];
        assert_eq!(red(30, 30), 255);
        assert_eq!(red(9, 30), 0);
        assert_eq!(red(10, 30), 128);
        assert_eq!(red(60, 30), 128);
        assert_eq!(red(61, 30), 0);
    }
}
