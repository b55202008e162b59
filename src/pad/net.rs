//! One net's verdict on one frame.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use super::{PadError, Square};
use crate::domain::BBox;
use crate::models::{Alignment, LoadedModel, PadSpec, Role};
use crate::nn::Graph;

/// A net with its buffers.
pub(super) struct Net {
    model: LoadedModel,
    spec: PadSpec,
    box_scale: f32,
    graph: Graph,
    /// Which of the graph's outputs holds the logits.
    output: usize,
    resizer: Resizer,
    rgb: Vec<u8>,
}

/// What a net says of a face, and of which part of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sight {
    pub(super) log_odds: f64,
    pub(super) square: Square,
}

impl Net {
    pub(super) fn new(model: LoadedModel) -> Result<Net, PadError> {
        let card = &model.card;
        let (Role::Pad, Some(spec)) = (card.role, card.pad) else {
            return Err(PadError::Role { model: card.id.clone(), role: card.role });
        };
        let input = &card.input;
        let box_scale = match (input.alignment, input.box_scale, input.channels()) {
            (Alignment::FaceSquare, Some(box_scale), 3) => box_scale,
            _ => return Err(PadError::Input { model: card.id.clone() }),
        };
        let graph = model.graph(&input.shape)?;
        let output = match card.output.names.first() {
            None => 0,
            Some(name) => graph.output_index(name).ok_or_else(|| PadError::Output {
                model: card.id.clone(),
                reason: format!("it has no output {name}"),
            })?,
        };
        let rgb = vec![0; input.width() * input.height() * 3];
        Ok(Net { spec, box_scale, graph, output, resizer: Resizer::new(), rgb, model })
    }

    /// How much this net's log-odds count.
    pub(super) fn weight(&self) -> f64 {
        self.spec.weight
    }

    pub(super) fn id(&self) -> &str {
        &self.model.card.id
    }

    pub(super) fn engine_name(&self) -> &'static str {
        self.graph.engine_name()
    }

    /// The log-odds of a bona fide presentation; `None` when the box has no place in the picture.
    pub(super) fn look(&mut self, image: &RgbImage, bbox: &BBox) -> Result<Option<Sight>, PadError> {
        let Some(square) = Square::around(bbox, self.box_scale, image.dimensions()) else {
            return Ok(None);
        };
        let card = &self.model.card;
        let size = (card.input.width(), card.input.height());
        if resize(&mut self.resizer, image, &square, &mut self.rgb, size).is_none() {
            return Ok(None);
        }
        let outputs = card.input.infer(&mut self.graph, &self.rgb, size, None)?;
        let logits = outputs.get(self.output).map_or(&[][..], |output| output.data());
        let refuse = |reason| PadError::Output { model: card.id.clone(), reason };
        if logits.len() != card.output.dimension {
            let reason = format!("it gave {} values, its card says {}", logits.len(), card.output.dimension);
            return Err(refuse(reason));
        }
        match log_odds(logits, self.spec.bona_fide_class) {
            Some(log_odds) => Ok(Some(Sight { log_odds, square })),
            None => Err(refuse("it gave what are no logits (NaN or infinite)".to_owned())),
        }
    }
}

/// Scales a square of the picture by the four nearest pixels, as OpenCV does when nothing else is asked for: the way of the published
/// measurements. By a filter as wide as the reduction the log-odds of the reference pictures move from 0.95 (bona fide), -10.3 and
/// -2.5 to 0.61, -7.7 and -2.5: nearer to each other.
fn resize(
    resizer: &mut Resizer,
    image: &RgbImage,
    square: &Square,
    rgb: &mut [u8],
    (width, height): (usize, usize),
) -> Option<()> {
    let source = TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw()).ok()?;
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, rgb).ok()?;
    let Square { left_px, top_px, side_px, .. } = *square;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear)).crop(
        f64::from(left_px),
        f64::from(top_px),
        f64::from(side_px),
        f64::from(side_px),
    );
    resizer.resize_typed(&source, &mut target, &options).ok()
}

/// The logarithm of the odds of `class` against all others together, from the logits of a softmax; `None` when one of them is not
/// finite, or there is no such class or no other.
fn log_odds(logits: &[f32], class: usize) -> Option<f64> {
    let own = f64::from(*logits.get(class)?);
    let others = || logits.iter().enumerate().filter(|(at, _)| *at != class).map(|(_, logit)| f64::from(*logit));
    let largest = others().reduce(f64::max)?;
    let sum: f64 = others().map(|logit| (logit - largest).exp()).sum();
    Some(own - largest - sum.ln()).filter(|odds| odds.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn log_odds_are_those_of_the_softmax() {
        // Probabilities 0.5, 0.25, 0.25.
        let even = log_odds(&[2f32.ln(), 0.0, 0.0], 0).unwrap();
        assert!(even.abs() < 1e-6, "{even}");
        assert!((log_odds(&[0.0, 3.0], 1).unwrap() - 3.0).abs() < 1e-12);
        // Where the softmax itself would be 0 / 0.
        assert!((log_odds(&[2000.0, -2000.0, 0.0], 2).unwrap() + 2000.0).abs() < 1e-9);
        for bad in [&[f32::NAN, 0.0][..], &[0.0, f32::INFINITY], &[0.0, f32::NAN, f32::NEG_INFINITY], &[1.0], &[]] {
            assert_eq!(log_odds(bad, 0), None, "{bad:?}");
        }
        assert_eq!(log_odds(&[0.0, 1.0], 2), None);
    }

    proptest! {
        #[test]
        fn log_odds_turn_back_into_the_softmax(a in -8f32..8.0, b in -8f32..8.0, c in -8f32..8.0) {
            let sum: f64 = [a, b, c].iter().map(|v| f64::from(*v).exp()).sum();
            for (class, logit) in [a, b, c].into_iter().enumerate() {
                let share = 1.0 / (1.0 + (-log_odds(&[a, b, c], class).unwrap()).exp());
                prop_assert!((share - f64::from(logit).exp() / sum).abs() < 1e-9);
            }
        }
    }

    /// Where colours go, and that nothing is mixed in from beside the square.
    #[test]
    fn the_square_is_scaled_by_the_nearest_pixels() {
        let left = |x: u32| if x < 40 { [250, 0, 0] } else { [0, 0, 250] };
        let image = RgbImage::from_fn(80, 60, |x, y| image::Rgb(if y < 50 { left(x) } else { [9, 99, 9] }));
        let square = Square { left_px: 20, top_px: 5, side_px: 40, scale: 2.0 };
        let mut rgb = vec![7; 8 * 8 * 3];
        resize(&mut Resizer::new(), &image, &square, &mut rgb, (8, 8)).unwrap();
        for (at, pixel) in rgb.as_chunks::<3>().0.iter().enumerate() {
            assert_eq!(*pixel, left(20 + 5 * (at as u32 % 8) + 2), "{at}");
        }
    }
}
