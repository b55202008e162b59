//! Values cut out of others, put together, and put into a frame.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array::{self, PadMode, StridedSlice};

use super::axes::{OnAxis, resolve};
use super::{Built, Table, expanded, input, ints, lengths};

pub(super) const TABLE: &Table = &[
    ("Concat", |_, node| expanded(array::Concat::new(node.get_attr("axis")?))),
    ("Gather", gather),
    ("Slice", slice),
    ("Split", split),
    ("Pad", pad),
];

fn gather(_: &ParsingContext, node: &NodeProto) -> Built {
    let axis = node.get_attr_opt("axis")?.unwrap_or(0);
    expanded(OnAxis { axis, end_allowed: false, op: array::Gather::new(axis) })
}

/// Bounds are attributes up to opset 9, inputs since.
fn slice(context: &ParsingContext, node: &NodeProto) -> Built {
    if context.onnx_operator_set_version < 10 {
        let (starts, ends) = (node.get_attr_vec::<i64>("starts")?, node.get_attr_vec::<i64>("ends")?);
        let axes = node.get_attr_opt_vec("axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        node.expect(starts.len() == ends.len() && starts.len() == axes.len(), "as many starts as ends and axes")?;
        return expanded(Ranges { axes, starts, ends });
    }
    expanded(Slice(StridedSlice {
        optional_axes_input: input(node, 3),
        optional_steps_input: input(node, 4),
        begin_mask: 0,
        end_mask: 0,
        shrink_axis_mask: 0,
    }))
}

/// Lengths are an attribute up to opset 12, an input since; without them the pieces are equal.
fn split(context: &ParsingContext, node: &NodeProto) -> Built {
    let by_input = context.onnx_operator_set_version >= 13;
    let listed = if by_input { None } else { node.get_attr_opt_vec("split")? };
    let axis = node.get_attr_opt("axis")?.unwrap_or(0);
    let by_input = by_input && input(node, 1).is_some();
    expanded(Split { axis, pieces: node.output.len(), listed, by_input })
}

/// The frame is an attribute up to opset 10, an input since.
fn pad(context: &ParsingContext, node: &NodeProto) -> Built {
    let mode = match node.get_attr_opt("mode")?.unwrap_or("constant") {
        "constant" => PadMode::Constant(rctensor0(node.get_attr_opt("value")?.unwrap_or(0f32))),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        _ => return node.bail_attr("mode", "constant, reflect or edge is expected"),
    };
    if context.onnx_operator_set_version < 11 {
        return expanded(Pad { mode, listed: Some(node.get_attr_vec("pads")?), value: None, axes: None });
    }
    node.expect(input(node, 1) == Some(1), "pads as the second input")?;
    expanded(Pad { mode, listed: None, value: input(node, 2), axes: input(node, 3) })
}

/// tract's, with steps that get somewhere.
#[derive(Debug, Clone)]
struct Slice(StridedSlice);

impl Expansion for Slice {
    fn name(&self) -> StaticName {
        "Slice".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        if let Some(steps) = self.0.optional_steps_input.and_then(|steps| inputs.get(steps)) {
            s.given(&steps.value, move |_, steps| {
                let steps = ints(&steps)?;
                let sound = |step: &i64| *step != 0 && step.unsigned_abs() <= i32::MAX as u64;
                ensure!(steps.iter().all(sound), "steps {steps:?}: none may be 0");
                Ok(())
            })?;
        }
        self.0.rules(s, inputs, outputs)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.0.clone(), inputs)
    }
}

/// A range of each axis named; negative places are counted from the end.
#[derive(Debug, Clone)]
struct Ranges {
    axes: Vec<i64>,
    starts: Vec<i64>,
    ends: Vec<i64>,
}

impl Ranges {
    /// Axis, start and end, within the shape.
    fn within(&self, shape: &[usize]) -> TractResult<Vec<(usize, usize, usize)>> {
        let bounds = self.starts.iter().zip(&self.ends);
        let ranges = self.axes.iter().zip(bounds).map(|(&axis, (&start, &end))| {
            let axis = resolve(axis, shape.len())?;
            let length = shape[axis] as i64;
            let place = |at: i64| (if at < 0 { at.saturating_add(length) } else { at }).clamp(0, length) as usize;
            Ok((axis, place(start), place(end).max(place(start))))
        });
        ranges.collect()
    }
}

impl Expansion for Ranges {
    fn name(&self) -> StaticName {
        "Slice".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.given(&inputs[0].shape, move |s, mut shape| {
            for (axis, start, end) in self.within(&lengths(&shape)?)? {
                shape[axis] = (end - start).to_dim();
            }
            s.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let shape = lengths(&model.outlet_fact(inputs[0])?.shape.to_tvec())?;
        self.within(&shape)?.into_iter().try_fold(tvec!(inputs[0]), |wire, (axis, start, end)| {
            model.wire_node(format!("{prefix}.axis-{axis}"), array::Slice::new(axis, start, end), &wire)
        })
    }
}

/// Pieces along an axis.
#[derive(Debug, Clone)]
struct Split {
    axis: i64,
    pieces: usize,
    listed: Option<Vec<i64>>,
    by_input: bool,
}

impl Split {
    /// The axis, and the length of each piece.
    fn lengths(&self, shape: &[TDim], listed: Option<&[i64]>) -> TractResult<(usize, Vec<usize>)> {
        let axis = resolve(self.axis, shape.len())?;
        let length = shape[axis].to_usize()?;
        let pieces = match listed {
            Some(listed) => listed.iter().map(|&piece| Ok(usize::try_from(piece)?)).collect::<TractResult<Vec<_>>>()?,
            None => {
                let piece = length.div_ceil(self.pieces);
                let starts = (0..self.pieces).map(|i| (i * piece).min(length));
                starts.map(|start| piece.min(length - start)).collect()
            }
        };
        let sum = pieces.iter().try_fold(0usize, |sum, &piece| sum.checked_add(piece));
        ensure!(
            sum == Some(length) && pieces.len() == self.pieces,
            "{} pieces {pieces:?} of an axis of length {length}",
            self.pieces
        );
        Ok((axis, pieces))
    }
}

impl Expansion for Split {
    fn name(&self) -> StaticName {
        "Split".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.pieces)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, if self.by_input { 2 } else { 1 })?;
        check_output_arity(outputs, self.pieces)?;
        for output in outputs {
            s.equals(&inputs[0].datum_type, &output.datum_type)?;
        }
        let shaped = move |s: &mut Solver<'r>, shape: &[TDim], listed: Option<&[i64]>| {
            let (axis, pieces) = self.lengths(shape, listed)?;
            for (output, piece) in outputs.iter().zip(pieces) {
                let mut shape: TVec<TDim> = shape.into();
                shape[axis] = piece.to_dim();
                s.equals(&output.shape, shape)?;
            }
            Ok(())
        };
        match self.by_input {
            true => s.given_2(&inputs[0].shape, &inputs[1].value, move |s, shape, listed| {
                shaped(s, &shape, Some(&ints(&listed)?))
            }),
            false => s.given(&inputs[0].shape, move |s, shape| shaped(s, &shape, self.listed.as_deref())),
        }
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let shape = model.outlet_fact(inputs[0])?.shape.to_tvec();
        let listed = match self.by_input {
            true => Some(ints(model.outlet_fact(inputs[1])?.konst.as_ref().context("the lengths must be constant")?)?),
            false => self.listed.clone(),
        };
        let (axis, pieces) = self.lengths(&shape, listed.as_deref())?;
        let mut start = 0;
        let mut outputs = tvec!();
        for (i, piece) in pieces.into_iter().enumerate() {
            let op = array::Slice::new(axis, start, start + piece);
            outputs.push(model.wire_node(format!("{prefix}.{i}"), op, &inputs[..1])?[0]);
            start += piece;
        }
        Ok(outputs)
    }
}

/// A frame around the values.
#[derive(Debug, Clone)]
struct Pad {
    mode: PadMode,
    /// What is put before each axis, then what is put behind each; none when the second input says it.
    listed: Option<Vec<i64>>,
    /// The input that the frame is filled with.
    value: Option<usize>,
    /// The input with the axes that get a frame, if not all do.
    axes: Option<usize>,
}

impl Pad {
    /// What is put before and behind each axis of `shape`.
    fn frame(&self, shape: &[TDim], pads: &[i64], axes: Option<&[i64]>) -> TractResult<Vec<(usize, usize)>> {
        let axes = match axes {
            Some(axes) => axes.iter().map(|&axis| resolve(axis, shape.len())).collect::<TractResult<Vec<_>>>()?,
            None => (0..shape.len()).collect(),
        };
        ensure!(pads.len() == 2 * axes.len(), "{} pads for {} axes", pads.len(), axes.len());
        let mut frame = vec![(0, 0); shape.len()];
        for (i, &axis) in axes.iter().enumerate() {
            let length = shape[axis].to_i64()?;
            for pad in [pads[i], pads[i + axes.len()]] {
                let most = match self.mode {
                    PadMode::Constant(_) => i64::from(i32::MAX),
                    // The frame mirrors what is there, without the outermost.
                    PadMode::Reflect => length - 1,
                    PadMode::Edge => {
                        if length > 0 {
                            i64::from(i32::MAX)
                        } else {
                            0
                        }
                    }
                };
                ensure!((0..=most.max(0)).contains(&pad), "a pad of {pad} at axis {axis} of {shape:?}");
            }
            frame[axis] = (pads[i] as usize, pads[i + axes.len()] as usize);
        }
        Ok(frame)
    }

    /// The inputs that must be known: pads and axes.
    fn known(&self) -> Vec<usize> {
        if self.listed.is_some() { Vec::new() } else { [Some(1), self.axes].into_iter().flatten().collect() }
    }

    /// As [`frame`](Pad::frame), by the values of the [`known`](Pad::known) inputs.
    fn frame_of(&self, shape: &[TDim], known: &[Arc<Tensor>]) -> TractResult<Vec<(usize, usize)>> {
        let known = known.iter().map(|tensor| ints(tensor)).collect::<TractResult<Vec<_>>>()?;
        let pads = self.listed.as_ref().or(known.first()).context("the pads are missing")?;
        self.frame(shape, pads, known.get(1).map(Vec::as_slice))
    }
}

impl Expansion for Pad {
    fn name(&self) -> StaticName {
        "Pad".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1 + self.known().len() + usize::from(self.value.is_some()))?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        if let Some(value) = self.value {
            s.equals(&inputs[0].datum_type, &inputs[value].datum_type)?;
        }
        s.given(&inputs[0].shape, move |s, shape| {
            s.given_all(self.known().into_iter().map(|index| &inputs[index].value), move |s, known| {
                let frame = self.frame_of(&shape, &known)?;
                let shape = shape.iter().zip(frame).map(|(dim, (before, after))| dim.clone() + before + after);
                s.equals(&outputs[0].shape, shape.collect::<TVec<TDim>>())
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?;
        let (shape, kind) = (fact.shape.to_tvec(), fact.datum_type);
        let known = |index: usize| -> TractResult<Arc<Tensor>> {
            let value = model.outlet_fact(inputs[index])?.konst.clone();
            value.with_context(|| format!("{prefix}: input {index} must be a constant"))
        };
        let pads = self.frame_of(&shape, &self.known().into_iter().map(known).collect::<TractResult<Vec<_>>>()?)?;
        let mode = match (&self.mode, self.value) {
            (PadMode::Constant(_), Some(value)) => {
                let value = known(value)?;
                ensure!(value.len() == 1, "{prefix}: one value is expected to fill the frame with");
                PadMode::Constant(value.as_ref().clone().into_shape(&[])?.into_arc_tensor())
            }
            (PadMode::Constant(value), None) => {
                PadMode::Constant(value.cast_to_dt(kind)?.into_owned().into_arc_tensor())
            }
            (mode, _) => mode.clone(),
        };
        model.wire_node(prefix, array::Pad { mode, pads }, &inputs[..1])
    }
}
