use std::{convert::Infallible, fs, io, path::Path};

use embedded_graphics::{
    mono_font::{
        MonoTextStyle,
        iso_8859_1::{FONT_6X10, FONT_10X20},
    },
    pixelcolor::Rgb888,
    prelude::*,
    primitives::{Circle, PrimitiveStyle, Rectangle},
    text::{Baseline, Text},
};
use image::{RgbImage, codecs::jpeg::JpegEncoder};

use crate::domain::{BBox, Landmarks5};

const FONT_PX: u32 = 20;
const JPEG_QUALITY: u8 = 88;

/// What a box says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    /// Granted, or good enough.
    Good,
    /// Denied, or not good enough.
    Bad,
}

impl Colour {
    // Green and vermilion of Okabe and Ito's palette: told apart by colour-blind people too.
    const fn rgb(self) -> Rgb888 {
        match self {
            Self::Good => Rgb888::new(0, 158, 115),
            Self::Bad => Rgb888::new(213, 94, 0),
        }
    }
}

/// A picture to draw boxes and labels on.
pub(super) struct Canvas(RgbImage);

impl Canvas {
    pub(super) fn new(image: RgbImage) -> Self {
        Self(image)
    }

    /// A face's box, with a label above it.
    pub(super) fn face(&mut self, bbox: BBox, colour: Colour, label: &str) {
        let line_px = (self.0.width().max(self.0.height()) / 300).max(2);
        let corner = Point::new(bbox.x.round() as i32, bbox.y.round() as i32);
        let size = Size::new(bbox.w.round().max(0.0) as u32, bbox.h.round().max(0.0) as u32);
        let Ok(()) = Rectangle::new(corner, size)
            .into_styled(PrimitiveStyle::with_stroke(colour.rgb(), line_px))
            .draw(&mut *self);
        if label.is_empty() {
            return;
        }
        let style = MonoTextStyle::new(&FONT_10X20, Rgb888::WHITE);
        let width = 10 * label.chars().count() as i32 + 8;
        // Above the box where there is room, and always inside the picture.
        let x = corner.x.min(self.0.width() as i32 - width).max(0);
        let y = (corner.y - FONT_PX as i32 - 4).max(0);
        let plate = Rectangle::new(Point::new(x, y), Size::new(width as u32, FONT_PX + 4));
        let Ok(()) = plate.into_styled(PrimitiveStyle::with_fill(colour.rgb())).draw(&mut *self);
        let Ok(_) = Text::with_baseline(label, Point::new(x + 4, y + 2), style, Baseline::Top).draw(&mut *self);
    }

    /// The five landmarks.
    pub(super) fn landmarks(&mut self, landmarks: Landmarks5) {
        for p in landmarks.0 {
            let Ok(()) = Circle::with_center(Point::new(p.x.round() as i32, p.y.round() as i32), 5)
                .into_styled(PrimitiveStyle::with_fill(Rgb888::WHITE))
                .draw(&mut *self);
        }
    }

    /// A line of small text, 6 px a character, below and to the right of the place given.
    pub(super) fn caption(&mut self, x: u32, y: u32, text: &str) {
        let (at, style) = (Point::new(x as i32, y as i32 + 1), MonoTextStyle::new(&FONT_6X10, Rgb888::WHITE));
        let Ok(_) = Text::with_baseline(text, at, style, Baseline::Top).draw(&mut *self);
    }

    /// The picture as a JPEG.
    pub(super) fn jpeg(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&self.0).map_err(io::Error::other)?;
        Ok(bytes)
    }

    /// Writes the picture as a JPEG.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let written = self.jpeg().and_then(|jpeg| fs::write(path, jpeg));
        written.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(p, c) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(p.x), u32::try_from(p.y))
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                pixel.0 = [c.r(), c.g(), c.b()];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_over_the_edge_is_drawn_as_far_as_it_goes() {
        let mut canvas = Canvas::new(RgbImage::new(64, 64));
        let bbox = BBox { x: -20.0, y: -20.0, w: 60.0, h: 500.0 };
        canvas.face(bbox, Colour::Good, "a label much longer than the picture is wide");
        assert!(canvas.0.pixels().any(|p| p.0 == [0, 158, 115]));
    }
}
