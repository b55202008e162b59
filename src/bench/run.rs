use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{BenchReport, Machine, NetworkReport, StageReport, report::stage_profile};
use crate::{
    align::{self, AlignError},
    decide::{Case, Demands, Policy},
    detect::{DetectError, FaceDetector},
    domain::{Clock, Frame, ModelMismatch, PadVerdict},
    embed::{EmbedError, FaceEmbedder},
    gallery::Snapshot,
    identify::identify,
    nn::{Engine, Profile},
};

/// The stages under measurement, and the times taken so far. Decoding is not measured: it happens
/// between two calls of [`measure`](Self::measure).
pub struct Bench {
    detector: Box<dyn FaceDetector>,
    embedder: Box<dyn FaceEmbedder>,
    snapshot: Arc<Snapshot>,
    demands: Demands,
    clock: Arc<dyn Clock>,
    times: BTreeMap<&'static str, Vec<Duration>>,
    faces: usize,
    engine: Engine,
    profiles: Option<Profiles>,
}

/// The profiled runs so far.
#[derive(Default)]
struct Profiles {
    detect: Profile,
    frames: usize,
    embed: Profile,
    faces: usize,
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

impl Bench {
    /// Nothing measured yet. Each face is searched for in `snapshot` and decided on as `demands` say; `engine` is what both networks were
    /// loaded for.
    pub fn new(
        detector: Box<dyn FaceDetector>,
        embedder: Box<dyn FaceEmbedder>,
        snapshot: Arc<Snapshot>,
        demands: Demands,
        clock: Arc<dyn Clock>,
        engine: Engine,
    ) -> Self {
        let times = BTreeMap::new();
        Self { detector, embedder, snapshot, demands, clock, times, faces: 0, engine, profiles: None }
    }

    /// Runs a frame through every stage without measuring: the first run fills caches and buffers,
    /// and a door runs for months.
    ///
    /// # Errors
    /// When a stage fails.
    pub fn warm_up(&mut self, frame: &Frame) -> Result<(), BenchError> {
        for detection in self.detector.detect(&frame.image)? {
            self.embedder.embed(&align::align(&frame.at, &frame.image, &detection)?.crop)?;
        }
        Ok(())
    }

    /// Runs a frame through every stage and keeps the times.
    ///
    /// # Errors
    /// When a stage fails.
    pub fn measure(&mut self, frame: &Frame) -> Result<(), BenchError> {
        let times = &mut self.times;
        let started = Instant::now();
        let detections = timed(times, "detect", || self.detector.detect(&frame.image))?;
        for detection in &detections {
            let face = timed(times, "align", || align::align(&frame.at, &frame.image, detection))?;
            let embedding = timed(times, "embed", || self.embedder.embed(&face.crop))?;
            let candidates = timed(times, "identify", || identify(&self.snapshot, &embedding))?;
            let (pad, searched) = (PadVerdict::NotAssessed, self.snapshot.subjects().len());
            let (candidates, embedding) = (&candidates, &embedding);
            let case = Case { at: &frame.at, embedding, pad, candidates, searched, expires: None };
            timed(times, "decide", || Policy::on_picture(&self.demands, case, self.clock.now()));
            self.faces += 1;
        }
        times.entry("frame").or_default().push(started.elapsed());
        Ok(())
    }

    /// Runs a frame through both networks and keeps the time of every operator; apart from [`measure`](Self::measure), because looking
    /// at the clock between operators costs time too.
    ///
    /// # Errors
    /// When a stage fails.
    pub fn profile(&mut self, frame: &Frame) -> Result<(), BenchError> {
        let profiles = self.profiles.get_or_insert_default();
        profiles.frames += 1;
        for detection in self.detector.detect_profiled(&frame.image, &mut profiles.detect)? {
            let face = align::align(&frame.at, &frame.image, &detection)?;
            self.embedder.embed_profiled(&face.crop, &mut profiles.embed)?;
            profiles.faces += 1;
        }
        Ok(())
    }

    /// What was found.
    ///
    /// # Errors
    /// [`BenchError::NoFrames`] when nothing was measured.
    pub fn report(self) -> Result<BenchReport, BenchError> {
        let frames = self.times.get("frame").ok_or(BenchError::NoFrames)?;
        let (n, spent) = (frames.len(), frames.iter().sum::<Duration>());
        Ok(BenchReport {
            stages: self.times.into_iter().filter_map(|(stage, t)| Some((stage, StageReport::new(t)?))).collect(),
            frames: n,
            faces: self.faces,
            frames_per_s: (n as f64 / spent.as_secs_f64() * 10.0).round() / 10.0,
            rss_mb: peak_rss_mb(),
            engine: self.embedder.engine_name(),
            isa: self.engine.isa.name(),
            threads: self.engine.threads,
            machine: Machine::read(Path::new("/")),
            networks: BTreeMap::from([
                ("detect", network(self.detector.name(), self.detector.engine_name())),
                ("embed", network(self.embedder.model().name(), Some(self.embedder.engine_name()))),
            ]),
            profile: self.profiles.map(|p| {
                BTreeMap::from([
                    ("detect", stage_profile(p.detect.times(), p.frames)),
                    ("embed", stage_profile(p.embed.times(), p.faces)),
                ])
            }),
        })
    }
}

fn network(model: &str, engine: Option<&'static str>) -> NetworkReport {
    NetworkReport { model: model.to_owned(), engine }
}

fn timed<T>(times: &mut BTreeMap<&'static str, Vec<Duration>>, stage: &'static str, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let value = run();
    times.entry(stage).or_default().push(started.elapsed());
    value
}

/// The process' high-water mark; 0 where the system does not tell.
fn peak_rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").parse::<f64>().ok());
    (kib.unwrap_or(0.0) * 1024.0 / 1e5).round() / 10.0
}
