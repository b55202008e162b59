//! What a model file must keep to before the engine sees it.
//!
//! A file may come from anywhere (`--models DIR`), and the importer believes what it says: it indexes by it, allocates by it and works
//! out constants of any size. So a file passes four gates, in this order:
//! 1. [`bytes`]: the protobuf encoding is whole, not deeper than a graph is, and decoding takes not much more memory than the file
//!    is long (`wire.rs`).
//! 2. [`model`]: one plain graph in which every name is made before it is read, by operators that the engine has (`names.rs`);
//!    tensors that hold what they declare, all values finite (`tensors.rs`); attributes and quantisation parameters within bounds
//!    (`axes.rs`, `windows.rs`, `scales.rs`).
//! 3. [`sizes`]: with the input's shape known, all values together within [`MAX_VALUES_BYTES`], counted before the engine works out any
//!    constant (`sizes.rs`).
//!
//! The limits stand here, each with its reason. Peak memory of loading is bounded by the sum: the file a few times over, decoding,
//! and the values.

mod axes;
mod fault;
mod names;
mod scales;
mod sizes;
mod tensors;
mod windows;
mod wire;

use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto};

pub use self::fault::Fault;
pub(super) use self::fault::shown;
pub(super) use self::names::{input_of, structure};
pub(super) use self::sizes::sizes;

/// The longest file: twice an ArcFace on ResNet-100 in float.
pub(super) const MAX_FILE_BYTES: usize = 512 << 20;

/// How much more memory than the file's length decoding may take. YuNet takes 0.3 MB, a quantised net of 200 layers about 10.
pub(super) const MAX_DECODED_BYTES: usize = 64 << 20;

/// The most nodes. ResNet-100 has 350, and some 3,000 with quantisation written out; the importer takes time by the square of it.
pub(super) const MAX_NODES: usize = 10_000;

/// The most initialisers; as [`MAX_NODES`].
pub(super) const MAX_INITIALISERS: usize = 20_000;

/// All values that a graph computes in one run, constants included, as if none were ever freed. YuNet at 640x640 takes 0.1 GB, an
/// ArcFace on ResNet-100 0.2 GB.
pub(super) const MAX_VALUES_BYTES: u64 = 1 << 30;

/// Checks the bytes of a file.
pub(super) fn bytes(onnx: &[u8]) -> Result<(), Fault> {
    wire::scan(onnx)
}

/// Checks a decoded file that is to be loaded for an input of `input_shape`. `supported` says whether the engine has an operator.
pub(super) fn model(proto: &ModelProto, input_shape: &[usize], supported: impl Fn(&str) -> bool) -> Result<(), Fault> {
    let graph = names::structure(proto, supported)?;
    let tensors = tensors::check(graph)?;
    for node in &graph.node {
        axes::check(node)?;
        windows::check(node, &tensors)?;
    }
    scales::check(graph, &tensors)?;
    names::input(graph, input_shape)
}

/// A node's name as messages show it: its own, or that of its first output.
fn node_name(node: &NodeProto) -> String {
    match (&node.name, node.output.first()) {
        (name, Some(output)) if name.is_empty() => shown(output),
        (name, _) => shown(name),
    }
}

/// A fault at `field` of `node`.
pub(super) fn node_fault(node: &NodeProto, field: impl Into<String>, reason: impl Into<String>) -> Fault {
    Fault::Node { node: node_name(node), operator: shown(&node.op_type), field: field.into(), reason: reason.into() }
}

/// The attribute called `name`.
fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}
