//! From a detection to the crop a recogniser was trained on, and how good that sample is.
//!
//! A recogniser has seen only faces whose eyes, nose tip and mouth corners lie on the five points of the ArcFace template
//! (Deng et al., CVPR 2019). [`align`] finds the similarity transform that brings a face there with the least squared error,
//! warps the frame by it, and measures the sample part by part; [`refusals`] holds the measures against the limits.

mod pose;
mod quality;
mod transform;
mod warp;

use image::RgbImage;

use crate::domain::{AlignedFace, Detection, FrameRef};

pub use pose::Pose;
pub use quality::refusals;
pub use transform::{TEMPLATE, Transform};
pub use warp::warp;

/// Why a face could not be aligned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AlignError {
    /// The landmarks do not span a face: they coincide, are not finite, or fit the template at no sensible scale.
    #[error("frame {frame}: the landmarks of a face do not span a face; the detection is to be dropped")]
    Degenerate {
        /// The frame.
        frame: FrameRef,
    },
}

/// Cuts a face out of `image`, the picture of the frame `at`, and measures it.
///
/// Parts of the face outside the picture are black in the crop, and count in its quality.
///
/// # Errors
/// [`AlignError::Degenerate`] when no similarity transform fits the landmarks.
pub fn align(at: &FrameRef, image: &RgbImage, detection: &Detection) -> Result<AlignedFace, AlignError> {
    let transform = Transform::fit(&detection.landmarks).ok_or_else(|| AlignError::Degenerate { frame: at.clone() })?;
    let crop = warp(image, &transform);
    let quality = quality::measure(&crop, detection);
    Ok(AlignedFace { at: at.clone(), bbox: detection.bbox, landmarks: detection.landmarks, crop, quality })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{BBox, Clock, Landmarks5, Point, SourceId, SystemClock};

    fn frame() -> FrameRef {
        FrameRef { source: SourceId::new("test"), seq: 7, captured: SystemClock.now() }
    }

    fn detection(points: [(f32, f32); 5]) -> Detection {
        let landmarks = Landmarks5(points.map(|(x, y)| Point { x, y }));
        Detection { bbox: BBox { x: 0.0, y: 0.0, w: 50.0, h: 60.0 }, score: 0.9, landmarks }
    }

    #[test]
    fn landmarks_that_span_no_face_are_an_error_that_names_the_frame() {
        let image = RgbImage::new(64, 64);
        for bad in [[(20.0, 20.0); 5], [(f32::NAN, 1.0); 5], [(f32::INFINITY, 0.0); 5], [(1e30, -1e30); 5]] {
            let error = align(&frame(), &image, &detection(bad)).unwrap_err();
            assert!(error.to_string().contains("test#7"), "{error}");
        }
        let mut one_nan = [(10.0, 10.0), (40.0, 10.0), (25.0, 25.0), (15.0, 40.0), (35.0, 40.0)];
        one_nan[3].1 = f32::NAN;
        assert!(align(&frame(), &image, &detection(one_nan)).is_err());
    }

    #[test]
    fn a_face_seen_edge_on_is_aligned_all_the_same() {
        let line = [(10.0, 10.0), (40.0, 10.0), (25.0, 10.0), (15.0, 10.0), (35.0, 10.0)];
        let face = align(&frame(), &RgbImage::new(64, 64), &detection(line)).unwrap();
        assert!(face.crop.as_rgb().iter().all(|&v| v == 0));
    }

    proptest! {
        #[test]
        fn no_frame_and_no_finite_landmarks_panic(
            width in 1u32..80, height in 1u32..80,
            points in prop::array::uniform5((-1e4f32..1e4, -1e4f32..1e4)),
        ) {
            let image = RgbImage::from_pixel(width, height, image::Rgb([200, 100, 50]));
            if let Ok(face) = align(&frame(), &image, &detection(points)) {
                let q = face.quality;
                prop_assert!((0.0..=255.0).contains(&q.brightness) && q.sharpness.is_finite() && q.contrast <= 127.5);
                prop_assert!(q.yaw_deg.abs() <= 90.0 && q.pitch_deg.abs() <= 90.0 && q.roll_deg.abs() <= 180.0);
            }
        }
    }
}
