//! How well a sample is suited to be recognised, measured part by part (ISO/IEC 29794-1).

use super::Pose;
use crate::config::QualityLimits;
use crate::domain::{Detection, FaceCrop, QualityPart, QualityRefusal, SampleQuality};

const SIDE: usize = FaceCrop::SIDE_PX;

/// Measures a crop and the detection it was cut from.
///
/// Sharpness is taken at crop scale, so a small face that was enlarged is measured as the blurred picture it is.
pub(super) fn measure(crop: &FaceCrop, detection: &Detection) -> SampleQuality {
    let luma = luma(crop);
    let (brightness, variance) = mean_and_variance(luma.iter().copied());
    let pose = Pose::of(&detection.landmarks);
    SampleQuality {
        size_px: detection.bbox.w.min(detection.bbox.h),
        sharpness: sharpness(&luma),
        brightness: brightness as f32,
        contrast: variance.sqrt() as f32,
        yaw_deg: pose.yaw_deg,
        pitch_deg: pose.pitch_deg,
        roll_deg: pose.roll_deg,
        detector_score: detection.score,
    }
}

/// The parts of `quality` that lie outside `limits`, in the order of [`QualityPart::ALL`]. A part that is NaN was not measured
/// and is always refused.
pub fn refusals(quality: &SampleQuality, limits: &QualityLimits) -> Vec<QualityRefusal> {
    QualityPart::ALL.into_iter().filter_map(|part| refusal(part, quality, limits)).collect()
}

fn refusal(part: QualityPart, q: &SampleQuality, limits: &QualityLimits) -> Option<QualityRefusal> {
    // Comparisons with NaN are false, hence "unless it is inside" and not "if it is outside".
    let at_least = |measured: f32, limit: f32| (measured, limit, measured >= limit);
    let at_most = |measured: f32, limit: f32| (measured, limit, measured.abs() <= limit);
    let (measured, limit, inside) = match part {
        QualityPart::Size => at_least(q.size_px, limits.min_size_px),
        QualityPart::Sharpness => at_least(q.sharpness, limits.min_sharpness),
        QualityPart::Brightness if q.brightness > limits.max_brightness => at_most(q.brightness, limits.max_brightness),
        QualityPart::Brightness => at_least(q.brightness, limits.min_brightness),
        QualityPart::Contrast => at_least(q.contrast, limits.min_contrast),
        QualityPart::Yaw => at_most(q.yaw_deg, limits.max_yaw_deg),
        QualityPart::Pitch => at_most(q.pitch_deg, limits.max_pitch_deg),
        QualityPart::Roll => at_most(q.roll_deg, limits.max_roll_deg),
        QualityPart::DetectorScore => at_least(q.detector_score, limits.min_detector_score),
    };
    (!inside).then_some(QualityRefusal { part, measured, limit })
}

/// ITU-R BT.601 luma, row by row.
fn luma(crop: &FaceCrop) -> Vec<i32> {
    let weigh = |&[r, g, b]: &[u8; 3]| (299 * i32::from(r) + 587 * i32::from(g) + 114 * i32::from(b) + 500) / 1000;
    crop.as_rgb().as_chunks::<3>().0.iter().map(weigh).collect()
}

/// Variance of the Laplacian (4 neighbours) over the pixels that have all neighbours (Pech-Pacheco et al., ICPR 2000).
fn sharpness(luma: &[i32]) -> f32 {
    let rows: Vec<&[i32]> = luma.chunks_exact(SIDE).collect();
    let mut laplacian = Vec::with_capacity((SIDE - 2) * (SIDE - 2));
    for three in rows.windows(3) {
        let (above, row, below) = (three[0], three[1], three[2]);
        laplacian.extend((1..SIDE - 1).map(|x| above[x] + below[x] + row[x - 1] + row[x + 1] - 4 * row[x]));
    }
    mean_and_variance(laplacian.into_iter()).1 as f32
}

/// Of values whose squares add up to less than 2^63: 12,544 values of at most 1020 do.
fn mean_and_variance(values: impl ExactSizeIterator<Item = i32>) -> (f64, f64) {
    let n = values.len() as f64;
    let (sum, squares) = values.fold((0i64, 0i64), |(s, q), v| (s + i64::from(v), q + i64::from(v * v)));
    let mean = sum as f64 / n;
    (mean, (squares as f64 / n - mean * mean).max(0.0))
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use proptest::prelude::*;

    use super::*;
    use crate::align::{TEMPLATE, Transform, warp};
    use crate::domain::BBox;

    fn detection() -> Detection {
        Detection { bbox: BBox { x: 0.0, y: 0.0, w: 80.0, h: 100.0 }, score: 0.9, landmarks: TEMPLATE }
    }

    /// A crop of plain pixels; `of` gives a pixel's grey.
    fn crop(of: impl Fn(usize, usize) -> u8) -> FaceCrop {
        let pixels = (0..SIDE * SIDE).flat_map(|i| [of(i % SIDE, i / SIDE); 3]).collect();
        FaceCrop::from_rgb(pixels).unwrap()
    }

    fn portrait() -> RgbImage {
        image::open("tests/pictures/portrait.jpg").unwrap().to_rgb8()
    }

    /// The measures of the middle of a picture.
    fn of_picture(image: &RgbImage) -> SampleQuality {
        let face = image::imageops::crop_imm(image, 54, 20, 112, 112).to_image();
        measure(&warp(&face, &Transform::IDENTITY), &detection())
    }

    #[test]
    fn plain_crops_have_the_measures_one_can_work_out() {
        let flat = measure(&crop(|_, _| 90), &detection());
        assert_eq!((flat.brightness, flat.contrast, flat.sharpness, flat.size_px), (90.0, 0.0, 0.0, 80.0));
        let halves = measure(&crop(|x, _| if x < 56 { 0 } else { 200 }), &detection());
        assert_eq!((halves.brightness, halves.contrast), (100.0, 100.0));
        // Of 110 inner columns one sees +200 and one -200: variance 2 * 200^2 / 110.
        assert!((halves.sharpness - 80_000.0 / 110.0).abs() < 0.01);
    }

    #[test]
    fn blurring_lowers_sharpness_step_by_step() {
        let image = portrait();
        let series = [0.0, 0.5, 1.0, 2.0, 4.0]
            .map(|sigma| if sigma == 0.0 { image.clone() } else { image::imageops::blur(&image, sigma) })
            .map(|picture| of_picture(&picture).sharpness);
        assert!(series.is_sorted_by(|a, b| a > b), "{series:?}");
        assert!(series[0] > 10.0 * series[3], "{series:?}");
    }

    #[test]
    fn darkening_lowers_brightness_and_contrast() {
        let darkened = |percent: u16| {
            let mut image = portrait();
            image.iter_mut().for_each(|v| *v = (u16::from(*v) * percent / 100) as u8);
            of_picture(&image)
        };
        let series = [100, 70, 40, 10].map(darkened);
        assert!(series.is_sorted_by(|a, b| a.brightness > b.brightness && a.contrast > b.contrast), "{series:?}");
    }

    fn good() -> SampleQuality {
        SampleQuality {
            size_px: 100.0,
            sharpness: 800.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: -5.0,
            pitch_deg: 3.0,
            roll_deg: 1.0,
            detector_score: 0.9,
        }
    }

    #[test]
    fn a_good_sample_is_refused_nothing() {
        assert_eq!(refusals(&good(), &QualityLimits::default()), []);
    }

    #[test]
    fn every_part_can_refuse_in_the_published_order_and_nan_always_does() {
        let limits = QualityLimits::default();
        let bad = SampleQuality {
            size_px: 10.0,
            sharpness: 0.0,
            brightness: 1.0,
            contrast: 0.5,
            yaw_deg: -89.0,
            pitch_deg: 89.0,
            roll_deg: -170.0,
            detector_score: 0.01,
        };
        let parts = |q: &SampleQuality| refusals(q, &limits).iter().map(|r| r.part).collect::<Vec<_>>();
        assert_eq!(parts(&bad), QualityPart::ALL);
        let nan = f32::NAN;
        let unmeasured = SampleQuality {
            size_px: nan,
            sharpness: nan,
            brightness: nan,
            contrast: nan,
            yaw_deg: nan,
            pitch_deg: nan,
            roll_deg: nan,
            detector_score: nan,
        };
        assert_eq!(parts(&unmeasured), QualityPart::ALL);
    }

    #[test]
    fn too_bright_names_the_upper_limit() {
        let limits = QualityLimits::default();
        let refused = refusals(&SampleQuality { brightness: 254.0, ..good() }, &limits);
        assert_eq!(
            refused,
            [QualityRefusal { part: QualityPart::Brightness, measured: 254.0, limit: limits.max_brightness }]
        );
    }

    proptest! {
        #[test]
        fn what_is_at_its_limit_passes(yaw in 0f32..90.0) {
            let limits = QualityLimits { max_yaw_deg: yaw, ..QualityLimits::default() };
            prop_assert_eq!(refusals(&SampleQuality { yaw_deg: -yaw, ..good() }, &limits), []);
            let beyond = refusals(&SampleQuality { yaw_deg: -yaw - 0.1, ..good() }, &limits);
            prop_assert_eq!(beyond.len(), 1);
        }
    }
}
