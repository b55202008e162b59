//! Weights and constants in the order in which a kernel family reads them.

use super::aligned::Aligned;
use super::epilogue::{Activation, Epilogue, Residual};

/// How a family wants weights laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Output channels computed together, the widest first; each divides the next wider, the last divides 16.
    pub panels: &'static [usize],
    /// Inputs that one multiply-add instruction sums up.
    pub step: usize,
    /// Bytes a weight takes: 1, or 2 for families that multiply 16-bit values.
    pub weight_bytes: usize,
    /// What the kernel takes away from a stored byte before it multiplies: 0, or 128 where it needs signed bytes.
    pub excess: i32,
    /// The output channel, counted from the panel's first, that lane `lane` of a panel of `width` computes for int8 output.
    /// Float output is in natural order.
    pub order: fn(width: usize, lane: usize) -> usize,
    /// Bytes of activations that the depthwise kernel takes at once: 16, 32 or 64.
    pub chunk: usize,
    /// Taps that one instruction of the depthwise kernel sums up.
    pub taps: usize,
    /// Bytes a depthwise weight takes.
    pub tap_bytes: usize,
    /// The byte of a chunk that lane `lane` of the depthwise kernel's sums belongs to.
    pub chunk_order: fn(lane: usize) -> usize,
    /// Dense weights are sorted into groups of four inputs whose byte products can be added in pairs within 16 bits, and those
    /// that need 16-bit weights; see `PackedDense::pack_by_need`.
    pub by_need: bool,
    /// Where the weights of a step (the second argument) and lane (the third) of a panel lie, counted in lanes' steps.
    pub place: fn(width: usize, step: usize, lane: usize) -> usize,
    /// Weights of -128 are not allowed: the kernel's 16-bit sums of pairs could overflow.
    pub symmetric: bool,
}

/// The constants of [`Epilogue`] in kernel order, one an output lane; lanes beyond the last channel hold zeros.
#[derive(Debug, Clone)]
pub struct Constants {
    /// What every sum starts with: `-(zero - excess)` times the sum of the weights.
    pub start: Aligned<i32>,
    /// See [`Epilogue`].
    pub multiplier: Aligned<f32>,
    /// See [`Epilogue`]; several sets where the bias depends on the place (see `Conv::edge_bias`), the interior's first.
    pub bias: Vec<Aligned<f32>>,
    /// Slopes below zero; empty for none.
    pub slopes: Aligned<f32>,
    /// Where the slopes act.
    pub order: SlopeOrder,
    /// See [`Epilogue`].
    pub residual: Option<Residual>,
    /// See [`Epilogue`]; empty for none.
    pub shift: Aligned<f32>,
    /// See [`Epilogue`].
    pub range: Option<(u8, u8)>,
}

/// Where the activation acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlopeOrder {
    /// Nowhere.
    None,
    /// Before the residual.
    Before,
    /// After it.
    After,
}

impl Constants {
    /// Orders an epilogue's constants; `lanes` gives the channel of every lane, `None` for a lane nobody reads.
    pub fn new(epilogue: &Epilogue, biases: &[Vec<f32>], start: Aligned<i32>, lanes: &[Option<usize>]) -> Constants {
        let by_lane =
            |values: &[f32]| lanes.iter().map(|lane| lane.map_or(0.0, |c| values[c])).collect::<Aligned<f32>>();
        let (slopes, order) = match &epilogue.activation {
            Activation::None => (Aligned::default(), SlopeOrder::None),
            Activation::Before(slopes) => (by_lane(slopes), SlopeOrder::Before),
            Activation::After(slopes) => (by_lane(slopes), SlopeOrder::After),
        };
        Constants {
            start,
            multiplier: by_lane(&epilogue.multiplier),
            bias: biases.iter().map(|bias| by_lane(bias)).collect(),
            slopes,
            order,
            residual: epilogue.residual,
            shift: epilogue.shift.as_deref().map(by_lane).unwrap_or_default(),
            range: epilogue.range,
        }
    }

    /// [`Epilogue::value`] for the lane `lane`.
    pub fn value(&self, lane: usize, bias: f32, sum: i32, residual: u8) -> f32 {
        let leak = |v: f32| if v < 0.0 { v * self.slopes[lane] } else { v };
        let mut v = sum as f32 * self.multiplier[lane] + bias;
        if self.order == SlopeOrder::Before {
            v = leak(v);
        }
        if let Some(Residual { multiplier, zero }) = self.residual {
            v += f32::from(i16::from(residual) - i16::from(zero)) * multiplier;
        }
        if self.order == SlopeOrder::After {
            v = leak(v);
        }
        if let Some(shift) = self.shift.get(lane) {
            v += shift;
        }
        v
    }
}

/// A matrix of weights, cut into panels of output channels.
#[derive(Clone)]
pub struct PackedDense {
    /// Groups of `step` inputs that a sum runs over.
    pub steps: usize,
    /// Bytes of activations a row must have: `steps * step`.
    pub depth: usize,
    /// Panel by panel; within a panel step by step; within a step lane by lane (or see
    /// [`Layout::place`]), the `step` weights of a lane together.
    pub weights: Aligned<i8>,
    /// For layouts by need: the first input of every step, panel by panel.
    pub inputs: Vec<u32>,
    /// By panel and eight inputs, for [symmetric](Layout::symmetric) families: whether the weights of every second of
    /// these inputs have magnitudes of 255 together at most, for each lane, so that four products fit 16 bits.
    #[cfg_attr(
        not(any(target_arch = "aarch64", target_arch = "arm")),
        allow(dead_code, reason = "no other processor has a symmetric family")
    )]
    pub small: Vec<bool>,
    /// For symmetric families, panel by panel: the eights of inputs by number, the small ones first ([`Panel::narrow`] of them).
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "no other processor goes by it"))]
    pub order: Vec<u32>,
    /// The panels from the first channel to the last.
    pub panels: Vec<Panel>,
    /// Constants of every lane.
    pub constants: Constants,
}

/// Some neighbouring output channels.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// The first lane, and channel.
    pub first: usize,
    /// Lanes.
    pub width: usize,
    /// Where its weights start, in bytes.
    pub offset: usize,
    /// For layouts by need: how many steps, from the first on, have byte weights. For symmetric families: how many eights of
    /// inputs, from the first in [`PackedDense::order`] on, are small.
    pub narrow: usize,
}

impl PackedDense {
    /// Packs `weights`, row-major `[outputs][inputs]`, for output rows of `stride` channels.
    pub fn new(
        layout: &Layout,
        weights: &[i8],
        inputs: usize,
        stride: usize,
        zero: u8,
        epilogue: &Epilogue,
        biases: &[Vec<f32>],
    ) -> PackedDense {
        let outputs = epilogue.multiplier.len();
        let steps = inputs.div_ceil(layout.step);
        let mut panels = Vec::new();
        let (mut first, mut offset) = (0, 0);
        while first < stride {
            let width =
                *layout.panels.iter().find(|&&width| first + width <= stride).expect("panels divide 16, as strides do");
            panels.push(Panel { first, width, offset, narrow: 0 });
            first += width;
            offset += (width * steps * layout.step * layout.weight_bytes).next_multiple_of(128);
        }
        let natural = epilogue.range.is_none();
        let channel_of = |panel: &Panel, lane: usize| {
            let within = if natural { lane } else { (layout.order)(panel.width, lane) };
            Some(panel.first + within).filter(|&channel| channel < outputs)
        };
        let lanes: Vec<Option<usize>> =
            panels.iter().flat_map(|panel| (0..panel.width).map(|lane| channel_of(panel, lane))).collect();

        let mut packed = Aligned::zeros(offset);
        let bytes = &mut *packed;
        for panel in &panels {
            for lane in 0..panel.width {
                let Some(channel) = channel_of(panel, lane) else { continue };
                for (step, weights) in weights[channel * inputs..][..inputs].chunks(layout.step).enumerate() {
                    let place = (layout.place)(panel.width, step, lane) * layout.step;
                    put(bytes, panel.offset, place, weights, layout.weight_bytes);
                }
            }
        }
        let start = lanes
            .iter()
            .map(|lane| lane.map_or(0, |c| start(&weights[c * inputs..][..inputs], zero, layout.excess)))
            .collect();
        let constants = Constants::new(epilogue, biases, start, &lanes);
        let small = if layout.symmetric { small_groups(&packed, &panels, steps * layout.step) } else { Vec::new() };
        let groups = (steps * layout.step).div_ceil(8);
        let mut order = Vec::with_capacity(small.len());
        for (panel, small) in panels.iter_mut().zip(small.chunks_exact(groups.max(1))) {
            let (narrow, wide): (Vec<u32>, Vec<u32>) = (0..groups as u32).partition(|&group| small[group as usize]);
            panel.narrow = narrow.len();
            order.extend(narrow.into_iter().chain(wide));
        }
        let mut packed = PackedDense {
            steps,
            depth: steps * layout.step,
            weights: packed,
            inputs: Vec::new(),
            small,
            order,
            panels,
            constants,
        };
        if layout.by_need {
            packed.pack_by_need(layout);
        }
        packed
    }

    /// Sorts the steps of every panel: first those in which no lane's neighbouring weights could overflow 16 bits when each is
    /// multiplied with a byte, then the others, whose weights are widened to 16 bits, one pair of inputs of all lanes after the
    /// other.
    fn pack_by_need(&mut self, layout: &Layout) {
        assert!(layout.step == 4 && layout.weight_bytes == 1, "steps are four bytes");
        let from = std::mem::take(&mut self.weights);
        let mut bytes = Vec::with_capacity(2 * from.len());
        for panel in &mut self.panels {
            let steps: Vec<&[i8]> = from[panel.offset..].chunks_exact(4 * panel.width).take(self.steps).collect();
            let is_narrow = |step: &[i8]| step.chunks_exact(2).all(|pair| fits_in_pairs([pair[0], pair[1]]));
            let (narrow, wide): (Vec<usize>, Vec<usize>) = (0..self.steps).partition(|&step| is_narrow(steps[step]));
            panel.offset = bytes.len();
            panel.narrow = narrow.len();
            narrow.iter().for_each(|&step| bytes.extend_from_slice(steps[step]));
            for &step in &wide {
                for half in 0..2 {
                    for lane in steps[step].chunks_exact(4) {
                        let pair = [lane[2 * half], lane[2 * half + 1]];
                        bytes.extend(pair.iter().flat_map(|&w| i16::from(w).to_ne_bytes()).map(|byte| byte as i8));
                    }
                }
            }
            self.inputs.extend(narrow.iter().chain(&wide).map(|&step| 4 * step as u32));
            bytes.resize(bytes.len().next_multiple_of(64), 0);
        }
        self.weights = bytes.into_iter().collect();
    }
}

/// The weights of a depthwise convolution, one kernel a channel, cut into chunks of channels.
#[derive(Clone)]
pub struct PackedDepthwise {
    /// Columns of the kernel.
    pub columns: usize,
    /// Groups of `taps` rows of the kernel.
    pub quads: usize,
    /// Output rows computed together from the same input rows: 1, or 2 where the stride is 1.
    pub rows_at_once: usize,
    /// Chunks until the channels repeat.
    pub patterns: usize,
    /// By pattern, column, quad, output row, lane, tap.
    pub weights: Aligned<i8>,
    /// Constants of every lane of every pattern.
    pub constants: Constants,
}

impl PackedDepthwise {
    /// Packs `weights`, row-major `[channels][rows][columns]`, for pixels of `stride` channels.
    pub fn new(
        layout: &Layout,
        weights: &[i8],
        [rows, columns]: [usize; 2],
        pair_rows: bool,
        stride: usize,
        zero: u8,
        epilogue: &Epilogue,
    ) -> PackedDepthwise {
        let channels = epilogue.multiplier.len();
        let quads = rows.div_ceil(layout.taps);
        let rows_at_once = if pair_rows && (rows + 1).div_ceil(layout.taps) == quads { 2 } else { 1 };
        let patterns = stride.div_ceil(layout.chunk);
        let lanes: Vec<Option<usize>> = (0..patterns * layout.chunk)
            .map(|lane| {
                let byte = lane / layout.chunk * layout.chunk + (layout.chunk_order)(lane % layout.chunk);
                Some(byte % stride).filter(|&channel| channel < channels)
            })
            .collect();
        let mut packed = Aligned::zeros(lanes.len() * columns * quads * rows_at_once * layout.taps * layout.tap_bytes);
        let bytes = &mut *packed;
        for (lane, channel) in lanes.iter().enumerate() {
            let Some(channel) = channel else { continue };
            let (pattern, lane) = (lane / layout.chunk, lane % layout.chunk);
            for column in 0..columns {
                for row in 0..rows {
                    let weight = weights[(channel * rows + row) * columns + column];
                    for output in 0..rows_at_once {
                        let (quad, tap) = ((row + output) / layout.taps, (row + output) % layout.taps);
                        let vector = ((pattern * columns + column) * quads + quad) * rows_at_once + output;
                        put(bytes, 0, (vector * layout.chunk + lane) * layout.taps + tap, &[weight], layout.tap_bytes);
                    }
                }
            }
        }
        let start = lanes
            .iter()
            .map(|lane| {
                lane.map_or(0, |c| start(&weights[c * rows * columns..][..rows * columns], zero, layout.excess))
            })
            .collect();
        let constants = Constants::new(epilogue, std::slice::from_ref(&epilogue.bias), start, &lanes);
        PackedDepthwise { columns, quads, rows_at_once, patterns, weights: packed, constants }
    }

    /// Rows of input that one step of the kernel reads.
    pub fn input_rows(&self, layout: &Layout) -> usize {
        self.quads * layout.taps
    }
}

/// Whether 255 times either or both weights of a pair fits 16 bits, whichever bytes they are multiplied with.
fn fits_in_pairs(pair: [i8; 2]) -> bool {
    let (mut most, mut least) = (0, 0);
    for weight in pair {
        most += 255 * i32::from(weight.max(0));
        least += 255 * i32::from(weight.min(0));
    }
    most <= i32::from(i16::MAX) && least >= i32::from(i16::MIN)
}

/// Writes weights from number `place` on of those that start at byte `offset`.
fn put(bytes: &mut [i8], offset: usize, place: usize, weights: &[i8], weight_bytes: usize) {
    let bytes = &mut bytes[offset + place * weight_bytes..][..weights.len() * weight_bytes];
    match weight_bytes {
        1 => bytes.copy_from_slice(weights),
        _ => {
            for (to, &weight) in bytes.chunks_exact_mut(2).zip(weights) {
                to.copy_from_slice(&i16::from(weight).to_ne_bytes().map(|byte| byte as i8));
            }
        }
    }
}

/// See [`PackedDense::small`]; for panels of 16 lanes, of which four lie together for four steps of two inputs.
fn small_groups(weights: &[i8], panels: &[Panel], depth: usize) -> Vec<bool> {
    let magnitude = |weights: &[i8], place: usize| {
        weights.iter().skip(place).step_by(8).map(|weight| u32::from(weight.unsigned_abs())).sum::<u32>()
    };
    let lanes_are_small = |weights: &[i8]| (0..8).all(|place| magnitude(weights, place) <= 255);
    panels
        .iter()
        .flat_map(|panel| weights[panel.offset..].chunks_exact(128).take(depth.div_ceil(8)))
        .map(|group| group.chunks_exact(32).all(lanes_are_small))
        .collect()
}

/// What a sum must start with so that stored bytes count from `zero`.
fn start(weights: &[i8], zero: u8, excess: i32) -> i32 {
    let sum: i32 = weights.iter().map(|&weight| i32::from(weight)).sum();
    (excess - i32::from(zero)) * sum
}
