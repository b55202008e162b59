//! What happens to a convolution's 32-bit sums before they are stored.

/// The step from integer sums to the next layer's activations, one set of constants an output channel.
///
/// In this order, every operation rounded to `f32` on its own (no fused multiply-add), so that all processors agree to the bit:
/// ```text
/// v = sum * multiplier + bias
/// v = v < 0 ? v * slope : v          with Activation::Before
/// v = v + (residual - zero) * r      with a residual
/// v = v < 0 ? v * slope : v          with Activation::After
/// v = v + shift                      with a shift
/// q = clamp(round_half_even(v), low, high)
/// ```
/// Multiplier, bias and shift are in units of the output's scale. Without a range the output is `v` itself, as `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct Epilogue {
    /// Scale of the sums, one a channel.
    pub multiplier: Vec<f32>,
    /// Added after scaling, one a channel.
    pub bias: Vec<f32>,
    /// PRelu, LeakyRelu or Relu.
    pub activation: Activation,
    /// A second tensor to be added.
    pub residual: Option<Residual>,
    /// Added last, one a channel: the output's zero point or offsets, where they cannot go into the bias.
    pub shift: Option<Vec<f32>>,
    /// The bounds of stored bytes (0 to 255 stand for -128 to 127), or `None` for float output.
    pub range: Option<(u8, u8)>,
}

/// The low byte of `v` rounded half to even, for `|v|` below 2^22.
pub fn round_to_byte(v: f32) -> u8 {
    // The sum's last bit is worth 1, so the addition rounds, and the bits of the sum end in those of the integer.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    (v + ROUND).to_bits() as u8
}

/// A piecewise linear function that is the identity above zero.
#[derive(Debug, Clone, PartialEq)]
pub enum Activation {
    /// The identity.
    None,
    /// Before the residual is added; one slope a channel for values below zero.
    Before(Vec<f32>),
    /// After it.
    After(Vec<f32>),
}

/// How a second tensor enters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Residual {
    /// Its scale over the output's scale.
    pub multiplier: f32,
    /// The stored byte that stands for zero.
    pub zero: u8,
}

impl Epilogue {
    /// The epilogue of some of the channels.
    pub fn of_channels(&self, channels: std::ops::Range<usize>) -> Epilogue {
        let part = |values: &Vec<f32>| values[channels.clone()].to_vec();
        Epilogue {
            multiplier: part(&self.multiplier),
            bias: part(&self.bias),
            activation: match &self.activation {
                Activation::None => Activation::None,
                Activation::Before(slopes) => Activation::Before(part(slopes)),
                Activation::After(slopes) => Activation::After(part(slopes)),
            },
            residual: self.residual,
            shift: self.shift.as_ref().map(part),
            range: self.range,
        }
    }

    /// The value before it is rounded; the definition that kernels must equal.
    #[cfg(test)]
    pub fn value(&self, channel: usize, bias: f32, sum: i32, residual: u8) -> f32 {
        let leak = |v: f32, slopes: &[f32]| if v < 0.0 { v * slopes[channel] } else { v };
        let mut v = sum as f32 * self.multiplier[channel] + bias;
        if let Activation::Before(slopes) = &self.activation {
            v = leak(v, slopes);
        }
        if let Some(Residual { multiplier, zero }) = self.residual {
            v += f32::from(i16::from(residual) - i16::from(zero)) * multiplier;
        }
        if let Activation::After(slopes) = &self.activation {
            v = leak(v, slopes);
        }
        if let Some(shift) = &self.shift {
            v += shift[channel];
        }
        v
    }

    /// The stored byte for a value: rounded half to even, clamped.
    pub fn store(v: f32, (low, high): (u8, u8)) -> u8 {
        (round_to_byte(v.clamp(-128.0, 127.0)) ^ 0x80).clamp(low, high)
    }

    /// The largest magnitude that [`value`](Epilogue::value) can reach for sums up to `sum_limit`.
    ///
    /// Kernels convert to 32-bit integers before they clamp; below 2^31 that is exact.
    pub fn magnitude(&self, sum_limit: f64) -> f64 {
        let slopes = match &self.activation {
            Activation::None => None,
            Activation::Before(slopes) | Activation::After(slopes) => Some(slopes),
        };
        let residual = self.residual.map_or(0.0, |residual| f64::from(residual.multiplier).abs() * 255.0);
        (0..self.multiplier.len())
            .map(|c| {
                let slope = slopes.map_or(1.0, |slopes| f64::from(slopes[c]).abs().max(1.0));
                let linear = sum_limit * f64::from(self.multiplier[c]).abs() + f64::from(self.bias[c]).abs();
                let shift = self.shift.as_ref().map_or(0.0, |shift| f64::from(shift[c]).abs());
                (linear * slope + residual) * slope + shift
            })
            .fold(0.0, f64::max)
    }
}
