//! What the families on 128-bit registers (aarch64) share: rows made signed and cut into tiles, and the epilogue.
//!
//! Stored bytes are excess-128, the multiplications want signed bytes: the highest bit is turned over. Every panel of a matrix
//! reads the same rows, so that is done once for some rows, and they are laid down in the order in which a tile reads them.

use std::arch::aarch64::*;
use std::mem::MaybeUninit;

use super::super::packed::{Constants, PackedDense, Panel, SlopeOrder};
use super::DenseRows;

/// Bytes of signed rows at a time: what the first-level cache holds beside the weights.
const SIGNED: usize = 12 << 10;
/// Full tiles that are laid down at a time, at most.
const TILES: usize = 12;

/// Some rows times one panel.
pub(super) struct Tile<'a> {
    /// The panel, and its number.
    pub panel: &'a Panel,
    pub number: usize,
    /// The first row and how many.
    pub first: usize,
    pub count: usize,
    /// The rows' signed bytes: the first `unit` of every row, the second `unit` of every row, and so on; whole units.
    pub input: *const i8,
}

/// Cuts the rows into tiles of `most` rows or, as evenly as can be, fewer, and hands each with each panel to `run`.
///
/// # Safety
/// `DenseRows::check` holds. `unit` is a multiple of 16.
#[inline(always)]
pub(super) unsafe fn tiles(
    packed: &PackedDense,
    rows: &mut DenseRows<'_>,
    most: usize,
    unit: usize,
    run: impl Fn(&Tile<'_>, &mut DenseRows<'_>),
) {
    let len = packed.depth.next_multiple_of(unit);
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
            for row in 0..count_of(tile) {
                // SAFETY: the row has `depth` bytes (`check`); the buffer has `len` for every row of the block.
                unsafe {
                    let from = rows.input.as_ptr().add((block_first + first + row) * rows.input_stride);
                    let to = signed.add(first * len + row * unit);
                    sign(std::slice::from_raw_parts(from, packed.depth), to, unit, count_of(tile) * unit);
                }
            }
            first += count_of(tile);
        }
        for (number, panel) in packed.panels.iter().enumerate() {
            let mut first = 0;
            for tile in 0..tiles {
                let count = count_of(tile);
                // SAFETY: within the buffer, as above.
                let input = unsafe { signed.add(first * len) };
                run(&Tile { panel, number, first: block_first + first, count, input }, rows);
                first += count;
            }
        }
        block_first += count;
    }
}

/// Signed bytes of one row, `unit` of them every `step` bytes; the last unit is filled up.
///
/// # Safety
/// `to` has room for all units; `unit` is a multiple of 16.
#[inline(always)]
unsafe fn sign(from: &[u8], to: *mut i8, unit: usize, step: usize) {
    let (whole, rest) = from.as_chunks::<16>();
    // SAFETY: by the contract.
    unsafe {
        let mut to = to;
        for units in whole.chunks(unit / 16) {
            for (i, bytes) in units.iter().enumerate() {
                vst1q_s8(to.add(16 * i), signed(vld1q_u8(bytes.as_ptr())));
            }
            if units.len() * 16 == unit {
                to = to.add(step);
            }
        }
        if !from.len().is_multiple_of(unit) {
            // Weights behind the depth are zero, or not read.
            let mut last = [[128u8; 16]; 4];
            last.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
            let from = whole.len() * 16 % unit;
            for (i, bytes) in last.iter().enumerate().take((unit - from) / 16) {
                vst1q_s8(to.add(from + 16 * i), signed(vld1q_u8(bytes.as_ptr())));
            }
        }
    }
}

/// Excess-128 to signed.
#[inline(always)]
pub(super) fn signed(bytes: uint8x16_t) -> int8x16_t {
    // SAFETY: every aarch64 processor has NEON.
    unsafe { vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(0x80))) }
}

/// The epilogue of `Constants::value` on whole vectors, in natural order.
pub(super) struct Finish<'a> {
    pub constants: &'a Constants,
    /// The first lane.
    pub lane: usize,
    /// Its bias.
    pub bias: *const f32,
}

impl Finish<'_> {
    /// The values of `R` rows of sums. The choices are made once for all of them.
    ///
    /// # Safety
    /// The constants have `4 * V` lanes from `self.lane` and `self.bias` on; `residual(r)` points to as many bytes if the
    /// constants ask for it.
    #[inline(always)]
    pub(super) unsafe fn values<const R: usize, const V: usize>(
        &self,
        sums: [[int32x4_t; V]; R],
        residual: impl Fn(usize) -> *const u8,
    ) -> [[float32x4_t; V]; R] {
        let c = self.constants;
        // SAFETY: by the contract.
        unsafe {
            let mut values = sums.map(|row| row.map(|sum| vcvtq_f32_s32(sum)));
            for v in 0..V {
                let multiplier = vld1q_f32(c.multiplier.as_ptr().add(self.lane + 4 * v));
                let bias = vld1q_f32(self.bias.add(4 * v));
                for values in &mut values {
                    // Two roundings, not one: see `Epilogue`.
                    values[v] = vaddq_f32(vmulq_f32(values[v], multiplier), bias);
                }
            }
            if c.order == SlopeOrder::Before {
                self.leak(&mut values);
            }
            if let Some(scale) = c.residual {
                let (zero, scale) = (vdup_n_u8(scale.zero), vdupq_n_f32(scale.multiplier));
                for (r, values) in values.iter_mut().enumerate() {
                    add_residual(values, residual(r), zero, scale);
                }
            }
            if c.order == SlopeOrder::After {
                self.leak(&mut values);
            }
            if !c.shift.is_empty() {
                for v in 0..V {
                    let shift = vld1q_f32(c.shift.as_ptr().add(self.lane + 4 * v));
                    for values in &mut values {
                        values[v] = vaddq_f32(values[v], shift);
                    }
                }
            }
            values
        }
    }

    /// `x < 0 ? x * slope : x`.
    #[inline(always)]
    unsafe fn leak<const R: usize, const V: usize>(&self, values: &mut [[float32x4_t; V]; R]) {
        let c = self.constants;
        // SAFETY: by the caller's contract.
        unsafe {
            if c.gentle {
                // The same with two instructions less: by slopes up to 1, products are below x above zero, and above it below.
                for v in 0..V {
                    let slopes = vld1q_f32(c.slopes.as_ptr().add(self.lane + 4 * v));
                    for values in values.iter_mut() {
                        values[v] = vmaxq_f32(values[v], vmulq_f32(values[v], slopes));
                    }
                }
                return;
            }
            for v in 0..V {
                let slopes = vld1q_f32(c.slopes.as_ptr().add(self.lane + 4 * v));
                for values in values.iter_mut() {
                    let negative = vcltzq_f32(values[v]);
                    values[v] = vbslq_f32(negative, vmulq_f32(values[v], slopes), values[v]);
                }
            }
        }
    }
}

/// `x + (residual - zero) * scale` for `4 * V` values.
#[inline(always)]
unsafe fn add_residual<const V: usize>(values: &mut [float32x4_t; V], residual: *const u8, zero: uint8x8_t, scale: float32x4_t) {
    // SAFETY: the caller has `4 * V` bytes there.
    unsafe {
        for v in 0..V {
            let words = if V == 1 {
                vsubl_u8(vreinterpret_u8_u32(vdup_n_u32(residual.cast::<u32>().read_unaligned())), zero)
            } else {
                vsubl_u8(vld1_u8(residual.add(v / 2 * 8)), zero)
            };
            let words = vreinterpretq_s16_u16(words);
            let distance = if v % 2 == 0 { vmovl_s16(vget_low_s16(words)) } else { vmovl_high_s16(words) };
            values[v] = vaddq_f32(values[v], vmulq_f32(vcvtq_f32_s32(distance), scale));
        }
    }
}

/// Rounds and clamps four vectors of values; stored bytes. |v| < 2^31.
#[inline(always)]
pub(super) fn pack(values: [float32x4_t; 4], range: Option<(u8, u8)>) -> uint8x16_t {
    // SAFETY: every aarch64 processor has NEON.
    unsafe {
        let whole = values.map(|v| vcvtnq_s32_f32(v));
        let (a, b) = (vqmovn_high_s32(vqmovn_s32(whole[0]), whole[1]), vqmovn_high_s32(vqmovn_s32(whole[2]), whole[3]));
        let bytes = veorq_u8(vreinterpretq_u8_s8(vqmovn_high_s16(vqmovn_s16(a), b)), vdupq_n_u8(0x80));
        match range {
            None | Some((0, 255)) => bytes,
            Some((low, high)) => vminq_u8(vmaxq_u8(bytes, vdupq_n_u8(low)), vdupq_n_u8(high)),
        }
    }
}
