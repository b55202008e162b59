//! Sums, means, extremes along axes.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::nn::{Reduce, Reducer};

use super::axes::{OverAxes, over_axes, over_axis, resolve_all};
use super::{Built, Table};

pub(super) const TABLE: &Table = &[
    ("ReduceMean", |context, node| reduction(context, node, Reducer::Mean, AXES_ARE_INPUT_SINCE)),
    // Earlier than the others.
    ("ReduceSum", |context, node| reduction(context, node, Reducer::Sum, 13)),
    ("ReduceMax", |context, node| reduction(context, node, Reducer::Max, AXES_ARE_INPUT_SINCE)),
    ("ReduceMin", |context, node| reduction(context, node, Reducer::Min, AXES_ARE_INPUT_SINCE)),
    ("ReduceProd", |context, node| reduction(context, node, Reducer::Prod, AXES_ARE_INPUT_SINCE)),
    ("ReduceL1", |context, node| reduction(context, node, Reducer::L1, AXES_ARE_INPUT_SINCE)),
    ("ReduceL2", |context, node| reduction(context, node, Reducer::L2, AXES_ARE_INPUT_SINCE)),
    ("ReduceSumSquare", |context, node| reduction(context, node, Reducer::SumSquare, AXES_ARE_INPUT_SINCE)),
    ("ArgMax", |_, node| arg(node, Reducer::ArgMax(last(node)?))),
    ("ArgMin", |_, node| arg(node, Reducer::ArgMin(last(node)?))),
];

/// The opset since which axes are an input.
const AXES_ARE_INPUT_SINCE: i64 = 18;

fn reduction(context: &ParsingContext, node: &NodeProto, reducer: Reducer, input_since: i64) -> Built {
    let by_input = context.onnx_operator_set_version >= input_since;
    let none_is_none = by_input && node.get_attr_opt::<i64>("noop_with_empty_axes")?.unwrap_or(0) == 1;
    over_axes(node, by_input, Reduction { reducer, keep: keep(node)?, none_is_none })
}

fn keep(node: &NodeProto) -> TractResult<bool> {
    Ok(node.get_attr_opt::<i64>("keepdims")?.unwrap_or(1) == 1)
}

/// Whether the last of equal values counts.
fn last(node: &NodeProto) -> TractResult<bool> {
    Ok(node.get_attr_opt("select_last_index")?.unwrap_or(false))
}

fn arg(node: &NodeProto, reducer: Reducer) -> Built {
    let axis = node.get_attr_opt("axis")?.unwrap_or(0);
    over_axis(axis, Reduction { reducer, keep: keep(node)?, none_is_none: false })
}

#[derive(Debug, Clone)]
struct Reduction {
    reducer: Reducer,
    /// Whether a reduced axis stays, with one value.
    keep: bool,
    /// Whether an empty list of axes means none, not all.
    none_is_none: bool,
}

impl Reduction {
    fn over(&self, axes: &[usize]) -> Reduce {
        Reduce::new(Some(axes.iter().map(|&axis| axis as i64).collect()), self.keep, self.reducer)
    }
}

impl OverAxes for Reduction {
    const NAME: &'static str = "Reduction";

    fn axes(&self, listed: &[i64], shape: &[TDim]) -> TractResult<Vec<usize>> {
        match listed.is_empty() && !self.none_is_none {
            true => Ok((0..shape.len()).collect()),
            false => resolve_all(listed, shape.len()),
        }
    }

    fn output_type(&self) -> Option<DatumType> {
        matches!(self.reducer, Reducer::ArgMax(_) | Reducer::ArgMin(_)).then_some(DatumType::I64)
    }

    fn output_shape(&self, axes: &[usize], shape: &[TDim]) -> TractResult<TVec<TDim>> {
        Ok(self.over(axes).output_shape(shape))
    }

    fn wire(
        &self,
        axes: &[usize],
        prefix: &str,
        model: &mut TypedModel,
        input: OutletId,
    ) -> TractResult<TVec<OutletId>> {
        self.over(axes).wire(prefix, model, &[input])
    }
}
