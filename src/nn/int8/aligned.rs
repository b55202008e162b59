//! Memory on 64-byte boundaries: a vector that straddles two cache lines costs two loads.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// A slice of plain numbers that starts on a 64-byte boundary.
#[derive(Clone)]
pub struct Aligned<T: Plain> {
    lines: Vec<Line>,
    len: usize,
    kind: PhantomData<T>,
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line([u8; 64]);

/// Numbers for which every pattern of bits is a value.
///
/// # Safety
/// The type has no padding, no invalid bit patterns, and an alignment that divides 64.
pub unsafe trait Plain: Copy {}

// SAFETY: integers and floats have neither padding nor invalid patterns.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}

impl<T: Plain> Aligned<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Aligned<T> {
        Aligned { lines: vec![Line([0; 64]); (len * size_of::<T>()).div_ceil(64)], len, kind: PhantomData }
    }

    /// Nothing yet, with memory for `len` values.
    pub fn with_capacity(len: usize) -> Aligned<T> {
        Aligned { lines: Vec::with_capacity((len * size_of::<T>()).div_ceil(64)), len: 0, kind: PhantomData }
    }

    /// The memory there is beyond the values.
    pub fn spare(&mut self) -> &mut [MaybeUninit<Line>] {
        self.lines.spare_capacity_mut()
    }

    /// At least `len` values; new ones are zero, old ones stay.
    pub fn grow(&mut self, len: usize) {
        if len > self.len {
            self.lines.resize((len * size_of::<T>()).div_ceil(64), Line([0; 64]));
            self.len = len;
        }
    }
}

impl<T: Plain> Default for Aligned<T> {
    fn default() -> Self {
        Aligned::zeros(0)
    }
}

impl<T: Plain> FromIterator<T> for Aligned<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let values: Vec<T> = values.into_iter().collect();
        let mut aligned = Aligned::zeros(values.len());
        aligned.copy_from_slice(&values);
        aligned
    }
}

impl<T: Plain> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `64 * lines` initialised bytes from a 64-byte boundary on, at least `len` values of `T`, for
        // which any bytes are valid (`Plain`).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow is exclusive; any value of `T` leaves valid bytes behind.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl<T: Plain + std::fmt::Debug> std::fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.deref().fmt(f)
    }
}
