//! SeetaFace's frontal detector by rustface, its boxes completed by the landmark net.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::RgbImage;
use rustface::{Detector, ImageData};

use super::landmarks::LandmarkNet;
use super::nms::suppress;
use super::working::{Letterbox, WorkingPicture};
use super::{DetectError, FaceDetector, large_enough};
use crate::config::DetectorSettings;
use crate::domain::{BBox, Detection};
use crate::models::{LoadedModel, ModelStore};

/// The model's id in the catalogue.
const MODEL: &str = "seeta-frontal-1.0";
/// Side of the smallest face the cascade sees, working px. rustface's `set_min_face_size` does nothing, so the working size
/// alone decides how small a face is found; a picture less high or wide than this makes it panic.
const WINDOW_PX: usize = 40;
/// The raw score that is mapped to 0.5: with it rustface's own threshold, 3.85, becomes 0.7, the default of the settings. Of 50
/// faces on LFW 48 lie above it, of ten boxes elsewhere none.
const HALF_SCORE: f32 = 1.65;

/// SeetaFace with the landmark net. rustface's detector is not `Send`, so neither is this.
pub(super) struct Seeta {
    settings: DetectorSettings,
    model: LoadedModel,
    detector: Box<dyn Detector>,
    landmarks: LandmarkNet,
    working: WorkingPicture,
    grey: Vec<u8>,
    values: Vec<f32>,
}

impl Seeta {
    pub(super) fn new(settings: DetectorSettings, models: &ModelStore) -> Result<Seeta, DetectError> {
        let model = models.load(MODEL)?;
        // The reader panics on what is no cascade; the store has checked the hash, but a folder may name any file.
        let failed = || DetectError::Seeta { model: MODEL.into(), doing: "reading the cascade" };
        let cascade = catch_unwind(|| rustface::read_model(&model.bytes[..])).ok().and_then(Result::ok);
        let mut detector = rustface::create_detector_with_model(cascade.ok_or_else(failed)?);
        detector.set_score_thresh(f64::from(raw_score(settings.min_score)));
        let landmarks = LandmarkNet::new(models)?;
        Ok(Seeta {
            settings,
            model,
            detector,
            landmarks,
            working: WorkingPicture::new(),
            grey: Vec::new(),
            values: Vec::new(),
        })
    }
}

impl FaceDetector for Seeta {
    fn name(&self) -> &str {
        &self.model.card.id
    }

    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, DetectError> {
        let (width, height) = image.dimensions();
        let mut letterbox = Letterbox::fit(width, height, self.settings.working_size_px, 1);
        letterbox.width = letterbox.width.max(WINDOW_PX);
        letterbox.height = letterbox.height.max(WINDOW_PX);
        let rgb = self.working.of(image, &letterbox)?;
        self.values.resize(letterbox.width * letterbox.height, 0.0);
        self.model.card.input.fill(rgb, letterbox.width, letterbox.height, &mut self.values)?;
        self.grey.clear();
        self.grey.extend(self.values.iter().map(|&v| v as u8));

        let picture = ImageData::new(&self.grey, letterbox.width as u32, letterbox.height as u32);
        let boxes = catch_unwind(AssertUnwindSafe(|| self.detector.detect(&picture)))
            .map_err(|_| DetectError::Seeta { model: MODEL.into(), doing: "looking at a picture" })?;

        let mut found = Vec::new();
        for face in boxes {
            let (b, sx, sy) = (face.bbox(), letterbox.scale_x, letterbox.scale_y);
            let bbox = BBox {
                x: b.x() as f32 * sx,
                y: b.y() as f32 * sy,
                w: b.width() as f32 * sx,
                h: b.height() as f32 * sy,
            };
            if let Some(landmarks) = self.landmarks.five(image, &bbox)? {
                found.push(Detection { bbox, score: score(face.score() as f32), landmarks });
            }
        }
        let mut faces = suppress(found, self.settings.nms_iou);
        faces.retain(|face| large_enough(face, &self.settings) && face.score >= self.settings.min_score);
        Ok(faces)
    }
}

/// Brings the cascade's raw score, 0 and up, to 0..1: s / (s + [`HALF_SCORE`]).
fn score(raw: f32) -> f32 {
    if raw > 0.0 { raw / (raw + HALF_SCORE) } else { 0.0 }
}

/// The inverse of [`score`], kept positive and finite because rustface panics on a threshold of 0.
fn raw_score(score: f32) -> f32 {
    let score = score.clamp(0.01, 0.999);
    score * HALF_SCORE / (1.0 - score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_mapping_rises_and_is_undone() {
        assert!([-1.0, 0.0, 0.5, 2.0, 10.0, 1e9].map(score).is_sorted());
        assert!((score(3.85) - 0.7).abs() < 1e-3);
        for s in [0.05, 0.3, 0.7, 0.99] {
            assert!((score(raw_score(s)) - s).abs() < 1e-5);
        }
        assert!(raw_score(0.0) > 0.0 && raw_score(1.0).is_finite());
    }
}
