//! `catalogue.toml`: parsed, then checked card by card.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use super::{Comparison, ModelCard, ModelsError, OperatingPoint, Precision, Role};

/// The format of `catalogue.toml` this version reads.
const FORMAT: i64 = 1;

/// The cards of a model folder, all of them valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    models: Vec<ModelCard>,
}

impl Catalogue {
    /// Reads the text of a `catalogue.toml`.
    ///
    /// # Errors
    /// [`ModelsError::Catalogue`] when the text is not a catalogue, [`ModelsError::Card`] (naming card and key) when a card has an
    /// unknown, missing or impossible key.
    pub fn parse(text: &str) -> Result<Catalogue, ModelsError> {
        let refuse = |reason| ModelsError::Catalogue { reason };
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| refuse(error.to_string()))?;
        match table.remove("format") {
            Some(toml::Value::Integer(FORMAT)) => {}
            Some(other) => return Err(refuse(format!("format is {other}; this version reads format {FORMAT}"))),
            None => return Err(refuse(format!("the key format is missing; this version reads format = {FORMAT}"))),
        }
        let entries = match table.remove("model") {
            Some(toml::Value::Array(entries)) => entries,
            _ => return Err(refuse("it holds no [[model]]".to_owned())),
        };
        if let Some(key) = table.keys().next() {
            return Err(refuse(format!("unknown key {key}; allowed are format and [[model]]")));
        }
        let models: Vec<ModelCard> =
            entries.into_iter().enumerate().map(|(i, entry)| card(i, entry)).collect::<Result<_, _>>()?;
        check_together(&models)?;
        Ok(Catalogue { models })
    }

    /// All cards, in the file's order.
    pub fn models(&self) -> &[ModelCard] {
        &self.models
    }

    /// The card called `id`.
    ///
    /// # Errors
    /// [`ModelsError::Unknown`] with the ids there are.
    pub fn get(&self, id: &str) -> Result<&ModelCard, ModelsError> {
        self.models.iter().find(|card| card.id == id).ok_or_else(|| ModelsError::Unknown {
            id: id.to_owned(),
            known: self.models.iter().map(|card| card.id.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The card marked as default for `role`.
    ///
    /// # Errors
    /// [`ModelsError::NoDefault`] when none is.
    pub fn default_for(&self, role: Role) -> Result<&ModelCard, ModelsError> {
        self.models.iter().find(|card| card.role == role && card.default).ok_or(ModelsError::NoDefault { role })
    }

    /// The variant of `card` in `precision`: the card itself, the one it was quantised from, or the one quantised from it; `None`
    /// when the catalogue holds no such variant.
    pub fn variant<'a>(&'a self, card: &'a ModelCard, precision: Precision) -> Option<&'a ModelCard> {
        if card.precision == precision {
            return Some(card);
        }
        match precision {
            Precision::F32 => self.get(card.quantised_from.as_deref()?).ok(),
            Precision::Int8 => self.models.iter().find(|other| other.quantised_from.as_ref() == Some(&card.id)),
        }
    }
}

/// Turns the entry at `index` into a checked card.
fn card(index: usize, entry: toml::Value) -> Result<ModelCard, ModelsError> {
    let model = match entry.get("id") {
        Some(toml::Value::String(id)) => id.clone(),
        _ => format!("number {} (without id)", index + 1),
    };
    let card: ModelCard = entry.try_into().map_err(|error: toml::de::Error| ModelsError::Card {
        model,
        key: "entry".to_owned(),
        reason: error.to_string().trim_end().replace('\n', " "),
    })?;
    match first_fault(&card) {
        Some((key, reason)) => Err(ModelsError::Card { model: card.id, key, reason }),
        None => Ok(card),
    }
}

/// The first key of a card whose value is not possible, with the reason.
fn first_fault(card: &ModelCard) -> Option<(String, String)> {
    let fault = |key: &str, reason: &str| Some((key.to_owned(), reason.to_owned()));
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if card.id.is_empty() || card.id.len() > 64 || !card.id.chars().all(allowed) {
        return fault("id", "1 to 64 lower-case letters, digits, - and . are allowed");
    }
    for (key, path) in [("file", &card.file), ("licence_file", &card.licence_file)] {
        if !stays_inside(path) {
            return fault(key, &format!("{path:?} must be a relative path without .."));
        }
    }
    if card.bytes == 0 {
        return fault("bytes", "a model file is not empty");
    }
    if card.quantised_from.is_some() && card.precision == Precision::F32 {
        return fault("quantised_from", "a model in f32 is not quantised; say precision = \"int8\"");
    }
    if !["pip", "npm", "cargo"].contains(&card.source.client.as_str()) {
        return fault("source.client", &format!("{:?}: pip, npm and cargo are allowed", card.source.client));
    }

    let input = &card.input;
    if input.shape.contains(&0) || input.shape[0] != 1 {
        return fault("input.shape", &format!("{:?}: the batch is 1, no axis is 0", input.shape));
    }
    if input.channels() != input.colour.channels() {
        return fault(
            "input.colour",
            &format!("{:?} does not fit the {} channels of shape", input.colour, input.channels()),
        );
    }
    if input.mean.len() != input.channels() || !input.mean.iter().all(|mean| mean.is_finite()) {
        return fault("input.mean", &format!("{:?}: one finite number a channel is expected", input.mean));
    }
    if !input.scale.is_normal() {
        return fault("input.scale", &format!("{}: a finite number other than 0 is expected", input.scale));
    }
    if input.size_step_px == Some(0) {
        return fault("input.size_step_px", "0: at least 1 is expected");
    }
    if card.output.dimension == 0 {
        return fault("output.dimension", "0: at least 1 is expected");
    }

    if card.role != Role::Recogniser && !card.operating_points.is_empty() {
        return fault("operating_point", "only a recogniser has operating points");
    }
    let mut names: HashMap<&str, &OperatingPoint> = HashMap::new();
    let mut sizes = HashSet::new();
    for point in &card.operating_points {
        let fault = |key: &str, reason: String| Some((format!("operating_point {}: {key}", point.name), reason));
        if names.insert(&point.name, point).is_some_and(|other| other.kind != point.kind) {
            return fault("kind", "one name is of one kind of comparison".to_owned());
        }
        if !sizes.insert((&point.name, point.gallery_size)) {
            return fault("name", "it stands there twice for one gallery_size".to_owned());
        }
        let lower = |other: &&OperatingPoint| {
            other.name == point.name && other.gallery_size < point.gallery_size && other.threshold > point.threshold
        };
        if let Some(other) = card.operating_points.iter().find(lower) {
            return fault(
                "threshold",
                format!("{} is below the {} of a smaller gallery", point.threshold, other.threshold),
            );
        }
        if !(-1.0..=1.0).contains(&point.threshold) {
            return fault("threshold", format!("{} is not a cosine between -1 and 1", point.threshold));
        }
        for (key, rate) in [("fpir", point.fpir), ("fnir", point.fnir), ("fmr", point.fmr), ("fnmr", point.fnmr)] {
            if rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
                return fault(key, "a rate lies between 0 and 1".to_owned());
            }
        }
        for (key, rate, interval) in [
            ("fpir_interval", point.fpir, point.fpir_interval),
            ("fnir_interval", point.fnir, point.fnir_interval),
            ("fmr_interval", point.fmr, point.fmr_interval),
            ("fnmr_interval", point.fnmr, point.fnmr_interval),
        ] {
            let Some([low, high]) = interval else { continue };
            let holds = rate.is_some_and(|rate| (low..=high).contains(&rate));
            if !(holds && 0.0 <= low && high <= 1.0) {
                return fault(key, "it is [low, high] within 0 and 1, around the rate it belongs to".to_owned());
            }
        }
        let complete = match point.kind {
            Comparison::OneToMany => point.fpir.is_some() && point.gallery_size.is_some(),
            Comparison::OneToOne => point.fmr.is_some(),
        };
        if !complete {
            return fault("kind", "one-to-many needs fpir and gallery_size, one-to-one needs fmr".to_owned());
        }
    }
    None
}

/// What no card can know alone: ids are unique, a role has one default, a quantised model and its original can take each
/// other's place.
fn check_together(models: &[ModelCard]) -> Result<(), ModelsError> {
    let mut ids = HashSet::new();
    let mut defaults: Vec<&ModelCard> = Vec::new();
    for card in models {
        let refuse =
            |key: &str, reason: String| Err(ModelsError::Card { model: card.id.clone(), key: key.to_owned(), reason });
        if !ids.insert(&card.id) {
            return refuse("id", "it stands there twice".to_owned());
        }
        if card.default {
            if let Some(other) = defaults.iter().find(|other| other.role == card.role) {
                return refuse("default", format!("{} is the default {} already", other.id, card.role));
            }
            defaults.push(card);
        }
    }
    for card in models {
        let Some(from) = &card.quantised_from else { continue };
        if let Some(reason) = not_a_variant(card, from, models) {
            return Err(ModelsError::Card { model: card.id.clone(), key: "quantised_from".to_owned(), reason });
        }
    }
    Ok(())
}

/// Why `card` cannot stand in for the model called `from`; `None` when it can.
fn not_a_variant(card: &ModelCard, from: &str, models: &[ModelCard]) -> Option<String> {
    let Some(original) = models.iter().find(|other| other.id == from) else {
        return Some(format!("the catalogue holds no {from}; leave the key out if the original is not part of it"));
    };
    if original.precision != Precision::F32 {
        return Some(format!("{from} is not a model in f32"));
    }
    if original.role != card.role || original.input != card.input || original.output != card.output {
        return Some(format!("{from} has another role, input or output, so neither can take the other's place"));
    }
    let other = models.iter().find(|other| other.id != card.id && other.quantised_from.as_deref() == Some(from));
    other.map(|other| format!("{} is quantised from {from} already", other.id))
}

/// Whether a path of the catalogue stays in the catalogue's folder.
fn stays_inside(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}
