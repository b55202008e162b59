//! Writing the graph down again, with the groups as single nodes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::fusion::{Carrier, Fusion, Maker};
use super::{Fused, NODE_TYPE, Quantisation, Step};

/// A tensor that something needs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Need {
    Float(String),
    Bytes(usize),
}

/// Where a needed tensor comes from.
enum Origin {
    /// It is there: an input or a constant.
    Given,
    /// A node of the file.
    Node(usize),
    /// A step of ours.
    Step(Arc<Step>, Vec<Need>, String),
}

impl Fusion<'_> {
    fn origin(&self, need: &Need) -> Origin {
        match need {
            Need::Bytes(index) => {
                let carrier = &self.carriers[*index];
                match &carrier.maker {
                    Maker::Step { step, inputs, node } => {
                        let inputs = inputs.iter().map(|&input| Need::Bytes(input)).collect();
                        Origin::Step(step.clone(), inputs, self.node_name(*node))
                    }
                    Maker::Quantise { source, offset } => {
                        let quantisation = carrier.quantisation(offset);
                        Origin::Step(
                            Arc::new(Step::Quantise(quantisation)),
                            vec![Need::Float(source.clone())],
                            source.clone(),
                        )
                    }
                }
            }
            Need::Float(name) => {
                if let Some((step, inputs, node)) = self.products.get(name.as_str()) {
                    let inputs = inputs.iter().map(|&input| Need::Bytes(input)).collect();
                    return Origin::Step(step.clone(), inputs, self.node_name(*node));
                }
                let flat = || self.flat.get(name.as_str()).filter(|form| self.carriers[form.carrier].flat);
                if let Some(form) = self.forms.get(name.as_str()).or_else(flat)
                    && let Carrier { maker: Maker::Step { .. }, channels: Some(channels), .. } =
                        &self.carriers[form.carrier]
                {
                    let quantisation = self.carriers[form.carrier].quantisation(&form.offset);
                    let step = Arc::new(Step::Dequantise(quantisation, *channels));
                    return Origin::Step(step, vec![Need::Bytes(form.carrier)], name.clone());
                }
                if let Some((carrier, writing)) = self.written.get(name.as_str())
                    && let Carrier { maker: Maker::Step { .. }, channels: Some(channels), .. } =
                        &self.carriers[*carrier]
                {
                    let quantisation = self.carriers[*carrier].quantisation(&writing.offset);
                    let step = Arc::new(Step::Dequantise(quantisation, *channels));
                    return Origin::Step(step, vec![Need::Bytes(*carrier)], name.clone());
                }
                self.facts.producer(name).map_or(Origin::Given, Origin::Node)
            }
        }
    }

    fn node_name(&self, index: usize) -> String {
        let node = &self.facts.nodes[index];
        if node.name.is_empty() { node.output.first().cloned().unwrap_or_default() } else { node.name.clone() }
    }

    fn name_of(&self, need: &Need) -> String {
        match need {
            Need::Float(name) => name.clone(),
            Need::Bytes(index) => self.carriers[*index].name.clone(),
        }
    }

    /// Writes down everything that the outputs need, in an order in which it can be computed.
    pub(super) fn emit(&self, graph: &GraphProto) -> Option<Fused> {
        let mut emitted: Vec<NodeProto> = Vec::new();
        let mut steps = HashMap::new();
        let mut float_nodes = Vec::new();
        let mut done: HashSet<Need> = HashSet::new();
        let mut nodes_done = BTreeSet::new();
        let mut stack: Vec<(Need, bool)> =
            graph.output.iter().rev().map(|output| (Need::Float(output.name.clone()), false)).collect();
        let mut waiting: HashSet<Need> = HashSet::new();
        while let Some((need, ready)) = stack.pop() {
            if done.contains(&need) {
                continue;
            }
            let origin = self.origin(&need);
            if !ready {
                let inputs: Vec<Need> = match &origin {
                    Origin::Given => Vec::new(),
                    Origin::Step(_, inputs, _) => inputs.clone(),
                    Origin::Node(node) => {
                        let inputs = self.facts.nodes[*node].input.iter().filter(|name| !name.is_empty());
                        inputs.map(|name| Need::Float(name.clone())).collect()
                    }
                };
                // A tensor that waits for itself: the graph has a cycle, which the importer reports.
                if !waiting.insert(need.clone()) {
                    return None;
                }
                stack.push((need, true));
                stack
                    .extend(inputs.into_iter().rev().filter(|input| !done.contains(input)).map(|input| (input, false)));
                continue;
            }
            match origin {
                Origin::Given => {}
                Origin::Node(index) => {
                    if nodes_done.insert(index) {
                        let node = self.facts.nodes[index].clone();
                        if node.op_type != "Constant" {
                            float_nodes.push(format!("{} ({})", self.node_name(index), node.op_type));
                        }
                        emitted.push(node);
                    }
                }
                Origin::Step(step, inputs, name) => {
                    let name = format!("{name}#{}", steps.len());
                    // Bytes become planes; a tensor of two axes is a reshape away.
                    let is_flat = |input: &Need| matches!(input, Need::Bytes(index) if self.carriers[*index].flat);
                    let output = self.name_of(&need);
                    let flatten =
                        (matches!(*step, Step::Dequantise(..)) && inputs.iter().any(is_flat)).then(|| NodeProto {
                            name: format!("{name} flat"),
                            op_type: "Flatten".to_owned(),
                            input: vec![format!("{output} (planes)")],
                            output: vec![output.clone()],
                            ..NodeProto::default()
                        });
                    emitted.push(NodeProto {
                        name: name.clone(),
                        op_type: NODE_TYPE.to_owned(),
                        input: inputs.iter().map(|input| self.name_of(input)).collect(),
                        output: vec![flatten.as_ref().map_or(output, |flatten| flatten.input[0].clone())],
                        ..NodeProto::default()
                    });
                    emitted.extend(flatten);
                    steps.insert(name, step);
                }
            }
            waiting.remove(&need);
            done.insert(need);
        }
        if !steps.values().any(|step| matches!(**step, Step::Conv(_) | Step::FullyConnected(_))) {
            return None;
        }
        let input = take_input(graph, &mut emitted, &mut steps);
        let readers =
            emitted.iter().filter(|node| graph.input.first().is_some_and(|input| node.input.contains(&input.name)));
        let input_readers = readers.map(|node| node.name.clone()).collect();
        let read: HashSet<&str> = emitted.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        let is_needed = |name: &str| read.contains(name) || graph.output.iter().any(|output| output.name == name);
        let initializer: Vec<TensorProto> =
            graph.initializer.iter().filter(|tensor| is_needed(&tensor.name)).cloned().collect();
        // Some files list their constants as inputs as well.
        let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        let inputs =
            graph.input.iter().filter(|input| !is_weight(&input.name) || is_needed(&input.name)).cloned().collect();
        let fused = GraphProto {
            name: graph.name.clone(),
            node: emitted,
            initializer,
            input: inputs,
            output: graph.output.clone(),
            ..GraphProto::default()
        };
        Some(Fused { graph: fused, steps, input, input_readers, float_nodes })
    }
}

/// Lets the graph take bytes where nothing else is done with its input but to quantise it for dense convolutions.
fn take_input(
    graph: &GraphProto,
    nodes: &mut Vec<NodeProto>,
    steps: &mut HashMap<String, Arc<Step>>,
) -> Option<Quantisation> {
    let [input] = graph.input.as_slice() else { return None };
    let mut readers = nodes.iter().enumerate().filter(|(_, node)| node.input.contains(&input.name));
    let (index, quantise) = readers.next().filter(|_| readers.next().is_none())?;
    let Step::Quantise(quantisation) = &**steps.get(&quantise.name)? else { return None };
    let quantisation = quantisation.clone();
    let (stored, name) = (quantise.output[0].clone(), quantise.name.clone());
    let dense_only = nodes.iter().filter(|node| node.input.contains(&stored)).all(|node| {
        matches!(steps.get(&node.name).map(|step| &**step), Some(Step::Conv(conv)) if conv.groups == 1 && node.input[0] == stored && !node.input[1..].contains(&stored))
    });
    if !dense_only || graph.output.iter().any(|output| output.name == input.name) {
        return None;
    }
    nodes.remove(index);
    steps.remove(&name);
    for node in nodes {
        node.input.iter_mut().filter(|read| **read == stored).for_each(|read| read.clone_from(&input.name));
    }
    Some(quantisation)
}
