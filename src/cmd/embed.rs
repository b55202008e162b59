use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    Exit, Failure,
    batch::Batch,
    engine::EngineArgs,
    scene::{Scene, bbox_record, landmarks_record},
};
use crate::{
    capture::read_picture,
    domain::{Detection, Embedding, FaceCrop},
};

/// Print the embeddings of every face, for measuring
///
/// An embedding can be turned back into a face: treat the output like a photo.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward embed --json photo.jpg > embeddings.jsonl")]
pub(super) struct Embed {
    /// Pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    /// The pictures are aligned 112x112 crops already
    #[arg(long)]
    aligned: bool,

    /// One JSON object a picture (without it, only what was embedded is told)
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct FaceRecord {
    bbox: [f32; 4],
    landmarks: Option<[[f32; 2]; 5]>,
    score: Option<f32>,
    embedding: Vec<f32>,
}

impl Embed {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let mut detector = engine.build_detector()?;
        let mut embedder = engine.build_embedder()?;
        let batch = Batch { images: &self.images, json: self.json, doing: "embedding" };
        let faces_of = |path: &Path| {
            if self.aligned {
                let side = FaceCrop::SIDE_PX as f32;
                let embedding = values(&embedder.embed(&aligned_crop(path)?)?);
                return Ok(vec![FaceRecord { bbox: [0.0, 0.0, side, side], landmarks: None, score: None, embedding }]);
            }
            let scene = Scene::look(path, detector.as_mut())?;
            let face = |detection: &Detection| {
                Ok(FaceRecord {
                    bbox: bbox_record(detection.bbox),
                    landmarks: Some(landmarks_record(detection.landmarks)),
                    score: Some(detection.score),
                    embedding: values(&embedder.embed(&scene.align(detection)?.crop)?),
                })
            };
            scene.detections.iter().map(face).collect()
        };
        batch.run(faces_of, |_| true, describe)
    }
}

fn describe(path: &Path, faces: &[FaceRecord]) -> String {
    let n = faces.len();
    format!("{}: {n} face{} embedded; --json prints them", path.display(), if n == 1 { "" } else { "s" })
}

fn values(embedding: &Embedding) -> Vec<f32> {
    embedding.values().to_vec()
}

fn aligned_crop(path: &Path) -> Result<FaceCrop, Failure> {
    let image = read_picture(path)?;
    let (w, h) = image.dimensions();
    let side = FaceCrop::SIDE_PX as u32;
    (w == side && h == side).then(|| FaceCrop::from_rgb(image.into_raw())).flatten().ok_or_else(|| {
        Failure::usage(format!("{}: {w}x{h} px; --aligned takes crops of {side}x{side} px", path.display()))
    })
}
