//! The graph's structure: what is in the file, and that every name is made before it is read.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

use super::fault::{Fault, shown};
use super::{MAX_INITIALISERS, MAX_NODES, node_fault, node_name};

/// Whose operators the engine knows: ONNX's own under both of its names, and onnxruntime's, which its tools write.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "com.microsoft"];

/// Checks everything but the contents of tensors and attributes, and returns the graph.
pub(in crate::nn) fn structure(proto: &ModelProto, supported: impl Fn(&str) -> bool) -> Result<&GraphProto, Fault> {
    if let Some(function) = proto.functions.first() {
        let name = shown(function.name.as_deref().unwrap_or_default());
        return graph_fault("functions", format!("function {name}: model-local functions are not supported"));
    }
    let Some(graph) = &proto.graph else {
        return graph_fault("graph", "the file holds none".to_owned());
    };
    if !graph.sparse_initializer.is_empty() {
        return graph_fault("graph.sparse_initializer", "sparse tensors are not supported".to_owned());
    }
    if graph.node.len() > MAX_NODES {
        return graph_fault("graph.node", format!("{} nodes, {MAX_NODES} are allowed", graph.node.len()));
    }
    if graph.initializer.len() > MAX_INITIALISERS {
        let reason = format!("{} initialisers, {MAX_INITIALISERS} are allowed", graph.initializer.len());
        return graph_fault("graph.initializer", reason);
    }

    let mut made: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        if tensor.name.is_empty() || !made.insert(&tensor.name) {
            return graph_fault("graph.initializer", format!("{}: a name is needed, and once", shown(&tensor.name)));
        }
    }
    let inputs: Vec<&ValueInfoProto> = inputs(graph).collect();
    let [input] = inputs[..] else {
        let names: Vec<String> = inputs.iter().take(5).map(|input| shown(&input.name)).collect();
        let reason =
            format!("{} inputs that are no initialisers ({}), one is expected", inputs.len(), names.join(", "));
        return graph_fault("graph.input", reason);
    };
    made.insert(&input.name);

    for node in &graph.node {
        check_operator(node, &supported)?;
        check_attributes(node)?;
        for (index, input) in node.input.iter().enumerate().filter(|(_, input)| !input.is_empty()) {
            if !made.contains(&**input) {
                let reason = format!(
                    "it reads {}, which no input, initialiser or earlier node makes (a cycle, or nodes out of order)",
                    shown(input)
                );
                return Err(node_fault(node, format!("input {index}"), reason));
            }
        }
        if node.output.iter().all(String::is_empty) {
            return Err(node_fault(node, "output", "it has none"));
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if !made.insert(output) {
                return Err(node_fault(node, "output", format!("{} is made twice", shown(output))));
            }
        }
    }

    if graph.output.is_empty() {
        return graph_fault("graph.output", "the graph has no output".to_owned());
    }
    let mut outputs = HashSet::new();
    for output in &graph.output {
        if !made.contains(&*output.name) {
            return graph_fault("graph.output", format!("no node makes {}", shown(&output.name)));
        }
        if !outputs.insert(&output.name) {
            return graph_fault("graph.output", format!("{} stands there twice", shown(&output.name)));
        }
    }
    Ok(graph)
}

/// The inputs that are no initialisers; old files list those too.
fn inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    let initialisers: HashSet<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
    graph.input.iter().filter(move |input| !initialisers.contains(&*input.name))
}

/// The only input of a graph that has passed [`structure`].
pub(in crate::nn) fn input_of(graph: &GraphProto) -> &ValueInfoProto {
    inputs(graph).next().expect("the structure was checked")
}

fn check_operator(node: &NodeProto, supported: &impl Fn(&str) -> bool) -> Result<(), Fault> {
    let own = DOMAINS.contains(&&*node.domain);
    if own && supported(&node.op_type) {
        return Ok(());
    }
    let operator = match own {
        true => shown(&node.op_type),
        false => format!("{}::{}", shown(&node.domain), shown(&node.op_type)),
    };
    Err(Fault::Operator { node: node_name(node), operator })
}

fn check_attributes(node: &NodeProto) -> Result<(), Fault> {
    let mut names = HashSet::new();
    for attribute in &node.attribute {
        let refuse = |reason: &str| Err(node_fault(node, shown(&attribute.name), reason));
        if !names.insert(&attribute.name) {
            return refuse("the attribute stands there twice");
        }
        if attribute.g.is_some() || !attribute.graphs.is_empty() {
            return refuse("a graph inside a node (If, Loop, Scan) is not supported");
        }
        if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() || !attribute.tensors.is_empty() {
            return refuse("sparse tensors and lists of tensors are not supported");
        }
        if !attribute.ref_attr_name.is_empty() {
            return refuse("it refers to an attribute of a function, and this is none");
        }
    }
    Ok(())
}

/// Checks what the file declares for its input against the shape that it is loaded for.
///
/// Rank, batch and element type must agree. The other axes may be of another length than declared, as far as the network goes
/// along; `sizes` finds that out.
pub(super) fn input(graph: &GraphProto, asked: &[usize]) -> Result<(), Fault> {
    let Some(input) = inputs(graph).next() else {
        return graph_fault("graph.input", "the graph has none".to_owned());
    };
    let refuse = |reason: String| {
        let declared = Declared::of(graph).map_or_else(|| "no shape".to_owned(), |declared| declared.to_string());
        Err(Fault::Input { input: shown(&input.name), declared, asked: asked.to_vec(), reason })
    };
    let Some(TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return refuse("the file does not say that it is a tensor".to_owned());
    };
    if tensor.elem_type != DataType::Float as i32 {
        let found = DataType::try_from(tensor.elem_type).map_or("unknown", |t| t.as_str_name());
        return refuse(format!("its elements are {found}, FLOAT is expected"));
    }
    match Declared::of(graph) {
        Some(declared) if declared.0.len() != asked.len() => {
            refuse(format!("{} axes, not {}", declared.0.len(), asked.len()))
        }
        Some(declared) if !declared.0.iter().zip(asked).take(1).all(|(dim, &asked)| dim.takes(asked)) => {
            refuse("the batch is another".to_owned())
        }
        _ => Ok(()),
    }
}

/// The input's shape as the file declares it.
pub(super) struct Declared(Vec<Dim>);

enum Dim {
    Fixed(usize),
    Open(String),
}

impl Dim {
    fn takes(&self, length: usize) -> bool {
        match self {
            Dim::Fixed(fixed) => *fixed == length,
            Dim::Open(_) => true,
        }
    }
}

impl Declared {
    /// The declared shape of the only input, if the file states one.
    pub(super) fn of(graph: &GraphProto) -> Option<Declared> {
        let Some(TensorType(tensor)) = &inputs(graph).next()?.r#type.as_ref()?.value else { return None };
        let dim = |value: &Option<Value>| match value {
            Some(Value::DimValue(length)) if *length > 0 => Dim::Fixed(usize::try_from(*length).unwrap_or(usize::MAX)),
            Some(Value::DimParam(name)) if !name.is_empty() => Dim::Open(shown(name)),
            // Some exporters write 0 or -1 for an axis of any length.
            _ => Dim::Open("?".to_owned()),
        };
        Some(Declared(tensor.shape.as_ref()?.dim.iter().map(|d| dim(&d.value)).collect()))
    }

    /// Whether `shape` is what the file declares, open axes taking any length.
    pub(super) fn takes(&self, shape: &[usize]) -> bool {
        self.0.len() == shape.len() && self.0.iter().zip(shape).all(|(dim, &length)| dim.takes(length))
    }
}

impl std::fmt::Display for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dims: Vec<String> = self
            .0
            .iter()
            .take(16)
            .map(|dim| match dim {
                Dim::Fixed(length) => length.to_string(),
                Dim::Open(name) => name.clone(),
            })
            .collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

/// The name of the only input.
pub(super) fn input_name(graph: &GraphProto) -> String {
    inputs(graph).next().map(|input| shown(&input.name)).unwrap_or_default()
}

fn graph_fault<T>(field: &'static str, reason: String) -> Result<T, Fault> {
    Err(Fault::Graph { field, reason })
}
