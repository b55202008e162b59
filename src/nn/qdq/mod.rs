//! Quantised ONNX files: groups of standard nodes become single operators of our own.
//!
//! A quantised file in the QDQ form states real numbers everywhere and says with pairs of QuantizeLinear and DequantizeLinear
//! which tensors fit into 8 bits. [`fuse`] reads the nodes in order and joins what one pass over the data can do: a convolution
//! or matrix product whose input and weight come out of a DequantizeLinear, its bias, a PRelu, LeakyRelu, Relu or Clip, the
//! addition of another quantised tensor, and the QuantizeLinear that ends it. Per-channel offsets (`Sub` before the quantised
//! pair and `Add` behind it) become part of the constants; maximum pooling and enlarging work on the bytes; an addition or
//! activation between two quantised tensors becomes a pass of its own. The result is a graph with one node a group and a
//! table of what these nodes do, which `operator` turns into operators of tract's plan.
//!
//! Whatever is not recognised stays as it was and runs in float, with conversions where it meets ours.

mod emit;
mod facts;
mod fusion;
mod group;

use std::collections::HashMap;
use std::sync::Arc;

use fusion::Fusion;
use tract_onnx::pb::GraphProto;

use super::int8::{Conv, Enlarge, MaxPool};

/// What a node of ours does, for any picture size.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// A convolution; a second input is the residual. Float output is NCHW.
    Conv(Conv),
    /// A matrix product over all values of its input, in the order of NCHW: the kernel is as large as the input. Float output
    /// has two axes.
    FullyConnected(Conv),
    /// On stored bytes.
    MaxPool(MaxPool),
    /// On stored bytes.
    Enlarge(Enlarge),
    /// From NCHW floats to stored bytes.
    Quantise(Quantisation),
    /// From stored bytes to NCHW floats.
    Dequantise(Quantisation, usize),
}

/// `real = scale * (stored - zero) + offset`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Quantisation {
    pub(super) scale: f32,
    pub(super) zero: u8,
    /// None, one, or one a channel.
    pub(super) offset: Vec<f32>,
}

/// A graph with its groups fused.
pub(super) struct Fused {
    /// Nodes of ours have the type [`NODE_TYPE`] and a name that is a key of `steps`.
    pub(super) graph: GraphProto,
    pub(super) steps: HashMap<String, Arc<Step>>,
    /// Set when the graph's one input is quantised at once: then it takes stored bytes, NHWC without gaps.
    pub(super) input: Option<Quantisation>,
    /// The nodes that read that input.
    pub(super) input_readers: Vec<String>,
    /// Nodes that stay with tract, as "name (type)", where the file is quantised at all.
    pub(super) float_nodes: Vec<String>,
}

/// The operator type of fused nodes.
pub(super) const NODE_TYPE: &str = "DoorwardInt8";

/// Fuses what can be fused; `None` when nothing can.
pub(super) fn fuse(graph: &GraphProto) -> Option<Fused> {
    if !graph.node.iter().any(|node| node.op_type == "QuantizeLinear") {
        return None;
    }
    Fusion::of(graph).emit(graph)
}

impl Step {
    /// The same for an input whose channel `c` stands in place `order[c]`.
    pub(super) fn reorder_input(&mut self, order: &[usize]) {
        if let Step::Conv(conv) = self
            && conv.groups == 1
            && conv.inputs == order.len()
        {
            let taps = conv.kernel[0] * conv.kernel[1];
            let weights = conv.weights.clone();
            for (to, from) in
                conv.weights.chunks_exact_mut(taps * order.len()).zip(weights.chunks_exact(taps * order.len()))
            {
                for (from, &place) in from.chunks_exact(taps).zip(order) {
                    to[place * taps..][..taps].copy_from_slice(from);
                }
            }
        }
    }
}
