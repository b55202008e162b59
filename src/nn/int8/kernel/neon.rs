//! aarch64 without dot product (Cortex-A53, A57, A72): pairs of products are added in 16 bits.
//!
//! An input pair, repeated for four channels, meets the weights of four channels: `smull` multiplies 8 signed bytes by 8, and
//! `smlal2` adds the products of the next pair, so that each of 8 sums holds two products, at most 2 * 128 * 127 = 32,512 for
//! weights of -127 to 127, which fits 16 bits; `sadalp` adds neighbours up in 32 bits, one sum a channel. Where the four
//! weights that meet in a 16-bit sum have magnitudes of 255 at most together (128 * 255 = 32,640), a second pair of
//! multiplications goes on in 16 bits and saves a `sadalp`; most weights are small. The depthwise kernel widens its inputs to
//! 16 bits and multiplies to 32.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over counters unroll, those over arrays of vectors go through memory"
)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::packed::{Layout, PackedDense, PackedDepthwise};
use super::qreg::{ANY, Finish, LEAK, LEAK_SHIFT, Places, RESIDUAL, SCALE, Tiles, Unit, kind, pack, tiles};
use super::{DenseRows, DepthwiseRow, Kernel, Output};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct Neon;

/// Output channels of a panel: four vectors of sums.
const LANES: usize = 16;
/// Rows of a full tile: 16 sums, 8 vectors of inputs, 2 of weights and 2 of products fit the 32 registers.
const ROWS: usize = 4;
/// Bytes of a panel's weights for eight inputs.
const GROUP: usize = 8 * LANES;
/// Bytes the depthwise kernel takes at once.
const CHUNK: usize = 8;

/// Eight inputs of a row, every pair four times, once for each lane.
struct Pairs;

impl Unit for Pairs {
    const INPUTS: usize = 8;
    const BYTES: usize = 32;

    #[inline(always)]
    unsafe fn put(inputs: int8x16_t, to: *mut i8, step: usize) {
        const PLACES: [u8; 16] = [0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3];
        // SAFETY: by the contract.
        unsafe {
            let places = vld1q_u8(PLACES.as_ptr());
            for quad in 0..4 {
                let pairs = vqtbl1q_s8(inputs, vaddq_u8(places, vdupq_n_u8(4 * quad)));
                vst1q_s8(to.add(usize::from(quad / 2) * step + usize::from(quad % 2) * 16), pairs);
            }
        }
    }
}

static LAYOUT: Layout = Layout {
    panels: &[LANES],
    step: 2,
    weight_bytes: 1,
    excess: 128,
    order: |_, lane| lane,
    chunk: CHUNK,
    taps: 1,
    tap_bytes: 1,
    chunk_order: |lane| lane,
    // One vector of sums after the other, four steps each: two vectors of weights.
    place: |_, step, lane| ((step / 4 * 4 + lane / 4) * 4 + step % 4) * 4 + lane % 4,
    by_need: false,
    symmetric: true,
};

impl Kernel for Neon {
    fn isa(&self) -> Isa {
        Isa::Neon
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn dense(&self, packed: &PackedDense, mut rows: DenseRows<'_>) {
        rows.check(packed);
        assert_eq!(packed.small.len(), packed.panels.len() * groups(packed), "every group is known to be small or not");
        assert_eq!(packed.order.len(), packed.small.len(), "every group has its turn");
        // SAFETY: `check` holds.
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
            match kind(&packed.constants) {
                SCALE => chunks::<SCALE>(packed, &mut row),
                LEAK => chunks::<LEAK>(packed, &mut row),
                LEAK_SHIFT => chunks::<LEAK_SHIFT>(packed, &mut row),
                RESIDUAL => chunks::<RESIDUAL>(packed, &mut row),
                _ => chunks::<ANY>(packed, &mut row),
            }
        }
    }
}

/// # Safety
/// `DenseRows::check` holds; `KIND` is `kind` of the constants; `packed.order` has every group of every panel.
#[inline(always)]
unsafe fn dense<const KIND: u8>(packed: &PackedDense, rows: &mut DenseRows<'_>) {
    // SAFETY: `check` holds for each of the rows, and `tiles` lays their inputs down as `tile` reads them.
    unsafe {
        tiles::<Pairs>(packed, rows, ROWS, |cut, rows| match cut.count {
            4 => tile::<2, 4, KIND>(packed, cut, rows),
            3 => tile::<2, 3, KIND>(packed, cut, rows),
            2 => tile::<1, 2, KIND>(packed, cut, rows),
            _ => tile::<1, 1, KIND>(packed, cut, rows),
        });
    }
}

/// Groups of eight inputs.
fn groups(packed: &PackedDense) -> usize {
    packed.depth.div_ceil(8)
}

/// Adds to two rows' sums the products of eight inputs (see `Pairs`) and four lanes' weights, pairs of products in 16 bits.
///
/// By assembly, since the compiler would take the vectors' upper halves out first, and by two to hide latencies.
#[inline(always)]
fn add_pairs(sums: [int32x4_t; 2], x: [[int8x16_t; 2]; 2], w: [int8x16_t; 2]) -> [int32x4_t; 2] {
    let [mut a, mut b] = sums;
    // SAFETY: register to register; every aarch64 processor has NEON.
    unsafe {
        asm!(
            "smull {s:v}.8h, {a0:v}.8b, {w0:v}.8b",
            "smull {t:v}.8h, {b0:v}.8b, {w0:v}.8b",
            "smlal2 {s:v}.8h, {a0:v}.16b, {w0:v}.16b",
            "smlal2 {t:v}.8h, {b0:v}.16b, {w0:v}.16b",
            "sadalp {a:v}.4s, {s:v}.8h",
            "sadalp {b:v}.4s, {t:v}.8h",
            "smull {s:v}.8h, {a1:v}.8b, {w1:v}.8b",
            "smull {t:v}.8h, {b1:v}.8b, {w1:v}.8b",
            "smlal2 {s:v}.8h, {a1:v}.16b, {w1:v}.16b",
            "smlal2 {t:v}.8h, {b1:v}.16b, {w1:v}.16b",
            "sadalp {a:v}.4s, {s:v}.8h",
            "sadalp {b:v}.4s, {t:v}.8h",
            a = inout(vreg) a, b = inout(vreg) b, s = out(vreg) _, t = out(vreg) _,
            a0 = in(vreg) x[0][0], a1 = in(vreg) x[0][1], b0 = in(vreg) x[1][0], b1 = in(vreg) x[1][1],
            w0 = in(vreg) w[0], w1 = in(vreg) w[1],
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    [a, b]
}

/// As `add_pairs`, for weights so small that four products fit 16 bits.
#[inline(always)]
fn add_fours(sums: [int32x4_t; 2], x: [[int8x16_t; 2]; 2], w: [int8x16_t; 2]) -> [int32x4_t; 2] {
    let [mut a, mut b] = sums;
    // SAFETY: as above.
    unsafe {
        asm!(
            "smull {s:v}.8h, {a0:v}.8b, {w0:v}.8b",
            "smull {t:v}.8h, {b0:v}.8b, {w0:v}.8b",
            "smlal2 {s:v}.8h, {a0:v}.16b, {w0:v}.16b",
            "smlal2 {t:v}.8h, {b0:v}.16b, {w0:v}.16b",
            "smlal {s:v}.8h, {a1:v}.8b, {w1:v}.8b",
            "smlal {t:v}.8h, {b1:v}.8b, {w1:v}.8b",
            "smlal2 {s:v}.8h, {a1:v}.16b, {w1:v}.16b",
            "smlal2 {t:v}.8h, {b1:v}.16b, {w1:v}.16b",
            "sadalp {a:v}.4s, {s:v}.8h",
            "sadalp {b:v}.4s, {t:v}.8h",
            a = inout(vreg) a, b = inout(vreg) b, s = out(vreg) _, t = out(vreg) _,
            a0 = in(vreg) x[0][0], a1 = in(vreg) x[0][1], b0 = in(vreg) x[1][0], b1 = in(vreg) x[1][1],
            w0 = in(vreg) w[0], w1 = in(vreg) w[1],
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    [a, b]
}

/// One group of a tile of `COUNT` rows: `add` for every two rows and every vector of sums. Where the last row has no second, it
/// is its own, and the result is not read.
///
/// # Safety
/// There is a unit for every row from `input` on, and a group of weights from `weights` on; `COUNT` is `2 * R` or one less.
#[inline(always)]
unsafe fn step<const R: usize, const COUNT: usize>(
    mut sums: [[[int32x4_t; 2]; 4]; R],
    input: *const i8,
    weights: *const i8,
    add: impl Fn([int32x4_t; 2], [[int8x16_t; 2]; 2], [int8x16_t; 2]) -> [int32x4_t; 2],
) -> [[[int32x4_t; 2]; 4]; R] {
    // SAFETY: by the contract.
    unsafe {
        let mut x = [[[vdupq_n_s8(0); 2]; 2]; R];
        for r in 0..R {
            let first = input.add(Pairs::BYTES * 2 * r);
            let second = input.add(Pairs::BYTES * (2 * r + 1).min(COUNT - 1));
            x[r] = [[vld1q_s8(first), vld1q_s8(first.add(16))], [vld1q_s8(second), vld1q_s8(second.add(16))]];
        }
        for p in 0..4 {
            let weights = weights.add(32 * p);
            let w = [vld1q_s8(weights), vld1q_s8(weights.add(16))];
            for r in 0..R {
                sums[r][p] = add(sums[r][p], x[r], w);
            }
        }
    }
    sums
}

/// Tiles of `COUNT` rows, which is `2 * R` or one less, times one panel.
///
/// # Safety
/// `DenseRows::check` holds; `cut` is by `tiles`, in units of `Pairs`, with so many rows; `KIND` is `kind` of the constants;
/// `packed.order` has every group of every panel.
#[inline(never)]
unsafe fn tile<const R: usize, const COUNT: usize, const KIND: u8>(
    packed: &PackedDense,
    cut: &Tiles,
    rows: &mut DenseRows<'_>,
) {
    let constants = &packed.constants;
    let panel = &packed.panels[cut.panel];
    let lane = panel.first;
    let second = |r: usize| (2 * r + 1).min(COUNT - 1);
    let groups = groups(packed);
    let (small, others) = packed.order[cut.panel * groups..][..groups].split_at(panel.narrow);
    // SAFETY: a panel holds `groups` groups of weights from its offset on, and `order` has their numbers; the inputs are whole
    // units; constants have a value for every lane.
    unsafe {
        let start: [_; 4] = std::array::from_fn(|p| vld1q_s32(constants.start.as_ptr().add(lane + 4 * p)));
        let finish = Finish::<4, KIND>::new(constants, lane, rows.bias);
        let (range, stride) = (constants.range, rows.output_stride);
        let residual = rows.residual.map_or(std::ptr::null(), <[u8]>::as_ptr);
        let (bytes, floats) = match &mut rows.output {
            Output::Int8(bytes) => (bytes.as_mut_ptr(), std::ptr::null_mut()),
            Output::Float(floats) => (std::ptr::null_mut(), floats.as_mut_ptr()),
        };
        let weights = packed.weights.as_ptr().add(panel.offset);
        for number in 0..cut.tiles {
            let input = cut.input.add(number * cut.tile_len);
            let mut sums = [start.map(|start| [start; 2]); R];
            // Two loops, not one with a choice in it, which would cost moves from register to register.
            for &group in small {
                let group = group as usize;
                sums = step::<R, COUNT>(
                    sums,
                    input.add(Pairs::BYTES * COUNT * group),
                    weights.add(GROUP * group),
                    add_fours,
                );
            }
            for &group in others {
                let group = group as usize;
                sums = step::<R, COUNT>(
                    sums,
                    input.add(Pairs::BYTES * COUNT * group),
                    weights.add(GROUP * group),
                    add_pairs,
                );
            }

            let place = (cut.first + number * COUNT) * stride + lane;
            // Not a loop, so that no sum goes through memory.
            store_pair(&finish, sums[0], residual, (bytes, floats), range, [place, place + second(0) * stride]);
            if R == 2 {
                let places = [place + 2 * stride, place + second(1) * stride];
                store_pair(&finish, sums[R - 1], residual, (bytes, floats), range, places);
            }
        }
    }
}

/// Finishes two rows of a tile, and stores them from `places` on; the first last, since both may be one.
///
/// # Safety
/// There are `LANES` values from each of the places on, in the residual too if the constants ask for it; `KIND` is `kind` of
/// the constants, `range` theirs; without one the output is the second pointer, else the first.
#[inline(always)]
unsafe fn store_pair<const KIND: u8>(
    finish: &Finish<4, KIND>,
    sums: [[int32x4_t; 2]; 4],
    residual: *const u8,
    (bytes, floats): (*mut u8, *mut f32),
    range: Option<(u8, u8)>,
    places: [usize; 2],
) {
    let [a, b, c, d] = sums;
    // SAFETY: by the contract.
    unsafe {
        let values =
            finish.values([[a[0], b[0], c[0], d[0]], [a[1], b[1], c[1], d[1]]], |r| residual.wrapping_add(places[r]));
        if KIND == ANY && range.is_none() {
            for r in [1, 0] {
                for v in 0..4 {
                    vst1q_f32(floats.add(places[r] + 4 * v), values[r][v]);
                }
            }
        } else {
            let packed = pack(values, range);
            vst1q_u8(bytes.add(places[1]), packed[1]);
            vst1q_u8(bytes.add(places[0]), packed[0]);
        }
    }
}

/// # Safety
/// `DepthwiseRow::check` holds; `KIND` is `kind` of the constants.
#[inline(never)]
unsafe fn chunks<const KIND: u8>(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>) {
    let pixel = packed.patterns * CHUNK;
    assert!(row.len.is_multiple_of(pixel), "pixels are whole chunks");
    let pixels = row.output.len() / pixel;
    // SAFETY: handed on; output without pixels needs none.
    unsafe {
        match (row.rows, row.columns) {
            (&[_, _, _], &[a, b, c]) if b == a + pixel && c == b + pixel => three::<KIND, true>(packed, row, pixels),
            (&[_, _, _], &[_, _, _]) => three::<KIND, false>(packed, row, pixels),
            _ => any::<KIND>(packed, row, pixels),
        }
    }
}

/// Excess-128 bytes to signed 16-bit values.
///
/// # Safety
/// There is a chunk there.
#[inline(always)]
unsafe fn widen(from: *const u8) -> int16x8_t {
    // SAFETY: by the contract.
    unsafe { vreinterpretq_s16_u16(vsubl_u8(vld1_u8(from), vdup_n_u8(128))) }
}

/// Adds the products of a chunk. By assembly, since the compiler would take the upper halves out first.
#[inline(always)]
fn add(sums: &mut [int32x4_t; 2], x: int16x8_t, w: int16x8_t) {
    let [mut low, mut high] = *sums;
    // SAFETY: register to register; every aarch64 processor has NEON.
    unsafe {
        asm!(
            "smlal {low:v}.4s, {x:v}.4h, {w:v}.4h",
            "smlal2 {high:v}.4s, {x:v}.8h, {w:v}.8h",
            low = inout(vreg) low, high = inout(vreg) high, x = in(vreg) x, w = in(vreg) w,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    *sums = [low, high];
}

/// Kernels of 3 by 3, their weights in registers. If `ROLLING`, columns of the kernel are neighbouring pixels: what one output
/// pixel reads, the next two read again.
///
/// # Safety
/// As for `chunks`; there are 3 rows and 3 columns; `pixels` is the output's.
#[inline(always)]
unsafe fn three<const KIND: u8, const ROLLING: bool>(
    packed: &PackedDepthwise,
    row: &mut DepthwiseRow<'_>,
    pixels: usize,
) {
    let pixel = packed.patterns * CHUNK;
    let range = packed.constants.range;
    let places = Places::of(row);
    let (&[a, b, c], &[x, y, z]) = (row.columns, row.rows) else { return };
    // Within the input, or one past it, as `check` says.
    let inputs = [a, b, c].map(|column| [x, y, z].map(|row| places.input.wrapping_add(column + row)));
    for pattern in 0..packed.patterns {
        let lane = pattern * CHUNK;
        // SAFETY: every pattern has 9 vectors of weights and constants for its lanes; each input row and column has whole
        // chunks up to behind the last pixel (`check`), which are those of the output and the residual.
        unsafe {
            let finish = Finish::<2, KIND>::new(&packed.constants, lane, 0);
            let start = packed.constants.start.as_ptr().add(lane);
            let start = [vld1q_s32(start), vld1q_s32(start.add(4))];
            let weights = packed.weights.as_ptr().add(lane * 9);
            let mut w = [[vdupq_n_s16(0); 3]; 3];
            for column in 0..3 {
                for r in 0..3 {
                    w[column][r] = vmovl_s8(vld1_s8(weights.add((column * 3 + r) * CHUNK)));
                }
            }
            let column = |column: usize, at: usize| inputs[column].map(|input| widen(input.add(at)));
            let sums = |x: [&[int16x8_t; 3]; 3]| {
                let mut sums = start;
                for (x, w) in x.into_iter().zip(&w) {
                    add(&mut sums, x[0], w[0]);
                    add(&mut sums, x[1], w[1]);
                    add(&mut sums, x[2], w[2]);
                }
                sums
            };
            let mut at = lane;
            let end = pixels * pixel;
            if ROLLING && pixels >= 3 {
                let (mut a, mut b) = (column(0, at), column(1, at));
                while at + 2 * pixel < end {
                    let c = column(2, at);
                    places.store(&finish, [sums([&a, &b, &c])], range, at);
                    a = column(2, at + pixel);
                    places.store(&finish, [sums([&b, &c, &a])], range, at + pixel);
                    b = column(2, at + 2 * pixel);
                    places.store(&finish, [sums([&c, &a, &b])], range, at + 2 * pixel);
                    at += 3 * pixel;
                }
            }
            while at < end {
                places.store(&finish, [sums([&column(0, at), &column(1, at), &column(2, at)])], range, at);
                at += pixel;
            }
        }
    }
}

/// Kernels of any size.
///
/// # Safety
/// As for `chunks`; `pixels` is the output's.
#[inline(always)]
unsafe fn any<const KIND: u8>(packed: &PackedDepthwise, row: &mut DepthwiseRow<'_>, pixels: usize) {
    let pixel = packed.patterns * CHUNK;
    let taps = row.rows.len() * row.columns.len();
    let range = packed.constants.range;
    let places = Places::of(row);
    for pattern in 0..packed.patterns {
        let lane = pattern * CHUNK;
        // SAFETY: as for `three`, with `taps` vectors of weights.
        unsafe {
            let finish = Finish::<2, KIND>::new(&packed.constants, lane, 0);
            let start = packed.constants.start.as_ptr().add(lane);
            for at in (lane..pixels * pixel).step_by(pixel) {
                let mut weights = packed.weights.as_ptr().add(lane * taps);
                let mut sums = [vld1q_s32(start), vld1q_s32(start.add(4))];
                for column in row.columns {
                    for first in row.rows {
                        add(&mut sums, widen(places.input.add(first + column + at)), vmovl_s8(vld1_s8(weights)));
                        weights = weights.add(CHUNK);
                    }
                }
                places.store(&finish, [sums], range, at);
            }
        }
    }
}
