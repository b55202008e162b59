//! The geometry of convolution and pooling.

use std::ops::Range;

/// Where a window stands over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Window {
    /// Rows and columns of the input.
    pub(super) input: [usize; 2],
    /// Rows and columns of the output.
    pub(super) output: [usize; 2],
    /// Rows and columns under the window.
    pub(super) kernel: [usize; 2],
    /// Down and to the right.
    pub(super) stride: [usize; 2],
    /// Between neighbouring taps; 1 is dense.
    pub(super) dilation: [usize; 2],
    /// Before the first row and column.
    pub(super) padding: [usize; 2],
}

impl Window {
    /// The taps of the window at `position` along `axis` that lie in the picture.
    #[inline(always)]
    pub(super) fn taps(&self, axis: usize, position: usize) -> Range<usize> {
        let start = position * self.stride[axis];
        let (padding, dilation) = (self.padding[axis], self.dilation[axis]);
        let first = padding.saturating_sub(start).div_ceil(dilation);
        let end = (self.input[axis] + padding).saturating_sub(start).div_ceil(dilation).min(self.kernel[axis]);
        first.min(end)..end
    }

    /// Where tap `tap` of the window at `position` lies along `axis`; only for [`taps`](Window::taps).
    #[inline(always)]
    pub(super) fn index(&self, axis: usize, position: usize, tap: usize) -> usize {
        position * self.stride[axis] + tap * self.dilation[axis] - self.padding[axis]
    }

    /// How many rows and columns lie under the windows, padding included, when they are not dilated.
    pub(super) fn used(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.output[axis] - 1).saturating_mul(self.stride[axis]).saturating_add(self.kernel[axis]))
    }

    /// The columns at which the whole width of the window lies in the picture.
    pub(super) fn inner_columns(&self) -> Range<usize> {
        let reach = (self.kernel[1] - 1) * self.dilation[1];
        let first = self.padding[1].div_ceil(self.stride[1]);
        let end = match (self.input[1] + self.padding[1]).checked_sub(reach) {
            None | Some(0) => 0,
            Some(room) => (room - 1) / self.stride[1] + 1,
        };
        let end = end.min(self.output[1]);
        first.min(end)..end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn taps_are_those_inside_the_picture(
            input in 1usize..12, output in 1usize..12, kernel in 1usize..6, stride in 1usize..4, dilation in 1usize..4,
            padding in 0usize..8, position in 0usize..12,
        ) {
            let window = Window {
                input: [1, input],
                output: [1, output],
                kernel: [1, kernel],
                stride: [1, stride],
                dilation: [1, dilation],
                padding: [0, padding],
            };
            let inside = |position: usize| {
                move |tap: &usize| (padding..input + padding).contains(&(position * stride + tap * dilation))
            };
            let expected: Vec<usize> = (0..kernel).filter(inside(position)).collect();
            prop_assert_eq!(window.taps(1, position).collect::<Vec<_>>(), expected.clone());
            for tap in expected {
                prop_assert_eq!(window.index(1, position, tap) + padding, position * stride + tap * dilation);
            }
            let whole: Vec<usize> = (0..output).filter(|&column| (0..kernel).filter(inside(column)).count() == kernel).collect();
            prop_assert_eq!(window.inner_columns().collect::<Vec<_>>(), whole);
        }
    }
}
