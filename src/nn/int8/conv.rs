//! One convolution with everything that follows it, as one pass over its output.

use std::borrow::Cow;
use std::ops::Range;

use super::aligned::Aligned;
use super::epilogue::Epilogue;
use super::grid::Grid;
use super::kernel::{self, DenseRows, DepthwiseRow, Kernel, Output};
use super::packed::{PackedDense, PackedDepthwise};
use crate::nn::Isa;

/// A quantised convolution as the network states it, for any picture size.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// Channels read.
    pub inputs: usize,
    /// Channels made.
    pub outputs: usize,
    /// Groups of channels that do not mix; divides both.
    pub groups: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Down and across.
    pub strides: [usize; 2],
    /// Down and across.
    pub dilations: [usize; 2],
    /// Top, left, bottom, right; padded places count as zero.
    pub pads: [usize; 4],
    /// `[outputs][inputs / groups][rows][columns]`, as ONNX has it.
    pub weights: Vec<i8>,
    /// The stored byte of the input that stands for zero.
    pub zero: u8,
    /// What every tap adds to the bias where it lies inside the picture, `[outputs][rows * columns]`: an input whose zero is
    /// no integer (real value = scale * q + offset) has a bias that is smaller at the edges. The epilogue's bias is that of
    /// the interior, with all taps inside. Only with one group.
    pub edge_bias: Option<Vec<f64>>,
    /// What is done with the sums.
    pub epilogue: Epilogue,
}

impl Conv {
    /// Rows and columns of the output for an input of `height` by `width`; `None` when the kernel does not fit.
    pub fn output_size(&self, height: usize, width: usize) -> Option<[usize; 2]> {
        let along = |len: usize, axis: usize| {
            let padded = len + self.pads[axis] + self.pads[axis + 2];
            let extent = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
            Some(padded.checked_sub(extent)? / self.strides[axis] + 1)
        };
        Some([along(height, 0)?, along(width, 1)?])
    }

    fn is_depthwise(&self) -> bool {
        self.groups == self.inputs && self.inputs == self.outputs && self.groups > 1
    }
}

/// A convolution packed for one family and one input size.
pub struct PlannedConv {
    kernel: &'static dyn Kernel,
    input: Grid,
    output: Grid,
    plan: Plan,
}

enum Plan {
    /// Pixels are rows of the matrix as they lie.
    Pointwise(PackedDense),
    /// Each output pixel's inputs are gathered into a row first (im2col), a few pixels at a time.
    Gathered(Gathered),
    /// Channel by channel.
    Depthwise(Depthwise),
}

struct Gathered {
    window: Window,
    zero: u8,
    /// Bytes of input that a tap reads.
    tap: usize,
    /// Bytes of a gathered row.
    row_len: usize,
    groups: Vec<Group>,
    /// The set of biases of every output row, and what every output column adds to it.
    bias_of_row: Vec<usize>,
    bias_of_column: Vec<usize>,
}

/// Channel groups that are computed together.
struct Group {
    first_input: usize,
    first_output: usize,
    packed: PackedDense,
}

struct Depthwise {
    window: Window,
    zero: u8,
    packed: PackedDepthwise,
    /// Bytes of one padded row, its columns sorted by their remainder modulo the stride so that a tap reads neighbours.
    row_len: usize,
    /// Columns of one remainder.
    phase: usize,
    /// What each column of the kernel adds.
    columns: Vec<usize>,
    /// Output rows for which input rows are padded at a time.
    block: usize,
    /// Padding would change nothing.
    direct: bool,
}

#[derive(Clone, Copy)]
struct Window {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    top: usize,
    left: usize,
}

/// Gathered bytes that stay in the first-level cache.
const GATHERED_BYTES: usize = 12 << 10;
/// Padded bytes that stay in the first-level cache.
const PADDED_BYTES: usize = 24 << 10;
/// Bytes that may be copied or read in excess behind a row.
const SLACK: usize = 64;

impl std::fmt::Debug for PlannedConv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} -> {:?}", self.kind(), self.kernel.isa(), self.output)
    }
}

impl PlannedConv {
    /// Packs `conv` for inputs of `input`; `None` when the kernel does not fit into the padded input.
    pub fn new(conv: &Conv, input: Grid, isa: Isa) -> Option<PlannedConv> {
        let [height, width] = conv.output_size(input.height, input.width)?;
        let output = Grid::new(height, width, conv.outputs);
        let mut kernel = kernel::of(isa);
        if !kernel.suits(conv) {
            kernel = kernel::of(Isa::Portable);
        }
        let window = Window {
            kernel: conv.kernel,
            strides: conv.strides,
            dilations: conv.dilations,
            top: conv.pads[0],
            left: conv.pads[1],
        };
        let pointwise = conv.kernel == [1, 1] && conv.strides == [1, 1] && conv.pads == [0; 4] && conv.groups == 1;
        let plan = if conv.is_depthwise() && input.stride == output.stride {
            Plan::Depthwise(Depthwise::new(conv, window, kernel, input, output))
        } else if pointwise && input.stride.is_multiple_of(kernel.layout().step.max(16)) {
            let weights = pad_rows(&conv.weights, conv.inputs, input.stride);
            let biases = std::slice::from_ref(&conv.epilogue.bias);
            let packed = PackedDense::new(
                kernel.layout(),
                &weights,
                input.stride,
                output.stride,
                conv.zero,
                &conv.epilogue,
                biases,
            );
            Plan::Pointwise(packed)
        } else {
            Plan::Gathered(Gathered::new(conv, window, kernel, input, output))
        };
        Some(PlannedConv { kernel, input, output, plan })
    }

    /// The family it is packed for.
    #[cfg(test)]
    pub fn isa(&self) -> Isa {
        self.kernel.isa()
    }

    /// The shape of the output.
    pub fn output(&self) -> Grid {
        self.output
    }

    /// Whether every value of the output is written, those behind the last channel too.
    pub fn fills_output(&self) -> bool {
        match &self.plan {
            Plan::Gathered(plan) => {
                plan.groups.iter().map(|g| g.packed.constants.start.len()).sum::<usize>() == self.output.stride
            }
            _ => true,
        }
    }

    /// What kind of work it is, for reports.
    pub fn kind(&self) -> &'static str {
        match self.plan {
            Plan::Pointwise(_) => "pointwise",
            Plan::Gathered(_) => "convolution",
            Plan::Depthwise(_) => "depthwise",
        }
    }

    /// Into how many parts [`run`](PlannedConv::run) can be divided.
    pub fn units(&self) -> usize {
        match self.plan {
            Plan::Pointwise(_) => self.output.height * self.output.width,
            _ => self.output.height,
        }
    }

    /// The values of the output (stored bytes or `f32`) that `units` make.
    pub fn values_of(&self, units: &Range<usize>) -> Range<usize> {
        let unit = match self.plan {
            Plan::Pointwise(_) => self.output.stride,
            _ => self.output.row_len(),
        };
        units.start * unit..units.end * unit
    }

    /// Computes the part `units` of the output. `residual` is the whole second tensor (laid out as the output), `output` the
    /// part's values only; `scratch` is reused from call to call.
    ///
    /// # Panics
    /// When a slice has another length than the grids say.
    pub fn run(
        &self,
        input: &[u8],
        residual: Option<&[u8]>,
        output: Output<'_>,
        units: Range<usize>,
        scratch: &mut Aligned<u8>,
    ) {
        assert_eq!(input.len(), self.input.len(), "the input fills its grid");
        let part = self.values_of(&units);
        let residual = residual.map(|residual| &residual[part]);
        match &self.plan {
            Plan::Pointwise(packed) => {
                let stride = self.input.stride;
                let rows = DenseRows {
                    input: &input[units.start * stride..units.end * stride],
                    input_stride: stride,
                    count: units.len(),
                    residual,
                    output,
                    output_stride: self.output.stride,
                    bias: 0,
                };
                self.kernel.dense(packed, rows);
            }
            Plan::Gathered(plan) => plan.run(self, input, residual, output, units, scratch),
            Plan::Depthwise(plan) => plan.run(self, input, residual, output, units, scratch),
        }
    }
}

impl Gathered {
    fn new(conv: &Conv, window: Window, kernel: &'static dyn Kernel, input: Grid, output: Grid) -> Gathered {
        let (group_in, group_out) = (conv.inputs / conv.groups, conv.outputs / conv.groups);
        // Groups are joined until their outputs are whole vectors; the weights between joined groups are zero.
        let joined = match conv.groups {
            1 => 1,
            groups => (1..=groups).find(|n| groups % n == 0 && (n * group_out) % 16 == 0).unwrap_or(groups),
        };
        let whole = joined == conv.groups;
        let tap = if whole { input.stride } else { joined * group_in };
        let taps = conv.kernel[0] * conv.kernel[1];
        let (bias_of_row, bias_of_column, biases) = edge_biases(conv, &window, input, output);
        let groups = (0..conv.groups / joined)
            .map(|group| {
                let outputs = if whole { conv.outputs } else { joined * group_out };
                let first_output = group * outputs;
                let mut weights = vec![0; outputs * taps * tap];
                for out in 0..outputs {
                    let within = out / group_out * group_in;
                    for i in 0..group_in {
                        for t in 0..taps {
                            weights[(out * taps + t) * tap + within + i] =
                                conv.weights[((first_output + out) * group_in + i) * taps + t];
                        }
                    }
                }
                let channels = first_output..first_output + outputs;
                let epilogue = conv.epilogue.of_channels(channels.clone());
                let biases: Vec<Vec<f32>> = biases.iter().map(|bias| bias[channels.clone()].to_vec()).collect();
                let stride = if whole { output.stride } else { outputs };
                let packed =
                    PackedDense::new(kernel.layout(), &weights, taps * tap, stride, conv.zero, &epilogue, &biases);
                Group { first_input: group * joined * group_in, first_output, packed }
            })
            .collect();
        let row_len = (taps * tap).next_multiple_of(64) + SLACK;
        Gathered { window, zero: conv.zero, tap, row_len, groups, bias_of_row, bias_of_column }
    }

    fn run(
        &self,
        conv: &PlannedConv,
        input: &[u8],
        residual: Option<&[u8]>,
        mut output: Output<'_>,
        rows: Range<usize>,
        scratch: &mut Aligned<u8>,
    ) {
        let block = (GATHERED_BYTES / self.row_len).clamp(6, 96) / 6 * 6;
        scratch.grow(block * self.row_len);
        let (width, stride) = (conv.output.width, conv.output.stride);
        let first_row = rows.start;
        for group in &self.groups {
            for y in rows.clone() {
                let mut x = 0;
                while x < width {
                    // As many pixels as share a set of biases and fit the scratch.
                    let column = self.bias_of_column[x];
                    let count = (x..width.min(x + block)).take_while(|&x| self.bias_of_column[x] == column).count();
                    self.gather_all(conv.input, input, group.first_input, y, x..x + count, scratch);
                    let place = ((y - first_row) * width + x) * stride + group.first_output;
                    let rows = DenseRows {
                        input: scratch,
                        input_stride: self.row_len,
                        count,
                        residual: residual.map(|residual| &residual[place..]),
                        output: match &mut output {
                            Output::Int8(bytes) => Output::Int8(&mut bytes[place..]),
                            Output::Float(values) => Output::Float(&mut values[place..]),
                        },
                        output_stride: stride,
                        bias: self.bias_of_row[y] + column,
                    };
                    conv.kernel.dense(&group.packed, rows);
                    x += count;
                }
            }
        }
    }

    /// Copies what the output pixels `xs` of row `y` read into rows of their own.
    fn gather_all(&self, grid: Grid, input: &[u8], first: usize, y: usize, xs: Range<usize>, rows: &mut [u8]) {
        let Window { kernel, strides, dilations, top, left } = self.window;
        // Pixels whose taps lie side by side inside the picture, few bytes a row: as vectors, without a look at each.
        let run = kernel[1] * self.tap;
        let from_x = xs.start * strides[1];
        let last_x = (xs.end - 1) * strides[1] + kernel[1];
        let together = dilations[1] == 1 && self.tap == grid.stride && run <= 16;
        if !(together && from_x >= left && last_x - left <= grid.width) {
            for (x, row) in xs.zip(rows.chunks_exact_mut(self.row_len)) {
                self.gather(grid, input, first, y, x, row);
            }
            return;
        }
        for ky in 0..kernel[0] {
            let from_y = (y * strides[0] + ky * dilations[0]).wrapping_sub(top);
            let to = rows[ky * run..].chunks_mut(self.row_len).take(xs.len());
            if from_y >= grid.height {
                to.for_each(|row| row[..run].fill(self.zero));
                continue;
            }
            let from = &input[from_y * grid.row_len() + (from_x - left) * grid.stride..];
            for (row, from) in to.zip((0..).step_by(strides[1] * grid.stride).map(|at| &from[at..])) {
                copy(row, from, run);
            }
        }
    }

    /// Copies what output pixel (`y`, `x`) reads into `row`, tap by tap.
    fn gather(&self, grid: Grid, input: &[u8], first: usize, y: usize, x: usize, row: &mut [u8]) {
        let Window { kernel, strides, dilations, top, left } = self.window;
        let from_x = (x * strides[1]) as isize - left as isize;
        // Taps of a row lie side by side when all channels are read and none is outside.
        let run = kernel[1] * self.tap;
        let together =
            dilations[1] == 1 && self.tap == grid.stride && from_x >= 0 && from_x as usize + kernel[1] <= grid.width;
        for ky in 0..kernel[0] {
            let row = &mut row[ky * run..];
            let from_y = (y * strides[0] + ky * dilations[0]).wrapping_sub(top);
            if from_y >= grid.height {
                row[..run].fill(self.zero);
            } else if together {
                copy(row, &input[from_y * grid.row_len() + from_x as usize * grid.stride..], run);
            } else {
                for kx in 0..kernel[1] {
                    let tap = &mut row[kx * self.tap..][..self.tap];
                    let from_x = (x * strides[1] + kx * dilations[1]).wrapping_sub(left);
                    if from_x < grid.width {
                        tap.copy_from_slice(
                            &input[from_y * grid.row_len() + from_x * grid.stride + first..][..self.tap],
                        );
                    } else {
                        tap.fill(self.zero);
                    }
                }
            }
        }
    }
}

/// Copies `len` bytes; a short run as one vector where both sides have room, which costs less than a call.
fn copy(to: &mut [u8], from: &[u8], len: usize) {
    match (to.first_chunk_mut::<16>(), from.first_chunk::<16>()) {
        (Some(to), Some(from)) if len <= 16 => *to = *from,
        _ => to[..len].copy_from_slice(&from[..len]),
    }
}

/// The bias of every place: for every row the first of its sets, for every column what to add, and the sets.
fn edge_biases(conv: &Conv, window: &Window, input: Grid, output: Grid) -> (Vec<usize>, Vec<usize>, Vec<Vec<f32>>) {
    let Some(edge) = &conv.edge_bias else {
        return (vec![0; output.height], vec![0; output.width], vec![conv.epilogue.bias.clone()]);
    };
    // Which taps lie inside, as ranges; equal ranges share a class.
    let classes = |axis: usize, outputs: usize, inputs: usize, before: usize| {
        let mut known: Vec<Vec<bool>> = Vec::new();
        let of: Vec<usize> = (0..outputs)
            .map(|at| {
                let inside = (0..window.kernel[axis])
                    .map(|k| (at * window.strides[axis] + k * window.dilations[axis]).wrapping_sub(before) < inputs)
                    .collect::<Vec<bool>>();
                known.iter().position(|class| *class == inside).unwrap_or_else(|| {
                    known.push(inside);
                    known.len() - 1
                })
            })
            .collect();
        (of, known)
    };
    let (rows, row_classes) = classes(0, output.height, input.height, window.top);
    let (columns, column_classes) = classes(1, output.width, input.width, window.left);
    let taps = conv.kernel[0] * conv.kernel[1];
    let mut biases = Vec::with_capacity(row_classes.len() * column_classes.len());
    for row in &row_classes {
        for column in &column_classes {
            let bias = |out: usize| {
                let outside = (0..taps).filter(|t| !(row[t / conv.kernel[1]] && column[t % conv.kernel[1]]));
                let missing: f64 = outside.map(|t| edge[out * taps + t]).sum();
                (f64::from(conv.epilogue.bias[out]) - missing) as f32
            };
            biases.push((0..conv.outputs).map(bias).collect());
        }
    }
    (rows.into_iter().map(|class| class * column_classes.len()).collect(), columns, biases)
}

impl Depthwise {
    fn new(conv: &Conv, window: Window, kernel: &'static dyn Kernel, input: Grid, output: Grid) -> Depthwise {
        let layout = kernel.layout();
        let pair_rows = window.strides[0] == 1 && window.dilations[0] == 1 && output.height > 1;
        let packed = PackedDepthwise::new(
            layout,
            &conv.weights,
            conv.kernel,
            pair_rows,
            input.stride,
            conv.zero,
            &conv.epilogue,
        );
        let step = window.strides[1];
        let phase = (input.width + conv.pads[1] + conv.pads[3]).div_ceil(step);
        let row_len = step * phase * input.stride;
        let columns = (0..window.kernel[1])
            .map(|kx| kx * window.dilations[1])
            .map(|at| (at % step * phase + at / step) * input.stride)
            .collect();
        let rows_for =
            |block: usize| (block - 1) * window.strides[0] + (window.kernel[0] - 1) * window.dilations[0] + 1;
        let mut block = packed.rows_at_once;
        while block < output.height && rows_for(block + packed.rows_at_once) * row_len <= PADDED_BYTES {
            block += packed.rows_at_once;
        }
        let direct = conv.pads == [0; 4] && step == 1 && output.row_len().is_multiple_of(layout.chunk);
        Depthwise { window, zero: conv.zero, packed, row_len, phase, columns, block, direct }
    }

    fn run(
        &self,
        conv: &PlannedConv,
        input: &[u8],
        residual: Option<&[u8]>,
        mut output: Output<'_>,
        rows: Range<usize>,
        scratch: &mut Aligned<u8>,
    ) {
        let Window { kernel, strides, dilations, .. } = self.window;
        let len = conv.output.row_len();
        let together = self.packed.rows_at_once;
        let mut places = vec![0; self.packed.input_rows(conv.kernel.layout())];
        for first in rows.clone().step_by(self.block) {
            let last = rows.end.min(first + self.block);
            // The padded input rows of this block; row `i` of them is padded row `from + i`.
            let from = first * strides[0];
            let count = (last - 1) * strides[0] + (kernel[0] - 1) * dilations[0] + 1 - from;
            let padded = if self.direct {
                &input[from * self.row_len..]
            } else {
                scratch.grow((count + 1) * self.row_len + SLACK);
                for (i, row) in scratch.chunks_exact_mut(self.row_len).take(count).enumerate() {
                    self.pad(conv.input, input, from + i, row);
                }
                &scratch[..]
            };
            for y in (first..last).step_by(together) {
                let wanted = together.min(last - y);
                for (ky, place) in places.iter_mut().enumerate() {
                    // Rows beyond the kernel meet weights of zero: any row will do.
                    *place = ((y * strides[0] - from) + ky * dilations[0]).min(count - 1) * self.row_len;
                }
                let part = (y - rows.start) * len..(y - rows.start + wanted) * len;
                let row = DepthwiseRow {
                    input: padded,
                    rows: &places,
                    columns: &self.columns,
                    len,
                    residual: residual.map(|residual| &residual[part.clone()]),
                    output: match &mut output {
                        Output::Int8(bytes) => Output::Int8(&mut bytes[part]),
                        Output::Float(values) => Output::Float(&mut values[part]),
                    },
                };
                conv.kernel.depthwise(&self.packed, row);
            }
        }
    }

    /// Writes row `y` of the padded input.
    fn pad(&self, grid: Grid, input: &[u8], y: usize, row: &mut [u8]) {
        let from_y = y.wrapping_sub(self.window.top);
        if from_y >= grid.height {
            row.fill(self.zero);
            return;
        }
        let from = &input[from_y * grid.row_len()..][..grid.row_len()];
        let (step, left) = (self.window.strides[1], self.window.left);
        if step == 1 {
            let inside = left * grid.stride..left * grid.stride + from.len();
            row[..inside.start].fill(self.zero);
            row[inside.clone()].copy_from_slice(from);
            row[inside.end..].fill(self.zero);
            return;
        }
        for (phase, part) in row.chunks_exact_mut(self.phase * grid.stride).enumerate() {
            for (i, pixel) in part.chunks_exact_mut(grid.stride).enumerate() {
                let from_x = (i * step + phase).wrapping_sub(left);
                if from_x < grid.width {
                    pixel.copy_from_slice(&from[from_x * grid.stride..][..grid.stride]);
                } else {
                    pixel.fill(self.zero);
                }
            }
        }
    }
}

/// Rows of `len` weights, each filled up with zeros to `padded`.
fn pad_rows(weights: &[i8], len: usize, padded: usize) -> Cow<'_, [i8]> {
    if len == padded {
        return weights.into();
    }
    let mut rows = vec![0; weights.len() / len * padded];
    for (to, from) in rows.chunks_exact_mut(padded).zip(weights.chunks_exact(len)) {
        to[..len].copy_from_slice(from);
    }
    rows.into()
}
