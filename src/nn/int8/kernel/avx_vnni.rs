//! x86-64 with AVX-VNNI (Alder Lake, Zen 5 and later): `vpdpbusd` on 256 bits, without saturation.
//!
//! As the 512-bit family in tiles of 6 rows by 16 channels, which fill the 16 registers.

use std::arch::x86_64::*;

use super::super::packed::{Layout, PackedDense, PackedDepthwise, Panel};
use super::ymm::{Finish, pack, packed_channel, unpack};
use super::{DenseRows, DepthwiseRow, Kernel, Output};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct AvxVnni;

/// Output channels of a panel: two vectors of sums.
const LANES: usize = 16;
/// Rows of a full tile: 12 sums, 2 vectors of weights, 1 of inputs and 1 product fit the 16 registers.
const ROWS: usize = 6;
/// Bytes the depthwise kernel takes at once.
const CHUNK: usize = 32;

static LAYOUT: Layout = Layout {
    panels: &[LANES],
    step: 4,
    weight_bytes: 1,
    excess: 0,
    order: packed_channel,
    chunk: CHUNK,
    taps: 4,
    tap_bytes: 1,
    chunk_order: |lane| packed_channel(CHUNK, lane),
    by_need: false,
    place: |width, step, lane| step * width + lane,
    symmetric: false,
};

impl Kernel for AvxVnni {
    fn isa(&self) -> Isa {
        Isa::AvxVnni
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

/// # Safety
/// The processor has AVX2 and AVX-VNNI; `DenseRows::check` holds.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn dense(packed: &PackedDense, rows: &mut DenseRows<'_>) {
    for panel in &packed.panels {
        let (tiles, small, larger) = tiles(rows.count);
        let mut first = 0;
        for tile_number in 0..tiles {
            let count = small + usize::from(tile_number < larger);
            // SAFETY: the tile lies within the rows, hence within the input.
            unsafe {
                let input = rows.input.as_ptr().add(first * rows.input_stride);
                match count {
                    6 => tile::<6>(packed, panel, first, input, rows),
                    5 => tile::<5>(packed, panel, first, input, rows),
                    4 => tile::<4>(packed, panel, first, input, rows),
                    3 => tile::<3>(packed, panel, first, input, rows),
                    2 => tile::<2>(packed, panel, first, input, rows),
                    1 => tile::<1>(packed, panel, first, input, rows),
                    _ => {}
                }
            }
            first += count;
        }
    }
}

/// `R` rows times one panel; `k` walks through their inputs.
///
/// # Safety
/// As for `dense`; `rows.first..rows.first + R` are within the rows.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn tile<const R: usize>(
    packed: &PackedDense,
    panel: &Panel,
    first: usize,
    input: *const u8,
    rows: &mut DenseRows<'_>,
) {
    let constants = &packed.constants;
    // SAFETY: a panel holds `steps * 64` bytes of weights from its offset on; each row has its inputs (`check`); constants
    // have a value for every lane.
    unsafe {
        let mut weights = packed.weights.as_ptr().add(panel.offset);
        let start = constants.start.as_ptr().add(panel.first);
        let start = [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(8).cast())];
        let inputs: [_; R] = std::array::from_fn(|r| input.add(r * rows.input_stride));
        let mut sums = [start; R];
        for step in 0..packed.steps {
            let w = [_mm256_load_si256(weights.cast()), _mm256_load_si256(weights.add(32).cast())];
            weights = weights.add(64);
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = _mm256_set1_epi32(inputs[r].add(4 * step).cast::<i32>().read_unaligned());
                for v in 0..2 {
                    sums[v] = _mm256_dpbusd_avx_epi32(sums[v], x, w[v]);
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
/// The processor has AVX2 and AVX-VNNI; `DepthwiseRow::check` holds; `R` is `packed.rows_at_once`.
#[target_feature(enable = "avx2,avxvnni")]
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
            for rows in row.rows.chunks_exact(4) {
                let x = [rows[0], rows[1], rows[2], rows[3]].map(|row| _mm256_loadu_si256(input.add(row).cast()));
                let (a, b) = (_mm256_unpacklo_epi8(x[0], x[1]), _mm256_unpacklo_epi8(x[2], x[3]));
                let (c, d) = (_mm256_unpackhi_epi8(x[0], x[1]), _mm256_unpackhi_epi8(x[2], x[3]));
                let x = [
                    _mm256_unpacklo_epi16(a, b),
                    _mm256_unpackhi_epi16(a, b),
                    _mm256_unpacklo_epi16(c, d),
                    _mm256_unpackhi_epi16(c, d),
                ];
                for sums in &mut sums {
                    for v in 0..4 {
                        let w = _mm256_loadu_si256(weights.add(32 * v).cast());
                        sums[v] = _mm256_dpbusd_avx_epi32(sums[v], x[v], w);
                    }
                    weights = weights.add(128);
                }
            }
        }
        sums
    }
}
