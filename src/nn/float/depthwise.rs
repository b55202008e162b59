//! Depthwise convolution (one input channel for each output channel), channels last.
//!
//! A vector holds neighbouring channels of one pixel, so every stride, kernel and padding is the same code. Where the whole
//! window of several pixels lies in the picture, a 3-wide kernel reads each input value and each weight once for all of them.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use super::activation::{Activation, padded};
use super::simd::{Family, Kernel, Vector};
use super::window::Window;

/// The weights of a layer, a padded row of channels for each tap.
#[derive(Debug)]
pub(super) struct DepthwiseWeights {
    family: Family,
    taps: Vec<f32>,
    bias: Arc<[f32]>,
    channels: usize,
}

impl DepthwiseWeights {
    /// Packs `weights`, which hold each channel's taps row by row, and the `bias` of each channel.
    pub(super) fn new(family: Family, weights: &[f32], bias: &[f32]) -> DepthwiseWeights {
        let channels = bias.len();
        let taps = weights.len() / channels.max(1);
        assert_eq!(taps * channels, weights.len(), "every channel has the same number of taps");
        let row = |tap: usize| padded(&(0..channels).map(|c| weights[c * taps + tap]).collect::<Vec<_>>());
        DepthwiseWeights {
            family,
            taps: (0..taps).flat_map(|tap| row(tap).to_vec()).collect(),
            bias: padded(bias),
            channels,
        }
    }
}

/// One layer applied to one picture.
pub(super) struct Depthwise<'a> {
    pub(super) weights: &'a DepthwiseWeights,
    pub(super) window: Window,
    pub(super) activation: &'a Activation,
    /// Rows x columns x channels.
    pub(super) input: &'a [f32],
    /// Rows x columns x channels.
    pub(super) output: &'a mut [MaybeUninit<f32>],
}

/// How many pixels of a row are done together.
const TILE: usize = 4;

impl Depthwise<'_> {
    /// Computes the layer; all of the output is written.
    pub(super) fn run(self) {
        let channels = self.weights.channels;
        let window = &self.window;
        assert_eq!(
            self.input.len(),
            window.input[0] * window.input[1] * channels,
            "the input is rows x columns x channels"
        );
        assert_eq!(self.output.len(), window.output[0] * window.output[1] * channels, "so is the output");
        let taps = window.kernel[0] * window.kernel[1];
        assert_eq!(taps * self.weights.bias.len(), self.weights.taps.len(), "the weights are those of the window");
        if let Activation::Leak(slopes) = self.activation {
            assert!(slopes.len() >= self.weights.bias.len(), "a slope for every channel");
        }
        self.weights.family.run(self);
    }

    /// One vector of channels of one pixel.
    #[inline(always)]
    unsafe fn pixel<V: Vector, const PART: bool>(
        &self,
        row: usize,
        column: usize,
        channel: usize,
        lanes: usize,
        output: *mut f32,
    ) {
        let (window, channels) = (&self.window, self.weights.channels);
        // SAFETY: `taps` gives only taps whose input row and column exist, and `run` checked the sizes; channels
        // `channel..channel + LANES` exist, or only `lanes` of them if PART. Weights and bias are padded.
        unsafe {
            let width = self.weights.bias.len();
            let mut sum = V::load(self.weights.bias.as_ptr().add(channel));
            for y in window.taps(0, row) {
                let line = window.index(0, row, y) * window.input[1];
                for x in window.taps(1, column) {
                    let at = (line + window.index(1, column, x)) * channels + channel;
                    let value = read::<V, PART>(self.input.as_ptr().add(at), lanes);
                    let weight = V::load(self.weights.taps.as_ptr().add((y * window.kernel[1] + x) * width + channel));
                    sum = sum.mul_add(value, weight);
                }
            }
            let at = (row * window.output[1] + column) * channels + channel;
            self.write::<V, PART>(sum, channel, lanes, output.add(at));
        }
    }

    /// One vector of channels of `TILE` pixels whose windows, 3 wide, lie wholly between the left and right edge. `READ` input
    /// pixels lie under them: `(TILE - 1) * STRIDE + 3`.
    #[inline(always)]
    unsafe fn tile<V: Vector, const STRIDE: usize, const READ: usize, const PART: bool>(
        &self,
        row: usize,
        column: usize,
        channel: usize,
        lanes: usize,
        output: *mut f32,
    ) {
        let (window, channels) = (&self.window, self.weights.channels);
        // SAFETY: as in `pixel`; that the window's columns exist is the caller's promise.
        unsafe {
            let width = self.weights.bias.len();
            let mut sums = [V::load(self.weights.bias.as_ptr().add(channel)); TILE];
            for y in window.taps(0, row) {
                let line = window.index(0, row, y) * window.input[1] + window.index(1, column, 0);
                let line = self.input.as_ptr().add(line * channels + channel);
                let weights = self.weights.taps.as_ptr().add(y * 3 * width + channel);
                let mut values = [V::splat(0.0); READ];
                for (i, value) in values.iter_mut().enumerate() {
                    *value = read::<V, PART>(line.add(i * channels), lanes);
                }
                for x in 0..3 {
                    let weight = V::load(weights.add(x * width));
                    for i in 0..TILE {
                        sums[i] = sums[i].mul_add(values[i * STRIDE + x], weight);
                    }
                }
            }
            for (i, &sum) in sums.iter().enumerate() {
                let at = (row * window.output[1] + column + i) * channels + channel;
                self.write::<V, PART>(sum, channel, lanes, output.add(at));
            }
        }
    }

    #[inline(always)]
    unsafe fn write<V: Vector, const PART: bool>(&self, sum: V, channel: usize, lanes: usize, output: *mut f32) {
        // SAFETY: the caller computed `output` from a pixel and channel of the layer's.
        unsafe {
            let sum = self.activation.apply(sum, channel);
            if PART { sum.store_first(output, lanes) } else { sum.store(output) }
        }
    }

    /// All channels of one pixel, or of the `TILE` pixels from `column` on.
    #[inline(always)]
    unsafe fn all_channels<V: Vector, const STRIDE: usize, const READ: usize>(
        &self,
        row: usize,
        column: usize,
        output: *mut f32,
    ) {
        let channels = self.weights.channels;
        let whole = channels - channels % V::LANES;
        // SAFETY: the caller's promises are handed on; `channel` runs over the layer's channels, the rest being a part.
        unsafe {
            let mut channel = 0;
            while channel < whole {
                if READ == 0 {
                    self.pixel::<V, false>(row, column, channel, V::LANES, output);
                } else {
                    self.tile::<V, STRIDE, READ, false>(row, column, channel, V::LANES, output);
                }
                channel += V::LANES;
            }
            if whole < channels {
                if READ == 0 {
                    self.pixel::<V, true>(row, column, whole, channels - whole, output);
                } else {
                    self.tile::<V, STRIDE, READ, true>(row, column, whole, channels - whole, output);
                }
            }
        }
    }

    /// All pixels, those of `inner` in tiles. The last tile of a row may do pixels again that are done already.
    #[inline(always)]
    unsafe fn picture<V: Vector, const STRIDE: usize, const READ: usize>(&self, inner: Range<usize>, output: *mut f32) {
        // SAFETY: rows and columns are the output's; a tile lies in `inner`, where the window's columns exist.
        unsafe {
            for row in 0..self.window.output[0] {
                for column in (0..inner.start).chain(inner.end..self.window.output[1]) {
                    self.all_channels::<V, 1, 0>(row, column, output);
                }
                let mut column = inner.start;
                while column < inner.end {
                    self.all_channels::<V, STRIDE, READ>(row, column.min(inner.end - TILE), output);
                    column += TILE;
                }
            }
        }
    }
}

/// A vector of channels, or `lanes` of them.
#[inline(always)]
unsafe fn read<V: Vector, const PART: bool>(from: *const f32, lanes: usize) -> V {
    // SAFETY: handed on from the caller.
    unsafe { if PART { V::load_first(from, lanes) } else { V::load(from) } }
}

impl Kernel for Depthwise<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let output = self.output.as_mut_ptr().cast::<f32>();
        let window = &self.window;
        let inner = window.inner_columns();
        let tiled = window.kernel[1] == 3 && window.dilation[1] == 1 && inner.len() >= TILE;
        // SAFETY: the caller vouches for the instructions; `inner` holds whole windows, and at least one tile of them.
        unsafe {
            match window.stride[1] {
                1 if tiled => self.picture::<V, 1, 6>(inner, output),
                2 if tiled => self.picture::<V, 2, 9>(inner, output),
                _ => self.picture::<V, 1, 0>(0..0, output),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, proptest};

    use super::*;

    fn values(count: usize) -> impl Strategy<Value = Vec<f32>> {
        proptest::collection::vec(-2f32..2.0, count)
    }

    /// A window of which at least one tap lies in the picture somewhere, with any padding behind.
    fn window() -> impl Strategy<Value = Window> {
        let pair = |range: Range<usize>| [range.clone(), range];
        (pair(1..14), pair(1..10), pair(1..5), pair(1..4), pair(1..3), pair(0..4)).prop_map(
            |(input, output, kernel, stride, dilation, padding)| Window {
                input,
                output,
                kernel,
                stride,
                dilation,
                padding,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_family_follows_the_definition(
            (window, channels, weights, bias, slopes, input) in (window(), 1usize..40).prop_flat_map(|(window, channels)| (
                Just(window),
                Just(channels),
                values(channels * window.kernel[0] * window.kernel[1]),
                values(channels),
                values(channels),
                values(channels * window.input[0] * window.input[1]),
            ))
        ) {
            let activation = Activation::Leak(padded(&slopes));
            let [rows, columns] = window.output;
            for family in Family::available() {
                let packed = DepthwiseWeights::new(family, &weights, &bias);
                let mut output = vec![MaybeUninit::new(f32::NAN); rows * columns * channels];
                Depthwise { weights: &packed, window, activation: &activation, input: &input, output: &mut output }.run();
                for (index, value) in output.iter().enumerate() {
                    // SAFETY: every value was initialised above.
                    let value = f64::from(unsafe { value.assume_init() });
                    let (row, column, channel) = (index / channels / columns, index / channels % columns, index % channels);
                    let (mut sum, mut size) = (f64::from(bias[channel]), f64::from(bias[channel].abs()));
                    for y in 0..window.kernel[0] {
                        for x in 0..window.kernel[1] {
                            let line = (row * window.stride[0] + y * window.dilation[0]).checked_sub(window.padding[0]);
                            let place = (column * window.stride[1] + x * window.dilation[1]).checked_sub(window.padding[1]);
                            let (Some(line), Some(place)) = (line, place) else { continue };
                            if line < window.input[0] && place < window.input[1] {
                                let value = input[(line * window.input[1] + place) * channels + channel];
                                let weight = weights[(channel * window.kernel[0] + y) * window.kernel[1] + x];
                                sum += f64::from(value) * f64::from(weight);
                                size += f64::from((value * weight).abs());
                            }
                        }
                    }
                    let expected = if sum < 0.0 { sum * f64::from(slopes[channel]) } else { sum };
                    prop_assert!((value - expected).abs() <= 1e-5 * size, "{family:?} {index}: {value} {expected}");
                }
            }
        }
    }
}
