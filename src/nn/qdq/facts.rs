//! Looking things up in an ONNX graph: constants, attributes, who makes and who reads a tensor.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// An index over a graph.
pub(super) struct Facts<'a> {
    pub(super) nodes: &'a [NodeProto],
    constants: HashMap<&'a str, &'a TensorProto>,
    producers: HashMap<&'a str, usize>,
    consumers: HashMap<&'a str, Vec<usize>>,
    outputs: HashSet<&'a str>,
}

/// How the values of a tensor are written as integers: `real = scale * (stored - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    pub(super) scale: f32,
    /// As a stored byte: 128 stands for a signed zero.
    pub(super) zero: u8,
}

/// A quantised weight: integers less their zero point, with the scale of every output channel.
pub(super) struct Weight {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<i8>,
    /// One, or one an index of `axis`.
    pub(super) scales: Vec<f64>,
    pub(super) axis: usize,
}

impl<'a> Facts<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Facts<'a> {
        let mut constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut producers = HashMap::new();
        let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for output in node.output.iter().filter(|name| !name.is_empty()) {
                producers.insert(output.as_str(), index);
                if node.op_type == "Constant"
                    && let Some(value) = attribute(node, "value").and_then(|value| value.t.as_ref())
                {
                    constants.insert(output, value);
                }
            }
            for input in node.input.iter().filter(|name| !name.is_empty()) {
                consumers.entry(input).or_default().push(index);
            }
        }
        let outputs = graph.output.iter().map(|output| output.name.as_str()).collect();
        Facts { nodes: &graph.node, constants, producers, consumers, outputs }
    }

    /// The node that makes a tensor.
    pub(super) fn producer(&self, tensor: &str) -> Option<usize> {
        self.producers.get(tensor).copied()
    }

    /// The nodes that read a tensor, once for each time they do.
    pub(super) fn consumers(&self, tensor: &str) -> &[usize] {
        self.consumers.get(tensor).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody but one node reads a tensor.
    pub(super) fn is_private(&self, tensor: &str) -> bool {
        self.consumers(tensor).len() == 1 && !self.outputs.contains(tensor)
    }

    pub(super) fn is_output(&self, tensor: &str) -> bool {
        self.outputs.contains(tensor)
    }

    /// The dimensions and values of a constant of floats.
    pub(super) fn floats(&self, tensor: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let constant = self.constants.get(tensor)?;
        let dims = dims(constant)?;
        let values = match data_type(constant)? {
            DataType::Float if constant.float_data.is_empty() => {
                words(&constant.raw_data).map(f32::from_le_bytes).collect()
            }
            DataType::Float => constant.float_data.clone(),
            _ => return None,
        };
        (values.len() == dims.iter().product::<usize>()).then_some((dims, values))
    }

    /// The values of a constant of 64-bit integers.
    pub(super) fn integers(&self, tensor: &str) -> Option<Vec<i64>> {
        let constant = self.constants.get(tensor)?;
        (data_type(constant)? == DataType::Int64).then(|| match constant.int64_data.is_empty() {
            true => {
                constant.raw_data.chunks_exact(8).filter_map(|b| Some(i64::from_le_bytes(b.try_into().ok()?))).collect()
            }
            false => constant.int64_data.clone(),
        })
    }

    /// A constant of small integers, widened, and its type.
    fn quantised(&self, tensor: &str) -> Option<(Vec<usize>, DataType, Vec<i32>)> {
        let constant = self.constants.get(tensor)?;
        let (dims, kind) = (dims(constant)?, data_type(constant)?);
        let raw = &constant.raw_data;
        let values: Vec<i32> = match kind {
            DataType::Int8 | DataType::Uint8 | DataType::Int32 if !constant.int32_data.is_empty() => {
                constant.int32_data.clone()
            }
            DataType::Int8 => raw.iter().map(|&byte| i32::from(byte as i8)).collect(),
            DataType::Uint8 => raw.iter().map(|&byte| i32::from(byte)).collect(),
            DataType::Int32 => words(raw).map(i32::from_le_bytes).collect(),
            _ => return None,
        };
        (values.len() == dims.iter().product::<usize>()).then_some((dims, kind, values))
    }

    /// The scale and zero point of an activation's QuantizeLinear or DequantizeLinear: one each, 8 bits.
    pub(super) fn scale(&self, node: &NodeProto) -> Option<Scale> {
        let (_, scale) = self.floats(node.input.get(1)?)?;
        let &[scale] = scale.as_slice() else { return None };
        let zero = match node.input.get(2).filter(|name| !name.is_empty()) {
            // Without a zero point the type is that of `output_dtype`, unsigned by default.
            None if integer(node, "output_dtype", 0) == 0 => 0,
            None => return None,
            Some(zero) => {
                let (_, kind, zero) = self.quantised(zero)?;
                let &[zero] = zero.as_slice() else { return None };
                match kind {
                    DataType::Int8 => zero + 128,
                    DataType::Uint8 => zero,
                    _ => return None,
                }
            }
        };
        Some(Scale { scale, zero: u8::try_from(zero).ok()? }).filter(|_| scale.is_finite() && scale > 0.0)
    }

    /// A weight that comes out of a DequantizeLinear over a constant.
    pub(super) fn weight(&self, tensor: &str) -> Option<Weight> {
        let node = &self.nodes[self.producer(tensor)?];
        if node.op_type != "DequantizeLinear" || integer(node, "block_size", 0) != 0 {
            return None;
        }
        let constant = self.constants.get(node.input.first()?.as_str())?;
        let (_, scales) = self.floats(node.input.get(1)?)?;
        let zeros = match node.input.get(2).filter(|name| !name.is_empty()) {
            None => vec![0],
            Some(zero) => self.quantised(zero)?.2,
        };
        // Most weights are signed bytes about zero: then they are taken as they are.
        let as_they_are = data_type(constant)? == DataType::Int8
            && constant.int32_data.is_empty()
            && zeros.iter().all(|&zero| zero == 0);
        let (dims, values) = if as_they_are {
            let dims = dims(constant)?;
            let fits = constant.raw_data.len() == dims.iter().product::<usize>();
            (fits.then_some(dims)?, Vec::new())
        } else {
            let (dims, _, values) = self.quantised(&node.input[0])?;
            (dims, values)
        };
        let axis = integer(node, "axis", 1);
        let axis = usize::try_from(if axis < 0 { axis + dims.len() as i64 } else { axis }).ok()?;
        let along = if scales.len() == 1 { 1 } else { *dims.get(axis)? };
        if scales.len() != along || !(zeros.len() == 1 || zeros.len() == along) {
            return None;
        }
        if scales.iter().any(|scale| !scale.is_finite() || *scale <= 0.0) {
            return None;
        }
        let scales_of = |scales: Vec<f32>| scales.into_iter().map(f64::from).collect();
        if as_they_are {
            let values = constant.raw_data.iter().map(|&byte| byte as i8).collect();
            return Some(Weight { dims, values, scales: scales_of(scales), axis });
        }
        let inner: usize = if scales.len() == 1 { values.len().max(1) } else { dims[axis + 1..].iter().product() };
        let values = values
            .iter()
            .enumerate()
            .map(|(i, value)| i8::try_from(value - zeros[i / inner.max(1) % along % zeros.len()]).ok())
            .collect::<Option<_>>()?;
        Some(Weight { dims, values, scales: scales_of(scales), axis })
    }

    /// A vector that is a constant of floats, or of integers behind a DequantizeLinear (as biases are).
    pub(super) fn vector(&self, tensor: &str) -> Option<Vec<f64>> {
        if let Some((_, values)) = self.floats(tensor) {
            return Some(values.into_iter().map(f64::from).collect());
        }
        let node = &self.nodes[self.producer(tensor)?];
        if node.op_type != "DequantizeLinear" {
            return None;
        }
        let (_, _, values) = self.quantised(&node.input[0])?;
        let (_, scales) = self.floats(node.input.get(1)?)?;
        let zeros = node
            .input
            .get(2)
            .filter(|name| !name.is_empty())
            .map_or(Some(vec![0]), |zero| Some(self.quantised(zero)?.2))?;
        let fits = |len: usize| len == 1 || len == values.len();
        (fits(scales.len()) && fits(zeros.len())).then(|| {
            let value = |(i, value): (usize, &i32)| {
                f64::from(value - zeros[i % zeros.len()]) * f64::from(scales[i % scales.len()])
            };
            values.iter().enumerate().map(value).collect()
        })
    }

    /// A constant that is one value, or varies along the channels of an NCHW tensor only.
    pub(super) fn by_channel(&self, tensor: &str) -> Option<Vec<f32>> {
        let (dims, values) = self.floats(tensor)?;
        // Counted from the end as broadcasting does: [.., C, 1, 1].
        let channels = dims.len().checked_sub(3);
        let others_are_one = dims.iter().enumerate().all(|(axis, &dim)| dim == 1 || Some(axis) == channels);
        (others_are_one && !values.is_empty() && values.iter().all(|value| value.is_finite())).then_some(values)
    }
}

/// Little-endian words of four bytes.
fn words(raw: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    raw.chunks_exact(4).map(|bytes| bytes.try_into().expect("chunks of 4 bytes"))
}

fn dims(tensor: &TensorProto) -> Option<Vec<usize>> {
    let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<_>>()?;
    dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    Some(dims)
}

fn data_type(tensor: &TensorProto) -> Option<DataType> {
    // Data outside the file is refused elsewhere; here it is merely not a constant we know.
    let inside = tensor.external_data.is_empty();
    DataType::try_from(tensor.data_type).ok().filter(|_| inside)
}

/// An attribute by its name.
fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a tract_onnx::pb::AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// An integer attribute, or its default.
pub(super) fn integer(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).filter(|a| a.r#type == AttributeType::Int as i32).map_or(default, |attribute| attribute.i)
}

/// A float attribute, or its default.
pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).filter(|a| a.r#type == AttributeType::Float as i32).map_or(default, |attribute| attribute.f)
}

/// A text attribute, or its default.
pub(super) fn text<'a>(node: &'a NodeProto, name: &str, default: &'a str) -> &'a str {
    attribute(node, name).and_then(|attribute| std::str::from_utf8(&attribute.s).ok()).unwrap_or(default)
}

/// A list of sizes with as many entries as asked for; the default where the attribute is missing, `None` where it is odd.
pub(super) fn sizes<const N: usize>(node: &NodeProto, name: &str, default: [usize; N]) -> Option<[usize; N]> {
    let Some(attribute) = attribute(node, name) else { return Some(default) };
    let sizes: Vec<usize> = attribute
        .ints
        .iter()
        .map(|&size| usize::try_from(size).ok().filter(|&size| size <= 1 << 16))
        .collect::<Option<_>>()?;
    sizes.try_into().ok()
}
