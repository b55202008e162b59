use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    Exit, Failure,
    batch::Batch,
    engine::EngineArgs,
    place::{GalleryPlace, credentials_dir},
    scene::{Scene, bbox_record},
};
use crate::{
    align,
    decide::{Case, Demands, Policy},
    domain::{Clock, Decision, DenyReason, Detection, PadVerdict, Similarity, SystemClock},
    embed::FaceEmbedder,
    gallery::{self, Snapshot},
    identify::identify,
};

/// Search the gallery for every face of a picture
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward identify --gallery /var/lib/doorward visitor.jpg --scores

Exit code 0 when at least one face is granted, else 1.")]
pub(super) struct Identify {
    /// Pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,

    #[command(flatten)]
    place: GalleryPlace,

    /// One JSON object a picture
    #[arg(long)]
    json: bool,

    /// Tell the similarity to the best candidate too
    #[arg(long)]
    scores: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct FaceRecord {
    bbox: [f32; 4],
    decision: &'static str,
    reason: Option<&'static str>,
    subject: Option<String>,
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<Similarity>,
}

impl Identify {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let demands = engine.demands()?;
        let dir = self.place.dir(engine.gallery_dir.clone())?;
        let snapshot = gallery::Gallery::open(&dir, credentials_dir().as_deref())?.snapshot(&engine.model_id()?)?;
        engine.warn_of_other_models(&dir, &snapshot)?;
        engine.one_to_many()?.warn_if_beyond(snapshot.subjects().len());
        let mut detector = engine.build_detector()?;
        let mut embedder = engine.build_embedder()?;
        let batch = Batch { images: &self.images, json: self.json, doing: "identifying" };
        let faces_of = |path: &Path| {
            let scene = Scene::look(path, detector.as_mut())?;
            let mut face = |detection: &Detection| {
                self.decide(&scene, detection, embedder.as_mut(), &snapshot, &demands, &engine.quality)
            };
            scene.detections.iter().map(&mut face).collect()
        };
        batch.run(faces_of, |face| face.decision == "granted", describe)
    }

    fn decide(
        &self,
        scene: &Scene,
        detection: &Detection,
        embedder: &mut dyn FaceEmbedder,
        snapshot: &Snapshot,
        demands: &Demands,
        limits: &crate::config::QualityLimits,
    ) -> Result<FaceRecord, Failure> {
        let face = scene.align(detection)?;
        let refused = align::refusals(&face.quality, limits).into_iter().next();
        let (decision, similarity) = match refused {
            Some(refusal) => (Decision::Denied(DenyReason::Quality(refusal.part)), None),
            None => {
                let embedding = embedder.embed(&face.crop)?;
                let candidates = identify(snapshot, &embedding)?;
                let expires = candidates.first().and_then(|c| snapshot.subject(&c.subject)).and_then(|s| s.expires);
                let (pad, searched) = (PadVerdict::NotAssessed, snapshot.subjects().len());
                let case =
                    Case { at: scene.at(), embedding: &embedding, pad, candidates: &candidates, searched, expires };
                // A photo has no age, and each is a presentation of its own: no memory between them.
                let mut now = SystemClock.now();
                now.monotonic = scene.at().captured.monotonic;
                (Policy::on_picture(demands, case, now), candidates.first().map(|c| c.similarity))
            }
        };
        let subject = decision.subject();
        Ok(FaceRecord {
            bbox: bbox_record(detection.bbox),
            decision: if decision.is_granted() { "granted" } else { "denied" },
            reason: match &decision {
                Decision::Denied(reason) => Some(reason.code()),
                Decision::Granted(_) => None,
            },
            name: subject.and_then(|s| snapshot.subject(s)).map(|s| s.name.to_string()),
            subject: subject.map(ToString::to_string),
            similarity: similarity.filter(|_| self.scores),
        })
    }
}

fn describe(path: &Path, faces: &[FaceRecord]) -> String {
    if faces.is_empty() {
        return format!("{}: no face", path.display());
    }
    let mut text = String::new();
    for face in faces {
        let [x, y, w, h] = face.bbox;
        let who = face.name.as_deref().or(face.subject.as_deref()).unwrap_or("");
        let verdict = match face.reason {
            None => format!("granted  {who}"),
            Some(reason) => format!("denied   {reason} {who}"),
        };
        let score = face.similarity.map(|s| format!("  similarity {s}")).unwrap_or_default();
        text += &format!("{}: {}  ({w:.0}x{h:.0} px at {x:.0},{y:.0}){score}\n", path.display(), verdict.trim_end());
    }
    text
}
