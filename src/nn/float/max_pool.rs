//! The largest value under a window, channel by channel, channels last.

use std::mem::MaybeUninit;

use super::simd::{Family, Kernel, Vector};
use super::window::Window;

/// One pooling applied to one picture. The window must touch the picture everywhere.
pub(super) struct MaxPool<'a> {
    pub(super) family: Family,
    pub(super) window: Window,
    pub(super) channels: usize,
    /// Rows x columns x channels.
    pub(super) input: &'a [f32],
    /// Rows x columns x channels.
    pub(super) output: &'a mut [MaybeUninit<f32>],
}

impl MaxPool<'_> {
    /// Computes the pooling; all of the output is written. Where NaN is under the window, the output may or may not be NaN.
    pub(super) fn run(self) {
        let window = &self.window;
        assert_eq!(
            self.input.len(),
            window.input[0] * window.input[1] * self.channels,
            "the input is rows x columns x channels"
        );
        assert_eq!(self.output.len(), window.output[0] * window.output[1] * self.channels, "so is the output");
        self.family.run(self);
    }

    /// One vector of channels of one pixel, or its first `lanes`.
    #[inline(always)]
    unsafe fn pixel<V: Vector, const PART: bool>(
        &self,
        row: usize,
        column: usize,
        channel: usize,
        lanes: usize,
        output: *mut f32,
    ) {
        let window = &self.window;
        // SAFETY: `taps` gives only taps whose input row and column exist, and `run` checked the sizes; channels
        // `channel..channel + LANES` exist, or only `lanes` of them if PART.
        unsafe {
            let mut largest = V::splat(f32::NEG_INFINITY);
            for y in window.taps(0, row) {
                let line = window.index(0, row, y) * window.input[1];
                for x in window.taps(1, column) {
                    let at = (line + window.index(1, column, x)) * self.channels + channel;
                    let value = self.input.as_ptr().add(at);
                    largest = largest.at_least(if PART { V::load_first(value, lanes) } else { V::load(value) });
                }
            }
            let output = output.add((row * window.output[1] + column) * self.channels + channel);
            if PART { largest.store_first(output, lanes) } else { largest.store(output) }
        }
    }
}

impl Kernel for MaxPool<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let output = self.output.as_mut_ptr().cast::<f32>();
        let whole = self.channels - self.channels % V::LANES;
        for row in 0..self.window.output[0] {
            for column in 0..self.window.output[1] {
                // SAFETY: the caller vouches for the instructions; rows, columns and channels are the output's.
                unsafe {
                    let mut channel = 0;
                    while channel < whole {
                        self.pixel::<V, false>(row, column, channel, V::LANES, output);
                        channel += V::LANES;
                    }
                    if whole < self.channels {
                        self.pixel::<V, true>(row, column, whole, self.channels - whole, output);
                    }
                }
            }
        }
    }
}
