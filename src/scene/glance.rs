use image::RgbImage;

/// Brightness of the brightest twentieth of a picture below which nothing can be told from the dark, luma 0..=255. No face that is
/// good enough to be compared is this dark: `QualityLimits` ask for 40.
const DARK: u8 = 32;

/// Brightness of the darkest twentieth above which everything is blown out.
const DAZZLED: u8 = 240;

/// A frame, looked at for a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    cells: [u8; Glance::CELLS],
}

/// Whether there is light to see a face by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Light {
    /// The picture is black, or nearly.
    Dark,
    /// There is.
    Usable,
    /// The picture is white, or nearly.
    Dazzled,
}

impl Glance {
    /// Cells in a row.
    pub const WIDTH: usize = 32;
    /// Cells in a column.
    pub const HEIGHT: usize = 24;
    /// Cells in all.
    pub const CELLS: usize = Self::WIDTH * Self::HEIGHT;
    /// Pixels of a cell that are looked at, in either direction.
    const SAMPLES: usize = 4;

    /// Looks at a picture.
    pub fn of(image: &RgbImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let mut cells = [0; Self::CELLS];
        if width == 0 || height == 0 {
            return Self { cells };
        }
        let pixels = image.as_raw().as_chunks::<3>().0;
        // Where the sample with this number lies on a side that is cut into so many.
        let place = |sample: usize, samples: usize, side: usize| (2 * sample + 1) * side / (2 * samples);
        for (row, line) in cells.as_chunks_mut::<{ Self::WIDTH }>().0.iter_mut().enumerate() {
            let mut sums = [0_u32; Self::WIDTH];
            for sub in 0..Self::SAMPLES {
                let y = place(row * Self::SAMPLES + sub, Self::HEIGHT * Self::SAMPLES, height);
                for sample in 0..Self::WIDTH * Self::SAMPLES {
                    let x = place(sample, Self::WIDTH * Self::SAMPLES, width);
                    let [r, g, b] = pixels[y * width + x];
                    // Luma of BT.601 in 256ths.
                    sums[sample / Self::SAMPLES] += (77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)) >> 8;
                }
            }
            for (cell, sum) in line.iter_mut().zip(sums) {
                *cell = (sum / (Self::SAMPLES * Self::SAMPLES) as u32) as u8;
            }
        }
        Self { cells }
    }

    /// The cells' luma, row by row, 0..=255.
    pub fn cells(&self) -> &[u8; Self::CELLS] {
        &self.cells
    }

    /// Whether there is light to see a face by.
    pub fn light(&self) -> Light {
        let mut cells = self.cells;
        let twentieth = Self::CELLS / 20;
        let (_, brightest, _) = cells.select_nth_unstable(Self::CELLS - 1 - twentieth);
        if *brightest < DARK {
            return Light::Dark;
        }
        let (_, darkest, _) = cells.select_nth_unstable(twentieth);
        if *darkest > DAZZLED { Light::Dazzled } else { Light::Usable }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    fn grey(width: u32, height: u32, of: impl Fn(u32, u32) -> u8) -> Glance {
        Glance::of(&RgbImage::from_fn(width, height, |x, y| Rgb([of(x, y); 3])))
    }

    #[test]
    fn a_cell_is_the_mean_of_its_place() {
        let glance = grey(640, 480, |x, y| if x < 320 && y < 240 { 200 } else { 40 });
        assert_eq!((glance.cells()[0], glance.cells()[31], glance.cells()[23 * 32]), (200, 40, 40));
    }

    #[test]
    fn black_is_dark_and_white_is_dazzled() {
        assert_eq!(grey(640, 480, |_, _| 4).light(), Light::Dark);
        assert_eq!(grey(640, 480, |_, _| 252).light(), Light::Dazzled);
        assert_eq!(grey(640, 480, |_, _| 120).light(), Light::Usable);
    }

    #[test]
    fn a_lit_face_in_the_night_can_be_seen_and_one_before_a_window_too() {
        let face = |x: u32, y: u32| (240..400).contains(&x) && (120..320).contains(&y);
        assert_eq!(grey(640, 480, |x, y| if face(x, y) { 110 } else { 2 }).light(), Light::Usable);
        assert_eq!(grey(640, 480, |x, y| if face(x, y) { 70 } else { 255 }).light(), Light::Usable);
    }

    #[test]
    fn real_pictures_have_light() {
        let portrait = image::open("tests/pictures/portrait.jpg").unwrap().to_rgb8();
        assert_eq!(Glance::of(&portrait).light(), Light::Usable);
    }

    proptest! {
        #[test]
        fn any_size_is_looked_at_and_no_cell_leaves_the_picture(
            width in 0u32..200, height in 0u32..200, low in 0u8..200, spread in 0u8..50,
        ) {
            let glance = grey(width, height, |x, y| low + ((x * 31 + y * 17) % (u32::from(spread) + 1)) as u8);
            if width > 0 && height > 0 {
                prop_assert!(glance.cells().iter().all(|cell| (low..=low + spread).contains(cell)));
            }
        }
    }
}
