use std::{
    fmt::{self, Display},
    io,
    path::Path,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{EvalError, Template, survey::Look};
use crate::{
    align,
    capture::decode_picture,
    config::DetectorSettings,
    detect::{self, FaceDetector},
    domain::{BBox, Clock, Detection, Embedding, FaceChoice, FrameRef, ModelId, SampleQuality, SourceId, SystemClock},
    embed::{self, EmbedError, FaceEmbedder},
    models::{ModelStore, ModelsError, Role},
};

/// Raised when detection, alignment or embedding change what they give for the same models: what was cached before is then not
/// used any more.
const METHOD: u32 = 1;

/// What recognition made of one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Faces found in it.
    pub faces: usize,
    /// The template of the face that is meant, or why there is none: a failure to acquire.
    pub acquired: Result<Template, AcquisitionFailure>,
    /// Time taken by decoding, finding, aligning and embedding, milliseconds.
    pub took_ms: f32,
}

/// Why a photo gave no template (ISO/IEC 19795-1: failure to acquire; of an enrolment, failure to enrol).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcquisitionFailure {
    /// The file is no picture that can be read; why.
    Unreadable(String),
    /// No face was found.
    NoFace,
    /// The face's landmarks make no sense.
    Landmarks,
    /// What the recogniser gave is no direction: NaN, infinite or zero; what it was.
    Embedding(String),
}

impl AcquisitionFailure {
    /// The kind of failure, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NoFace => "without a face",
            Self::Landmarks => "with landmarks that make no sense",
            Self::Embedding(_) => "without an embedding",
        }
    }
}

impl Display for AcquisitionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => f.write_str(why),
            Self::NoFace => f.write_str("no face found"),
            Self::Landmarks => f.write_str("the face's landmarks make no sense"),
            Self::Embedding(why) => f.write_str(why),
        }
    }
}

/// A face as the detector saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeenFace {
    /// `[x, y, w, h]`, px.
    bbox: [f32; 4],
    /// The detector's score, 0..=1.
    pub score: f32,
}

impl SeenFace {
    /// Its box.
    pub fn bbox(&self) -> BBox {
        let [x, y, w, h] = self.bbox;
        BBox { x, y, w, h }
    }
}

/// A sample as it is cached: without the model, which the cache is of.
#[derive(Serialize, Deserialize)]
pub struct SampleRecord {
    faces: usize,
    took_ms: f32,
    acquired: Result<TemplateRecord, AcquisitionFailure>,
}

#[derive(Serialize, Deserialize)]
struct TemplateRecord {
    quality: SampleQuality,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    embedding: Vec<f32>,
}

impl SampleRecord {
    /// The sample, made by `model`.
    pub fn of_model(self, model: &ModelId) -> Sample {
        let template = |record: TemplateRecord| match Embedding::new(model.clone(), &record.embedding) {
            Ok(embedding) => Ok(Template { embedding, quality: record.quality }),
            Err(e) => Err(AcquisitionFailure::Embedding(e.to_string())),
        };
        Sample { faces: self.faces, acquired: self.acquired.and_then(template), took_ms: self.took_ms }
    }
}

/// Bit for bit, so that a second run gives what the first one gave.
fn to_base64<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    match bytes.as_chunks::<4>() {
        (values, []) => Ok(values.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        _ => Err(D::Error::custom("the bytes are no whole numbers")),
    }
}

/// The product's own stages, for photos: detect, align, embed.
#[derive(Clone, Copy)]
pub struct Stages<'a> {
    /// The models, and how they are computed.
    pub models: &'a ModelStore,
    /// How faces are found.
    pub detector: DetectorSettings,
    /// The recogniser's id.
    pub recogniser: &'a str,
    /// Which face is meant where a photo shows several.
    pub face: FaceChoice,
}

impl Stages<'_> {
    /// Everything that decides on what [`look`](Self::look) finds, for the cache.
    ///
    /// # Errors
    /// When the catalogue has no such recogniser.
    pub fn method(&self) -> Result<String, ModelsError> {
        let recogniser = self.models.catalogue().get(self.recogniser)?;
        Ok(format!("{} face={} recogniser={} {}", self.detection_method(), self.face, recogniser.id, recogniser.sha256))
    }

    /// Everything that decides on what [`look_for_faces`](Self::look_for_faces) finds, for the cache.
    pub fn detection_method(&self) -> String {
        let finders =
            self.models.catalogue().models().iter().filter(|c| matches!(c.role, Role::Detector | Role::Landmarks));
        let finders: Vec<String> = finders.map(|card| format!("{} {}", card.id, card.sha256)).collect();
        let (engine, choice) = (self.models.engine(), self.models.choice());
        format!(
            "doorward {} method {METHOD} {} {choice} {:?} {}",
            env!("CARGO_PKG_VERSION"),
            engine.isa.name(),
            self.detector,
            finders.join(" ")
        )
    }

    /// Makes what turns a photo into a sample, on the thread that is to use it.
    ///
    /// # Errors
    /// When a model is missing, damaged or not of its kind.
    pub fn look(&self) -> Result<Look<SampleRecord>, EvalError> {
        let mut detector = detect::build(&self.detector, self.models)?;
        let mut embedder = embed::build(Some(self.recogniser), self.models)?;
        let face = self.face;
        Ok(Box::new(move |path, bytes| {
            let started = Instant::now();
            let (faces, acquired) = acquire(path, bytes, face, detector.as_mut(), embedder.as_mut())?;
            Ok(SampleRecord { faces, acquired, took_ms: started.elapsed().as_secs_f32() * 1e3 })
        }))
    }

    /// Makes what finds the faces of a photo, best first; `None` in a file that is no picture.
    ///
    /// # Errors
    /// When the detector's model is missing, damaged or not of its kind.
    pub fn look_for_faces(&self) -> Result<Look<Option<Vec<SeenFace>>>, EvalError> {
        let mut detector = detect::build(&self.detector, self.models)?;
        Ok(Box::new(move |path, bytes| match picture(path, bytes) {
            Err(_) => Ok(None),
            Ok(image) => {
                let seen = |d: Detection| SeenFace { bbox: [d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h], score: d.score };
                Ok(Some(detector.detect(&image)?.into_iter().map(seen).collect()))
            }
        }))
    }
}

fn picture(path: &Path, bytes: io::Result<&[u8]>) -> Result<image::RgbImage, AcquisitionFailure> {
    let unreadable = |e: &dyn Display| AcquisitionFailure::Unreadable(e.to_string());
    decode_picture(bytes.map_err(|e| unreadable(&e))?, &path.display().to_string()).map_err(|e| unreadable(&e))
}

/// Number of faces, and the template of the one that is meant.
///
/// # Errors
/// When a stage itself fails; that a photo gives no template is none.
fn acquire(
    path: &Path,
    bytes: io::Result<&[u8]>,
    face: FaceChoice,
    detector: &mut dyn FaceDetector,
    embedder: &mut dyn FaceEmbedder,
) -> Result<(usize, Result<TemplateRecord, AcquisitionFailure>), EvalError> {
    let image = match picture(path, bytes) {
        Ok(image) => image,
        Err(failure) => return Ok((0, Err(failure))),
    };
    let detections = detector.detect(&image)?;
    let faces = detections.len();
    let Some(meant) = face.of(&detections, image.dimensions()) else {
        return Ok((faces, Err(AcquisitionFailure::NoFace)));
    };
    let source = SourceId::new(path.display().to_string());
    let at = FrameRef { source, seq: 0, captured: SystemClock.now() };
    let Ok(aligned) = align::align(&at, &image, meant) else {
        return Ok((faces, Err(AcquisitionFailure::Landmarks)));
    };
    let acquired = match embedder.embed(&aligned.crop) {
        Ok(embedding) => Ok(TemplateRecord { quality: aligned.quality, embedding: embedding.values().to_vec() }),
        Err(EmbedError::Embedding(e)) => Err(AcquisitionFailure::Embedding(e.to_string())),
        Err(e) => return Err(e.into()),
    };
    Ok((faces, acquired))
}
