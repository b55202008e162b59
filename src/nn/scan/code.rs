//! A vector in bytes, and how far off it is.

/// A vector `v` as `scale * bytes + e`, each byte in -127..=127.
///
/// The rounding error `e` is forgotten but for its length: by the Cauchy-Schwarz inequality a product of `v` with a vector of
/// norm `n` is off by at most `n * residual` when computed from the bytes. `Debug` shows no component.
#[derive(Clone, PartialEq)]
pub struct ByteCode {
    /// The components in units of `scale`.
    pub bytes: Vec<i8>,
    /// What a byte's 1 stands for.
    pub scale: f32,
    /// At least the Euclidean norm of `e`.
    pub residual: f32,
}

impl ByteCode {
    /// The code of `values`, all finite; the largest of them becomes 127.
    pub fn of(values: &[f32]) -> ByteCode {
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        // A vector of zeros is coded without error by any scale; so is none with a scale of zero.
        let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
        let bytes: Vec<i8> = values.iter().map(|v| (v / scale).round().clamp(-127.0, 127.0) as i8).collect();
        let square: f64 =
            values.iter().zip(&bytes).map(|(v, b)| (f64::from(*v) - f64::from(scale) * f64::from(*b)).powi(2)).sum();
        // The sum is within 2^-40 of the true one for any length there is; stored, it must not round down.
        let residual = (square.sqrt() * (1.0 + 1e-9)) as f32;
        ByteCode { bytes, scale, residual: residual.next_up() }
    }
}

impl std::fmt::Debug for ByteCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ByteCode({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_residual_bounds_the_error_and_is_not_much_more(values in prop::collection::vec(-1f32..1.0, 1..300)) {
            let code = ByteCode::of(&values);
            let error = values
                .iter()
                .zip(&code.bytes)
                .map(|(v, b)| (f64::from(*v) - f64::from(code.scale) * f64::from(*b)).powi(2))
                .sum::<f64>()
                .sqrt();
            prop_assert!(error <= f64::from(code.residual));
            prop_assert!(f64::from(code.residual) <= error * 1.000_001 + 1e-30);
            let half_a_step = f64::from(code.scale) * 0.5 * (values.len() as f64).sqrt();
            prop_assert!(error <= half_a_step * 1.000_01, "rounded to nearest");
            prop_assert!(code.bytes.iter().all(|b| *b != i8::MIN));
        }
    }

    #[test]
    fn extremes_have_codes() {
        assert_eq!(ByteCode::of(&[0.0; 3]).bytes, [0; 3]);
        assert_eq!(ByteCode::of(&[1.0, 0.0, -1.0]).bytes, [127, 0, -127]);
        let tiny = ByteCode::of(&[f32::MIN_POSITIVE, -1e-45]);
        assert!(tiny.residual.is_finite() && tiny.scale > 0.0);
        assert_eq!(format!("{tiny:?}"), "ByteCode(2 bytes)");
    }
}
