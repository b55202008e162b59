//! How the head is held, estimated from five landmarks.

use crate::domain::Landmarks5;

/// How far the nose tip stands before the plane of eyes and mouth, in eye distances: 0.60 on the mean shape of the Basel
/// Face Model (Paysan et al., AVSS 2009).
const NOSE_DEPTH: f32 = 0.60;
/// Eye line to mouth line on a frontal face, in eye distances (ArcFace template).
const EYES_TO_MOUTH: f32 = 1.154;
/// Where the nose tip lies on a level face between the eye line (0) and the mouth line (1), as YuNet marks it: the median of
/// 500 LFW photos. The ArcFace template has 0.495, by which half of them would look down by 9 degrees or more.
const NOSE_HEIGHT: f32 = 0.58;

/// How the head is held, degrees. An estimate: real noses differ, and so yaw and pitch are good to about 10 degrees.
///
/// The model is a flat face of eyes and mouth corners with a nose that stands out of it, seen from afar. Turning the head by
/// an angle moves the nose tip sideways by depth * sin while the eye distance shrinks by cos, so its offset from the midline in
/// eye distances is depth * tan; in the same way raising the head moves it towards the eyes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Turned to the side, -90..=90; positive when the nose points to the picture's right.
    pub yaw_deg: f32,
    /// Up or down, -90..=90; positive when the head is raised.
    pub pitch_deg: f32,
    /// Tilted in the picture's plane, -180..=180; positive clockwise as one sees the picture.
    pub roll_deg: f32,
}

impl Pose {
    /// Estimates the pose. Landmarks whose eyes coincide, or whose mouth lies on the eye line, give NaN in what they leave open.
    pub fn of(landmarks: &Landmarks5) -> Pose {
        let [left_eye, right_eye, nose, left_mouth, right_mouth] = landmarks.0;
        let (ex, ey) = (right_eye.x - left_eye.x, right_eye.y - left_eye.y);
        let eye_distance = ex.hypot(ey);
        let middle = ((left_eye.x + right_eye.x) / 2.0, (left_eye.y + right_eye.y) / 2.0);
        // Along the eye line and down from it, in eye distances: whatever the roll.
        let upright = |x: f32, y: f32| {
            let (x, y) = ((x - middle.0) / eye_distance, (y - middle.1) / eye_distance);
            ((x * ex + y * ey) / eye_distance, (y * ex - x * ey) / eye_distance)
        };
        let nose = upright(nose.x, nose.y);
        let mouth = upright((left_mouth.x + right_mouth.x) / 2.0, (left_mouth.y + right_mouth.y) / 2.0);
        let height = nose.1 / mouth.1;
        let offset = nose.0 - height * mouth.0;
        Pose {
            yaw_deg: (offset / NOSE_DEPTH).atan().to_degrees(),
            pitch_deg: ((NOSE_HEIGHT - height) * EYES_TO_MOUTH / NOSE_DEPTH).atan().to_degrees(),
            roll_deg: if eye_distance > 0.0 { ey.atan2(ex).to_degrees() } else { f32::NAN },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::align::TEMPLATE;
    use crate::domain::Point;

    /// The five points of a head of the model's shape, turned by `yaw_deg`, then raised by `pitch_deg`, seen from afar.
    fn head(yaw_deg: f32, pitch_deg: f32) -> Landmarks5 {
        let (yaw_sin, yaw_cos) = yaw_deg.to_radians().sin_cos();
        let (pitch_sin, pitch_cos) = pitch_deg.to_radians().sin_cos();
        // Right, down, towards the viewer.
        let shape = [
            (-0.5, 0.0, 0.0),
            (0.5, 0.0, 0.0),
            (0.0, NOSE_HEIGHT * EYES_TO_MOUTH, NOSE_DEPTH),
            (-0.4, EYES_TO_MOUTH, 0.0),
            (0.4, EYES_TO_MOUTH, 0.0),
        ];
        Landmarks5(shape.map(|(x, y, z): (f32, f32, f32)| {
            let (x, z) = (x * yaw_cos + z * yaw_sin, z * yaw_cos - x * yaw_sin);
            let y = y * pitch_cos - z * pitch_sin;
            Point { x: 200.0 + 80.0 * x, y: 150.0 + 80.0 * y }
        }))
    }

    fn turned(points: &Landmarks5, degrees: f32) -> Landmarks5 {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Landmarks5(points.0.map(|p| Point { x: p.x * cos - p.y * sin, y: p.x * sin + p.y * cos }))
    }

    #[test]
    fn the_template_is_frontal_and_nearly_level() {
        let pose = Pose::of(&TEMPLATE);
        assert!(pose.yaw_deg.abs() < 1.0 && pose.pitch_deg.abs() < 10.0 && pose.roll_deg.abs() < 1.0, "{pose:?}");
    }

    proptest! {
        #[test]
        fn one_turn_at_a_time_is_measured_exactly(degrees in -60f32..60.0) {
            let yaw = Pose::of(&head(degrees, 0.0));
            prop_assert!((yaw.yaw_deg - degrees).abs() < 0.1 && yaw.pitch_deg.abs() < 0.1, "{:?}", yaw);
            let pitch = Pose::of(&head(0.0, degrees));
            prop_assert!((pitch.pitch_deg - degrees).abs() < 0.1 && pitch.yaw_deg.abs() < 0.1, "{:?}", pitch);
        }

        #[test]
        fn turning_the_picture_changes_roll_only(
            yaw in -40f32..40.0, pitch in -30f32..30.0, degrees in -90f32..90.0,
        ) {
            let upright = Pose::of(&head(yaw, pitch));
            let pose = Pose::of(&turned(&head(yaw, pitch), degrees));
            prop_assert!((pose.roll_deg - upright.roll_deg - degrees).abs() < 0.1);
            prop_assert!((pose.yaw_deg - upright.yaw_deg).abs() < 0.1 && (pose.pitch_deg - upright.pitch_deg).abs() < 0.1);
        }

        #[test]
        fn a_mirror_flips_yaw_and_roll(yaw in -40f32..40.0, pitch in -30f32..30.0, degrees in -60f32..60.0) {
            let face = turned(&head(yaw, pitch), degrees);
            let [a, b, c, d, e] = face.0.map(|p| Point { x: 640.0 - p.x, y: p.y });
            let (pose, mirrored) = (Pose::of(&face), Pose::of(&Landmarks5([b, a, c, e, d])));
            prop_assert!((pose.yaw_deg + mirrored.yaw_deg).abs() < 0.1 && (pose.roll_deg + mirrored.roll_deg).abs() < 0.1);
            prop_assert!((pose.pitch_deg - mirrored.pitch_deg).abs() < 0.1);
        }
    }

    #[test]
    fn what_the_landmarks_leave_open_is_nan() {
        let mut points = TEMPLATE;
        points.0[1] = points.0[0];
        let pose = Pose::of(&points);
        assert!(pose.yaw_deg.is_nan() && pose.pitch_deg.is_nan() && pose.roll_deg.is_nan());
    }
}
