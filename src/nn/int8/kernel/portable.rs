//! Plain Rust: the definition of what every family computes, and what runs where there is no family.

use super::super::epilogue::Epilogue;
use super::super::packed::{Constants, Layout, PackedDense, PackedDepthwise};
use super::{DenseRows, DepthwiseRow, Kernel, Output};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct Portable;

const LANES: usize = 16;

static LAYOUT: Layout = Layout {
    panels: &[LANES],
    step: 1,
    weight_bytes: 1,
    excess: 0,
    order: |_, lane| lane,
    chunk: LANES,
    taps: 1,
    tap_bytes: 1,
    chunk_order: |lane| lane,
    by_need: false,
    place: |width, step, lane| step * width + lane,
    symmetric: false,
};

impl Kernel for Portable {
    fn isa(&self) -> Isa {
        Isa::Portable
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn dense(&self, packed: &PackedDense, mut rows: DenseRows<'_>) {
        rows.check(packed);
        let constants = &packed.constants;
        for panel in &packed.panels {
            let weights = &packed.weights[panel.offset..][..packed.depth * LANES];
            for row in 0..rows.count {
                let input = &rows.input[row * rows.input_stride..][..packed.depth];
                let mut sums: [i32; LANES] =
                    constants.start[panel.first..][..LANES].try_into().expect("a panel has LANES lanes");
                for (&x, w) in input.iter().zip(weights.as_chunks::<LANES>().0) {
                    let x = i32::from(x);
                    for (sum, &w) in sums.iter_mut().zip(w) {
                        *sum += x * i32::from(w);
                    }
                }
                let place = row * rows.output_stride + panel.first;
                let residual = rows.residual.map(|residual| &residual[place..][..LANES]);
                store(constants, panel.first, rows.bias, &sums, residual, &mut rows.output, place);
            }
        }
    }

    fn depthwise(&self, packed: &PackedDepthwise, mut row: DepthwiseRow<'_>) {
        row.check(packed, &LAYOUT);
        let taps = packed.columns * packed.quads;
        for chunk in (0..row.len).step_by(LANES) {
            let first = chunk / LANES % packed.patterns * LANES;
            let mut weights = packed.weights[first * taps..][..taps * LANES].chunks_exact(LANES);
            let mut sums: [i32; LANES] =
                packed.constants.start[first..][..LANES].try_into().expect("a chunk has LANES lanes");
            for column in row.columns {
                for (start, w) in row.rows.iter().zip(&mut weights) {
                    let input = &row.input[start + column + chunk..][..LANES];
                    for ((sum, &x), &w) in sums.iter_mut().zip(input).zip(w) {
                        *sum += i32::from(x) * i32::from(w);
                    }
                }
            }
            let len = LANES.min(row.len - chunk);
            let residual = row.residual.map(|residual| &residual[chunk..][..len]);
            store(&packed.constants, first, 0, &sums[..len], residual, &mut row.output, chunk);
        }
    }
}

/// Finishes neighbouring sums and puts them at `place`.
pub(super) fn store(
    constants: &Constants,
    first: usize,
    bias: usize,
    sums: &[i32],
    residual: Option<&[u8]>,
    output: &mut Output<'_>,
    place: usize,
) {
    let value = |i: usize, sum: i32| {
        let lane = first + i;
        constants.value(lane, constants.bias[bias][lane], sum, residual.map_or(0, |residual| residual[i]))
    };
    match output {
        Output::Float(values) => {
            for (i, &sum) in sums.iter().enumerate() {
                values[place + i] = value(i, sum);
            }
        }
        Output::Int8(bytes) => {
            let range = constants.range.expect("int8 output has a range");
            for (i, &sum) in sums.iter().enumerate() {
                bytes[place + i] = Epilogue::store(value(i, sum), range);
            }
        }
    }
}
