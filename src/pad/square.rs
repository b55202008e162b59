//! The part of a frame that a net sees.

use image::RgbImage;

use crate::domain::BBox;

/// A square of whole pixels that lies in its picture.
///
/// What a net has to tell is at the face's edge and behind it: the rim of a print, the frame of a phone. Where the square would
/// reach over the picture's edge it is moved inside, and shrunk when it is larger than the picture; never padded, which took the
/// AUC of the MiniFASNets from 1.00 to 0.70 and the BPCER of fr-liveness to 98 % (`docs/pad.md`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Square {
    /// Left edge, px.
    pub left_px: u32,
    /// Upper edge, px.
    pub top_px: u32,
    /// Side, px, at least 1.
    pub side_px: u32,
    /// The side in heights of the face's box: what was asked for, or less where the picture is too small for that.
    pub scale: f32,
}

impl Square {
    /// The square around `bbox` whose side is `scale` heights of the box, moved and shrunk into a picture of `width` x `height` px.
    ///
    /// `None` for a picture or a box without extent, a box that lies outside the picture, and what is not finite.
    pub fn around(bbox: &BBox, scale: f32, (width, height): (u32, u32)) -> Option<Square> {
        let BBox { x, y, w, h } = *bbox;
        let wanted = h * scale;
        let finite = [x, y, w, h, wanted].iter().all(|v| v.is_finite());
        let inside = x < width as f32 && y < height as f32 && x + w > 0.0 && y + h > 0.0;
        if !(finite && inside && w > 0.0 && h > 0.0 && wanted > 0.0) {
            return None;
        }
        // Floats become whole numbers by saturating casts: no box is too large for them.
        let side_px = (wanted.round() as u32).min(width).min(height).max(1);
        let middle = bbox.centre();
        let begin = |middle: f32, length: u32| ((middle - side_px as f32 / 2.0).round() as u32).min(length - side_px);
        let scale = (side_px as f32 / h).min(scale);
        Some(Square { left_px: begin(middle.x, width), top_px: begin(middle.y, height), side_px, scale })
    }

    /// Mean over the square's pixels of the difference between a pixel's largest and smallest channel, 0..=255; 0 for a picture
    /// without colour, and for one that the square does not lie in.
    pub fn saturation(&self, image: &RgbImage) -> f32 {
        let (side, stride) = (self.side_px as usize, image.width() as usize);
        let pixels = image.as_raw().as_chunks::<3>().0;
        let begin = self.left_px as usize;
        let rows = pixels.chunks_exact(stride.max(1)).skip(self.top_px as usize).take(side);
        let seen = rows.filter_map(|row| row.get(begin..begin + side)).flatten();
        let (mut sum, mut count) = (0u64, 0u64);
        for &[r, g, b] in seen {
            sum += u64::from(r.max(g).max(b) - r.min(g).min(b));
            count += 1;
        }
        sum as f32 / count.max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_face_in_the_middle_keeps_its_scale() {
        let square = Square::around(&BBox { x: 90.0, y: 80.0, w: 20.0, h: 40.0 }, 2.5, (200, 200)).unwrap();
        assert_eq!(square, Square { left_px: 50, top_px: 50, side_px: 100, scale: 2.5 });
    }

    #[test]
    fn a_face_at_the_edge_moves_the_square_and_a_large_one_shrinks_it() {
        let moved = Square::around(&BBox { x: -5.0, y: 170.0, w: 20.0, h: 40.0 }, 2.5, (200, 200)).unwrap();
        assert_eq!((moved.left_px, moved.top_px, moved.side_px, moved.scale), (0, 100, 100, 2.5));
        let shrunk = Square::around(&BBox { x: 40.0, y: 40.0, w: 100.0, h: 120.0 }, 2.7, (300, 180)).unwrap();
        assert_eq!((shrunk.left_px, shrunk.top_px, shrunk.side_px, shrunk.scale), (0, 0, 180, 1.5));
    }

    #[test]
    fn what_has_no_place_gives_no_square() {
        let face = BBox { x: 10.0, y: 10.0, w: 20.0, h: 20.0 };
        assert_eq!(Square::around(&face, 2.7, (0, 100)), None);
        for bad in [
            BBox { w: 0.0, ..face },
            BBox { h: -1.0, ..face },
            BBox { x: f32::NAN, ..face },
            BBox { h: f32::INFINITY, ..face },
            BBox { x: 100.0, ..face },
            BBox { y: -20.0, ..face },
        ] {
            assert_eq!(Square::around(&bad, 2.7, (100, 100)), None, "{bad:?}");
        }
        assert_eq!(Square::around(&face, f32::NAN, (100, 100)), None);
    }

    #[test]
    fn saturation_is_of_the_square_alone() {
        let colour = |x, _| if x < 10 { Rgb([200, 100, 150]) } else { Rgb([90, 90, 90]) };
        let image = RgbImage::from_fn(20, 10, colour);
        let of = |left_px| Square { left_px, top_px: 0, side_px: 10, scale: 1.0 }.saturation(&image);
        assert_eq!((of(0), of(5), of(10)), (100.0, 50.0, 0.0));
    }

    proptest! {
        #[test]
        fn the_square_lies_in_the_picture_whatever_the_box(
            x in -2e3f32..2e3, y in -2e3f32..2e3, w in 0.01f32..3e3, h in 0.01f32..3e3,
            scale in 1f32..10.0, width in 1u32..2000, height in 1u32..2000,
        ) {
            let bbox = BBox { x, y, w, h };
            let inside = x < width as f32 && y < height as f32 && x + w > 0.0 && y + h > 0.0;
            let square = Square::around(&bbox, scale, (width, height));
            prop_assert_eq!(square.is_some(), inside);
            if let Some(Square { left_px, top_px, side_px, scale: achieved }) = square {
                prop_assert!(side_px >= 1 && left_px + side_px <= width && top_px + side_px <= height);
                prop_assert!(achieved <= scale && achieved > 0.0);
                // Shrunk only as far as the picture demands.
                prop_assert!(side_px == width.min(height) || (side_px as f32 - h * scale).abs() <= 0.5 + 1e-3 || h * scale < 0.5);
                let image = RgbImage::new(width.min(64), height.min(64));
                prop_assert_eq!(square.unwrap().saturation(&image), 0.0);
            }
        }
    }
}
