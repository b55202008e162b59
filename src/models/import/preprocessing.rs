//! How pixels become the numbers that a network was trained on: what no file says.

use std::fmt;

use crate::models::{Colour, InputSpec};

/// The order of the colours, and `(pixel - mean) * scale` for each value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocessing {
    /// RGB or BGR.
    pub colour: Colour,
    /// Subtracted from the pixel (0 to 255), one value a channel in the model's own order.
    pub mean: [f32; 3],
    /// Multiplied with the difference.
    pub scale: f32,
}

/// What a card states of the preprocessing; the rest is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stated {
    /// The order of the colours.
    pub colour: Option<Colour>,
    /// Mean and scale.
    pub scaling: Option<([f32; 3], f32)>,
}

/// The scalings in use. `(x - 127.5) / 128` differs from the first by 0.4 %, which no picture shows: the two are tried as one.
const SCALINGS: [([f32; 3], f32); 3] = [([127.5; 3], 1.0 / 127.5), ([0.0; 3], 1.0), ([0.0; 3], 1.0 / 255.0)];

impl Stated {
    /// Everything worth trying: what is stated, and what could be meant instead; the stated ones first.
    pub(super) fn candidates(&self) -> Vec<Preprocessing> {
        let colours = match self.colour {
            Some(Colour::Bgr) => [Colour::Bgr, Colour::Rgb],
            _ => [Colour::Rgb, Colour::Bgr],
        };
        let mut candidates: Vec<Preprocessing> = Vec::new();
        for (mean, scale) in self.scaling.into_iter().chain(SCALINGS) {
            for (place, colour) in colours.into_iter().enumerate() {
                // A mean by channel is stated for the stated order.
                let mean = if place == 0 { mean } else { [mean[2], mean[1], mean[0]] };
                let candidate = Preprocessing { colour, mean, scale };
                if !candidates.iter().any(|known| known.is_like(&candidate)) {
                    candidates.push(candidate);
                }
            }
        }
        let (mut stated, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|c| self.allows(c));
        stated.extend(others);
        stated
    }

    /// Whether a candidate is what is stated, as far as something is.
    pub(super) fn allows(&self, candidate: &Preprocessing) -> bool {
        let scaled = |(mean, scale)| Preprocessing { colour: candidate.colour, mean, scale }.is_like(candidate);
        self.colour.is_none_or(|colour| colour == candidate.colour) && self.scaling.is_none_or(scaled)
    }

    /// Whether nothing is left to find.
    pub(super) fn is_complete(&self) -> bool {
        self.colour.is_some() && self.scaling.is_some()
    }
}

impl Preprocessing {
    /// Whether no picture would show the difference: means within a step of a pixel, scales within one per cent.
    fn is_like(&self, other: &Preprocessing) -> bool {
        let means = self.mean.iter().zip(&other.mean).all(|(a, b)| (a - b).abs() <= 1.0);
        self.colour == other.colour && means && (self.scale / other.scale - 1.0).abs() <= 0.01
    }

    /// An input specification like `input`, with this preprocessing.
    pub(super) fn over(&self, input: &InputSpec) -> InputSpec {
        InputSpec { colour: self.colour, mean: self.mean.to_vec(), scale: self.scale, ..input.clone() }
    }
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = if self.colour == Colour::Bgr { "BGR" } else { "RGB" };
        let difference = match self.mean {
            [a, b, c] if a == b && b == c && a == 0.0 => "x".to_owned(),
            [a, b, c] if a == b && b == c => format!("(x - {a})"),
            mean => format!("(x - {mean:?})"),
        };
        // People write a scale as what is divided by.
        let divisor = (f64::from(self.scale).recip() * 1000.0).round() / 1000.0;
        let scaled = match (difference.as_str(), divisor) {
            ("x", 1.0) => "0 to 255".to_owned(),
            (_, 1.0) => difference,
            _ if self.scale < 1.0 && (divisor as f32).recip() == self.scale => format!("{difference} / {divisor}"),
            _ => format!("{difference} * {}", self.scale),
        };
        f.pad(&format!("{colour}, {scaled}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stated: Stated) -> Vec<String> {
        stated.candidates().iter().map(|c| c.to_string()).collect()
    }

    #[test]
    fn the_usual_ones_are_tried_where_nothing_is_stated() {
        let expected = [
            "RGB, (x - 127.5) / 127.5",
            "BGR, (x - 127.5) / 127.5",
            "RGB, 0 to 255",
            "BGR, 0 to 255",
            "RGB, x / 255",
            "BGR, x / 255",
        ];
        assert_eq!(shown(Stated::default()), expected);
        assert!(Stated::default().candidates().iter().all(|c| Stated::default().allows(c)));
    }

    #[test]
    fn what_is_stated_comes_first_and_takes_the_place_of_its_like() {
        let stated = Stated { colour: Some(Colour::Bgr), scaling: Some(([127.5; 3], 1.0 / 128.0)) };
        let candidates = stated.candidates();
        assert_eq!(candidates.len(), 6);
        assert_eq!(candidates[0].to_string(), "BGR, (x - 127.5) / 128");
        assert_eq!(candidates.iter().filter(|c| stated.allows(c)).count(), 1);
        let colour = Stated { colour: Some(Colour::Bgr), scaling: None };
        assert_eq!(shown(colour)[..3], ["BGR, (x - 127.5) / 127.5", "BGR, 0 to 255", "BGR, x / 255"]);
    }

    #[test]
    fn a_mean_by_channel_follows_the_colours() {
        let stated = Stated { colour: Some(Colour::Bgr), scaling: Some(([104.0, 117.0, 123.0], 1.0)) };
        let candidates = stated.candidates();
        assert_eq!(candidates.len(), 8);
        assert_eq!(candidates[0].to_string(), "BGR, (x - [104.0, 117.0, 123.0])");
        assert!(candidates[1..].iter().any(|c| c.colour == Colour::Rgb && c.mean == [123.0, 117.0, 104.0]));
    }

    #[test]
    fn an_odd_scale_is_shown_as_it_is() {
        let odd = Preprocessing { colour: Colour::Rgb, mean: [0.0; 3], scale: -0.017 };
        assert_eq!(odd.to_string(), "RGB, x * -0.017");
    }
}
