//! Normalisations as they are at inference.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::array::MultiBroadcastTo;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::logic::{Iff, comp_eq};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::math;
use tract_onnx::tract_hir::ops::nn::{Reduce, Reducer};

use super::axes::resolve;
use super::wiring::Wiring;
use super::{Built, Table, expanded, input, like_input};

pub(super) const TABLE: &Table = &[
    ("BatchNormalization", batch_normalization),
    ("InstanceNormalization", |_, node| expanded(InstanceNorm { epsilon: epsilon(node)? })),
    ("LayerNormalization", layer_normalization),
    ("LpNormalization", lp_normalization),
    ("Dropout", dropout),
];

fn epsilon(node: &NodeProto) -> TractResult<f32> {
    Ok(node.get_attr_opt("epsilon")?.unwrap_or(1e-5))
}

fn batch_normalization(_: &ParsingContext, node: &NodeProto) -> Built {
    node.expect_attr("spatial", node.get_attr_opt::<i64>("spatial")?.unwrap_or(1) == 1, "1: statistics a channel")?;
    let training = node.get_attr_opt::<i64>("training_mode")?.unwrap_or(0);
    node.expect_attr("training_mode", training == 0, "0: export the model for inference")?;
    expanded(BatchNorm { epsilon: epsilon(node)? })
}

fn layer_normalization(_: &ParsingContext, node: &NodeProto) -> Built {
    // The type of the inner values; 1 is f32, as all values are here.
    node.expect_attr("stash_type", node.get_attr_opt::<i64>("stash_type")?.unwrap_or(1) == 1, "1 (f32)")?;
    let axis = node.get_attr_opt("axis")?.unwrap_or(-1);
    expanded(LayerNorm { axis, epsilon: epsilon(node)?, bias: input(node, 2) })
}

fn lp_normalization(_: &ParsingContext, node: &NodeProto) -> Built {
    let reducer = match node.get_attr_opt::<i64>("p")?.unwrap_or(2) {
        1 => Reducer::L1,
        2 => Reducer::L2,
        _ => return node.bail_attr("p", "1 or 2 is expected"),
    };
    expanded(LpNorm { axis: node.get_attr_opt("axis")?.unwrap_or(-1), reducer })
}

fn dropout(_: &ParsingContext, node: &NodeProto) -> Built {
    let mask = node.output.get(1).is_some_and(|name| !name.is_empty());
    let inputs = node.input.iter().filter(|name| !name.is_empty()).count();
    expanded(Dropout { inputs, mask, training: input(node, 2) })
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` with stored statistics of each channel: a factor and a term.
#[derive(Debug, Clone)]
struct BatchNorm {
    epsilon: f32,
}

impl Expansion for BatchNorm {
    fn name(&self) -> StaticName {
        "BatchNorm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, 5)?;
        for statistic in &inputs[1..] {
            s.equals(&inputs[0].datum_type, &statistic.datum_type)?;
            s.equals(&statistic.rank, 1)?;
            s.equals(&statistic.shape[0], &inputs[0].shape[1])?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let rank = wiring.fact(inputs[0])?.rank();
        let values = |input: usize, what: &str| -> TractResult<Vec<f32>> {
            let known = wiring.known(inputs[input], what)?;
            Ok(known.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let (scale, bias, mean) = (values(1, "the scale")?, values(2, "the bias")?, values(3, "the mean")?);
        let deviation: Vec<f32> =
            values(4, "the variance")?.iter().map(|variance| (variance + self.epsilon).sqrt()).collect();
        let mut shape = vec![1; rank];
        shape[1] = scale.len();
        let factor: Vec<f32> = scale.iter().zip(&deviation).map(|(scale, deviation)| scale / deviation).collect();
        let term: Vec<f32> = (0..scale.len()).map(|i| bias[i] - mean[i] * scale[i] / deviation[i]).collect();
        let factor = wiring.constant("factor", Tensor::from_shape(&shape, &factor)?)?;
        let term = wiring.constant("term", Tensor::from_shape(&shape, &term)?)?;
        let scaled = wiring.apply("scaled", math::mul(), &[factor, inputs[0]])?;
        Ok(tvec!(wiring.apply("", math::add(), &[term, scaled])?))
    }
}

/// `x` less its mean, and divided by its deviation, over `axes`.
fn standardise(wiring: &mut Wiring<'_>, x: OutletId, axes: Vec<i64>, epsilon: f32) -> TractResult<OutletId> {
    let mean = Reduce::new(Some(axes), true, Reducer::Mean);
    let centre = wiring.expand("mean", &mean, &[x])?;
    let centred = wiring.apply("centred", math::sub(), &[x, centre])?;
    let squared = wiring.apply("squared", math::square(), &[centred])?;
    let variance = wiring.expand("variance", &mean, &[squared])?;
    let epsilon = wiring.number("epsilon", epsilon, variance)?;
    let variance = wiring.apply("safe", math::add(), &[variance, epsilon])?;
    let factor = wiring.apply("factor", math::rsqrt(), &[variance])?;
    wiring.apply("standard", math::mul(), &[centred, factor])
}

/// Every channel of every picture by its own mean and deviation.
#[derive(Debug, Clone)]
struct InstanceNorm {
    epsilon: f32,
}

impl Expansion for InstanceNorm {
    fn name(&self) -> StaticName {
        "InstanceNorm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, 3)?;
        for a_channel in &inputs[1..] {
            s.equals(&inputs[0].datum_type, &a_channel.datum_type)?;
            s.equals(&a_channel.rank, 1)?;
            s.equals(&a_channel.shape[0], &inputs[0].shape[1])?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let rank = wiring.fact(inputs[0])?.rank();
        let standard = standardise(&mut wiring, inputs[0], (2..rank as i64).collect(), self.epsilon)?;
        let mut a_channel = |name: &str, mut wire: OutletId| {
            for axis in 2..rank {
                wire = wiring.apply(&format!("{name}.{axis}"), AxisOp::Add(1), &[wire])?;
            }
            TractResult::Ok(wire)
        };
        let (scale, bias) = (a_channel("scale", inputs[1])?, a_channel("bias", inputs[2])?);
        let scaled = wiring.apply("scaled", math::mul(), &[standard, scale])?;
        Ok(tvec!(wiring.apply("", math::add(), &[scaled, bias])?))
    }
}

/// By mean and deviation over an axis and all behind it.
#[derive(Debug, Clone)]
struct LayerNorm {
    axis: i64,
    epsilon: f32,
    bias: Option<usize>,
}

impl Expansion for LayerNorm {
    fn name(&self) -> StaticName {
        "LayerNorm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, if self.bias.is_some() { 3 } else { 2 })?;
        s.given(&inputs[0].rank, move |_, rank| resolve(self.axis, rank as usize).map(drop))
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let rank = wiring.fact(inputs[0])?.rank();
        let axes = (resolve(self.axis, rank)? as i64..rank as i64).collect();
        let standard = standardise(&mut wiring, inputs[0], axes, self.epsilon)?;
        let scaled = wiring.apply("scaled", math::mul(), &[standard, inputs[1]])?;
        match self.bias {
            Some(bias) => Ok(tvec!(wiring.apply("", math::add(), &[scaled, inputs[bias]])?)),
            None => Ok(tvec!(scaled)),
        }
    }
}

/// Divided by the norm along an axis, where that is not 0.
#[derive(Debug, Clone)]
struct LpNorm {
    axis: i64,
    reducer: Reducer,
}

impl Expansion for LpNorm {
    fn name(&self) -> StaticName {
        "LpNorm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, 1)?;
        s.given(&inputs[0].rank, move |_, rank| resolve(self.axis, rank as usize).map(drop))
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let norm = wiring.expand("norm", &Reduce::new(Some(vec![self.axis]), true, self.reducer), inputs)?;
        let (zero, one) = (wiring.number("zero", 0.0, norm)?, wiring.number("one", 1.0, norm)?);
        let vanishes = wiring.apply("vanishes", TypedBinOp(comp_eq(), None), &[norm, zero])?;
        let norm = wiring.apply("divisor", Iff, &[vanishes, one, norm])?;
        Ok(tvec!(wiring.apply("", math::div(), &[inputs[0], norm])?))
    }
}

/// Nothing, at inference; the mask, if it is asked for, keeps all.
#[derive(Debug, Clone)]
struct Dropout {
    inputs: usize,
    mask: bool,
    /// The input that says whether it is to act as in training.
    training: Option<usize>,
}

impl Expansion for Dropout {
    fn name(&self) -> StaticName {
        "Dropout".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(if self.mask { 2 } else { 1 })
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, self.inputs)?;
        check_output_arity(outputs, self.nboutputs()?)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].shape, &outputs[0].shape)?;
        if let Some(mask) = outputs.get(1) {
            s.equals(&mask.datum_type, bool::datum_type())?;
            s.equals(&mask.shape, &inputs[0].shape)?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        if let Some(training) = self.training {
            let training = wiring.known(inputs[training], "training_mode")?.cast_to_scalar::<bool>()?;
            ensure!(!training, "{prefix}: training_mode is set; export the model for inference");
        }
        let mut outputs = tvec!(inputs[0]);
        if self.mask {
            let shape = wiring.fact(inputs[0])?.shape.clone();
            let keep = wiring.constant("keep", tensor0(true))?;
            outputs.push(wiring.apply("mask", MultiBroadcastTo::new(shape), &[keep])?);
        }
        Ok(outputs)
    }
}
