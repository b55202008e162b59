use std::{io, path::Path, sync::Arc};

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::{
    align,
    capture::{self, PictureError, Reader, StopSignal, decode_picture, stop_token},
    config::{DetectorSettings, PadSettings, SourceKind, SourceSettings},
    detect::{self, FaceDetector},
    domain::{Clock, FaceChoice, FrameRef, SampleQuality, SourceId, SystemClock},
    eval::{AcquisitionFailure, EvalError, Look},
    models::{ModelStore, Role},
    pad::{self, Assessment, Fusion, PadAssessor, PadError},
};

/// Raised when detection, cropping or the nets' reading change what they give for the same models: what was cached before is then
/// not used any more.
pub(in crate::eval) const METHOD: u32 = 2;

/// One frame of a presentation: what the nets say of the face in it, and what decides whether that is heard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeenFrame {
    /// Log-odds of a bona fide presentation.
    pub log_odds: f32,
    /// Side of the square that a net saw, in heights of the face's box.
    pub scale: f32,
    /// Mean spread of the channels in it, 0..=255.
    pub saturation: f32,
    /// Width and height of the frame, px.
    pub frame_px: [u32; 2],
    /// The sample's quality.
    pub quality: SampleQuality,
}

impl SeenFrame {
    /// What the nets said.
    pub fn assessment(&self) -> Assessment {
        Assessment { log_odds: self.log_odds.into(), scale: self.scale, saturation: self.saturation }
    }
}

/// The product's own stages, for what was presented: detect, align, assess.
#[derive(Clone, Copy)]
pub struct PadStages<'a> {
    /// The models, and how they are computed.
    pub models: &'a ModelStore,
    /// How faces are found.
    pub detector: DetectorSettings,
    /// The nets.
    pub pad: &'a PadSettings,
    /// Which face is meant where a frame shows several.
    pub face: FaceChoice,
}

impl PadStages<'_> {
    /// Everything that decides on what [`look`](Self::look) finds, for the cache: limits do not, they are held against what was found.
    ///
    /// # Errors
    /// When a net is missing or none.
    pub fn method(&self) -> Result<String, PadError> {
        let mut method = format!("{} pad method {METHOD} face={}", self.finders(), self.face);
        for id in pad::build(self.pad, self.models)?.names() {
            let card = self.models.catalogue().get(id)?;
            method += &format!(" {id} {} {:?} {:?}", card.sha256, card.input, card.pad);
        }
        Ok(method)
    }

    fn finders(&self) -> String {
        let cards = self.models.catalogue().models().iter();
        let finders = cards.filter(|card| matches!(card.role, Role::Detector | Role::Landmarks));
        let finders: Vec<String> = finders.map(|card| format!("{} {}", card.id, card.sha256)).collect();
        let (engine, choice) = (self.models.engine().isa.name(), self.models.choice());
        format!("doorward {} {engine} {choice} {:?} {}", env!("CARGO_PKG_VERSION"), self.detector, finders.join(" "))
    }

    /// Makes what looks at single frames, on the thread that is to use it.
    ///
    /// # Errors
    /// When a model is missing, damaged or not of its kind.
    pub fn eyes(&self) -> Result<PadEyes, EvalError> {
        let detector = detect::build(&self.detector, self.models)?;
        let nets = pad::build(self.pad, self.models)?;
        Ok(PadEyes { detector, nets, face: self.face })
    }

    /// Makes what turns a recording into its frames, on the thread that is to use it.
    ///
    /// What cannot be read is a failure in the frame's place, not an error.
    ///
    /// # Errors
    /// When a model is missing, damaged or not of its kind.
    pub fn look(&self) -> Result<Look<Vec<Result<SeenFrame, AcquisitionFailure>>>, EvalError> {
        let mut eyes = self.eyes()?;
        // Nothing stops a recording that is begun: the survey finishes it.
        let (token, stop) = stop_token();
        Ok(Box::new(move |path, bytes| {
            let _running = &token;
            match video(path) {
                Some(kind) => eyes.video(path, kind, &stop),
                None => Ok(vec![eyes.picture(path, bytes)?]),
            }
        }))
    }
}

/// The kind of source a recording is; `None` for a picture.
fn video(path: &Path) -> Option<SourceKind> {
    if path.is_dir() {
        return Some(SourceKind::Images(path.to_owned()));
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    match extension.as_str() {
        "mjpeg" | "mjpg" => Some(SourceKind::Mjpeg(path.to_owned())),
        "y4m" => Some(SourceKind::Y4m(path.to_owned())),
        _ => None,
    }
}

/// Detector and nets, for one frame after the other.
pub struct PadEyes {
    detector: Box<dyn FaceDetector>,
    nets: Fusion,
    face: FaceChoice,
}

impl PadEyes {
    fn picture(
        &mut self,
        path: &Path,
        bytes: io::Result<&[u8]>,
    ) -> Result<Result<SeenFrame, AcquisitionFailure>, EvalError> {
        let name = path.display().to_string();
        let decoded = match bytes {
            Ok(bytes) => decode_picture(bytes, &name).map_err(|e| match e {
                PictureError::Format { .. } => format!("{e}, or a video to .mjpeg or .y4m"),
                e => e.to_string(),
            }),
            Err(e) => Err(e.to_string()),
        };
        match decoded {
            Err(why) => Ok(Err(AcquisitionFailure::Unreadable(why))),
            Ok(image) => {
                let at = FrameRef { source: SourceId::new(name), seq: 0, captured: SystemClock.now() };
                self.frame(&at, &image)
            }
        }
    }

    fn video(
        &mut self,
        path: &Path,
        kind: SourceKind,
        stop: &StopSignal,
    ) -> Result<Vec<Result<SeenFrame, AcquisitionFailure>>, EvalError> {
        let unreadable = |why: String| Err(AcquisitionFailure::Unreadable(why));
        let settings = SourceSettings { name: SourceId::new(path.display().to_string()), ..SourceSettings::new(kind) };
        let mut source = match capture::open(&settings, Arc::new(SystemClock), stop.clone()) {
            Ok(source) => source,
            Err(e) => return Ok(vec![unreadable(e.to_string())]),
        };
        let mut reader = Reader::new(settings.name);
        let mut frames = Vec::new();
        loop {
            match reader.next(source.as_mut()) {
                Ok(Some(frame)) => frames.push(self.frame(&frame.at, &frame.image)?),
                Ok(None) => break,
                Err(e) => {
                    frames.push(unreadable(e.to_string()));
                    break;
                }
            }
        }
        let corrupt = reader.corrupt();
        if frames.is_empty() && corrupt == 0 {
            frames.push(unreadable("there is no frame in it".to_owned()));
        }
        frames.extend((0..corrupt).map(|_| unreadable("frames that cannot be decoded".to_owned())));
        Ok(frames)
    }

    /// What there is to say of the face in a frame, or why there is nothing.
    ///
    /// # Errors
    /// When the detector or a net fails.
    pub fn frame(
        &mut self,
        at: &FrameRef,
        image: &RgbImage,
    ) -> Result<Result<SeenFrame, AcquisitionFailure>, EvalError> {
        let detections = self.detector.detect(image)?;
        let Some(meant) = self.face.of(&detections, image.dimensions()) else {
            return Ok(Err(AcquisitionFailure::NoFace));
        };
        let Ok(aligned) = align::align(at, image, meant) else {
            return Ok(Err(AcquisitionFailure::Landmarks));
        };
        let Some(Assessment { log_odds, scale, saturation }) = self.nets.assess(image, &meant.bbox)? else {
            return Ok(Err(AcquisitionFailure::NoFace));
        };
        let (width, height) = image.dimensions();
        let (log_odds, frame_px) = (log_odds as f32, [width, height]);
        Ok(Ok(SeenFrame { log_odds, scale, saturation, frame_px, quality: aligned.quality }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::tempdir;

    use super::*;

    fn settings() -> PadSettings {
        PadSettings::default()
    }

    fn models() -> ModelStore {
        ModelStore::open("models".as_ref()).unwrap()
    }

    fn stages<'a>(models: &'a ModelStore, pad: &'a PadSettings) -> PadStages<'a> {
        PadStages { models, detector: DetectorSettings::default(), pad, face: FaceChoice::default() }
    }

    #[test]
    fn a_picture_a_video_and_a_folder_of_one_face_look_alike() {
        let (models, pad) = (models(), settings());
        let portrait = fs::read("tests/pictures/portrait.jpg").unwrap();
        let dir = tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("twice.mjpeg"), [&portrait[..], &portrait].concat()).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for name in ["1.jpg", "2.jpg", "10.jpg"] {
            fs::write(at("folder").join(name), &portrait).unwrap();
        }
        fs::write(at("folder/3.jpg"), b"no picture").unwrap();
        let mut look = stages(&models, &pad).look().unwrap();
        let picture = look(&at("portrait.jpg"), Ok(&portrait)).unwrap();
        let [Ok(seen)] = picture[..] else { panic!("{picture:?}") };
        assert!(seen.scale > 1.0 && seen.quality.size_px > 50.0, "{seen:?}");

        let folder = look(&at("folder"), Err(io::Error::other("a folder"))).unwrap();
        assert_eq!(folder.iter().filter(|frame| frame.as_ref() == Ok(&seen)).count(), 3, "{folder:?}");
        assert!(matches!(&folder[3], Err(AcquisitionFailure::Unreadable(_))), "{folder:?}");
        // Frames of a video are decoded by another decoder: nearly the same pixels.
        let video = look(&at("twice.mjpeg"), Ok(b"")).unwrap();
        assert_eq!(video.len(), 2);
        for frame in video {
            assert!((frame.unwrap().log_odds - seen.log_odds).abs() < 0.5);
        }
    }

    #[test]
    fn what_cannot_be_read_or_shows_nobody_is_a_failure_with_its_reason() {
        let (models, pad) = (models(), settings());
        let mut look = stages(&models, &pad).look().unwrap();
        let garbage = look("x.jpg".as_ref(), Ok(b"garbage")).unwrap();
        assert!(
            matches!(&garbage[..], [Err(AcquisitionFailure::Unreadable(why))] if why.contains("x.jpg")),
            "{garbage:?}"
        );
        let empty = look("tests/pictures/no-face.jpg".as_ref(), Ok(&fs::read("tests/pictures/no-face.jpg").unwrap()));
        assert_eq!(empty.unwrap(), [Err(AcquisitionFailure::NoFace)]);
        let missing = look("no/such.mjpeg".as_ref(), Err(io::Error::other("gone"))).unwrap();
        assert!(matches!(&missing[..], [Err(AcquisitionFailure::Unreadable(_))]), "{missing:?}");
    }

    #[test]
    fn the_cache_is_of_these_nets() {
        let (models, pad) = (models(), settings());
        let method = stages(&models, &pad).method().unwrap();
        assert!(method.contains("fr-liveness afa783b7") && method.contains("yunet"), "{method}");
        let unknown = PadSettings { nets: vec!["nobody".into()], ..settings() };
        assert!(stages(&models, &unknown).method().is_err());
    }
}
