//! Operators that move bytes and never change their scale: maximum pooling and enlarging.

use std::ops::Range;

use super::grid::Grid;

/// Maximum over windows. Order is kept by quantisation, so it works on stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPool {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Down and across.
    pub strides: [usize; 2],
    /// Top, left, bottom, right; padded places are never the maximum.
    pub pads: [usize; 4],
}

impl MaxPool {
    /// The shape of the output; `None` when the window does not fit.
    pub fn output(&self, input: Grid) -> Option<Grid> {
        let along = |len: usize, axis: usize| {
            let padded = len + self.pads[axis] + self.pads[axis + 2];
            Some(padded.checked_sub(self.kernel[axis])? / self.strides[axis] + 1)
        };
        Some(Grid { height: along(input.height, 0)?, width: along(input.width, 1)?, ..input })
    }

    /// Computes the rows `rows` of the output into `output`.
    pub fn run(&self, grid: Grid, input: &[u8], width: usize, rows: Range<usize>, output: &mut [u8]) {
        let stride = grid.stride;
        for (y, row) in rows.zip(output.chunks_exact_mut(width * stride)) {
            let from_rows = window(y, self.strides[0], self.pads[0], self.kernel[0], grid.height);
            // Windows inside a row that do not overlap are runs of pixels; their rows are reduced one after the other.
            let plain = self.strides[1] == self.kernel[1] && self.pads == [0; 4];
            row.fill(0);
            for from_y in from_rows {
                let from = &input[from_y * grid.row_len()..][..grid.row_len()];
                if plain && self.kernel[1] == 2 {
                    for (pixel, from) in row.chunks_exact_mut(stride).zip(from.chunks_exact(2 * stride)) {
                        let (left, right) = from.split_at(stride);
                        raise(pixel, left);
                        raise(pixel, right);
                    }
                    continue;
                }
                for (x, pixel) in row.chunks_exact_mut(stride).enumerate() {
                    for from_x in window(x, self.strides[1], self.pads[1], self.kernel[1], grid.width) {
                        raise(pixel, &from[from_x * stride..][..stride]);
                    }
                }
            }
        }
    }
}

/// The larger of each pair of bytes; both are whole groups of 16, a vector on every processor.
#[inline]
fn raise(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.as_chunks_mut::<16>().0.iter_mut().zip(from.as_chunks::<16>().0) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = (*to).max(*from);
        }
    }
}

/// The places inside the picture that a window at `at` covers.
fn window(at: usize, stride: usize, before: usize, kernel: usize, len: usize) -> Range<usize> {
    let first = at * stride;
    first.saturating_sub(before)..(first + kernel).saturating_sub(before).min(len)
}

/// Each pixel repeated `factor` times down and across (ONNX Resize, nearest, asymmetric, floor).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enlarge {
    /// Down and across.
    pub factor: [usize; 2],
}

impl Enlarge {
    /// The shape of the output.
    pub fn output(&self, input: Grid) -> Option<Grid> {
        Some(Grid {
            height: input.height.checked_mul(self.factor[0])?,
            width: input.width.checked_mul(self.factor[1])?,
            ..input
        })
    }

    /// Computes the rows `rows` of the output into `output`.
    pub fn run(&self, grid: Grid, input: &[u8], rows: Range<usize>, output: &mut [u8]) {
        let row_len = grid.row_len() * self.factor[1];
        for (y, row) in rows.zip(output.chunks_exact_mut(row_len)) {
            let from = &input[y / self.factor[0] * grid.row_len()..][..grid.row_len()];
            for (to, from) in row.chunks_exact_mut(grid.stride * self.factor[1]).zip(from.chunks_exact(grid.stride)) {
                for to in to.chunks_exact_mut(grid.stride) {
                    to.copy_from_slice(from);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_is_that_of_the_window_inside_the_picture() {
        let grid = Grid { height: 3, width: 3, channels: 16, stride: 16 };
        let input: Vec<u8> = (0..9).flat_map(|pixel| [pixel * 10 + 1; 16]).collect();
        let pool = MaxPool { kernel: [2, 2], strides: [2, 2], pads: [1, 1, 0, 0] };
        let made = pool.output(grid).unwrap();
        assert_eq!((made.height, made.width), (2, 2));
        let mut output = vec![0; made.len()];
        pool.run(grid, &input, made.width, 0..2, &mut output);
        let pixels: Vec<u8> = output.chunks_exact(16).map(|pixel| pixel[7]).collect();
        assert_eq!(pixels, [1, 21, 61, 81]);
    }

    #[test]
    fn enlarging_repeats_pixels() {
        let grid = Grid { height: 1, width: 2, channels: 16, stride: 16 };
        let input: Vec<u8> = [[3; 16], [9; 16]].concat();
        let twice = Enlarge { factor: [2, 2] };
        let made = twice.output(grid).unwrap();
        let mut output = vec![0; made.len()];
        twice.run(grid, &input, 0..2, &mut output);
        let pixels: Vec<u8> = output.chunks_exact(16).map(|pixel| pixel[0]).collect();
        assert_eq!(pixels, [3, 3, 9, 9, 3, 3, 9, 9]);
    }
}
