//! Runs one ONNX graph on one engine and says how long it takes: what `benches/peers/run.py` holds beside other engines.
//!
//! ```text
//! infer MODEL.onnx INPUT.bin --shape 1x3x112x112 [--engine yardstick|stock] [--pictures] [--threads N] [--clock wall|cpu]
//! ```
//!
//! `INPUT.bin` holds one or more inputs of that shape, one after the other: little-endian `f32`, row-major. With `--pictures` it
//! holds pictures, three bytes a pixel, and they go in as the product feeds them. The first line on standard output says, as JSON, which engine is ready, on which instruction set, and how long loading took. Then each line
//! on standard input is answered by one line:
//!
//! - a count `N`: that many runs over the inputs in turn; their times in milliseconds, separated by spaces
//! - `profile N`: N runs; the milliseconds a run by kind of operator, as JSON
//! - `output I`: the outputs for input `I` (from 0) by their names, as JSON
//!
//! When standard input ends, the last line tells the most memory the process ever held.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Error, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use doorward::models::ModelStore;
use doorward::nn::{Graph, ISA_VARIABLE, Isa, PixelTable, Profile, Tensor};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor as TractTensor, TypedSimpleState, tvec,
};

/// Runs one ONNX graph and says how long it takes.
#[derive(Parser)]
struct Arguments {
    /// The graph.
    model: PathBuf,
    /// Its inputs, one after the other: little-endian f32, row-major.
    inputs: PathBuf,
    /// The shape of one input.
    #[arg(long, value_parser = parse_shape)]
    shape: Shape,
    /// Who computes it.
    #[arg(long, value_enum, default_value_t = Choice::Doorward)]
    engine: Choice,
    /// The inputs are pictures, rows of pixels of red, green, blue; MODEL must be a file of the catalogue.
    #[arg(long)]
    pictures: bool,
    /// Threads of one inference.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// What is read before and after a run: the clock on the wall, or the processor time of this process.
    #[arg(long, value_enum, default_value_t = Clock::Wall)]
    clock: Clock,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Choice {
    /// doorward as it is.
    Doorward,
    /// tract with doorward's PRelu and nothing else of ours: what instructions are counted against.
    Yardstick,
    /// tract as it comes, without doorward's own operators.
    Stock,
}

/// The length of each axis.
#[derive(Clone)]
struct Shape(Vec<usize>);

fn parse_shape(text: &str) -> Result<Shape, String> {
    let axes: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match axes {
        Ok(axes) if axes.iter().all(|&length| length > 0) => Ok(Shape(axes)),
        _ => Err("a shape is written like 1x3x112x112".to_owned()),
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Clock {
    Wall,
    Cpu,
}

impl Clock {
    /// How long `work` takes, in milliseconds.
    fn time_ms<T>(self, work: impl FnOnce() -> T) -> (f64, T) {
        match self {
            Clock::Wall => {
                let start = Instant::now();
                let done = work();
                (start.elapsed().as_secs_f64() * 1e3, done)
            }
            Clock::Cpu => {
                let start = cpu_ms();
                let done = work();
                (cpu_ms() - start, done)
            }
        }
    }
}

/// The processor time this process has taken so far.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// A loaded graph on one of the engines.
enum Engine {
    Doorward(Box<Graph>),
    Yardstick(Box<Graph>),
    Stock(Box<Stock>),
}

/// tract without anything of ours.
struct Stock {
    state: TypedSimpleState,
    shape: Vec<usize>,
    output_names: Vec<String>,
}

impl Engine {
    fn load(arguments: &Arguments) -> Result<Engine> {
        let Arguments { model, shape: Shape(shape), engine, pictures, threads, .. } = arguments;
        let onnx = std::fs::read(model).with_context(|| format!("cannot read {}", model.display()))?;
        let name = model.display().to_string();
        ensure!(*engine == Choice::Doorward || *threads == 1, "only doorward has {threads} threads here");
        ensure!(*engine == Choice::Doorward || !pictures, "only doorward takes pictures here");
        match engine {
            Choice::Doorward => {
                let isa = Isa::choose(std::env::var(ISA_VARIABLE).ok().as_deref()).map_err(Error::msg)?;
                let engine = doorward::nn::Engine { isa, threads: *threads };
                let graph = match pictures {
                    true => Graph::load_for_pixels(&name, &onnx, shape, engine, pixel_table(model)?)?,
                    false => Graph::load_with(&name, &onnx, shape, engine)?,
                };
                Ok(Engine::Doorward(Box::new(graph)))
            }
            Choice::Yardstick => Ok(Engine::Yardstick(Box::new(Graph::load_yardstick(&name, &onnx, shape)?))),
            Choice::Stock => Ok(Engine::Stock(Box::new(Stock::load(&onnx, shape)?))),
        }
    }

    /// The engine's name, with its precision.
    fn name(&self) -> &'static str {
        match self {
            Engine::Doorward(graph) => graph.engine_name(),
            Engine::Yardstick(_) => "tract with doorward's PRelu",
            Engine::Stock(_) => "tract as it comes",
        }
    }

    /// The family of int8 kernels, or the processor's architecture where the engine chooses by itself.
    fn isa(&self) -> &'static str {
        match self {
            Engine::Doorward(graph) => graph.engine().isa.name(),
            Engine::Yardstick(_) | Engine::Stock(_) => std::env::consts::ARCH,
        }
    }

    fn output_names(&self) -> &[String] {
        match self {
            Engine::Doorward(graph) | Engine::Yardstick(graph) => graph.output_names(),
            Engine::Stock(stock) => &stock.output_names,
        }
    }

    /// One inference: the outputs' values in the file's order.
    fn run(&mut self, input: &Input) -> Result<Vec<Vec<f32>>> {
        match (self, input) {
            (Engine::Doorward(graph) | Engine::Yardstick(graph), Input::Values(values)) => {
                Ok(graph.run(values)?.into_iter().map(Tensor::into_data).collect())
            }
            (Engine::Doorward(graph) | Engine::Yardstick(graph), Input::Picture(picture)) => {
                Ok(graph.run_pixels(picture)?.into_iter().map(Tensor::into_data).collect())
            }
            (Engine::Stock(stock), Input::Values(values)) => stock.run(values),
            (Engine::Stock(_), Input::Picture(_)) => bail!("stock tract takes no pictures"),
        }
    }
}

impl Stock {
    fn load(onnx: &[u8], shape: &[usize]) -> Result<Stock> {
        let importer = tract_onnx::onnx().with_ignore_value_info(true);
        let proto = importer.proto_model_for_read(&mut &*onnx)?;
        let graph = proto.graph.as_ref().context("the file holds no graph")?;
        let output_names = graph.output.iter().map(|output| output.name.clone()).collect();
        let plan = importer
            .model_for_proto_model(&proto)?
            .with_input_fact(0, f32::fact(shape).into())?
            .into_optimized()?
            .into_runnable()?;
        Ok(Stock { state: plan.spawn()?, shape: shape.to_vec(), output_names })
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<Vec<f32>>> {
        let input = TractTensor::from_shape(&self.shape, input.data())?;
        let outputs = self.state.run(tvec!(input.into_tvalue()))?;
        outputs.iter().map(|output| Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())).collect()
    }
}

/// How the product gives pictures to the model of this file.
fn pixel_table(model: &Path) -> Result<PixelTable> {
    let store = ModelStore::embedded()?;
    let file = model.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let card = store.catalogue().models().iter().find(|card| card.file == file);
    let card = card.with_context(|| format!("no model of the catalogue has the file {file}"))?;
    card.input.pixel_table().with_context(|| format!("{file} does not take colour pictures"))
}

/// What one inference is given.
enum Input {
    Values(Tensor),
    Picture(Vec<u8>),
}

/// The inputs in `file`, each of `shape`.
fn read_inputs(file: &Path, shape: &[usize], pictures: bool) -> Result<Vec<Input>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let one = shape.iter().product::<usize>() * if pictures { 1 } else { size_of::<f32>() };
    ensure!(
        !bytes.is_empty() && bytes.len() % one == 0,
        "{} holds {} bytes, not a multiple of the {one} of one input",
        file.display(),
        bytes.len()
    );
    if pictures {
        return Ok(bytes.chunks_exact(one).map(|picture| Input::Picture(picture.to_vec())).collect());
    }
    let values = |input: &[u8]| input.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    bytes.chunks_exact(one).map(|input| Ok(Input::Values(Tensor::new(shape.to_vec(), values(input))?))).collect()
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
    let inputs = read_inputs(&arguments.inputs, &arguments.shape.0, arguments.pictures)?;
    // Reading the file is part of loading.
    let (load_ms, engine) = Clock::Wall.time_ms(|| Engine::load(arguments));
    let mut engine = engine?;
    let mut answers = std::io::stdout().lock();
    writeln!(answers, "{}", json!({ "engine": engine.name(), "isa": engine.isa(), "load_ms": load_ms }))?;
    answers.flush()?;

    let mut next = inputs.iter().cycle();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if let Some(index) = line.strip_prefix("output ") {
            let input = index.parse().ok().and_then(|index: usize| inputs.get(index));
            let Some(input) = input else { bail!("there is no input {index}, the last is {}", inputs.len() - 1) };
            let values = engine.run(input)?;
            let outputs: Map<String, Value> =
                engine.output_names().iter().cloned().zip(values.into_iter().map(Value::from)).collect();
            writeln!(answers, "{}", Value::Object(outputs))?;
        } else if let Some(count) = line.strip_prefix("profile ") {
            let count: u32 = count.parse().with_context(|| format!("not a count: {count}"))?;
            let (Engine::Doorward(graph) | Engine::Yardstick(graph)) = &mut engine else {
                bail!("stock tract is not profiled")
            };
            let mut profile = Profile::default();
            for input in next.by_ref().take(count as usize) {
                match input {
                    Input::Values(input) => {
                        graph.run_profiled(|values| values.copy_from_slice(input.data()), &mut profile)?
                    }
                    Input::Picture(picture) => graph.run_pixels_profiled(picture, &mut profile)?,
                };
            }
            let times = profile
                .times()
                .map(|(kind, time)| (kind.to_owned(), json!(time.as_secs_f64() * 1e3 / f64::from(count))));
            writeln!(answers, "{}", Value::Object(times.collect()))?;
        } else {
            let count: usize = line.parse().with_context(|| format!("neither a count nor an output: {line}"))?;
            let mut times_ms = Vec::with_capacity(count);
            for input in next.by_ref().take(count) {
                let (time_ms, outputs) = arguments.clock.time_ms(|| engine.run(input));
                outputs?;
                times_ms.push(format!("{time_ms:.5}"));
            }
            writeln!(answers, "{}", times_ms.join(" "))?;
        }
        answers.flush()?;
    }
    writeln!(answers, "{}", json!({ "peak_rss_mb": peak_rss_mb() }))?;
    Ok(())
}
