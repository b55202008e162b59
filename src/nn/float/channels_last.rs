//! The float part of a graph moved to layers of our own, channels last.
//!
//! ONNX keeps a picture's channels in planes. Channels last, the values of one pixel are neighbours: a 1x1 convolution needs no
//! packing and a depthwise one is plain vector code for every stride and border. So the graph is written anew: convolutions,
//! poolings and enlargements that qualify become operators of the `layer` file, an activation or a residual sum right after a
//! convolution becomes part of it, and whatever works value by value runs in the new order. All else stays tract's, with a
//! change of order before and after it.

use std::collections::HashMap;

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::math::{Add, Max, Min};
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_core::ops::nn::resize::NearestUpsample;
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::activation::{Activation, padded};
use super::layer::{ConvLayer, EnlargeLayer, MaxPoolLayer};
use super::simd::Family;
use super::window::Window;
use crate::nn::Isa;
use crate::nn::prelu::PRelu;

/// An input of at most this many planes is read as it is by the first convolution; more are put channels last first.
const PLANAR_CHANNELS: usize = 4;

/// Whether our layers take the place of tract's. Not on 32-bit ARM, where they are plain Rust, while tract's matrix kernels are assembly
/// for NEON.
pub(in crate::nn) fn leads(isa: Isa) -> bool {
    isa != Isa::Neon32
}

/// The same graph with our layers where they fit. It should run before tract's own simplifications, which hide the convolutions.
pub(in crate::nn) fn rewrite(mut model: TypedModel, isa: Isa) -> TractResult<TypedModel> {
    // Biases arrive behind casts and changes of shape.
    model.prop_consts()?;
    let mut rewriter = Rewriter {
        old: &model,
        new: TypedModel { symbols: model.symbols.clone(), ..TypedModel::default() },
        planar: HashMap::new(),
        last: HashMap::new(),
        family: Family::of(isa),
        layers: 0,
        joined: 0,
    };
    for id in model.eval_order()? {
        let node = model.node(id);
        rewriter.node(node).with_context(|| format!("node {}", node.name))?;
    }
    let outputs: Vec<OutletId> =
        model.outputs.iter().map(|&output| rewriter.planar(output)).collect::<TractResult<_>>()?;
    rewriter.new.select_output_outlets(&outputs)?;
    log::debug!("{} float layers of our own, {} nodes joined to them", rewriter.layers, rewriter.joined);
    Ok(rewriter.new)
}

struct Rewriter<'a> {
    old: &'a TypedModel,
    new: TypedModel,
    /// Where an old value is in the new graph, as it was.
    planar: HashMap<OutletId, OutletId>,
    /// Where it is with its channels last.
    last: HashMap<OutletId, OutletId>,
    family: Family,
    layers: usize,
    joined: usize,
}

impl<'a> Rewriter<'a> {
    /// The old value in the new graph, as it was.
    fn planar(&mut self, old: OutletId) -> TractResult<OutletId> {
        if let Some(&new) = self.planar.get(&old) {
            return Ok(new);
        }
        let last = *self.last.get(&old).with_context(|| format!("{old:?} comes after its use"))?;
        let new = self.change_order(old, "planar", AxisOp::Move(3, 1), last)?;
        self.planar.insert(old, new);
        Ok(new)
    }

    /// The old value, which has four axes, with its channels last.
    fn last(&mut self, old: OutletId) -> TractResult<OutletId> {
        if let Some(&new) = self.last.get(&old) {
            return Ok(new);
        }
        let planar = self.planar(old)?;
        let new = self.change_order(old, "last", AxisOp::Move(1, 3), planar)?;
        self.last.insert(old, new);
        Ok(new)
    }

    fn change_order(&mut self, old: OutletId, order: &str, op: AxisOp, from: OutletId) -> TractResult<OutletId> {
        let name = format!("{}.{}.{order}", self.old.node(old.node).name, old.slot);
        Ok(self.new.wire_node(name, op, &[from])?[0])
    }

    /// Four axes, none of them empty, all lengths known, `f32`.
    fn picture_shape(&self, outlet: OutletId) -> Option<[usize; 4]> {
        let fact = self.old.outlet_fact(outlet).ok()?;
        let shape: [usize; 4] = fact.shape.as_concrete()?.try_into().ok()?;
        (fact.datum_type == f32::datum_type() && !shape.contains(&0)).then_some(shape)
    }

    fn constant(&self, outlet: OutletId) -> Option<Vec<f32>> {
        let tensor = self.old.outlet_fact(outlet).ok()?.konst.clone()?;
        Some(tensor.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec())
    }

    fn node(&mut self, node: &'a TypedNode) -> TractResult<()> {
        if node.outputs.len() == 1 && self.rewritten(node)?.is_some() {
            return Ok(());
        }
        if let Some(source) = node.op_as::<TypedSource>() {
            let new = self.new.add_source(&node.name, source.fact.clone())?;
            self.planar.insert(node.id.into(), new);
            return Ok(());
        }
        let inputs: TVec<OutletId> = node.inputs.iter().map(|&input| self.planar(input)).collect::<TractResult<_>>()?;
        for (slot, new) in self.new.wire_node(&node.name, node.op.clone(), &inputs)?.into_iter().enumerate() {
            self.planar.insert(OutletId::new(node.id, slot), new);
        }
        Ok(())
    }

    /// Does the node our way, or returns nothing if it is not one for us.
    fn rewritten(&mut self, node: &'a TypedNode) -> TractResult<Option<()>> {
        if node.op_is::<Conv>() {
            self.convolution(node)
        } else if let Some(pool) = node.op_as::<MaxPool>() {
            self.max_pool(node, pool)
        } else if node.op.name() == "Resize" {
            self.enlargement(node)
        } else if let Some(AxisOp::Move(1, 3)) = node.op_as() {
            // Somebody wants the channels last: that is what we have.
            let Some(&last) = self.last.get(&node.inputs[0]) else { return Ok(None) };
            self.planar.insert(node.id.into(), last);
            Ok(Some(()))
        } else if node.op_is::<Const>() {
            Ok(None)
        } else if self.join_activation(node)?.is_some() || self.join_residual(node)?.is_some() {
            self.joined += 1;
            Ok(Some(()))
        } else {
            self.value_by_value(node)
        }
    }

    fn layer(&mut self, node: &TypedNode, op: impl Into<Box<dyn TypedOp>>, input: OutletId) -> TractResult<Option<()>> {
        let new = self.new.wire_node(&node.name, op, &[input])?[0];
        self.last.insert(node.id.into(), new);
        self.layers += 1;
        Ok(Some(()))
    }

    fn convolution(&mut self, node: &TypedNode) -> TractResult<Option<()>> {
        let [input, weights, bias] = *node.inputs else { return Ok(None) };
        let conv = node.op_as::<Conv>().context("a convolution was announced")?;
        let Some((shape, window)) = self.window(node, &conv.pool_spec) else { return Ok(None) };
        let [pictures, channels, _, _] = shape;
        let (Some(weights), Some(mut bias)) = (self.constant(weights), self.constant(bias)) else { return Ok(None) };
        if conv.q_params.is_some() || conv.kernel_fmt != KernelFormat::OIHW {
            return Ok(None);
        }
        if let [bias_of_all] = *bias {
            bias = vec![bias_of_all; conv.output_channels()];
        }
        if conv.group == channels && conv.output_channels() == channels {
            let input = self.last(input)?;
            self.layer(node, ConvLayer::depthwise(window, pictures, &weights, &bias, self.family), input)
        } else if conv.group == 1 && window.dilation == [1, 1] && moderate(&window) {
            let planar = channels <= PLANAR_CHANNELS && !self.last.contains_key(&input);
            let input = if planar { self.planar(input)? } else { self.last(input)? };
            self.layer(node, ConvLayer::dense(window, pictures, channels, planar, &weights, &bias, self.family), input)
        } else {
            Ok(None)
        }
    }

    fn max_pool(&mut self, node: &TypedNode, pool: &MaxPool) -> TractResult<Option<()>> {
        let Some(&input) = self.last.get(&node.inputs[0]) else { return Ok(None) };
        let Some(([pictures, channels, _, _], window)) = self.window(node, &pool.pool_spec) else { return Ok(None) };
        if pool.with_index_outputs.is_some() {
            return Ok(None);
        }
        self.layer(node, MaxPoolLayer { family: self.family, window, pictures, channels }, input)
    }

    /// The shape of the node's input and the window over it.
    fn window(&self, node: &TypedNode, spec: &PoolSpec) -> Option<([usize; 4], Window)> {
        let shape = self.picture_shape(node.inputs[0])?;
        let output = self.picture_shape(node.id.into())?;
        if spec.data_format != DataFormat::NCHW || spec.rank() != 2 {
            return None;
        }
        let padding = spec.computed_padding(&shape[2..]);
        let pair = |of: &dyn Fn(usize) -> usize| [of(0), of(1)];
        let window = Window {
            input: [shape[2], shape[3]],
            output: [output[2], output[3]],
            kernel: pair(&|axis| spec.kernel_shape[axis]),
            stride: pair(&|axis| spec.stride(axis)),
            dilation: pair(&|axis| spec.dilation(axis)),
            padding: pair(&|axis| padding[axis].pad_before),
        };
        let counts = window.kernel.iter().chain(&window.stride).chain(&window.dilation);
        counts.into_iter().all(|&count| count > 0).then_some((shape, window))
    }

    /// A Resize that repeats every pixel.
    fn enlargement(&mut self, node: &TypedNode) -> TractResult<Option<()>> {
        let Some(&input) = self.last.get(&node.inputs[0]) else { return Ok(None) };
        let Some([pictures, channels, rows, columns]) = self.picture_shape(node.inputs[0]) else { return Ok(None) };
        let Some([1, 1, down, right]) = repeats(self.old, node, 2)? else { return Ok(None) };
        let input_shape = [pictures, rows, columns, channels];
        self.layer(node, EnlargeLayer { input: input_shape, scale: [down, right] }, input)
    }

    /// The convolution in the new graph that alone makes `old` for one reader alone.
    fn only_read_here(&self, old: OutletId) -> Option<(OutletId, &ConvLayer)> {
        if self.old.outlet_successors(old).len() != 1 || self.old.outputs.contains(&old) {
            return None;
        }
        let new = *self.last.get(&old)?;
        Some((new, self.new.node(new.node).op_as::<ConvLayer>()?))
    }

    fn join_activation(&mut self, node: &TypedNode) -> TractResult<Option<()>> {
        let (input, activation) = if let Some(prelu) = node.op_as::<PRelu>() {
            let Some([_, channels, _, _]) = self.picture_shape(node.inputs[0]) else { return Ok(None) };
            let Some(slopes) = prelu.channel_slopes(channels) else { return Ok(None) };
            (node.inputs[0], Activation::Leak(padded(&slopes)))
        } else if let Some(TypedBinOp(op, _)) = node.op_as() {
            let Some((input, bound)) = self.one_constant(node) else { return Ok(None) };
            let activation = if op.is::<Max>() {
                Activation::Clamp { low: bound, high: f32::INFINITY }
            } else if op.is::<Min>() {
                Activation::Clamp { low: f32::NEG_INFINITY, high: bound }
            } else {
                return Ok(None);
            };
            (input, activation)
        } else {
            return Ok(None);
        };
        let Some((new, layer)) = self.only_read_here(input) else { return Ok(None) };
        let Some(layer) = layer.with_activation(activation) else { return Ok(None) };
        self.new.node_mut(new.node).op = Box::new(layer);
        self.last.insert(node.id.into(), new);
        Ok(Some(()))
    }

    /// The other input and the value, where one input of two is a single constant that is a number.
    fn one_constant(&self, node: &TypedNode) -> Option<(OutletId, f32)> {
        let [a, b] = *node.inputs else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(input, constant)| match *self.constant(constant)? {
            [value] if !value.is_nan() && self.picture_shape(input).is_some() => Some((input, value)),
            _ => None,
        })
    }

    fn join_residual(&mut self, node: &TypedNode) -> TractResult<Option<()>> {
        let Some(TypedBinOp(op, _)) = node.op_as() else { return Ok(None) };
        let [a, b] = *node.inputs else { return Ok(None) };
        let shape = self.picture_shape(a);
        if !op.is::<Add>() || a == b || shape.is_none() || shape != self.picture_shape(b) {
            return Ok(None);
        }
        for (sum, residual) in [(a, b), (b, a)] {
            let Some((new, layer)) = self.only_read_here(sum) else { continue };
            let Some(layer) = layer.with_residual() else { continue };
            let residual = self.last(residual)?;
            self.new.node_mut(new.node).op = Box::new(layer);
            self.new.add_edge(residual, InletId::new(new.node, 1))?;
            self.last.insert(node.id.into(), new);
            return Ok(Some(()));
        }
        Ok(None)
    }

    /// Operators that work on each value by itself do not mind the order, once their constants are put into it too.
    fn value_by_value(&mut self, node: &TypedNode) -> TractResult<Option<()>> {
        let op: Box<dyn TypedOp> = if let Some(prelu) = node.op_as::<PRelu>() {
            let Some(prelu) = prelu.channels_last() else { return Ok(None) };
            Box::new(prelu)
        } else if node.op_is::<TypedBinOp>() || node.op_is::<ElementWiseOp>() {
            node.op.clone()
        } else {
            return Ok(None);
        };
        let rank_4 = |outlet: &OutletId| self.old.outlet_fact(*outlet).is_ok_and(|fact| fact.rank() == 4);
        if !node.inputs.iter().all(rank_4) || !node.inputs.iter().any(|input| self.last.contains_key(input)) {
            return Ok(None);
        }
        let inputs: TVec<OutletId> = node.inputs.iter().map(|&input| self.last(input)).collect::<TractResult<_>>()?;
        let new = self.new.wire_node(&node.name, op, &inputs)?[0];
        self.last.insert(node.id.into(), new);
        Ok(Some(()))
    }
}

/// Whether the picture with its padding, which a dense layer copies, is at most some times the picture. A file may say anything.
fn moderate(window: &Window) -> bool {
    (0..2).all(|axis| window.used()[axis] / 4 <= window.input[axis] + window.kernel[axis])
}

/// How often a Resize repeats its input along each axis, if that is all it does. tract knows best: it is asked to simplify the
/// node, which takes it `steps` steps.
fn repeats(model: &TypedModel, node: &TypedNode, steps: usize) -> TractResult<Option<[usize; 4]>> {
    let Some(simpler) = (if steps > 0 { node.op.declutter(model, node)? } else { None }) else { return Ok(None) };
    for node in simpler.model.nodes() {
        if let Some(upsample) = node.op_as::<NearestUpsample>() {
            return Ok(upsample.scales.as_slice().try_into().ok());
        }
        if node.op.name() == "Resize" {
            return repeats(&simpler.model, node, steps - 1);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
    use tract_onnx::tract_core::ops::cnn::PaddingSpec;
    use tract_onnx::tract_core::ops::math::{add, max};
    use tract_onnx::tract_core::ops::nn::resize::{CoordTransformer, Interpolator, Nearest, Resize};

    use super::*;

    /// What a random graph is made of.
    #[derive(Debug, Clone)]
    struct Shape {
        pictures: usize,
        channels: usize,
        size: [usize; 2],
        output_channels: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        before: [usize; 2],
        after: [usize; 2],
        depthwise: bool,
        relu: bool,
        residual: bool,
        pool: bool,
        seed: u32,
    }

    impl Shape {
        fn spec(&self, kernel: [usize; 2], output_channels: usize) -> PoolSpec {
            PoolSpec {
                data_format: DataFormat::NCHW,
                kernel_shape: kernel.as_slice().into(),
                padding: PaddingSpec::Explicit(self.before.as_slice().into(), self.after.as_slice().into()),
                dilations: Some(self.dilation.as_slice().into()),
                strides: Some(self.stride.as_slice().into()),
                input_channels: self.channels,
                output_channels,
            }
        }

        /// A convolution, perhaps with a residual, Relu and pooling after it. Returns nothing if the window does not fit.
        fn model(&self) -> Option<TypedModel> {
            let mut model = TypedModel::default();
            let input = [self.pictures, self.channels, self.size[0], self.size[1]];
            let source = model.add_source("source", f32::fact(input)).unwrap();
            let depthwise = self.depthwise;
            let output_channels = if depthwise { self.channels } else { self.output_channels };
            let group = if depthwise { self.channels } else { 1 };
            let conv = Conv {
                pool_spec: self.spec(self.kernel, output_channels),
                kernel_fmt: KernelFormat::OIHW,
                group,
                q_params: None,
            };
            let weights = [output_channels, self.channels / group, self.kernel[0], self.kernel[1]];
            let weights = model.add_const("weights", noise(&weights, self.seed)).unwrap();
            let bias = model.add_const("bias", noise(&[output_channels], self.seed + 1)).unwrap();
            let reach = |axis: usize| (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            if (0..2).any(|axis| self.size[axis] + self.before[axis] + self.after[axis] < reach(axis)) {
                return None;
            }
            let conv = model.wire_node("conv", conv, &[source, weights, bias]).unwrap();
            let shape: Vec<usize> = model.outlet_fact(conv[0]).unwrap().shape.as_concrete().unwrap().to_vec();
            let mut last = conv[0];
            if self.residual {
                let other = model.add_const("other", noise(&shape, self.seed + 2)).unwrap();
                last = model.wire_node("sum", add(), &[other, last]).unwrap()[0];
            }
            if self.relu {
                let zero = model.add_const("zero", Tensor::zero::<f32>(&[1, 1, 1, 1]).unwrap()).unwrap();
                last = model.wire_node("relu", max(), &[last, zero]).unwrap()[0];
            }
            if self.pool && shape[2] > 1 && shape[3] > 1 {
                let mut pool_spec = self.spec([2, 2], shape[1]);
                pool_spec.input_channels = shape[1];
                pool_spec.dilations = None;
                pool_spec.padding = PaddingSpec::Valid;
                let pool = MaxPool { pool_spec, with_index_outputs: None };
                last = model.wire_node("pool", pool, &[last]).unwrap()[0];
            }
            model.select_output_outlets(&[last]).unwrap();
            Some(model)
        }
    }

    /// Values from -1 to 1 without a pattern.
    fn noise(shape: &[usize], seed: u32) -> Tensor {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state as f32 / (u32::MAX / 2) as f32 - 1.0
            })
            .collect();
        Tensor::from_shape(shape, &values).unwrap()
    }

    fn run(model: TypedModel, input: &Tensor) -> Tensor {
        let plan = model.into_optimized().unwrap().into_runnable().unwrap();
        plan.run(tvec!(input.clone().into_tvalue())).unwrap().remove(0).into_tensor()
    }

    fn names(model: &TypedModel) -> Vec<String> {
        model.eval_order().unwrap().into_iter().map(|id| model.node(id).op.name().to_string()).collect()
    }

    fn shape() -> impl Strategy<Value = Shape> {
        let sizes = (1usize..3, 1usize..40, [1usize..16, 1..16], 1usize..40);
        let window = ([1usize..4, 1..4], [1usize..3, 1..3], any::<bool>(), [0usize..3, 0..3], [0usize..3, 0..3]);
        (sizes, window, any::<[bool; 4]>(), 1u32..1000).prop_map(
            |((pictures, channels, size, output_channels), (kernel, stride, dilated, before, after), flags, seed)| {
                Shape {
                    pictures,
                    channels,
                    size,
                    output_channels,
                    kernel,
                    stride,
                    dilation: if dilated { [2, 1] } else { [1, 1] },
                    before,
                    after,
                    depthwise: flags[0],
                    relu: flags[1],
                    residual: flags[2],
                    pool: flags[3],
                    seed,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn the_rewritten_graph_gives_what_tract_gives(shape in shape()) {
            let Some(model) = shape.model() else { return Ok(()) };
            let input = noise(&[shape.pictures, shape.channels, shape.size[0], shape.size[1]], shape.seed + 3);
            let expected = run(model.clone(), &input);
            let rewritten = rewrite(model, Isa::best()).unwrap();
            let ours = names(&rewritten).iter().any(|name| name == "ConvLayer");
            // The dilation of a kernel of one row says nothing, and the graph may have dropped it.
            if shape.dilation == [1, 1] || shape.kernel[0] > 1 {
                prop_assert_eq!(ours, shape.depthwise || shape.dilation == [1, 1]);
            }
            let found = run(rewritten, &input);
            prop_assert_eq!(found.shape(), expected.shape());
            let (found, expected) = (found.try_as_plain_ram().unwrap(), expected.try_as_plain_ram().unwrap());
            // Sums of at most 9 * 40 products of values up to 1.
            for (found, expected) in found.as_slice::<f32>().unwrap().iter().zip(expected.as_slice::<f32>().unwrap()) {
                prop_assert!((found - expected).abs() <= 1e-4, "{found} {expected}");
            }
        }
    }

    #[test]
    fn activation_and_residual_become_part_of_the_convolution() {
        let shape = Shape {
            pictures: 1,
            channels: 8,
            size: [6, 7],
            output_channels: 24,
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            before: [1, 0],
            after: [1, 2],
            depthwise: false,
            relu: false,
            residual: true,
            pool: true,
            seed: 1,
        };
        let ours = |shape: &Shape| {
            let mut names = names(&rewrite(shape.model().unwrap(), Isa::best()).unwrap());
            names.retain(|name| !["Source", "Const"].contains(&name.as_str()) && !name.contains("Move"));
            names
        };
        assert_eq!(ours(&shape), ["ConvLayer", "MaxPoolLayer"]);
        let activated = Shape { residual: false, relu: true, ..shape.clone() };
        assert_eq!(ours(&activated), ["ConvLayer", "MaxPoolLayer"]);
        let both = Shape { relu: true, ..shape };
        assert_eq!(ours(&both), ["ConvLayer", "MaxPoolLayer"], "the residual is added before the activation");
    }
    #[test]
    fn a_resize_that_repeats_pixels_becomes_a_layer() {
        let shape = Shape {
            pictures: 2,
            channels: 3,
            size: [4, 5],
            output_channels: 20,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            before: [0, 0],
            after: [0, 0],
            depthwise: false,
            relu: false,
            residual: false,
            pool: false,
            seed: 9,
        };
        let mut model = shape.model().unwrap();
        let scales = model.add_const("scales", tensor1(&[1f32, 1.0, 2.0, 3.0])).unwrap();
        let resize = Resize {
            coord_transformer: CoordTransformer::Asymmetric,
            interpolator: Interpolator::Nearest,
            nearest: Nearest::Floor,
            optional_scales_input: Some(1),
            optional_sizes_input: None,
        };
        let conv = model.outputs[0];
        let resized = model.wire_node("resize", resize, &[conv, scales]).unwrap();
        model.select_output_outlets(&resized).unwrap();

        let rewritten = rewrite(model.clone(), Isa::best()).unwrap();
        assert!(names(&rewritten).contains(&"EnlargeLayer".to_owned()), "{:?}", names(&rewritten));
        let input = noise(&[2, 3, 4, 5], 10);
        // tract's kernels for 32-bit ARM add in another order.
        let approximation = if cfg!(target_arch = "arm") { Approximation::Approximate } else { Approximation::Close };
        run(rewritten, &input).close_enough(&run(model, &input), approximation).unwrap();
    }
}
