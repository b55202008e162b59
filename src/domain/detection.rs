//! Where a face is, in pixels of the original frame.

/// A point in pixels of the original frame; x to the right, y down. Whole numbers are
/// pixel centres, as in OpenCV, whose alignment the recognisers were trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the upper edge.
    pub y: f32,
}

/// An upright box in pixels of the original frame. May reach over the frame's edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BBox {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width, > 0.
    pub w: f32,
    /// Height, > 0.
    pub h: f32,
}

impl BBox {
    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// The box's middle.
    pub fn centre(&self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    /// Intersection over union with `other`, 0..=1; 0 for empty boxes.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let inter = w * h;
        inter / (self.area() + other.area() - inter)
    }
}

/// Five facial landmarks in the order of the ArcFace template: the eye on the picture's left, the
/// eye on its right, the tip of the nose, the mouth corner on the left, the one on the right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Landmarks5(pub [Point; 5]);

/// A face as a detector reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The face's box.
    pub bbox: BBox,
    /// How sure the detector is, 0..=1. Comparable only within one detector.
    pub score: f32,
    /// The five landmarks.
    pub landmarks: Landmarks5,
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BBox = BBox { x: 0.0, y: 0.0, w: 10.0, h: 10.0 };

    #[test]
    fn iou_of_half_overlapping_boxes_is_a_third() {
        let b = BBox { x: 5.0, ..A };
        assert!((A.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(A.iou(&A), 1.0);
    }

    #[test]
    fn iou_of_touching_and_empty_boxes_is_zero() {
        assert_eq!(A.iou(&BBox { x: 10.0, ..A }), 0.0);
        assert_eq!(A.iou(&BBox { w: 0.0, ..A }), 0.0);
    }
}
