//! Values that stand in the file, or are other values as they are.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array;
use tract_onnx::tract_hir::ops::cast;
use tract_onnx::tract_hir::ops::identity::Identity;
use tract_onnx::tract_hir::ops::konst::Const;

use super::{Built, Table, expanded, plain};

pub(super) const TABLE: &Table = &[
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Identity", |_, _| plain(Box::new(Identity))),
    ("Cast", cast_to),
    ("Range", |_, _| expanded(Range)),
];

fn constant(context: &ParsingContext, node: &NodeProto) -> Built {
    let value = if let Some(value) = node.get_attr_opt("value")? {
        context.load_tensor(value)?
    } else if let Some(value) = node.get_attr_opt::<f32>("value_float")? {
        tensor0(value)
    } else if let Some(value) = node.get_attr_opt::<i64>("value_int")? {
        tensor0(value)
    } else if let Some(values) = node.get_attr_opt_slice::<f32>("value_floats")? {
        tensor1(values)
    } else if let Some(values) = node.get_attr_opt_slice::<i64>("value_ints")? {
        tensor1(values)
    } else {
        return node.bail("it has no value, or none of numbers");
    };
    plain(Box::new(Const::new(value.into_arc_tensor())?))
}

fn constant_of_shape(context: &ParsingContext, node: &NodeProto) -> Built {
    let value = node.get_attr_opt("value")?.map_or_else(|| Ok(tensor0(0f32)), |value| context.load_tensor(value))?;
    node.expect_attr("value", value.len() == 1, "one number")?;
    expanded(array::ConstantOfShape::new(value.into_shape(&[])?.into_arc_tensor()))
}

fn cast_to(_: &ParsingContext, node: &NodeProto) -> Built {
    let to = match node.get_attr::<DatumType>("to")? {
        // Sizes are of a type of their own in tract, which counts in it.
        DatumType::I64 => TDim::datum_type(),
        DatumType::String => return node.bail_attr("to", "texts are not supported"),
        to => to,
    };
    plain(Box::new(cast::cast(to)))
}

/// tract's, with steps that get somewhere.
#[derive(Debug, Clone)]
struct Range;

impl Expansion for Range {
    fn name(&self) -> StaticName {
        "Range".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 3)?;
        s.given(&inputs[2].value, move |_, step| {
            ensure!(step.cast_to_scalar::<i64>()? > 0, "a step of {step:?}: 1 or more is expected");
            Ok(())
        })?;
        array::Range.rules(s, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        array::Range.wire(prefix, model, inputs)
    }
}
