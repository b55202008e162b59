//! Five landmarks for a detector that gives boxes only, from a net of 68.

use image::RgbImage;

use super::DetectError;
use super::resample::{Resampler, Target};
use crate::domain::{BBox, Landmarks5, Point};
use crate::models::{LoadedModel, ModelStore};
use crate::nn::Graph;

/// The model's id in the catalogue.
const MODEL: &str = "landmarks-68";
/// Points the net gives, in the order of iBUG 300-W.
const POINTS: usize = 68;
/// The landmark net with its buffers.
pub(super) struct LandmarkNet {
    model: LoadedModel,
    graph: Graph,
    resampler: Resampler,
    rgb: Vec<u8>,
}

impl LandmarkNet {
    pub(super) fn new(models: &ModelStore) -> Result<LandmarkNet, DetectError> {
        let model = models.load(MODEL)?;
        if model.card.output.dimension != 2 * POINTS {
            let reason = format!("its card says {} values, {} are expected", model.card.output.dimension, 2 * POINTS);
            return Err(DetectError::Output { model: MODEL.into(), reason });
        }
        let graph = model.graph(&model.card.input.shape)?;
        let rgb = vec![0; model.card.input.width() * model.card.input.height() * 3];
        Ok(LandmarkNet { model, graph, resampler: Resampler::new(), rgb })
    }

    /// The landmarks of the face in `bbox`; `None` when the box lies outside the picture or the net gives no numbers.
    pub(super) fn five(&mut self, image: &RgbImage, bbox: &BBox) -> Result<Option<Landmarks5>, DetectError> {
        let Some(crop) = crop_of(image, bbox) else {
            return Ok(None);
        };
        let input = &self.model.card.input;
        let (width, height) = (input.width(), input.height());
        let target = Target { rgb: &mut self.rgb, width, height, inner_width: width, inner_height: height };
        if self.resampler.resample(image, Some(&crop), target).is_none() {
            return Ok(None);
        }
        let mut filled = Ok(());
        let outputs = self.graph.run_with(|values| filled = input.fill(&self.rgb, width, height, values))?;
        filled?;
        let points = outputs[0].data().as_chunks::<2>().0;
        if points.len() != POINTS {
            let reason = format!("it gave {} points, {POINTS} are expected", points.len());
            return Err(DetectError::Output { model: MODEL.into(), reason });
        }
        let five = five_of(points, &crop);
        Ok(five.0.iter().all(|p| p.x.is_finite() && p.y.is_finite()).then_some(five))
    }
}

/// The part of the picture the net sees: the box as far as it lies in the picture; `None` when less than a pixel is left.
///
/// Boxes enlarged or shrunk (0.85 to 1.3 times) or moved down (-0.05 to 0.12 sides) gave no better points: see `docs/detection.md`.
fn crop_of(image: &RgbImage, bbox: &BBox) -> Option<BBox> {
    let (left, right) = (bbox.x.max(0.0), (bbox.x + bbox.w).min(image.width() as f32));
    let (top, bottom) = (bbox.y.max(0.0), (bbox.y + bbox.h).min(image.height() as f32));
    (right - left >= 1.0 && bottom - top >= 1.0).then_some(BBox { x: left, y: top, w: right - left, h: bottom - top })
}

/// Eyes as the mean of their six points, nose tip, corners of the mouth; from fractions of `crop` to px of the frame.
fn five_of(points: &[[f32; 2]], crop: &BBox) -> Landmarks5 {
    let at = |x: f32, y: f32| Point { x: crop.x + x * crop.w, y: crop.y + y * crop.h };
    let mean = |points: &[[f32; 2]]| {
        let n = points.len() as f32;
        at(points.iter().map(|p| p[0]).sum::<f32>() / n, points.iter().map(|p| p[1]).sum::<f32>() / n)
    };
    Landmarks5([36..42, 42..48, 30..31, 48..49, 54..55].map(|range| mean(&points[range])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_over_the_edge_is_cut_and_one_outside_is_nothing() {
        let image = RgbImage::new(100, 80);
        let cut = crop_of(&image, &BBox { x: -10.0, y: 60.0, w: 50.0, h: 50.0 }).unwrap();
        assert_eq!(cut, BBox { x: 0.0, y: 60.0, w: 40.0, h: 20.0 });
        assert_eq!(crop_of(&image, &BBox { x: 100.0, y: 0.0, w: 50.0, h: 50.0 }), None);
    }

    #[test]
    fn the_five_are_taken_from_the_68_in_the_templates_order() {
        let mut points = [[9.0; 2]; POINTS];
        for (n, point) in points[36..42].iter_mut().enumerate() {
            *point = [n as f32 / 10.0, 0.5];
        }
        points[42..48].fill([0.75, 0.25]);
        points[30] = [0.5, 0.6];
        points[48] = [0.0, 1.0];
        points[54] = [1.0, 1.0];
        let five = five_of(&points, &BBox { x: 100.0, y: 200.0, w: 40.0, h: 60.0 }).0.map(|p| (p.x, p.y));
        let expected = [(110.0, 230.0), (130.0, 215.0), (120.0, 236.0), (100.0, 260.0), (140.0, 260.0)];
        for (found, expected) in five.iter().zip(expected) {
            assert!((found.0 - expected.0).abs() < 1e-3 && (found.1 - expected.1).abs() < 1e-3, "{five:?}");
        }
    }
}
