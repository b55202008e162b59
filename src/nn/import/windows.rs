//! Operators with a sliding window: convolutions and poolings.
//!
//! Kernels, strides, dilations, pads and groups were checked before (`check::windows`), as far as the weights' shape is in the file.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::cnn::{Deconv, KernelFormat, deconv};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::cnn::{Conv, HirMaxPool, HirSumPool, PaddingSpec, PoolSpec};
use tract_onnx::tract_hir::ops::nn::{DataFormat, GlobalAvgPool, GlobalMaxPool};

use super::{Built, Table, expanded, input, lengths};

pub(super) const TABLE: &Table = &[
    ("Conv", |_, node| expanded(Conv { bias_input: input(node, 2), ..convolution(node)? })),
    ("ConvInteger", conv_integer),
    ("QLinearConv", q_linear_conv),
    ("ConvTranspose", conv_transpose),
    ("MaxPool", max_pool),
    ("AveragePool", |_, node| {
        let include_pads = node.get_attr_opt("count_include_pad")?.unwrap_or(false);
        expanded(HirSumPool::new(pooling(node)?, include_pads, true))
    }),
    ("GlobalAveragePool", |_, _| expanded(GlobalAvgPool)),
    ("GlobalMaxPool", |_, _| expanded(GlobalMaxPool)),
];

/// What is put around the input. Poolings may round the number of windows up, and do not count what is put there.
fn padding(node: &NodeProto, pools: bool) -> TractResult<PaddingSpec> {
    let round_up = node.get_attr_opt::<i64>("ceil_mode")?.unwrap_or(0) == 1;
    let explicit = |before: TVec<usize>, after: TVec<usize>| match pools {
        true => PaddingSpec::ExplicitOnnxPool(before, after, round_up),
        false => PaddingSpec::Explicit(before, after),
    };
    if let Some(pads) = node.get_attr_opt_tvec::<usize>("pads")? {
        node.expect_attr("pads", pads.len().is_multiple_of(2), "as many values before the axes as behind")?;
        let (before, after) = pads.split_at(pads.len() / 2);
        return Ok(explicit(before.into(), after.into()));
    }
    Ok(match node.get_attr_opt("auto_pad")?.unwrap_or("NOTSET") {
        "NOTSET" => match node.get_attr_opt_tvec::<usize>("kernel_shape")? {
            Some(kernel) => explicit(tvec!(0; kernel.len()), tvec!(0; kernel.len())),
            None => PaddingSpec::Valid,
        },
        "VALID" => PaddingSpec::Valid,
        "SAME_UPPER" => PaddingSpec::SameUpper,
        "SAME_LOWER" => PaddingSpec::SameLower,
        _ => return node.bail_attr("auto_pad", "NOTSET, VALID, SAME_UPPER or SAME_LOWER is expected"),
    })
}

/// What all convolutions share.
fn convolution(node: &NodeProto) -> TractResult<Conv> {
    Ok(Conv {
        padding: padding(node, false)?,
        kernel_shape: node.get_attr_opt_tvec("kernel_shape")?,
        strides: node.get_attr_opt_tvec("strides")?,
        dilations: node.get_attr_opt_tvec("dilations")?,
        group: node.get_attr_opt("group")?,
        ..Conv::default()
    })
}

/// Of bytes, with sums of 32 bits as they are.
fn conv_integer(_: &ParsingContext, node: &NodeProto) -> Built {
    expanded(Conv {
        x_zero_point_input: input(node, 2),
        k_zero_point_input: input(node, 3),
        override_output_datum_type: Some(i32::datum_type()),
        ..convolution(node)?
    })
}

/// Of bytes, to bytes.
fn q_linear_conv(_: &ParsingContext, node: &NodeProto) -> Built {
    node.expect((0..8).all(|place| input(node, place) == Some(place)), "values, scales and zero points")?;
    expanded(Conv {
        x_scale_input: Some(1),
        x_zero_point_input: Some(2),
        k_input: Some(3),
        k_scale_input: Some(4),
        k_zero_point_input: Some(5),
        y_scale_input: Some(6),
        y_zero_point_input: Some(7),
        bias_input: input(node, 8),
        ..convolution(node)?
    })
}

/// The window of a pooling; channels are known later.
fn pooling(node: &NodeProto) -> TractResult<PoolSpec> {
    let kernel = node.get_attr_tvec("kernel_shape")?;
    let (dilations, strides) = (node.get_attr_opt_tvec("dilations")?, node.get_attr_opt_tvec("strides")?);
    Ok(PoolSpec::new(DataFormat::NCHW, kernel, padding(node, true)?, dilations, strides, 0, 0))
}

fn max_pool(_: &ParsingContext, node: &NodeProto) -> Built {
    let indices = node.output.get(1).is_some_and(|name| !name.is_empty());
    node.expect(!indices, "one output: the places of the maxima are not supported")?;
    expanded(HirMaxPool::new(pooling(node)?, None))
}

fn conv_transpose(_: &ParsingContext, node: &NodeProto) -> Built {
    let padding = padding(node, false)?;
    let size = node.get_attr_opt_tvec("output_shape")?;
    let computed = matches!(padding, PaddingSpec::SameUpper | PaddingSpec::SameLower);
    node.expect_attr("output_shape", size.is_none() || !computed, "no auto_pad beside it")?;
    expanded(ConvTranspose {
        padding,
        strides: node.get_attr_opt_tvec("strides")?,
        dilations: node.get_attr_opt_tvec("dilations")?,
        extra: node.get_attr_opt_tvec("output_padding")?,
        size,
        groups: node.get_attr_opt("group")?.unwrap_or(1),
        bias: input(node, 2),
    })
}

/// A convolution backwards: each input value spreads over a window of the output.
#[derive(Debug, Clone)]
struct ConvTranspose {
    padding: PaddingSpec,
    strides: Option<TVec<usize>>,
    dilations: Option<TVec<usize>>,
    /// Added behind the output, along each axis.
    extra: Option<TVec<usize>>,
    /// The output's size, instead of `extra`.
    size: Option<TVec<usize>>,
    groups: usize,
    bias: Option<usize>,
}

impl ConvTranspose {
    /// The window for weights of `shape`: input channels, output channels of a group, kernel.
    fn window(&self, shape: &[usize]) -> TractResult<PoolSpec> {
        ensure!(shape.len() > 2, "weights {shape:?}: channels and a kernel are expected");
        let axes = shape.len() - 2;
        let lists = [&self.strides, &self.dilations, &self.extra, &self.size];
        ensure!(lists.into_iter().flatten().all(|list| list.len() == axes), "an attribute has not {axes} values");
        ensure!(
            self.groups > 0 && shape[0].is_multiple_of(self.groups),
            "{} groups of {} channels",
            self.groups,
            shape[0]
        );
        let outputs = shape[1].checked_mul(self.groups).context("too many channels")?;
        let (dilations, strides) = (self.dilations.clone(), self.strides.clone());
        let kernel = shape[2..].into();
        Ok(PoolSpec::new(DataFormat::NCHW, kernel, self.padding.clone(), dilations, strides, shape[0], outputs))
    }

    /// What is added behind the output of an input of `shape`.
    fn extra(&self, window: &PoolSpec, shape: &[usize]) -> TractResult<TVec<usize>> {
        let axes = window.kernel_shape.len();
        ensure!(shape.len() == axes + 2, "an input {shape:?} for a kernel of {axes} axes");
        let Some(size) = &self.size else {
            return Ok(self.extra.clone().unwrap_or_else(|| tvec!(0; axes)));
        };
        // What the output would be without any.
        let plain = deconv::output_shape(window, shape, &tvec!(0; axes))?;
        let extra = size.iter().zip(&plain[2..]).map(|(&size, &plain)| size.checked_sub(plain));
        let extra: Option<TVec<usize>> = extra.collect();
        extra.with_context(|| format!("output_shape {size:?} is smaller than {:?}", &plain[2..]))
    }
}

impl Expansion for ConvTranspose {
    fn name(&self) -> StaticName {
        "ConvTranspose".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, if self.bias.is_some() { 3 } else { 2 })?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].datum_type, &inputs[1].datum_type)?;
        s.equals(&inputs[0].shape[1], &inputs[1].shape[0])?;
        if let Some(bias) = self.bias {
            s.equals(&inputs[0].datum_type, &inputs[bias].datum_type)?;
            s.equals(&inputs[bias].rank, 1)?;
            s.equals(&inputs[bias].shape[0], &outputs[0].shape[1])?;
        }
        s.given_2(&inputs[0].shape, &inputs[1].shape, move |s, shape, weights| {
            let shape = lengths(&shape)?;
            let window = self.window(&lengths(&weights)?)?;
            let output = deconv::output_shape(&window, &shape, &self.extra(&window, &shape)?)?;
            s.equals(&outputs[0].shape, output.iter().map(|dim| dim.to_dim()).collect::<TVec<TDim>>())
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let shape = lengths(&model.outlet_fact(inputs[0])?.shape.to_tvec())?;
        let window = self.window(&lengths(&model.outlet_fact(inputs[1])?.shape.to_tvec())?)?;
        // tract has the output channels first, all groups' together.
        let name = |step: &str| format!("{prefix}.weights_{step}");
        let weights = AxisOp::wire_split_axis(model, name("grouped"), inputs[1], 0, self.groups)?;
        let weights = model.wire_node(name("turned"), AxisOp::Move(1, 2), &weights)?;
        let weights = AxisOp::wire_collapse_axis(model, name("joined"), weights[0], 0)?[0];
        let bias = match self.bias {
            Some(bias) => inputs[bias],
            None => {
                let zero = Tensor::zero_scalar_dt(model.outlet_fact(inputs[0])?.datum_type)?;
                model.add_const(format!("{prefix}.bias"), zero)?
            }
        };
        let extra = self.extra(&window, &shape)?;
        let op = Deconv::new(window, KernelFormat::OIHW, extra, self.groups);
        model.wire_node(prefix, op, &[inputs[0], weights, bias])
    }
}
