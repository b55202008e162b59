//! The tensors of a file: they hold what they declare, in the file itself, and every weight is finite.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, TensorProto};

use super::fault::{Fault, shown};
use super::{attribute, node_fault};

/// The longest axis and the most axes. No network of pictures comes near; products of two still fit where the engine multiplies.
const MAX_DIM: i64 = i32::MAX as i64;
pub(super) const MAX_RANK: usize = 12;

/// Operators for which an infinite constant means "no bound" or "never chosen". Nowhere else is one allowed; NaN is allowed nowhere.
const TAKES_INFINITY: [&str; 6] = ["Clip", "Max", "Min", "Pad", "Where", "MaxPool"];

/// The file's constants by name: initialisers and what Constant nodes hold.
pub(super) struct Tensors<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    /// The output of each DequantizeLinear and what it reads.
    dequantised: HashMap<&'a str, &'a str>,
}

impl<'a> Tensors<'a> {
    /// The constant called `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'a TensorProto> {
        self.constants.get(name).copied()
    }

    /// The shape of the constant called `name`, also when it is stored quantised.
    pub(super) fn shape(&self, name: &str) -> Option<&'a [i64]> {
        let stored = self.dequantised.get(name).copied().unwrap_or(name);
        self.get(stored).map(|tensor| &*tensor.dims)
    }
}

/// Checks every tensor of the graph.
pub(super) fn check(graph: &GraphProto) -> Result<Tensors<'_>, Fault> {
    let finite: HashSet<&str> = graph
        .node
        .iter()
        .filter(|node| !TAKES_INFINITY.contains(&&*node.op_type))
        .flat_map(|node| node.input.iter().map(|input| &**input))
        .collect();
    let mut tensors = Tensors { constants: HashMap::new(), dequantised: HashMap::new() };
    for tensor in &graph.initializer {
        check_tensor(tensor, &tensor.name, finite.contains(&*tensor.name))?;
        tensors.constants.insert(&tensor.name, tensor);
    }
    for node in &graph.node {
        let output = node.output.first().map_or("", |output| &**output);
        for attribute in &node.attribute {
            if let Some(tensor) = &attribute.t {
                check_tensor(tensor, output, finite.contains(output))?;
            }
            let numbers = || attribute.floats.iter().chain([&attribute.f]);
            if numbers().any(|number| number.is_nan()) {
                return Err(node_fault(node, shown(&attribute.name), "it is NaN"));
            }
            let bound =
                TAKES_INFINITY.contains(&&*node.op_type) || node.op_type == "Constant" && !finite.contains(output);
            if numbers().any(|number| number.is_infinite()) && !bound {
                return Err(node_fault(node, shown(&attribute.name), "it is infinite"));
            }
        }
        match (&*node.op_type, node.input.first()) {
            ("Constant", _) => match attribute(node, "value") {
                Some(value) => match &value.t {
                    Some(tensor) => drop(tensors.constants.insert(output, tensor)),
                    None => return Err(node_fault(node, "value", "it holds no tensor")),
                },
                None if node.attribute.is_empty() => return Err(node_fault(node, "value", "it is missing")),
                None => {}
            },
            ("DequantizeLinear", Some(input)) => drop(tensors.dequantised.insert(output, input)),
            _ => {}
        }
    }
    Ok(tensors)
}

fn check_tensor(tensor: &TensorProto, name: &str, finite: bool) -> Result<(), Fault> {
    let refuse = |field, reason| Err(Fault::Tensor { tensor: shown(name), field, reason });
    if tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty() {
        let location = tensor.external_data.iter().find(|entry| entry.key == "location");
        let location = shown(location.map_or("no location given", |entry| &entry.value));
        return Err(Fault::External { tensor: shown(name), location });
    }
    if tensor.segment.is_some() {
        return refuse("segment", "tensors in pieces are not supported".to_owned());
    }
    let Some((data_type, width)) = element(tensor.data_type) else {
        return refuse("data_type", format!("{} is not supported", type_name(tensor.data_type)));
    };

    if tensor.dims.len() > MAX_RANK {
        return refuse("dims", format!("{} axes, {MAX_RANK} are allowed", tensor.dims.len()));
    }
    if let Some(dim) = tensor.dims.iter().find(|dim| !(0..=MAX_DIM).contains(*dim)) {
        return refuse("dims", format!("{:?}: an axis of length {dim}", tensor.dims));
    }
    let volume = tensor.dims.iter().try_fold(1usize, |volume, &dim| volume.checked_mul(usize::try_from(dim).ok()?));
    let Some((volume, bytes)) = volume.and_then(|volume| Some((volume, volume.checked_mul(width)?))) else {
        return refuse("dims", format!("{:?}: more values than can be counted", tensor.dims));
    };

    // The field in which the values must lie, if not in raw_data.
    let typed = match data_type {
        DataType::Float => "float_data",
        DataType::Double => "double_data",
        DataType::Int64 => "int64_data",
        DataType::Uint32 | DataType::Uint64 => "raw_data",
        _ => "int32_data",
    };
    let fields = [
        ("raw_data", tensor.raw_data.len()),
        ("float_data", tensor.float_data.len()),
        ("double_data", tensor.double_data.len()),
        ("int32_data", tensor.int32_data.len()),
        ("int64_data", tensor.int64_data.len()),
        ("uint64_data", tensor.uint64_data.len()),
        ("string_data", tensor.string_data.len()),
    ];
    let mut filled = fields.into_iter().filter(|(_, length)| *length > 0);
    let (field, held) = filled.next().unwrap_or((typed, 0));
    if let Some((other, _)) = filled.next() {
        return refuse(other, format!("the values stand in {field} too"));
    }
    if field == "raw_data" {
        if held != bytes {
            return refuse("raw_data", format!("{held} bytes for the shape {:?}, which takes {bytes}", tensor.dims));
        }
    } else if field != typed {
        return refuse(field, format!("values of type {} belong into {typed}", data_type.as_str_name()));
    } else if held != volume {
        return refuse(typed, format!("{held} values for the shape {:?}, which takes {volume}", tensor.dims));
    }

    match first_not_finite(tensor, data_type) {
        Some((index, value)) if value.is_nan() || finite => {
            refuse(field, format!("value {index} is {value}, and every weight must be finite"))
        }
        _ => Ok(()),
    }
}

/// The element types that the engine takes, with their length in bytes.
fn element(data_type: i32) -> Option<(DataType, usize)> {
    let data_type = DataType::try_from(data_type).ok()?;
    let width = match data_type {
        DataType::Bool | DataType::Int8 | DataType::Uint8 => 1,
        DataType::Float16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        _ => return None,
    };
    Some((data_type, width))
}

/// The name of an element type, for messages.
pub(super) fn type_name(data_type: i32) -> String {
    DataType::try_from(data_type).map_or_else(|_| format!("type {data_type}"), |t| t.as_str_name().to_owned())
}

/// The first value that is NaN, else the first that is infinite, with its place.
fn first_not_finite(tensor: &TensorProto, data_type: DataType) -> Option<(usize, f64)> {
    // A whole tensor is sound nearly always, so it is first scanned without a branch a value.
    let raw = &tensor.raw_data;
    let sound = match data_type {
        DataType::Float if raw.is_empty() => tensor.float_data.iter().fold(true, |sound, v| sound & v.is_finite()),
        DataType::Float => {
            // As integers, NaN and infinity are the values from this one upwards, the sign set aside.
            let bits = |b: &[u8; 4]| u32::from_le_bytes(*b) & 0x7fff_ffff;
            raw.as_chunks().0.iter().fold(0, |largest, b| bits(b).max(largest)) < 0x7f80_0000
        }
        DataType::Double | DataType::Float16 => false,
        _ => return None,
    };
    if sound {
        return None;
    }
    let values: Vec<f64> = match data_type {
        DataType::Float if raw.is_empty() => tensor.float_data.iter().map(|&v| v.into()).collect(),
        DataType::Float => raw.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
        DataType::Double if raw.is_empty() => tensor.double_data.clone(),
        DataType::Double => raw.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        _ if raw.is_empty() => tensor.int32_data.iter().map(|&v| half(v as u16)).collect(),
        _ => raw.as_chunks().0.iter().map(|b| half(u16::from_le_bytes(*b))).collect(),
    };
    let find = |wanted: fn(f64) -> bool| values.iter().position(|&v| wanted(v)).map(|index| (index, values[index]));
    find(f64::is_nan).or_else(|| find(f64::is_infinite))
}

/// NaN and infinity of a half-precision number; any other is returned as 0.
fn half(bits: u16) -> f64 {
    match bits & 0x7fff {
        0x7c00 => f64::INFINITY,
        0x7c01.. => f64::NAN,
        _ => 0.0,
    }
}

/// The values of a FLOAT tensor that has passed the check.
pub(super) fn floats(tensor: &TensorProto) -> Vec<f32> {
    match tensor.raw_data.is_empty() {
        true => tensor.float_data.clone(),
        false => tensor.raw_data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    }
}
