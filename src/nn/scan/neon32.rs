//! 32-bit ARM with NEON: two products of signed bytes are added in 16 bits (`vmull.s8`, `vmlal.s8`), pairs of them in 32
//! (`vpadal.s16`). Two products fit 16 bits because a probe holds no -128: 2 * 128 * 127 < 2^15.
//!
//! By assembly, as the convolutions (see `int8`): stable Rust has no NEON for 32-bit ARM.

std::arch::global_asm!(include_str!("neon32.s"), options(raw));

unsafe extern "C" {
    /// Four sums at a time, `fours` times.
    ///
    /// # Safety
    /// The processor has NEON; `fours` is not zero; `width` is a multiple of 32 and not zero. Four rows of `width` bytes, `step`
    /// bytes apart, may be read from `rows` on, the next four behind the last; `width` bytes of `probe`; there is room for the sums.
    fn doorward_neon32_dots(
        rows: *const i8,
        step: usize,
        probe: *const i8,
        width: usize,
        sums: *mut [i32; 4],
        fours: usize,
    );
}

/// See [`super::dots`].
///
/// # Safety
/// The processor has NEON. `rows` holds a row as long as `probe` for each sum, and that length is a multiple of 64.
pub(super) unsafe fn dots(rows: &[i8], probe: &[i8], sums: &mut [i32]) {
    let width = probe.len();
    if width == 0 {
        return sums.fill(0);
    }
    let (fours, rest) = sums.as_chunks_mut::<4>();
    let first_of_rest = 4 * fours.len();
    if !fours.is_empty() {
        // SAFETY: there are four rows for every four sums.
        unsafe {
            doorward_neon32_dots(rows.as_ptr(), width, probe.as_ptr(), width, fours.as_mut_ptr(), fours.len());
        }
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        let mut same = [0; 4];
        // SAFETY: there is a row for every sum; four times the same one, 0 bytes apart.
        unsafe {
            let row = rows.as_ptr().add((first_of_rest + i) * width);
            doorward_neon32_dots(row, 0, probe.as_ptr(), width, &raw mut same, 1);
        }
        *sum = same[0];
    }
}
