//! Plain Rust: the definition of what every family computes.

/// See [`super::dots`].
pub(super) fn dots(rows: &[i8], probe: &[i8], sums: &mut [i32]) {
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(probe.len())) {
        *sum = row.iter().zip(probe).map(|(&r, &p)| i32::from(i16::from(r) * i16::from(p))).sum();
    }
}
