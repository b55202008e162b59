//! Rows of bytes, all of one width, and the row they are multiplied with.

use super::{LINE_BYTES, MAX_WIDTH, dots, pages};
use crate::nn::{Isa, int8::Aligned};

/// Many rows of signed bytes of one width. `Debug` shows no byte.
pub struct ByteRows {
    /// Each row is followed by zeros up to `stride`.
    bytes: Aligned<i8>,
    width: usize,
    stride: usize,
    len: usize,
    isa: Isa,
}

/// A row to multiply others with. `Debug` shows no byte.
pub struct ByteRow(Aligned<i8>);

impl ByteRow {
    /// The row of these bytes.
    ///
    /// # Panics
    /// When one of them is -128: a family adds two products in 16 bits, where 2 * -128 * -128 has no place.
    pub fn new(bytes: &[i8]) -> ByteRow {
        assert!(!bytes.contains(&i8::MIN), "the bytes of a probe are -127..=127");
        let mut row = Aligned::zeros(bytes.len().next_multiple_of(LINE_BYTES));
        row[..bytes.len()].copy_from_slice(bytes);
        ByteRow(row)
    }
}

impl ByteRows {
    /// No rows yet; memory for `rows` of `width` bytes, so that so many are never moved. `isa` is who multiplies them; where this
    /// processor lacks it, portable code does.
    ///
    /// # Panics
    /// Unless `width` is 1 to 65536.
    pub fn with_capacity(isa: Isa, width: usize, rows: usize) -> ByteRows {
        assert!((1..=MAX_WIDTH).contains(&width), "a row has 1 to {MAX_WIDTH} bytes, not {width}");
        let stride = width.next_multiple_of(LINE_BYTES);
        let mut bytes = Aligned::with_capacity(rows * stride);
        pages::prefer_large(bytes.spare());
        let isa = if isa.is_available() { isa } else { Isa::Portable };
        ByteRows { bytes, width, stride, len: 0, isa }
    }

    /// Puts a row behind the last.
    ///
    /// # Panics
    /// When it is of another width.
    pub fn push(&mut self, row: &[i8]) {
        assert_eq!(row.len(), self.width, "all rows are of one width");
        let end = (self.len + 1) * self.stride;
        self.bytes.grow(end);
        self.bytes[end - self.stride..][..row.len()].copy_from_slice(row);
        self.len += 1;
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The family that multiplies.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// `sums[i]` becomes the product of row `first + i` and `probe`, exact.
    ///
    /// # Panics
    /// When there are not so many rows, or the probe is of another width.
    pub fn dots(&self, first: usize, probe: &ByteRow, sums: &mut [i32]) {
        let rows = &self.bytes[first * self.stride..][..sums.len() * self.stride];
        dots(self.isa, rows, &probe.0, sums);
    }
}

impl std::fmt::Debug for ByteRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByteRows({} of {} bytes, {})", self.len, self.width, self.isa)
    }
}

impl std::fmt::Debug for ByteRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByteRow({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_width_are_multiplied_from_any_place() {
        for width in [1, 63, 64, 65, 192, 500] {
            // More rows than there was memory asked for.
            let mut rows = ByteRows::with_capacity(Isa::best(), width, 3);
            let byte = |row: usize, column: usize| ((row * 31 + column * 7) % 255) as u8 as i8;
            for row in 0..11 {
                rows.push(&(0..width).map(|c| byte(row, c)).collect::<Vec<_>>());
            }
            let probe: Vec<i8> = (0..width).map(|c| (c % 255) as i8).map(|b| b.max(-127)).collect();
            let mut sums = [0; 5];
            rows.dots(4, &ByteRow::new(&probe), &mut sums);
            for (i, sum) in sums.into_iter().enumerate() {
                let expected: i32 = (0..width).map(|c| i32::from(byte(4 + i, c)) * i32::from(probe[c])).sum();
                assert_eq!(sum, expected, "width {width}");
            }
            assert_eq!(rows.len(), 11);
        }
    }

    #[test]
    fn a_family_this_processor_lacks_is_replaced() {
        let foreign = if cfg!(target_arch = "aarch64") { Isa::Avx2 } else { Isa::Neon };
        assert_eq!(ByteRows::with_capacity(foreign, 8, 0).isa(), Isa::Portable);
    }

    #[test]
    fn debug_shows_no_bytes() {
        let mut rows = ByteRows::with_capacity(Isa::Portable, 3, 1);
        rows.push(&[101, 102, 103]);
        let shown = format!("{rows:?} {:?}", ByteRow::new(&[101, 102, 103]));
        assert_eq!(shown, "ByteRows(1 of 3 bytes, portable) ByteRow(64 bytes)");
    }
}
