//! From real numbers to integers: the constants of one fused operator.

use super::facts::{Scale, Weight};
use crate::nn::int8::{Activation, Conv, Epilogue, Residual};

/// A quantised tensor as its readers see it: `real = scale * (stored - zero) + offset`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) scale: Scale,
    /// None, one value, or one a channel.
    pub(super) offset: Vec<f32>,
}

/// How a float tensor is to be written: `stored = round((real - offset) / scale) + zero`.
pub(super) type Writing = Reading;

/// A linear operator with what follows it, still in real numbers.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) shape: Shape,
    pub(super) input: Reading,
    pub(super) weights: Vec<i8>,
    /// One a channel.
    pub(super) weight_scales: Vec<f64>,
    /// One a channel.
    pub(super) bias: Vec<f64>,
    /// Slopes below zero, one a channel, and whether they act after the residual.
    pub(super) slopes: Option<(Vec<f32>, bool)>,
    /// Bounds that act after everything else.
    pub(super) bounds: Option<(f32, f32)>,
    pub(super) residual: Option<Reading>,
}

/// The geometry of a [`Group`]; see `Conv`.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) groups: usize,
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    pub(super) pads: [usize; 4],
}

/// The longest sum of products of a byte and a signed byte that a 32-bit sum holds.
const MAX_TERMS: usize = (i32::MAX as usize) / (255 * 128);
/// Values that a kernel turns into integers must fit 32 bits; some room is left for rounding.
const MAX_VALUE: f64 = (1u64 << 30) as f64;

impl Group {
    /// A group of a convolution's weight; `None` when its axes do not fit the geometry.
    pub(super) fn of_weight(shape: Shape, input: Reading, weight: Weight, bias: Option<Vec<f64>>) -> Option<Group> {
        let outputs = shape.outputs;
        let one_each = |values: Vec<f64>| match values.len() {
            1 => Some(vec![values[0]; outputs]),
            n => (n == outputs).then_some(values),
        };
        if weight.scales.len() > 1 && weight.axis != 0 {
            return None;
        }
        Some(Group {
            weights: weight.values,
            weight_scales: one_each(weight.scales)?,
            bias: one_each(bias.unwrap_or_else(|| vec![0.0]))?,
            slopes: None,
            bounds: None,
            residual: None,
            shape,
            input,
        })
    }

    /// The identity over `channels`, to which additions and activations of quantised tensors are fused.
    pub(super) fn identity(channels: usize, input: Reading) -> Group {
        let shape = Shape {
            inputs: channels,
            outputs: channels,
            groups: channels,
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            pads: [0; 4],
        };
        Group {
            shape,
            input,
            weights: vec![1; channels],
            weight_scales: vec![1.0; channels],
            bias: vec![0.0; channels],
            slopes: None,
            bounds: None,
            residual: None,
        }
    }

    fn taps(&self) -> usize {
        self.shape.kernel[0] * self.shape.kernel[1]
    }

    /// What an input offset adds to the bias, for every output and tap.
    fn offset_of_taps(&self) -> Vec<f64> {
        let (group_in, group_out) = (self.shape.inputs / self.shape.groups, self.shape.outputs / self.shape.groups);
        let taps = self.taps();
        let offset = |channel: usize| match self.input.offset.as_slice() {
            [] => 0.0,
            [one] => f64::from(*one),
            each => f64::from(each[channel]),
        };
        (0..self.shape.outputs * taps)
            .map(|i| {
                let (out, tap) = (i / taps, i % taps);
                let sum: f64 = (0..group_in)
                    .map(|c| {
                        offset(out / group_out * group_in + c)
                            * f64::from(self.weights[(out * group_in + c) * taps + tap])
                    })
                    .sum();
                sum * self.weight_scales[out]
            })
            .collect()
    }

    /// The integer operator, for int8 output as `writing` says, or for float output. `None` when this engine cannot do it
    /// exactly: sums or values that could overflow, an offset that does not go together with padding. It takes the weights along.
    pub(super) fn compile(&mut self, writing: Option<&Writing>) -> Option<Conv> {
        let shape = &self.shape;
        let terms = shape.inputs / shape.groups * self.taps();
        let offsets_fit = |offset: &[f32], channels: usize| offset.len() <= 1 || offset.len() == channels;
        let residual_offset = self.residual.as_ref().map_or(&[][..], |residual| &residual.offset);
        if terms > MAX_TERMS
            || self.weights.len() != terms * shape.outputs
            || !offsets_fit(&self.input.offset, shape.inputs)
            || !offsets_fit(residual_offset, shape.outputs)
            || !writing.is_none_or(|writing| offsets_fit(&writing.offset, shape.outputs))
        {
            return None;
        }
        let has_offset = self.input.offset.iter().any(|&offset| offset != 0.0);
        let padded = shape.pads != [0; 4];
        if has_offset && padded && shape.groups != 1 {
            return None;
        }

        let unit = writing.map_or(1.0, |writing| f64::from(writing.scale.scale));
        let at = |offset: &[f32], channel: usize| match offset {
            [] => 0.0,
            [one] => f64::from(*one),
            each => f64::from(each[channel]),
        };
        // What is added at the very end: the output's zero point and offset.
        let last =
            |channel: usize| writing.map_or(0.0, |w| f64::from(w.scale.zero) - 128.0 - at(&w.offset, channel) / unit);
        let of_residual = |channel: usize| at(residual_offset, channel) / unit;

        let of_taps = has_offset.then(|| self.offset_of_taps());
        let taps = self.taps();
        let input_scale = f64::from(self.input.scale.scale);
        // A Relu that comes last and whose zero is a stored byte is a bound; otherwise its slopes are zeros.
        let plain = writing.is_none_or(|writing| writing.offset.iter().all(|&offset| offset == 0.0));
        let relu_last = self
            .slopes
            .as_ref()
            .is_some_and(|(slopes, after)| slopes.iter().all(|&s| s == 0.0) && (*after || self.residual.is_none()));
        let mut range = (0u8, 255u8);
        let activation = match (&self.slopes, writing) {
            (None, _) => Activation::None,
            (Some(_), Some(writing)) if relu_last && plain => {
                range.0 = writing.scale.zero;
                Activation::None
            }
            (Some((slopes, true)), _) if self.residual.is_some() => Activation::After(slopes.clone()),
            (Some((slopes, _)), _) => Activation::Before(slopes.clone()),
        };
        if let Some((low, high)) = self.bounds {
            let writing = writing.filter(|_| plain)?;
            let store = |bound: f32| {
                let stored = (f64::from(bound) / unit).round_ties_even() + f64::from(writing.scale.zero);
                stored.clamp(0.0, 255.0) as u8
            };
            range = (range.0.max(store(low)), range.1.min(store(high)));
            if range.0 > range.1 {
                return None;
            }
        }
        let mut bias = Vec::with_capacity(shape.outputs);
        let mut shift = Vec::with_capacity(shape.outputs);
        for out in 0..shape.outputs {
            let of_input: f64 = of_taps.as_ref().map_or(0.0, |taps_of| taps_of[out * taps..][..taps].iter().sum());
            let first = (self.bias[out] + of_input) / unit;
            let (in_bias, in_shift) = match activation {
                Activation::None => (first + of_residual(out) + last(out), 0.0),
                Activation::Before(_) => (first, of_residual(out) + last(out)),
                Activation::After(_) => (first + of_residual(out), last(out)),
            };
            bias.push(in_bias as f32);
            shift.push(in_shift as f32);
        }
        let epilogue = Epilogue {
            multiplier: self.weight_scales.iter().map(|scale| (scale * input_scale / unit) as f32).collect(),
            bias,
            activation,
            residual: self.residual.as_ref().map(|residual| Residual {
                multiplier: (f64::from(residual.scale.scale) / unit) as f32,
                zero: residual.scale.zero,
            }),
            shift: shift.iter().any(|&shift| shift != 0.0).then_some(shift),
            range: writing.map(|_| range),
        };
        let magnitude = epilogue.magnitude(terms as f64 * 255.0 * 128.0);
        if !magnitude.is_finite() || (writing.is_some() && magnitude > MAX_VALUE) {
            return None;
        }
        let edge_bias = of_taps.filter(|_| padded).map(|taps| taps.iter().map(|tap| tap / unit).collect());
        Some(Conv {
            inputs: shape.inputs,
            outputs: shape.outputs,
            groups: shape.groups,
            kernel: shape.kernel,
            strides: shape.strides,
            dilations: shape.dilations,
            pads: shape.pads,
            weights: std::mem::take(&mut self.weights),
            zero: self.input.scale.zero,
            edge_bias,
            epilogue,
        })
    }
}
