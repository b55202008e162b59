use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{Exit, Failure, engine::EngineArgs, printer::Printer, scene::Scene};
use crate::{
    detect::FaceDetector,
    domain::{Embedding, FaceChoice, Similarity, Threshold},
    embed::FaceEmbedder,
};

/// Compare two pictures, one to one: are they mated?
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward verify passport.jpg visitor.jpg && echo mated")]
pub(super) struct Verify {
    /// One picture
    #[arg(value_name = "IMAGE")]
    left: PathBuf,

    /// The other
    #[arg(value_name = "IMAGE")]
    right: PathBuf,

    /// Which face is meant where a picture shows several
    #[arg(long, value_name = "largest|centre", default_value_t)]
    face: FaceChoice,

    /// One JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct Record {
    /// `null` when a picture shows no face: a failure to acquire.
    similarity: Option<Similarity>,
    threshold: Threshold,
    mated: bool,
}

impl Verify {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let point = engine.one_to_one()?;
        let mut detector = engine.build_detector()?;
        let mut embedder = engine.build_embedder()?;
        let mut embedding = |path: &Path| self.embedding(path, detector.as_mut(), embedder.as_mut());
        let similarity = match (embedding(&self.left)?, embedding(&self.right)?) {
            (Some(left), Some(right)) => Some(left.similarity(&right)?),
            _ => None,
        };
        let mated = similarity.is_some_and(|s| s.reaches(point.threshold));
        let record = Record { similarity, threshold: point.threshold, mated };
        Printer::new(self.json).result(&record, || {
            let verdict = if mated { "mated" } else { "not mated" };
            match similarity {
                Some(similarity) => {
                    format!("{verdict}: similarity {similarity}, threshold {} ({})", point.threshold, point.name)
                }
                None => format!("{verdict}: no face to compare"),
            }
        })?;
        Ok(if mated { Exit::Done } else { Exit::Negative })
    }

    /// `None`, said on standard error, when there is no face to compare.
    fn embedding(
        &self,
        path: &Path,
        detector: &mut dyn FaceDetector,
        embedder: &mut dyn FaceEmbedder,
    ) -> Result<Option<Embedding>, Failure> {
        let scene = Scene::look(path, detector)?;
        let Some(detection) = scene.chosen(self.face) else {
            log::error!("{}: no face in it, nothing to compare", path.display());
            return Ok(None);
        };
        if scene.detections.len() > 1 {
            let n = scene.detections.len();
            let which = match self.face {
                FaceChoice::Largest => "the largest",
                FaceChoice::Centre => "the one nearest the centre",
            };
            log::warn!("{}: {n} faces, {which} is compared", path.display());
        }
        Ok(Some(embedder.embed(&scene.align(detection)?.crop)?))
    }
}
