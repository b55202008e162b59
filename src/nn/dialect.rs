//! Old ways of writing what later versions of ONNX write otherwise, brought to the form that the engine takes.

use std::collections::HashSet;

use tract_onnx::pb::{ModelProto, NodeProto};

use super::check::{Fault, node_fault};

/// Rewrites `proto`, which has passed the check.
///
/// Up to opset 8 a BatchNormalization could say `spatial = 0`: statistics for every place of a channel instead of for the channel.
/// MXNet's exporter says it of all of them, the ArcFace of the ONNX model zoo among them, and stores statistics of channels
/// nevertheless, which leaves one meaning only.
///
/// # Errors
/// A [`Fault`] for a node that does have statistics for every place.
pub(super) fn settle(proto: &mut ModelProto) -> Result<(), Fault> {
    let Some(graph) = proto.graph.as_mut() else { return Ok(()) };
    let vectors: HashSet<&str> =
        graph.initializer.iter().filter(|tensor| tensor.dims.len() == 1).map(|tensor| &*tensor.name).collect();
    for node in graph.node.iter_mut().filter(|node| place_by_place(node)) {
        if let Some(index) = (1..node.input.len()).find(|&index| !vectors.contains(&*node.input[index])) {
            let reason = format!("it is 0, and input {index} is no initialiser of one value a channel");
            return Err(node_fault(node, "spatial", reason));
        }
        node.attribute.retain(|attribute| attribute.name != "spatial");
    }
    Ok(())
}

/// Whether a node is a BatchNormalization with `spatial = 0`.
fn place_by_place(node: &NodeProto) -> bool {
    node.op_type == "BatchNormalization" && node.attribute.iter().any(|a| a.name == "spatial" && a.i == 0)
}
