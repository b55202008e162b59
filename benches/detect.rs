//! What a working size finds, and what it costs: the measurement behind `DetectorSettings::default`.
//!
//! `DOORWARD_DATA=... cargo bench --bench detect` prints, for every working size, the share of faces found by their width in a
//! 1280x720 frame and the time of one frame. Faces are photos of LFW View 1 scaled and laid over the demo's door; where a
//! face is, is taken from the photo itself looked at with 480 px.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use doorward::config::DetectorSettings;
use doorward::detect;
use doorward::domain::BBox;
use doorward::models::ModelStore;
use image::RgbImage;
use image::imageops::{self, FilterType};

const SIZES_PX: [u32; 8] = [160, 224, 256, 320, 384, 416, 480, 640];
const FACES_PX: [u32; 9] = [24, 32, 40, 50, 60, 80, 120, 160, 200];
const PHOTOS: usize = 150;

/// A photo and the box of the face in its middle.
struct Photo {
    image: RgbImage,
    face: BBox,
}

fn main() {
    let Some(data) = std::env::var_os("DOORWARD_DATA").map(PathBuf::from) else {
        println!("skipped: DOORWARD_DATA names no folder of measuring data");
        return;
    };
    let models = ModelStore::embedded().expect("the models are embedded by default");
    let detector = |working_size_px| {
        let settings = DetectorSettings { working_size_px, min_face_px: 8.0, ..DetectorSettings::default() };
        detect::build(&settings, &models).expect("YuNet is in the catalogue")
    };
    let photos = photos(&data, &mut *detector(480));
    let door = door();
    let mut detectors: Vec<_> = SIZES_PX.iter().map(|&size| detector(size)).collect();

    println!("{} photos. Faces found, %, by face width in a 1280x720 frame:", photos.len());
    println!("{:>8} {}", "px", SIZES_PX.map(|s| format!("{s:>6}")).concat());
    for face_px in FACES_PX {
        let mut found = [0usize; SIZES_PX.len()];
        for (n, photo) in photos.iter().enumerate() {
            let (frame, face) = frame_with(&door, photo, face_px, n);
            for (found, detector) in found.iter_mut().zip(&mut detectors) {
                let faces = detector.detect(&frame).expect("a frame can be looked at");
                *found += usize::from(faces.iter().any(|f| f.bbox.iou(&face) > 0.4));
            }
        }
        println!("{face_px:>8} {}", found.map(|n| format!("{:>6.1}", percent(n, photos.len()))).concat());
    }

    let mut found = [0usize; SIZES_PX.len()];
    for photo in &photos {
        for (found, detector) in found.iter_mut().zip(&mut detectors) {
            let faces = detector.detect(&photo.image).expect("a photo can be looked at");
            *found += usize::from(faces.iter().any(|f| f.bbox.iou(&photo.face) > 0.4));
        }
    }
    println!("{:>8} {}", "photo", found.map(|n| format!("{:>6.1}", percent(n, photos.len()))).concat());

    // Interleaved, so that whatever else the machine does falls on all alike.
    let (frame, _) = frame_with(&door, &photos[0], 120, 0);
    let mut times_ms: [Vec<f64>; SIZES_PX.len()] = Default::default();
    for _ in 0..40 {
        for (times, detector) in times_ms.iter_mut().zip(&mut detectors) {
            let start = Instant::now();
            detector.detect(&frame).expect("a frame can be looked at");
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times_ms.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    println!("{:>8} {}", "ms p50", times_ms.each_ref().map(|t| format!("{:>6.2}", t[t.len() / 2])).concat());
    println!("{:>8} {}", "ms min", times_ms.each_ref().map(|t| format!("{:>6.2}", t[0])).concat());
}

fn percent(n: usize, of: usize) -> f64 {
    100.0 * n as f64 / of as f64
}

/// Every so manieth photo of people nobody enrols, with the face nearest its middle.
fn photos(data: &Path, detector: &mut dyn detect::FaceDetector) -> Vec<Photo> {
    let folder = data.join("lfw-dev");
    let list = std::fs::read_to_string(folder.join("probes_nonmated.csv")).expect("the list of photos is there");
    let names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    let every = (names.len() / PHOTOS).max(1);
    let photo = |name: &&str| {
        let image = image::open(folder.join(name)).ok()?.to_rgb8();
        let (x, y) = (image.width() as f32 / 2.0, image.height() as f32 / 2.0);
        let off = |b: &BBox| (b.centre().x - x).hypot(b.centre().y - y);
        let faces = detector.detect(&image).ok()?;
        let face = faces.iter().map(|f| f.bbox).min_by(|a, b| off(a).total_cmp(&off(b)))?;
        Some(Photo { image, face })
    };
    names.iter().step_by(every).take(PHOTOS).filter_map(photo).collect()
}

/// The first frame of the demo, an empty door, at 1280x720.
fn door() -> RgbImage {
    let film = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/door.mjpeg")).expect("the demo is there");
    let first =
        image::load_from_memory_with_format(&film, image::ImageFormat::Jpeg).expect("its first frame is a JPEG");
    imageops::resize(&first.to_rgb8(), 1280, 720, FilterType::Triangle)
}

/// The door with the photo's face `face_px` wide, at a place that differs from photo to photo.
fn frame_with(door: &RgbImage, photo: &Photo, face_px: u32, n: usize) -> (RgbImage, BBox) {
    let scale = face_px as f32 / photo.face.w;
    let side = |px: u32| ((px as f32 * scale) as u32).max(1);
    let (w, h) = (side(photo.image.width()), side(photo.image.height()));
    let small = imageops::resize(&photo.image, w, h, FilterType::Triangle);
    let place = |room: u32, step: usize| ((n * step) % room.max(1) as usize) as i64;
    let (x, y) = (place(door.width().saturating_sub(w), 137), place(door.height().saturating_sub(h), 61));
    let mut frame = door.clone();
    imageops::overlay(&mut frame, &small, x, y);
    let face = photo.face;
    let at = |origin: i64, px: f32| origin as f32 + px * scale;
    (frame, BBox { x: at(x, face.x), y: at(y, face.y), w: face.w * scale, h: face.h * scale })
}
