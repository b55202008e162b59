//! Which face is meant where a picture shows several.

use std::{fmt, str::FromStr};

use super::Detection;

/// Which face of a still picture is meant where it shows several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FaceChoice {
    /// The largest.
    #[default]
    Largest,
    /// The one nearest the picture's centre.
    Centre,
}

impl FaceChoice {
    /// The one that is meant; `size_px` is width and height of the picture the detections are of.
    pub fn of(self, detections: &[Detection], size_px: (u32, u32)) -> Option<&Detection> {
        let middle = (size_px.0 as f32 / 2.0, size_px.1 as f32 / 2.0);
        let off_centre = |d: &Detection| {
            let centre = d.bbox.centre();
            (centre.x - middle.0).hypot(centre.y - middle.1)
        };
        match self {
            Self::Largest => detections.iter().max_by(|a, b| a.bbox.area().total_cmp(&b.bbox.area())),
            Self::Centre => detections.iter().min_by(|a, b| off_centre(a).total_cmp(&off_centre(b))),
        }
    }
}

impl fmt::Display for FaceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Largest => "largest",
            Self::Centre => "centre",
        })
    }
}

impl FromStr for FaceChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "largest" => Ok(Self::Largest),
            "centre" => Ok(Self::Centre),
            _ => Err(format!("face {name:?}: allowed is largest or centre")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BBox, Landmarks5, Point};

    #[test]
    fn the_largest_and_the_one_in_the_middle() {
        let face = |x, side| Detection {
            bbox: BBox { x, y: 40.0, w: side, h: side },
            score: 0.9,
            landmarks: Landmarks5([Point { x, y: 0.0 }; 5]),
        };
        let faces = [face(40.0, 20.0), face(0.0, 30.0)];
        assert_eq!(FaceChoice::Centre.of(&faces, (100, 100)), Some(&faces[0]));
        assert_eq!(FaceChoice::Largest.of(&faces, (100, 100)), Some(&faces[1]));
        assert_eq!(FaceChoice::Centre.of(&[], (100, 100)), None);
    }

    #[test]
    fn names_read_back() {
        for choice in [FaceChoice::Largest, FaceChoice::Centre] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("middle".parse::<FaceChoice>().unwrap_err().contains("largest or centre"));
    }
}
