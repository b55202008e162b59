//! Who could be among the best, by the references in bytes.
//!
//! A reference is `r = s c + e`, a probe `p = t q + f`: scales `s` and `t`, bytes `c` and `q`, and rounding errors of which only
//! the norms `|e| <= R` and `|f| <= F` are kept ([`ByteCode`]). Then
//!
//! ```text
//! p.r = s t (q.c) + f.(s c) + p.e,   |f.(s c)| <= F (|r| + R),   |p.e| <= |p| R
//! ```
//!
//! by the Cauchy-Schwarz inequality. Both are of unit norm, so that the similarity lies within `F + R (1 + F)` of
//! `s t (q.c)`, which is a product of bytes. Whoever cannot reach, at most, what the fifth best has at least, is not among the five.

use crate::{
    gallery::ReferenceCodes,
    nn::{ByteCode, ByteRow},
};

/// Rows at a time: what is made of them stays in the nearest cache.
const BLOCK: usize = 1024;
/// Rows whose bounds are looked at at once.
const GROUP: usize = 16;
/// A vector of unit norm in single precision is that long at most.
const LONGEST: f32 = 1.0 + 1e-6;

/// A row that could be among the best.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Contender {
    pub row: u32,
    /// The similarity by the bytes.
    estimate: f32,
    /// How far from it the true one may be.
    bound: f32,
}

impl Contender {
    /// The largest its similarity can be.
    pub fn most(&self) -> f32 {
        self.estimate + self.bound
    }

    /// The smallest its similarity can be.
    pub fn least(&self) -> f32 {
        self.estimate - self.bound
    }
}

/// How far estimates may be off for one probe, by the residual of the reference.
struct Bound {
    /// For a reference without residual.
    base: f32,
    /// For each unit of residual.
    slope: f32,
}

impl Bound {
    /// `dimension` is the number of components, `residual` that of the probe.
    fn new(dimension: usize, residual: f32) -> Self {
        // The similarity that counts is itself rounded: a sum of n products is off by n 2^-24 at most (Higham, Accuracy and
        // Stability of Numerical Algorithms, 3.1); twice that. The few roundings on the way to a bound are less than 8 steps.
        let rounding = (dimension + 8) as f32 * f32::EPSILON;
        Self { base: residual * LONGEST + rounding, slope: LONGEST + residual }
    }

    fn of(&self, residual: f32) -> f32 {
        self.base + self.slope * residual
    }
}

/// The rows that could be among the `best` most alike `probe`, in order of the most they can be.
pub(super) fn shortlist(codes: &ReferenceCodes, probe: &[f32], best: usize) -> Vec<Contender> {
    let ByteCode { bytes, scale, residual } = ByteCode::of(probe);
    let bound = Bound::new(probe.len(), residual);
    let row = ByteRow::new(&bytes);

    let mut list = Shortlist::new(best);
    let mut sums = [0; BLOCK];
    let mut block = [Contender { row: 0, estimate: 0.0, bound: 0.0 }; BLOCK];
    for first in (0..codes.rows().len()).step_by(BLOCK) {
        let n = BLOCK.min(codes.rows().len() - first);
        codes.rows().dots(first, &row, &mut sums[..n]);
        let (scales, residuals) = (&codes.scales()[first..][..n], &codes.residuals()[first..][..n]);
        for (i, ((to, sum), (s, r))) in block.iter_mut().zip(&sums).zip(scales.iter().zip(residuals)).enumerate() {
            // Rows are numbered in 32 bits (`gallery`).
            *to = Contender { row: (first + i) as u32, estimate: *sum as f32 * (s * scale), bound: bound.of(*r) };
        }
        for group in block[..n].chunks(GROUP) {
            // Nearly always nobody: one look at the whole group.
            if group.iter().fold(false, |any, c| any | (c.most() >= list.floor)) {
                group.iter().for_each(|c| list.offer(*c));
            }
        }
    }
    list.finish()
}

/// Contenders so far, and what must be reached to be one.
struct Shortlist {
    contenders: Vec<Contender>,
    /// The best by the least they can be, in order.
    least: Vec<f32>,
    best: usize,
    /// The least that the last of the best can be: who cannot reach it is out.
    floor: f32,
    /// How many contenders there may be before those are thrown out whom the floor has left behind.
    full: usize,
}

impl Shortlist {
    fn new(best: usize) -> Self {
        let full = 64 * best;
        Self {
            contenders: Vec::with_capacity(full),
            least: Vec::with_capacity(best + 1),
            best,
            floor: f32::NEG_INFINITY,
            full,
        }
    }

    fn offer(&mut self, contender: Contender) {
        if contender.most() < self.floor {
            return;
        }
        let least = contender.least();
        let at = self.least.partition_point(|other| *other >= least);
        if at < self.best {
            self.least.insert(at, least);
            self.least.truncate(self.best);
            if let Some(last) = self.least.get(self.best - 1) {
                // Similarities end at 1, whatever rounding makes of a bound.
                self.floor = last.min(1.0);
            }
        }
        if self.contenders.len() == self.full {
            self.throw_out();
            self.full = self.full.max(2 * self.contenders.len());
        }
        self.contenders.push(contender);
    }

    fn throw_out(&mut self) {
        let floor = self.floor;
        self.contenders.retain(|c| c.most() >= floor);
    }

    fn finish(mut self) -> Vec<Contender> {
        self.throw_out();
        self.contenders.sort_unstable_by(|a, b| b.most().total_cmp(&a.most()));
        self.contenders
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(values: &[f32]) -> Vec<f32> {
        let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        values.iter().map(|v| (f64::from(*v) / norm) as f32).collect()
    }

    proptest! {
        #[test]
        fn similarities_lie_within_the_bound(
            pairs in prop::collection::vec((-1f32..1.0, -1f32..1.0), 1..300),
            alike in 0f32..1.0,
            peak in prop::option::of(0usize..300),
            worst in any::<bool>(),
        ) {
            let (mut p, mut r): (Vec<f32>, Vec<f32>) =
                pairs.into_iter().map(|(a, b)| (a, alike * a + (1.0 - alike) * b)).unzip();
            if let Some(peak) = peak.filter(|peak| *peak < r.len()) {
                // One component that takes all the steps: the others are coarse.
                r[peak] = 50.0;
            }
            prop_assume!(p.iter().any(|v| v.abs() > 1e-3) && r.iter().any(|v| v.abs() > 1e-3));
            r = unit(&r);
            let rc = ByteCode::of(&r);
            if worst && rc.residual > 1e-6 {
                // The probe that looks just where the reference was rounded: the inequality is met.
                p = r.iter().zip(&rc.bytes).map(|(v, b)| v - rc.scale * f32::from(*b)).collect();
            }
            p = unit(&p);
            let exact: f64 = p.iter().zip(&r).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();

            let pc = ByteCode::of(&p);
            let product: i32 = pc.bytes.iter().zip(&rc.bytes).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            let contender = Contender {
                row: 0,
                estimate: product as f32 * (rc.scale * pc.scale),
                bound: Bound::new(p.len(), pc.residual).of(rc.residual),
            };
            prop_assert!(f64::from(contender.least()) <= exact && exact <= f64::from(contender.most()));
            let two_residuals = rc.residual + pc.residual + rc.residual * pc.residual;
            prop_assert!(contender.bound < two_residuals + 1e-4, "it is no wider than it must be");
        }

        #[test]
        fn nobody_who_reaches_the_fifth_best_is_left_out(
            drawn in prop::collection::vec((-1f32..1.0, 0f32..0.1), 0..2000), rising in any::<bool>(),
        ) {
            let mut contenders: Vec<Contender> = (0u32..).zip(drawn).map(|(row, (estimate, bound))| Contender { row, estimate, bound }).collect();
            if rising {
                // The order in which most have to be thrown out again.
                contenders.sort_by(|a, b| a.estimate.total_cmp(&b.estimate));
            }
            let mut list = Shortlist::new(5);
            contenders.iter().for_each(|c| list.offer(*c));
            let found = list.finish();

            let mut least: Vec<f32> = contenders.iter().map(Contender::least).collect();
            least.sort_by(|a, b| b.total_cmp(a));
            let floor = least.get(4).copied().unwrap_or(f32::NEG_INFINITY);
            let mut rows: Vec<u32> = found.iter().map(|c| c.row).collect();
            rows.sort_unstable();
            let mut expected: Vec<u32> = contenders.iter().filter(|c| c.most() >= floor).map(|c| c.row).collect();
            expected.sort_unstable();
            prop_assert_eq!(rows, expected);
            prop_assert!(found.is_sorted_by(|a, b| a.most() >= b.most()));
        }
    }
}
