//! 32-bit ARM with NEON (Cortex-A7, A53 under a 32-bit system): pairs of products are added in 16 bits.
//!
//! As in the family `neon` an input pair, repeated for four channels, meets the weights of four channels: `vmull.s8` multiplies
//! 8 signed bytes by 8, `vmlal.s8` adds the products of the next pair, at most 2 * 128 * 127 = 32,512 for weights of -127 to
//! 127, which fits 16 bits, and `vpadal.s16` adds neighbours up in 32 bits, one sum a channel. Where the four weights that meet
//! in a 16-bit sum have magnitudes of 255 at most together (128 * 255 = 32,640), two more multiplications go on in 16 bits and
//! save a `vpadal.s16`. The depthwise kernel adds the products of two taps in 16 bits, and those in 32.
//!
//! Rust has NEON for 32-bit ARM neither as intrinsics nor as a feature that stable compilers know, so whole loops are assembly:
//! `neon32.s`.
//!
//! # Rounding
//! 1.5 * 2^23 is added to a value: the sum's last bit is worth 1, so that it is rounded half to even, and the bits of
//! sums that are not negative are in the same order as the sums. Bits less the constant's, in saturating arithmetic, are therefore
//! the integer wherever that fits a byte, and too large or too small where it does not, also for negative sums.
//!
//! # Flushed numbers
//! 32-bit NEON takes denormal numbers for zero and makes zero of results that would be denormal. No stored byte depends on
//! them as long as slopes stay below [`STEEPEST`]: the product and its sum with the bias are then off by less than 2^-93, and
//! not at all where the bias is 2^-68 or more in magnitude and absorbs the difference. What the slope makes of it is off by
//! less than 2^-72, of a value that is itself below 2^-47. The residual or the shift either absorbs that, being 2^-46 or
//! more, or leaves a value that is rounded to zero either way. Steeper convolutions run on the portable kernels; float output, where
//! every bit counts, is made from the sums by the portable code.

use std::mem::{MaybeUninit, offset_of};

use super::super::aligned::Aligned;
use super::super::conv::Conv;
use super::super::epilogue::Activation;
use super::super::packed::{Constants, Layout, PackedDense, PackedDepthwise, SlopeOrder};
use super::{DenseRows, DepthwiseRow, Kernel, Output, portable};
use crate::nn::Isa;

/// See the module.
#[derive(Debug)]
pub struct Neon32;

/// Output channels of a panel, and channels the depthwise kernel takes at once.
const LANES: usize = 16;
/// Rows of a tile.
const ROWS: usize = 2;
/// Inputs whose weights lie together.
const GROUP: usize = 8;
/// Bytes of a tile's signed rows for a group: every pair four times.
const LAID: usize = ROWS * 4 * GROUP;
/// Bytes of signed rows at a time: what the first-level cache holds beside the weights.
const SIGNED: usize = 16 << 10;
/// The largest magnitude of a slope; see the module.
const STEEPEST: f32 = 1_048_576.0; // 2^20

static LAYOUT: Layout = Layout {
    panels: &[LANES],
    step: 2,
    weight_bytes: 1,
    excess: 128,
    order: |_, lane| lane,
    chunk: LANES,
    taps: 1,
    tap_bytes: 1,
    chunk_order: |lane| lane,
    // One vector of sums after the other, four steps each: two vectors of weights.
    place: |_, step, lane| ((step / 4 * 4 + lane / 4) * 4 + step % 4) * 4 + lane % 4,
    by_need: false,
    symmetric: true,
};

std::arch::global_asm!(include_str!("neon32.s"), options(raw));

unsafe extern "C" {
    /// Multiplies tiles of two rows with a panel.
    ///
    /// # Safety
    /// The processor has NEON, and every pointer of `Tiles` is good for what its field says.
    fn doorward_neon32_dense(tiles: &Tiles);

    /// Computes 16 channels of a depthwise row, two pixels at a time.
    ///
    /// # Safety
    /// As above.
    fn doorward_neon32_depthwise(tiles: &Tiles);

    /// Lays down 16 inputs of a row for the dense kernel, `times` times: from each 16 bytes twice 32, 64 bytes apart.
    ///
    /// # Safety
    /// The processor has NEON; there are `16 * times` bytes at `from`, and `128 * times - 32` at `to`, on a 32-byte boundary;
    /// `times` is not zero.
    fn doorward_neon32_lay(from: *const u8, to: *mut u8, times: usize);
}

/// What the assembly is given: tiles of two rows by 16 lanes that follow one another.
#[repr(C)]
struct Tiles {
    /// Dense: a panel, on a 32-byte boundary. Depthwise: 16 bytes a tap, on a 16-byte boundary.
    weights: *const i8,
    /// Dense: a [`Sums`] for every group, then [`Sums::End`]. Depthwise: the offset of every tap, a `usize`.
    order: *const u8,
    /// Dense: the laid down rows, tile after tile, on a 32-byte boundary. Depthwise: the first pixel's channels.
    input: *const u8,
    /// The first row's lanes, bytes; or the sums of all rows.
    output: *mut u8,
    /// The same of the residual, if it is to be added.
    residual: *const u8,
    /// Bytes from row to row, or pixel to pixel.
    step: usize,
    /// How many tiles, not zero; one if only the sums are wanted.
    count: usize,
    /// Depthwise: how many taps.
    taps: usize,
    /// What the sums of 16 lanes start with, and the constants of these lanes.
    start: *const i32,
    multiplier: *const f32,
    bias: *const f32,
    slopes: *const f32,
    shift: *const f32,
    /// What is to be done with the sums.
    stages: u32,
    /// 1.5 * 2^23, and its bits less 128.
    round: f32,
    excess: u32,
    residual_multiplier: f32,
    residual_zero: u8,
    low: u8,
    high: u8,
}

// The offsets in neon32.s.
const _: () = assert!(
    offset_of!(Tiles, weights) == 0
        && offset_of!(Tiles, order) == 4
        && offset_of!(Tiles, input) == 8
        && offset_of!(Tiles, output) == 12
        && offset_of!(Tiles, residual) == 16
        && offset_of!(Tiles, step) == 20
        && offset_of!(Tiles, count) == 24
        && offset_of!(Tiles, taps) == 28
        && offset_of!(Tiles, start) == 32
        && offset_of!(Tiles, multiplier) == 36
        && offset_of!(Tiles, bias) == 40
        && offset_of!(Tiles, slopes) == 44
        && offset_of!(Tiles, shift) == 48
        && offset_of!(Tiles, stages) == 52
        && offset_of!(Tiles, round) == 56
        && offset_of!(Tiles, excess) == 60
        && offset_of!(Tiles, residual_multiplier) == 64
        && offset_of!(Tiles, residual_zero) == 68
        && offset_of!(Tiles, low) == 69
        && offset_of!(Tiles, high) == 70
);

// The bits of `stages` in neon32.s.
const LEAK_BEFORE: u32 = 1;
const ADD_RESIDUAL: u32 = 2;
const LEAK_AFTER: u32 = 4;
const ADD_SHIFT: u32 = 8;
const LIMIT: u32 = 16;
const SUMS_ONLY: u32 = 32;

/// How many products a group adds in 16 bits.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Sums {
    OfPairs = 0,
    OfFours = 1,
    End = 2,
}

/// Signed rows on the stack.
#[repr(align(64))]
struct Buffer([MaybeUninit<u8>; SIGNED]);

impl Kernel for Neon32 {
    fn isa(&self) -> Isa {
        Isa::Neon32
    }

    fn layout(&self) -> &'static Layout {
        &LAYOUT
    }

    fn suits(&self, conv: &Conv) -> bool {
        let is_flat = match &conv.epilogue.activation {
            Activation::None => true,
            Activation::Before(slopes) | Activation::After(slopes) => slopes.iter().all(|s| s.abs() <= STEEPEST),
        };
        is_flat && !conv.weights.contains(&i8::MIN)
    }

    fn dense(&self, packed: &PackedDense, mut rows: DenseRows<'_>) {
        rows.check(packed);
        let groups = packed.depth.div_ceil(GROUP);
        assert_eq!(packed.small.len(), packed.panels.len() * groups, "every group is known to be small or not");
        let tile_len = groups * LAID;
        // The last row's last group is laid down as two.
        let most = (SIGNED.saturating_sub(LAID) / tile_len.max(1)).max(1);
        let mut short = Buffer([MaybeUninit::uninit(); SIGNED]);
        // The kernel has no memory of its own; a row this long is rare, and its products cost far more than the allocation.
        let mut long = Aligned::<u8>::default();
        let signed: *mut u8 = if most * tile_len + LAID <= SIGNED {
            short.0.as_mut_ptr().cast()
        } else {
            long.grow(most * tile_len + LAID);
            long.as_mut_ptr()
        };
        let mut order = Vec::with_capacity(groups + 1);
        for first in (0..rows.count).step_by(most * ROWS) {
            let count = (rows.count - first).min(most * ROWS);
            // A last row without a second is its own second.
            for row in 0..count.next_multiple_of(ROWS) {
                let from = &rows.input[(first + row.min(count - 1)) * rows.input_stride..][..packed.depth];
                // SAFETY: there are tiles for all rows, and one group more, which the next tile overwrites.
                unsafe { lay(from, signed.add(row / ROWS * tile_len + row % ROWS * LAID / ROWS)) };
            }
            for (panel, small) in packed.panels.iter().zip(packed.small.chunks(groups.max(1))) {
                order.clear();
                order.extend(small.iter().map(|&small| if small { Sums::OfFours } else { Sums::OfPairs }));
                order.push(Sums::End);
                let lanes = Lanes {
                    constants: &packed.constants,
                    first: panel.first,
                    bias: rows.bias,
                    place: first * rows.output_stride + panel.first,
                    step: rows.output_stride,
                    count,
                    residual: rows.residual,
                };
                let tiles = Tiles {
                    // Panels have whole groups of weights.
                    weights: packed.weights[panel.offset..].as_ptr(),
                    order: order.as_ptr().cast(),
                    input: signed,
                    ..Tiles::new(&lanes)
                };
                // SAFETY: the rows were laid down for all groups; `check` holds.
                unsafe { run(doorward_neon32_dense, tiles, tile_len, &lanes, &mut rows.output) };
            }
        }
    }

    fn depthwise(&self, packed: &PackedDepthwise, mut row: DepthwiseRow<'_>) {
        row.check(packed, &LAYOUT);
        let pixel = packed.patterns * LANES;
        assert!(row.len.is_multiple_of(pixel.max(1)), "pixels are whole chunks");
        assert!(row.output.len() <= row.len, "the layout has no taps to share between rows");
        let taps: Vec<usize> =
            row.columns.iter().flat_map(|column| row.rows.iter().map(move |first| first + column)).collect();
        for channel in (0..pixel).step_by(LANES) {
            let lanes = Lanes {
                constants: &packed.constants,
                first: channel,
                bias: 0,
                place: channel,
                step: pixel,
                count: row.output.len() / pixel,
                residual: row.residual,
            };
            let tiles = Tiles {
                weights: packed.weights[channel * taps.len()..].as_ptr(),
                order: taps.as_ptr().cast(),
                input: row.input[channel..].as_ptr(),
                taps: taps.len(),
                ..Tiles::new(&lanes)
            };
            // SAFETY: every tap has its weights; `check` says that the input holds every tap of the last pixel, and that the
            // residual is as long as the output, which is whole pixels.
            unsafe { run(doorward_neon32_depthwise, tiles, ROWS * pixel, &lanes, &mut row.output) };
        }
    }
}

/// Lays down one row's bytes as signed pairs, for the last 16 inputs whole.
///
/// # Safety
/// The processor has NEON. From `to` on, a 32-byte boundary, there is room for every second 32 bytes of each group, and one
/// group more.
unsafe fn lay(row: &[u8], to: *mut u8) {
    let (whole, rest) = row.as_chunks::<16>();
    // SAFETY: by the contract; 16 inputs are two groups.
    unsafe {
        if !whole.is_empty() {
            doorward_neon32_lay(row.as_ptr(), to, whole.len());
        }
        if !rest.is_empty() {
            // Weights behind the depth are zero.
            let mut last = [128u8; 16];
            last[..rest.len()].copy_from_slice(rest);
            doorward_neon32_lay(last.as_ptr(), to.add(whole.len() * 2 * LAID), 1);
        }
    }
}

/// 16 lanes of some rows of output.
struct Lanes<'a> {
    constants: &'a Constants,
    /// The first of the lanes.
    first: usize,
    /// Which set of biases.
    bias: usize,
    /// Where the first row's lanes are in output and residual.
    place: usize,
    /// Values from row to row.
    step: usize,
    /// How many rows.
    count: usize,
    residual: Option<&'a [u8]>,
}

/// Runs `kernel` on `lanes` as `tiles`, whose inputs are `tile_len` bytes apart. A last row without a second is its own second.
///
/// # Safety
/// The processor has NEON. `tiles` holds weights, order and input for all the rows; every lane has its constants; all rows lie
/// within the output, and within the residual if the constants ask for it.
unsafe fn run(
    kernel: unsafe extern "C" fn(&Tiles),
    tiles: Tiles,
    tile_len: usize,
    lanes: &Lanes<'_>,
    output: &mut Output<'_>,
) {
    let (whole, rest) = (lanes.count / ROWS, lanes.count % ROWS);
    let input = |tile: usize| tiles.input.wrapping_add(tile * tile_len);
    let residual = lanes.residual.map_or(std::ptr::null(), <[u8]>::as_ptr);
    match output {
        Output::Int8(bytes) => {
            for (tile, count, step) in [(0, whole, lanes.step), (whole, rest, 0)] {
                let place = lanes.place + tile * ROWS * lanes.step;
                if count > 0 {
                    let residual = residual.wrapping_add(place);
                    let output = bytes[place..].as_mut_ptr();
                    // SAFETY: by the contract.
                    unsafe { kernel(&Tiles { input: input(tile), output, residual, step, count, ..tiles }) };
                }
            }
        }
        Output::Float(_) => {
            for tile in 0..whole + rest {
                let step = if tile < whole { lanes.step } else { 0 };
                let mut sums = [[0i32; LANES]; ROWS];
                // SAFETY: by the contract; there is room for a tile's sums.
                unsafe {
                    kernel(&Tiles { input: input(tile), output: sums.as_mut_ptr().cast(), step, count: 1, ..tiles });
                }
                for (row, sums) in (tile * ROWS..lanes.count).zip(&sums) {
                    let place = lanes.place + row * lanes.step;
                    let residual = lanes.residual.map(|residual| &residual[place..][..LANES]);
                    portable::store(lanes.constants, lanes.first, lanes.bias, sums, residual, output, place);
                }
            }
        }
    }
}

impl Tiles {
    /// The constants of `lanes`; what to compute is to be filled in.
    fn new(lanes: &Lanes<'_>) -> Tiles {
        let constants = lanes.constants;
        let of = |values: &[f32]| values.get(lanes.first..).map_or(std::ptr::null(), <[f32]>::as_ptr);
        let has = |stage: u32, is_there: bool| if is_there { stage } else { 0 };
        let (low, high) = constants.range.unwrap_or((0, 255));
        let residual = constants.residual;
        let round = 12_582_912.0f32;
        Tiles {
            weights: std::ptr::null(),
            order: std::ptr::null(),
            input: std::ptr::null(),
            output: std::ptr::null_mut(),
            residual: std::ptr::null(),
            step: 0,
            count: 0,
            taps: 0,
            start: constants.start[lanes.first..].as_ptr(),
            multiplier: of(&constants.multiplier),
            bias: of(&constants.bias[lanes.bias]),
            slopes: of(&constants.slopes),
            shift: of(&constants.shift),
            stages: has(LEAK_BEFORE, constants.order == SlopeOrder::Before)
                | has(ADD_RESIDUAL, residual.is_some())
                | has(LEAK_AFTER, constants.order == SlopeOrder::After)
                | has(ADD_SHIFT, !constants.shift.is_empty())
                | has(LIMIT, (low, high) != (0, 255))
                | has(SUMS_ONLY, constants.range.is_none()),
            round,
            excess: round.to_bits() - 128,
            residual_multiplier: residual.map_or(0.0, |residual| residual.multiplier),
            residual_zero: residual.map_or(0, |residual| residual.zero),
            low,
            high,
        }
    }
}
