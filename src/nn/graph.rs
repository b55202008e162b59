//! One network, loaded for one input size.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    Datum, DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, TValue, Tensor as TractTensor,
    TractResult, TypedModel, TypedSimplePlan, TypedSimpleState, tvec,
};
use tract_onnx::tract_hir::internal::{TractError, TypedNode};
use tract_onnx::tract_hir::internal::{bail, ensure, format_err};
use tract_onnx::tract_hir::tract_core::plan;

use super::pixels::{PixelTable, StoredPixels};
use super::qdq::{self, Quantisation, Step};
use super::team::Team;
use super::{Isa, NnError, Tensor, check, dialect, float, import, operator, prelu};

/// How graphs are computed: on which instructions and how many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// The family of int8 kernels.
    pub isa: Isa,
    /// Threads that share the work of one inference, the caller's among them.
    pub threads: usize,
}

impl Default for Engine {
    /// The best kernels this processor runs, one thread.
    fn default() -> Engine {
        Engine { isa: Isa::best(), threads: 1 }
    }
}

/// A loaded and optimised ONNX graph with one input of a fixed shape, `f32` or quantised at once.
///
/// It keeps its working state and its input buffer between runs, hence `&mut self` in [`run`](Graph::run): a thread owns its
/// own graph. Loading takes milliseconds; load once.
pub struct Graph {
    name: String,
    input_shape: Vec<usize>,
    output_names: Vec<String>,
    state: TypedSimpleState,
    /// Shared with the engine during a run only, so that it can be written again afterwards without a new allocation.
    input: Arc<TractTensor>,
    entry: Entry,
    pixels: Option<PixelTable>,
    team: Arc<Team>,
    precision: Precision,
    engine: Engine,
}

/// Where the time of a graph goes, by kind of operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    times: BTreeMap<String, Duration>,
}

impl Profile {
    fn add(&mut self, kind: &str, time: Duration) {
        match self.times.get_mut(kind) {
            Some(sum) => *sum += time,
            None => drop(self.times.insert(kind.to_owned(), time)),
        }
    }

    /// The kinds of operators and the time of each, over all profiled runs.
    pub fn times(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.times.iter().map(|(kind, &time)| (kind.as_str(), time))
    }
}

/// What the plan takes.
enum Entry {
    /// The values themselves.
    Float,
    /// Their stored bytes, pixel by pixel.
    Bytes {
        quantisation: Quantisation,
        /// Where in a pixel each channel stands.
        order: Vec<usize>,
        /// How bytes of a picture become stored bytes, where they do not stand for themselves.
        stored: Option<StoredPixels>,
        /// Values on their way there.
        values: Vec<f32>,
    },
}

/// In which numbers a graph is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// All in `f32`.
    Float,
    /// Quantised groups in int8, the rest in `f32`.
    Int8,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph {} {:?} -> {:?}", self.name, self.input_shape, self.output_names)
    }
}

impl Graph {
    /// The longest file that is loaded, bytes.
    pub const MAX_FILE_BYTES: usize = check::MAX_FILE_BYTES;

    /// [`load_with`](Graph::load_with) the default [`Engine`].
    ///
    /// # Errors
    /// As `load_with`.
    pub fn load(name: &str, onnx: &[u8], input_shape: &[usize]) -> Result<Graph, NnError> {
        Graph::load_with(name, onnx, input_shape, Engine::default())
    }

    /// Loads a graph from the bytes of an ONNX file, for inputs of `input_shape`.
    ///
    /// The input may have another size than the file declares, as far as the network allows it: shapes that the file states for
    /// outputs and inner values are not believed but worked out anew. `name` stands in every error. Of a quantised file (QDQ
    /// form), what can be computed in int8 is; the nodes that stay in float are logged.
    ///
    /// # Errors
    /// [`NnError::Refused`] when the file is damaged, asks for too much memory or for something that is not supported, or does not
    /// take the shape: it names the node, tensor or field. [`NnError::Load`] when the engine itself cannot make a plan of it.
    pub fn load_with(name: &str, onnx: &[u8], input_shape: &[usize], engine: Engine) -> Result<Graph, NnError> {
        Graph::load_any(name, onnx, input_shape, engine, None)
    }

    /// As [`load_with`](Graph::load_with), for pictures too: [`run_pixels`](Graph::run_pixels) takes them as `pixels` says.
    ///
    /// # Errors
    /// As `load_with`, and when the input has not as many channels as the table.
    pub fn load_for_pixels(
        name: &str,
        onnx: &[u8],
        input_shape: &[usize],
        engine: Engine,
        pixels: PixelTable,
    ) -> Result<Graph, NnError> {
        if input_shape.len() != 4 || input_shape[0] != 1 || input_shape[1] != pixels.channels() {
            let reason = format!("one picture of {} channels is expected", pixels.channels());
            return Err(NnError::Load { model: name.to_owned(), input_shape: input_shape.to_vec(), reason });
        }
        Graph::load_any(name, onnx, input_shape, engine, Some(pixels))
    }

    /// Loads a graph as tract computes it by itself, but for PRelu, which is ours (tract makes three passes of it): with
    /// tract's convolutions, in float wherever the file is, on one thread.
    ///
    /// This is the yardstick of the instruction counts in `docs/performance.md`, not for use: [`load`](Graph::load) gives the
    /// same values sooner.
    ///
    /// # Errors
    /// As [`load_with`](Graph::load_with).
    pub fn load_yardstick(name: &str, onnx: &[u8], input_shape: &[usize]) -> Result<Graph, NnError> {
        let engine = Engine { isa: Isa::Portable, threads: 1 };
        Graph::load_planned(name, input_shape, engine, None, |_| Planned::yardstick(onnx, input_shape))
    }

    fn load_any(
        name: &str,
        onnx: &[u8],
        input_shape: &[usize],
        engine: Engine,
        pixels: Option<PixelTable>,
    ) -> Result<Graph, NnError> {
        let table = pixels.clone();
        Graph::load_planned(name, input_shape, engine, pixels, |team| {
            Planned::new(onnx, input_shape, engine.isa, team, table.as_ref())
        })
    }

    fn load_planned(
        name: &str,
        input_shape: &[usize],
        engine: Engine,
        pixels: Option<PixelTable>,
        plan: impl FnOnce(&Arc<Team>) -> TractResult<Planned>,
    ) -> Result<Graph, NnError> {
        let refuse = |reason| NnError::Load { model: name.to_owned(), input_shape: input_shape.to_vec(), reason };
        let team =
            Team::new(engine.threads.max(1)).map_err(|error| refuse(format!("no thread can be started: {error}")))?;
        let team = Arc::new(team);
        // The importer indexes by what the file says in places: a file made by hand could make it panic.
        let planned = catch_unwind(AssertUnwindSafe(|| plan(&team)))
            .map_err(|_| refuse("the importer gave up on a malformed graph".to_owned()))?
            .map_err(|error| match error.downcast::<check::Fault>() {
                Ok(fault) => NnError::Refused { model: name.to_owned(), fault: Box::new(fault) },
                Err(error) => refuse(format!("{error:#}")),
            })?;
        if !planned.float_nodes.is_empty() {
            log::info!("model {name}: computed in float: {}", planned.float_nodes.join(", "));
        }
        let state = planned.plan.spawn().map_err(|error| refuse(format!("{error:#}")))?;
        let buffer = match &planned.entry {
            Entry::Float => TractTensor::zero::<f32>(input_shape),
            Entry::Bytes { .. } => TractTensor::zero::<u8>(&pixels_shape(input_shape)),
        };
        let input = buffer.map_err(|error| refuse(format!("{error:#}")))?;
        Ok(Graph {
            name: name.to_owned(),
            input_shape: input_shape.to_vec(),
            output_names: planned.output_names,
            state,
            input: Arc::new(input),
            entry: planned.entry,
            pixels,
            team,
            precision: planned.precision,
            engine,
        })
    }

    /// The input shape this graph was loaded for.
    pub fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// Whether [`run_pixels`](Graph::run_pixels) can be used.
    pub fn takes_pixels(&self) -> bool {
        self.pixels.is_some()
    }

    /// Who computes it and in which numbers, for reports.
    pub fn engine_name(&self) -> &'static str {
        match self.precision {
            Precision::Float => "tract f32",
            Precision::Int8 => "tract int8",
        }
    }

    /// How it is computed.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// In which numbers it is computed.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The outputs' names in the order in which [`run`](Graph::run) returns them, which is the file's.
    pub fn output_names(&self) -> &[String] {
        &self.output_names
    }

    /// The position of the output called `name`.
    pub fn output_index(&self, name: &str) -> Option<usize> {
        self.output_names.iter().position(|output| output == name)
    }

    /// Runs the graph on `input`; the outputs come in the file's order.
    ///
    /// # Errors
    /// [`NnError::InputShape`] for a tensor of another shape, [`NnError::Run`] when an operator fails.
    pub fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>, NnError> {
        if input.shape() != self.input_shape {
            return Err(NnError::InputShape {
                model: self.name.clone(),
                expected: self.input_shape.clone(),
                found: input.shape().to_vec(),
            });
        }
        self.run_with(|buffer| buffer.copy_from_slice(input.data()))
    }

    /// Runs the graph on what `fill` writes into its own input buffer (row-major, of [`input_shape`](Graph::input_shape)).
    ///
    /// This saves the copy of [`run`](Graph::run). The buffer holds the values of the run before: `fill` must write all of it.
    ///
    /// # Errors
    /// [`NnError::Run`] when an operator fails.
    pub fn run_with(&mut self, fill: impl FnOnce(&mut [f32])) -> Result<Vec<Tensor>, NnError> {
        self.infer(Feed::Values(fill), None).map_err(|error| self.failed(error))
    }

    /// Runs the graph on a picture: rows of pixels, a byte a channel, of the size the graph was loaded for.
    ///
    /// # Errors
    /// [`NnError::Run`] for another number of bytes, for a graph that was not loaded for pixels, or when an operator fails.
    pub fn run_pixels(&mut self, picture: &[u8]) -> Result<Vec<Tensor>, NnError> {
        self.infer(Feed::<fn(&mut [f32])>::Pixels(picture), None).map_err(|error| self.failed(error))
    }

    /// As [`run_pixels`](Graph::run_pixels), and adds the time of every operator to `profile`.
    ///
    /// # Errors
    /// As `run_pixels`.
    pub fn run_pixels_profiled(&mut self, picture: &[u8], profile: &mut Profile) -> Result<Vec<Tensor>, NnError> {
        let watch = &mut |step: &Evaluated<'_>| profile.add(&step.node.op.name(), step.time);
        self.infer(Feed::<fn(&mut [f32])>::Pixels(picture), Some(watch)).map_err(|error| self.failed(error))
    }

    /// As [`run_pixels`](Graph::run_pixels), and shows every int8 operator's output to `see`: the operator's name and the stored bytes,
    /// which are the same on every processor. For tests and for finding faults.
    ///
    /// # Errors
    /// As `run_pixels`.
    pub fn run_pixels_traced(
        &mut self,
        picture: &[u8],
        see: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Vec<Tensor>, NnError> {
        let watch = &mut |step: &Evaluated<'_>| {
            for output in step.outputs {
                if let Ok(bytes) = output.try_as_plain_ram().and_then(|output| output.as_slice::<u8>()) {
                    see(&step.node.name, bytes);
                }
            }
        };
        self.infer(Feed::<fn(&mut [f32])>::Pixels(picture), Some(watch)).map_err(|error| self.failed(error))
    }

    /// As [`run_with`](Graph::run_with), and adds the time of every operator to `profile`.
    ///
    /// # Errors
    /// As `run_with`.
    pub fn run_profiled(
        &mut self,
        fill: impl FnOnce(&mut [f32]),
        profile: &mut Profile,
    ) -> Result<Vec<Tensor>, NnError> {
        let watch = &mut |step: &Evaluated<'_>| profile.add(&step.node.op.name(), step.time);
        self.infer(Feed::Values(fill), Some(watch)).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: TractError) -> NnError {
        NnError::Run { model: self.name.clone(), reason: format!("{error:#}") }
    }

    fn infer(
        &mut self,
        feed: Feed<'_, impl FnOnce(&mut [f32])>,
        watch: Option<&mut dyn FnMut(&Evaluated<'_>)>,
    ) -> TractResult<Vec<Tensor>> {
        // Helpers wake up while the input is written.
        let awake = self.team.wake();
        // After a run that failed half-way the engine may still hold the buffer; then this makes a new one.
        let mut buffer = Arc::make_mut(&mut self.input).try_as_plain_ram_mut()?;
        if let Feed::Pixels(picture) = &feed {
            let bytes = self.input_shape.iter().product::<usize>();
            ensure!(picture.len() == bytes, "the picture has {} bytes, {bytes} are expected", picture.len());
            ensure!(self.pixels.is_some(), "it was not loaded for pictures");
        }
        match (&mut self.entry, feed, &self.pixels) {
            (Entry::Float, Feed::Values(fill), _) => fill(buffer.as_slice_mut::<f32>()?),
            (Entry::Float, Feed::Pixels(picture), Some(table)) => table.fill(picture, buffer.as_slice_mut::<f32>()?),
            (Entry::Bytes { stored: None, .. }, Feed::Pixels(picture), _) => {
                buffer.as_slice_mut::<u8>()?.copy_from_slice(picture);
            }
            (Entry::Bytes { stored: Some(stored), .. }, Feed::Pixels(picture), _) => {
                stored.fill(picture, buffer.as_slice_mut::<u8>()?);
            }
            (Entry::Bytes { quantisation, order, values, .. }, Feed::Values(fill), _) => {
                let (channels, places) = (self.input_shape[1], self.input_shape[2] * self.input_shape[3]);
                values.resize(channels * places, 0.0);
                fill(values);
                quantisation.quantise(values, places, channels, order, buffer.as_slice_mut::<u8>()?);
            }
            (Entry::Float, Feed::Pixels(_), None) => bail!("it was not loaded for pictures"),
        }
        let inputs = tvec!(self.input.clone().into_tvalue());
        let run = || match watch {
            None => self.state.run(inputs),
            Some(watch) => self.state.run_plan_with_eval(inputs, |context, state, node, inputs| {
                let start = Instant::now();
                let outputs = plan::eval(context, state, node, inputs);
                let time = start.elapsed();
                if let Ok(outputs) = &outputs {
                    watch(&Evaluated { node, time, outputs });
                }
                outputs
            }),
        };
        let outputs = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(format_err!("the engine gave up on values out of its range")));
        drop(awake);
        if outputs.is_err() {
            // What a broken run leaves behind is not known, so the next one starts afresh.
            self.state = self.state.plan().spawn()?;
        }
        outputs?
            .iter()
            .map(|output| {
                let values = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
                Ok(Tensor { shape: output.shape().to_vec(), data: values })
            })
            .collect()
    }
}

/// An operator has run.
struct Evaluated<'a> {
    node: &'a TypedNode,
    time: Duration,
    outputs: &'a [TValue],
}

/// What an inference is given.
enum Feed<'a, F> {
    /// A function that writes the values.
    Values(F),
    /// A picture.
    Pixels(&'a [u8]),
}

/// NCHW to NHWC.
fn pixels_shape(shape: &[usize]) -> [usize; 4] {
    [1, shape[2], shape[3], shape[1]]
}

/// tract's importer with the operators that files may name.
pub(super) fn importer() -> tract_onnx::Onnx {
    let mut importer =
        tract_onnx::Onnx { op_register: import::register(), ..Default::default() }.with_ignore_value_info(true);
    prelu::register(&mut importer);
    importer
}

/// The file's graph, checked and in the form that the engine takes, and its outputs' names.
fn read(importer: &tract_onnx::Onnx, mut onnx: &[u8], input_shape: &[usize]) -> TractResult<(ModelProto, Vec<String>)> {
    check::bytes(onnx)?;
    let mut proto: ModelProto = importer.proto_model_for_read(&mut onnx)?;
    check::model(&proto, input_shape, |operator| importer.op_register.0.contains_key(operator))?;
    dialect::settle(&mut proto)?;
    let graph = proto.graph.as_ref().ok_or_else(|| format_err!("the file holds no graph"))?;
    let output_names: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    ensure!(!output_names.is_empty(), "the graph has no output");
    Ok((proto, output_names))
}

/// A graph imported, fused and optimised.
struct Planned {
    plan: Arc<TypedSimplePlan>,
    output_names: Vec<String>,
    entry: Entry,
    precision: Precision,
    float_nodes: Vec<String>,
}

/// What fusing made of a graph's nodes.
struct Fusing {
    steps: HashMap<String, Arc<Step>>,
    entry: Entry,
    float_nodes: Vec<String>,
}

impl Fusing {
    /// Nothing is fused.
    fn none() -> Fusing {
        Fusing { steps: HashMap::new(), entry: Entry::Float, float_nodes: Vec::new() }
    }
}

impl Planned {
    fn new(
        onnx: &[u8],
        input_shape: &[usize],
        isa: Isa,
        team: &Arc<Team>,
        pixels: Option<&PixelTable>,
    ) -> TractResult<Planned> {
        let mut importer = importer();
        let (mut proto, output_names) = read(&importer, onnx, input_shape)?;
        // Only now: a file cannot name operators of ours.
        operator::register(&mut importer);
        let graph = proto.graph.as_mut().ok_or_else(|| format_err!("the file holds no graph"))?;

        let Some(fused) = qdq::fuse(graph) else {
            return Planned::of(&importer, &proto, Fusing::none(), output_names, input_shape, isa, team);
        };
        let original = std::mem::replace(graph, fused.graph);
        let mut fusing = Fusing { steps: fused.steps, entry: Entry::Float, float_nodes: fused.float_nodes };
        if let Some(quantisation) = fused.input {
            ensure!(input_shape.len() == 4 && input_shape[0] == 1, "the input is one picture, not {input_shape:?}");
            let mut stored = pixels.map(|pixels| pixels.stored(&quantisation));
            let mut order: Vec<usize> = (0..input_shape[1]).collect();
            if let Some(as_it_is) = stored.as_ref().and_then(StoredPixels::order) {
                // The picture goes in as it is; the first layer takes the channels in the picture's order.
                for reader in &fused.input_readers {
                    let step = fusing.steps.get_mut(reader).map(Arc::make_mut);
                    step.ok_or_else(|| format_err!("{reader} is no step"))?.reorder_input(&as_it_is);
                }
                (order, stored) = (as_it_is, None);
            }
            fusing.entry = Entry::Bytes { quantisation, order, stored, values: Vec::new() };
        }
        Planned::of(&importer, &proto, fusing, output_names.clone(), input_shape, isa, team).or_else(|error| {
            // What the file says of sizes is known only now; groups that do not work out are left to tract, all of them.
            log::warn!("computed in float, since its quantised groups do not fit together: {error:#}");
            proto.graph = Some(original);
            Planned::of(&importer, &proto, Fusing::none(), output_names, input_shape, isa, team)
        })
    }

    /// Nothing of ours but PRelu.
    fn yardstick(onnx: &[u8], input_shape: &[usize]) -> TractResult<Planned> {
        let importer = importer();
        let (proto, output_names) = read(&importer, onnx, input_shape)?;
        let graph = proto.graph.as_ref().ok_or_else(|| format_err!("the file holds no graph"))?;
        let mut model = importer.model_for_proto_model(&proto)?.with_input_fact(0, f32::fact(input_shape).into())?;
        check::sizes(&mut model, graph, input_shape)?;
        Planned::optimised(model.into_typed()?, Fusing::none(), output_names)
    }

    /// Imports and optimises a graph, fused or as it stands in the file.
    fn of(
        importer: &tract_onnx::Onnx,
        proto: &ModelProto,
        fusing: Fusing,
        output_names: Vec<String>,
        input_shape: &[usize],
        isa: Isa,
        team: &Arc<Team>,
    ) -> TractResult<Planned> {
        let mut model = importer.model_for_proto_model(proto)?;
        let graph = proto.graph.as_ref().ok_or_else(|| format_err!("the file holds no graph"))?;
        ensure!(model.inputs.len() == 1, "the graph has {} inputs, one is expected", model.inputs.len());
        operator::bind(&mut model, &fusing.steps, isa, team);
        let fact = match &fusing.entry {
            Entry::Float => f32::fact(input_shape),
            Entry::Bytes { .. } => u8::fact(pixels_shape(input_shape)),
        };
        let mut model = model.with_input_fact(0, fact.into())?;
        check::sizes(&mut model, graph, input_shape)?;
        let model = model.into_typed()?;
        let model = if float::leads(isa) { float::rewrite(model, isa)? } else { model };
        Planned::optimised(model, fusing, output_names)
    }

    fn optimised(model: TypedModel, fusing: Fusing, output_names: Vec<String>) -> TractResult<Planned> {
        let Fusing { steps, entry, float_nodes } = fusing;
        let precision = if steps.is_empty() { Precision::Float } else { Precision::Int8 };
        let model = model.into_optimized()?;
        for (name, outlet) in output_names.iter().zip(&model.outputs) {
            let fact = model.outlet_fact(*outlet)?;
            ensure!(fact.datum_type == f32::datum_type(), "output {name} is {:?}, f32 is expected", fact.datum_type);
        }
        Ok(Planned { plan: model.into_runnable()?, output_names, entry, precision, float_nodes })
    }
}
