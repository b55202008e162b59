use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{
    Exit, Failure,
    annotation::{Canvas, Colour},
    batch::Batch,
    engine::EngineArgs,
    scene::{Scene, bbox_record, landmarks_record},
};
use crate::{
    align,
    domain::{Detection, SampleQuality},
};

/// Find faces: boxes, landmarks and sample quality
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward detect group.jpg --out annotated/")]
pub(super) struct Detect {
    /// Pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    /// One JSON object a picture
    #[arg(long)]
    json: bool,

    /// Write annotated pictures into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct FaceRecord {
    bbox: [f32; 4],
    landmarks: [[f32; 2]; 5],
    score: f32,
    quality: SampleQuality,
    refused: Vec<RefusalRecord>,
}

#[derive(Serialize)]
struct RefusalRecord {
    reason: String,
    text: String,
}

impl Detect {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let mut detector = engine.build_detector()?;
        let mut names = HashSet::new();
        if let Some(dir) = &self.out {
            fs::create_dir_all(dir)
                .map_err(|e| Failure::usage(format!("{}: cannot be made a folder for pictures: {e}", dir.display())))?;
        }
        let batch = Batch { images: &self.images, json: self.json, doing: "looking" };
        let faces_of = |path: &Path| {
            let scene = Scene::look(path, detector.as_mut())?;
            let face = |detection: &Detection| {
                let quality = scene.align(detection)?.quality;
                let refused = align::refusals(&quality, &engine.quality).into_iter();
                Ok(FaceRecord {
                    bbox: bbox_record(detection.bbox),
                    landmarks: landmarks_record(detection.landmarks),
                    score: detection.score,
                    quality,
                    refused: refused
                        .map(|r| RefusalRecord { reason: format!("quality-{}", r.part), text: r.to_string() })
                        .collect(),
                })
            };
            let faces = scene.detections.iter().map(face).collect::<Result<Vec<_>, Failure>>()?;
            if let Some(dir) = &self.out {
                annotate(&scene, &faces).save(&dir.join(unused_name(path, &mut names)))?;
            }
            Ok(faces)
        };
        batch.run(faces_of, |_| true, describe)
    }
}

fn describe(path: &Path, faces: &[FaceRecord]) -> String {
    let mut text = match faces.len() {
        0 => format!("{}: no face\n", path.display()),
        1 => format!("{}: 1 face\n", path.display()),
        n => format!("{}: {n} faces\n", path.display()),
    };
    for face in faces {
        let [x, y, w, h] = face.bbox;
        let q = &face.quality;
        text += &format!(
            "  {w:.0}x{h:.0} px at {x:.0},{y:.0}  score {:.2}  sharpness {:.0}  brightness {:.0}  contrast {:.0}  yaw {:.0}  pitch {:.0}  roll {:.0}\n",
            face.score, q.sharpness, q.brightness, q.contrast, q.yaw_deg, q.pitch_deg, q.roll_deg
        );
        for refusal in &face.refused {
            text += &format!("    not good enough: {}\n", refusal.text);
        }
    }
    text
}

fn annotate(scene: &Scene, faces: &[FaceRecord]) -> Canvas {
    let mut canvas = Canvas::new(scene.image.clone());
    for (detection, face) in scene.detections.iter().zip(faces) {
        let (colour, label) = match face.refused.first() {
            None => (Colour::Good, format!("{:.2}", face.score)),
            Some(refusal) => (Colour::Bad, refusal.reason.clone()),
        };
        canvas.face(detection.bbox, colour, &label);
        canvas.landmarks(detection.landmarks);
    }
    canvas
}

/// `photo.jpg`, or `photo-2.jpg` when a picture of that name was written already.
fn unused_name(path: &Path, names: &mut HashSet<String>) -> String {
    let stem = path.file_stem().map_or_else(|| "picture".into(), |s| s.to_string_lossy().into_owned());
    (1..)
        .map(|n| if n == 1 { format!("{stem}.jpg") } else { format!("{stem}-{n}.jpg") })
        .find(|name| names.insert(name.clone()))
        .expect("the numbers do not end")
}
