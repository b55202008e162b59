//! Sums, products, functions of single values, comparisons.

use tract_onnx::tract_hir::infer::helpers::infer_shape_broadcasting;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::binary::{Nary, wire_cast, wire_rank_broadcast};
use tract_onnx::tract_hir::ops::cast::cast;
use tract_onnx::tract_hir::ops::{logic, math};

use super::{Table, expanded, plain};

pub(super) const TABLE: &Table = &[
    ("Add", |_, _| plain(math::Add.into_hir())),
    ("Sub", |_, _| plain(math::Sub.into_hir())),
    ("Mul", |_, _| plain(math::Mul.into_hir())),
    ("Div", |_, _| plain(math::Div.into_hir())),
    ("Pow", |_, _| expanded(Pow)),
    // Of any number of inputs; the second field says whether the sum is divided by it.
    ("Sum", |_, _| plain(Box::new(Nary(Box::new(math::Add), false)))),
    ("Mean", |_, _| plain(Box::new(Nary(Box::new(math::Add), true)))),
    ("Max", |_, _| plain(Box::new(Nary(Box::new(math::Max), false)))),
    ("Min", |_, _| plain(Box::new(Nary(Box::new(math::Min), false)))),
    ("Abs", |_, _| plain(math::abs().into_hir())),
    ("Neg", |_, _| plain(math::neg().into_hir())),
    ("Sign", |_, _| plain(math::sign().into_hir())),
    ("Sqrt", |_, _| plain(math::sqrt().into_hir())),
    ("Exp", |_, _| plain(math::exp().into_hir())),
    ("Log", |_, _| plain(math::ln().into_hir())),
    ("Erf", |_, _| plain(math::erf().into_hir())),
    ("Reciprocal", |_, _| plain(math::recip().into_hir())),
    ("Floor", |_, _| plain(math::floor().into_hir())),
    ("Ceil", |_, _| plain(math::ceil().into_hir())),
    ("Round", |_, _| plain(math::round_half_to_even().into_hir())),
    ("Equal", |_, _| plain(logic::CompEq.into_hir())),
    ("Less", |_, _| plain(logic::CompLT.into_hir())),
    ("LessOrEqual", |_, _| plain(logic::CompLTE.into_hir())),
    ("Greater", |_, _| plain(logic::CompGT.into_hir())),
    ("GreaterOrEqual", |_, _| plain(logic::CompGTE.into_hir())),
    ("And", |_, _| plain(logic::And.into_hir())),
    ("Or", |_, _| plain(logic::Or.into_hir())),
    ("Not", |_, _| plain(logic::not().into_hir())),
    ("Where", |_, _| expanded(logic::Iff)),
];

/// A power keeps the type of its base, whatever the exponent's.
#[derive(Debug, Clone)]
struct Pow;

impl Expansion for Pow {
    fn name(&self) -> StaticName {
        "Pow".into()
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
        s.with(&inputs[0].shape, move |s, base| {
            s.with(&inputs[1].shape, move |s, exponent| match infer_shape_broadcasting(&[&base, &exponent])? {
                Some(shape) => s.equals(&outputs[0].shape, shape),
                None => Ok(()),
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let base = model.outlet_fact(inputs[0])?.datum_type;
        let exponent = model.outlet_fact(inputs[1])?.datum_type;
        let wires = wire_rank_broadcast(prefix, model, inputs)?;
        // A whole number raised to a fraction, or a fraction to a whole number.
        let mixed = base.is_integer() != exponent.is_integer();
        let kind = if mixed { Some(DatumType::F64) } else { base.common_super_type(exponent) };
        let kind = kind.with_context(|| format!("{prefix}: {base:?} to the power of {exponent:?}"))?;
        let wires = wire_cast(prefix, model, &wires, kind)?;
        if kind == base {
            return model.wire_node(prefix, math::pow(), &wires);
        }
        let power = model.wire_node(format!("{prefix}.pow"), math::pow(), &wires)?;
        model.wire_node(prefix, cast(base), &power)
    }
}
