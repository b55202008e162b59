use std::{path::Path, sync::Arc, time::Duration};

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
    config::{SourceKind, SourceSettings},
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

    /// Then once more through both networks, for the time of each kind of operator
    #[arg(long)]
    profile: bool,

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
        let snapshot = match &self.place.gallery {
            Some(dir) => Gallery::open(dir, credentials_dir().as_deref())?.snapshot(&engine.model_id()?)?,
            None => demo::Demo::snapshot(&engine)?,
        };
        let demands = Demands {
            // Recorded frames are as old as the measurement; every check of the policy should be timed.
            max_frame_age: Duration::MAX,
            ..engine.demands()?
        };
        let (detector, embedder) = (engine.build_detector()?, engine.build_embedder()?);
        let (clock, facts) = (Arc::new(SystemClock), engine.store.engine());
        let mut bench = bench::Bench::new(detector, embedder, snapshot, demands, clock, facts);
        let passes = self.rounds + u32::from(self.profile);
        let bar = progress::bar((self.frames * passes) as usize, "measuring");
        let mut warm = false;
        for _ in 0..self.rounds {
            self.each_frame(|frame| {
                if !warm {
                    bench.warm_up(&frame)?;
                    warm = true;
                }
                bench.measure(&frame)?;
                bar.inc(1);
                Ok(())
            })?;
        }
        if self.profile {
            self.each_frame(|frame| {
                bench.profile(&frame)?;
                bar.inc(1);
                Ok(())
            })?;
        }
        let report = bench.report()?;
        bar.finish_and_clear();
        Printer::new(self.json).result(&report, || describe(&report))?;
        Ok(Exit::Done)
    }

    /// Plays the source through. Decoding happens between the frames, where it is not measured.
    fn each_frame(&self, mut measure: impl FnMut(Frame) -> Result<(), Failure>) -> Result<(), Failure> {
        let scratch = tempfile::tempdir()?;
        let settings = match &self.source {
            Some(source) => SourceSettings::from_arg(source),
            None => SourceSettings::new(SourceKind::Mjpeg(demo::Demo::write_sequence(scratch.path())?)),
        };
        let (_token, stop) = stop_token();
        let mut source = capture::open(&settings, Arc::new(SystemClock), stop)?;
        let mut reader = Reader::new(settings.name.clone());
        for _ in 0..self.frames {
            let Some(frame) = reader.next(source.as_mut())? else { break };
            measure(frame)?;
        }
        Ok(())
    }
}

fn describe(report: &BenchReport) -> String {
    let mut text = format!("{:<10} {:>9} {:>9} {:>9} {:>7}\n", "stage", "p50 ms", "p95 ms", "p99 ms", "n");
    for stage in ["detect", "align", "embed", "identify", "decide", "frame"] {
        if let Some(s) = report.stages.get(stage) {
            text += &format!("{stage:<10} {:>9.3} {:>9.3} {:>9.3} {:>7}\n", s.p50_ms, s.p95_ms, s.p99_ms, s.n);
        }
    }
    text.push('\n');
    for (stage, kinds) in report.profile.iter().flatten() {
        let mut kinds: Vec<_> = kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.total_cmp(a.1));
        let sum: f64 = kinds.iter().map(|(_, ms)| **ms).sum();
        text += &format!("{:<24} {:>9} {:>6}\n", format!("{stage}, by operator"), "ms a run", "%");
        for (kind, ms) in kinds {
            text += &format!("{kind:<24} {ms:>9.3} {:>6.1}\n", 100.0 * ms / sum);
        }
        text.push('\n');
    }
    for (stage, network) in &report.networks {
        let engine = network.engine.map(|engine| format!(" ({engine})")).unwrap_or_default();
        text += &format!("{stage:<10} {}{engine}\n", network.model);
    }
    let plural = if report.threads == 1 { "" } else { "s" };
    text + &format!(
        "{} frames, {} faces; {:.1} frames/s, peak memory {:.1} MB; {} on {}, {} thread{plural}",
        report.frames, report.faces, report.frames_per_s, report.rss_mb, report.engine, report.isa, report.threads
    )
}
