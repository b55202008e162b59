//! The operators that a model file may name.
//!
//! tract brings an importer with every operator it has. This table is ours instead, for two reasons. A file may come from anywhere,
//! and only operators that were looked at, each for what a hostile file could do with it, are to be reached by one. And the linker keeps
//! whatever a table names: recurrent networks, trees, Fourier transforms and attention are megabytes in a program that recognises faces.
//!
//! What an operator computes is tract's; here stands how its attributes and inputs are read, for every version of ONNX that exporters
//! of such networks write. To add one: find the file of its concept, add a line to its table with the builder, check whatever tract
//! would index by or allocate by, and add a case to `laws`, which holds each operator against tract's own importer and fails for one
//! without a case.
//!
//! PRelu is ours altogether, see `prelu`.

mod activations;
mod arithmetic;
mod axes;
#[cfg(test)]
mod laws;
mod normalise;
mod pieces;
mod products;
mod quantised;
mod reductions;
mod resize;
mod shapes;
mod values;
mod windows;
mod wiring;

use tract_onnx::model::{OnnxOpRegister, ParsingContext, optional_inputs};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// An operator, and the names that it reads beside its inputs: none, but the importer wants the list.
type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// Makes an operator of a node.
type Builder = fn(&ParsingContext, &NodeProto) -> Built;

/// Operators by their names in a file.
type Table = [(&'static str, Builder)];

/// All operators, by concept.
const TABLES: [&Table; 11] = [
    activations::TABLE,
    arithmetic::TABLE,
    normalise::TABLE,
    pieces::TABLE,
    products::TABLE,
    quantised::TABLE,
    reductions::TABLE,
    resize::TABLE,
    shapes::TABLE,
    values::TABLE,
    windows::TABLE,
];

/// The register that tract's importer takes.
pub(super) fn register() -> OnnxOpRegister {
    let mut register = OnnxOpRegister::default();
    for &(name, builder) in TABLES.into_iter().flatten() {
        register.insert(name, builder);
    }
    register
}

/// An operator of tract's that works out shapes by itself.
fn plain(op: Box<dyn InferenceOp>) -> Built {
    Ok((op, Vec::new()))
}

/// An operator that becomes others once shapes are known.
fn expanded(op: impl Expansion) -> Built {
    plain(expand(op))
}

/// Where the input that ONNX lists at `place` stands among those that the node gives; none for one that it leaves out.
fn input(node: &NodeProto, place: usize) -> Option<usize> {
    optional_inputs(node).nth(place).flatten()
}

/// The rules of an operator with one output, of the type and shape of the first of its `count` inputs.
fn like_input<'r, 'p: 'r>(
    s: &mut Solver<'r>,
    inputs: &'p [TensorProxy],
    outputs: &'p [TensorProxy],
    count: usize,
) -> InferenceResult {
    check_input_arity(inputs, count)?;
    check_output_arity(outputs, 1)?;
    s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
    s.equals(&inputs[0].shape, &outputs[0].shape)
}

/// The values of a tensor of integers.
fn ints(tensor: &Tensor) -> TractResult<Vec<i64>> {
    Ok(tensor.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
}

/// The lengths of a shape. The input's are numbers, so one that is none is what sizes come to that do not go together.
fn lengths(shape: &[TDim]) -> TractResult<TVec<usize>> {
    let length = |dim: &TDim| dim.to_usize().ok();
    let lengths: Option<TVec<usize>> = shape.iter().map(length).collect();
    lengths.with_context(|| format!("the sizes {shape:?} do not work out; is it made for pictures of another size?"))
}
