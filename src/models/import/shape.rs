//! Whether a graph's outside is that of a recogniser: one aligned crop in, one embedding out.

use super::ImportError;
use crate::domain::FaceCrop;
use crate::models::{Alignment, Colour, InputSpec, Layout};
use crate::nn::Value;

/// The lengths an embedding may have. Recognisers have 64 to 1,024 values; fewer are the classes of some other net.
const DIMENSIONS: std::ops::RangeInclusive<usize> = 64..=2048;

/// The most outputs that a message lists.
const LISTED: usize = 6;

/// The order of the input's axes: the stated one, or where the axis of three channels is.
pub(super) fn layout(input: &Value, stated: Option<Layout>) -> Result<Layout, ImportError> {
    let refuse = |reason: String| Err(ImportError::Input { input: input.to_string(), reason });
    let side = FaceCrop::SIDE_PX;
    let shape = match input.shape[..] {
        // No shape at all: every axis is open.
        [] => [None; 4],
        [batch, a, b, c] => [batch, a, b, c],
        _ => return refuse("four axes are expected: batch, colours, rows, columns".to_owned()),
    };
    let takes = |layout: Layout| {
        let (channels, rows, columns) = match layout {
            Layout::Nchw => (shape[1], shape[2], shape[3]),
            Layout::Nhwc => (shape[3], shape[1], shape[2]),
        };
        let fits = |axis: Option<usize>, length| axis.is_none_or(|n| n == length);
        (fits(channels, 3), fits(rows, side) && fits(columns, side), channels.is_some())
    };
    let layout = match stated {
        Some(layout) if takes(layout).0 => layout,
        Some(layout) => {
            let stated = if layout == Layout::Nchw { "NCHW" } else { "NHWC" };
            return refuse(format!("the card says {stated}, and it has not three channels there"));
        }
        None => match (takes(Layout::Nchw), takes(Layout::Nhwc)) {
            // Both axes are open, or the picture is three px wide.
            ((true, ..), (true, ..)) if takes(Layout::Nchw).2 == takes(Layout::Nhwc).2 => {
                return refuse(
                    "which axis is the colours' does not show; state layout = \"NCHW\" or \"NHWC\"".to_owned(),
                );
            }
            ((true, _, true), _) => Layout::Nchw,
            (_, (true, _, true)) => Layout::Nhwc,
            ((true, ..), _) => Layout::Nchw,
            (_, (true, ..)) => Layout::Nhwc,
            _ => return refuse("no axis has the three channels of a colour picture".to_owned()),
        },
    };
    if !takes(layout).1 {
        return refuse(format!(
            "a recogniser here takes aligned crops of {side}x{side} px; this net was made for others"
        ));
    }
    match shape[0] {
        None | Some(1) => Ok(layout),
        Some(batch) => {
            refuse(format!("it takes {batch} pictures at once; export it with a batch of 1, or an open one"))
        }
    }
}

/// The input's specification but for its preprocessing.
pub(super) fn input(layout: Layout, alignment: Option<Alignment>) -> Result<InputSpec, ImportError> {
    let alignment = alignment.unwrap_or(Alignment::Arcface112);
    if alignment != Alignment::Arcface112 {
        let reason = "alignment: a recogniser here takes crops aligned to the five-point template: \"arcface-112\"";
        return Err(ImportError::Card { reason: reason.to_owned() });
    }
    let side = FaceCrop::SIDE_PX;
    let shape = match layout {
        Layout::Nchw => [1, 3, side, side],
        Layout::Nhwc => [1, side, side, 3],
    };
    let (colour, mean) = (Colour::Rgb, vec![0.0; 3]);
    Ok(InputSpec { shape, layout, colour, mean, scale: 1.0, alignment, box_scale: None, size_step_px: None })
}

/// Which of the outputs is the embedding: the only one, or the one called `named`.
pub(super) fn output(outputs: &[Value], named: Option<&str>) -> Result<usize, ImportError> {
    let listed = || {
        let mut list: Vec<String> = outputs.iter().take(LISTED).map(Value::to_string).collect();
        if outputs.len() > LISTED {
            list.push(format!("{} more", outputs.len() - LISTED));
        }
        list.join(", ")
    };
    match (named, outputs) {
        (Some(name), _) => outputs
            .iter()
            .position(|output| output.name == name)
            .ok_or_else(|| ImportError::NoSuchOutput { name: name.to_owned(), outputs: listed() }),
        (None, [_]) => Ok(0),
        (None, _) => Err(ImportError::SeveralOutputs { count: outputs.len(), outputs: listed() }),
    }
}

/// The length of the embedding, by the shape of what the network gave for one picture.
pub(super) fn dimension(name: &str, shape: &[usize]) -> Result<usize, ImportError> {
    let refuse = |reason: String| Err(ImportError::Output { output: name.to_owned(), shape: shape.to_vec(), reason });
    let long: Vec<usize> = shape.iter().copied().filter(|&axis| axis != 1).collect();
    match long[..] {
        [dimension] if DIMENSIONS.contains(&dimension) => Ok(dimension),
        [dimension] => {
            refuse(format!("{dimension} values, and embeddings have {} to {}", DIMENSIONS.start(), DIMENSIONS.end()))
        }
        _ => refuse("one row of values is expected; a detector or a net without its last layers gives this".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(shape: &[Option<usize>]) -> Value {
        Value { name: "data".to_owned(), shape: shape.to_vec() }
    }

    fn fixed(shape: [usize; 4]) -> Value {
        value(&shape.map(Some))
    }

    #[test]
    fn the_layout_shows_in_the_shape() {
        assert_eq!(layout(&fixed([1, 3, 112, 112]), None).unwrap(), Layout::Nchw);
        assert_eq!(layout(&fixed([1, 112, 112, 3]), None).unwrap(), Layout::Nhwc);
        assert_eq!(layout(&value(&[None, Some(3), None, None]), None).unwrap(), Layout::Nchw);
        assert_eq!(layout(&value(&[None, None, None, Some(3)]), None).unwrap(), Layout::Nhwc);
        assert_eq!(layout(&value(&[None, Some(112), Some(112), None]), None).unwrap(), Layout::Nhwc);
        assert_eq!(layout(&value(&[]), Some(Layout::Nhwc)).unwrap(), Layout::Nhwc);
    }

    #[test]
    fn an_input_that_is_no_crop_is_refused() {
        for (shape, stated, part) in [
            (value(&[]), None, "state layout"),
            (value(&[None; 4]), None, "state layout"),
            (fixed([1, 3, 160, 160]), None, "112x112"),
            (fixed([1, 1, 112, 112]), None, "three channels"),
            (fixed([2, 3, 112, 112]), None, "2 pictures at once"),
            (fixed([1, 3, 112, 112]), Some(Layout::Nhwc), "the card says NHWC"),
            (value(&[Some(1), Some(512)]), None, "four axes"),
        ] {
            let message = layout(&shape, stated).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("data"), "{shape:?}: {message}");
        }
        assert!(input(Layout::Nchw, Some(Alignment::FaceBox)).unwrap_err().to_string().contains("arcface-112"));
    }

    #[test]
    fn the_embedding_is_the_only_output_or_the_named_one() {
        let outputs = |count: usize| -> Vec<Value> {
            (0..count).map(|i| Value { name: format!("out{i}"), shape: vec![None, Some(512)] }).collect()
        };
        assert_eq!(output(&outputs(1), None).unwrap(), 0);
        assert_eq!(output(&outputs(3), Some("out2")).unwrap(), 2);
        let several = output(&outputs(12), None).unwrap_err().to_string();
        assert!(
            several.contains("12 outputs") && several.contains("out0 [?, 512]") && several.contains("6 more"),
            "{several}"
        );
        assert!(output(&outputs(1), Some("fc1")).unwrap_err().to_string().contains("fc1"));
    }

    #[test]
    fn an_embedding_is_one_row() {
        assert_eq!(dimension("y", &[1, 512]).unwrap(), 512);
        assert_eq!(dimension("y", &[128]).unwrap(), 128);
        assert_eq!(dimension("y", &[1, 1024, 1, 1]).unwrap(), 1024);
        for shape in [&[1, 3][..], &[1, 8400, 64], &[1, 1], &[1, 100_000], &[]] {
            assert!(dimension("y", shape).unwrap_err().to_string().contains('y'), "{shape:?}");
        }
    }
}
