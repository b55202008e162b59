//! The PRelu operator as one pass in place.
//!
//! tract imports PRelu as a multiplication, a comparison and a selection, each with its own buffer. On the 192-d MobileFaceNet
//! (33 PRelus) that is about two thirds of the whole time. Here it is one operator that writes into its input's buffer when
//! nobody else holds it. The slope of the shipped networks may have any sign and exceed one, so the usual shortcut
//! `max(x, slope * x)` would be wrong.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;

/// Makes `onnx` import every PRelu node as [`PRelu`].
pub(super) fn register(onnx: &mut tract_onnx::Onnx) {
    onnx.op_register.insert("PRelu", |_, _| Ok((expand(ImportPRelu), vec![])));
}

/// The node as it stands in the file: input and slope, shapes not known yet.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
struct ImportPRelu;

impl Expansion for ImportPRelu {
    fn name(&self) -> StaticName {
        "PRelu".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].shape, &outputs[0].shape)?;
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let input = model.outlet_fact(inputs[0])?;
        let slope = model.outlet_fact(inputs[1])?;
        ensure!(
            input.datum_type == f32::datum_type(),
            "PRelu {prefix}: only f32 is supported, not {:?}",
            input.datum_type
        );
        let slope = slope.konst.as_ref().with_context(|| format!("PRelu {prefix}: the slope must be a constant"))?;
        let mut op = PRelu::new(input.rank(), slope).with_context(|| format!("PRelu {prefix}"))?;
        if slope.rank() == 1 && means_channels(&input.shape, op.slopes.len()) {
            op.axis = 1;
        }
        model.wire_node(prefix, op, &inputs[..1])
    }
}

/// Whether a slope of one axis and `length` values is meant for the channels of an input of `shape`.
///
/// By ONNX it belongs to the last axis. Older exporters (MXNet's among them) wrote the channels' slopes so; where it cannot fit
/// the last axis and does fit the channels, that is what the file means.
fn means_channels(shape: &ShapeFact, length: usize) -> bool {
    let is = |axis: usize| shape.get(axis).is_some_and(|dim| *dim == length.to_dim());
    length > 1 && shape.rank() > 2 && is(1) && !is(shape.rank() - 1)
}

/// `y = x` where `x >= 0`, else `slope[channel] * x`; NaN stays NaN.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PRelu {
    /// One slope for all values, or one for each index along `axis`.
    slopes: Arc<[f32]>,
    axis: usize,
}

// The slopes are finite (see `new`), so equality is reflexive.
impl Eq for PRelu {}

impl PRelu {
    /// Finds the one axis along which `slope` varies, when broadcast to an input of `rank` axes as ONNX says (from the last axis).
    fn new(rank: usize, slope: &Tensor) -> TractResult<PRelu> {
        ensure!(slope.rank() <= rank, "the slope has {} axes, the input {rank}", slope.rank());
        let offset = rank - slope.rank();
        let varying: Vec<usize> = (0..slope.rank()).filter(|&axis| slope.shape()[axis] != 1).collect();
        ensure!(varying.len() <= 1, "a slope that varies along several axes ({:?}) is not supported", slope.shape());
        let slopes: Arc<[f32]> = slope.try_as_plain_ram()?.as_slice::<f32>()?.into();
        ensure!(slopes.iter().all(|slope| slope.is_finite()), "a slope is not finite");
        Ok(PRelu { slopes, axis: varying.first().map_or(0, |axis| axis + offset) })
    }

    /// The slope of each channel of a picture with four axes, channels in the second; none if they vary along another axis.
    pub(super) fn channel_slopes(&self, channels: usize) -> Option<Vec<f32>> {
        match *self.slopes {
            [slope] => Some(vec![slope; channels]),
            ref slopes => (self.axis == 1 && slopes.len() == channels).then(|| slopes.to_vec()),
        }
    }

    /// The same operator on such a picture with its channels in the last axis; none if it is not one on pictures.
    pub(super) fn channels_last(&self) -> Option<PRelu> {
        let axis = *[0, 3, 1, 2].get(self.axis)?;
        Some(PRelu { axis, ..self.clone() })
    }

    /// Applies the operator to `values`, a row-major tensor of `shape`.
    fn apply(&self, shape: &[usize], values: &mut [f32]) {
        if values.is_empty() {
            return;
        }
        if let [slope] = *self.slopes {
            return leak(values, slope);
        }
        match shape[self.axis + 1..].iter().product() {
            1 => {
                for row in values.chunks_exact_mut(self.slopes.len()) {
                    for (value, &slope) in row.iter_mut().zip(&*self.slopes) {
                        *value = if *value < 0.0 { slope * *value } else { *value };
                    }
                }
            }
            plane => {
                for (channel, &slope) in values.chunks_exact_mut(plane).zip(self.slopes.iter().cycle()) {
                    leak(channel, slope);
                }
            }
        }
    }
}

/// One slope over a run of values. The selection has no branch, so the loop becomes vector instructions.
#[inline]
fn leak(values: &mut [f32], slope: f32) {
    for value in values {
        *value = if *value < 0.0 { slope * *value } else { *value };
    }
}

impl Op for PRelu {
    fn name(&self) -> StaticName {
        "PReluInPlace".into()
    }

    op_as_typed_op!();
}

impl EvalOp for PRelu {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        // Takes the buffer over when this is its last reader, copies it otherwise.
        let mut tensor = args_1!(inputs).into_tensor();
        let shape: TVec<usize> = tensor.shape().into();
        self.apply(&shape, tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
        Ok(tvec!(tensor.into_tvalue()))
    }
}

impl TypedOp for PRelu {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let channels = inputs[0].shape.get(self.axis);
        ensure!(
            self.slopes.len() == 1 || channels.is_some_and(|dim| *dim == self.slopes.len().to_dim()),
            "PRelu has {} slopes along axis {} of an input {:?}",
            self.slopes.len(),
            self.axis,
            inputs[0].shape
        );
        Ok(tvec!(inputs[0].without_value()))
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

    use super::*;

    /// The operator's definition, value by value, with the slope's index worked out by hand.
    fn by_definition(shape: &[usize], values: &[f32], slopes: &[f32], axis: usize) -> Vec<f32> {
        let stride: usize = shape[axis + 1..].iter().product();
        let slope_of = |i: usize| if slopes.len() == 1 { slopes[0] } else { slopes[i / stride % shape[axis]] };
        values.iter().enumerate().map(|(i, &x)| if x < 0.0 { slope_of(i) * x } else { x }).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        // Every NaN counts as the same one: the sign of slope * NaN is not defined.
        values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
    }

    fn op(rank: usize, slope_shape: &[usize], slopes: &[f32]) -> TractResult<PRelu> {
        PRelu::new(rank, &Tensor::from_shape(slope_shape, slopes)?)
    }

    #[test]
    fn special_values_follow_the_definition() {
        let mut values = [f32::NAN, -0.0, 0.0, -1.0, 1.0, f32::NEG_INFINITY, f32::INFINITY, -f32::MIN_POSITIVE];
        op(2, &[1], &[-1.35]).unwrap().apply(&[1, 8], &mut values);
        let expected = [f32::NAN, -0.0, 0.0, 1.35, 1.0, f32::INFINITY, f32::INFINITY, 1.35 * f32::MIN_POSITIVE];
        assert_eq!(bits(&values), bits(&expected));
    }

    #[test]
    fn slopes_above_one_are_not_a_maximum() {
        let mut values = [-2.0, 3.0];
        op(4, &[1, 1, 1], &[1.23]).unwrap().apply(&[1, 1, 1, 2], &mut values);
        assert_eq!(values, [-2.46, 3.0]);
    }

    #[test]
    fn an_empty_input_stays_empty() {
        op(4, &[3, 1, 1], &[0.1, 0.2, 0.3]).unwrap().apply(&[1, 3, 0, 5], &mut []);
    }

    #[test]
    fn a_slope_over_two_axes_is_refused() {
        let refused = op(4, &[2, 2, 1], &[0.0; 4]).unwrap_err();
        assert!(refused.to_string().contains("several axes"), "{refused}");
    }

    #[test]
    fn a_slope_that_is_not_finite_is_refused() {
        assert!(op(4, &[1], &[f32::NAN]).is_err());
        assert!(op(4, &[1], &[f32::INFINITY]).is_err());
    }

    #[test]
    fn a_slope_of_one_axis_is_the_last_axis_unless_it_fits_the_channels_only() {
        let means = |shape: &[usize], length| means_channels(&f32::fact(shape).shape, length);
        assert!(means(&[1, 4, 2, 2], 4));
        assert!(!means(&[1, 4, 4, 4], 4), "as ONNX says");
        assert!(!means(&[1, 3, 2, 4], 4));
        assert!(!means(&[1, 1, 2, 2], 1), "one slope for all");
        assert!(!means(&[1, 4], 4), "a row has no other axis");
    }

    #[test]
    fn a_slope_that_does_not_fit_the_channels_is_refused() {
        let fact = f32::fact([1, 4, 2, 2]);
        assert!(op(4, &[4, 1, 1], &[0.0; 4]).unwrap().output_facts(&[&fact]).is_ok());
        assert!(op(4, &[3, 1, 1], &[0.0; 3]).unwrap().output_facts(&[&fact]).is_err());
        assert!(op(4, &[4], &[0.0; 4]).unwrap().output_facts(&[&fact]).is_err(), "broadcast is from the last axis");
    }

    proptest! {
        #[test]
        fn any_rank_and_axis_follows_the_definition(
            (shape, axis, slopes, values) in proptest::collection::vec(1usize..6, 1..5)
                .prop_flat_map(|shape| {
                    let rank = shape.len();
                    (proptest::strategy::Just(shape), 0..rank, any::<bool>())
                })
                .prop_flat_map(|(shape, axis, single)| {
                    let channels = if single { 1 } else { shape[axis] };
                    let volume: usize = shape.iter().product();
                    (
                        proptest::strategy::Just(shape),
                        proptest::strategy::Just(axis),
                        proptest::collection::vec(-3f32..3.0, channels),
                        proptest::collection::vec(any::<f32>(), volume),
                    )
                })
        ) {
            let mut slope_shape = vec![1; shape.len()];
            slope_shape[axis] = slopes.len();
            let op = op(shape.len(), &slope_shape, &slopes).unwrap();
            let input = Tensor::from_shape(&shape, &values).unwrap();
            let output = EvalOp::eval(&op, &EvalContext::out_of_plan(), tvec!(input.into_tvalue())).unwrap();
            let output = output[0].try_as_plain_ram().unwrap();
            prop_assert_eq!(bits(output.as_slice::<f32>().unwrap()), bits(&by_definition(&shape, &values, &slopes, axis)));
        }
    }
}
