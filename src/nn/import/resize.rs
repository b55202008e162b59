//! Pictures made larger or smaller.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::array::Gather;
use tract_onnx::tract_core::ops::nn::resize::{self as core, CoordTransformer, Interpolator};
use tract_onnx::tract_hir::internal::*;

use super::axes::{resolve, resolve_all};
use super::wiring::Wiring;
use super::{Built, Table, expanded, input, ints, lengths};

pub(super) const TABLE: &Table = &[("Resize", resize), ("Upsample", upsample)];

fn resize(context: &ParsingContext, node: &NodeProto) -> Built {
    if context.onnx_operator_set_version < 11 {
        return before_opset_11(node);
    }
    for (name, expected) in [("antialias", 0), ("exclude_outside", 0)] {
        node.expect_attr(name, node.get_attr_opt::<i64>(name)?.unwrap_or(expected) == expected, "0")?;
    }
    let policy = node.get_attr_opt("keep_aspect_ratio_policy")?.unwrap_or("stretch");
    node.expect_attr("keep_aspect_ratio_policy", policy == "stretch", "stretch")?;
    let cubic = node.get_attr_opt("cubic_coeff_a")?.unwrap_or(-0.75f32);
    node.expect_attr("cubic_coeff_a", cubic == -0.75, "-0.75")?;
    let rounding = match node.get_attr_opt("nearest_mode")?.unwrap_or("round_prefer_floor") {
        "floor" => Rounding::Down,
        "ceil" => Rounding::Up,
        "round_prefer_floor" => Rounding::HalfDown,
        "round_prefer_ceil" => Rounding::HalfUp,
        _ => return node.bail_attr("nearest_mode", "floor, ceil, round_prefer_floor or round_prefer_ceil is expected"),
    };
    let transform = node.get_attr_opt("coordinate_transformation_mode")?.unwrap_or("half_pixel");
    expanded(Resize {
        transform: CoordTransformer::parse(transform)?,
        interpolator: Interpolator::parse(node.get_attr_opt("mode")?.unwrap_or("nearest"))?,
        rounding,
        axes: node.get_attr_opt_vec("axes")?,
        listed: None,
        // Between them and the values stands a region, which no mode that is supported reads.
        scales: input(node, 2),
        sizes: input(node, 3),
    })
}

/// Upsample was called Resize from opset 10 on. Its scales were an attribute first.
fn upsample(context: &ParsingContext, node: &NodeProto) -> Built {
    node.expect(context.onnx_operator_set_version < 10, "an opset below 10: later ones have Resize")?;
    before_opset_11(node)
}

fn before_opset_11(node: &NodeProto) -> Built {
    let mode = match node.get_attr_opt("mode")?.unwrap_or("nearest") {
        "nearest" => Interpolator::Nearest,
        "linear" | "bilinear" => Interpolator::Linear,
        _ => return node.bail_attr("mode", "nearest or linear is expected"),
    };
    expanded(Resize {
        transform: CoordTransformer::Asymmetric,
        interpolator: mode,
        rounding: Rounding::ByScale,
        axes: None,
        listed: node.get_attr_opt_vec("scales")?,
        scales: input(node, 1),
        sizes: None,
    })
}

/// Which of two neighbours is the nearest.
#[derive(Debug, Clone, Copy)]
enum Rounding {
    Down,
    Up,
    /// The nearer one; between them the first.
    HalfDown,
    /// The nearer one; between them the second.
    HalfUp,
    /// Down to enlarge, up to shrink. Versions of ONNX without a mode left it open; this is what onnxruntime does.
    ByScale,
}

/// tract's Resize without region and low-pass filter, with all ways of rounding.
#[derive(Debug, Clone)]
struct Resize {
    transform: CoordTransformer,
    interpolator: Interpolator,
    rounding: Rounding,
    /// The axes that scales or sizes are given for, if not all.
    axes: Option<Vec<i64>>,
    /// Scales that are an attribute.
    listed: Option<Vec<f32>>,
    /// Where they stand among the inputs.
    scales: Option<usize>,
    sizes: Option<usize>,
}

/// For every axis of a tensor.
struct Target {
    scales: Vec<f32>,
    lengths: Vec<usize>,
    /// Whether the scales follow from the lengths; else it is the other way round.
    by_length: bool,
}

impl Resize {
    /// The inputs that must be known, scales before sizes.
    fn known(&self) -> Vec<usize> {
        [self.scales, self.sizes].into_iter().flatten().collect()
    }

    /// The target for an input of `shape` and the values of the [`known`](Resize::known) inputs.
    fn target(&self, shape: &[usize], known: &[Arc<Tensor>]) -> TractResult<Target> {
        let axes = match &self.axes {
            Some(axes) => {
                resolve_all(axes, shape.len())?;
                axes.iter().map(|&axis| resolve(axis, shape.len())).collect::<TractResult<Vec<_>>>()?
            }
            None => (0..shape.len()).collect(),
        };
        let mut target = Target { scales: vec![1.0; shape.len()], lengths: shape.to_vec(), by_length: false };
        let scales = match (&self.listed, self.scales) {
            (Some(listed), _) => Some(listed.clone()),
            (None, Some(_)) => Some(known[0].cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()),
            (None, None) => None,
        };
        // Exporters give an empty list where they give sizes.
        if let Some(scales) = scales.filter(|scales| !scales.is_empty()) {
            ensure!(scales.len() == axes.len(), "{} scales for {} axes", scales.len(), axes.len());
            for (&axis, &scale) in axes.iter().zip(&scales) {
                ensure!(scale.is_finite() && scale > 0.0, "a scale of {scale}");
                target.scales[axis] = scale;
                target.lengths[axis] = match scale.fract() == 0.0 {
                    true => shape[axis].saturating_mul(scale as usize),
                    false => (shape[axis] as f32 * scale) as usize,
                };
            }
        } else {
            ensure!(self.sizes.is_some() && !known.is_empty(), "neither scales nor sizes are given");
            let sizes = ints(&known[known.len() - 1])?;
            target.by_length = true;
            ensure!(sizes.len() == axes.len(), "{} sizes for {} axes", sizes.len(), axes.len());
            for (&axis, &size) in axes.iter().zip(&sizes) {
                target.lengths[axis] = usize::try_from(size)?;
                target.scales[axis] = target.lengths[axis] as f32 / shape[axis] as f32;
            }
        }
        let sound = |length: &usize| (1..=i32::MAX as usize).contains(length);
        ensure!(
            shape.iter().chain(&target.lengths).all(sound),
            "from {shape:?} to {:?}: no axis may vanish or be that long",
            target.lengths
        );
        Ok(target)
    }

    /// For every place along an axis of the output, the nearest place of the input.
    fn nearest(&self, rounding: Rounding, scale: f32, from: usize, to: usize) -> Vec<i64> {
        let second = |offset: f32| match rounding {
            Rounding::Down => false,
            Rounding::Up => true,
            Rounding::HalfDown => offset > 0.5,
            Rounding::HalfUp => offset >= 0.5,
            Rounding::ByScale => scale < 1.0,
        };
        let places = (0..to).map(|place| {
            let at = self.transform.transform(place, scale, from, to);
            let first = at.ceil() - 1.0;
            let offset = at - first;
            let nearest = if offset == 1.0 || second(offset) { first + 1.0 } else { first };
            nearest.clamp(0.0, (from - 1) as f32) as i64
        });
        places.collect()
    }

    /// How tract says it; none if it cannot.
    fn rounding_of_tract(&self, shape: &[usize], target: &Target) -> Option<core::Nearest> {
        if self.interpolator != Interpolator::Nearest {
            return Some(core::Nearest::Floor);
        }
        let same = |other: Rounding| {
            (0..shape.len()).all(|axis| {
                let places = |rounding| self.nearest(rounding, target.scales[axis], shape[axis], target.lengths[axis]);
                places(self.rounding) == places(other)
            })
        };
        let ways = [(Rounding::Down, core::Nearest::Floor), (Rounding::HalfUp, core::Nearest::RoundPreferCeil)];
        ways.into_iter().find(|&(rounding, _)| same(rounding)).map(|(_, nearest)| nearest)
    }
}

impl Expansion for Resize {
    fn name(&self) -> StaticName {
        "Resize".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        ensure!(!inputs.is_empty(), "an input is missing");
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)?;
        s.equals(&inputs[0].rank, &outputs[0].rank)?;
        s.given(&inputs[0].shape, move |s, shape| {
            s.given_all(self.known().into_iter().map(|index| &inputs[index].value), move |s, known| {
                let target = self.target(&lengths(&shape)?, &known)?;
                s.equals(&outputs[0].shape, target.lengths.iter().map(|dim| dim.to_dim()).collect::<TVec<TDim>>())
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut wiring = Wiring::new(prefix, model);
        let shape = lengths(&wiring.fact(inputs[0])?.shape.to_tvec())?;
        let known = self.known().into_iter().map(|index| wiring.known(inputs[index], "scales or sizes"));
        let target = self.target(&shape, &known.collect::<TractResult<Vec<_>>>()?)?;
        if let Some(nearest) = self.rounding_of_tract(&shape, &target) {
            let op = core::Resize {
                coord_transformer: self.transform.clone(),
                interpolator: self.interpolator.clone(),
                nearest,
                optional_scales_input: (!target.by_length).then_some(1),
                optional_sizes_input: target.by_length.then_some(1),
            };
            let lengths: Vec<i64> = target.lengths.iter().map(|&length| length as i64).collect();
            let aim = if target.by_length { tensor1(&lengths) } else { tensor1(&target.scales) };
            let aim = wiring.constant("aim", aim)?;
            return Ok(tvec!(wiring.apply_to("", op, &[inputs[0], aim])?));
        }
        let resized =
            (0..shape.len()).filter(|&axis| shape[axis] != target.lengths[axis] || target.scales[axis] != 1.0);
        resized
            .collect::<Vec<_>>()
            .into_iter()
            .try_fold(inputs[0], |wire, axis| {
                let places = self.nearest(self.rounding, target.scales[axis], shape[axis], target.lengths[axis]);
                let places = wiring.constant(&format!("places-{axis}"), tensor1(&places))?;
                wiring.apply_to(&format!("axis-{axis}"), Gather::new(axis), &[wire, places])
            })
            .map(|wire| tvec!(wire))
    }
}
