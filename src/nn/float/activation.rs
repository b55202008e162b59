//! What happens to a layer's values on their way out of the registers.

use std::sync::Arc;

use super::simd::Vector;

/// Per-channel constants are stored with zeros behind them up to a multiple of this, so that any vector may read them whole.
const PADDED_TO: usize = 16;

/// `values` with zeros behind them, for [`Vector::load`] at any channel that is a multiple of the lanes.
pub(super) fn padded(values: &[f32]) -> Arc<[f32]> {
    let mut padded = values.to_vec();
    padded.resize(values.len().next_multiple_of(PADDED_TO), 0.0);
    padded.into()
}

/// The function after a layer's sum.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Activation {
    /// None.
    Linear,
    /// `low` where the value is below it, `high` where it is above; NaN stays NaN. Relu is 0 to infinity.
    Clamp {
        /// The least value.
        low: f32,
        /// The greatest value.
        high: f32,
    },
    /// PRelu: `slope[channel] * x` where `x < 0`. The slopes are [`padded`].
    Leak(Arc<[f32]>),
}

impl Activation {
    /// This one and `next` after it as one, where that is possible.
    pub(super) fn then(self, next: Activation) -> Option<Activation> {
        match (self, next) {
            (Activation::Linear, next) => Some(next),
            // The two clips of a Clip node: only where the order of the bounds leaves no doubt.
            (Activation::Clamp { low, high: f32::INFINITY }, Activation::Clamp { low: f32::NEG_INFINITY, high })
                if low <= high =>
            {
                Some(Activation::Clamp { low, high })
            }
            _ => None,
        }
    }

    /// Applies it to the vector of channels that begins at `channel`.
    ///
    /// # Safety
    /// As [`Vector`]; `channel` must be a multiple of the lanes and below the number of channels.
    #[inline(always)]
    pub(super) unsafe fn apply<V: Vector>(&self, values: V, channel: usize) -> V {
        // SAFETY: the caller vouches for the instructions; the slopes reach to the end of the vector because they are padded to
        // a multiple of every vector's lanes.
        unsafe {
            match self {
                Activation::Linear => values,
                Activation::Clamp { low, high } => values.at_least(V::splat(*low)).at_most(V::splat(*high)),
                Activation::Leak(slopes) => values.leak(V::load(slopes.as_ptr().add(channel))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::float::simd::{Family, Kernel};

    /// Applies an activation to 32 values as two channels groups would be.
    struct Apply<'a>(&'a Activation, &'a mut [f32; 32]);

    impl Kernel for Apply<'_> {
        #[inline(always)]
        unsafe fn run<V: Vector>(self) {
            for channel in (0..32).step_by(V::LANES) {
                // SAFETY: 32 is a multiple of every vector's lanes, and the slopes are 32.
                unsafe {
                    let place = self.1.as_mut_ptr().add(channel);
                    self.0.apply(V::load(place), channel).store(place);
                }
            }
        }
    }

    fn applied(activation: &Activation, values: [f32; 32]) -> Vec<[f32; 32]> {
        let apply = |family: Family| {
            let mut values = values;
            family.run(Apply(activation, &mut values));
            values
        };
        Family::available().into_iter().map(apply).collect()
    }

    fn values() -> [f32; 32] {
        let special = [f32::NAN, -0.0, 0.0, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, -1e-42, 7.5];
        std::array::from_fn(|i| special.get(i).copied().unwrap_or(i as f32 / 2.0 - 10.0))
    }

    #[test]
    fn relu_keeps_nan_in_every_family() {
        for outcome in applied(&Activation::Clamp { low: 0.0, high: f32::INFINITY }, values()) {
            for (value, outcome) in values().into_iter().zip(outcome) {
                if value.is_nan() { assert!(outcome.is_nan()) } else { assert_eq!(outcome, value.max(0.0)) }
            }
        }
    }

    #[test]
    fn a_clip_keeps_nan_in_every_family() {
        for outcome in applied(&Activation::Clamp { low: -3.0, high: 2.0 }, values()) {
            for (value, outcome) in values().into_iter().zip(outcome) {
                if value.is_nan() { assert!(outcome.is_nan()) } else { assert_eq!(outcome, value.clamp(-3.0, 2.0)) }
            }
        }
    }

    #[test]
    fn a_leak_follows_the_definition_in_every_family() {
        let slopes: Vec<f32> = (0..32).map(|i| 1.3 - i as f32 / 10.0).collect();
        for outcome in applied(&Activation::Leak(padded(&slopes)), values()) {
            for (i, (value, outcome)) in values().into_iter().zip(outcome).enumerate() {
                let expected = if value < 0.0 { slopes[i] * value } else { value };
                if value.is_nan() {
                    assert!(outcome.is_nan())
                } else {
                    assert_eq!(outcome.to_bits(), expected.to_bits())
                }
            }
        }
    }

    #[test]
    fn only_a_plain_clip_joins() {
        let relu = Activation::Clamp { low: 0.0, high: f32::INFINITY };
        let upper = |high| Activation::Clamp { low: f32::NEG_INFINITY, high };
        assert_eq!(relu.clone().then(upper(6.0)), Some(Activation::Clamp { low: 0.0, high: 6.0 }));
        assert_eq!(relu.clone().then(upper(-1.0)), None, "the outcome would be -1 everywhere");
        assert_eq!(relu.clone().then(relu.clone()), None);
        assert_eq!(Activation::Leak(padded(&[0.5])).then(relu), None);
    }
}
