//! What a model file says of itself, before it is loaded for any shape.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimValue;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{ModelProto, ValueInfoProto};
use tract_onnx::prelude::{Framework, TractResult};

use super::{NnError, check, graph::importer};

/// The operators that make a file a quantised one.
const QUANTISED: [&str; 4] = ["DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"];

/// The outside of a graph by its file: what goes in, what comes out, and which version of ONNX it is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What goes in. Weights that old files list among the inputs are left out.
    pub input: Value,
    /// What comes out, in the file's order.
    pub outputs: Vec<Value>,
    /// The version of ONNX's own operators.
    pub opset: i64,
    /// The program that wrote the file; empty when it does not say.
    pub producer: String,
    /// How many operators there are.
    pub nodes: usize,
    /// Whether weights or values are stored in 8 bits.
    pub quantised: bool,
}

/// A named value of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// The length of each axis, `None` for one of any length; empty when the file states no shape.
    pub shape: Vec<Option<usize>>,
}

impl Signature {
    /// Reads the signature of an ONNX file. `name` stands in every error.
    ///
    /// # Errors
    /// [`NnError::Refused`] when the bytes are no ONNX model, or the graph is one that [`Graph`](super::Graph) would not take whatever
    /// its input.
    pub fn read(name: &str, onnx: &[u8]) -> Result<Signature, NnError> {
        let refuse = |reason| NnError::Load { model: name.to_owned(), input_shape: Vec::new(), reason };
        catch_unwind(AssertUnwindSafe(|| Signature::of(onnx)))
            .map_err(|_| refuse("the importer gave up on a malformed graph".to_owned()))?
            .map_err(|error| match error.downcast::<check::Fault>() {
                Ok(fault) => NnError::Refused { model: name.to_owned(), fault: Box::new(fault) },
                Err(error) => refuse(format!("{error:#}")),
            })
    }

    fn of(mut onnx: &[u8]) -> TractResult<Signature> {
        check::bytes(onnx)?;
        let importer = importer();
        let proto: ModelProto = importer.proto_model_for_read(&mut onnx)?;
        let graph = check::structure(&proto, |operator| importer.op_register.0.contains_key(operator))?;
        Ok(Signature {
            input: Value::of(check::input_of(graph)),
            outputs: graph.output.iter().map(Value::of).collect(),
            opset: proto.opset_import.iter().find(|set| set.domain.is_empty()).map_or(1, |set| set.version),
            producer: proto.producer_name.clone(),
            nodes: graph.node.len(),
            quantised: graph.node.iter().any(|node| QUANTISED.contains(&&*node.op_type)),
        })
    }
}

impl Value {
    fn of(info: &ValueInfoProto) -> Value {
        let shape = match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
            Some(TensorType(tensor)) => tensor.shape.as_ref(),
            _ => None,
        };
        let length = |value: &Option<DimValue>| match value {
            Some(DimValue::DimValue(length)) => usize::try_from(*length).ok().filter(|length| *length > 0),
            _ => None,
        };
        let shape = shape.map(|shape| shape.dim.iter().map(|dim| length(&dim.value)).collect()).unwrap_or_default();
        Value { name: info.name.clone(), shape }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape: Vec<String> =
            self.shape.iter().take(16).map(|axis| axis.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
        write!(f, "{} [{}]", check::shown(&self.name), shape.join(", "))
    }
}
