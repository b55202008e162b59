//! Non-maximum suppression: many boxes about one face become its best.

use crate::domain::Detection;

/// Boxes that take part. A frame of people gives some hundreds; the bound keeps a frame made to harm from costing seconds.
const MOST: usize = 5000;

/// Sorts by score, best first, and drops every box that overlaps a better one by more than `iou` (intersection over union).
///
/// Greedy, as OpenCV's `NMSBoxes`: a box that was dropped drops no other.
pub(super) fn suppress(mut found: Vec<Detection>, iou: f32) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(MOST);
    let mut kept: Vec<Detection> = Vec::new();
    for face in found {
        if kept.iter().all(|better| better.bbox.iou(&face.bbox) <= iou) {
            kept.push(face);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{BBox, Landmarks5, Point};

    fn face(x: f32, y: f32, side: f32, score: f32) -> Detection {
        let landmarks = Landmarks5([Point { x, y }; 5]);
        Detection { bbox: BBox { x, y, w: side, h: side }, score, landmarks }
    }

    #[test]
    fn the_best_of_a_heap_stays_and_neighbours_stay() {
        let found = vec![face(0.0, 0.0, 10.0, 0.8), face(1.0, 0.0, 10.0, 0.9), face(30.0, 0.0, 10.0, 0.7)];
        let kept: Vec<f32> = suppress(found, 0.3).iter().map(|f| f.score).collect();
        assert_eq!(kept, [0.9, 0.7]);
    }

    #[test]
    fn what_was_dropped_drops_nothing() {
        // Each overlaps the next by 3/7, the first and the third by 1/9 only.
        let row = vec![face(0.0, 0.0, 10.0, 0.9), face(4.0, 0.0, 10.0, 0.8), face(8.0, 0.0, 10.0, 0.7)];
        let kept: Vec<f32> = suppress(row, 0.3).iter().map(|f| f.score).collect();
        assert_eq!(kept, [0.9, 0.7]);
    }

    proptest! {
        #[test]
        fn what_stays_is_apart_and_what_goes_has_a_better_neighbour(
            boxes in prop::collection::vec((0f32..100.0, 0f32..100.0, 1f32..60.0, 0f32..1.0), 0..40), iou in 0f32..1.0,
        ) {
            let found: Vec<_> = boxes.iter().map(|&(x, y, side, score)| face(x, y, side, score)).collect();
            let kept = suppress(found.clone(), iou);
            prop_assert!(kept.is_sorted_by(|a, b| a.score >= b.score));
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[..i].iter().all(|b| a.bbox.iou(&b.bbox) <= iou));
            }
            for gone in found.iter().filter(|f| !kept.contains(f)) {
                prop_assert!(kept.iter().any(|k| k.score >= gone.score && k.bbox.iou(&gone.bbox) > iou));
            }
        }
    }
}
