//! Where the faces are: boxes with five landmarks, in pixels of the original frame.
//!
//! Two detectors stand behind [`FaceDetector`]: YuNet, which gives boxes and landmarks in one pass, and SeetaFace (by
//! rustface), which gives boxes only and is completed by a landmark net. Both see the frame brought to a working size.
//! `docs/detection.md` holds what was measured, and why the defaults are what they are.

mod landmarks;
mod nms;
mod resample;
mod seeta;
mod working;
mod yunet;

use image::RgbImage;

use crate::config::{DetectorBackend, DetectorSettings};
use crate::domain::Detection;
use crate::models::{ModelStore, ModelsError};
use crate::nn::{NnError, Profile};

/// Finds faces in a picture.
///
/// Used on the thread that built it: an implementation need not be `Send`.
pub trait FaceDetector {
    /// The catalogue's id of the model behind it.
    fn name(&self) -> &str;

    /// Who computes its network and in which numbers, for reports; `None` before the first picture, and for a detector that is no
    /// network.
    fn engine_name(&self) -> Option<&'static str> {
        None
    }

    /// The faces of `image`, best score first, boxes and landmarks in its pixels.
    ///
    /// # Errors
    /// [`DetectError`] when the picture is empty or a model fails on it; never because there is no face.
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, DetectError>;

    /// As [`detect`](Self::detect), and adds the time of every operator of the detector's network to `profile`. A detector that is no
    /// network adds nothing.
    ///
    /// # Errors
    /// As `detect`.
    fn detect_profiled(&mut self, image: &RgbImage, profile: &mut Profile) -> Result<Vec<Detection>, DetectError> {
        let _ = profile;
        self.detect(image)
    }
}

/// Why faces could not be looked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The model is missing or damaged.
    #[error("the detector's model cannot be used: {0}")]
    Models(#[from] ModelsError),
    /// The network cannot be loaded or run.
    #[error("the detector failed: {0}")]
    Network(#[from] NnError),
    /// The model's outputs are not those of this kind of detector.
    #[error("model {model}: {reason}; it is not a model this detector can read, take the one of the catalogue")]
    Output {
        /// The model.
        model: String,
        /// What is wrong with its outputs.
        reason: String,
    },
    /// The picture has no pixels.
    #[error("a picture of {width}x{height} px has no pixels to look at")]
    EmptyPicture {
        /// Its width, px.
        width: u32,
        /// Its height, px.
        height: u32,
    },
    /// rustface gave up.
    #[error("model {model}: rustface panicked while {doing}; use the detector yunet instead")]
    Seeta {
        /// The model.
        model: String,
        /// What it was doing.
        doing: &'static str,
    },
}

/// Builds the detector `settings` ask for. Call it on the thread that is to use it.
///
/// # Errors
/// When the model is missing, damaged or not one of this kind.
pub fn build(settings: &DetectorSettings, models: &ModelStore) -> Result<Box<dyn FaceDetector>, DetectError> {
    Ok(match settings.backend {
        DetectorBackend::Yunet => Box::new(yunet::Yunet::new(*settings, models)?),
        DetectorBackend::Seeta => Box::new(seeta::Seeta::new(*settings, models)?),
    })
}

/// Whether a face is as large as the settings ask for: the shorter side of its box, px of the original frame.
fn large_enough(detection: &Detection, settings: &DetectorSettings) -> bool {
    detection.bbox.w.min(detection.bbox.h) >= settings.min_face_px
}
