//! What the families on 128-bit registers (aarch64) share: rows made signed and cut into tiles, and the epilogue.
//!
//! Stored bytes are excess-128, the multiplications want signed bytes: the highest bit is turned over. Every panel of a matrix
//! reads the same rows, so that is done once for some rows, and they are laid down in the order in which a tile reads them.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over counters unroll, those over arrays of vectors go through memory"
)]

use std::arch::aarch64::*;
use std::mem::MaybeUninit;

use super::super::epilogue::Residual;
use super::super::packed::{Constants, PackedDense, SlopeOrder};
use super::{DenseRows, DepthwiseRow, Output};

/// Bytes of signed rows at a time: what the first-level cache holds beside the weights.
const SIGNED: usize = 16 << 10;
/// Full tiles that are laid down at a time, at most.
const TILES: usize = 12;

/// Some tiles of the same height, one below the other: rows times one panel.
pub(super) struct Tiles {
    /// The panel.
    pub panel: usize,
    /// The first row, how many a tile has, and how many tiles.
    pub first: usize,
    pub count: usize,
    pub tiles: usize,
    /// The first tile's signed bytes: unit by unit that of its first row, of its second, and so on; the last unit filled up.
    pub input: *const i8,
    /// Bytes from tile to tile.
    pub tile_len: usize,
}

/// How a row's bytes are laid down for a tile.
pub(super) trait Unit {
    /// Inputs of a unit, 8 or 16.
    const INPUTS: usize;
    /// Bytes of a unit.
    const BYTES: usize;

    /// Lays down 16 inputs: one unit or, `step` bytes on, two.
    ///
    /// # Safety
    /// There is room.
    unsafe fn put(inputs: int8x16_t, to: *mut i8, step: usize);
}

/// Cuts the rows into tiles of `most` rows or, as evenly as can be, fewer, and hands them with each panel to `run`.
///
/// # Safety
/// `DenseRows::check` holds.
#[inline(always)]
pub(super) unsafe fn tiles<U: Unit>(
    packed: &PackedDense,
    rows: &mut DenseRows<'_>,
    most: usize,
    run: impl Fn(&Tiles, &mut DenseRows<'_>),
) {
    // Sixteens are laid down whole.
    let len = packed.depth.next_multiple_of(16) / U::INPUTS * U::BYTES;
    let block = (SIGNED / len.max(1)).clamp(most, TILES * most) / most * most;
    // The kernel has no memory of its own; a row this long is rare, and its products cost far more than the allocation.
    let mut long = Vec::new();
    let mut short = [MaybeUninit::<i8>::uninit(); SIGNED];
    let signed: *mut i8 = if block * len <= SIGNED {
        short.as_mut_ptr().cast()
    } else {
        long.resize(block * len, 0i8);
        long.as_mut_ptr()
    };
    let mut block_first = 0;
    while block_first < rows.count {
        let count = block.min(rows.count - block_first);
        let tiles = count.div_ceil(most);
        let (small, larger) = (count / tiles, count % tiles);
        let count_of = |tile: usize| small + usize::from(tile < larger);
        let mut first = 0;
        for tile in 0..tiles {
            let count = count_of(tile);
            for row in 0..count {
                // SAFETY: the row has `depth` bytes (`check`); the buffer has `len` for every row of the block.
                unsafe {
                    let from = rows.input.as_ptr().add((block_first + first + row) * rows.input_stride);
                    let to = signed.add(first * len + row * U::BYTES);
                    sign::<U>(std::slice::from_raw_parts(from, packed.depth), to, count * U::BYTES);
                }
            }
            first += count;
        }
        for panel in 0..packed.panels.len() {
            let mut first = 0;
            for (tiles, count) in [(larger, small + 1), (tiles - larger, small)] {
                if tiles > 0 {
                    // SAFETY: within the buffer, as above.
                    let input = unsafe { signed.add(first * len) };
                    run(&Tiles { panel, first: block_first + first, count, tiles, input, tile_len: count * len }, rows);
                }
                first += tiles * count;
            }
        }
        block_first += count;
    }
}

/// Signed bytes of one row, a unit every `step` bytes.
///
/// # Safety
/// `to` has room for all units.
#[inline(always)]
unsafe fn sign<U: Unit>(from: &[u8], to: *mut i8, step: usize) {
    let (whole, rest) = from.as_chunks::<16>();
    let mut to = to;
    // SAFETY: by the contract.
    unsafe {
        for bytes in whole {
            U::put(signed(vld1q_u8(bytes.as_ptr())), to, step);
            to = to.add(16 / U::INPUTS * step);
        }
        if !rest.is_empty() {
            // Weights behind the depth are zero, or not read.
            let mut last = [128u8; 16];
            last[..rest.len()].copy_from_slice(rest);
            U::put(signed(vld1q_u8(last.as_ptr())), to, step);
        }
    }
}

/// Excess-128 to signed.
#[inline(always)]
pub(super) fn signed(bytes: uint8x16_t) -> int8x16_t {
    // SAFETY: every aarch64 processor has NEON.
    unsafe { vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80))) }
}

/// The epilogue of `Constants::value` on `V` vectors of lanes, in natural order; its constants in registers.
#[derive(Clone, Copy)]
pub(super) struct Finish<const V: usize, const KIND: u8> {
    multiplier: [float32x4_t; V],
    bias: [float32x4_t; V],
    slopes: [float32x4_t; V],
    shift: [float32x4_t; V],
    order: SlopeOrder,
    residual: Option<Residual>,
}

impl<const V: usize, const KIND: u8> Finish<V, KIND> {
    /// The constants from `lane` on, with bias set `bias`; `KIND` is `kind` of them.
    ///
    /// # Safety
    /// There are `4 * V` lanes from `lane` on.
    #[inline(always)]
    pub(super) unsafe fn new(constants: &Constants, lane: usize, bias: usize) -> Self {
        // SAFETY: every lane has its constants, slopes and shifts where there are any.
        unsafe {
            let load = |values: &[f32]| {
                let mut vectors = [vdupq_n_f32(0.0); V];
                for v in 0..V {
                    vectors[v] = vld1q_f32(values.as_ptr().add(lane + 4 * v));
                }
                vectors
            };
            let none = [vdupq_n_f32(0.0); V];
            let leaks = KIND == LEAK || KIND == LEAK_SHIFT || (KIND == ANY && constants.order != SlopeOrder::None);
            let shifts = KIND == LEAK_SHIFT || (KIND == ANY && !constants.shift.is_empty());
            Finish {
                multiplier: load(&constants.multiplier),
                bias: load(&constants.bias[bias]),
                slopes: if leaks { load(&constants.slopes) } else { none },
                // A zero that leaves every value as it is, -0.0 too.
                shift: if shifts { load(&constants.shift) } else { [vdupq_n_f32(-0.0); V] },
                order: constants.order,
                residual: constants.residual,
            }
        }
    }

    /// The values of `R` rows of sums.
    ///
    /// # Safety
    /// `residual(r)` points to `4 * V` bytes if the constants ask for it.
    #[inline(always)]
    pub(super) unsafe fn values<const R: usize>(
        &self,
        sums: [[int32x4_t; V]; R],
        residual: impl Fn(usize) -> *const u8,
    ) -> [[float32x4_t; V]; R] {
        // SAFETY: by the contract.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            let mut values = [[zero; V]; R];
            for v in 0..V {
                for r in 0..R {
                    // Two roundings, not one: see `Epilogue`.
                    let mut x = vaddq_f32(vmulq_f32(vcvtq_f32_s32(sums[r][v]), self.multiplier[v]), self.bias[v]);
                    if KIND == LEAK || KIND == LEAK_SHIFT {
                        // As `leak`, but for the sign of a zero, and kinder to registers. One of the two terms is zero, so
                        // that the sum is not rounded, only the product, fused or not.
                        x = vfmaq_f32(vmaxq_f32(x, zero), vminq_f32(x, zero), self.slopes[v]);
                    }
                    if KIND == ANY && self.order == SlopeOrder::Before {
                        x = leak(x, self.slopes[v]);
                    }
                    if (KIND == RESIDUAL || KIND == ANY)
                        && let Some(scale) = self.residual
                    {
                        let distance = vsubq_s32(spread::<V>(residual(r), v), vdupq_n_s32(i32::from(scale.zero)));
                        x = vaddq_f32(x, vmulq_n_f32(vcvtq_f32_s32(distance), scale.multiplier));
                    }
                    if KIND == ANY && self.order == SlopeOrder::After {
                        x = leak(x, self.slopes[v]);
                    }
                    if KIND == LEAK_SHIFT || KIND == ANY {
                        x = vaddq_f32(x, self.shift[v]);
                    }
                    values[r][v] = x;
                }
            }
            values
        }
    }
}

/// What an epilogue does, so that kernels choose once and not for every tile: nothing but scale,
pub(super) const SCALE: u8 = 0;
/// the activation, nothing else,
pub(super) const LEAK: u8 = 1;
/// the activation and the shift,
pub(super) const LEAK_SHIFT: u8 = 2;
/// the residual, nothing else,
pub(super) const RESIDUAL: u8 = 3;
/// anything, or the output is float.
pub(super) const ANY: u8 = 4;

/// Which of these the constants ask for.
pub(super) fn kind(constants: &Constants) -> u8 {
    match (constants.order, constants.residual.is_some(), constants.shift.is_empty()) {
        _ if constants.range.is_none() => ANY,
        (SlopeOrder::None, false, true) => SCALE,
        (SlopeOrder::Before, false, true) => LEAK,
        (SlopeOrder::Before, false, false) => LEAK_SHIFT,
        (SlopeOrder::None, true, true) => RESIDUAL,
        _ => ANY,
    }
}

/// `x < 0 ? x * slope : x`.
#[inline(always)]
fn leak(x: float32x4_t, slopes: float32x4_t) -> float32x4_t {
    // SAFETY: every aarch64 processor has NEON.
    unsafe { vbslq_f32(vcltzq_f32(x), vmulq_f32(x, slopes), x) }
}

/// Vector `v` of `4 * V` bytes as 32-bit integers.
#[inline(always)]
unsafe fn spread<const V: usize>(bytes: *const u8, v: usize) -> int32x4_t {
    // SAFETY: the caller has `4 * V` bytes there.
    unsafe {
        let words = if V == 1 {
            vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(bytes.cast::<u32>().read_unaligned())))
        } else {
            vmovl_u8(vld1_u8(bytes.add(v / 2 * 8)))
        };
        let quad = if v % 2 == 0 { vmovl_u16(vget_low_u16(words)) } else { vmovl_high_u16(words) };
        vreinterpretq_s32_u32(quad)
    }
}

/// Rounds and clamps rows of values; stored bytes. |v| < 2^31.
#[inline(always)]
pub(super) fn pack<const R: usize>(values: [[float32x4_t; 4]; R], range: Option<(u8, u8)>) -> [uint8x16_t; R] {
    let (low, high) = range.unwrap_or((0, 255));
    // SAFETY: every aarch64 processor has NEON.
    unsafe {
        let mut rows = [vdupq_n_u8(0); R];
        for r in 0..R {
            let whole = |v: usize| vcvtnq_s32_f32(values[r][v]);
            let (a, b) =
                (vqmovn_high_s32(vqmovn_s32(whole(0)), whole(1)), vqmovn_high_s32(vqmovn_s32(whole(2)), whole(3)));
            rows[r] = veorq_u8(vreinterpretq_u8_s8(vqmovn_high_s16(vqmovn_s16(a), b)), vdupq_n_u8(0x80));
        }
        if (low, high) != (0, 255) {
            let (low, high) = (vdupq_n_u8(low), vdupq_n_u8(high));
            for r in 0..R {
                rows[r] = vminq_u8(vmaxq_u8(rows[r], low), high);
            }
        }
        rows
    }
}

/// Where the chunks of eight channels of a depthwise row come from and go to.
pub(super) struct Places {
    pub input: *const u8,
    residual: *const u8,
    bytes: *mut u8,
    floats: *mut f32,
    /// From the first row's value to the second row's; 0 where no second row is wanted.
    second: usize,
}

impl Places {
    pub(super) fn of(row: &mut DepthwiseRow<'_>) -> Places {
        let second = if row.output.len() > row.len { row.len } else { 0 };
        let (bytes, floats) = match &mut row.output {
            Output::Int8(bytes) => (bytes.as_mut_ptr(), std::ptr::null_mut()),
            Output::Float(floats) => (std::ptr::null_mut(), floats.as_mut_ptr()),
        };
        let residual = row.residual.map_or(std::ptr::null(), <[u8]>::as_ptr);
        Places { input: row.input.as_ptr(), residual, bytes, floats, second }
    }

    /// Finishes the chunk at `at` of one or two rows. A second row that is not wanted is overwritten by the first.
    ///
    /// # Safety
    /// The chunk lies within the output's rows, and within the residual where there is one; `KIND` is `kind` of the constants,
    /// and `range` theirs.
    #[inline(always)]
    pub(super) unsafe fn store<const R: usize, const KIND: u8>(
        &self,
        finish: &Finish<2, KIND>,
        sums: [[int32x4_t; 2]; R],
        range: Option<(u8, u8)>,
        at: usize,
    ) {
        let place = |r: usize| at + if r == 0 { 0 } else { self.second };
        // SAFETY: by the contract; float output is of kind `ANY` and has no range.
        unsafe {
            let values = finish.values(sums, |r| self.residual.wrapping_add(place(r)));
            if KIND == ANY && range.is_none() {
                for r in (0..R).rev() {
                    vst1q_f32(self.floats.add(place(r)), values[r][0]);
                    vst1q_f32(self.floats.add(place(r) + 4), values[r][1]);
                }
            } else {
                let last = values[R - 1];
                let [packed] = pack([[values[0][0], values[0][1], last[0], last[1]]], range);
                if R == 2 {
                    vst1_u8(self.bytes.add(place(1)), vget_high_u8(packed));
                }
                vst1_u8(self.bytes.add(at), vget_low_u8(packed));
            }
        }
    }
}
