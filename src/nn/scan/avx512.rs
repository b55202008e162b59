//! x86-64 with AVX-512 VNNI: `vpdpbusd` on a cache line at a time.
//!
//! Rows are made unsigned by adding 128 (flipping the top bit), and 128 times the sum of the probe is taken off at the end.

use std::arch::x86_64::*;

use super::{AHEAD_BYTES, avx2::reduce};

/// See [`super::dots`].
///
/// # Safety
/// The processor has AVX-512 F, BW, VL and VNNI; `rows` holds a row as long as `probe` for each sum, and that length is a
/// multiple of 64.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
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
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn run<const R: usize>(rows: *const i8, probe: &[i8]) -> [i32; 4] {
    let width = probe.len();
    let flip = _mm512_set1_epi8(i8::MIN);
    let mut sums = [_mm512_setzero_si512(); 4];
    for at in (0..width).step_by(64) {
        // SAFETY: 64 bytes of a probe and of rows whose width is a multiple of 64.
        unsafe {
            let p = _mm512_loadu_si512(probe.as_ptr().add(at).cast());
            for (k, sum) in sums.iter_mut().enumerate().take(R) {
                let row = rows.add(k * width + at);
                _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(AHEAD_BYTES));
                let r = _mm512_xor_si512(_mm512_loadu_si512(row.cast()), flip);
                *sum = _mm512_dpbusd_epi32(*sum, r, p);
            }
        }
    }
    let halves = |v| _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
    reduce([halves(sums[0]), halves(sums[1]), halves(sums[2]), halves(sums[3])])
}
