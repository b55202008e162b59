//! aarch64 with dot product (Cortex-A55, A76 and later): `sdot` adds four products of signed bytes to each of four sums.
//!
//! A dense tile is 6 rows by 16 channels: 24 sums, 6 vectors of inputs and 2 of weights fill the 32 registers. The depthwise
//! kernel interleaves four input rows into quads of bytes and lets `sdot` sum a column of the kernel at once.
//! The intrinsics for `sdot` are not stable, inline assembly is.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over counters unroll, those over arrays of vectors go through memory"
)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::packed::{Layout, PackedDense, PackedDepthwise};
use super::qreg::{ANY, Finish, LEAK, LEAK_SHIFT, Places, RESIDUAL, SCALE, Tiles, Unit, kind, pack, signed, tiles};
use super::{DenseRows, DepthwiseRow, Kernel, Output};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct NeonDot;

/// Output channels of a panel: four vectors of sums.
const LANES: usize = 16;
/// Rows of a full tile.
const ROWS: usize = 6;
/// Bytes the depthwise kernel takes at once.
const CHUNK: usize = 8;

/// Inputs of a row that are in a register at a time: four steps.
struct Four;

impl Unit for Four {
    const INPUTS: usize = 16;
    const BYTES: usize = 16;

    #[inline(always)]
    unsafe fn put(inputs: int8x16_t, to: *mut i8, _: usize) {
        // SAFETY: by the contract.
        unsafe { vst1q_s8(to, inputs) }
    }
}

static LAYOUT: Layout = Layout {
    panels: &[LANES],
    step: 4,
    weight_bytes: 1,
    excess: 128,
    order: |_, lane| lane,
    chunk: CHUNK,
    taps: 4,
    tap_bytes: 1,
    chunk_order: |lane| lane,
    place: |width, step, lane| step * width + lane,
    by_need: false,
    symmetric: false,
};

impl Kernel for NeonDot {
    fn isa(&self) -> Isa {
        Isa::NeonDot
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn dense(&self, packed: &PackedDense, mut rows: DenseRows<'_>) {
        rows.check(packed);
        // SAFETY: this kernel is handed out only where the instructions are available (`kernel::of`). `check` holds.
        unsafe {
            match kind(&packed.constants) {
                SCALE => dense::<SCALE>(packed, &mut rows),
                LEAK => dense::<LEAK>(packed, &mut rows),
                LEAK_SHIFT => dense::<LEAK_SHIFT>(packed, &mut rows),
                RESIDUAL => dense::<RESIDUAL>(packed, &mut rows),
                _ => dense::<ANY>(packed, &mut rows),
            }
        }
    }

    fn depthwise(&self, packed: &PackedDepthwise, mut row: DepthwiseRow<'_>) {
        row.check(packed, &LAYOUT);
        // SAFETY: as above.
        unsafe {
            match (packed.rows_at_once, kind(&packed.constants)) {
                (1, SCALE) => chunks::<1, SCALE>(packed, &mut row),
                (1, LEAK) => chunks::<1, LEAK>(packed, &mut row),
                (1, LEAK_SHIFT) => chunks::<1, LEAK_SHIFT>(packed, &mut row),
                (1, _) => chunks::<1, ANY>(packed, &mut row),
                (_, SCALE) => chunks::<2, SCALE>(packed, &mut row),
                (_, LEAK) => chunks::<2, LEAK>(packed, &mut row),
                (_, LEAK_SHIFT) => chunks::<2, LEAK_SHIFT>(packed, &mut row),
                _ => chunks::<2, ANY>(packed, &mut row),
            }
        }
    }
}

/// # Safety
/// The processor has the dot product; `DenseRows::check` holds; `KIND` is `kind` of the constants.
#[inline(always)]
unsafe fn dense<const KIND: u8>(packed: &PackedDense, rows: &mut DenseRows<'_>) {
    // SAFETY: `check` holds for each of the rows, and `tiles` lays their inputs down as `tile` reads them.
    unsafe {
        tiles::<Four>(packed, rows, ROWS, |cut, rows| match cut.count {
            6 => tile::<6, KIND>(packed, cut, rows),
            5 => tile::<5, KIND>(packed, cut, rows),
            4 => tile::<4, KIND>(packed, cut, rows),
            3 => tile::<3, KIND>(packed, cut, rows),
            2 => tile::<2, KIND>(packed, cut, rows),
            _ => tile::<1, KIND>(packed, cut, rows),
        });
    }
}

/// Adds to every sum four products: of its quad of weights and the quad `LANE` of the inputs.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot_lane<const LANE: u8>(mut sums: int32x4_t, weights: int8x16_t, inputs: int8x16_t) -> int32x4_t {
    // SAFETY: register to register; the processor has the instruction.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {inputs:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            inputs = in(vreg) inputs,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// Adds to every sum the products of its quad of weights and its quad of inputs.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sums: int32x4_t, weights: int8x16_t, inputs: int8x16_t) -> int32x4_t {
    // SAFETY: as above.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {inputs:v}.16b",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            inputs = in(vreg) inputs,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// One step of a tile: the weights from `weights` on with quad `LANE` of every row's inputs.
///
/// # Safety
/// There are `4 * LANES` weights.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn step<const R: usize, const LANE: u8>(
    sums: &mut [[int32x4_t; 4]; R],
    inputs: &[int8x16_t; R],
    weights: *const i8,
) {
    for v in 0..4 {
        // SAFETY: by the contract.
        let w = unsafe { vld1q_s8(weights.add(16 * v)) };
        for (sums, &x) in sums.iter_mut().zip(inputs) {
            sums[v] = sdot_lane::<LANE>(sums[v], w, x);
        }
    }
}

/// Tiles of `R` rows times one panel.
///
/// # Safety
/// The processor has the dot product; `DenseRows::check` holds; `cut` is by `tiles`, in units of `Four`, with `R` rows.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile<const R: usize, const KIND: u8>(packed: &PackedDense, cut: &Tiles, rows: &mut DenseRows<'_>) {
    let constants = &packed.constants;
    let lane = packed.panels[cut.panel].first;
    // SAFETY: a panel holds `steps * 4 * LANES` weights from its offset on; the inputs are whole units (`tiles`), of which
    // `steps / 4` are read, and one more where steps remain; constants have a value for every lane.
    unsafe {
        let panel = packed.weights.as_ptr().add(packed.panels[cut.panel].offset);
        let start: [_; 4] = std::array::from_fn(|v| vld1q_s32(constants.start.as_ptr().add(lane + 4 * v)));
        let finish = Finish::<4, KIND>::new(constants, lane, rows.bias);
        let (steps, range, stride) = (packed.steps, constants.range, rows.output_stride);
        let residual = rows.residual.map_or(std::ptr::null(), <[u8]>::as_ptr);
        let (bytes, floats) = match &mut rows.output {
            Output::Int8(bytes) => (bytes.as_mut_ptr(), std::ptr::null_mut()),
            Output::Float(floats) => (std::ptr::null_mut(), floats.as_mut_ptr()),
        };
        for number in 0..cut.tiles {
            let mut weights = panel;
            let mut input = cut.input.add(number * cut.tile_len);
            let mut sums = [start; R];
            for _ in 0..steps / 4 {
                let x: [_; R] = std::array::from_fn(|r| vld1q_s8(input.add(Four::BYTES * r)));
                step::<R, 0>(&mut sums, &x, weights);
                step::<R, 1>(&mut sums, &x, weights.add(4 * LANES));
                step::<R, 2>(&mut sums, &x, weights.add(8 * LANES));
                step::<R, 3>(&mut sums, &x, weights.add(12 * LANES));
                weights = weights.add(16 * LANES);
                input = input.add(Four::BYTES * R);
            }
            let rest = steps % 4;
            if rest > 0 {
                let x: [_; R] = std::array::from_fn(|r| vld1q_s8(input.add(Four::BYTES * r)));
                step::<R, 0>(&mut sums, &x, weights);
                if rest > 1 {
                    step::<R, 1>(&mut sums, &x, weights.add(4 * LANES));
                }
                if rest > 2 {
                    step::<R, 2>(&mut sums, &x, weights.add(8 * LANES));
                }
            }

            let place = (cut.first + number * R) * stride + lane;
            let values = finish.values(sums, |r| residual.wrapping_add(place + r * stride));
            if KIND == ANY && range.is_none() {
                for r in 0..R {
                    for v in 0..4 {
                        vst1q_f32(floats.add(place + r * stride + 4 * v), values[r][v]);
                    }
                }
            } else {
                let packed = pack(values, range);
                for r in 0..R {
                    vst1q_u8(bytes.add(place + r * stride), packed[r]);
                }
            }
        }
    }
}

/// # Safety
/// The processor has the dot product; `DepthwiseRow::check` holds; `R` is `packed.rows_at_once`, `KIND` `kind` of the constants.
#[target_feature(enable = "neon,dotprod")]
unsafe fn chunks<const R: usize, const KIND: u8>(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>) {
    let pixel = packed.patterns * CHUNK;
    assert!(row.len.is_multiple_of(pixel), "pixels are whole chunks");
    if row.output.len() == 0 {
        return;
    }
    // SAFETY: handed on.
    unsafe {
        match (row.rows, row.columns) {
            (&[_, _, _, _], &[a, b, c]) if b == a + pixel && c == b + pixel => three::<R, KIND, true>(packed, row),
            (&[_, _, _, _], &[_, _, _]) => three::<R, KIND, false>(packed, row),
            _ => any::<R, KIND>(packed, row),
        }
    }
}

/// Four rows of a chunk's bytes as quads, the first four channels' and the last four's.
///
/// # Safety
/// There is a chunk at each.
#[inline(always)]
unsafe fn quads(rows: [*const u8; 4]) -> [int8x16_t; 2] {
    // SAFETY: by the contract.
    unsafe {
        let [a, b, c, d] = rows.map(|row| vcombine_u8(vld1_u8(row), vdup_n_u8(0)));
        let (ab, cd) = (vreinterpretq_u16_u8(vzip1q_u8(a, b)), vreinterpretq_u16_u8(vzip1q_u8(c, d)));
        [signed(vreinterpretq_u8_u16(vzip1q_u16(ab, cd))), signed(vreinterpretq_u8_u16(vzip2q_u16(ab, cd)))]
    }
}

/// Kernels of three columns and up to four rows, their weights in registers. If `ROLLING`, columns of the kernel are
/// neighbouring pixels: what one output pixel reads, the next two read again.
///
/// # Safety
/// As for `chunks`; there are 4 rows and 3 columns.
#[target_feature(enable = "neon,dotprod")]
unsafe fn three<const R: usize, const KIND: u8, const ROLLING: bool>(
    packed: &PackedDepthwise,
    row: &mut DepthwiseRow<'_>,
) {
    let pixel = packed.patterns * CHUNK;
    let end = row.len;
    let range = packed.constants.range;
    let places = Places::of(row);
    let (&[a, b, c], &[w, x, y, z]) = (row.columns, row.rows) else { return };
    // Within the input, or one past it, as `check` says.
    let inputs = [a, b, c].map(|column| [w, x, y, z].map(|row| places.input.wrapping_add(column + row)));
    for pattern in 0..packed.patterns {
        let lane = pattern * CHUNK;
        // SAFETY: every pattern has 3 columns of weights for `R` rows of output, and constants for its lanes; each input row
        // and column has whole chunks up to behind the last pixel (`check`), which are those of the output and the residual.
        unsafe {
            let finish = Finish::<2, KIND>::new(&packed.constants, lane, 0);
            let start = packed.constants.start.as_ptr().add(lane);
            let start = [vld1q_s32(start), vld1q_s32(start.add(4))];
            let weights = packed.weights.as_ptr().add(lane * 3 * R * 4);
            let mut w = [[[vdupq_n_s8(0); 2]; R]; 3];
            for column in 0..3 {
                for r in 0..R {
                    let weights = weights.add((column * R + r) * 32);
                    w[column][r] = [vld1q_s8(weights), vld1q_s8(weights.add(16))];
                }
            }
            let column = |column: usize, at: usize| quads(inputs[column].map(|input| input.add(at)));
            let sums = |x: [[int8x16_t; 2]; 3]| {
                let mut sums = [start; R];
                for column in 0..3 {
                    for r in 0..R {
                        for v in 0..2 {
                            sums[r][v] = sdot(sums[r][v], w[column][r][v], x[column][v]);
                        }
                    }
                }
                sums
            };
            let mut at = lane;
            if ROLLING && end >= 3 * pixel {
                let (mut a, mut b) = (column(0, at), column(1, at));
                while at + 2 * pixel < end {
                    let c = column(2, at);
                    places.store(&finish, sums([a, b, c]), range, at);
                    a = column(2, at + pixel);
                    places.store(&finish, sums([b, c, a]), range, at + pixel);
                    b = column(2, at + 2 * pixel);
                    places.store(&finish, sums([c, a, b]), range, at + 2 * pixel);
                    at += 3 * pixel;
                }
            }
            while at < end {
                places.store(&finish, sums([column(0, at), column(1, at), column(2, at)]), range, at);
                at += pixel;
            }
        }
    }
}

/// Kernels of any size.
///
/// # Safety
/// As for `chunks`.
#[target_feature(enable = "neon,dotprod")]
unsafe fn any<const R: usize, const KIND: u8>(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>) {
    let pixel = packed.patterns * CHUNK;
    let taps = packed.columns * packed.quads * R * 4;
    let range = packed.constants.range;
    let places = Places::of(row);
    for pattern in 0..packed.patterns {
        let lane = pattern * CHUNK;
        // SAFETY: as for `three`, with `taps` taps a lane.
        unsafe {
            let finish = Finish::<2, KIND>::new(&packed.constants, lane, 0);
            let start = packed.constants.start.as_ptr().add(lane);
            for at in (lane..row.len).step_by(pixel) {
                let mut weights = packed.weights.as_ptr().add(lane * taps);
                let mut sums = [[vld1q_s32(start), vld1q_s32(start.add(4))]; R];
                for column in row.columns {
                    for rows in row.rows.chunks_exact(4) {
                        let x =
                            quads([rows[0], rows[1], rows[2], rows[3]].map(|row| places.input.add(row + column + at)));
                        for sums in &mut sums {
                            for v in 0..2 {
                                sums[v] = sdot(sums[v], vld1q_s8(weights.add(16 * v)), x[v]);
                            }
                            weights = weights.add(4 * CHUNK);
                        }
                    }
                }
                places.store(&finish, sums, range, at);
            }
        }
    }
}
