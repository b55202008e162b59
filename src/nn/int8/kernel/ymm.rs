//! The epilogue on 256-bit vectors, common to the families AVX2 and AVX-VNNI.

use std::arch::x86_64::*;

use super::super::packed::{Constants, SlopeOrder};

/// Where the packs of `vectors` vectors put the sum of `lane`: they go through 128-bit lanes one by one.
pub(super) fn packed_channel(width: usize, lane: usize) -> usize {
    let vectors = width / 8;
    let (vector, dword) = (lane / 8, lane % 8);
    dword / 4 * 4 * vectors + vector * 4 + dword % 4
}

/// The epilogue of `Constants::value` on whole vectors.
pub(super) struct Finish<'a> {
    pub(super) constants: &'a Constants,
    /// The first lane.
    pub(super) lane: usize,
    pub(super) bias: *const f32,
    /// Lane is channel: no packing follows.
    pub(super) natural: bool,
}

impl Finish<'_> {
    /// Applies the epilogue to `R` rows of sums and hands every row to `store`. The choices are made once for all rows.
    ///
    /// # Safety
    /// The processor has AVX2; the constants and `bias` hold the lanes `lane..lane + 8 * V`; `residual` has `R` rows of
    /// `8 * V` bytes, `residual_stride` bytes apart, if the constants ask for it.
    #[inline(always)]
    pub(super) unsafe fn rows<const R: usize, const V: usize>(
        &self,
        sums: [[__m256i; V]; R],
        residual: Option<*const u8>,
        residual_stride: usize,
        store: impl Fn(usize, [__m256; V]),
    ) {
        let c = self.constants;
        // SAFETY: handed on.
        unsafe {
            match (c.order, c.residual.is_some(), c.shift.is_empty()) {
                (SlopeOrder::None, false, true) => {
                    self.with::<R, V, 0, false, false>(sums, residual, residual_stride, store)
                }
                (SlopeOrder::Before, false, true) => {
                    self.with::<R, V, 1, false, false>(sums, residual, residual_stride, store)
                }
                (SlopeOrder::Before, false, false) => {
                    self.with::<R, V, 1, false, true>(sums, residual, residual_stride, store)
                }
                (SlopeOrder::None, true, true) => {
                    self.with::<R, V, 0, true, false>(sums, residual, residual_stride, store)
                }
                _ => self.with::<R, V, 2, true, true>(sums, residual, residual_stride, store),
            }
        }
    }

    /// `LEAK` 0: none, 1: before the residual, 2: as the constants say, and so for residual and shift.
    #[inline(always)]
    unsafe fn with<const R: usize, const V: usize, const LEAK: u8, const RESIDUAL: bool, const SHIFT: bool>(
        &self,
        sums: [[__m256i; V]; R],
        residual: Option<*const u8>,
        residual_stride: usize,
        store: impl Fn(usize, [__m256; V]),
    ) {
        let c = self.constants;
        // SAFETY: every lane has its constants; the residual is there when asked for.
        unsafe {
            for (r, sums) in sums.into_iter().enumerate() {
                let mut values = [_mm256_setzero_ps(); V];
                for v in 0..V {
                    let at = self.lane + 8 * v;
                    // Two roundings, not one: see `Epilogue`.
                    let scaled =
                        _mm256_mul_ps(_mm256_cvtepi32_ps(sums[v]), _mm256_loadu_ps(c.multiplier.as_ptr().add(at)));
                    let mut x = _mm256_add_ps(scaled, _mm256_loadu_ps(self.bias.add(8 * v)));
                    if LEAK == 1 || (LEAK == 2 && c.order == SlopeOrder::Before) {
                        x = leak(x, c.slopes.as_ptr().add(at));
                    }
                    if RESIDUAL && let (Some(scale), Some(residual)) = (c.residual, residual) {
                        let bytes = spread::<V>(residual.add(r * residual_stride), v, self.natural);
                        let distance = _mm256_sub_epi32(bytes, _mm256_set1_epi32(i32::from(scale.zero)));
                        let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(distance), _mm256_set1_ps(scale.multiplier));
                        x = _mm256_add_ps(x, scaled);
                    }
                    if LEAK == 2 && c.order == SlopeOrder::After {
                        x = leak(x, c.slopes.as_ptr().add(at));
                    }
                    if SHIFT && !c.shift.is_empty() {
                        x = _mm256_add_ps(x, _mm256_loadu_ps(c.shift.as_ptr().add(at)));
                    }
                    values[v] = x;
                }
                store(r, values);
            }
        }
    }
}

/// `x < 0 ? x * slope : x`.
#[inline(always)]
unsafe fn leak(x: __m256, slopes: *const f32) -> __m256 {
    // SAFETY: the caller has 8 slopes there.
    unsafe {
        let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_setzero_ps());
        _mm256_blendv_ps(x, _mm256_mul_ps(x, _mm256_loadu_ps(slopes)), negative)
    }
}

/// Vector `v` of `8 * V` bytes as 32-bit integers, in kernel order or as they lie.
#[inline(always)]
unsafe fn spread<const V: usize>(bytes: *const u8, v: usize, natural: bool) -> __m256i {
    // SAFETY: the caller has `8 * V` bytes there.
    unsafe {
        if natural {
            return _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.add(8 * v).cast()));
        }
        // Dword i of 128-bit lane L is byte 4 (V L + v) + i.
        let quad = |lane: usize| bytes.add(4 * (V * lane + v)).cast::<i32>().read_unaligned();
        _mm256_cvtepu8_epi32(_mm_set_epi32(0, 0, quad(1), quad(0)))
    }
}

/// Rounds, clamps and stores `8 * V` values as bytes; `V` is 2 or 4.
///
/// # Safety
/// The processor has AVX2; `place` has `8 * V` bytes; |v| < 2^31.
#[inline(always)]
pub(super) unsafe fn pack<const V: usize>(values: [__m256; V], range: Option<(u8, u8)>, place: *mut u8) {
    let (low, high) = range.unwrap_or((0, 255));
    // SAFETY: by the contract; the conversions are exact.
    unsafe {
        let whole = values.map(|v| _mm256_cvtps_epi32(v));
        if V == 4 {
            let (a, b) = (_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
            let q = _mm256_xor_si256(_mm256_packs_epi16(a, b), _mm256_set1_epi8(-128));
            let q = _mm256_min_epu8(_mm256_max_epu8(q, _mm256_set1_epi8(low as i8)), _mm256_set1_epi8(high as i8));
            _mm256_storeu_si256(place.cast(), q);
        } else {
            let words = _mm256_packs_epi32(whole[0], whole[1]);
            let q = _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(_mm256_packs_epi16(words, words)));
            let q = _mm_xor_si128(q, _mm_set1_epi8(-128));
            let q = _mm_min_epu8(_mm_max_epu8(q, _mm_set1_epi8(low as i8)), _mm_set1_epi8(high as i8));
            _mm_storeu_si128(place.cast(), q);
        }
    }
}

/// Stores vectors that lie in the order of a depthwise chunk as floats in natural order.
///
/// # Safety
/// The processor has AVX2; `place` has 32 floats.
#[inline(always)]
pub(super) unsafe fn unpack(values: [__m256; 4], place: *mut f32) {
    // SAFETY: by the contract.
    unsafe {
        for (v, value) in values.into_iter().enumerate() {
            _mm_storeu_ps(place.add(4 * v), _mm256_castps256_ps128(value));
            _mm_storeu_ps(place.add(16 + 4 * v), _mm256_extractf128_ps::<1>(value));
        }
    }
}
