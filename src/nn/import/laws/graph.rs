//! Small graphs, as files hold them.

use std::fmt;

use tract_onnx::Onnx;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};
use tract_onnx::prelude::Framework;
use tract_onnx::tract_hir::internal::*;

/// The name of the node that a case is about.
pub(super) const NODE: &str = "the-node";

pub(super) fn ours() -> Onnx {
    Onnx { op_register: super::super::register(), ..Onnx::default() }
}

pub(super) fn theirs() -> Onnx {
    tract_onnx::onnx()
}

/// A graph with the input `x` in `f32`, whose last node is the one that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Case {
    opset: i64,
    shape: Vec<usize>,
    tensors: Vec<TensorProto>,
    before: Vec<NodeProto>,
    node: NodeProto,
    yardstick: Option<Box<Case>>,
}

/// One node, which reads `x` and then `tensors`; one without a name is an input that is left out.
pub(super) fn case(
    operator: &str,
    opset: i64,
    shape: &[usize],
    tensors: Vec<TensorProto>,
    attributes: Vec<AttributeProto>,
) -> Case {
    let inputs = std::iter::once("x".to_owned()).chain(tensors.iter().map(|tensor| tensor.name.clone()));
    let node = NodeProto {
        op_type: operator.into(),
        name: NODE.into(),
        input: inputs.collect(),
        output: vec!["y0".into()],
        attribute: attributes,
        ..NodeProto::default()
    };
    let tensors = tensors.into_iter().filter(|tensor| !tensor.name.is_empty()).collect();
    Case { opset, shape: shape.to_vec(), tensors, before: Vec::new(), node, yardstick: None }
}

impl Case {
    /// With `count` outputs.
    pub(super) fn outputs(mut self, count: usize) -> Case {
        self.node.output = (0..count).map(|i| format!("y{i}")).collect();
        self
    }

    /// Reading what `operator` makes of `x` and `tensors` instead of `x`.
    pub(super) fn after(mut self, operator: &str, tensors: Vec<TensorProto>, attributes: Vec<AttributeProto>) -> Case {
        let mut first = case(operator, self.opset, &self.shape, tensors, attributes);
        first.node.name = "first".into();
        first.node.output = vec!["v".into()];
        for input in self.node.input.iter_mut().filter(|input| *input == "x") {
            "v".clone_into(input);
        }
        self.before.push(first.node);
        self.tensors.extend(first.tensors);
        self
    }

    /// Reading `tensors` only.
    pub(super) fn without_x(mut self) -> Case {
        self.node.input.remove(0);
        self
    }

    /// With another node before, which makes `output` of `inputs` and then `tensors`.
    pub(super) fn beside(mut self, operator: &str, inputs: &[&str], tensors: Vec<TensorProto>, output: &str) -> Case {
        let mut other = case(operator, self.opset, &self.shape, tensors, vec![]).without_x();
        other.node.name = format!("makes-{output}");
        other.node.input.splice(0..0, inputs.iter().map(|&input| input.to_owned()));
        other.node.output = vec![output.to_owned()];
        self.before.push(other.node);
        self.tensors.extend(other.tensors);
        self
    }

    /// Reading also, as its last input, what another node makes.
    pub(super) fn reading(mut self, input: &str) -> Case {
        self.node.input.push(input.to_owned());
        self
    }

    /// With an attribute of the node added last.
    pub(super) fn with(mut self, attribute: AttributeProto) -> Case {
        self.before.last_mut().unwrap().attribute.push(attribute);
        self
    }

    /// To be held against another graph, since tract does not have this operator.
    pub(super) fn against(mut self, other: Case) -> Case {
        self.yardstick = Some(Box::new(other));
        self
    }

    pub(super) fn yardstick(&self) -> &Case {
        self.yardstick.as_deref().unwrap_or(self)
    }

    pub(super) fn operator(&self) -> &str {
        &self.node.op_type
    }

    fn model(&self) -> ModelProto {
        let dim = self.shape.iter().map(|&length| Dimension {
            value: Some(dimension::Value::DimValue(length as i64)),
            ..Dimension::default()
        });
        let shape = Some(TensorShapeProto { dim: dim.collect() });
        let value = Some(Value::TensorType(TensorType { elem_type: DataType::Float as i32, shape }));
        let input = ValueInfoProto {
            name: "x".into(),
            r#type: Some(TypeProto { value, ..TypeProto::default() }),
            ..ValueInfoProto::default()
        };
        let output = |name: &String| ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() };
        let graph = GraphProto {
            input: vec![input],
            output: self.node.output.iter().map(output).collect(),
            initializer: self.tensors.clone(),
            node: self.before.iter().chain([&self.node]).cloned().collect(),
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.opset }],
            ..ModelProto::default()
        }
    }

    /// Imports it with `importer`, optimises it and runs it on values from -2 to 2.
    pub(super) fn run(&self, importer: &Onnx) -> TractResult<Vec<Tensor>> {
        let fact = f32::fact(&self.shape).into();
        let model = importer.model_for_proto_model(&self.model())?.with_input_fact(0, fact)?;
        let input = Tensor::from_shape(&self.shape, &some(self.shape.iter().product(), 1))?;
        let outputs = model.into_optimized()?.into_runnable()?.run(tvec!(input.into_tvalue()))?;
        Ok(outputs.into_iter().map(TValue::into_tensor).collect())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        let tensors: Vec<String> = self.tensors.iter().map(|t| format!("{} {:?}", t.name, t.dims)).collect();
        write!(f, "{} of opset {} on {:?}, {tensors:?}, ", node.op_type, self.opset, self.shape)?;
        let shown =
            |a: &AttributeProto| format!("{}={}/{}/{:?}/{:?}", a.name, a.i, a.f, a.ints, String::from_utf8_lossy(&a.s));
        let attributes: Vec<String> = node.attribute.iter().map(shown).collect();
        write!(f, "{attributes:?}")
    }
}

/// Some numbers from -2 to 2, the same each time.
pub(super) fn some(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn tensor(name: &str, dims: &[usize], kind: DataType, raw_data: Vec<u8>) -> TensorProto {
    let dims = dims.iter().map(|&dim| dim as i64).collect();
    TensorProto { name: name.into(), dims, data_type: kind as i32, raw_data, ..TensorProto::default() }
}

/// An input that is left out.
pub(super) fn none() -> TensorProto {
    TensorProto::default()
}

pub(super) fn floats(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    tensor(name, dims, DataType::Float, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Numbers from -2 to 2.
pub(super) fn any(name: &str, dims: &[usize]) -> TensorProto {
    floats(name, dims, &some(dims.iter().product(), name.bytes().map(u32::from).sum()))
}

/// Numbers above 0.
pub(super) fn positive(name: &str, dims: &[usize]) -> TensorProto {
    let values: Vec<f32> = some(dims.iter().product(), 7).iter().map(|value| value.abs() + 0.1).collect();
    floats(name, dims, &values)
}

/// A list of integers.
pub(super) fn longs(name: &str, values: &[i64]) -> TensorProto {
    tensor(name, &[values.len()], DataType::Int64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// One integer.
pub(super) fn long(name: &str, value: i64) -> TensorProto {
    tensor(name, &[], DataType::Int64, value.to_le_bytes().to_vec())
}

pub(super) fn words(name: &str, dims: &[usize], values: &[i32]) -> TensorProto {
    tensor(name, dims, DataType::Int32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

pub(super) fn bytes(name: &str, dims: &[usize], values: &[u8]) -> TensorProto {
    tensor(name, dims, DataType::Uint8, values.to_vec())
}

pub(super) fn signed(name: &str, dims: &[usize], values: &[i8]) -> TensorProto {
    tensor(name, dims, DataType::Int8, values.iter().map(|&value| value as u8).collect())
}

pub(super) fn flag(name: &str, value: bool) -> TensorProto {
    tensor(name, &[], DataType::Bool, vec![u8::from(value)])
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind as i32, ..AttributeProto::default() }
}

pub(super) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

pub(super) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { f, ..attribute(name, AttributeType::Float) }
}

pub(super) fn float_list(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto { floats: values.to_vec(), ..attribute(name, AttributeType::Floats) }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.into(), ..attribute(name, AttributeType::String) }
}

pub(super) fn value(name: &str, value: TensorProto) -> AttributeProto {
    AttributeProto { t: Some(value), ..attribute(name, AttributeType::Tensor) }
}
