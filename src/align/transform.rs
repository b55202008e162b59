//! The similarity transform from a face in a frame to the template.

use crate::domain::{Landmarks5, Point};

/// The five points of the ArcFace template in a 112x112 crop, px, in the order of [`Landmarks5`] (Deng et al., CVPR 2019).
///
/// The recognisers' training crops were cut by OpenCV, whose warp takes the point (x, y) for the middle of pixel (x, y), from
/// detected landmarks as they came. The same is done here: no half pixel is subtracted, because none was subtracted there.
pub const TEMPLATE: Landmarks5 = Landmarks5([
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
]);

/// Scales at which a crop still shows a face: a frame of 4096 px gives 0.03, a face of 8 px gives 14.
const SCALES: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

/// Rotation, uniform scale and shift of the plane: (x, y) to (a x - b y + tx, b x + a y + ty). Always invertible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transform {
    a: f64,
    b: f64,
    tx: f64,
    ty: f64,
}

impl Transform {
    /// Changes nothing.
    pub const IDENTITY: Transform = Transform { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };

    /// The transform that brings `landmarks` to the [`TEMPLATE`] with the least squared error.
    ///
    /// `None` when the landmarks coincide, are not finite or fit at no scale from 0.001 to 1000.
    pub fn fit(landmarks: &Landmarks5) -> Option<Transform> {
        Self::between(landmarks, &TEMPLATE)
    }

    /// The transform that brings `from` to `to` with the least squared error (Umeyama, TPAMI 1991).
    ///
    /// In the plane the singular value decomposition has a closed form: with the points as complex numbers about their means,
    /// rotation and scale are the one factor `sum(conj(from) * to) / sum(|from|^2)`, and a reflection cannot arise.
    ///
    /// `None` as for [`fit`](Self::fit).
    pub fn between(from: &Landmarks5, to: &Landmarks5) -> Option<Transform> {
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut dot, mut cross, mut spread) = (0.0, 0.0, 0.0);
        for (f, t) in from.0.iter().zip(&to.0) {
            let (fx, fy) = (f64::from(f.x) - from_mean.0, f64::from(f.y) - from_mean.1);
            let (tx, ty) = (f64::from(t.x) - to_mean.0, f64::from(t.y) - to_mean.1);
            dot += fx * tx + fy * ty;
            cross += fx * ty - fy * tx;
            spread += fx * fx + fy * fy;
        }
        let (a, b) = (dot / spread, cross / spread);
        // NaN lies in no range, so this refuses it too.
        SCALES.contains(&a.hypot(b)).then_some(Transform {
            a,
            b,
            tx: to_mean.0 - (a * from_mean.0 - b * from_mean.1),
            ty: to_mean.1 - (b * from_mean.0 + a * from_mean.1),
        })
    }

    /// Where the point (x, y) goes.
    pub fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        (self.a * x - self.b * y + self.tx, self.b * x + self.a * y + self.ty)
    }

    /// Its inverse.
    pub fn inverse(&self) -> Transform {
        let square = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / square, -self.b / square);
        Transform { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) }
    }

    /// By how much it enlarges, > 0.
    pub fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// By how much it turns, degrees, clockwise as one sees the picture, -180..=180.
    pub fn rotation_deg(&self) -> f64 {
        self.b.atan2(self.a).to_degrees()
    }
}

fn mean(points: &Landmarks5) -> (f64, f64) {
    let (x, y) = points.0.iter().fold((0.0, 0.0), |(x, y), p| (x + f64::from(p.x), y + f64::from(p.y)));
    (x / 5.0, y / 5.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moved(points: &Landmarks5, t: &Transform) -> Landmarks5 {
        Landmarks5(points.0.map(|p| {
            let (x, y) = t.apply(f64::from(p.x), f64::from(p.y));
            Point { x: x as f32, y: y as f32 }
        }))
    }

    fn transform(scale: f64, turn_deg: f64, tx: f64, ty: f64) -> Transform {
        let (sin, cos) = turn_deg.to_radians().sin_cos();
        Transform { a: scale * cos, b: scale * sin, tx, ty }
    }

    fn squared_error(t: &Transform, from: &Landmarks5) -> f64 {
        let distance = |(f, to): (&Point, &Point)| {
            let (x, y) = t.apply(f64::from(f.x), f64::from(f.y));
            (x - f64::from(to.x)).powi(2) + (y - f64::from(to.y)).powi(2)
        };
        from.0.iter().zip(&TEMPLATE.0).map(distance).sum()
    }

    proptest! {
        #[test]
        fn a_similarity_is_recovered(
            scale in 0.1f64..20.0, turn_deg in -179.0f64..179.0, tx in -500.0f64..4000.0, ty in -500.0f64..4000.0,
        ) {
            let face = moved(&TEMPLATE, &transform(scale, turn_deg, tx, ty));
            let found = Transform::fit(&face).unwrap();
            prop_assert!((found.scale() * scale - 1.0).abs() < 1e-4);
            prop_assert!((found.rotation_deg() + turn_deg).abs() < 0.01);
            for (p, to) in face.0.iter().zip(&TEMPLATE.0) {
                let (x, y) = found.apply(f64::from(p.x), f64::from(p.y));
                // The face's own coordinates are f32: 4000 px carry an error of 0.0003 px, enlarged up to ten times.
                prop_assert!((x - f64::from(to.x)).abs() < 0.01 && (y - f64::from(to.y)).abs() < 0.01);
            }
        }

        #[test]
        fn no_other_similarity_fits_better(
            points in prop::array::uniform5((0f32..200.0, 0f32..200.0)),
            da in -0.05f64..0.05, db in -0.05f64..0.05, dx in -3.0f64..3.0, dy in -3.0f64..3.0,
        ) {
            let face = Landmarks5(points.map(|(x, y)| Point { x, y }));
            prop_assume!(Transform::fit(&face).is_some());
            let best = Transform::fit(&face).unwrap();
            let other = Transform { a: best.a + da, b: best.b + db, tx: best.tx + dx, ty: best.ty + dy };
            prop_assert!(squared_error(&best, &face) <= squared_error(&other, &face) + 1e-6);
        }

        #[test]
        fn the_inverse_undoes(
            scale in 0.01f64..100.0, turn_deg in -180.0f64..180.0, tx in -1e3f64..1e3, x in -1e3f64..1e3, y in -1e3f64..1e3,
        ) {
            let t = transform(scale, turn_deg, tx, -tx);
            let (u, v) = t.apply(x, y);
            let (bx, by) = t.inverse().apply(u, v);
            prop_assert!((bx - x).abs() < 1e-6 && (by - y).abs() < 1e-6);
        }
    }

    #[test]
    fn the_template_fits_itself_unchanged() {
        let t = Transform::fit(&TEMPLATE).unwrap();
        assert!((t.scale() - 1.0).abs() < 1e-9 && t.rotation_deg().abs() < 1e-9);
    }

    #[test]
    fn points_that_coincide_fit_nowhere() {
        let point = Point { x: 30.0, y: 40.0 };
        assert_eq!(Transform::fit(&Landmarks5([point; 5])), None);
        let tiny = Landmarks5(TEMPLATE.0.map(|p| Point { x: p.x * 1e-6, y: p.y * 1e-6 }));
        assert_eq!(Transform::fit(&tiny), None);
    }
}
