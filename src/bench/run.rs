use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{BenchReport, StageReport};
use crate::{
    align::{self, AlignError},
    decide::{Case, Demands, Policy},
    detect::{DetectError, FaceDetector},
    domain::{Clock, Frame, ModelMismatch, PadVerdict},
    embed::{EmbedError, FaceEmbedder},
    gallery::Snapshot,
    identify::identify,
    nn,
};

/// The stages under measurement.
pub struct Bench {
    /// Finds faces.
    pub detector: Box<dyn FaceDetector>,
    /// Embeds them.
    pub embedder: Box<dyn FaceEmbedder>,
    /// Searched for each.
    pub snapshot: Arc<Snapshot>,
    /// What a grant demands.
    pub demands: Demands,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The detector failed.
    #[error(transparent)]
    Detect(#[from] DetectError),
    /// A face could not be aligned.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// The recogniser failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The gallery is of another model.
    #[error(transparent)]
    Gallery(#[from] ModelMismatch),
    /// There is nothing to measure on.
    #[error("the source gave no frame to measure on")]
    NoFrames,
}

#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    fn of<T>(&mut self, stage: &'static str, run: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = run();
        self.0.entry(stage).or_default().push(started.elapsed());
        value
    }
}

impl Bench {
    /// Runs every frame through every stage, `rounds` times; `each_frame` is told after each.
    ///
    /// # Errors
    /// When a stage fails, or there are no frames.
    pub fn run(
        mut self,
        frames: &[Frame],
        rounds: usize,
        mut each_frame: impl FnMut(),
    ) -> Result<BenchReport, BenchError> {
        let first = frames.first().ok_or(BenchError::NoFrames)?;
        // The first run fills caches and buffers; a door runs for months.
        for detection in self.detector.detect(&first.image)? {
            self.embedder.embed(&align::align(&first.at, &first.image, &detection)?.crop)?;
        }
        let mut policy = Policy::new(self.demands);
        let mut times = Times::default();
        let mut faces = 0;
        for frame in (0..rounds).flat_map(|_| frames) {
            let started = Instant::now();
            let detections = times.of("detect", || self.detector.detect(&frame.image))?;
            for detection in &detections {
                let face = times.of("align", || align::align(&frame.at, &frame.image, detection))?;
                let embedding = times.of("embed", || self.embedder.embed(&face.crop))?;
                let candidates = times.of("identify", || identify(&self.snapshot, &embedding))?;
                let case = Case { at: &frame.at, pad: PadVerdict::NotAssessed, candidates: &candidates, expires: None };
                times.of("decide", || policy.decide(case, self.clock.now()));
                faces += 1;
            }
            times.0.entry("frame").or_default().push(started.elapsed());
            each_frame();
        }
        let spent: Duration = times.0["frame"].iter().sum();
        let frames_seen = times.0["frame"].len();
        Ok(BenchReport {
            stages: times.0.into_iter().filter_map(|(stage, t)| Some((stage, StageReport::new(t)?))).collect(),
            frames: frames_seen,
            faces,
            frames_per_s: (frames_seen as f64 / spent.as_secs_f64() * 10.0).round() / 10.0,
            rss_mb: peak_rss_mb(),
            engine: "tract f32".into(),
            isa: nn::isa().into(),
            threads: 1,
        })
    }
}

/// The process' high-water mark; 0 where the system does not tell.
fn peak_rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").parse::<f64>().ok());
    (kib.unwrap_or(0.0) * 1024.0 / 1e5).round() / 10.0
}
