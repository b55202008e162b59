//! The card that somebody writes for a model of their own: what no tool can find out.

use serde::Deserialize;

use super::{ImportError, Stated};
use crate::models::{Alignment, Colour, Layout, OperatingPoint};

/// A card before the file has been looked at. What is left out is found, or missed when it cannot be.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// The id it is to have in the catalogue.
    pub id: Option<String>,
    /// One line for people.
    pub title: Option<String>,
    /// The licence of the weights, an SPDX expression.
    pub licence: Option<String>,
    /// A file with the licence's text, relative to the card.
    pub licence_file: Option<String>,
    /// Whether it is the recogniser that is taken when none is named.
    #[serde(default)]
    pub default: bool,
    /// RGB or BGR.
    pub colour: Option<Colour>,
    /// Subtracted from the pixel (0 to 255).
    pub mean: Option<Mean>,
    /// Multiplied with the difference.
    pub scale: Option<f32>,
    /// The order of the input's axes; where it is left out, the axis of length 3 tells.
    pub layout: Option<Layout>,
    /// Which part of the frame it takes; the five-point template of ArcFace when left out.
    pub alignment: Option<Alignment>,
    /// The name of the output that is the embedding; needed when the file has several.
    pub output: Option<String>,
    /// The id of the model in float that it was quantised from, where that is in the same catalogue.
    pub quantised_from: Option<String>,
    /// The network's structure and cost.
    pub architecture: Option<String>,
    /// Where the weights came from.
    pub origin: Option<String>,
    /// The paper behind it.
    #[serde(default)]
    pub publication: DraftPublication,
    /// Thresholds that were measured for it.
    #[serde(default, rename = "operating_point")]
    pub operating_points: Vec<OperatingPoint>,
}

/// One mean for all channels, or one for each in the model's order.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged, expecting = "a number, or three of them (one a channel) is expected")]
pub enum Mean {
    /// For all.
    One(f32),
    /// For each.
    Each([f32; 3]),
}

/// The paper behind a model; everything may be left out.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftPublication {
    /// The paper's title.
    pub title: Option<String>,
    /// Its authors.
    pub authors: Option<String>,
    /// Where it appeared.
    pub venue: Option<String>,
    /// The year it appeared.
    pub year: Option<u16>,
    /// The loss the weights were trained with.
    pub training_loss: Option<String>,
    /// The data the weights were trained on.
    pub training_data: Option<String>,
    /// What else a reader must know.
    pub note: Option<String>,
}

impl Draft {
    /// Reads a card: `text` is TOML, or, when it begins with a brace, the `config.json` of a ModelHub repository.
    ///
    /// # Errors
    /// [`ImportError::Card`] naming the key at fault.
    pub fn parse(text: &str) -> Result<Draft, ImportError> {
        let text = text.trim_start_matches('\u{feff}');
        let draft = match text.trim_start().starts_with('{') {
            true => super::modelhub::draft(text)?,
            false => toml::from_str(text)
                .map_err(|error| ImportError::Card { reason: error.to_string().trim_end().to_owned() })?,
        };
        draft.stated()?;
        Ok(draft)
    }

    /// What is stated of the preprocessing.
    ///
    /// # Errors
    /// [`ImportError::Card`] for a mean without a scale or the other way round, and for numbers that cannot be.
    pub fn stated(&self) -> Result<Stated, ImportError> {
        let refuse = |reason: &str| Err(ImportError::Card { reason: reason.to_owned() });
        if self.colour == Some(Colour::Grey) {
            return refuse("colour is GREY: a recogniser takes RGB or BGR");
        }
        let scaling = match (self.mean, self.scale) {
            (None, None) => None,
            (Some(mean), Some(scale)) => {
                let mean = match mean {
                    Mean::One(mean) => [mean; 3],
                    Mean::Each(means) => means,
                };
                if !mean.iter().all(|mean| (-1000.0..=1000.0).contains(mean)) {
                    return refuse("mean: values between -1000 and 1000 are expected, for pixels of 0 to 255");
                }
                if !scale.is_normal() {
                    return refuse("scale: a finite number other than 0 is expected, such as 0.0078125 for 1 / 128");
                }
                Some((mean, scale))
            }
            (Some(_), None) => return refuse("mean is given without scale: each value is (pixel - mean) * scale"),
            (None, Some(_)) => return refuse("scale is given without mean: each value is (pixel - mean) * scale"),
        };
        Ok(Stated { colour: self.colour, scaling })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Draft::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_card_is_read_and_the_rest_left_open() {
        let text = "id = \"mine\"\nlicence = \"MIT\"\ncolour = \"BGR\"\nmean = 127\nscale = 0.0078125\n[publication]\nyear = 2019\n";
        let draft = Draft::parse(text).unwrap();
        assert_eq!(
            draft.stated().unwrap(),
            Stated { colour: Some(Colour::Bgr), scaling: Some(([127.0; 3], 1.0 / 128.0)) }
        );
        assert_eq!((draft.publication.year, draft.title, draft.layout), (Some(2019), None, None));
        let each = Draft::parse("mean = [1, 2.5, 3]\nscale = 1").unwrap();
        assert_eq!(each.stated().unwrap().scaling, Some(([1.0, 2.5, 3.0], 1.0)));
        assert_eq!(Draft::parse("").unwrap(), Draft::default());
    }

    #[test]
    fn a_wrong_card_is_refused_by_key() {
        for (text, part) in [
            ("colur = \"RGB\"", "colur"),
            ("colour = \"rgb\"", "RGB"),
            ("colour = \"GREY\"", "GREY"),
            ("mean = 127.5", "without scale"),
            ("scale = 1.0", "without mean"),
            ("scale = 0.0\nmean = 1", "other than 0"),
            ("scale = nan\nmean = 1", "finite"),
            ("scale = 1.0\nmean = [1.0, 2.0]", "three of them"),
            ("scale = 1.0\nmean = inf", "between -1000 and 1000"),
            ("layout = \"CHW\"", "NCHW"),
            ("[publication]\njournal = \"x\"", "journal"),
            ("id = = 3", "line 1"),
        ] {
            let message = refusal(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
