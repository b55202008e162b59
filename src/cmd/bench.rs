use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use super::{
    Exit, Failure, demo,
    engine::EngineArgs,
    place::{GalleryPlace, credentials_dir},
    printer::Printer,
    progress,
};
use crate::{
    bench::{self, BenchReport},
    capture::{self, Reader, stop_token},
    config::SourceSettings,
    decide::Demands,
    domain::{Frame, SystemClock},
    gallery::Gallery,
};

/// Measure how long each stage takes on this machine
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward bench                              the demo's sequence
  doorward bench --source yard.mjpeg --json   a recording of your own")]
pub(super) struct Bench {
    /// Frames to measure on: a .mjpeg or .y4m file, a folder or glob of pictures, - for MJPEG on standard input
    /// [default: the demo's sequence]
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,

    /// Frames used, at most
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frames: u32,

    /// How often all frames are run through
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,

    #[command(flatten)]
    place: GalleryPlace,

    /// One JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

impl Bench {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let frames = self.frames()?;
        let snapshot = match &self.place.gallery {
            Some(dir) => Gallery::open(dir, credentials_dir().as_deref())?.snapshot(&engine.model_id()?)?,
            None => demo::Demo::snapshot(&engine)?,
        };
        let demands = Demands {
            // Recorded frames are as old as the measurement; every check of the policy should be timed.
            max_frame_age: Duration::MAX,
            ..engine.demands()?
        };
        let bench = bench::Bench {
            detector: engine.build_detector()?,
            embedder: engine.build_embedder()?,
            snapshot,
            demands,
            clock: Arc::new(SystemClock),
        };
        let rounds = self.rounds as usize;
        let bar = progress::bar(frames.len() * rounds, "measuring");
        let report = bench.run(&frames, rounds, || bar.inc(1))?;
        bar.finish_and_clear();
        Printer::new(self.json).result(&report, || describe(&report))?;
        Ok(Exit::Done)
    }

    /// Decoded beforehand: decoding is not what is measured.
    fn frames(&self) -> Result<Vec<Frame>, Failure> {
        let scratch;
        let settings = match &self.source {
            Some(source) => SourceSettings::from_arg(source),
            None => {
                scratch = tempfile::tempdir()?;
                let path: PathBuf = demo::Demo::write_sequence(scratch.path())?;
                SourceSettings::from_arg(&path.to_string_lossy())
            }
        };
        let (_token, stop) = stop_token();
        let mut source = capture::open(&settings, Arc::new(SystemClock), stop)?;
        let mut reader = Reader::new(settings.name.clone());
        let mut frames = Vec::new();
        while frames.len() < self.frames as usize {
            match reader.next(source.as_mut())? {
                Some(frame) => frames.push(frame),
                None => break,
            }
        }
        Ok(frames)
    }
}

fn describe(report: &BenchReport) -> String {
    let mut text = format!("{:<10} {:>9} {:>9} {:>9} {:>7}\n", "stage", "p50 ms", "p95 ms", "p99 ms", "n");
    for stage in ["detect", "align", "embed", "identify", "decide", "frame"] {
        if let Some(s) = report.stages.get(stage) {
            text += &format!("{stage:<10} {:>9.3} {:>9.3} {:>9.3} {:>7}\n", s.p50_ms, s.p95_ms, s.p99_ms, s.n);
        }
    }
    text + &format!(
        "{} frames, {} faces; {:.1} frames/s, peak memory {:.1} MB; {} on {}, {} thread",
        report.frames, report.faces, report.frames_per_s, report.rss_mb, report.engine, report.isa, report.threads
    )
}
