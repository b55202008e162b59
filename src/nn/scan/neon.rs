//! aarch64 without dot product: two products of signed bytes are added in 16 bits (`smull`, `smlal2`), pairs of them in 32
//! (`sadalp`). Two products fit 16 bits because a probe holds no -128: 2 * 128 * 127 < 2^15.

use std::arch::aarch64::*;

/// See [`super::dots`].
///
/// # Safety
/// `rows` holds a row as long as `probe` for each sum, and that length is a multiple of 64.
#[target_feature(enable = "neon")]
pub(super) unsafe fn dots(rows: &[i8], probe: &[i8], sums: &mut [i32]) {
    let width = probe.len();
    let (fours, rest) = sums.as_chunks_mut::<4>();
    let first_of_rest = 4 * fours.len();
    for (i, four) in fours.iter_mut().enumerate() {
        // SAFETY: rows `4 * i..4 * i + 4` lie within `rows`.
        *four = unsafe { run::<4>(rows.as_ptr().add(4 * i * width), probe) };
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        // SAFETY: as above, for one row.
        [*sum, ..] = unsafe { run::<1>(rows.as_ptr().add((first_of_rest + i) * width), probe) };
    }
}

/// The products of `R` rows from `rows` on; 0 for those that are not asked for.
///
/// # Safety
/// As for `dots`; `R` rows, one to four, may be read.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn run<const R: usize>(rows: *const i8, probe: &[i8]) -> [i32; 4] {
    let width = probe.len();
    let mut sums = [vdupq_n_s32(0); 4];
    for at in (0..width).step_by(16) {
        // SAFETY: 16 bytes of a probe and of rows whose width is a multiple of 64.
        unsafe {
            let p = vld1q_s8(probe.as_ptr().add(at));
            for (k, sum) in sums.iter_mut().enumerate().take(R) {
                let r = vld1q_s8(rows.add(k * width + at));
                let pairs = vmlal_high_s8(vmull_s8(vget_low_s8(r), vget_low_s8(p)), r, p);
                *sum = vpadalq_s16(*sum, pairs);
            }
        }
    }
    reduce(sums)
}

/// The sum of each vector's four lanes.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn reduce([a, b, c, d]: [int32x4_t; 4]) -> [i32; 4] {
    let mut out = [0; 4];
    // SAFETY: `out` has 16 bytes.
    unsafe { vst1q_s32(out.as_mut_ptr(), vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d))) };
    out
}
