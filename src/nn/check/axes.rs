//! Attributes that name axes.
//!
//! The importer turns a transposition into a series of swaps, and does so without end when `perm` names an axis twice: a file of 400
//! bytes then takes all memory there is.

use tract_onnx::pb::NodeProto;

use super::fault::Fault;
use super::tensors::MAX_RANK;
use super::{attribute, node_fault};

/// Checks `perm`, `axis` and `axes` of a node as far as the rank of its input is not needed.
pub(super) fn check(node: &NodeProto) -> Result<(), Fault> {
    let limit = MAX_RANK as i64;
    if let Some(perm) = attribute(node, "perm") {
        let mut sorted = perm.ints.clone();
        sorted.sort_unstable();
        if perm.ints.len() > MAX_RANK || !sorted.iter().copied().eq(0..perm.ints.len() as i64) {
            let shown = &perm.ints[..perm.ints.len().min(MAX_RANK)];
            return Err(node_fault(node, "perm", format!("{shown:?}: each axis from 0 is expected once")));
        }
    }
    if let Some(axis) = attribute(node, "axis").filter(|axis| !(-limit..=limit).contains(&axis.i)) {
        return Err(node_fault(node, "axis", format!("{}: there are at most {MAX_RANK} axes", axis.i)));
    }
    if let Some(axes) = attribute(node, "axes") {
        let mut sorted = axes.ints.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != axes.ints.len() || sorted.iter().any(|axis| !(-limit..=limit).contains(axis)) {
            let shown = &axes.ints[..axes.ints.len().min(MAX_RANK)];
            return Err(node_fault(node, "axes", format!("{shown:?}: up to {MAX_RANK} axes, each once, are expected")));
        }
    }
    Ok(())
}
