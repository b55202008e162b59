//! How much memory the graph's values take, found out before any of them is made.
//!
//! While it works out shapes, the importer also computes every value that depends on constants only, whatever its size: 30 bytes of
//! file can ask for a tensor of terabytes, and a chain of small steps for the same. So each operator stands in a wrapper during that
//! analysis. It takes the shapes first, adds their sizes up, and lets the operator compute only when they are within the limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tract_onnx::pb::GraphProto;
use tract_onnx::prelude::{InferenceFact, InferenceModel, InferenceModelExt, OutletId, TVec, TractResult};
use tract_onnx::tract_hir::infer::{Factoid, InferenceNode, InferenceOp};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::source::Source;

use super::MAX_VALUES_BYTES;
use super::fault::{Fault, shown};
use super::names::{Declared, input_name};

/// The longest reason of the engine that a message repeats.
const REASON_CHARS: usize = 600;

/// What is computed of constants while shapes are worked out.
const MAX_FOLDED_BYTES: u64 = 64 << 20;

/// Not larger than this are the values that shapes are made of.
const SHAPE_BYTES: u64 = 4 << 10;

/// Works out all shapes of `model`, whose input has `input_shape`, and refuses one whose values would take too much memory.
///
/// # Errors
/// [`Fault::Memory`]; [`Fault::Input`] when the shapes do not go together and the input's is not what the file declares; else
/// what the engine says.
pub(crate) fn sizes(model: &mut InferenceModel, graph: &GraphProto, input_shape: &[usize]) -> TractResult<()> {
    let operators: HashMap<&str, &str> = graph
        .node
        .iter()
        .map(|node| {
            // The importer calls a node without a name by its first output.
            let name = if node.name.is_empty() { node.output.first().unwrap_or(&node.name) } else { &node.name };
            (&**name, &*node.op_type)
        })
        .collect();
    let (total, folded) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for node in model.nodes_mut() {
        if node.op_as::<Source>().is_some() {
            continue;
        }
        let (name, operator) = (shown(&node.name), shown(operators.get(&*node.name).unwrap_or(&"Constant")));
        let op = std::mem::replace(&mut node.op, Box::new(Source::new()));
        node.op = Box::new(Counted { op, name, operator, own_bytes: 0, total: total.clone(), folded: folded.clone() });
    }
    let analysis = model.analyse(false);
    for node in model.nodes_mut() {
        if let Some(counted) = node.op_as_mut::<Counted>() {
            node.op = std::mem::replace(&mut counted.op, Box::new(Source::new()));
        }
    }
    let Err(error) = analysis else { return Ok(()) };
    match Declared::of(graph) {
        Some(declared) if !declared.takes(input_shape) && error.downcast_ref::<Fault>().is_none() => {
            Err(Fault::Input {
                input: input_name(graph),
                declared: declared.to_string(),
                asked: input_shape.to_vec(),
                reason: format!("{error:#}").chars().take(REASON_CHARS).collect(),
            }
            .into())
        }
        _ => Err(error),
    }
}

/// An operator whose values are counted before they are made.
#[derive(Debug, Clone)]
struct Counted {
    op: Box<dyn InferenceOp>,
    name: String,
    operator: String,
    /// What this node has added to the total.
    own_bytes: u64,
    total: Arc<AtomicU64>,
    /// What the nodes have computed and kept so far.
    folded: Arc<AtomicU64>,
}

impl Counted {
    /// Counts the outputs as far as their shapes are known.
    fn count(&mut self, inputs: &[InferenceFact], outputs: &[InferenceFact]) -> Result<(), Fault> {
        let sizes: Option<Vec<u64>> = outputs.iter().map(fact_bytes).collect();
        let refuse = |reason: &str| {
            let field = "output".to_owned();
            Err(Fault::Node {
                node: self.name.clone(),
                operator: self.operator.clone(),
                field,
                reason: reason.to_owned(),
            })
        };
        if outputs
            .iter()
            .filter_map(|fact| fact.shape.concretize())
            .flatten()
            .any(|dim| dim.to_i64().is_ok_and(|dim| dim < 0))
        {
            return refuse("an axis of negative length");
        }
        // An operator that can be computed now makes its values when it is asked next, and their size must be known before.
        if sizes.is_none() && !inputs.is_empty() && inputs.iter().all(|fact| fact.value.is_concrete()) {
            return refuse("its size cannot be known before it is computed");
        }
        let own = sizes.unwrap_or_default().into_iter().fold(0, u64::saturating_add);
        let added = own.saturating_sub(self.own_bytes);
        self.own_bytes = self.own_bytes.max(own);
        let total = self.total.fetch_add(added, Ordering::Relaxed).saturating_add(added);
        let bytes = total.max(self.columns_bytes(inputs, outputs));
        if bytes > MAX_VALUES_BYTES {
            return Err(Fault::Memory {
                node: self.name.clone(),
                operator: self.operator.clone(),
                bytes,
                limit: MAX_VALUES_BYTES,
            });
        }
        Ok(())
    }

    /// Whether there is room to keep the node's values. Shapes and the like are always computed, since others wait for them; so are
    /// large constants until [`MAX_FOLDED_BYTES`] are kept: those are not needed before the graph runs, and by then it is known that
    /// all together are within the limit.
    fn may_fold(&self) -> bool {
        let own = self.own_bytes;
        own <= SHAPE_BYTES || self.folded.fetch_add(own, Ordering::Relaxed).saturating_add(own) <= MAX_FOLDED_BYTES
    }

    /// A convolution may lay out its input once for each place of the window.
    fn columns_bytes(&self, inputs: &[InferenceFact], outputs: &[InferenceFact]) -> u64 {
        if !self.operator.contains("Conv") || inputs.len() < 2 {
            return 0;
        }
        // In QLinearConv the weights stand behind the input's scale and zero point.
        let weights = &inputs[if self.operator == "QLinearConv" && inputs.len() > 3 { 3 } else { 1 }];
        let (Some(input), Some(weights), Some(output)) =
            (dims(&inputs[0]), dims(weights), outputs.first().and_then(dims))
        else {
            return 0;
        };
        let product = |dims: &[u64]| dims.iter().copied().fold(1, u64::saturating_mul);
        let window = product(weights.get(2..).unwrap_or_default());
        let places = product(output.get(2..).unwrap_or_default()).max(product(input.get(2..).unwrap_or_default()));
        let channels = input.get(1).copied().unwrap_or(1);
        window.saturating_mul(places).saturating_mul(channels).saturating_mul(size_of::<f32>() as u64)
    }
}

/// The shape, when it is known.
fn dims(fact: &InferenceFact) -> Option<TVec<u64>> {
    fact.shape.concretize()?.iter().map(|dim| dim.to_i64().ok().and_then(|dim| u64::try_from(dim).ok())).collect()
}

/// What a value takes in memory, when its shape is known; a type that is not known yet counts as 8 bytes.
fn fact_bytes(fact: &InferenceFact) -> Option<u64> {
    let element = fact.datum_type.concretize().map_or(8, |t| t.size_of()) as u64;
    Some(dims(fact)?.iter().copied().fold(element, u64::saturating_mul))
}

impl InferenceOp for Counted {
    fn infer(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(TVec<InferenceFact>, TVec<InferenceFact>, TVec<InferenceFact>)> {
        let facts = self.op.infer_facts(inputs.clone(), outputs.clone(), observed.clone())?;
        self.count(&facts.0, &facts.1)?;
        // Only an operator whose inputs are all constant is computed; only then must it be asked again.
        if facts.0.iter().all(|fact| fact.value.is_concrete()) && self.may_fold() {
            return self.op.infer(inputs, outputs, observed);
        }
        Ok(facts)
    }

    fn observe_outlets(&self, model: &InferenceModel, node: &InferenceNode) -> TractResult<Vec<OutletId>> {
        self.op.observe_outlets(model, node)
    }

    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(TVec<InferenceFact>, TVec<InferenceFact>, TVec<InferenceFact>)> {
        self.op.infer_facts(inputs, outputs, observed)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.op.nboutputs()
    }

    as_op!();
}

impl Op for Counted {
    fn name(&self) -> StaticName {
        self.op.name()
    }

    not_a_typed_op!();
}

impl EvalOp for Counted {
    not_out_of_plan!();
}

// Two wrappers are never the same operator.
impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Counted {}
