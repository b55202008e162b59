//! Several nets' verdicts on one frame, as one.

use image::RgbImage;

use super::{PadError, net::Net};
use crate::config::PadSettings;
use crate::domain::BBox;
use crate::models::{ModelCard, ModelStore, ModelsError, Role};

/// What the nets say of a face in one frame, and what of the frame decides whether that means anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assessment {
    /// Log-odds of a bona fide presentation, the mean over the nets by their weights; finite.
    pub log_odds: f64,
    /// The least side of a square that a net saw, in heights of the face's box.
    pub scale: f32,
    /// The least mean spread of the three channels in a net's square, 0..=255.
    pub saturation: f32,
}

/// Assesses single frames. Used on one thread.
pub trait PadAssessor {
    /// Assesses the face in `bbox`; `None` when the box has no place in the picture.
    ///
    /// # Errors
    /// When a net fails or gives what are no logits.
    fn assess(&mut self, image: &RgbImage, bbox: &BBox) -> Result<Option<Assessment>, PadError>;
}

/// The nets of a presentation attack detector. Used on one thread.
pub struct Fusion(Vec<Net>);

impl Fusion {
    pub(super) fn new(settings: &PadSettings, models: &ModelStore) -> Result<Fusion, PadError> {
        let nets = cards(settings, models)?.into_iter().map(|card| Net::new(models.load(&card.id)?));
        let nets = nets.collect::<Result<_, _>>()?;
        Ok(Fusion(nets))
    }

    /// The ids of the nets, in the order they were named.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Net::id)
    }

    /// Who computes the first net and in which numbers, for reports: `tract f32`.
    pub fn engine_name(&self) -> &'static str {
        self.0.first().map_or("none", Net::engine_name)
    }
}

impl PadAssessor for Fusion {
    fn assess(&mut self, image: &RgbImage, bbox: &BBox) -> Result<Option<Assessment>, PadError> {
        let mut sights = Vec::with_capacity(self.0.len());
        for net in &mut self.0 {
            match net.look(image, bbox)? {
                Some(sight) => sights.push((sight, net.weight())),
                None => return Ok(None),
            }
        }
        let scale = sights.iter().map(|(sight, _)| sight.square.scale).fold(f32::INFINITY, f32::min);
        let saturation = sights.iter().map(|(sight, _)| sight.square.saturation(image)).fold(f32::INFINITY, f32::min);
        let log_odds = weighted_mean(sights.into_iter().map(|(sight, weight)| (sight.log_odds, weight)));
        Ok(log_odds.map(|log_odds| Assessment { log_odds, scale, saturation }))
    }
}

/// The cards of the nets that `settings` name, in their order, or of the catalogue's default. Loads none of them.
///
/// # Errors
/// When one is unknown or named twice, or none is named and there is no default.
pub fn cards<'a>(settings: &PadSettings, models: &'a ModelStore) -> Result<Vec<&'a ModelCard>, PadError> {
    let ids: Vec<&str> = settings.nets.iter().map(AsRef::as_ref).collect();
    if let Some(twice) = ids.iter().enumerate().find_map(|(at, id)| ids[..at].contains(id).then_some(*id)) {
        return Err(PadError::Twice { model: twice.to_owned() });
    }
    if ids.is_empty() {
        return Ok(vec![default_net(models)?]);
    }
    ids.into_iter().map(|id| Ok(models.catalogue().get(id)?)).collect()
}

/// The net that is taken when none is named. Where int8 was asked for and there is none, the one in float: no template depends on it.
fn default_net(models: &ModelStore) -> Result<&ModelCard, ModelsError> {
    match models.default_for(Role::Pad) {
        Err(ModelsError::NoVariant { .. }) => models.catalogue().default_for(Role::Pad),
        found => found,
    }
}

/// `None` without values.
fn weighted_mean(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (sum, weights) =
        values.fold((0.0, 0.0), |(sum, weights), (value, weight)| (sum + weight * value, weights + weight));
    (weights > 0.0).then(|| sum / weights)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nets_count_by_their_weights() {
        assert_eq!(weighted_mean([(4.0, 1.0), (-2.0, 3.0)].into_iter()), Some(-0.5));
        assert_eq!(weighted_mean([(4.0, 0.25)].into_iter()), Some(4.0));
        assert_eq!(weighted_mean(std::iter::empty()), None);
    }

    proptest! {
        #[test]
        fn the_mean_lies_between_the_nets(values in prop::collection::vec((-20f64..20.0, 0.01f64..10.0), 1..6)) {
            let mean = weighted_mean(values.iter().copied()).unwrap();
            let low = values.iter().map(|v| v.0).fold(f64::INFINITY, f64::min);
            let high = values.iter().map(|v| v.0).fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((low - 1e-9..=high + 1e-9).contains(&mean));
        }
    }
}
