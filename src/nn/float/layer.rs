//! The float layers as operators in tract's plan: convolution, maximum pooling and enlargement, channels last.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

use super::activation::Activation;
use super::dense::{Dense, DenseWeights, Runs};
use super::depthwise::{Depthwise, DepthwiseWeights};
use super::max_pool::MaxPool;
use super::simd::Family;
use super::window::Window;

/// What a convolution multiplies, and how.
#[derive(Debug)]
enum Kind {
    /// Over all channels, from an input that is channels last, or channels first if `planar`.
    Dense { weights: DenseWeights, planar: bool },
    /// Every channel by itself.
    Depthwise(DepthwiseWeights),
}

/// A convolution with bias, an optional residual (the second input) and an activation; all shapes are known.
#[derive(Debug, Clone)]
pub(super) struct ConvLayer {
    kind: Arc<Kind>,
    window: Window,
    pictures: usize,
    input_channels: usize,
    output_channels: usize,
    activation: Activation,
    residual: bool,
}

impl PartialEq for ConvLayer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kind, &other.kind)
            && (self.window, self.pictures, &self.activation, self.residual)
                == (other.window, other.pictures, &other.activation, other.residual)
    }
}

// Bounds and slopes are never NaN (see `channels_last`), so equality is reflexive.
impl Eq for ConvLayer {}

impl ConvLayer {
    /// A dense layer for `pictures` of `input_channels`, from ONNX weights (output, input, row, column). The window must not be
    /// dilated.
    pub(super) fn dense(
        window: Window,
        pictures: usize,
        input_channels: usize,
        planar: bool,
        weights: &[f32],
        bias: &[f32],
        family: Family,
    ) -> ConvLayer {
        let taps = window.kernel[0] * window.kernel[1];
        let depth = taps * input_channels;
        let ordered: Cow<[f32]> = if planar || taps == 1 {
            weights.into()
        } else {
            let mut ordered = Vec::with_capacity(weights.len());
            for output in weights.chunks_exact(depth) {
                for tap in 0..taps {
                    ordered.extend(output.iter().skip(tap).step_by(taps));
                }
            }
            ordered.into()
        };
        let weights = DenseWeights::new(family, &ordered, bias);
        ConvLayer::new(Kind::Dense { weights, planar }, window, pictures, input_channels, bias.len())
    }

    /// A depthwise layer for `pictures`, from ONNX weights (channel, 1, row, column).
    pub(super) fn depthwise(
        window: Window,
        pictures: usize,
        weights: &[f32],
        bias: &[f32],
        family: Family,
    ) -> ConvLayer {
        let kind = Kind::Depthwise(DepthwiseWeights::new(family, weights, bias));
        ConvLayer::new(kind, window, pictures, bias.len(), bias.len())
    }

    fn new(kind: Kind, window: Window, pictures: usize, input_channels: usize, output_channels: usize) -> ConvLayer {
        ConvLayer {
            kind: Arc::new(kind),
            window,
            pictures,
            input_channels,
            output_channels,
            activation: Activation::Linear,
            residual: false,
        }
    }

    /// The same with `activation`, if there is none yet, or one that it can be joined to.
    pub(super) fn with_activation(&self, activation: Activation) -> Option<ConvLayer> {
        Some(ConvLayer { activation: self.activation.clone().then(activation)?, ..self.clone() })
    }

    /// The same with a residual as its second input, if it can take one.
    pub(super) fn with_residual(&self) -> Option<ConvLayer> {
        let free = !self.residual && self.activation == Activation::Linear && matches!(*self.kind, Kind::Dense { .. });
        free.then(|| ConvLayer { residual: true, ..self.clone() })
    }

    fn input_shape(&self) -> [usize; 4] {
        let [rows, columns] = self.window.input;
        match *self.kind {
            Kind::Dense { planar: true, .. } => [self.pictures, self.input_channels, rows, columns],
            _ => [self.pictures, rows, columns, self.input_channels],
        }
    }

    fn output_shape(&self) -> [usize; 4] {
        [self.pictures, self.window.output[0], self.window.output[1], self.output_channels]
    }

    /// One picture.
    fn apply(&self, input: &[f32], residual: Option<&[f32]>, output: &mut [MaybeUninit<f32>]) {
        let (window, activation) = (self.window, &self.activation);
        let (weights, planar) = match &*self.kind {
            Kind::Depthwise(weights) => return Depthwise { weights, window, activation, input, output }.run(),
            Kind::Dense { weights, planar } => (weights, *planar),
        };
        let [mut rows, mut columns] = window.output;
        // Under the windows lie exactly this many rows and columns, with the padding.
        let used = window.used();
        let bare = (0..2).all(|axis| window.padding[axis] == 0 && used[axis] <= window.input[axis]);
        let (planes, width) = if planar { (self.input_channels, 1) } else { (1, self.input_channels) };
        let input: Cow<[f32]> =
            if bare { input.into() } else { with_padding(input, planes, width, &window, used).into() };
        let [high, wide] = if bare { window.input } else { used };

        let line = wide * width;
        let mut row_stride = window.stride[0] * line;
        if window.kernel == [1, 1] && window.stride == [1, 1] && wide == columns {
            // One long row: no tile ends at a line's end.
            columns *= rows;
            rows = 1;
            row_stride = 0;
        }
        let starts = (0..planes).flat_map(|plane| (0..window.kernel[0]).map(move |y| plane * high * line + y * line));
        let runs = Runs {
            starts: starts.collect(),
            length: window.kernel[1] * width,
            pixel_stride: window.stride[1] * width,
            row_stride,
        };
        Dense { weights, runs: &runs, activation, input: &input, residual, output, rows, columns }.run();
    }
}

/// The `used` rows and columns of each plane from the first padding on, zeros outside of the picture.
fn with_padding(input: &[f32], planes: usize, width: usize, window: &Window, used: [usize; 2]) -> Vec<f32> {
    let mut padded = Vec::with_capacity(planes * used[0] * used[1] * width);
    let before = window.padding[1].min(used[1]) * width;
    let line = window.input[1] * width;
    for plane in 0..planes {
        for row in 0..used[0] {
            let end = padded.len() + used[1] * width;
            if let Some(row) = row.checked_sub(window.padding[0]).filter(|row| *row < window.input[0]) {
                padded.resize(padded.len() + before, 0.0);
                let from = (plane * window.input[0] + row) * line;
                let count = line.min(end - padded.len());
                padded.extend_from_slice(&input[from..from + count]);
            }
            padded.resize(end, 0.0);
        }
    }
    padded
}

/// A new tensor of `shape` that `fill` writes, picture by picture. `fill` must write every value.
fn picture_by_picture(shape: &[usize], mut fill: impl FnMut(usize, &mut [MaybeUninit<f32>])) -> TractResult<TValue> {
    // SAFETY: the values are only seen as `MaybeUninit` until `fill` has written all of them.
    let mut tensor = unsafe { Tensor::uninitialized::<f32>(shape)? };
    let length: usize = shape[1..].iter().product();
    if length > 0 {
        let pointer = tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?.as_mut_ptr().cast::<MaybeUninit<f32>>();
        // SAFETY: the tensor has this many values and is borrowed by nobody else.
        let values = unsafe { std::slice::from_raw_parts_mut(pointer, shape[0] * length) };
        for (i, picture) in values.chunks_exact_mut(length).enumerate() {
            fill(i, picture);
        }
    }
    Ok(tensor.into_tvalue())
}

/// The `index`th picture of a batch.
fn picture(values: &[f32], count: usize, index: usize) -> &[f32] {
    let length = values.len() / count;
    &values[index * length..][..length]
}

/// What tract asks of every operator and is the same for these.
macro_rules! float_layer {
    ($layer:ty, $name:literal) => {
        impl Op for $layer {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl TypedOp for $layer {
            fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                let fits = |fact: &TypedFact, shape: [usize; 4]| {
                    fact.datum_type == f32::datum_type() && fact.shape.as_concrete() == Some(&shape[..])
                };
                ensure!(
                    fits(inputs[0], self.input_shape()),
                    "{} takes {:?}, not {:?}",
                    $name,
                    self.input_shape(),
                    inputs[0]
                );
                for residual in &inputs[1..] {
                    ensure!(
                        fits(residual, self.output_shape()),
                        "{} gives {:?}, not {residual:?}",
                        $name,
                        self.output_shape()
                    );
                }
                Ok(tvec!(f32::fact(self.output_shape())))
            }

            as_op!();
        }
    };
}

float_layer!(ConvLayer, "ConvLayer");

impl EvalOp for ConvLayer {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        ensure!(inputs[0].shape() == self.input_shape(), "a convolution was given {:?}", inputs[0].shape());
        let input = inputs[0].try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        let residual = match inputs.get(1) {
            Some(residual) if self.residual => Some(residual.try_as_plain_ram()?),
            _ => None,
        };
        let residual = residual.as_ref().map(|residual| residual.as_slice::<f32>()).transpose()?;
        let output = picture_by_picture(&self.output_shape(), |i, output| {
            let residual = residual.map(|residual| picture(residual, self.pictures, i));
            self.apply(picture(input, self.pictures, i), residual, output);
        })?;
        Ok(tvec!(output))
    }
}

/// Maximum pooling; all shapes are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MaxPoolLayer {
    pub(super) family: Family,
    pub(super) window: Window,
    pub(super) pictures: usize,
    pub(super) channels: usize,
}

impl MaxPoolLayer {
    fn input_shape(&self) -> [usize; 4] {
        [self.pictures, self.window.input[0], self.window.input[1], self.channels]
    }

    fn output_shape(&self) -> [usize; 4] {
        [self.pictures, self.window.output[0], self.window.output[1], self.channels]
    }
}

float_layer!(MaxPoolLayer, "MaxPoolLayer");

impl EvalOp for MaxPoolLayer {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        ensure!(input.shape() == self.input_shape(), "a pooling was given {:?}", input.shape());
        let input = input.try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        let output = picture_by_picture(&self.output_shape(), |i, output| {
            let input = picture(input, self.pictures, i);
            MaxPool { family: self.family, window: self.window, channels: self.channels, input, output }.run();
        })?;
        Ok(tvec!(output))
    }
}

/// Every pixel repeated `scale` times down and to the right; all shapes are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnlargeLayer {
    /// Pictures, rows, columns, channels.
    pub(super) input: [usize; 4],
    pub(super) scale: [usize; 2],
}

impl EnlargeLayer {
    fn input_shape(&self) -> [usize; 4] {
        self.input
    }

    fn output_shape(&self) -> [usize; 4] {
        let [pictures, rows, columns, channels] = self.input;
        [pictures, rows * self.scale[0], columns * self.scale[1], channels]
    }
}

float_layer!(EnlargeLayer, "EnlargeLayer");

impl EvalOp for EnlargeLayer {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        ensure!(input.shape() == self.input, "an enlargement was given {:?}", input.shape());
        let [_, _, columns, channels] = self.input;
        let input = input.try_as_plain_ram()?;
        let mut output = Vec::with_capacity(self.output_shape().iter().product());
        for row in input.as_slice::<f32>()?.chunks_exact((columns * channels).max(1)) {
            let begin = output.len();
            for pixel in row.chunks_exact(channels) {
                for _ in 0..self.scale[1] {
                    output.extend_from_slice(pixel);
                }
            }
            let line = begin..output.len();
            for _ in 1..self.scale[0] {
                output.extend_from_within(line.clone());
            }
        }
        Ok(tvec!(Tensor::from_shape(&self.output_shape(), &output)?.into_tvalue()))
    }
}
