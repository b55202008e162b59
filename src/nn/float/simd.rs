//! Vectors of `f32`, one type for each instruction set, and the choice between them.
//!
//! A kernel is written once over [`Vector`] and compiled for every family: [`Family::run`] calls it inside a function that has
//! the family's instructions switched on, where everything below is inlined. The portable family is the reference.

use crate::nn::Isa;

/// A few `f32` in one register.
///
/// # Safety
/// Every method may only be called where the processor has the instructions of the type, and inside a function compiled for
/// them (or else it is slow). Pointers must be valid for the lanes read or written; they need no alignment.
pub(super) trait Vector: Copy {
    /// How many values it holds.
    const LANES: usize;
    /// How many such registers there are: what a tile of accumulators may use.
    const REGISTERS: usize;

    /// `value` in every lane.
    unsafe fn splat(value: f32) -> Self;
    /// Reads all lanes.
    unsafe fn load(from: *const f32) -> Self;
    /// Reads the first `count < LANES` lanes and nothing behind them; the others are zero.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// Writes all lanes.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count < LANES` lanes and nothing behind them.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self + a * b`; whether it is rounded once or twice depends on the family.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// The larger one, `self` where it is NaN.
    unsafe fn at_least(self, low: Self) -> Self;
    /// The smaller one, `self` where it is NaN.
    unsafe fn at_most(self, high: Self) -> Self;
    /// `slope * self` where `self < 0`, else `self`.
    unsafe fn leak(self, slope: Self) -> Self;
}

/// Work that can be done with any vector type.
pub(super) trait Kernel {
    /// Does it.
    ///
    /// # Safety
    /// The processor must have the instructions of `V`.
    unsafe fn run<V: Vector>(self);
}

/// The vector type to use on this processor. It is only made by detection, so that whoever holds one may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Family(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Family {
    /// The widest that this processor has and a choice of int8 kernels allows.
    #[cfg_attr(
        not(any(target_arch = "x86_64", target_arch = "aarch64")),
        allow(unused_variables, reason = "the portable family is the only one")
    )]
    pub(super) fn of(isa: Isa) -> Family {
        let allowed = |kind: &Family| match kind.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => isa == Isa::Avx512Vnni || isa == Isa::best(),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => isa != Isa::Portable,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => isa != Isa::Portable,
            Kind::Portable => true,
        };
        Family::available().into_iter().find(allowed).unwrap_or(Family(Kind::Portable))
    }

    /// All this processor has, widest first. The portable one is the last.
    pub(super) fn available() -> Vec<Family> {
        let mut kinds = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                kinds.push(Kind::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kinds.push(Kind::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        kinds.push(Kind::Neon);
        kinds.push(Kind::Portable);
        kinds.into_iter().map(Family).collect()
    }

    /// Runs `kernel` with this family's vectors.
    pub(super) fn run<K: Kernel>(self, kernel: K) {
        // SAFETY: `available` makes a kind only after the processor reported its instructions; NEON is part of every aarch64
        // processor and the portable vectors need nothing.
        unsafe {
            match self.0 {
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => x86::run_avx512(kernel),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => x86::run_avx2(kernel),
                #[cfg(target_arch = "aarch64")]
                Kind::Neon => kernel.run::<neon::Quad>(),
                Kind::Portable => kernel.run::<Portable>(),
            }
        }
    }

    /// [`Vector::LANES`] of its vectors.
    pub(super) fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => x86::Zmm::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => x86::Ymm::LANES,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => neon::Quad::LANES,
            Kind::Portable => Portable::LANES,
        }
    }

    /// [`Vector::REGISTERS`] of its vectors.
    pub(super) fn registers(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => x86::Zmm::REGISTERS,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => x86::Ymm::REGISTERS,
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => neon::Quad::REGISTERS,
            Kind::Portable => Portable::REGISTERS,
        }
    }
}

/// Four values in an array, for any processor.
#[derive(Clone, Copy)]
struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Portable, op: impl Fn(f32, f32) -> f32) -> Portable {
        Portable(std::array::from_fn(|i| op(self.0[i], other.0[i])))
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([value; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for four values; an array of f32 needs no more alignment than f32 has.
        Portable(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        // SAFETY: the caller vouches for `count` values.
        Portable(std::array::from_fn(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for room for four values.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        for (i, value) in self.0.into_iter().enumerate().take(count) {
            // SAFETY: the caller vouches for room for `count` values.
            unsafe { to.add(i).write(value) }
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // Not `f32::mul_add`: without an instruction for it, that is a call into the C library for every value.
        self.zip(a.zip(b, |a, b| a * b), |sum, product| sum + product)
    }
    #[inline(always)]
    unsafe fn at_least(self, low: Self) -> Self {
        self.zip(low, |x, low| if x < low { low } else { x })
    }
    #[inline(always)]
    unsafe fn at_most(self, high: Self) -> Self {
        self.zip(high, |x, high| if x > high { high } else { x })
    }
    #[inline(always)]
    unsafe fn leak(self, slope: Self) -> Self {
        self.zip(slope, |x, slope| if x < 0.0 { slope * x } else { x })
    }
}

// SAFETY of every block in the two modules below: the trait's own contract, which is what each instruction asks for - the
// processor has it, and the pointer is valid for the lanes that are read or written (masked-off lanes are not touched).

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Vector};

    #[derive(Clone, Copy)]
    pub(super) struct Zmm(__m512);

    #[derive(Clone, Copy)]
    pub(super) struct Ymm(__m256);

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) unsafe fn run_avx512<K: Kernel>(kernel: K) {
        unsafe { kernel.run::<Zmm>() }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<K: Kernel>(kernel: K) {
        unsafe { kernel.run::<Ymm>() }
    }

    impl Vector for Zmm {
        const LANES: usize = 16;
        const REGISTERS: usize = 32;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Zmm(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Zmm(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            Zmm(unsafe { _mm512_maskz_loadu_ps((1 << count) - 1, from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, (1 << count) - 1, self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Zmm(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            Zmm(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }
        // The instruction gives its second operand where either is NaN.
        #[inline(always)]
        unsafe fn at_least(self, low: Self) -> Self {
            Zmm(unsafe { _mm512_max_ps(low.0, self.0) })
        }
        #[inline(always)]
        unsafe fn at_most(self, high: Self) -> Self {
            Zmm(unsafe { _mm512_min_ps(high.0, self.0) })
        }
        #[inline(always)]
        unsafe fn leak(self, slope: Self) -> Self {
            Zmm(unsafe {
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_ps());
                _mm512_mask_mul_ps(self.0, below, self.0, slope.0)
            })
        }
    }

    /// Eight set lanes and eight clear ones: a window into it is a mask for any number of lanes.
    const LANES_SET: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline(always)]
    unsafe fn first(count: usize) -> __m256i {
        unsafe { _mm256_loadu_si256(LANES_SET[8 - count..].as_ptr().cast()) }
    }

    impl Vector for Ymm {
        const LANES: usize = 8;
        const REGISTERS: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Ymm(unsafe { _mm256_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Ymm(unsafe { _mm256_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            Ymm(unsafe { _mm256_maskload_ps(from, first(count)) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            unsafe { _mm256_maskstore_ps(to, first(count), self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Ymm(unsafe { _mm256_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            Ymm(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn at_least(self, low: Self) -> Self {
            Ymm(unsafe { _mm256_max_ps(low.0, self.0) })
        }
        #[inline(always)]
        unsafe fn at_most(self, high: Self) -> Self {
            Ymm(unsafe { _mm256_min_ps(high.0, self.0) })
        }
        #[inline(always)]
        unsafe fn leak(self, slope: Self) -> Self {
            Ymm(unsafe {
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, _mm256_setzero_ps());
                _mm256_blendv_ps(self.0, _mm256_mul_ps(self.0, slope.0), below)
            })
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::Vector;

    #[derive(Clone, Copy)]
    pub(super) struct Quad(float32x4_t);

    impl Vector for Quad {
        const LANES: usize = 4;
        const REGISTERS: usize = 32;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Quad(unsafe { vdupq_n_f32(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Quad(unsafe { vld1q_f32(from) })
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            let mut values = [0.0; 4];
            unsafe {
                std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), count);
                Quad(vld1q_f32(values.as_ptr()))
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { vst1q_f32(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            let mut values = [0.0; 4];
            unsafe {
                vst1q_f32(values.as_mut_ptr(), self.0);
                std::ptr::copy_nonoverlapping(values.as_ptr(), to, count);
            }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Quad(unsafe { vaddq_f32(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            Quad(unsafe { vfmaq_f32(self.0, a.0, b.0) })
        }
        // Both instructions keep NaN; the bounds are never NaN.
        #[inline(always)]
        unsafe fn at_least(self, low: Self) -> Self {
            Quad(unsafe { vmaxq_f32(self.0, low.0) })
        }
        #[inline(always)]
        unsafe fn at_most(self, high: Self) -> Self {
            Quad(unsafe { vminq_f32(self.0, high.0) })
        }
        #[inline(always)]
        unsafe fn leak(self, slope: Self) -> Self {
            Quad(unsafe { vbslq_f32(vcltq_f32(self.0, vdupq_n_f32(0.0)), vmulq_f32(self.0, slope.0), self.0) })
        }
    }
}
