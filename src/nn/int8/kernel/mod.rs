//! The inner loops, one file a processor family.
//!
//! A family is a [`Layout`] (the order in which it wants weights) and two functions: [`Kernel::dense`] multiplies rows of
//! activations with a matrix, [`Kernel::depthwise`] runs one row of a depthwise convolution. Everything around them (padding,
//! im2col, threads) is common code. `portable` is the reference: every family gives its bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "arm")]
mod neon32;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
mod portable;
#[cfg(target_arch = "aarch64")]
mod qreg;
#[cfg(target_arch = "x86_64")]
mod ymm;

use super::conv::Conv;
use super::packed::{Layout, PackedDense, PackedDepthwise};
use crate::nn::Isa;

/// Where results go. Pixel `i` starts at `i * stride`.
#[derive(Debug)]
pub enum Output<'a> {
    /// Stored bytes.
    Int8(&'a mut [u8]),
    /// Values.
    Float(&'a mut [f32]),
}

/// Rows of activations times a packed matrix.
#[derive(Debug)]
pub struct DenseRows<'a> {
    /// The activations; row `i` starts at `i * input_stride` and has `PackedDense::depth` bytes.
    pub input: &'a [u8],
    /// Bytes from row to row.
    pub input_stride: usize,
    /// How many rows.
    pub count: usize,
    /// Second tensor, laid out as the output; must be there if the constants ask for it.
    pub residual: Option<&'a [u8]>,
    /// One value a row and lane.
    pub output: Output<'a>,
    /// Values from output row to output row; the panels' lanes fill it.
    pub output_stride: usize,
    /// Which set of biases.
    pub bias: usize,
}

/// One step of a depthwise convolution: `PackedDepthwise::rows_at_once` rows of output.
#[derive(Debug)]
pub struct DepthwiseRow<'a> {
    /// The padded input.
    pub input: &'a [u8],
    /// Where each input row starts: `PackedDepthwise::input_rows` of them.
    pub rows: &'a [usize],
    /// What each column of the kernel adds to that.
    pub columns: &'a [usize],
    /// Values of one output row.
    pub len: usize,
    /// Second tensor for the same values as the output.
    pub residual: Option<&'a [u8]>,
    /// The output rows, one after the other. Where only one is wanted of two, the second is not written.
    pub output: Output<'a>,
}

impl Output<'_> {
    fn len(&self) -> usize {
        match self {
            Output::Int8(bytes) => bytes.len(),
            Output::Float(values) => values.len(),
        }
    }
}

impl DenseRows<'_> {
    /// Panics unless every access of a kernel lies within the slices: what the kernels' proofs rest on.
    fn check(&self, packed: &PackedDense) {
        let lanes = packed.panels.last().map_or(0, |panel| panel.first + panel.width);
        assert!(lanes <= self.output_stride && lanes == packed.constants.start.len(), "panels fill the output");
        assert!(lanes == packed.constants.multiplier.len() && lanes == packed.constants.bias[self.bias].len());
        if self.count == 0 {
            return;
        }
        assert!((self.count - 1) * self.input_stride + packed.depth <= self.input.len(), "rows lie within the input");
        let end = (self.count - 1) * self.output_stride + lanes;
        assert!(end <= self.output.len(), "rows lie within the output");
        assert_eq!(
            matches!(self.output, Output::Int8(_)),
            packed.constants.range.is_some(),
            "the output is of the type asked for"
        );
        if packed.constants.residual.is_some() {
            assert!(self.residual.is_some_and(|residual| end <= residual.len()), "rows lie within the residual");
        }
    }
}

impl DepthwiseRow<'_> {
    /// As [`DenseRows::check`], for a kernel that reads whole chunks: the input must go on for one chunk behind the last value.
    fn check(&self, packed: &PackedDepthwise, layout: &Layout) {
        assert_eq!(self.rows.len(), packed.input_rows(layout), "there is a place for every row");
        assert_eq!(self.columns.len(), packed.columns, "there is a place for every column");
        let furthest = self.rows.iter().max().zip(self.columns.iter().max()).map_or(0, |(row, column)| row + column);
        assert!(furthest + self.len.next_multiple_of(layout.chunk) <= self.input.len(), "rows lie within the input");
        assert_eq!(packed.constants.start.len(), packed.patterns * layout.chunk, "there are constants for every lane");
        let rows = self.output.len() / self.len.max(1);
        assert!(rows * self.len == self.output.len() && rows <= packed.rows_at_once, "the output is whole rows");
        assert_eq!(
            matches!(self.output, Output::Int8(_)),
            packed.constants.range.is_some(),
            "the output is of the type asked for"
        );
        if packed.constants.residual.is_some() {
            assert!(self.residual.is_some_and(|r| r.len() == self.output.len()), "the residual fits the output");
        }
    }
}

/// One family's inner loops.
pub trait Kernel: Sync {
    /// The family.
    fn isa(&self) -> Isa;

    /// How it wants weights.
    fn layout(&self) -> &'static Layout;

    /// Whether it gives the portable kernels' bits for this convolution. Where it would not, they are to be used.
    fn suits(&self, conv: &Conv) -> bool {
        !(self.layout().symmetric && conv.weights.contains(&i8::MIN))
    }

    /// Multiplies rows of activations with a matrix packed for this family.
    ///
    /// # Panics
    /// When the slices do not hold what the sizes say.
    fn dense(&self, packed: &PackedDense, rows: DenseRows<'_>);

    /// Computes one or two rows of a depthwise convolution packed for this family.
    ///
    /// # Panics
    /// When the slices do not hold what the sizes say.
    fn depthwise(&self, packed: &PackedDepthwise, row: DepthwiseRow<'_>);
}

/// The kernels of a family, or the portable ones where this processor lacks them.
pub fn of(isa: Isa) -> &'static dyn Kernel {
    if !isa.is_available() {
        return &portable::Portable;
    }
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::Avx2,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => &avx_vnni::AvxVnni,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => &avx512::Avx512Vnni,
        #[cfg(target_arch = "arm")]
        Isa::Neon32 => &neon32::Neon32,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &neon::Neon,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot => &neon_dot::NeonDot,
        _ => &portable::Portable,
    }
}
