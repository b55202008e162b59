use std::path::Path;

use image::RgbImage;

use super::Failure;
use crate::{
    align,
    capture::read_picture,
    detect::FaceDetector,
    domain::{AlignedFace, BBox, Clock, Detection, FaceChoice, FrameRef, Landmarks5, SourceId, SystemClock},
};

/// A still picture with the faces found in it.
pub(super) struct Scene {
    pub(super) image: RgbImage,
    pub(super) detections: Vec<Detection>,
    at: FrameRef,
}

impl Scene {
    pub(super) fn look(path: &Path, detector: &mut dyn FaceDetector) -> Result<Self, Failure> {
        let image = read_picture(path)?;
        let detections = detector.detect(&image)?;
        let source = SourceId::new(path.display().to_string());
        Ok(Self { image, detections, at: FrameRef { source, seq: 0, captured: SystemClock.now() } })
    }

    /// Cuts a face out.
    pub(super) fn align(&self, detection: &Detection) -> Result<AlignedFace, Failure> {
        Ok(align::align(&self.at, &self.image, detection)?)
    }

    pub(super) fn at(&self) -> &FrameRef {
        &self.at
    }

    /// The face that is meant where only one can be.
    pub(super) fn chosen(&self, choice: FaceChoice) -> Option<&Detection> {
        choice.of(&self.detections, self.image.dimensions())
    }
}

/// `[x, y, w, h]`, tenths of a pixel.
pub(super) fn bbox_record(b: BBox) -> [f32; 4] {
    [b.x, b.y, b.w, b.h].map(tenths)
}

/// `[[x, y], ...5]`, tenths of a pixel.
pub(super) fn landmarks_record(l: Landmarks5) -> [[f32; 2]; 5] {
    l.0.map(|p| [tenths(p.x), tenths(p.y)])
}

fn tenths(v: f32) -> f32 {
    (v * 10.0).round() / 10.0
}
