//! YuNet (Wu, Peng and Yu, Machine Intelligence Research 2023): boxes and five landmarks in one pass.

use image::RgbImage;

use super::nms::suppress;
use super::working::{Letterbox, WorkingPicture};
use super::{DetectError, FaceDetector, large_enough};
use crate::config::DetectorSettings;
use crate::domain::{BBox, Detection, Landmarks5, Point};
use crate::models::{LoadedModel, ModelStore};
use crate::nn::{Graph, Profile, Tensor};

/// The model's id in the catalogue; the engine may prefer a variant of it.
const MODEL: &str = "yunet-2023mar";
/// Working px a cell, for each of the three feature maps.
const STRIDES: [usize; 3] = [8, 16, 32];
/// What the network gives for each stride, with the values a cell.
const HEADS: [(&str, usize); 4] = [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)];
/// Graphs kept, one an input shape. A source has one shape, an enrolment from photos two or three; loading one costs some 50 ms.
const GRAPHS: usize = 4;

/// YuNet on tract.
pub(super) struct Yunet {
    settings: DetectorSettings,
    model: LoadedModel,
    step_px: usize,
    working: WorkingPicture,
    /// The least recently used first.
    graphs: Vec<ShapedGraph>,
}

/// The network for one input shape.
struct ShapedGraph {
    width: usize,
    height: usize,
    graph: Graph,
    /// Where the heads of each stride stand among the outputs, in the order of [`HEADS`].
    outputs: [[usize; 4]; 3],
}

impl Yunet {
    pub(super) fn new(settings: DetectorSettings, models: &ModelStore) -> Result<Yunet, DetectError> {
        let model = models.load(&models.variant_of(MODEL)?.id)?;
        let Some(step_px) = model.card.input.size_step_px.filter(|step| step % STRIDES[2] == 0) else {
            let reason = format!("its card's size_step_px must be a multiple of {}", STRIDES[2]);
            return Err(DetectError::Output { model: model.card.id, reason });
        };
        Ok(Yunet { settings, model, step_px, working: WorkingPicture::new(), graphs: Vec::new() })
    }
}

impl FaceDetector for Yunet {
    fn name(&self) -> &str {
        &self.model.card.id
    }

    fn engine_name(&self) -> Option<&'static str> {
        self.graphs.last().map(|shaped| shaped.graph.engine_name())
    }

    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, DetectError> {
        self.faces(image, None)
    }

    fn detect_profiled(&mut self, image: &RgbImage, profile: &mut Profile) -> Result<Vec<Detection>, DetectError> {
        self.faces(image, Some(profile))
    }
}

impl Yunet {
    fn faces(&mut self, image: &RgbImage, profile: Option<&mut Profile>) -> Result<Vec<Detection>, DetectError> {
        let (width, height) = image.dimensions();
        let letterbox = Letterbox::fit(width, height, self.settings.working_size_px, self.step_px);
        let rgb = self.working.of(image, &letterbox)?;
        let shaped = graph_for(&mut self.graphs, &self.model, &letterbox)?;
        let size = (letterbox.width, letterbox.height);
        let outputs = self.model.card.input.infer(&mut shaped.graph, rgb, size, profile)?;
        let found = shaped
            .decode(&outputs, &letterbox, self.settings.min_score)
            .map_err(|reason| DetectError::Output { model: self.model.card.id.clone(), reason })?;
        let mut faces = suppress(found, self.settings.nms_iou);
        faces.retain(|face| large_enough(face, &self.settings));
        Ok(faces)
    }
}

/// The graph for a shape: one that is kept, or a new one in the place of the least recently used.
fn graph_for<'a>(
    graphs: &'a mut Vec<ShapedGraph>,
    model: &LoadedModel,
    letterbox: &Letterbox,
) -> Result<&'a mut ShapedGraph, DetectError> {
    let (width, height) = (letterbox.width, letterbox.height);
    let shaped = match graphs.iter().position(|g| (g.width, g.height) == (width, height)) {
        Some(at) => graphs.remove(at),
        None => ShapedGraph::load(model, width, height)?,
    };
    if graphs.len() == GRAPHS {
        graphs.remove(0);
    }
    graphs.push(shaped);
    Ok(graphs.last_mut().expect("one was pushed"))
}

impl ShapedGraph {
    fn load(model: &LoadedModel, width: usize, height: usize) -> Result<ShapedGraph, DetectError> {
        let shape = model.card.input.shape_for(width, height);
        let graph = model.graph(&shape)?;
        let mut outputs = [[0; 4]; 3];
        for (places, stride) in outputs.iter_mut().zip(STRIDES) {
            for (place, (head, _)) in places.iter_mut().zip(HEADS) {
                let name = format!("{head}_{stride}");
                *place = graph.output_index(&name).ok_or_else(|| DetectError::Output {
                    model: model.card.id.clone(),
                    reason: format!("it has no output {name}"),
                })?;
            }
        }
        Ok(ShapedGraph { width, height, graph, outputs })
    }

    /// The faces of all strides in px of the frame, unsorted, several boxes a face; the error is what is wrong with the outputs.
    fn decode(&self, outputs: &[Tensor], letterbox: &Letterbox, min_score: f32) -> Result<Vec<Detection>, String> {
        let mut found = Vec::new();
        for (places, stride) in self.outputs.iter().zip(STRIDES) {
            let (columns, rows) = (self.width / stride, self.height / stride);
            let head = |n: usize| {
                let values = outputs[places[n]].data();
                let expected = columns * rows * HEADS[n].1;
                if values.len() == expected {
                    return Ok(values);
                }
                Err(format!("{}_{stride} has {} values, {expected} are expected", HEADS[n].0, values.len()))
            };
            let map = FeatureMap { stride, columns, cls: head(0)?, obj: head(1)?, bbox: head(2)?, kps: head(3)? };
            found.extend(map.faces(min_score).map(|face| to_frame(face, letterbox)));
        }
        Ok(found)
    }
}

/// The heads of one stride, cell by cell, row by row.
struct FeatureMap<'a> {
    stride: usize,
    columns: usize,
    cls: &'a [f32],
    obj: &'a [f32],
    bbox: &'a [f32],
    kps: &'a [f32],
}

impl FeatureMap<'_> {
    /// The faces in working px whose score reaches `min_score` and whose numbers are finite.
    ///
    /// Decoded as the OpenCV Zoo does: the score is the geometric mean of class and objectness; the box's middle and the
    /// landmarks are offsets from the cell's corner in strides, the box's sides logarithms in strides.
    fn faces(&self, min_score: f32) -> impl Iterator<Item = Detection> {
        let scores = self.cls.iter().zip(self.obj).map(|(cls, obj)| (cls.clamp(0.0, 1.0) * obj.clamp(0.0, 1.0)).sqrt());
        scores.enumerate().filter(move |&(_, score)| score >= min_score).filter_map(|(cell, score)| {
            let stride = self.stride as f32;
            let (column, row) = ((cell % self.columns) as f32, (cell / self.columns) as f32);
            let [dx, dy, log_w, log_h] = self.bbox.as_chunks::<4>().0[cell];
            let (w, h) = (log_w.exp() * stride, log_h.exp() * stride);
            let bbox = BBox { x: (column + dx) * stride - w / 2.0, y: (row + dy) * stride - h / 2.0, w, h };
            let offsets = self.kps.as_chunks::<10>().0[cell];
            let landmarks = Landmarks5(std::array::from_fn(|n| Point {
                x: (column + offsets[2 * n]) * stride,
                y: (row + offsets[2 * n + 1]) * stride,
            }));
            let finite = [bbox.x, bbox.y, bbox.w, bbox.h].into_iter().chain(offsets).all(f32::is_finite);
            (finite && w > 0.0 && h > 0.0).then_some(Detection { bbox, score, landmarks })
        })
    }
}

fn to_frame(mut face: Detection, letterbox: &Letterbox) -> Detection {
    let (sx, sy) = (letterbox.scale_x, letterbox.scale_y);
    let BBox { x, y, w, h } = face.bbox;
    face.bbox = BBox { x: x * sx, y: y * sy, w: w * sx, h: h * sy };
    face.landmarks = Landmarks5(face.landmarks.0.map(|p| Point { x: p.x * sx, y: p.y * sy }));
    face
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two columns, two rows at stride 16; only the last cell sees a face.
    struct Heads {
        cls: [f32; 4],
        obj: [f32; 4],
        bbox: [f32; 16],
        kps: [f32; 40],
    }

    impl Heads {
        fn new() -> Self {
            let mut heads = Heads { cls: [0.0, 0.0, 0.0, 0.81], obj: [1.0; 4], bbox: [0.0; 16], kps: [0.0; 40] };
            heads.bbox[12..].copy_from_slice(&[0.5, 0.25, 2f32.ln(), 3f32.ln()]);
            heads.kps[30..].copy_from_slice(&[0.0, 0.0, 1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 1.0, 1.0]);
            heads
        }

        fn faces(&self, min_score: f32) -> Vec<Detection> {
            let Heads { cls, obj, bbox, kps } = self;
            FeatureMap { stride: 16, columns: 2, cls, obj, bbox, kps }.faces(min_score).collect()
        }
    }

    #[test]
    fn a_cell_is_decoded_as_published() {
        let faces = Heads::new().faces(0.7);
        assert_eq!(faces.len(), 1);
        assert!((faces[0].score - 0.9).abs() < 1e-6);
        let BBox { x, y, w, h } = faces[0].bbox;
        // Middle (1.5, 1.25) strides, sides 2 and 3 strides.
        for (found, expected) in [(x, 24.0 - 16.0), (y, 20.0 - 24.0), (w, 32.0), (h, 48.0)] {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
        let points = faces[0].landmarks.0.map(|p| (p.x, p.y));
        assert_eq!(points, [(16.0, 16.0), (32.0, 16.0), (24.0, 24.0), (16.0, 32.0), (32.0, 32.0)]);
    }

    #[test]
    fn scores_beyond_one_are_one_and_those_below_the_limit_are_dropped() {
        let mut heads = Heads::new();
        heads.cls[3] = 7.0;
        assert_eq!(heads.faces(1.0)[0].score, 1.0);
        heads.obj[3] = 0.36;
        assert!(heads.faces(0.61).is_empty());
    }

    #[test]
    fn numbers_that_are_not_finite_are_dropped() {
        for spoil in [
            |h: &mut Heads| h.cls[3] = f32::NAN,
            |h: &mut Heads| h.bbox[12] = f32::INFINITY,
            |h: &mut Heads| h.bbox[14] = 200.0,
            |h: &mut Heads| h.bbox[15] = -200.0,
            |h: &mut Heads| h.kps[39] = f32::NAN,
        ] {
            let mut heads = Heads::new();
            spoil(&mut heads);
            assert!(heads.faces(0.1).is_empty());
        }
    }

    #[test]
    fn graphs_are_kept_up_to_the_bound_the_oldest_going_first() {
        let models = ModelStore::open("models".as_ref()).unwrap();
        let model = models.load(MODEL).unwrap();
        let mut graphs = Vec::new();
        let mut ask = |width: u32| {
            let letterbox = Letterbox::fit(width, 32, width, 32);
            graph_for(&mut graphs, &model, &letterbox).unwrap();
            graphs.iter().map(|g| g.width).collect::<Vec<_>>()
        };
        for width in [32, 64, 96, 128] {
            ask(width);
        }
        assert_eq!(ask(32), [64, 96, 128, 32]);
        assert_eq!(ask(160), [96, 128, 32, 160]);
    }
}
