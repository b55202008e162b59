//! Presentation attack detection: is this a living person, or a picture, a screen, a mask (ISO/IEC 30107-3)?
//!
//! Nets say for every frame how much more likely a bona fide presentation is than an attack ([`Fusion`], [`Assessment`]); what
//! they see is a [`Square`] around the face that always lies in the picture. One frame says little: [`Evidence`] collects those of
//! a track and gives one verdict, with three outcomes. Sharpness, brightness, saturation, size and scale are gates that say of
//! which frames nothing can be said; no cue made by hand decides anything, because none that was measured carried over from one data
//! set to another.
//!
//! It can refuse and never admit: an aid against photographs and phones, which misses a good share even of those.
//! `docs/pad.md` says what was measured, on how few people, and what it cannot do.

mod evidence;
mod fusion;
mod net;
mod square;

pub use evidence::{Evidence, doubt};
pub use fusion::{Assessment, Fusion, PadAssessor, cards};
pub use square::Square;

use crate::config::PadSettings;
use crate::models::{ModelStore, ModelsError, Role};
use crate::nn::NnError;

/// Why presentations cannot be assessed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PadError {
    /// A model is missing or damaged, or its input does not fit.
    #[error("the model for presentation attack detection cannot be used: {0}")]
    Models(#[from] ModelsError),
    /// A network cannot be loaded or run.
    #[error("presentation attack detection failed: {0}")]
    Network(#[from] NnError),
    /// The model does something else.
    #[error(
        "model {model} is a {role}, not one for presentation attack detection; `doorward models list` shows those of role pad"
    )]
    Role {
        /// The model.
        model: String,
        /// What it is.
        role: Role,
    },
    /// The model takes another part of the picture.
    #[error(
        "model {model} takes no square around a face: its card must say alignment = \"face-square\", box_scale and three channels"
    )]
    Input {
        /// The model.
        model: String,
    },
    /// The network gives something else than its card says.
    #[error("model {model}: {reason}; card and file do not belong together")]
    Output {
        /// The model.
        model: String,
        /// What is wrong.
        reason: String,
    },
    /// A net is named twice.
    #[error("model {model} is named twice; a net counts once, by the weight on its card")]
    Twice {
        /// The model.
        model: String,
    },
}

impl PadError {
    /// Whether the caller named what cannot be used.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Role { .. } | Self::Twice { .. })
    }
}

/// Loads the nets that `settings` name, or the catalogue's default. Call it on the thread that is to use them.
///
/// # Errors
/// When one is missing, damaged, named twice or not for presentation attack detection.
pub fn build(settings: &PadSettings, models: &ModelStore) -> Result<Fusion, PadError> {
    Fusion::new(settings, models)
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;
    use crate::domain::BBox;

    fn models() -> ModelStore {
        ModelStore::open("models".as_ref()).unwrap()
    }

    fn named(nets: &[&str]) -> PadSettings {
        PadSettings { nets: nets.iter().map(|id| (*id).into()).collect(), ..PadSettings::default() }
    }

    fn portrait() -> RgbImage {
        image::open("tests/pictures/portrait.jpg").unwrap().to_rgb8()
    }

    const FACE: BBox = BBox { x: 62.0, y: 40.0, w: 92.0, h: 118.0 };

    #[test]
    fn the_default_net_assesses_a_face_and_gives_the_same_each_time() {
        let mut nets = build(&PadSettings::default(), &models()).unwrap();
        assert_eq!(nets.names().collect::<Vec<_>>(), ["fr-liveness"]);
        let image = portrait();
        let first = nets.assess(&image, &FACE).unwrap().unwrap();
        assert!((first.scale - 220.0 / 118.0).abs() < 1e-6 && first.saturation > 8.0, "{first:?}");
        let elsewhere = nets.assess(&image, &BBox { x: 100.0, y: 100.0, w: 30.0, h: 30.0 }).unwrap().unwrap();
        assert!(elsewhere.log_odds != first.log_odds && elsewhere.scale == 2.7);
        assert_eq!(nets.assess(&image, &FACE).unwrap(), Some(first));
        assert_eq!(nets.assess(&image, &BBox { x: 500.0, ..FACE }).unwrap(), None);
    }

    #[test]
    fn two_nets_count_by_the_weights_on_their_cards() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = std::fs::read_to_string("models/catalogue.toml").unwrap();
        let card = catalogue.split("[[model]]").find(|card| card.contains("id = \"fr-liveness\"")).unwrap();
        let edits = [
            ("id = \"fr-liveness\"", "id = \"second\""),
            ("default = true", ""),
            ("box_scale = 2.7", "box_scale = 1.2"),
            ("weight = 1.0", "weight = 3.0"),
        ];
        let second = edits.iter().fold(card.to_owned(), |card, (from, to)| {
            assert!(card.contains(from), "{from}");
            card.replace(from, to)
        });
        let text = format!("format = 1\n[[model]]{card}[[model]]{second}");
        std::fs::write(folder.path().join("catalogue.toml"), text).unwrap();
        std::fs::copy("models/fr-liveness.onnx", folder.path().join("fr-liveness.onnx")).unwrap();

        let models = ModelStore::open(folder.path()).unwrap();
        let image = portrait();
        let of = |nets: &[&str]| build(&named(nets), &models).unwrap().assess(&image, &FACE).unwrap().unwrap();
        let (first, second, both) = (of(&["fr-liveness"]), of(&["second"]), of(&["fr-liveness", "second"]));
        assert!((first.log_odds - second.log_odds).abs() > 0.1, "they see different squares: {first:?} {second:?}");
        assert!((both.log_odds - (first.log_odds + 3.0 * second.log_odds) / 4.0).abs() < 1e-9, "{both:?}");
        assert_eq!(both.scale, second.scale, "the least of both");
        assert_eq!(both.saturation, first.saturation.min(second.saturation));
    }

    /// No template depends on this net: where int8 is asked for it is computed in float.
    #[test]
    fn an_engine_for_int8_takes_the_net_there_is() {
        let models = models().computed_by(crate::nn::Engine::default(), crate::config::EngineChoice::Int8);
        assert_eq!(build(&PadSettings::default(), &models).unwrap().names().collect::<Vec<_>>(), ["fr-liveness"]);
        let none = ModelStore::open("models/sface".as_ref()).unwrap();
        assert!(build(&PadSettings::default(), &none).err().unwrap().to_string().contains("no default pad"));
    }

    #[test]
    fn a_grey_picture_has_no_saturation() {
        let mut image = portrait();
        image.pixels_mut().for_each(|pixel| pixel.0 = [pixel.0[1]; 3]);
        let seen = build(&PadSettings::default(), &models()).unwrap().assess(&image, &FACE).unwrap().unwrap();
        assert_eq!(seen.saturation, 0.0);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        let refused = |nets: &[&str]| build(&named(nets), &models()).err().unwrap();
        let role = refused(&["landmarks-68"]);
        assert!(matches!(role, PadError::Role { role: Role::Landmarks, .. }) && role.is_usage(), "{role}");
        assert!(refused(&["fr-liveness", "fr-liveness"]).to_string().contains("fr-liveness is named twice"));
        assert!(refused(&["no-such-model"]).to_string().contains("no-such-model"));
    }

    #[test]
    fn a_card_that_does_not_fit_is_refused() {
        let good = models().load("fr-liveness").unwrap();
        let mut renamed = good.clone();
        renamed.card.output.names = vec!["softmax".to_owned()];
        assert!(net::Net::new(renamed).err().unwrap().to_string().contains("no output softmax"));
        let mut frame = good.clone();
        frame.card.input.box_scale = None;
        assert!(matches!(net::Net::new(frame).err().unwrap(), PadError::Input { .. }));
        let mut wider = good;
        wider.card.output.dimension = 4;
        let error = net::Net::new(wider).unwrap().look(&portrait(), &FACE).unwrap_err();
        assert!(error.to_string().contains("gave 3 values, its card says 4"), "{error}");
    }
}
