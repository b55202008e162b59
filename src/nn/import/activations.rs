//! Functions behind layers.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::nn::gelu_approximate::gelu_approximate;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::activations as tract;
use tract_onnx::tract_hir::ops::cast::cast;
use tract_onnx::tract_hir::ops::math;
use tract_onnx::tract_hir::ops::nn;

use super::axes::OnAxis;
use super::wiring::Wiring;
use super::{Built, Table, expanded, input, like_input, plain};

pub(super) const TABLE: &Table = &[
    ("Relu", |_, _| expanded(tract::Clip::new(Some(0.0), None))),
    ("Clip", clip),
    ("LeakyRelu", |_, node| expanded(tract::LeakyRelu(number(node, "alpha", 0.01)?))),
    ("ThresholdedRelu", |_, node| expanded(tract::ThresholdRelu(number(node, "alpha", 1.0)?))),
    ("Elu", |_, node| expanded(tract::Elu(number(node, "alpha", 1.0)?))),
    ("Selu", |_, node| expanded(tract::Selu(number(node, "alpha", 1.673_263_2)?, number(node, "gamma", 1.050_701)?))),
    ("Sigmoid", |_, _| plain(nn::sigmoid().into_hir())),
    ("HardSigmoid", |_, node| expanded(tract::HardSigmoid(number(node, "alpha", 0.2)?, number(node, "beta", 0.5)?))),
    ("HardSwish", |_, _| plain(nn::hard_swish().into_hir())),
    ("Tanh", |_, _| plain(math::tanh().into_hir())),
    ("Softplus", |_, _| expanded(tract::Softplus)),
    ("Softsign", |_, _| expanded(tract::Softsign)),
    ("Gelu", gelu),
    ("Mish", |_, _| expanded(Mish)),
    ("Softmax", softmax),
    ("LogSoftmax", log_softmax),
];

fn number(node: &NodeProto, name: &str, default: f32) -> TractResult<f32> {
    Ok(node.get_attr_opt(name)?.unwrap_or(default))
}

/// Bounds are attributes up to opset 10, inputs since.
fn clip(context: &ParsingContext, node: &NodeProto) -> Built {
    if context.onnx_operator_set_version < 11 {
        return expanded(tract::Clip::new(node.get_attr_opt("min")?, node.get_attr_opt("max")?));
    }
    expanded(Clip { least: input(node, 1), most: input(node, 2) })
}

/// Up to opset 12 an axis and all behind it are one, since then each axis stands for itself.
const EACH_AXIS_SINCE: i64 = 13;

fn softmax(context: &ParsingContext, node: &NodeProto) -> Built {
    if context.onnx_operator_set_version < EACH_AXIS_SINCE {
        let axis = node.get_attr_opt("axis")?.unwrap_or(1);
        return expanded(OnAxis { axis, end_allowed: false, op: nn::LayerSoftmax::new(axis as isize, true) });
    }
    let axis = node.get_attr_opt("axis")?.unwrap_or(-1);
    expanded(OnAxis { axis, end_allowed: false, op: nn::Softmax::new(axis as isize) })
}

fn log_softmax(context: &ParsingContext, node: &NodeProto) -> Built {
    let together = context.onnx_operator_set_version < EACH_AXIS_SINCE;
    let axis = node.get_attr_opt("axis")?.unwrap_or(if together { 1 } else { -1 });
    expanded(OnAxis { axis, end_allowed: false, op: nn::LayerLogSoftmax::new(axis as isize, together) })
}

fn gelu(_: &ParsingContext, node: &NodeProto) -> Built {
    match node.get_attr_opt("approximate")?.unwrap_or("none") {
        "none" => expanded(Gelu),
        "tanh" => plain(gelu_approximate(false).into_hir()),
        other => node.bail_attr("approximate", &format!("{other}: none or tanh is expected")),
    }
}

/// Bounds that are inputs, each where it stands among those given.
#[derive(Debug, Clone)]
struct Clip {
    least: Option<usize>,
    most: Option<usize>,
}

impl Expansion for Clip {
    fn name(&self) -> StaticName {
        "Clip".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, 1 + [self.least, self.most].iter().flatten().count())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let kind = wiring.fact(inputs[0])?.datum_type;
        let mut wire = inputs[0];
        for (name, bound, op) in [("least", self.least, math::max()), ("most", self.most, math::min())] {
            let Some(bound) = bound else { continue };
            let mut bound = inputs[bound];
            if wiring.fact(bound)?.datum_type != kind {
                bound = wiring.apply(&format!("{name}.cast"), cast(kind), &[bound])?;
            }
            wire = wiring.apply(name, op, &[wire, bound])?;
        }
        Ok(tvec!(wire))
    }
}

/// `x * (1 + erf(x / sqrt(2))) / 2`.
#[derive(Debug, Clone)]
struct Gelu;

impl Expansion for Gelu {
    fn name(&self) -> StaticName {
        "Gelu".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, 1)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let x = inputs[0];
        let (half, one) = (wiring.number("half", 0.5, x)?, wiring.number("one", 1.0, x)?);
        let scale = wiring.number("scale", std::f32::consts::FRAC_1_SQRT_2, x)?;
        let scaled = wiring.apply("scaled", math::mul(), &[x, scale])?;
        let erf = wiring.apply("erf", math::erf(), &[scaled])?;
        let share = wiring.apply("share", math::add(), &[erf, one])?;
        let halved = wiring.apply("halved", math::mul(), &[x, half])?;
        Ok(tvec!(wiring.apply("", math::mul(), &[halved, share])?))
    }
}

/// `x * tanh(softplus(x))`.
#[derive(Debug, Clone)]
struct Mish;

impl Expansion for Mish {
    fn name(&self) -> StaticName {
        "Mish".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        like_input(s, inputs, outputs, 1)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let softplus = wiring.expand("softplus", &tract::Softplus, inputs)?;
        let tanh = wiring.apply("tanh", math::tanh(), &[softplus])?;
        Ok(tvec!(wiring.apply("", math::mul(), &[inputs[0], tanh])?))
    }
}
