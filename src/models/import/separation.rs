//! How far apart the similarities of mated and of non-mated pairs lie.

/// The least spread that counts, so that rounding is not taken for a difference between similarities that are all alike.
const LEAST_SPREAD: f64 = 1e-3;

/// Above this similarity two vectors are the same one.
const SAME: f64 = 0.9999;

/// The similarities of all pairs of a set of faces, in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Separation {
    /// The mean similarity of the pairs that show one person.
    pub mated_mean: f64,
    /// The mean similarity of the pairs that show two people.
    pub nonmated_mean: f64,
    /// The sensitivity index d': the difference of the two means over the root of the mean of the two variances. 0 says nothing, 3 and
    /// more that hardly any two pairs overlap.
    pub d_prime: f64,
    /// Whether every pair is the same vector twice.
    pub constant: bool,
}

impl Separation {
    /// Compares every pair of `embeddings`, each with the number of its person; of any length other than zero. `None` when one is not
    /// finite or has no direction, or when there is no pair of one of the two kinds.
    pub(super) fn of(embeddings: &[(usize, Vec<f32>)]) -> Option<Separation> {
        let units: Vec<(usize, Vec<f64>)> =
            embeddings.iter().map(|(person, values)| Some((*person, unit(values)?))).collect::<Option<_>>()?;
        let (mut mated, mut nonmated) = (Moments::default(), Moments::default());
        let mut least = f64::INFINITY;
        for (i, (person, one)) in units.iter().enumerate() {
            for (other_person, other) in &units[..i] {
                let cosine: f64 = one.iter().zip(other).map(|(a, b)| a * b).sum();
                least = least.min(cosine);
                if person == other_person { &mut mated } else { &mut nonmated }.add(cosine);
            }
        }
        if mated.count == 0.0 || nonmated.count == 0.0 {
            return None;
        }
        let spread = f64::midpoint(mated.variance(), nonmated.variance()).sqrt().max(LEAST_SPREAD);
        Some(Separation {
            mated_mean: mated.mean(),
            nonmated_mean: nonmated.mean(),
            d_prime: (mated.mean() - nonmated.mean()) / spread,
            constant: least > SAME,
        })
    }
}

/// `values` with the norm 1; none if they have no direction.
fn unit(values: &[f32]) -> Option<Vec<f64>> {
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    (norm.is_finite() && norm > 1e-12).then(|| values.iter().map(|v| f64::from(*v) / norm).collect())
}

#[derive(Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// Of the values themselves, not of what they may be drawn from.
    fn variance(&self) -> f64 {
        (self.squares / self.count - self.mean().powi(2)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(person: usize, degrees: f32) -> (usize, Vec<f32>) {
        let (sin, cos) = degrees.to_radians().sin_cos();
        (person, vec![2.0 * cos, 2.0 * sin])
    }

    #[test]
    fn d_prime_is_the_gap_over_the_spread() {
        let found = Separation::of(&[at(0, 0.0), at(0, 60.0), at(1, 180.0), at(1, 240.0)]).unwrap();
        assert!((found.mated_mean - 0.5).abs() < 1e-6, "{found:?}");
        // Pairs of two people: 0-180: -1, 0-240: -0.5, 60-180: -0.5, 60-240: -1.
        assert!((found.nonmated_mean + 0.75).abs() < 1e-6, "{found:?}");
        // Variances 0 and 1/16: 1.25 / sqrt(1/32).
        assert!((found.d_prime - 1.25 * 32f64.sqrt()).abs() < 1e-4, "{found:?}");
        assert!(!found.constant);
    }

    #[test]
    fn one_vector_for_everybody_separates_nothing() {
        let found = Separation::of(&[at(0, 10.0), at(0, 10.0), at(1, 10.0)]).unwrap();
        assert!(found.constant && found.d_prime.abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_has_no_direction_has_no_separation() {
        assert_eq!(Separation::of(&[at(0, 1.0), at(0, 2.0), (1, vec![0.0, 0.0])]), None);
        assert_eq!(Separation::of(&[at(0, 1.0), at(0, 2.0), (1, vec![f32::NAN, 0.0])]), None);
        assert_eq!(Separation::of(&[at(0, 1.0), at(0, 2.0)]), None, "nobody else");
        assert_eq!(Separation::of(&[]), None);
    }
}
