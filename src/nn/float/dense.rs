//! Convolution that sums over all input channels (group 1), channels last out.
//!
//! A row of output pixels times the packed weights is a matrix product whose left side needs no packing: the values under the
//! window of one pixel are a few contiguous runs of the input (one run for 1x1, one a kernel row channels last, one a kernel
//! row and channel channels first), and the next pixel's lie a fixed stride further. A tile of pixels by channel vectors stays
//! in registers over the whole sum; bias, residual and activation are applied there.

use std::mem::MaybeUninit;
use std::sync::Arc;

use super::activation::{Activation, padded};
use super::simd::{Family, Kernel, Vector};

/// The weights of a layer in the order in which the tiles read them.
#[derive(Debug)]
pub(super) struct DenseWeights {
    family: Family,
    /// Panels of 4, 2 or 1 vectors of output channels, each with all its `depth` rows.
    packed: Vec<f32>,
    bias: Arc<[f32]>,
    /// How many products make one sum.
    depth: usize,
    channels: usize,
}

/// How wide the panel at `channel` is, in vectors, and how many lanes its only vector has if it is a part.
#[inline(always)]
fn panel(channel: usize, channels: usize, lanes: usize, registers: usize) -> (usize, usize) {
    match (channels - channel) / lanes {
        0 => (1, channels - channel),
        1 => (1, lanes),
        2 | 3 => (2, lanes),
        _ if registers < 32 => (2, lanes),
        _ => (4, lanes),
    }
}

impl DenseWeights {
    /// Packs `weights`, which hold `depth` values for each output channel in the order of the sum, and the `bias` of each channel.
    pub(super) fn new(family: Family, weights: &[f32], bias: &[f32]) -> DenseWeights {
        let channels = bias.len();
        let depth = weights.len() / channels.max(1);
        assert_eq!(depth * channels, weights.len(), "every output channel has the same number of weights");
        let mut packed = Vec::with_capacity(weights.len());
        let mut channel = 0;
        while channel < channels {
            let (vectors, _) = panel(channel, channels, family.lanes(), family.registers());
            let width = vectors * family.lanes();
            for k in 0..depth {
                packed.extend(
                    (channel..channel + width).map(|c| if c < channels { weights[c * depth + k] } else { 0.0 }),
                );
            }
            channel += width;
        }
        DenseWeights { family, packed, bias: padded(bias), depth, channels }
    }
}

/// Where the values under the window are.
#[derive(Debug, Clone)]
pub(super) struct Runs {
    /// Where each contiguous run begins, counted from the window's first value.
    pub(super) starts: Vec<usize>,
    /// The length of every run.
    pub(super) length: usize,
    /// From one output pixel's window to the next in its row.
    pub(super) pixel_stride: usize,
    /// From one output row's windows to the next row's.
    pub(super) row_stride: usize,
}

/// One layer applied to one picture.
pub(super) struct Dense<'a> {
    pub(super) weights: &'a DenseWeights,
    pub(super) runs: &'a Runs,
    pub(super) activation: &'a Activation,
    /// The input, with its padding.
    pub(super) input: &'a [f32],
    /// Added before the activation; of the output's size.
    pub(super) residual: Option<&'a [f32]>,
    /// Rows x columns x channels.
    pub(super) output: &'a mut [MaybeUninit<f32>],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The output channels of one tile.
#[derive(Clone, Copy)]
struct Panel {
    channel: usize,
    /// How many lanes of its vectors are channels; fewer than all only if it is one vector.
    lanes: usize,
    weights: *const f32,
}

impl Dense<'_> {
    /// Computes the layer; all of the output is written.
    pub(super) fn run(self) {
        let channels = self.weights.channels;
        assert_eq!(self.output.len(), self.rows * self.columns * channels, "the output is rows x columns x channels");
        if self.output.is_empty() {
            return;
        }
        assert!(
            self.residual.is_none_or(|residual| residual.len() == self.output.len()),
            "the residual has the output's size"
        );
        assert_eq!(
            self.runs.starts.len() * self.runs.length,
            self.weights.depth,
            "the runs hold what the weights multiply"
        );
        let last_pixel = (self.rows - 1) * self.runs.row_stride + (self.columns - 1) * self.runs.pixel_stride;
        let last_run = self.runs.starts.iter().max().map_or(0, |start| start + self.runs.length);
        assert!(last_pixel + last_run <= self.input.len(), "every window lies in the input");
        if let Activation::Leak(slopes) = self.activation {
            assert!(
                slopes.len() >= channels.next_multiple_of(self.weights.family.lanes()),
                "a slope for every channel"
            );
        }
        self.weights.family.run(self);
    }

    /// `M` pixels from `pixel` on by the `N` vectors of channels of `panel`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const M: usize, const N: usize>(
        &self,
        row: usize,
        pixel: usize,
        panel: Panel,
        output: *mut f32,
    ) {
        let Panel { channel, lanes, weights } = panel;
        // SAFETY: `run` checked that every window lies in the input and that residual and output have rows x columns x channels
        // values. Pixels `pixel..pixel + M` are in the row, and channels `channel..channel + N * LANES` are channels of the layer,
        // except that only `lanes` of them are if that is fewer than LANES; then N is 1 and the others are neither read nor
        // written. Bias and slopes are padded, and a panel has N * LANES weights for each of the `depth` products.
        unsafe {
            let bias = self.weights.bias.as_ptr().add(channel);
            let mut sums = [[V::splat(0.0); N]; M];
            for n in 0..N {
                let bias = V::load(bias.add(n * V::LANES));
                for sums in &mut sums {
                    sums[n] = bias;
                }
            }
            let stride = self.runs.pixel_stride;
            let window = self.input.as_ptr().add(row * self.runs.row_stride + pixel * stride);
            let mut weights = weights;
            for &start in &self.runs.starts {
                let mut values = window.add(start);
                for _ in 0..self.runs.length {
                    let mut factors = [V::splat(0.0); N];
                    for (n, factor) in factors.iter_mut().enumerate() {
                        *factor = V::load(weights.add(n * V::LANES));
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*values.add(m * stride));
                        for (sum, &factor) in sums.iter_mut().zip(&factors) {
                            *sum = sum.mul_add(value, factor);
                        }
                    }
                    values = values.add(1);
                    weights = weights.add(N * V::LANES);
                }
            }
            let channels = self.weights.channels;
            let first = (row * self.columns + pixel) * channels + channel;
            let output = output.add(first);
            for (m, sums) in sums.into_iter().enumerate() {
                for (n, mut sum) in sums.into_iter().enumerate() {
                    let offset = m * channels + n * V::LANES;
                    if let Some(residual) = self.residual {
                        let residual = residual.as_ptr().add(first + offset);
                        sum =
                            sum.add(if lanes < V::LANES { V::load_first(residual, lanes) } else { V::load(residual) });
                    }
                    sum = self.activation.apply(sum, channel + n * V::LANES);
                    if lanes < V::LANES {
                        sum.store_first(output.add(offset), lanes);
                    } else {
                        sum.store(output.add(offset));
                    }
                }
            }
        }
    }

    /// All pixels `begin..end` of a row by one panel, `M` at a time. The last tile may do pixels again that are done already.
    #[inline(always)]
    unsafe fn strip<V: Vector, const M: usize, const N: usize>(
        &self,
        row: usize,
        begin: usize,
        end: usize,
        panel: Panel,
        output: *mut f32,
    ) {
        // SAFETY: the tiles lie in `begin..end`, which the caller took from the row.
        unsafe {
            if end - begin < M {
                for pixel in begin..end {
                    self.tile::<V, 1, N>(row, pixel, panel, output);
                }
                return;
            }
            let mut pixel = begin;
            while pixel < end {
                self.tile::<V, M, N>(row, pixel.min(end - M), panel, output);
                pixel += M;
            }
        }
    }
}

/// The input values of a strip of pixels stay in the first-level cache while all panels go over them.
const STRIP_VALUES: usize = 4096;
/// A strip is a multiple of every tile's height.
const STRIP_STEP: usize = 24;

impl Kernel for Dense<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let output = self.output.as_mut_ptr().cast::<f32>();
        let weights = self.weights;
        let strip = (STRIP_VALUES / weights.depth.max(1)).next_multiple_of(STRIP_STEP);
        for row in 0..self.rows {
            let mut begin = 0;
            while begin < self.columns {
                // A remainder smaller than a tile joins the strip before it.
                let end = if self.columns - begin < strip + STRIP_STEP { self.columns } else { begin + strip };
                let (mut channel, mut packed) = (0, 0);
                while channel < weights.channels {
                    let (vectors, lanes) = panel(channel, weights.channels, V::LANES, V::REGISTERS);
                    // SAFETY: the caller vouches for the instructions. The weights were packed for this family by the same
                    // `panel`, so the panel at `channel` begins at `packed`.
                    unsafe {
                        let panel = Panel { channel, lanes, weights: weights.packed.as_ptr().add(packed) };
                        if vectors == 4 {
                            self.strip::<V, 6, 4>(row, begin, end, panel, output);
                        } else if vectors == 2 && V::REGISTERS >= 32 {
                            self.strip::<V, 8, 2>(row, begin, end, panel, output);
                        } else if vectors == 2 {
                            self.strip::<V, 6, 2>(row, begin, end, panel, output);
                        } else {
                            self.strip::<V, 12, 1>(row, begin, end, panel, output);
                        }
                    }
                    channel += vectors * V::LANES;
                    packed += weights.depth * vectors * V::LANES;
                }
                begin = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, proptest};

    use super::*;

    /// A layer and its input: rows of windows that lie side by side in one contiguous run each.
    #[derive(Debug, Clone)]
    struct Case {
        rows: usize,
        columns: usize,
        depth: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
        slopes: Vec<f32>,
        input: Vec<f32>,
        residual: Option<Vec<f32>>,
    }

    impl Case {
        fn run(&self, family: Family) -> Vec<f32> {
            let weights = DenseWeights::new(family, &self.weights, &self.bias);
            let runs = Runs {
                starts: vec![0],
                length: self.depth,
                pixel_stride: self.depth,
                row_stride: self.columns * self.depth,
            };
            let activation = Activation::Leak(padded(&self.slopes));
            let mut output = vec![MaybeUninit::new(f32::NAN); self.rows * self.columns * self.bias.len()];
            let (residual, rows, columns) = (self.residual.as_deref(), self.rows, self.columns);
            Dense {
                weights: &weights,
                runs: &runs,
                activation: &activation,
                input: &self.input,
                residual,
                output: &mut output,
                rows,
                columns,
            }
            .run();
            // SAFETY: every value was initialised above.
            output.into_iter().map(|value| unsafe { value.assume_init() }).collect()
        }

        /// The definition, and how large its terms are.
        fn expected(&self, index: usize) -> (f64, f64) {
            let (pixel, channel) = (index / self.bias.len(), index % self.bias.len());
            let mut terms = vec![f64::from(self.bias[channel])];
            terms.extend(self.residual.iter().map(|residual| f64::from(residual[index])));
            terms.extend((0..self.depth).map(|k| {
                f64::from(self.input[pixel * self.depth + k]) * f64::from(self.weights[channel * self.depth + k])
            }));
            let sum: f64 = terms.iter().sum();
            let size = terms.iter().map(|term| term.abs()).sum();
            (if sum < 0.0 { sum * f64::from(self.slopes[channel]) } else { sum }, size)
        }
    }

    fn values(count: usize) -> impl Strategy<Value = Vec<f32>> {
        proptest::collection::vec(-2f32..2.0, count)
    }

    fn case() -> impl Strategy<Value = Case> {
        (1usize..4, 1usize..32, 1usize..10, 1usize..150, any::<bool>()).prop_flat_map(
            |(rows, columns, depth, channels, residual)| {
                let residual = values(rows * columns * channels).prop_map(move |values| residual.then_some(values));
                (
                    values(channels * depth),
                    values(channels),
                    values(channels),
                    values(rows * columns * depth),
                    residual,
                    Just([rows, columns, depth]),
                )
                    .prop_map(|(weights, bias, slopes, input, residual, [rows, columns, depth])| {
                        Case { rows, columns, depth, weights, bias, slopes, input, residual }
                    })
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_family_follows_the_definition(case in case()) {
            for family in Family::available() {
                for (index, &value) in case.run(family).iter().enumerate() {
                    let (expected, size) = case.expected(index);
                    prop_assert!((f64::from(value) - expected).abs() <= 1e-5 * size, "{family:?} {index}: {value} {expected}");
                }
            }
        }
    }
}
