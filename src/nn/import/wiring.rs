//! Making one operator of several of tract's.

use tract_onnx::tract_core::ops::change_axes::wire_with_rank_broadcast;
use tract_onnx::tract_hir::internal::*;

/// A model that a node's operators are added to, each named after the node.
pub(super) struct Wiring<'a> {
    prefix: String,
    model: &'a mut TypedModel,
}

impl<'a> Wiring<'a> {
    /// Operators of the node `prefix`.
    pub(super) fn new(prefix: impl Into<String>, model: &'a mut TypedModel) -> Wiring<'a> {
        Wiring { prefix: prefix.into(), model }
    }

    /// Operators of a part of the node.
    pub(super) fn part(&mut self, name: &str) -> Wiring<'_> {
        Wiring { prefix: self.named(name), model: self.model }
    }

    fn named(&self, name: &str) -> String {
        if name.is_empty() { self.prefix.clone() } else { format!("{}.{name}", self.prefix) }
    }

    /// Adds an operator of one output. Inputs of fewer axes get ones in front. The last operator has no `name` but the node's.
    pub(super) fn apply(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        Ok(wire_with_rank_broadcast(self.named(name), self.model, op, inputs)?[0])
    }

    /// As [`apply`](Wiring::apply), for an operator whose inputs are of ranks of their own.
    pub(super) fn apply_to(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        Ok(self.model.wire_node(self.named(name), op, inputs)?[0])
    }

    /// Adds an operator that becomes several.
    pub(super) fn expand(&mut self, name: &str, op: &impl Expansion, inputs: &[OutletId]) -> TractResult<OutletId> {
        Ok(op.wire(&self.named(name), self.model, inputs)?[0])
    }

    /// Adds a constant.
    pub(super) fn constant(&mut self, name: &str, value: Tensor) -> TractResult<OutletId> {
        self.model.add_const(self.named(name), value)
    }

    /// Adds a number of the type and as many axes as `like`.
    pub(super) fn number(&mut self, name: &str, value: f32, like: OutletId) -> TractResult<OutletId> {
        let fact = self.fact(like)?;
        let value = tensor0(value).cast_to_dt(fact.datum_type)?.into_owned().broadcast_into_rank(fact.rank())?;
        self.constant(name, value)
    }

    /// What is known of a value.
    pub(super) fn fact(&self, outlet: OutletId) -> TractResult<&TypedFact> {
        self.model.outlet_fact(outlet)
    }

    /// The value of the input called `what`, which must be known.
    pub(super) fn known(&self, outlet: OutletId, what: &str) -> TractResult<Arc<Tensor>> {
        let value = self.fact(outlet)?.konst.clone();
        value.with_context(|| format!("{}: {what} must be a constant", self.prefix))
    }
}
