//! How activations lie in memory.

/// The shape of one picture's int8 activations: rows, columns, channels, the channels innermost (NHWC).
///
/// A value `q` of -128 to 127 is stored as the byte `q + 128`, the form in which x86's dot products want activations. The
/// channels of a pixel take [`stride`](Grid::stride) bytes, so that every kernel can work in whole vectors; bytes beyond the
/// last channel hold anything and no result depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels that mean something.
    pub channels: usize,
    /// Bytes from one pixel to the next.
    pub stride: usize,
}

impl Grid {
    /// A grid whose pixels are padded for the kernels: 16 bytes, 32, or a multiple of 64.
    pub fn new(height: usize, width: usize, channels: usize) -> Grid {
        let stride = match channels {
            0..=16 => 16,
            17..=32 => 32,
            _ => channels.next_multiple_of(64),
        };
        Grid { height, width, channels, stride }
    }

    /// A grid without a gap between pixels, such as a picture.
    #[cfg(test)]
    pub fn compact(height: usize, width: usize, channels: usize) -> Grid {
        Grid { height, width, channels, stride: channels }
    }

    /// Bytes of one row.
    pub fn row_len(&self) -> usize {
        self.width * self.stride
    }

    /// Bytes of the whole.
    pub fn len(&self) -> usize {
        self.height * self.row_len()
    }
}
