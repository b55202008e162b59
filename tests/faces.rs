//! Detecting, aligning and embedding real faces, as the pipeline does it.

use doorward::config::{DetectorBackend, DetectorSettings, QualityLimits};
use doorward::detect::{self, FaceDetector};
use doorward::domain::{AlignedFace, Clock, Detection, Embedding, FrameRef, Landmarks5, SourceId, SystemClock};
use doorward::models::{ModelStore, Role};
use doorward::{align, embed};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

fn models() -> ModelStore {
    ModelStore::embedded().unwrap()
}

fn yunet() -> Box<dyn FaceDetector> {
    detect::build(&DetectorSettings::default(), &models()).unwrap()
}

fn seeta() -> Box<dyn FaceDetector> {
    let settings = DetectorSettings { backend: DetectorBackend::Seeta, ..DetectorSettings::default() };
    detect::build(&settings, &models()).unwrap()
}

fn picture(path: &str) -> RgbImage {
    image::open(path).unwrap_or_else(|error| panic!("{path}: {error}")).to_rgb8()
}

/// The frames of the demo that show somebody or nobody, by number. JPEGs stand in it one behind the other, without thumbnails.
fn demo_frames(numbers: &[usize]) -> Vec<RgbImage> {
    let film = std::fs::read("demo/door.mjpeg").unwrap();
    let marks = |mark: [u8; 3]| film.windows(3).enumerate().filter(move |(_, w)| *w == mark).map(|(at, _)| at);
    let starts: Vec<usize> = marks([0xff, 0xd8, 0xff]).chain([film.len()]).collect();
    let decode = |&n: &usize| image::load_from_memory(&film[starts[n]..starts[n + 1]]).unwrap().to_rgb8();
    numbers.iter().map(decode).collect()
}

fn at() -> FrameRef {
    FrameRef { source: SourceId::new("test"), seq: 0, captured: SystemClock.now() }
}

fn only(faces: Vec<Detection>) -> Detection {
    assert_eq!(faces.len(), 1, "{faces:?}");
    faces.into_iter().next().unwrap()
}

fn aligned(image: &RgbImage) -> AlignedFace {
    let face = only(yunet().detect(image).unwrap());
    align::align(&at(), image, &face).unwrap()
}

fn embedding(image: &RgbImage) -> Embedding {
    embed::build(None, &models()).unwrap().embed(&aligned(image).crop).unwrap()
}

fn eye_distance(l: &Landmarks5) -> f32 {
    (l.0[1].x - l.0[0].x).hypot(l.0[1].y - l.0[0].y)
}

/// Mean distance of two sets of landmarks in eye distances of the second.
fn landmark_error(found: &Landmarks5, truth: &Landmarks5) -> f32 {
    let sum: f32 = found.0.iter().zip(&truth.0).map(|(a, b)| (a.x - b.x).hypot(a.y - b.y)).sum();
    sum / 5.0 / eye_distance(truth)
}

#[test]
fn the_demo_shows_one_face_where_somebody_is_and_none_where_nobody_is() {
    let mut detector = yunet();
    for (numbers, faces) in [(&[0, 4, 47, 77, 108, 140][..], 0), (&[20, 30, 44, 60, 74, 90, 104, 120, 134], 1)] {
        for (n, frame) in numbers.iter().zip(demo_frames(numbers)) {
            let found = detector.detect(&frame).unwrap();
            assert_eq!(found.len(), faces, "frame {n}: {found:?}");
        }
    }
}

#[test]
fn six_faces_are_six_and_a_cup_of_coffee_is_none() {
    let mut detector = yunet();
    let six = detector.detect(&picture("tests/pictures/six-faces.jpg")).unwrap();
    assert_eq!(six.len(), 6, "{six:?}");
    assert!(six.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(detector.detect(&picture("tests/pictures/no-face.jpg")).unwrap(), []);
}

#[test]
fn landmarks_are_in_the_templates_order_and_inside_the_box() {
    for name in ["portrait", "stranger"] {
        let face = only(yunet().detect(&picture(&format!("tests/pictures/{name}.jpg"))).unwrap());
        let [left_eye, right_eye, nose, left_mouth, right_mouth] = face.landmarks.0;
        assert!(left_eye.x < right_eye.x && left_mouth.x < right_mouth.x, "{face:?}");
        assert!(left_eye.y < nose.y && right_eye.y < nose.y && nose.y < left_mouth.y && nose.y < right_mouth.y);
        let b = face.bbox;
        for p in face.landmarks.0 {
            assert!((b.x..b.x + b.w).contains(&p.x) && (b.y..b.y + b.h).contains(&p.y), "{face:?}");
        }
    }
}

#[test]
fn frames_of_every_size_are_looked_at() {
    let portrait = picture("tests/pictures/portrait.jpg");
    for backend in [DetectorBackend::Yunet, DetectorBackend::Seeta] {
        let settings = DetectorSettings { backend, ..DetectorSettings::default() };
        let mut detector = detect::build(&settings, &models()).unwrap();
        for (w, h) in [(32, 32), (33, 47), (641, 479), (4095, 33), (33, 4095), (1, 1), (1, 300), (4096, 4096)] {
            let frame = imageops::resize(&portrait, w, h, FilterType::Triangle);
            for face in detector.detect(&frame).unwrap() {
                align::align(&at(), &frame, &face).unwrap();
            }
        }
        let error = detector.detect(&RgbImage::new(0, 0)).unwrap_err();
        assert!(error.to_string().contains("0x0"), "{error}");
    }
}

#[test]
fn a_face_is_found_at_every_scale_and_measures_what_it_should() {
    let portrait = picture("tests/pictures/portrait.jpg");
    let natural = only(yunet().detect(&portrait).unwrap());
    let settings = DetectorSettings { min_face_px: 8.0, ..DetectorSettings::default() };
    let mut detector = detect::build(&settings, &models()).unwrap();
    for side in [32, 64, 110, 440, 1100, 2500] {
        let frame = imageops::resize(&portrait, side, side, FilterType::Triangle);
        let face = only(detector.detect(&frame).unwrap());
        let expected = natural.bbox.w * side as f32 / 220.0;
        assert!((face.bbox.w / expected - 1.0).abs() < 0.15, "{side}: {} is not {expected}", face.bbox.w);
    }
}

#[test]
fn a_face_smaller_than_asked_for_is_not_reported() {
    let portrait = picture("tests/pictures/portrait.jpg");
    let face = only(yunet().detect(&portrait).unwrap());
    let shorter = face.bbox.w.min(face.bbox.h);
    for (min_face_px, faces) in [(shorter - 1.0, 1), (shorter + 1.0, 0)] {
        let settings = DetectorSettings { min_face_px, ..DetectorSettings::default() };
        let found = detect::build(&settings, &models()).unwrap().detect(&portrait).unwrap();
        assert_eq!(found.len(), faces);
    }
}

/// Black beside or below the frame, up to a square: the working scale stays, so boxes move by the offset and nothing else. By
/// whole cells of the coarsest map the network sees the same; between, its own answer moves by a little of the face.
#[test]
fn padding_the_frame_moves_boxes_by_the_offset_only() {
    let wide = demo_frames(&[90]).remove(0);
    let (w, h) = wide.dimensions();
    let middle = only(yunet().detect(&wide).unwrap()).bbox.centre().x as u32;
    let tall = imageops::crop_imm(&wide, middle.saturating_sub(h / 3).min(w - 2 * h / 3), 0, 2 * h / 3, h).to_image();
    for (frame, across) in [(wide, 0), (tall, 1)] {
        let face = only(yunet().detect(&frame).unwrap());
        let side = frame.width().max(frame.height());
        // In px of the frame; three cells are a whole number of them at 640 px, and one is at 360.
        let cells = |n: u32| n * 32 * side / DetectorSettings::default().working_size_px;
        for (offset, tolerance) in [(0, 1.0), (cells(3), 2.0), (cells(1) / 2 + 5, 0.03 * face.bbox.w)] {
            let (x, y) = (offset * across, offset * (1 - across));
            let mut padded = RgbImage::new(side, side);
            imageops::replace(&mut padded, &frame, x.into(), y.into());
            let moved = only(yunet().detect(&padded).unwrap());
            let of_box = (moved.bbox.centre().x - face.bbox.centre().x, moved.bbox.centre().y - face.bbox.centre().y);
            let pairs = face.landmarks.0.iter().zip(&moved.landmarks.0).map(|(a, b)| (b.x - a.x, b.y - a.y));
            let of_landmarks = pairs.fold((0.0, 0.0), |(sx, sy), (dx, dy)| (sx + dx / 5.0, sy + dy / 5.0));
            for (dx, dy) in [of_box, of_landmarks] {
                let off = (dx - x as f32).abs().max((dy - y as f32).abs());
                assert!(
                    off < tolerance,
                    "{w}x{h}: moved by ({dx}, {dy}) instead of ({x}, {y}), {tolerance} px allowed"
                );
            }
        }
    }
}

#[test]
fn a_face_partly_outside_is_cut_black_and_not_refused_by_a_panic() {
    let portrait = picture("tests/pictures/portrait.jpg");
    let face = only(yunet().detect(&portrait).unwrap());
    let cut = (face.bbox.centre().x) as u32;
    let half = imageops::crop_imm(&portrait, 0, 0, cut, 220).to_image();
    let whole = align::align(&at(), &portrait, &face).unwrap();
    let part = align::align(&at(), &half, &face).unwrap();
    assert!(part.quality.brightness < whole.quality.brightness);
    let right_edge = part.crop.as_rgb().chunks_exact(112 * 3).all(|row| row[111 * 3..] == [0, 0, 0]);
    assert!(right_edge);
}

#[test]
fn the_same_person_is_alike_and_a_stranger_is_not() {
    let portrait = embedding(&picture("tests/pictures/portrait.jpg"));
    let grey = embedding(&picture("tests/pictures/grey.jpg"));
    let stranger = embedding(&picture("tests/pictures/stranger.jpg"));
    let [collins, hopper] = [60, 120].map(|n| embedding(&demo_frames(&[n]).remove(0)));
    let obama = ["2009", "2010"].map(|year| embedding(&picture(&format!("demo/enrol/Barack Obama/{year}.jpg"))));
    let alike = |a: &Embedding, b: &Embedding| a.similarity(b).unwrap().value();
    let threshold =
        models().default_for(Role::Recogniser).unwrap().one_to_many("fpir-0.003").unwrap().at(10).threshold.value();
    for (a, b) in [(&portrait, &grey), (&portrait, &collins), (&stranger, &hopper), (&obama[0], &obama[1])] {
        assert!(alike(a, b) > threshold, "mated: {}", alike(a, b));
    }
    for (a, b) in [(&portrait, &stranger), (&collins, &hopper), (&obama[0], &collins), (&obama[1], &stranger)] {
        assert!(alike(a, b) < threshold - 0.1, "non-mated: {}", alike(a, b));
    }
}

#[test]
fn quality_follows_what_is_done_to_the_picture() {
    let portrait = picture("tests/pictures/portrait.jpg");
    let good = aligned(&portrait).quality;
    assert_eq!(align::refusals(&good, &QualityLimits::default()), [], "{good:?}");

    let blurred = aligned(&imageops::blur(&portrait, 2.5)).quality;
    assert!(blurred.sharpness < good.sharpness / 10.0);
    let dark = aligned(&RgbImage::from_fn(220, 220, |x, y| Rgb(portrait.get_pixel(x, y).0.map(|v| v / 3)))).quality;
    assert!(dark.brightness < good.brightness / 2.5);

    let mirrored = aligned(&imageops::flip_horizontal(&portrait)).quality;
    assert!((mirrored.yaw_deg + good.yaw_deg).abs() < 4.0, "{} {}", mirrored.yaw_deg, good.yaw_deg);
    assert!((mirrored.roll_deg + good.roll_deg).abs() < 3.0, "{} {}", mirrored.roll_deg, good.roll_deg);
}

/// The measure itself is exact (`align`'s own tests); YuNet's landmarks lean towards upright, so of 20 degrees it shows 14 or more.
#[test]
fn turning_the_picture_turns_the_roll() {
    let portrait = picture("tests/pictures/portrait.jpg");
    let upright = aligned(&portrait).quality.roll_deg;
    let mut last = f32::NEG_INFINITY;
    for degrees in [-20.0, -10.0, 0.0, 10.0, 20.0] {
        let roll = aligned(&turned(&portrait, degrees)).quality.roll_deg;
        assert!(
            (roll - upright - degrees).abs() < 2.0 + 0.25 * degrees.abs(),
            "turned by {degrees}: {upright} to {roll}"
        );
        assert!(roll > last, "turned by {degrees}: {last} to {roll}");
        last = roll;
    }
}

/// The picture turned clockwise about its middle, nearest pixel.
fn turned(image: &RgbImage, degrees: f32) -> RgbImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cx, cy) = (image.width() as f32 / 2.0, image.height() as f32 / 2.0);
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (dx, dy) = (x as f32 - cx, y as f32 - cy);
        let (sx, sy) = (cx + dx * cos + dy * sin, cy - dx * sin + dy * cos);
        let inside = sx >= 0.0 && sy >= 0.0 && sx < image.width() as f32 && sy < image.height() as f32;
        if inside { *image.get_pixel(sx as u32, sy as u32) } else { Rgb([0; 3]) }
    })
}

#[test]
fn seeta_finds_the_portraits_and_its_landmarks_lie_near_yunets() {
    let (mut seeta, mut yunet) = (seeta(), yunet());
    let portraits =
        ["portrait", "stranger", "grey", "exif-1"].map(|name| picture(&format!("tests/pictures/{name}.jpg")));
    for image in portraits.into_iter().chain(demo_frames(&[60, 90, 120])) {
        let (found, truth) = (only(seeta.detect(&image).unwrap()), only(yunet.detect(&image).unwrap()));
        assert!(found.bbox.iou(&truth.bbox) > 0.4, "{:?} {:?}", found.bbox, truth.bbox);
        let error = landmark_error(&found.landmarks, &truth.landmarks);
        assert!(error < 0.15, "mean landmark error {error} eye distances");
    }
    assert_eq!(seeta.detect(&picture("tests/pictures/no-face.jpg")).unwrap(), []);
}
