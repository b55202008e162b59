//! Reading a graph's nodes in order and joining them to groups.

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::facts::{Facts, Scale, float, integer, sizes, text};
use super::group::{Group, Reading, Shape, Writing};
use super::{Quantisation, Step};
use crate::nn::int8::{Enlarge, MaxPool};

/// A tensor of stored bytes and what makes it.
pub(super) struct Carrier {
    pub(super) scale: Scale,
    /// Known where one of our operators makes it.
    pub(super) channels: Option<usize>,
    /// Stands for a tensor of two axes: what a matrix product makes.
    pub(super) flat: bool,
    pub(super) name: String,
    pub(super) maker: Maker,
}

pub(super) enum Maker {
    /// A step of ours on other carriers.
    Step { step: Arc<Step>, inputs: Vec<usize>, node: usize },
    /// A float tensor, quantised.
    Quantise { source: String, offset: Vec<f32> },
}

/// A carrier with the offset that its readers add.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) carrier: usize,
    pub(super) offset: Vec<f32>,
}

/// A group whose end has not been seen yet.
struct Open {
    group: Group,
    inputs: Vec<usize>,
    /// The first node.
    node: usize,
    /// Whether it is a product (worth doing with float output too), and a fully connected one.
    product: bool,
    flat: bool,
}

/// A QuantizeLinear with what stands around it.
struct Requantisation<'a> {
    source: &'a str,
    writing: Writing,
    /// The float tensors that stand for the result, with their offsets.
    readers: Vec<(&'a str, Vec<f32>)>,
}

pub(super) struct Fusion<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) carriers: Vec<Carrier>,
    pub(super) forms: HashMap<&'a str, Form>,
    /// As forms, for tensors that are the same bytes in NCHW order without the spatial axes.
    pub(super) flat: HashMap<&'a str, Form>,
    open: HashMap<&'a str, Open>,
    /// Float tensors that exist as bytes only, and how they were written.
    pub(super) written: HashMap<&'a str, (usize, Writing)>,
    /// Float outputs of our products.
    pub(super) products: HashMap<&'a str, (Arc<Step>, Vec<usize>, usize)>,
}

impl<'a> Fusion<'a> {
    /// Reads the nodes of a graph in their order.
    pub(super) fn of(graph: &'a GraphProto) -> Fusion<'a> {
        let mut fusion = Fusion {
            facts: Facts::new(graph),
            carriers: Vec::new(),
            forms: HashMap::new(),
            flat: HashMap::new(),
            open: HashMap::new(),
            written: HashMap::new(),
            products: HashMap::new(),
        };
        for index in 0..graph.node.len() {
            // A node that is left alone says so by `None`; nothing else follows from that.
            let _ = fusion.visit(index);
        }
        fusion.close_products();
        fusion
    }

    /// Looks at one node; `None` means that it is left alone.
    fn visit(&mut self, index: usize) -> Option<()> {
        let nodes: &'a [NodeProto] = self.facts.nodes;
        let node = &nodes[index];
        match node.op_type.as_str() {
            "Conv" => self.convolution(index, node),
            "Gemm" | "MatMul" => self.matrix_product(index, node),
            "Flatten" | "Reshape" => self.flatten(node),
            "PRelu" | "LeakyRelu" | "Relu" | "Clip" => self.activation(index, node),
            "Add" => self.addition(index, node),
            "MaxPool" | "Resize" | "Upsample" => self.moving(index, node),
            "QuantizeLinear" => self.quantise(index),
            _ => None,
        }
    }

    fn convolution(&mut self, index: usize, node: &'a NodeProto) -> Option<()> {
        let form = self.forms.get(node.input.first()?.as_str())?.clone();
        let weight = self.facts.weight(node.input.get(1)?)?;
        let &[outputs, group_in, rows, columns] = weight.dims.as_slice() else { return None };
        let groups = usize::try_from(integer(node, "group", 1)).ok()?;
        let kernel = sizes(node, "kernel_shape", [rows, columns])?;
        let shape = Shape {
            inputs: group_in.checked_mul(groups)?,
            outputs,
            groups,
            kernel,
            strides: sizes(node, "strides", [1, 1])?,
            dilations: sizes(node, "dilations", [1, 1])?,
            pads: sizes(node, "pads", [0; 4])?,
        };
        let is_sound = kernel == [rows, columns]
            && [group_in, groups, outputs, rows, columns].iter().all(|&size| (1..=1 << 16).contains(&size))
            && outputs.is_multiple_of(groups)
            && shape.strides.iter().chain(&shape.dilations).all(|&size| size > 0)
            && matches!(text(node, "auto_pad", "NOTSET"), "NOTSET" | "VALID" | "")
            && self.carriers[form.carrier].channels.is_none_or(|channels| channels == shape.inputs);
        if !is_sound {
            return None;
        }
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            None => None,
            Some(bias) => Some(self.facts.vector(bias)?),
        };
        // Where the network quantises a float tensor, its readers tell how many channels it has.
        self.carriers[form.carrier].channels = Some(shape.inputs);
        let group = Group::of_weight(shape, self.reading(&form), weight, bias)?;
        self.start(node, Open { group, inputs: vec![form.carrier], node: index, product: true, flat: false })
    }

    fn matrix_product(&mut self, index: usize, node: &'a NodeProto) -> Option<()> {
        let form = self.flat.get(node.input.first()?.as_str())?.clone();
        let mut weight = self.facts.weight(node.input.get(1)?)?;
        let &[rows, columns] = weight.dims.as_slice() else { return None };
        let is_gemm = node.op_type == "Gemm";
        if is_gemm
            && (float(node, "alpha", 1.0) != 1.0 || float(node, "beta", 1.0) != 1.0 || integer(node, "transA", 0) != 0)
        {
            return None;
        }
        let transposed = is_gemm && integer(node, "transB", 0) != 0;
        let (terms, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
        if !transposed {
            weight.values = (0..weight.values.len()).map(|i| weight.values[i % terms * outputs + i / terms]).collect();
            weight.axis = 1 - weight.axis.min(1);
        }
        let channels =
            self.carriers[form.carrier].channels.filter(|&channels| terms > 0 && terms.is_multiple_of(channels))?;
        // The kernel's rows and columns are known with the input's size; their product is what counts until then.
        let shape = Shape {
            inputs: channels,
            outputs,
            groups: 1,
            kernel: [1, terms / channels],
            strides: [1, 1],
            dilations: [1, 1],
            pads: [0; 4],
        };
        let bias = match node.input.get(2).filter(|name| is_gemm && !name.is_empty()) {
            None => None,
            Some(bias) => Some(self.facts.vector(bias)?),
        };
        let group = Group::of_weight(shape, self.reading(&form), weight, bias)?;
        self.start(node, Open { group, inputs: vec![form.carrier], node: index, product: true, flat: true })
    }

    /// A flattened tensor can still be read by a matrix product.
    fn flatten(&mut self, node: &'a NodeProto) -> Option<()> {
        let input = node.input.first()?.as_str();
        let form = self.forms.get(input).or_else(|| self.flat.get(input))?.clone();
        let is_flat = match node.op_type.as_str() {
            "Flatten" => integer(node, "axis", 1) == 1,
            _ => matches!(self.facts.integers(node.input.get(1)?)?.as_slice(), [0 | 1, _]),
        };
        is_flat.then(|| self.flat.insert(node.output.first().expect("a node has an output"), form))?;
        Some(())
    }

    fn activation(&mut self, index: usize, node: &'a NodeProto) -> Option<()> {
        let input = node.input.first()?.as_str();
        let mut open = self.take_open(input).or_else(|| self.identity(index, input))?;
        let extended = self.activate(&mut open.group, node);
        match extended {
            Some(()) => self.start(node, open),
            None => self.put_back(input, open),
        }
    }

    fn activate(&self, group: &mut Group, node: &NodeProto) -> Option<()> {
        if group.bounds.is_some() {
            return None;
        }
        let outputs = group.shape.outputs;
        let slopes = match node.op_type.as_str() {
            "Relu" => vec![0.0; outputs],
            "LeakyRelu" => vec![float(node, "alpha", 0.01); outputs],
            "PRelu" => match self.facts.by_channel(node.input.get(1)?)?.as_slice() {
                [one] => vec![*one; outputs],
                each if each.len() == outputs => each.to_vec(),
                _ => return None,
            },
            _ => {
                let bound =
                    |at: usize, name: &str, default: f32| match node.input.get(at).filter(|name| !name.is_empty()) {
                        Some(bound) => self.facts.floats(bound)?.1.first().copied(),
                        None => Some(float(node, name, default)),
                    };
                let bounds = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
                if bounds.0.is_nan() || bounds.1.is_nan() {
                    return None;
                }
                group.bounds = Some(bounds);
                return Some(());
            }
        };
        if group.slopes.is_some() || !slopes.iter().all(|slope| slope.is_finite()) {
            return None;
        }
        group.slopes = Some((slopes, group.residual.is_some()));
        Some(())
    }

    fn addition(&mut self, index: usize, node: &'a NodeProto) -> Option<()> {
        let (a, b) = (node.input.first()?.as_str(), node.input.get(1)?.as_str());
        for (main, other) in [(a, b), (b, a)] {
            let Some(form) = self.forms.get(other).cloned() else { continue };
            let Some(mut open) = self.take_open(main) else { continue };
            let channels = self.carriers[form.carrier].channels;
            if open.flat
                || open.group.residual.is_some()
                || open.group.bounds.is_some()
                || channels != Some(open.group.shape.outputs)
            {
                return self.put_back(main, open);
            }
            open.group.residual = Some(self.reading(&form));
            open.inputs.push(form.carrier);
            return self.start(node, open);
        }
        // The bias of a matrix product may stand in a node of its own.
        for (main, other) in [(a, b), (b, a)] {
            let Some(mut open) = self.take_open(main) else { continue };
            let bias = self.facts.vector(other).filter(|bias| open.flat && bias.len() == open.group.shape.outputs);
            let Some(bias) = bias.filter(|_| open.group.slopes.is_none() && open.group.residual.is_none()) else {
                return self.put_back(main, open);
            };
            open.group.bias.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
            return self.start(node, open);
        }
        // Two quantised tensors: a pass of its own, if a quantised one comes out.
        let (first, second) = (self.forms.get(a)?.clone(), self.forms.get(b)?.clone());
        let channels = self.carriers[first.carrier].channels?;
        if self.carriers[second.carrier].channels != Some(channels) {
            return None;
        }
        let mut group = Group::identity(channels, self.reading(&first));
        group.residual = Some(self.reading(&second));
        let inputs = vec![first.carrier, second.carrier];
        self.start(node, Open { group, inputs, node: index, product: false, flat: false })
    }

    /// Maximum pooling and enlarging: on the bytes of their input, which may be those of a group that ends here.
    fn moving(&mut self, index: usize, node: &'a NodeProto) -> Option<()> {
        let step = match node.op_type.as_str() {
            "MaxPool" => {
                let is_plain = integer(node, "ceil_mode", 0) == 0
                    && integer(node, "storage_order", 0) == 0
                    && node.output.len() == 1
                    && matches!(text(node, "auto_pad", "NOTSET"), "NOTSET" | "VALID" | "")
                    && sizes(node, "dilations", [1, 1])? == [1, 1];
                let (kernel, strides) = (sizes(node, "kernel_shape", [0, 0])?, sizes(node, "strides", [1, 1])?);
                let pads: [usize; 4] = sizes(node, "pads", [0; 4])?;
                let pads_fit = (0..4).all(|side| pads[side] < kernel[side % 2].max(1));
                let is_sound = kernel.iter().chain(&strides).all(|&size| size > 0) && pads_fit;
                (is_plain && is_sound).then_some(Step::MaxPool(MaxPool { kernel, strides, pads }))?
            }
            _ => Step::Enlarge(self.enlarging(node)?),
        };
        let (input, output) = (node.input.first()?.as_str(), node.output.first()?.as_str());
        if !self.forms.contains_key(input) {
            // Pooling what will be quantised is the same as pooling the bytes.
            let writing = self.common_writing(output)?;
            let open = self.take_open(input)?;
            let carrier = self.close(input, open, &writing)?;
            let from = Form { carrier, offset: writing.offset.clone() };
            let moved = self.moved(step, &from, output, index);
            self.written.insert(output, (moved, writing));
            return Some(());
        }
        let from = self.forms[input].clone();
        let carrier = self.moved(step, &from, output, index);
        self.forms.insert(output, Form { carrier, offset: from.offset });
        Some(())
    }

    fn moved(&mut self, step: Step, from: &Form, output: &str, node: usize) -> usize {
        let Carrier { scale, channels, .. } = self.carriers[from.carrier];
        self.carrier(
            scale,
            channels,
            false,
            output,
            Maker::Step { step: Arc::new(step), inputs: vec![from.carrier], node },
        )
    }

    fn enlarging(&self, node: &NodeProto) -> Option<Enlarge> {
        let is_plain = text(node, "mode", "nearest") == "nearest"
            && (node.op_type == "Upsample"
                || (text(node, "coordinate_transformation_mode", "half_pixel") == "asymmetric"
                    && text(node, "nearest_mode", "round_prefer_floor") == "floor"));
        let scales = node.input.get(if node.op_type == "Upsample" { 1 } else { 2 })?;
        let (_, scales) = self.facts.floats(scales)?;
        let &[1.0, 1.0, down, across] = scales.as_slice() else { return None };
        let whole = |factor: f32| (factor.fract() == 0.0 && (1.0..=16.0).contains(&factor)).then_some(factor as usize);
        let factor = [whole(down)?, whole(across)?];
        is_plain.then_some(Enlarge { factor })
    }

    fn quantise(&mut self, index: usize) -> Option<()> {
        let Requantisation { source, writing, readers } = self.requantisation(index)?;
        let carrier = if let Some((carrier, as_written)) = self.written.get(source) {
            (*as_written == writing).then_some(*carrier)?
        } else if let Some(form) = self.forms.get(source).filter(|form| self.reading(form) == writing) {
            form.carrier
        } else if let Some(form) = self.flat.get(source).filter(|form| self.reading(form) == writing).cloned() {
            for (reader, offset) in readers {
                self.flat.insert(reader, Form { offset, ..form });
            }
            return Some(());
        } else if self.common_writing(source).is_some()
            && let Some(open) = self.open.remove(source)
        {
            match self.close(source, open, &writing) {
                Some(carrier) => carrier,
                None => self.quantised_float(source, &writing),
            }
        } else {
            self.quantised_float(source, &writing)
        };
        self.written.entry(source).or_insert((carrier, writing));
        let known = if self.carriers[carrier].flat { &mut self.flat } else { &mut self.forms };
        known.extend(readers.into_iter().map(|(reader, offset)| (reader, Form { carrier, offset })));
        Some(())
    }

    fn quantised_float(&mut self, source: &str, writing: &Writing) -> usize {
        let maker = Maker::Quantise { source: source.to_owned(), offset: writing.offset.clone() };
        self.carrier(writing.scale, None, false, source, maker)
    }

    /// Ends a group that is written as bytes.
    fn close(&mut self, output: &'a str, mut open: Open, writing: &Writing) -> Option<usize> {
        let Some(conv) = open.group.compile(Some(writing)) else {
            self.open.insert(output, open);
            return None;
        };
        let channels = conv.outputs;
        let step = Arc::new(if open.flat { Step::FullyConnected(conv) } else { Step::Conv(conv) });
        let maker = Maker::Step { step, inputs: open.inputs, node: open.node };
        let carrier = self.carrier(writing.scale, Some(channels), open.flat, output, maker);
        self.written.insert(output, (carrier, writing.clone()));
        Some(carrier)
    }

    /// Ends the groups whose results are read as floats. Only products are worth it.
    fn close_products(&mut self) {
        for (output, mut open) in std::mem::take(&mut self.open) {
            if !open.product {
                continue;
            }
            if let Some(conv) = open.group.compile(None) {
                let step = Arc::new(if open.flat { Step::FullyConnected(conv) } else { Step::Conv(conv) });
                self.products.insert(output, (step, open.inputs, open.node));
            }
        }
    }

    /// The quantisation that all readers of a float tensor agree on.
    fn common_writing(&self, tensor: &str) -> Option<Writing> {
        if self.facts.is_output(tensor) {
            return None;
        }
        let mut common = None;
        for &reader in self.facts.consumers(tensor) {
            let node = &self.facts.nodes[reader];
            let quantise = match node.op_type.as_str() {
                "QuantizeLinear" => reader,
                "Sub" if self.facts.is_private(node.output.first()?) => {
                    *self.facts.consumers(&node.output[0]).first()?
                }
                _ => return None,
            };
            let found = self.requantisation(quantise).filter(|found| found.source == tensor)?.writing;
            if *common.get_or_insert_with(|| found.clone()) != found {
                return None;
            }
        }
        common
    }

    fn requantisation(&self, index: usize) -> Option<Requantisation<'a>> {
        let nodes: &'a [NodeProto] = self.facts.nodes;
        let node = &nodes[index];
        if node.op_type != "QuantizeLinear" {
            return None;
        }
        let scale = self.facts.scale(node)?;
        let mut source = node.input.first()?.as_str();
        let mut offset = Vec::new();
        if let Some(before) = self.facts.producer(source).map(|before| &nodes[before])
            && before.op_type == "Sub"
            && self.facts.is_private(source)
            && let Some(constant) = self.facts.by_channel(before.input.get(1)?)
        {
            source = before.input.first()?;
            offset = constant;
        }
        let stored = node.output.first()?;
        if self.facts.is_output(stored) {
            return None;
        }
        let mut readers = Vec::new();
        for &reader in self.facts.consumers(stored) {
            let dequantise = &nodes[reader];
            if dequantise.op_type != "DequantizeLinear" || self.facts.scale(dequantise)? != scale {
                return None;
            }
            let real = dequantise.output.first()?.as_str();
            readers.push((real, Vec::new()));
            for &behind in self.facts.consumers(real) {
                let add = &nodes[behind];
                let constant = add.input.iter().find(|input| *input != real);
                if add.op_type == "Add"
                    && let Some(offset) = constant.and_then(|constant| self.facts.by_channel(constant))
                {
                    readers.push((add.output.first()?.as_str(), offset));
                }
            }
        }
        Some(Requantisation { source, writing: Writing { scale, offset }, readers })
    }

    fn reading(&self, form: &Form) -> Reading {
        Reading { scale: self.carriers[form.carrier].scale, offset: form.offset.clone() }
    }

    fn carrier(&mut self, scale: Scale, channels: Option<usize>, flat: bool, of: &str, maker: Maker) -> usize {
        let name = format!("{of} (int8 {})", self.carriers.len());
        self.carriers.push(Carrier { scale, channels, flat, name, maker });
        self.carriers.len() - 1
    }

    /// The group that ends in `tensor`, if a node may go on with it.
    fn take_open(&mut self, tensor: &str) -> Option<Open> {
        if self.facts.is_private(tensor) { self.open.remove(tensor) } else { None }
    }

    fn put_back(&mut self, tensor: &'a str, open: Open) -> Option<()> {
        if open.product {
            self.open.insert(tensor, open);
        }
        None
    }

    fn start(&mut self, node: &'a NodeProto, open: Open) -> Option<()> {
        self.open.insert(node.output.first()?, open);
        Some(())
    }

    fn identity(&self, index: usize, tensor: &str) -> Option<Open> {
        let flat = || self.flat.get(tensor).filter(|form| self.carriers[form.carrier].flat);
        let form = self.forms.get(tensor).or_else(flat)?;
        let Carrier { channels, flat, .. } = self.carriers[form.carrier];
        let group = Group::identity(channels?, self.reading(form));
        Some(Open { group, inputs: vec![form.carrier], node: index, product: false, flat })
    }
}

impl Carrier {
    /// How its bytes are read with an offset.
    pub(super) fn quantisation(&self, offset: &[f32]) -> Quantisation {
        Quantisation { scale: self.scale.scale, zero: self.scale.zero, offset: offset.to_vec() }
    }
}
