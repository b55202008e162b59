//! Pictures as people have them: turned, grey, four inks, transparent; and such as are none at all.
//! Each is read or refused with its name and a remedy; none is a panic.

use std::{fs, io::Cursor, path::Path};

use doorward::capture::{PictureError, decode_picture, read_picture};
use image::{DynamicImage, GrayImage, ImageEncoder, ImageFormat, RgbImage, codecs::png::PngEncoder};

fn picture(name: &str) -> RgbImage {
    read_picture(&Path::new("tests/pictures").join(name)).unwrap()
}

/// Mean absolute difference of all channels, grey levels.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / a.len() as f64
}

fn refusal(bytes: &[u8]) -> String {
    decode_picture(bytes, "door.jpg").unwrap_err().to_string()
}

#[test]
fn a_turned_picture_is_set_upright() {
    let upright = picture("exif-1.jpg");
    assert_eq!(upright.dimensions(), (160, 200));
    for n in [3, 5, 6, 8] {
        let turned = picture(&format!("exif-{n}.jpg"));
        // Encoded after turning, so equal up to JPEG's own loss.
        assert!(difference(&upright, &turned) < 2.0, "orientation {n}: {}", difference(&upright, &turned));
    }
}

/// All eight orientations, lossless: what a PNG with an eXIf chunk, and the tag's definition, say.
#[test]
fn all_eight_orientations_of_a_png() {
    // 40 wide, 50 high; one bright quarter at the top left.
    let upright = GrayImage::from_fn(40, 50, |x, y| [if x < 20 && y < 25 { 255 } else { 0 }].into());
    let upright = DynamicImage::ImageLuma8(upright);
    let stored = [
        upright.clone(),
        upright.fliph(),
        upright.rotate180(),
        upright.flipv(),
        upright.rotate270().flipv(),
        upright.rotate270(),
        upright.rotate90().flipv(),
        upright.rotate90(),
    ];
    for (stored, orientation) in stored.iter().zip(1_u8..) {
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        let exif = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], &[0; 6]].concat();
        encoder.set_exif_metadata(exif).unwrap();
        stored.write_with_encoder(encoder).unwrap();
        let read = decode_picture(&bytes, "turned.png").unwrap();
        assert_eq!(read, upright.to_rgb8(), "orientation {orientation}");
    }
}

#[test]
fn four_inks_and_grey_become_rgb() {
    let portrait = picture("portrait.jpg");
    assert!(difference(&portrait, &picture("cmyk.jpg")) < 4.0, "{}", difference(&portrait, &picture("cmyk.jpg")));
    let grey = picture("grey.jpg");
    assert!(grey.pixels().all(|p| p[0] == p[1] && p[1] == p[2]));
    let luma = DynamicImage::ImageLuma8(DynamicImage::ImageRgb8(portrait).to_luma8()).to_rgb8();
    assert!(difference(&luma, &grey) < 4.0, "{}", difference(&luma, &grey));
}

#[test]
fn transparency_lies_on_white() {
    let (portrait, alpha) = (picture("portrait.jpg"), picture("alpha.png"));
    let (width, height) = alpha.dimensions();
    let part = |image: &RgbImage, y: u32, rows: u32| image::imageops::crop_imm(image, 0, y, width, rows).to_image();
    assert!(part(&alpha, 0, 8).iter().all(|&v| v == 255), "clear rows are white");
    assert!(difference(&part(&alpha, 8, 150), &part(&portrait, 8, 150)) < 3.0, "opaque rows are the portrait");
    // Half clear: half way between the portrait and white.
    let mut half = part(&portrait, height - 24, 24);
    half.iter_mut().for_each(|v| *v = ((u16::from(*v) * 128 + 255 * 127) / 255) as u8);
    assert!(difference(&part(&alpha, height - 24, 24), &half) < 3.0);
}

#[test]
fn sixteen_bits_a_channel_become_eight() {
    let deep = image::ImageBuffer::from_fn(64, 48, |x, y| image::Rgb([(x * 1000) as u16, (y * 1300) as u16, 0xFFFF]));
    let mut bytes = Vec::new();
    DynamicImage::ImageRgb16(deep.clone()).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    let read = decode_picture(&bytes, "deep.png").unwrap();
    for (read, deep) in read.pixels().zip(deep.pixels()) {
        for c in 0..3 {
            assert!((f64::from(read[c]) - f64::from(deep[c]) / 257.0).abs() <= 1.0);
        }
    }
}

#[test]
fn the_content_decides_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let png_named_jpg = folder.path().join("alpha.jpg");
    fs::copy("tests/pictures/alpha.png", &png_named_jpg).unwrap();
    assert_eq!(read_picture(&png_named_jpg).unwrap(), picture("alpha.png"));
    let text = folder.path().join("letter.jpg");
    fs::write(&text, "Dear door, please open.").unwrap();
    let said = read_picture(&text).unwrap_err().to_string();
    assert!(said.contains("letter.jpg") && said.contains("not a JPEG or PNG picture"), "{said}");
}

#[test]
fn what_cannot_be_read_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let missing = read_picture(&folder.path().join("nobody.jpg")).unwrap_err();
    assert!(matches!(missing, PictureError::Missing { .. }) && missing.to_string().contains("nobody.jpg"));
    let a_folder = read_picture(folder.path()).unwrap_err();
    assert!(matches!(a_folder, PictureError::Folder { .. }) && a_folder.to_string().contains("*.jpg"));
    let empty = folder.path().join("empty.jpg");
    fs::write(&empty, []).unwrap();
    assert!(matches!(read_picture(&empty), Err(PictureError::Empty { .. })));
}

#[test]
fn a_cut_picture_is_damaged() {
    for name in ["portrait.jpg", "cmyk.jpg", "grey.jpg", "alpha.png", "six-faces.jpg"] {
        let whole = fs::read(Path::new("tests/pictures").join(name)).unwrap();
        for percent in [10, 30, 60, 90, 99] {
            let cut = decode_picture(&whole[..whole.len() * percent / 100], name);
            assert!(matches!(cut, Err(PictureError::Damaged { .. })), "{percent} % of {name}: {cut:?}");
        }
    }
}

#[test]
fn a_damaged_picture_is_never_a_panic() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for name in ["exif-6.jpg", "cmyk.jpg", "grey.jpg", "alpha.png"] {
        let whole = fs::read(Path::new("tests/pictures").join(name)).unwrap();
        for _ in 0..60 {
            let mut bytes = whole.clone();
            // Half of the damage near the start, where the headers are.
            for at in [random() % 700, random() % whole.len()] {
                bytes[at] = random() as u8;
            }
            let _ = decode_picture(&bytes, name);
        }
    }
}

#[test]
fn a_size_beyond_the_limits_is_refused_from_the_header_alone() {
    // Headers only: had anything been allocated or decoded first, the refusal would be another.
    for header in [png_header(12_000, 12_000), jpeg_header(12_000, 12_000)] {
        let said = refusal(&header);
        assert!(said.contains("12000x12000") && said.contains("50 megapixels"), "{said}");
    }
    for header in [png_header(1, 1), jpeg_header(1, 1), png_header(31, 400)] {
        assert!(refusal(&header).contains("smaller than 32x32"), "{}", refusal(&header));
    }
    assert!(refusal(&png_header(u32::MAX, u32::MAX)).contains("50 megapixels"));
    assert!(matches!(decode_picture(&png_header(0, 0), "x"), Err(PictureError::TooSmall { .. })));
}

#[test]
fn a_picture_wider_than_a_frame_may_be_is_reduced() {
    let wide = RgbImage::from_fn(5000, 64, |x, _| [(x / 20) as u8, 100, 50].into());
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&wide, 5000, 64, image::ExtendedColorType::Rgb8).unwrap();
    let read = decode_picture(&bytes, "wide.png").unwrap();
    assert_eq!(read.dimensions(), (4096, 52));
    assert!(read[(2048, 26)][0].abs_diff(125) <= 1);
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0]);
    bytes
}

/// A real JPEG cut after its scan header, its frame header saying another size.
fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = fs::read("tests/pictures/portrait.jpg").unwrap();
    let sof = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bytes[sof + 5..sof + 7].copy_from_slice(&height.to_be_bytes());
    bytes[sof + 7..sof + 9].copy_from_slice(&width.to_be_bytes());
    let sos = bytes.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    bytes.truncate(sos + 14);
    bytes
}
