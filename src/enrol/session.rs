use std::sync::Arc;

use image::{RgbImage, imageops};

use super::Refusal;
use crate::{
    align,
    config::QualityLimits,
    detect::{DetectError, FaceDetector},
    domain::{
        Clock, Detection, Embedding, FaceCrop, FrameRef, SampleQuality, Similarity, SourceId, SubjectId, Threshold,
    },
    embed::FaceEmbedder,
    gallery::Snapshot,
    identify::identify,
};

/// A bystander counts as a second face when it is at least this share of the largest face's size:
/// then the picture does not say who is meant.
const BYSTANDER_SIZE: f32 = 0.5;

/// A picture taken as a template.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its embedding.
    pub embedding: Embedding,
    /// Its quality.
    pub quality: SampleQuality,
    /// What the embedding was made of.
    pub crop: FaceCrop,
}

/// A picture that is good enough, and whom of the gallery it shows.
#[derive(Debug, Clone)]
pub struct Look {
    /// As it would be taken.
    pub accepted: Accepted,
    /// Another subject than the one who is being enrolled, with the similarity to their reference.
    pub enrolled_as: Option<(SubjectId, Similarity)>,
}

/// Judges the pictures of one subject's enrolment.
pub struct EnrolSession {
    detector: Box<dyn FaceDetector>,
    embedder: Box<dyn FaceEmbedder>,
    limits: QualityLimits,
    gallery: Option<Arc<Snapshot>>,
    threshold: Threshold,
    clock: Arc<dyn Clock>,
    judged: u64,
}

impl EnrolSession {
    /// A session against the subjects of `gallery`, if there is one yet: a picture that reaches
    /// `threshold` with another of them is refused.
    pub fn new(
        detector: Box<dyn FaceDetector>,
        embedder: Box<dyn FaceEmbedder>,
        limits: QualityLimits,
        gallery: Option<Arc<Snapshot>>,
        threshold: Threshold,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { detector, embedder, limits, gallery, threshold, clock, judged: 0 }
    }

    /// Judges one picture as a template of `subject`.
    ///
    /// # Errors
    /// When the detector itself fails; a picture that is not taken is a [`Refusal`], not an error.
    pub fn judge(&mut self, image: &RgbImage, subject: &SubjectId) -> Result<Result<Accepted, Refusal>, DetectError> {
        Ok(match self.look(image, subject)? {
            Ok(Look { enrolled_as: Some((subject, similarity)), .. }) => {
                Err(Refusal::EnrolledAs { subject, similarity })
            }
            Ok(Look { accepted, enrolled_as: None }) => Ok(accepted),
            Err(refusal) => Err(refusal),
        })
    }

    /// As [`judge`](Self::judge), but whoever is enrolled already is told of, not refused: of one frame among many that is not
    /// the last word.
    ///
    /// # Errors
    /// As `judge`.
    pub fn look(&mut self, image: &RgbImage, subject: &SubjectId) -> Result<Result<Look, Refusal>, DetectError> {
        let detections = self.detector.detect(image)?;
        let seen = self.look_at_faces(image, &detections, subject);
        let Ok(look) = &seen else { return Ok(seen) };
        match self.turn_needed(image, look.accepted.quality.detector_score)? {
            Some(clockwise_deg) => Ok(Err(Refusal::Turned { clockwise_deg })),
            None => Ok(seen),
        }
    }

    /// How far the picture has to be turned, if the detector likes it better that way than as it is.
    ///
    /// A detector finds faces that lie on their side, but marks them with the landmarks of an upright
    /// one: the crop is of nobody, and no part of its quality tells. Of 150 photos of LFW none scored
    /// higher turned than upright, and all scored higher upright than turned.
    fn turn_needed(&mut self, image: &RgbImage, score: f32) -> Result<Option<u16>, DetectError> {
        let turns = [
            (90, imageops::rotate90 as fn(&RgbImage) -> RgbImage),
            (180, imageops::rotate180),
            (270, imageops::rotate270),
        ];
        let mut best = (score, None);
        for (clockwise_deg, turn) in turns {
            let turned = self.detector.detect(&turn(image))?.into_iter().map(|d| d.score).fold(0.0, f32::max);
            if turned > best.0 {
                best = (turned, Some(clockwise_deg));
            }
        }
        Ok(best.1)
    }

    fn look_at_faces(
        &mut self,
        image: &RgbImage,
        detections: &[Detection],
        subject: &SubjectId,
    ) -> Result<Look, Refusal> {
        let size = |d: &Detection| d.bbox.w.min(d.bbox.h);
        let largest = detections.iter().max_by(|a, b| size(a).total_cmp(&size(b))).ok_or(Refusal::NoFace)?;
        let meant = detections.iter().filter(|d| size(d) >= BYSTANDER_SIZE * size(largest)).count();
        if meant > 1 {
            return Err(Refusal::SeveralFaces(meant));
        }
        let at = FrameRef { source: SourceId::new("enrolment"), seq: self.judged, captured: self.clock.now() };
        self.judged += 1;
        let face = align::align(&at, image, largest).map_err(|_| Refusal::Landmarks)?;
        let failed = align::refusals(&face.quality, &self.limits);
        if !failed.is_empty() {
            return Err(Refusal::Quality(failed));
        }
        let embedding = self.embedder.embed(&face.crop).map_err(Refusal::Recogniser)?;
        // A snapshot of another model has nobody to be confused with.
        let alike = self.gallery.as_ref().and_then(|g| identify(g, &embedding).ok()).unwrap_or_default();
        let other = alike.as_slice().iter().find(|c| c.subject != *subject);
        let enrolled_as =
            other.filter(|c| c.similarity.reaches(self.threshold)).map(|c| (c.subject.clone(), c.similarity));
        Ok(Look { accepted: Accepted { embedding, quality: face.quality, crop: face.crop }, enrolled_as })
    }
}
