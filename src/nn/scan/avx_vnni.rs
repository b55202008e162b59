//! x86-64 with AVX-VNNI: `vpdpbusd` multiplies 32 unsigned by 32 signed bytes and adds fours to 8 sums, without saturation.
//!
//! Rows are made unsigned by adding 128 (flipping the top bit), and 128 times the sum of the probe is taken off at the end.

use std::arch::x86_64::*;

use super::{AHEAD_BYTES, avx2::reduce};

/// See [`super::dots`].
///
/// # Safety
/// The processor has AVX2 and AVX-VNNI; `rows` holds a row as long as `probe` for each sum, and that length is a multiple of 64.
#[target_feature(enable = "avx2,avxvnni")]
pub(super) unsafe fn dots(rows: &[i8], probe: &[i8], sums: &mut [i32]) {
    let width = probe.len();
    let excess = 128 * probe.iter().map(|p| i32::from(*p)).sum::<i32>();
    let (fours, rest) = sums.as_chunks_mut::<4>();
    let first_of_rest = 4 * fours.len();
    for (i, four) in fours.iter_mut().enumerate() {
        // SAFETY: rows `4 * i..4 * i + 4` lie within `rows`.
        *four = unsafe { run::<4>(rows.as_ptr().add(4 * i * width), probe) }.map(|sum| sum - excess);
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        // SAFETY: as above, for one row.
        *sum = unsafe { run::<1>(rows.as_ptr().add((first_of_rest + i) * width), probe) }[0] - excess;
    }
}

/// The products of `R` rows from `rows` on, each byte 128 too large; 0 for those that are not asked for.
///
/// # Safety
/// As for `dots`; `R` rows, one to four, may be read.
#[inline]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn run<const R: usize>(rows: *const i8, probe: &[i8]) -> [i32; 4] {
    let width = probe.len();
    let flip = _mm256_set1_epi8(i8::MIN);
    let mut sums = [_mm256_setzero_si256(); 4];
    for at in (0..width).step_by(64) {
        for part in [at, at + 32] {
            // SAFETY: 32 bytes of a probe and of rows whose width is a multiple of 64.
            unsafe {
                let p = _mm256_loadu_si256(probe.as_ptr().add(part).cast());
                for (k, sum) in sums.iter_mut().enumerate().take(R) {
                    let r = _mm256_xor_si256(_mm256_loadu_si256(rows.add(k * width + part).cast()), flip);
                    *sum = _mm256_dpbusd_avx_epi32(*sum, r, p);
                }
            }
        }
        for k in 0..R {
            _mm_prefetch::<_MM_HINT_T0>(rows.wrapping_add(k * width + at + AHEAD_BYTES));
        }
    }
    reduce(sums)
}
