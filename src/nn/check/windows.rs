//! Operators with a sliding window: convolutions and poolings.

use tract_onnx::pb::NodeProto;

use super::fault::Fault;
use super::tensors::Tensors;
use super::{attribute, node_fault};

/// The largest kernel, stride, dilation or padding along one axis, and the most values under one window. The engine lays out a
/// table a window; the largest in use is a global pooling over a whole feature map.
const MAX_WINDOW: i64 = 4096;
const MAX_WINDOW_VOLUME: i64 = 1 << 16;

/// Pictures have two spatial axes; sound has one, video three.
const SPATIAL_AXES: std::ops::RangeInclusive<usize> = 1..=3;

/// Checks a node that slides a window; any other passes.
pub(super) fn check(node: &NodeProto, tensors: &Tensors) -> Result<(), Fault> {
    let weights = match &*node.op_type {
        "Conv" | "ConvInteger" | "ConvTranspose" => Some(1),
        "QLinearConv" => Some(3),
        "MaxPool" | "AveragePool" | "LpPool" => None,
        _ => return Ok(()),
    };
    let refuse = |field: &str, reason: String| Err(node_fault(node, field, reason));

    let shape = match weights.map(|index| node.input.get(index).filter(|name| !name.is_empty())) {
        Some(None) => return refuse("input", "the weights are missing".to_owned()),
        Some(Some(name)) => tensors.shape(name),
        None => None,
    };
    let mut kernel = ints(node, "kernel_shape")?;
    if let Some(shape) = shape {
        if shape.len() < 3 || shape.contains(&0) {
            return refuse(
                "weights",
                format!("shape {shape:?}: output channels, input channels and kernel are expected"),
            );
        }
        if let Some(kernel) = kernel.filter(|kernel| **kernel != shape[2..]) {
            return refuse("kernel_shape", format!("{kernel:?} where the weights have {:?}", &shape[2..]));
        }
        kernel = Some(&shape[2..]);
    }
    if kernel.is_none() && weights.is_none() {
        return refuse("kernel_shape", "it is missing".to_owned());
    }

    let axes = kernel.map(<[i64]>::len);
    if axes.is_some_and(|axes| !SPATIAL_AXES.contains(&axes)) {
        return refuse("kernel_shape", format!("{} axes, 1 to 3 are supported", axes.unwrap_or_default()));
    }
    let check_list = |field: &str, values: Option<&[i64]>, least: i64, an_axis: usize| {
        let Some(values) = values else { return Ok(()) };
        let expected = axes.map(|axes| axes * an_axis);
        if expected.is_some_and(|expected| expected != values.len()) || values.len() > 3 * an_axis {
            return refuse(field, format!("{} values, {} are expected", values.len(), expected.unwrap_or(2 * an_axis)));
        }
        match values.iter().find(|value| !(least..=MAX_WINDOW).contains(*value)) {
            Some(value) => refuse(field, format!("{value}: {least} to {MAX_WINDOW} is allowed")),
            None => Ok(()),
        }
    };
    check_list("kernel_shape", kernel, 1, 1)?;
    let volume = kernel.map_or(1, |kernel| kernel.iter().product());
    if volume > MAX_WINDOW_VOLUME {
        return refuse("kernel_shape", format!("a window of {volume} values, {MAX_WINDOW_VOLUME} are allowed"));
    }
    let dilations = ints(node, "dilations")?;
    let pads = ints(node, "pads")?;
    check_list("strides", ints(node, "strides")?, 1, 1)?;
    check_list("dilations", dilations, 1, 1)?;
    check_list("pads", pads, 0, 2)?;
    check_list("output_padding", ints(node, "output_padding")?, 0, 1)?;
    check_list("output_shape", ints(node, "output_shape")?, 1, 1)?;
    if let (None, Some(kernel), Some(pads)) = (weights, kernel, pads) {
        // A window that lies in the padding altogether has no value.
        let reach = |axis: usize| (kernel[axis] - 1) * dilations.map_or(1, |dilations| dilations[axis]) + 1;
        if let Some(pad) = (0..pads.len()).find(|&pad| pads[pad] >= reach(pad % kernel.len())) {
            return refuse(
                "pads",
                format!("{}: it must be less than the window, which is {}", pads[pad], reach(pad % kernel.len())),
            );
        }
    }
    check_group(node, shape)
}

fn check_group(node: &NodeProto, weights: Option<&[i64]>) -> Result<(), Fault> {
    let group = attribute(node, "group").map_or(1, |attribute| attribute.i);
    // The first axis is what the groups divide: output channels, or input channels of a ConvTranspose.
    let channels = weights.map_or(i64::MAX, |shape| shape[0]);
    if group < 1 || group > channels {
        return Err(node_fault(node, "group", format!("{group}: 1 to the number of channels is allowed")));
    }
    if weights.is_some() && channels % group != 0 {
        return Err(node_fault(
            node,
            "group",
            format!("{group} does not divide the {channels} channels of the weights"),
        ));
    }
    Ok(())
}

/// The attribute called `name` as a list of integers.
fn ints<'a>(node: &'a NodeProto, name: &str) -> Result<Option<&'a [i64]>, Fault> {
    match attribute(node, name) {
        Some(found) if found.ints.is_empty() => Err(node_fault(node, name, "a list of integers is expected")),
        found => Ok(found.map(|found| &*found.ints)),
    }
}
