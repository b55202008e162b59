//! Operators along axes that a node names.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::{Built, expanded, input, ints};

/// The index of an axis among `rank`; negative ones are counted from the end.
pub(super) fn resolve(axis: i64, rank: usize) -> TractResult<usize> {
    let count = rank as i64;
    ensure!((-count..count).contains(&axis), "axis {axis} of a tensor with {rank} axes");
    Ok(axis.rem_euclid(count) as usize)
}

/// As [`resolve`] for many, sorted; none may be named twice.
pub(super) fn resolve_all(axes: &[i64], rank: usize) -> TractResult<Vec<usize>> {
    let mut axes: Vec<usize> = axes.iter().map(|&axis| resolve(axis, rank)).collect::<TractResult<_>>()?;
    axes.sort_unstable();
    ensure!(axes.windows(2).all(|pair| pair[0] != pair[1]), "an axis is named twice");
    Ok(axes)
}

/// An operator of tract's that indexes the first input's shape by an axis, with that axis checked.
#[derive(Debug, Clone)]
pub(super) struct OnAxis<E> {
    /// The axis as the node has it.
    pub(super) axis: i64,
    /// Whether it may be the one behind the last.
    pub(super) end_allowed: bool,
    /// The operator.
    pub(super) op: E,
}

impl<E: Expansion + Clone> Expansion for OnAxis<E> {
    fn name(&self) -> StaticName {
        self.op.name()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.op.nboutputs()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        ensure!(!inputs.is_empty(), "an input is missing");
        s.given(&inputs[0].rank, move |_, rank| {
            if self.end_allowed && self.axis == rank {
                return Ok(());
            }
            resolve(self.axis, rank as usize).map(drop)
        })?;
        self.op.rules(s, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        self.op.wire(prefix, model, inputs)
    }
}

/// An operator over several axes.
pub(super) trait OverAxes: std::fmt::Debug + Clone + Send + Sync + 'static {
    /// Its name in profiles.
    const NAME: &'static str;

    /// The axes that are meant by those `listed`, or by none.
    fn axes(&self, listed: &[i64], shape: &[TDim]) -> TractResult<Vec<usize>>;

    /// The type of the output, when it is not that of the input.
    fn output_type(&self) -> Option<DatumType> {
        None
    }

    /// The shape of the output.
    fn output_shape(&self, axes: &[usize], shape: &[TDim]) -> TractResult<TVec<TDim>>;

    /// Adds it to a model.
    fn wire(
        &self,
        axes: &[usize],
        prefix: &str,
        model: &mut TypedModel,
        input: OutletId,
    ) -> TractResult<TVec<OutletId>>;
}

/// Makes `op` of a node that lists its axes in an attribute or, in later versions of ONNX, in its second input.
pub(super) fn over_axes(node: &NodeProto, by_input: bool, op: impl OverAxes) -> Built {
    let listed = match by_input {
        true => None,
        false => node.get_attr_opt_vec::<i64>("axes")?,
    };
    let by_input = by_input && input(node, 1).is_some();
    expanded(Imported { listed: listed.unwrap_or_default(), by_input, op })
}

/// As [`over_axes`] for one axis that is known.
pub(super) fn over_axis(axis: i64, op: impl OverAxes) -> Built {
    expanded(Imported { listed: vec![axis], by_input: false, op })
}

#[derive(Debug, Clone)]
struct Imported<O> {
    listed: Vec<i64>,
    by_input: bool,
    op: O,
}

impl<O: OverAxes> Expansion for Imported<O> {
    fn name(&self) -> StaticName {
        O::NAME.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, if self.by_input { 2 } else { 1 })?;
        check_output_arity(outputs, 1)?;
        match self.op.output_type() {
            Some(kind) => s.equals(&outputs[0].datum_type, kind)?,
            None => s.equals(&outputs[0].datum_type, &inputs[0].datum_type)?,
        }
        let shaped = move |s: &mut Solver<'r>, shape: &[TDim], listed: &[i64]| {
            let axes = self.op.axes(listed, shape)?;
            s.equals(&outputs[0].shape, self.op.output_shape(&axes, shape)?)
        };
        match self.by_input {
            true => s.given_2(&inputs[0].shape, &inputs[1].value, move |s, shape, listed| {
                shaped(s, &shape, &ints(&listed)?)
            }),
            false => s.given(&inputs[0].shape, move |s, shape| shaped(s, &shape, &self.listed)),
        }
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let shape = model.outlet_fact(inputs[0])?.shape.to_tvec();
        let axes = if self.by_input {
            let listed = model.outlet_fact(inputs[1])?.konst.clone();
            let listed = listed.with_context(|| format!("{prefix}: axes must be constant"))?;
            self.op.axes(&ints(&listed)?, &shape)?
        } else {
            self.op.axes(&self.listed, &shape)?
        };
        self.op.wire(&axes, prefix, model, inputs[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_counted_from_both_ends_and_no_further() {
        assert_eq!(resolve(3, 4).unwrap(), 3);
        assert_eq!(resolve(-4, 4).unwrap(), 0);
        for (axis, rank) in [(4, 4), (-5, 4), (0, 0), (i64::MIN, 4), (i64::MAX, 4)] {
            assert!(resolve(axis, rank).is_err(), "{axis} of {rank}");
        }
        assert_eq!(resolve_all(&[-1, 0], 3).unwrap(), [0, 2]);
        assert!(resolve_all(&[-1, 2], 3).is_err());
    }
}
