//! Searches a gallery of given vectors and says how long it takes: what `benches/peers/search.py` holds beside other libraries.
//!
//! ```text
//! search VECTORS.bin PROBES.bin --shape 192 [--clock wall|cpu]
//! ```
//!
//! Both files hold vectors of unit norm, one after the other: little-endian `f32`. The first line on standard output says, as
//! JSON, what is ready, on which instruction set, and how long loading took. Then each line on standard input is answered by
//! one line:
//!
//! - a count `N`: that many searches for the probes in turn; their times in milliseconds, separated by spaces
//! - `output I`: what is found for probe `I` (from 0), best first, as JSON: the numbers of the vectors and their similarities
//!
//! When standard input ends, the last line tells the most memory the process ever held.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Error, Result, ensure};
use clap::{Parser, ValueEnum};
use doorward::domain::{Embedding, ModelId};
use doorward::gallery::{Snapshot, SnapshotBuilder};
use doorward::identify::identify;
use doorward::nn::{ISA_VARIABLE, Isa};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

/// Searches a gallery and says how long it takes.
#[derive(Parser)]
struct Arguments {
    /// The gallery's vectors.
    vectors: PathBuf,
    /// The probes.
    probes: PathBuf,
    /// Components of a vector.
    #[arg(long)]
    shape: usize,
    /// A search has one thread; there so that all workers are started alike.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=1))]
    threads: u8,
    /// What is read before and after a search: the clock on the wall, or the processor time of this process.
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    clock: Clock,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clock {
    Wall,
    Cpu,
}

impl Clock {
    fn now_ms(self) -> f64 {
        let time = clock_gettime(match self {
            Clock::Wall => ClockId::Monotonic,
            Clock::Cpu => ClockId::ProcessCPUTime,
        });
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    }
}

fn model() -> ModelId {
    ModelId::new("vectors", [0; 32])
}

/// Calls `take` with each vector of `file`, one at a time in memory. Returns how many there are.
fn each_vector(file: &Path, dimension: usize, mut take: impl FnMut(usize, &Embedding) -> Result<()>) -> Result<usize> {
    let named = || file.display().to_string();
    let bytes = file.metadata().with_context(named)?.len();
    let one = dimension as u64 * 4;
    ensure!(one > 0 && bytes > 0 && bytes % one == 0, "{}: {bytes} bytes are no vectors of {dimension}", named());
    let count = usize::try_from(bytes / one)?;
    let mut reader = BufReader::new(File::open(file).with_context(named)?);
    let mut row = vec![0; dimension * 4];
    for number in 0..count {
        reader.read_exact(&mut row).with_context(named)?;
        let values: Vec<f32> = row.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect();
        take(number, &Embedding::new(model(), &values)?)?;
    }
    Ok(count)
}

/// The gallery: vector `n` is subject `n`, with a name as long as people's.
fn load(file: &Path, dimension: usize, isa: Isa) -> Result<Snapshot> {
    let expected = usize::try_from(file.metadata()?.len())? / (4 * dimension.max(1));
    let mut builder = SnapshotBuilder::new(model(), expected).on(isa);
    each_vector(file, dimension, |n, embedding| {
        Ok(builder.push(&format!("{n:07}").parse()?, &format!("Subject {n:07}"), None, embedding)?)
    })?;
    Ok(builder.finish()?)
}

/// The most memory this process ever held, if the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

fn main() -> ExitCode {
    match serve(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // In one line: who started this process quotes the last it said.
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Loads, and answers until standard input ends.
fn serve(arguments: &Arguments) -> Result<()> {
    let isa = Isa::choose(std::env::var(ISA_VARIABLE).ok().as_deref()).map_err(Error::msg)?;
    let start = Instant::now();
    let snapshot = load(&arguments.vectors, arguments.shape, isa)?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut probes = Vec::new();
    each_vector(&arguments.probes, arguments.shape, |_, probe| {
        probes.push(probe.clone());
        Ok(())
    })?;

    let mut answers = std::io::stdout().lock();
    writeln!(answers, "{}", json!({ "engine": "doorward", "isa": isa.name(), "load_ms": load_ms }))?;
    answers.flush()?;
    let mut next = probes.iter().cycle();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if let Some(index) = line.strip_prefix("output ") {
            let probe = index.parse().ok().and_then(|index: usize| probes.get(index));
            let probe = probe.with_context(|| format!("there is no probe {index}"))?;
            let found = identify(&snapshot, probe)?;
            let rows = found.as_slice().iter().map(|c| c.subject.as_str().parse::<usize>());
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let similarities: Vec<f32> = found.as_slice().iter().map(|c| c.similarity.value()).collect();
            writeln!(answers, "{}", json!({ "rows": rows, "similarities": similarities }))?;
        } else {
            let count: usize = line.parse().with_context(|| format!("neither a count nor an output: {line}"))?;
            let mut times_ms = Vec::with_capacity(count);
            for probe in next.by_ref().take(count) {
                let start_ms = arguments.clock.now_ms();
                identify(&snapshot, probe)?;
                times_ms.push(format!("{:.5}", arguments.clock.now_ms() - start_ms));
            }
            writeln!(answers, "{}", times_ms.join(" "))?;
        }
        answers.flush()?;
    }
    writeln!(answers, "{}", json!({ "peak_rss_mb": peak_rss_mb() }))?;
    Ok(())
}
