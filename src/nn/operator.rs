//! Fused groups as operators of tract's plan.

use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::tract_hir::internal::*;

use super::Isa;
use super::int8::{Conv, Enlarge, Grid, MaxPool, Output, PlannedConv, round_to_byte};
use super::qdq::{NODE_TYPE, Quantisation, Step};
use super::team::{MAX_PARTS, Team};

/// Makes `onnx` accept fused nodes; [`bind`] then tells them what to do.
pub(super) fn register(onnx: &mut tract_onnx::Onnx) {
    onnx.op_register.insert(NODE_TYPE, |_, _| Ok((expand(Unbound), vec![])));
}

/// Gives every fused node of an imported model its step.
pub(super) fn bind(model: &mut InferenceModel, steps: &HashMap<String, Arc<Step>>, isa: Isa, team: &Arc<Team>) {
    let spares = Arc::new(Spares::default());
    for node in &mut model.nodes {
        if let Some(step) = steps.get(&node.name) {
            node.op = expand(Fused { step: step.clone(), isa, team: team.clone(), spares: spares.clone() });
        }
    }
}

/// A fused node between the importer and [`bind`].
#[derive(Debug, Clone)]
struct Unbound;

impl Expansion for Unbound {
    fn name(&self) -> StaticName {
        NODE_TYPE.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        _: &mut Solver<'r>,
        _: &'p [TensorProxy],
        _: &'p [TensorProxy],
    ) -> InferenceResult {
        bail!("the operator type {NODE_TYPE} is for inner use and must not stand in a file")
    }

    fn wire(&self, _: &str, _: &mut TypedModel, _: &[OutletId]) -> TractResult<TVec<OutletId>> {
        bail!("the operator type {NODE_TYPE} is for inner use and must not stand in a file")
    }
}

/// A step, before the size of its input is known.
#[derive(Clone)]
struct Fused {
    step: Arc<Step>,
    isa: Isa,
    team: Arc<Team>,
    spares: Arc<Spares>,
}

impl std::fmt::Debug for Fused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.step.name())
    }
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Step::Conv(_) => "Int8Convolution",
            Step::FullyConnected(_) => "Int8FullyConnected",
            Step::MaxPool(_) => "Int8MaxPool",
            Step::Enlarge(_) => "Int8Enlarge",
            Step::Quantise(_) => "Quantise",
            Step::Dequantise(..) => "Dequantise",
        }
    }

    fn has_residual(&self) -> bool {
        matches!(self, Step::Conv(conv) | Step::FullyConnected(conv) if conv.epilogue.residual.is_some())
    }
}

/// The grid of a tensor of stored bytes.
fn grid(shape: &[usize], channels: Option<usize>) -> TractResult<Grid> {
    let &[1, height, width, stride] = shape else {
        bail!("one picture of rows, columns and channels is expected, not {shape:?}")
    };
    let channels = channels.unwrap_or(stride);
    ensure!(stride >= channels, "{stride} channels are there, {channels} are expected");
    Ok(Grid { height, width, channels, stride })
}

fn shape_of(grid: Grid) -> TVec<usize> {
    tvec!(1, grid.height, grid.width, grid.stride)
}

/// A convolution whose kernel covers its whole input.
fn whole(conv: &Conv, input: Grid) -> TractResult<Conv> {
    let places = conv.kernel[0] * conv.kernel[1];
    ensure!(
        input.height * input.width == places,
        "{} places are expected, the input has {}x{}",
        places,
        input.width,
        input.height
    );
    Ok(Conv { kernel: [input.height, input.width], ..conv.clone() })
}

/// The type and shape of a step's output, for an input of `shape`.
fn output(step: &Step, shape: &[usize]) -> TractResult<(DatumType, TVec<usize>)> {
    let bytes = |grid: Grid| (u8::datum_type(), shape_of(grid));
    Ok(match step {
        Step::Conv(conv) => {
            let input = grid(shape, Some(conv.inputs))?;
            let size = conv.output_size(input.height, input.width);
            let [height, width] =
                size.with_context(|| format!("the kernel {:?} is larger than its input {shape:?}", conv.kernel))?;
            match conv.epilogue.range {
                Some(_) => bytes(Grid::new(height, width, conv.outputs)),
                None => (f32::datum_type(), tvec!(1, conv.outputs, height, width)),
            }
        }
        Step::FullyConnected(conv) => {
            whole(conv, grid(shape, Some(conv.inputs))?)?;
            match conv.epilogue.range {
                Some(_) => bytes(Grid::new(1, 1, conv.outputs)),
                None => (f32::datum_type(), tvec!(1, conv.outputs)),
            }
        }
        Step::MaxPool(pool) => bytes(
            pool.output(grid(shape, None)?)
                .with_context(|| format!("the window is larger than its input {shape:?}"))?,
        ),
        Step::Enlarge(enlarge) => bytes(enlarge.output(grid(shape, None)?).context("the enlarged size overflows")?),
        Step::Quantise(_) => {
            let &[1, channels, height, width] = shape else {
                bail!("one picture of channels, rows and columns is expected, not {shape:?}")
            };
            bytes(Grid::new(height, width, channels))
        }
        Step::Dequantise(_, channels) => {
            let grid = grid(shape, Some(*channels))?;
            (f32::datum_type(), tvec!(1, *channels, grid.height, grid.width))
        }
    })
}

impl Expansion for Fused {
    fn name(&self) -> StaticName {
        self.step.name().into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, if self.step.has_residual() { 2 } else { 1 })?;
        check_output_arity(outputs, 1)?;
        s.given(&inputs[0].shape, move |s, shape| {
            let shape: TVec<usize> = shape.iter().map(|dim| Ok(dim.to_usize()?)).collect::<TractResult<_>>()?;
            let (kind, shape) = output(&self.step, &shape)?;
            s.equals(&outputs[0].datum_type, kind)?;
            let shape: ShapeFactoid = shape.iter().map(|dim| dim.to_dim()).collect();
            s.equals(&outputs[0].shape, shape)?;
            Ok(())
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let shape = fact.shape.as_concrete().context("sizes must be known")?.to_vec();
        let kind = if matches!(*self.step, Step::Quantise(_)) { f32::datum_type() } else { u8::datum_type() };
        ensure!(fact.datum_type == kind, "{prefix}: the input is {:?}, {kind:?} is expected", fact.datum_type);
        let (output_kind, output_shape) = output(&self.step, &shape)?;
        if let Some(residual) = inputs.get(1) {
            let fact = model.outlet_fact(*residual)?;
            let (Step::Conv(conv) | Step::FullyConnected(conv)) = &*self.step else {
                bail!("{prefix}: one input is expected")
            };
            let fits = fact.shape.as_concrete().is_some_and(|found| match conv.epilogue.range {
                Some(_) => found == &*output_shape,
                None => found == &*shape_of(Grid::new(output_shape[2], output_shape[3], conv.outputs)),
            });
            ensure!(fits && fact.datum_type == u8::datum_type(), "{prefix}: tensors of different sizes are added");
        }
        let work = match &*self.step {
            Step::Conv(conv) => self.plan(conv, grid(&shape, Some(conv.inputs))?)?,
            Step::FullyConnected(conv) => {
                let input = grid(&shape, Some(conv.inputs))?;
                self.plan(&whole(conv, input)?, input)?
            }
            Step::MaxPool(pool) => Work::MaxPool(pool.clone(), grid(&shape, None)?),
            Step::Enlarge(enlarge) => Work::Enlarge(*enlarge, grid(&shape, None)?),
            Step::Quantise(quantisation) => Work::Quantise(quantisation.clone()),
            Step::Dequantise(quantisation, channels) => {
                Work::Dequantise(quantisation.clone(), grid(&shape, Some(*channels))?)
            }
        };
        let op = Int8 {
            work: Arc::new(work),
            name: self.step.name(),
            kind: output_kind,
            shape: output_shape,
            team: self.team.clone(),
            spares: self.spares.clone(),
        };
        model.wire_node(prefix, op, inputs)
    }
}

impl Fused {
    fn plan(&self, conv: &Conv, input: Grid) -> TractResult<Work> {
        Ok(Work::Conv(PlannedConv::new(conv, input, self.isa).context("the kernel is larger than its input")?))
    }
}

/// What an operator does, for inputs of one size.
#[expect(clippy::large_enum_variant, reason = "one of them a layer, behind an `Arc`")]
enum Work {
    Conv(PlannedConv),
    MaxPool(MaxPool, Grid),
    Enlarge(Enlarge, Grid),
    Quantise(Quantisation),
    Dequantise(Quantisation, Grid),
}

/// An operator of the plan.
#[derive(Clone)]
struct Int8 {
    work: Arc<Work>,
    name: &'static str,
    kind: DatumType,
    shape: TVec<usize>,
    team: Arc<Team>,
    spares: Arc<Spares>,
}

/// Tensors that nobody reads any more, for the next operator: an allocation of this size goes to the system each time, which
/// costs as much as the layer.
#[derive(Default)]
struct Spares(Mutex<Vec<Tensor>>);

/// As many as the widest graphs have alive at a time.
const MAX_SPARES: usize = 12;

impl Spares {
    /// A tensor with any values, on a 64-byte boundary.
    fn take(&self, kind: DatumType, shape: &[usize]) -> TractResult<Tensor> {
        let len = shape.iter().product::<usize>();
        // Nobody holds the lock for longer than this; only the thread that runs the graph takes it.
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = spares.iter().rposition(|spare| spare.datum_type() == kind && spare.len() == len) {
            let mut spare = spares.remove(found);
            spare.set_shape(shape)?;
            return Ok(spare);
        }
        // SAFETY: of these types any bits are values; the operators write all of them before they are read, see `Int8::eval`.
        unsafe { Tensor::uninitialized_aligned_dt(kind, shape, 64) }
    }

    /// Keeps a tensor that had its last reader.
    fn give(&self, value: TValue) {
        if value.is_exclusive() && value.datum_type() == u8::datum_type() {
            let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if spares.len() == MAX_SPARES {
                spares.remove(0);
            }
            spares.push(value.into_tensor());
        }
    }
}

impl std::fmt::Debug for Int8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {:?}", self.name, self.shape)
    }
}

impl PartialEq for Int8 {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.work, &other.work)
    }
}

impl Eq for Int8 {}

impl Op for Int8 {
    fn name(&self) -> StaticName {
        match &*self.work {
            Work::Conv(conv) => match conv.kind() {
                "pointwise" => "Int8Pointwise".into(),
                "depthwise" => "Int8Depthwise".into(),
                _ => "Int8Convolution".into(),
            },
            _ => self.name.into(),
        }
    }

    op_as_typed_op!();
}

impl TypedOp for Int8 {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.kind.fact(&*self.shape)))
    }

    as_op!();
}

impl EvalOp for Int8 {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        // Every operator writes all of its output, except that grouped convolutions may leave out the bytes behind the last
        // channel: those are cleared first.
        let mut output = self.spares.take(self.kind, &self.shape)?;
        let mut plain = output.try_as_plain_ram_mut()?;
        match &*self.work {
            Work::Conv(conv) => {
                let input = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
                let residual =
                    inputs.get(1).map(|residual| residual.try_as_plain_ram()?.as_slice::<u8>()).transpose()?;
                if self.kind == u8::datum_type() {
                    let bytes = plain.as_slice_mut::<u8>()?;
                    if !conv.fills_output() {
                        bytes.fill(0);
                    }
                    self.run(conv, input, residual, bytes, |bytes| Output::Int8(bytes));
                } else {
                    let grid = conv.output();
                    let mut values = vec![0f32; grid.len()];
                    self.run(conv, input, residual, &mut values, |values| Output::Float(values));
                    let planes = plain.as_slice_mut::<f32>()?;
                    to_planes(&values, grid, planes, |value| value);
                }
            }
            Work::MaxPool(pool, grid) => {
                let input = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
                let bytes = plain.as_slice_mut::<u8>()?;
                pool.run(*grid, input, self.shape[2], 0..self.shape[1], bytes);
            }
            Work::Enlarge(enlarge, grid) => {
                let input = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
                let bytes = plain.as_slice_mut::<u8>()?;
                enlarge.run(*grid, input, 0..self.shape[1], bytes);
            }
            Work::Quantise(quantisation) => {
                let input = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
                let bytes = plain.as_slice_mut::<u8>()?;
                bytes.fill(0);
                let order: Vec<usize> = (0..self.shape[3]).collect();
                quantisation.quantise(input, self.shape[1] * self.shape[2], self.shape[3], &order, bytes);
            }
            Work::Dequantise(quantisation, grid) => {
                let input = inputs[0].try_as_plain_ram()?.as_slice::<u8>()?;
                let planes = plain.as_slice_mut::<f32>()?;
                let reals: Vec<f32> =
                    input.iter().enumerate().map(|(i, &stored)| quantisation.real(stored, i % grid.stride)).collect();
                to_planes(&reals, *grid, planes, |value| value);
            }
        }
        inputs.into_iter().for_each(|input| self.spares.give(input));
        Ok(tvec!(output.into_tvalue()))
    }
}

impl Int8 {
    /// Runs a convolution on all threads of the team.
    fn run<T: Send>(
        &self,
        conv: &PlannedConv,
        input: &[u8],
        residual: Option<&[u8]>,
        output: &mut [T],
        wrap: for<'a> fn(&'a mut [T]) -> Output<'a>,
    ) {
        let units = conv.units();
        let parts = match self.team.threads() {
            1 => 1,
            threads => threads.min(MAX_PARTS).min(units),
        };
        let output = Parts { start: output.as_mut_ptr(), len: output.len() };
        self.team.run(parts, &|part, scratch| {
            let units = units * part / parts..units * (part + 1) / parts;
            let values = conv.values_of(&units);
            // SAFETY: the parts' units are disjoint, hence their values; the team calls each part once.
            let output = unsafe { output.part(values) };
            conv.run(input, residual, wrap(output), units, scratch);
        });
    }
}

/// A slice of which threads take disjoint parts.
struct Parts<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: `part` is the only way to the values, and its caller keeps parts disjoint.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    /// # Safety
    /// No two parts that live at a time may overlap.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts, by the contract")]
    unsafe fn part(&self, range: std::ops::Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "a part lies within the whole");
        // SAFETY: within the slice (asserted), disjoint (contract).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// From channels innermost to channels outermost.
fn to_planes(values: &[f32], grid: Grid, planes: &mut [f32], map: impl Fn(f32) -> f32) {
    let places = grid.height * grid.width;
    if places == 1 {
        planes.iter_mut().zip(values).for_each(|(to, &from)| *to = map(from));
        return;
    }
    for (channel, plane) in planes.chunks_exact_mut(places).enumerate() {
        for (place, value) in plane.iter_mut().enumerate() {
            *value = map(values[place * grid.stride + channel]);
        }
    }
}

impl Quantisation {
    fn offset(&self, channel: usize) -> f32 {
        match self.offset.as_slice() {
            [] => 0.0,
            [one] => *one,
            each => each.get(channel).copied().unwrap_or(0.0),
        }
    }

    /// As ONNX QuantizeLinear behind a Sub, for one channel; NaN becomes a byte of no meaning.
    pub(super) fn store(&self, reals: &[f32], channel: usize, bytes: &mut [u8]) {
        let (offset, zero) = (self.offset(channel), f32::from(self.zero));
        for (byte, real) in bytes.iter_mut().zip(reals) {
            let steps = ((real - offset) / self.scale).clamp(-zero, 255.0 - zero);
            *byte = round_to_byte(steps).wrapping_add(self.zero);
        }
    }

    fn real(&self, stored: u8, channel: usize) -> f32 {
        f32::from(i16::from(stored) - i16::from(self.zero)) * self.scale + self.offset(channel)
    }

    /// Writes planes of `places` values as pixels of `stride` bytes, channel `c` in place `order[c]` of a pixel.
    pub(super) fn quantise(&self, planes: &[f32], places: usize, stride: usize, order: &[usize], bytes: &mut [u8]) {
        const BLOCK: usize = 256;
        let mut blocks = vec![[0; BLOCK]; order.len()];
        for (at, pixels) in bytes.chunks_mut(BLOCK * stride).enumerate() {
            let count = pixels.len() / stride;
            for (channel, (plane, block)) in planes.chunks_exact(places.max(1)).zip(&mut blocks).enumerate() {
                self.store(&plane[at * BLOCK..][..count], channel, block);
            }
            // Colour pictures are what there is; their pixels are written whole.
            if let ([first, second, third], 3) = (blocks.as_slice(), stride) {
                let from = [first, second, third].iter().zip(order).fold([first; 3], |mut from, (block, &place)| {
                    from[place] = block;
                    from
                });
                for (i, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    *pixel = [from[0][i], from[1][i], from[2][i]];
                }
                continue;
            }
            for (block, &place) in blocks.iter().zip(order) {
                for (pixel, &byte) in pixels.chunks_exact_mut(stride).zip(block) {
                    pixel[place] = byte;
                }
            }
        }
    }
}
