use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use image::{GenericImage, Rgb, RgbImage};

use super::{Failure, annotation::Canvas};
use crate::{domain::FaceCrop, enrol::Accepted};

const COLUMNS: usize = 5;
const GAP_PX: u32 = 8;
const SIDE_PX: u32 = FaceCrop::SIDE_PX as u32;
/// Three lines below each crop.
const CAPTION_LINES: u32 = 3;
const LINE_PX: u32 = 12;
const TILE_PX: (u32, u32) = (SIDE_PX + GAP_PX, SIDE_PX + CAPTION_LINES * LINE_PX + GAP_PX);
/// What fits below a crop.
const CAPTION_CHARS: usize = SIDE_PX as usize / 6;
const PAPER: Rgb<u8> = Rgb([24, 24, 24]);

/// The crops that were taken, side by side with their quality, as a JPEG. Pictures of a person: readable by its owner only, and
/// written only because somebody asked for it.
pub(super) struct Sheet {
    path: PathBuf,
    jpeg: Vec<u8>,
}

impl Sheet {
    /// A sheet that will be written to `path`.
    ///
    /// # Errors
    /// When something is there already, or the name is not that of a JPEG.
    pub(super) fn at(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        if !["jpg", "jpeg"].contains(&extension.as_str()) {
            return Err(Failure::usage(format!(
                "{}: the sheet is a JPEG; give a name that ends in .jpg",
                path.display()
            )));
        }
        if path.symlink_metadata().is_ok() {
            let there =
                format!("{}: is there already, and pictures are not overwritten; give another name", path.display());
            return Err(Failure::usage(there));
        }
        Ok(Self { path: path.to_owned(), jpeg: Vec::new() })
    }

    /// Draws what was taken, each with its title.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(super) fn draw(&mut self, taken: &[(String, &Accepted)]) -> io::Result<()> {
        self.jpeg = tiles(taken).jpeg()?;
        Ok(())
    }

    /// Writes what was drawn.
    ///
    /// # Errors
    /// When it cannot be written; then nothing is left.
    pub(super) fn write(&self) -> Result<(), Failure> {
        let refuse = |e: io::Error| Failure::usage(format!("{}: cannot be written: {e}", self.path.display()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path).map_err(refuse)?;
        file.write_all(&self.jpeg).and_then(|()| file.sync_all()).map_err(|e| {
            self.remove();
            io::Error::new(e.kind(), format!("{}: {e}", self.path.display()))
        })?;
        Ok(())
    }

    /// Takes it away again.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn tiles(taken: &[(String, &Accepted)]) -> Canvas {
    let (columns, rows) = (taken.len().clamp(1, COLUMNS) as u32, taken.len().div_ceil(COLUMNS).max(1) as u32);
    let size = (GAP_PX + columns * TILE_PX.0, GAP_PX + rows * TILE_PX.1);
    let corner = |n: usize| {
        let (column, row) = ((n % COLUMNS) as u32, (n / COLUMNS) as u32);
        (GAP_PX + column * TILE_PX.0, GAP_PX + row * TILE_PX.1)
    };
    let mut picture = RgbImage::from_pixel(size.0, size.1, PAPER);
    for (n, (_, accepted)) in taken.iter().enumerate() {
        let crop = RgbImage::from_raw(SIDE_PX, SIDE_PX, accepted.crop.as_rgb().to_vec());
        let (x, y) = corner(n);
        crop.and_then(|crop| picture.copy_from(&crop, x, y).ok()).expect("the picture has room for every tile");
    }
    let mut canvas = Canvas::new(picture);
    for (n, (title, accepted)) in taken.iter().enumerate() {
        let (x, y) = corner(n);
        let q = &accepted.quality;
        let lines = [
            title.chars().take(CAPTION_CHARS).collect(),
            format!("yaw {:.0} pitch {:.0}", q.yaw_deg, q.pitch_deg),
            format!("{:.0} px sharp {:.0}", q.size_px, q.sharpness),
        ];
        for (line, text) in (0..).zip(lines) {
            canvas.caption(x, y + SIDE_PX + line * LINE_PX, &text);
        }
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Embedding, ModelId, SampleQuality};

    fn accepted(grey: u8) -> Accepted {
        let quality = SampleQuality {
            size_px: 100.0,
            sharpness: 800.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: -18.0,
            pitch_deg: 3.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        let embedding = Embedding::new(ModelId::new("test", [1; 32]), &[1.0, 0.0]).unwrap();
        Accepted { embedding, quality, crop: FaceCrop::from_rgb(vec![grey; FaceCrop::BYTES]).unwrap() }
    }

    #[test]
    fn every_number_of_crops_has_its_place() {
        let grey = accepted(120);
        for n in [0, 1, 4, 5, 6, 30] {
            let taken: Vec<(String, &Accepted)> =
                (0..n).map(|_| ("a title much longer than a crop is wide".to_owned(), &grey)).collect();
            let decoded = image::load_from_memory(&tiles(&taken).jpeg().unwrap()).unwrap().to_rgb8();
            let crops = decoded.pixels().filter(|p| p.0.iter().all(|v| v.abs_diff(120) < 6)).count();
            let area = (SIDE_PX * SIDE_PX) as usize;
            assert!(crops >= n * area * 95 / 100 && crops <= n * area * 115 / 100, "{n}: {crops}");
        }
    }

    #[test]
    fn a_sheet_is_its_owners_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.jpg");
        let (mut sheet, grey) = (Sheet::at(&path).unwrap(), accepted(90));
        sheet.draw(&[("front".into(), &grey)]).unwrap();
        assert!(!path.exists(), "not before it is asked for");
        sheet.write().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(Sheet::at(&path).is_err() && sheet.write().is_err(), "nothing is overwritten");
        assert!(Sheet::at(&folder.path().join("sheet.png")).is_err());
        assert!(Sheet::at(&folder.path().join("none/sheet.jpg")).unwrap().write().is_err());
    }
}
