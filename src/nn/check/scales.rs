//! Quantisation parameters: scales that can be multiplied and divided, zero points of the right type and number.
//!
//! A quantised layer multiplies its sums by `input scale * weight scale / output scale` in `f32`. With every scale at most
//! [`MAX_SCALE`] and the output scale at least [`MIN_OUTPUT_SCALE`] this is at most 1e12 * 1e12 / 1e-12 = 1e36, below `f32::MAX`. A weight scale
//! may be as small as a normal number gets: the channels of a layer that training has switched off have such, and a product that
//! underflows to 0 is right for them.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto};

use super::fault::Fault;
use super::tensors::{Tensors, floats, type_name};
use super::{attribute, node_fault};

/// The largest scale. The largest in use is that of a layer's sums before the division, below 1e3.
const MAX_SCALE: f32 = 1e12;

/// The smallest scale of something that is quantised at run time.
const MIN_OUTPUT_SCALE: f32 = 1e-12;

/// Where a quantised tensor, its scale and its zero point stand among a node's inputs.
struct Place {
    name: &'static str,
    /// The quantised tensor; none for an output.
    tensor: Option<usize>,
    scale: usize,
    zero_point: usize,
}

const fn place(name: &'static str, tensor: Option<usize>, scale: usize) -> Place {
    Place { name, tensor, scale, zero_point: scale + 1 }
}

const QUANTISE: [Place; 1] = [place("y", None, 1)];
const DEQUANTISE: [Place; 1] = [place("x", Some(0), 1)];
const Q_LINEAR_CONV: [Place; 3] = [place("x", Some(0), 1), place("w", Some(3), 4), place("y", None, 6)];
const Q_LINEAR_MAT_MUL: [Place; 3] = [place("a", Some(0), 1), place("b", Some(3), 4), place("y", None, 6)];

/// Checks every node that quantises.
pub(super) fn check(graph: &GraphProto, tensors: &Tensors) -> Result<(), Fault> {
    // The element type of what the nodes so far have quantised.
    let mut quantised: HashMap<&str, i32> = HashMap::new();
    for node in &graph.node {
        let places: &[Place] = match &*node.op_type {
            "QuantizeLinear" => &QUANTISE,
            "DequantizeLinear" => &DEQUANTISE,
            "QLinearConv" => &Q_LINEAR_CONV,
            "QLinearMatMul" => &Q_LINEAR_MAT_MUL,
            _ => continue,
        };
        for place in places {
            let found = check_place(node, place, tensors, &quantised)?;
            if let (None, Some(output)) = (place.tensor, node.output.first()) {
                quantised.insert(output, found);
            }
        }
    }
    Ok(())
}

/// Checks one quantised tensor of `node` and returns its element type.
fn check_place(
    node: &NodeProto,
    place: &Place,
    tensors: &Tensors,
    quantised: &HashMap<&str, i32>,
) -> Result<i32, Fault> {
    let scale_field = format!("{}_scale", place.name);
    let zero_field = format!("{}_zero_point", place.name);
    let refuse = |field: &str, reason: String| Err(node_fault(node, field, reason));
    let input = |index: usize| node.input.get(index).map(|name| &**name).filter(|name| !name.is_empty());

    let Some(scale) = input(place.scale).and_then(|name| tensors.get(name)) else {
        return refuse(&scale_field, "it must be given, as an initialiser or a Constant".to_owned());
    };
    if scale.data_type != DataType::Float as i32 {
        return refuse(&scale_field, format!("FLOAT is expected, not {}", type_name(scale.data_type)));
    }
    let scales = floats(scale);
    if scale.dims.len() > 1 || scales.is_empty() {
        return refuse(
            &scale_field,
            format!("shape {:?}: one number or a list along one axis is expected", scale.dims),
        );
    }
    let least = if place.tensor.is_none() { MIN_OUTPUT_SCALE } else { f32::MIN_POSITIVE };
    if let Some(index) = scales.iter().position(|scale| !(least..=MAX_SCALE).contains(scale)) {
        return refuse(
            &scale_field,
            format!("value {index} is {:e}, {least:e} to {MAX_SCALE:e} is allowed", scales[index]),
        );
    }

    let stored = place.tensor.and_then(&input);
    let stored_type = stored.and_then(|name| tensors.get(name).map(|t| t.data_type).or(quantised.get(name).copied()));
    let found = match input(place.zero_point) {
        None => stored_type.unwrap_or(DataType::Uint8 as i32),
        Some(name) => {
            let Some(zero_point) = tensors.get(name) else {
                return refuse(&zero_field, "it must be an initialiser or a Constant".to_owned());
            };
            let wanted = stored_type.unwrap_or(zero_point.data_type);
            if zero_point.data_type != wanted {
                let (found, wanted) = (type_name(zero_point.data_type), type_name(wanted));
                return refuse(&zero_field, format!("it is {found} where the values are {wanted}"));
            }
            let values: i64 = zero_point.dims.iter().product();
            if values != scales.len() as i64 || zero_point.dims.len() > 1 {
                return refuse(&zero_field, format!("shape {:?} for {} scales", zero_point.dims, scales.len()));
            }
            zero_point.data_type
        }
    };
    let allowed = match place.tensor {
        None => [DataType::Int8, DataType::Uint8].map(|t| t as i32).contains(&found),
        Some(_) => [DataType::Int8, DataType::Uint8, DataType::Int32].map(|t| t as i32).contains(&found),
    };
    if !allowed {
        return refuse(&zero_field, format!("values of type {} are not supported", type_name(found)));
    }

    if let Some(shape) = stored.and_then(|name| tensors.get(name)).map(|tensor| &tensor.dims)
        && scales.len() > 1
    {
        let rank = shape.len() as i64;
        // The operators that carry their weights name no axis: it is the first of a convolution, the last of a product.
        let axis = match &*node.op_type {
            "QLinearConv" => 0,
            "QLinearMatMul" => rank - 1,
            _ => attribute(node, "axis").map_or(1, |attribute| attribute.i),
        };
        let Some(length) = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis })
            .ok()
            .and_then(|axis| shape.get(axis))
        else {
            return refuse("axis", format!("{axis} where the values have the shape {shape:?}"));
        };
        if *length != scales.len() as i64 {
            return refuse(&scale_field, format!("{} scales along axis {axis} of {shape:?}", scales.len()));
        }
    }
    Ok(found)
}
