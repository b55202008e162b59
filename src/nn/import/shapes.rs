//! The same values in another shape or order.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array;

use super::axes::{OnAxis, OverAxes, over_axes, resolve_all};
use super::{Built, Table, expanded};

pub(super) const TABLE: &Table = &[
    ("Reshape", |_, node| expanded(array::Reshape::new(node.get_attr_opt("allowzero")?.unwrap_or(false)))),
    ("Flatten", flatten),
    ("Transpose", |_, node| expanded(array::PermuteAxes::new(node.get_attr_opt_tvec("perm")?))),
    ("Squeeze", |context, node| over_axes(node, axes_are_input(context), Squeeze)),
    ("Unsqueeze", |context, node| over_axes(node, axes_are_input(context), Unsqueeze)),
    ("Expand", |_, _| expanded(array::MultiBroadcastTo)),
    ("Tile", |_, _| expanded(array::Tile)),
    ("Shape", |_, node| {
        expanded(Shape { start: node.get_attr_opt("start")?.unwrap_or(0), end: node.get_attr_opt("end")? })
    }),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", |_, node| expanded(Blocks { size: block_size(node)?, order: Order::ToDepth })),
];

/// Since opset 13, Squeeze and Unsqueeze take their axes as an input.
fn axes_are_input(context: &ParsingContext) -> bool {
    context.onnx_operator_set_version >= 13
}

fn flatten(_: &ParsingContext, node: &NodeProto) -> Built {
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    expanded(OnAxis { axis, end_allowed: true, op: array::Flatten::new(axis) })
}

/// The largest block: as large as any window.
const MAX_BLOCK: i64 = 4096;

fn block_size(node: &NodeProto) -> TractResult<usize> {
    let size = node.get_attr::<i64>("blocksize")?;
    node.expect_attr("blocksize", (1..=MAX_BLOCK).contains(&size), "1 to 4096")?;
    Ok(size as usize)
}

fn depth_to_space(_: &ParsingContext, node: &NodeProto) -> Built {
    let order = match node.get_attr_opt("mode")?.unwrap_or("DCR") {
        "DCR" => Order::PlacesFirst,
        "CRD" => Order::ChannelsFirst,
        _ => return node.bail_attr("mode", "DCR or CRD is expected"),
    };
    expanded(Blocks { size: block_size(node)?, order })
}

/// Without axes of length 1: those listed, or all.
#[derive(Debug, Clone)]
struct Squeeze;

impl OverAxes for Squeeze {
    const NAME: &'static str = "Squeeze";

    fn axes(&self, listed: &[i64], shape: &[TDim]) -> TractResult<Vec<usize>> {
        if listed.is_empty() {
            return Ok((0..shape.len()).filter(|&axis| shape[axis].is_one()).collect());
        }
        let axes = resolve_all(listed, shape.len())?;
        ensure!(axes.iter().all(|&axis| shape[axis].is_one()), "an axis of {axes:?} in {shape:?} is not of length 1");
        Ok(axes)
    }

    fn output_shape(&self, axes: &[usize], shape: &[TDim]) -> TractResult<TVec<TDim>> {
        let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
        Ok(kept.map(|(_, dim)| dim.clone()).collect())
    }

    fn wire(
        &self,
        axes: &[usize],
        prefix: &str,
        model: &mut TypedModel,
        input: OutletId,
    ) -> TractResult<TVec<OutletId>> {
        axes.iter().rev().try_fold(tvec!(input), |wire, &axis| {
            model.wire_node(format!("{prefix}.axis-{axis}"), AxisOp::Rm(axis), &wire)
        })
    }
}

/// With axes of length 1 where they are listed, counted in the output.
#[derive(Debug, Clone)]
struct Unsqueeze;

impl OverAxes for Unsqueeze {
    const NAME: &'static str = "Unsqueeze";

    fn axes(&self, listed: &[i64], shape: &[TDim]) -> TractResult<Vec<usize>> {
        resolve_all(listed, shape.len() + listed.len())
    }

    fn output_shape(&self, axes: &[usize], shape: &[TDim]) -> TractResult<TVec<TDim>> {
        let mut shape: TVec<TDim> = shape.into();
        for &axis in axes {
            shape.insert(axis, 1.to_dim());
        }
        Ok(shape)
    }

    fn wire(
        &self,
        axes: &[usize],
        prefix: &str,
        model: &mut TypedModel,
        input: OutletId,
    ) -> TractResult<TVec<OutletId>> {
        axes.iter().try_fold(tvec!(input), |wire, &axis| {
            model.wire_node(format!("{prefix}.axis-{axis}"), AxisOp::Add(axis), &wire)
        })
    }
}

/// The lengths of the axes from `start` to `end`; negative ones are counted from the end.
#[derive(Debug, Clone)]
struct Shape {
    start: i64,
    end: Option<i64>,
}

impl Shape {
    fn part(&self, shape: &[TDim]) -> Tensor {
        let rank = shape.len() as i64;
        let place = |axis: i64| (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
        let start = place(self.start);
        let end = self.end.map_or(shape.len(), place);
        tensor1(&shape[start..end.max(start)])
    }
}

impl Expansion for Shape {
    fn name(&self) -> StaticName {
        "Shape".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].rank, 1)?;
        s.equals(&outputs[0].datum_type, TDim::datum_type())?;
        s.given(&inputs[0].shape, move |s, shape| s.equals(&outputs[0].value, self.part(&shape).into_arc_tensor()))
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let shape = self.part(&model.outlet_fact(inputs[0])?.shape.to_tvec());
        Ok(tvec!(model.add_const(prefix, shape)?))
    }
}

/// Which values of a block stand beside each other in the channels.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Channels become blocks of places; those of one place are neighbours.
    PlacesFirst,
    /// Channels become blocks of places; those of one block are neighbours.
    ChannelsFirst,
    /// Blocks become channels, those of one place neighbours.
    ToDepth,
}

/// Channels against blocks of places, in pictures.
#[derive(Debug, Clone)]
struct Blocks {
    size: usize,
    order: Order,
}

impl Blocks {
    /// The output's shape for a picture of `shape`.
    fn output(&self, shape: &[TDim]) -> TractResult<TVec<TDim>> {
        let [pictures, channels, height, width] = shape else { bail!("a picture is expected, not {shape:?}") };
        let (size, places) = (self.size, self.size * self.size);
        let (channels, height, width) = (channels.to_usize()?, height.to_usize()?, width.to_usize()?);
        let whole = match self.order {
            Order::ToDepth => height.is_multiple_of(size) && width.is_multiple_of(size),
            _ => channels.is_multiple_of(places),
        };
        ensure!(whole, "{channels} channels of {height}x{width} are not made of blocks of {size}x{size}");
        let [channels, height, width] = match self.order {
            Order::ToDepth => [channels * places, height / size, width / size],
            _ => [channels / places, height * size, width * size],
        };
        Ok(tvec!(pictures.clone(), channels.to_dim(), height.to_dim(), width.to_dim()))
    }
}

impl Expansion for Blocks {
    fn name(&self) -> StaticName {
        "Blocks".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        s.given(&inputs[0].shape, move |s, shape| s.equals(&outputs[0].shape, self.output(&shape)?))
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let from = model.outlet_fact(inputs[0])?.shape.to_tvec();
        let to = self.output(&from)?;
        let block = self.size.to_dim();
        let dim = |dim: &TDim| dim.clone();
        let split_channels = |parts: TVec<TDim>| AxisOp::Reshape(1, tvec!(dim(&from[1])), parts);
        let join_places = || {
            let places = tvec!(dim(&from[2]), dim(&block), dim(&from[3]), dim(&block));
            AxisOp::Reshape(2, places, tvec!(dim(&to[2]), dim(&to[3])))
        };
        let steps = match self.order {
            // N (b b' C) H W -> N C (H b) (W b')
            Order::PlacesFirst => [
                split_channels(tvec!(dim(&block), dim(&block), dim(&to[1]))),
                AxisOp::Move(2, 5),
                AxisOp::Move(1, 3),
                join_places(),
            ],
            // N (C b b') H W -> N C (H b) (W b')
            Order::ChannelsFirst => [
                split_channels(tvec!(dim(&to[1]), dim(&block), dim(&block))),
                AxisOp::Move(3, 5),
                AxisOp::Move(2, 3),
                join_places(),
            ],
            // N C (H b) (W b') -> N (b b' C) H W
            Order::ToDepth => [
                AxisOp::Reshape(
                    2,
                    tvec!(dim(&from[2]), dim(&from[3])),
                    tvec!(dim(&to[2]), dim(&block), dim(&to[3]), dim(&block)),
                ),
                AxisOp::Move(3, 1),
                AxisOp::Move(5, 2),
                AxisOp::Reshape(1, tvec!(dim(&block), dim(&block), dim(&from[1])), tvec!(dim(&to[1]))),
            ],
        };
        steps
            .into_iter()
            .enumerate()
            .try_fold(tvec!(inputs[0]), |wire, (step, op)| model.wire_node(format!("{prefix}.{step}"), op, &wire))
    }
}
