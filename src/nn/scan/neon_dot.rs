//! aarch64 with dot product: `sdot` adds four products of signed bytes to each of four sums.
//! The intrinsics for `sdot` are not stable, inline assembly is.

use std::arch::{aarch64::*, asm};

use super::neon::reduce;

/// See [`super::dots`].
///
/// # Safety
/// The processor has the dot product; `rows` holds a row as long as `probe` for each sum, and that length is a multiple of 64.
#[target_feature(enable = "neon,dotprod")]
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
#[target_feature(enable = "neon,dotprod")]
unsafe fn run<const R: usize>(rows: *const i8, probe: &[i8]) -> [i32; 4] {
    let width = probe.len();
    let mut sums = [vdupq_n_s32(0); 4];
    for at in (0..width).step_by(16) {
        // SAFETY: 16 bytes of a probe and of rows whose width is a multiple of 64.
        unsafe {
            let p = vld1q_s8(probe.as_ptr().add(at));
            for (k, sum) in sums.iter_mut().enumerate().take(R) {
                *sum = dot(*sum, vld1q_s8(rows.add(k * width + at)), p);
            }
        }
    }
    reduce(sums)
}

/// Adds to every sum four products.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers only; the instruction is there by the target feature.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}
