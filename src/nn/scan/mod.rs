//! Many rows of signed bytes times one: what a search over a gallery spends its time on.
//!
//! [`ByteRows`] holds the rows one after the other, [`ByteCode`] makes a row of a vector and says how far off it is. One file a
//! processor family, as for convolutions; `portable` is the reference, every family gives its bits.
//!
//! A million rows do not fit any cache, so the time is that of memory: rows are read once and in order, each as whole cache
//! lines, four at a time so that sums need no waiting, and with large pages where the system has them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
mod code;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "arm")]
mod neon32;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
mod pages;
mod portable;
mod rows;

pub use code::ByteCode;
pub use rows::{ByteRow, ByteRows};

use crate::nn::Isa;

/// Rows start on cache lines and fill them; zeros behind their end count nothing.
const LINE_BYTES: usize = 64;
/// Products of 2^16 pairs of bytes cannot leave 32 bits, not even with one factor taken as unsigned: 2^16 * 255 * 127 < 2^31.
const MAX_WIDTH: usize = 1 << 16;
/// How far ahead of the row in work memory is asked for: beyond the page, where the processor's own prefetching ends.
#[cfg(target_arch = "x86_64")]
const AHEAD_BYTES: usize = 4096;

/// `sums[i]` becomes the product of row `i` and `probe`. Rows are as long as `probe`.
///
/// `isa` must be available.
fn dots(isa: Isa, rows: &[i8], probe: &[i8], sums: &mut [i32]) {
    assert_eq!(rows.len(), sums.len() * probe.len(), "there is a row for every sum");
    assert!(probe.len().is_multiple_of(LINE_BYTES) && probe.len() <= MAX_WIDTH, "rows are whole lines");
    // SAFETY: `ByteRows` is made for available families only; the asserts above are what the kernels ask for.
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::dots(rows, probe, sums) },
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => unsafe { avx_vnni::dots(rows, probe, sums) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => unsafe { avx512::dots(rows, probe, sums) },
        #[cfg(target_arch = "arm")]
        Isa::Neon32 => unsafe { neon32::dots(rows, probe, sums) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => unsafe { neon::dots(rows, probe, sums) },
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot => unsafe { neon_dot::dots(rows, probe, sums) },
        _ => portable::dots(rows, probe, sums),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whole rows and a probe, from the corners of their ranges or from anywhere in them.
    fn bytes(least: i8, count: usize) -> impl Strategy<Value = Vec<i8>> {
        let any = prop::collection::vec(least..=127i8, count);
        let corners = prop::collection::vec(prop_oneof![Just(least), Just(127i8)], count);
        prop_oneof![any, corners, Just(vec![least; count]), Just(vec![127; count])]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_family_gives_the_bits_of_the_portable_one(
            (width, rows, probe) in (1usize..=5, 0usize..11)
                .prop_flat_map(|(lines, n)| (Just(lines * 64), bytes(-128, n * lines * 64), bytes(-127, lines * 64))),
        ) {
            let mut expected = vec![0; rows.len() / width];
            portable::dots(&rows, &probe, &mut expected);
            for (sum, row) in expected.iter().zip(rows.chunks_exact(width)) {
                prop_assert_eq!(*sum, row.iter().zip(&probe).map(|(r, p)| i32::from(*r) * i32::from(*p)).sum::<i32>());
            }
            for isa in Isa::available() {
                let mut sums = vec![0; expected.len()];
                // From any address: nothing may rest on the allocator.
                dots(isa, &rows, &probe, &mut sums);
                prop_assert_eq!(&sums, &expected, "{}", isa);
            }
        }
    }

    #[test]
    fn the_widest_rows_do_not_overflow() {
        for (row, probe) in [(-128, 127), (127, 127), (-128, -127), (127, -127)] {
            for isa in Isa::available() {
                let mut sums = [0];
                dots(isa, &[row; MAX_WIDTH], &[probe; MAX_WIDTH], &mut sums);
                assert_eq!(sums[0], i32::from(row) * i32::from(probe) * (1 << 16), "{isa}");
            }
        }
    }
}
