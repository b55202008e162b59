use std::path::{Path, PathBuf};

use super::{Boxed, Rate, SeenFace};
use crate::domain::BBox;

/// A detection is of a face when their boxes overlap by at least this: intersection over union, as PASCAL VOC has it
/// (Everingham et al., IJCV 2010).
const LEAST_IOU: f32 = 0.5;

/// A labelled face that was not found.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// The picture.
    pub image: PathBuf,
    /// Where the face is.
    pub bbox: BBox,
    /// The intersection over union with the detection that comes closest, 0..=1.
    pub best_iou: f32,
}

/// Labelled faces set against what a detector found.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceMatching {
    /// Labelled faces that were not found, of all that are labelled. Recall is the rest.
    pub missed: Rate,
    /// Detections that are of no labelled face, of all detections. Precision is the rest.
    pub unlabelled: Rate,
    /// The faces that were not found, in order of the pictures.
    pub misses: Vec<Miss>,
    /// The detector's scores of the faces found.
    pub found_scores: Vec<f32>,
    /// The detector's scores of the detections that are of no labelled face.
    pub unlabelled_scores: Vec<f32>,
}

impl FaceMatching {
    /// Matches greedily in each picture: the detection with the best score takes the labelled face it overlaps most, then the next
    /// of what is left. `pictures` come with their labels and with the detections, in any order; what is found in a picture
    /// without labels counts as unlabelled.
    pub fn of<'a>(pictures: impl IntoIterator<Item = (&'a Path, Vec<BBox>, &'a [SeenFace])>) -> Self {
        let (mut faces, mut misses) = (0, Vec::new());
        let (mut found_scores, mut unlabelled_scores) = (Vec::new(), Vec::new());
        for (image, labels, seen) in pictures {
            faces += labels.len() as u64;
            let mut order: Vec<&SeenFace> = seen.iter().collect();
            order.sort_by(|a, b| b.score.total_cmp(&a.score));
            let mut open = labels;
            for face in order {
                let overlap = |label: &BBox| face.bbox().iou(label);
                let best = (0..open.len()).max_by(|a, b| overlap(&open[*a]).total_cmp(&overlap(&open[*b])));
                match best.filter(|best| overlap(&open[*best]) >= LEAST_IOU) {
                    None => unlabelled_scores.push(face.score),
                    Some(best) => {
                        open.remove(best);
                        found_scores.push(face.score);
                    }
                }
            }
            misses.extend(open.into_iter().map(|bbox| {
                let best_iou = seen.iter().map(|face| face.bbox().iou(&bbox)).fold(0.0, f32::max);
                Miss { image: image.to_owned(), bbox, best_iou }
            }));
        }
        let (found, unlabelled) = (found_scores.len() as u64, unlabelled_scores.len() as u64);
        Self {
            missed: Rate { errors: faces - found, trials: faces },
            unlabelled: Rate { errors: unlabelled, trials: found + unlabelled },
            misses,
            found_scores,
            unlabelled_scores,
        }
    }
}

/// The rows of a list by picture, in the list's order: each picture with its labels.
pub fn by_picture(rows: &[Boxed]) -> Vec<(&Path, Vec<BBox>)> {
    let mut place = std::collections::HashMap::new();
    let mut pictures: Vec<(&Path, Vec<BBox>)> = Vec::new();
    for row in rows {
        let at = *place.entry(row.image.as_path()).or_insert_with(|| {
            pictures.push((&row.image, Vec::new()));
            pictures.len() - 1
        });
        pictures[at].1.extend(row.bbox);
    }
    pictures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bbox(x: f32) -> BBox {
        BBox { x, y: 0.0, w: 10.0, h: 10.0 }
    }

    fn seen(x: f32, score: f32) -> SeenFace {
        serde_json::from_value(serde_json::json!({ "bbox": [x, 0.0, 10.0, 10.0], "score": score })).unwrap()
    }

    fn of(labels: &[f32], found: &[SeenFace]) -> FaceMatching {
        FaceMatching::of([(Path::new("a.jpg"), labels.iter().map(|x| bbox(*x)).collect(), found)])
    }

    #[test]
    fn each_face_is_found_once() {
        let matching = of(&[0.0, 100.0], &[seen(1.0, 0.9), seen(0.0, 0.8), seen(200.0, 0.7)]);
        assert_eq!(matching.missed, Rate { errors: 1, trials: 2 });
        assert_eq!(matching.unlabelled, Rate { errors: 2, trials: 3 });
        assert_eq!(matching.misses, [Miss { image: "a.jpg".into(), bbox: bbox(100.0), best_iou: 0.0 }]);
    }

    #[test]
    fn the_better_score_chooses_first() {
        // The first takes 4, which the second alone would overlap enough: 3 is left to it at 1/3.
        let matching = of(&[4.0, -3.0], &[seen(2.0, 0.8), seen(4.0, 0.9)]);
        assert_eq!((matching.missed.errors, matching.unlabelled.errors), (1, 1));
        assert!((matching.misses[0].best_iou - 5.0 / 15.0).abs() < 1e-6, "{matching:?}");
    }

    #[test]
    fn half_an_overlap_is_enough_and_less_is_not() {
        // Shifted by a third of the width the union is twice the intersection.
        assert_eq!(of(&[0.0], &[seen(3.3, 0.9)]).missed.errors, 0);
        assert_eq!(of(&[0.0], &[seen(3.4, 0.9)]).missed.errors, 1);
    }

    #[test]
    fn rows_are_gathered_by_picture() {
        let row = |image: &str, x: Option<f32>| Boxed { image: image.into(), bbox: x.map(bbox) };
        let rows = [row("b", Some(1.0)), row("a", None), row("b", Some(2.0))];
        assert_eq!(by_picture(&rows), [(Path::new("b"), vec![bbox(1.0), bbox(2.0)]), (Path::new("a"), vec![])]);
    }
}
