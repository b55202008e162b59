//! x86-64 with AVX2 (Haswell, Zen and later), which has no dot product.
//!
//! `vpmaddubsw` multiplies bytes, but adds pairs of products in 16 bits with saturation: 2 * 255 * 127 does not fit. Most pairs
//! of weights are smaller or of different signs, so the steps of a panel are sorted when they are packed (`pack_by_need`): where
//! no pair of any lane can reach the limit, bytes are multiplied (`vpmaddubsw`, then `vpmaddwd` with ones to 32 bits); in the
//! others activations and weights are 16 bits wide and `vpmaddwd` adds pairs of products in 32 bits, where they always fit:
//! 2 * 255 * 128 < 2^31. The depthwise kernel is always of the second kind.

use std::arch::x86_64::*;

use super::super::packed::{Layout, PackedDense, PackedDepthwise, Panel};
use super::ymm::{Finish, pack, packed_channel, unpack};
use super::{DenseRows, DepthwiseRow, Kernel, Output};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct Avx2;

/// Output channels of a panel: two vectors of sums.
const LANES: usize = 16;
/// Rows of a full tile: 10 sums, 2 vectors of weights, the ones, inputs and products fit the 16 registers.
const ROWS: usize = 5;
/// Bytes the depthwise kernel takes at once.
const CHUNK: usize = 32;

static LAYOUT: Layout = Layout {
    panels: &[LANES],
    step: 4,
    weight_bytes: 1,
    excess: 0,
    order: packed_channel,
    chunk: CHUNK,
    taps: 2,
    tap_bytes: 2,
    chunk_order: |lane| packed_channel(CHUNK, lane),
    by_need: true,
    place: |width, step, lane| step * width + lane,
    symmetric: false,
};

impl Kernel for Avx2 {
    fn isa(&self) -> Isa {
        Isa::Avx2
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn dense(&self, packed: &PackedDense, mut rows: DenseRows<'_>) {
        rows.check(packed);
        // SAFETY: this kernel is handed out only where the instructions are available (`kernel::of`). `check` holds.
        unsafe { dense(packed, &mut rows) }
    }

    fn depthwise(&self, packed: &PackedDepthwise, mut row: DepthwiseRow<'_>) {
        row.check(packed, &LAYOUT);
        // SAFETY: as above.
        unsafe {
            match packed.rows_at_once {
                1 => chunks::<1>(packed, &mut row),
                _ => chunks::<2>(packed, &mut row),
            }
        }
    }
}

/// Rows cut into tiles as even as can be: how many tiles, the rows of the smaller ones, and how many have one more.
fn tiles(count: usize) -> (usize, usize, usize) {
    let tiles = count.div_ceil(ROWS).max(1);
    (tiles, count / tiles, count % tiles)
}

/// Inputs that are widened at a time: what the first-level cache holds beside the weights.
const WIDE: usize = 12 << 10;

/// Values from one widened row to the next: a little more than a row, since loads of the same place in several rows would
/// otherwise all fall on one bank of the cache.
fn pitch(depth: usize) -> usize {
    depth.next_multiple_of(32) + 2
}

/// # Safety
/// The processor has AVX2; `DenseRows::check` holds.
#[target_feature(enable = "avx2")]
unsafe fn dense(packed: &PackedDense, rows: &mut DenseRows<'_>) {
    let depth = packed.depth;
    let pitch = pitch(depth);
    let block = (WIDE / pitch).clamp(ROWS, 8 * ROWS) / ROWS * ROWS;
    // The kernel has no memory of its own; a row this long is rare, and its products cost far more than the allocation.
    let mut long = Vec::new();
    let mut short = [std::mem::MaybeUninit::<i16>::uninit(); WIDE];
    let wide: *mut i16 = if block * pitch <= WIDE {
        short.as_mut_ptr().cast()
    } else {
        long.resize(block * pitch, 0i16);
        long.as_mut_ptr()
    };
    for block_first in (0..rows.count).step_by(block) {
        let count = block.min(rows.count - block_first);
        for row in 0..count {
            // SAFETY: the row has `depth` bytes (`check`), the buffer `block * pitch` values.
            unsafe {
                let from = rows.input.as_ptr().add((block_first + row) * rows.input_stride);
                widen(std::slice::from_raw_parts(from, depth), wide.add(row * pitch));
            }
        }
        for panel in &packed.panels {
            let (tiles, small, larger) = tiles(count);
            let mut first = 0;
            for tile_number in 0..tiles {
                let count = small + usize::from(tile_number < larger);
                // SAFETY: the tile lies within the block, whose rows are widened.
                unsafe {
                    let input = wide.add(first * pitch).cast_const();
                    let first_row = block_first + first;
                    match count {
                        5 => tile::<5>(packed, panel, first_row, input, rows),
                        4 => tile::<4>(packed, panel, first_row, input, rows),
                        3 => tile::<3>(packed, panel, first_row, input, rows),
                        2 => tile::<2>(packed, panel, first_row, input, rows),
                        1 => tile::<1>(packed, panel, first_row, input, rows),
                        _ => {}
                    }
                }
                first += count;
            }
        }
    }
}

/// Bytes to 16-bit values.
///
/// # Safety
/// The processor has AVX2; `to` has room for `from.len()` values.
#[inline(always)]
unsafe fn widen(from: &[u8], to: *mut i16) {
    let (whole, rest) = from.as_chunks::<16>();
    // SAFETY: by the contract.
    unsafe {
        for (i, bytes) in whole.iter().enumerate() {
            let values = _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes.as_ptr().cast()));
            _mm256_storeu_si256(to.add(16 * i).cast(), values);
        }
        for (i, &byte) in rest.iter().enumerate() {
            to.add(16 * whole.len() + i).write(i16::from(byte));
        }
    }
}

/// `R` rows times one panel; `k` walks through their inputs.
///
/// # Safety
/// As for `dense`; `rows.first..rows.first + R` are within the rows.
#[target_feature(enable = "avx2")]
unsafe fn tile<const R: usize>(
    packed: &PackedDense,
    panel: &Panel,
    first: usize,
    input: *const i16,
    rows: &mut DenseRows<'_>,
) {
    let constants = &packed.constants;
    // SAFETY: a panel holds 64 bytes of weights for every narrow step and 128 for every other from its offset on; each row has its inputs (`check`); constants
    // have a value for every lane.
    unsafe {
        let mut weights = packed.weights.as_ptr().add(panel.offset);
        let start = constants.start.as_ptr().add(panel.first);
        let start = [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(8).cast())];
        let places = &packed.inputs[panel.first / LANES * packed.steps..][..packed.steps];
        let (narrow, wide) = places.split_at(panel.narrow);
        let bytes: [_; R] = std::array::from_fn(|r| rows.input.as_ptr().add((first + r) * rows.input_stride));
        let mut sums = [start; R];
        let ones = _mm256_set1_epi16(1);
        for &place in narrow {
            let w = [_mm256_load_si256(weights.cast()), _mm256_load_si256(weights.add(32).cast())];
            weights = weights.add(64);
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_epi32(bytes[r].add(place as usize).cast::<i32>().read_unaligned());
                for v in 0..2 {
                    // No saturation: `fits_in_pairs` holds for every pair of these weights.
                    let pairs = _mm256_maddubs_epi16(x, w[v]);
                    sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        let words: [_; R] = std::array::from_fn(|r| input.add(r * pitch(packed.depth)));
        for &place in wide {
            for half in 0..2 {
                let w = [_mm256_load_si256(weights.cast()), _mm256_load_si256(weights.add(32).cast())];
                weights = weights.add(64);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = words[r].add(place as usize + 2 * half).cast::<i32>().read_unaligned();
                    let x = _mm256_set1_epi32(x);
                    for v in 0..2 {
                        sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(x, w[v]));
                    }
                }
            }
        }
        let place = first * rows.output_stride + panel.first;
        let residual = rows.residual.map(|residual| residual.as_ptr().add(place));
        let bias = constants.bias[rows.bias].as_ptr().add(panel.first);
        let finish = Finish { constants, lane: panel.first, bias, natural: constants.range.is_none() };
        match &mut rows.output {
            Output::Int8(bytes) => {
                let bytes = bytes.as_mut_ptr().add(place);
                finish.rows::<R, 2>(sums, residual, rows.output_stride, |r, values| {
                    pack::<2>(values, constants.range, bytes.add(r * rows.output_stride));
                });
            }
            Output::Float(floats) => {
                let floats = floats.as_mut_ptr().add(place);
                finish.rows::<R, 2>(sums, residual, rows.output_stride, |r, values| {
                    for (v, value) in values.into_iter().enumerate() {
                        _mm256_storeu_ps(floats.add(r * rows.output_stride + 8 * v), value);
                    }
                });
            }
        }
    }
}

/// # Safety
/// The processor has AVX2; `DepthwiseRow::check` holds; `R` is `packed.rows_at_once`.
#[target_feature(enable = "avx2")]
unsafe fn chunks<const R: usize>(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>) {
    let wanted = row.output.len() / row.len.max(1);
    let len = row.len;
    for chunk in (0..len).step_by(CHUNK) {
        let lane = chunk / CHUNK % packed.patterns * CHUNK;
        let valid = CHUNK.min(len - chunk);
        // SAFETY: the constants have `patterns * CHUNK` lanes.
        let bias = unsafe { packed.constants.bias[0].as_ptr().add(lane) };
        let finish = Finish { constants: &packed.constants, lane, bias, natural: false };
        // SAFETY: as for this function; a whole chunk of all rows lies within the output and the residual, and for the last
        // chunk of a row, which may be short, a row that is not wanted, and floats there are buffers.
        unsafe {
            let sums = sums::<R>(packed, row, chunk, lane);
            if let Output::Int8(bytes) = &mut row.output
                && valid == CHUNK
                && wanted == R
            {
                let place = bytes.as_mut_ptr().add(chunk);
                let residual = row.residual.map(|residual| residual.as_ptr().add(chunk));
                finish.rows::<R, 4>(sums, residual, len, |r, values| {
                    pack::<4>(values, packed.constants.range, place.add(r * len));
                });
                continue;
            }
            let mut residual = [[0u8; CHUNK]; R];
            if let Some(whole) = row.residual {
                for (r, residual) in residual.iter_mut().enumerate().take(wanted) {
                    residual[..valid].copy_from_slice(&whole[r * len + chunk..][..valid]);
                }
            }
            let residual = row.residual.map(|_| residual.as_ptr().cast());
            match &mut row.output {
                Output::Int8(bytes) => {
                    let mut made = [[0u8; CHUNK]; R];
                    let place: *mut u8 = made.as_mut_ptr().cast();
                    finish.rows::<R, 4>(sums, residual, CHUNK, |r, values| {
                        pack::<4>(values, packed.constants.range, place.add(r * CHUNK));
                    });
                    for (r, made) in made.iter().enumerate().take(wanted) {
                        bytes[r * len + chunk..][..valid].copy_from_slice(&made[..valid]);
                    }
                }
                Output::Float(values) => {
                    let mut made = [[0f32; CHUNK]; R];
                    let place: *mut f32 = made.as_mut_ptr().cast();
                    finish.rows::<R, 4>(sums, residual, CHUNK, |r, values| unpack(values, place.add(r * CHUNK)));
                    for (r, made) in made.iter().enumerate().take(wanted) {
                        values[r * len + chunk..][..valid].copy_from_slice(&made[..valid]);
                    }
                }
            }
        }
    }
}

/// The sums of one chunk.
///
/// # Safety
/// As for `chunks`; `chunk` is below `row.len`, `lane` the first of its pattern.
#[inline(always)]
unsafe fn sums<const R: usize>(
    packed: &PackedDepthwise,
    row: &DepthwiseRow<'_>,
    chunk: usize,
    lane: usize,
) -> [[__m256i; 4]; R] {
    let taps = packed.columns * packed.quads * R * 4;
    // SAFETY: each input row and column has whole chunks up to behind `len` (`check`), the weights have `patterns * taps`
    // vectors of 32 bytes, constants have `patterns * 32` lanes.
    unsafe {
        let mut weights = packed.weights.as_ptr().add(lane * taps);
        let start = packed.constants.start.as_ptr().add(lane);
        let mut sums = [[_mm256_setzero_si256(); 4]; R];
        for v in 0..4 {
            let start = _mm256_loadu_si256(start.add(8 * v).cast());
            for sums in &mut sums {
                sums[v] = start;
            }
        }
        for column in row.columns {
            let input = row.input.as_ptr().add(column + chunk);
            for rows in row.rows.chunks_exact(2) {
                let x = [rows[0], rows[1]].map(|row| _mm256_loadu_si256(input.add(row).cast()));
                let (a, b) = (_mm256_unpacklo_epi8(x[0], x[1]), _mm256_unpackhi_epi8(x[0], x[1]));
                let none = _mm256_setzero_si256();
                let x = [
                    _mm256_unpacklo_epi8(a, none),
                    _mm256_unpackhi_epi8(a, none),
                    _mm256_unpacklo_epi8(b, none),
                    _mm256_unpackhi_epi8(b, none),
                ];
                for sums in &mut sums {
                    for v in 0..4 {
                        let w = _mm256_loadu_si256(weights.add(32 * v).cast());
                        sums[v] = _mm256_add_epi32(sums[v], _mm256_madd_epi16(x[v], w));
                    }
                    weights = weights.add(128);
                }
            }
        }
        sums
    }
}
