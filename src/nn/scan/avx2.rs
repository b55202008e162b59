//! x86-64 with AVX2: bytes widened to 16 bits, `vpmaddwd` adds products of pairs in 32.

use std::arch::x86_64::*;

use super::AHEAD_BYTES;

/// See [`super::dots`].
///
/// # Safety
/// The processor has AVX2; `rows` holds a row as long as `probe` for each sum, and that length is a multiple of 64.
#[target_feature(enable = "avx2")]
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
#[target_feature(enable = "avx2")]
unsafe fn run<const R: usize>(rows: *const i8, probe: &[i8]) -> [i32; 4] {
    let width = probe.len();
    let mut sums = [_mm256_setzero_si256(); 4];
    for at in (0..width).step_by(64) {
        for part in [at, at + 16, at + 32, at + 48] {
            // SAFETY: 16 bytes of a probe and of rows whose width is a multiple of 64.
            unsafe {
                let p = _mm256_cvtepi8_epi16(_mm_loadu_si128(probe.as_ptr().add(part).cast()));
                for (k, sum) in sums.iter_mut().enumerate().take(R) {
                    let r = _mm256_cvtepi8_epi16(_mm_loadu_si128(rows.add(k * width + part).cast()));
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(r, p));
                }
            }
        }
        for k in 0..R {
            _mm_prefetch::<_MM_HINT_T0>(rows.wrapping_add(k * width + at + AHEAD_BYTES));
        }
    }
    reduce(sums)
}

/// The sum of each vector's eight lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn reduce([a, b, c, d]: [__m256i; 4]) -> [i32; 4] {
    // Each 128-bit half then holds one sum of each vector.
    let halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
    let mut out = [0; 4];
    // SAFETY: `out` has 16 bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
    out
}
