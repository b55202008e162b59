//! `catalogue.toml`: parsed, then checked card by card.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use super::{Alignment, Comparison, ModelCard, ModelsError, OperatingPoint, Precision, Role, Source};

/// The format of `catalogue.toml` this version reads.
const FORMAT: i64 = 1;

/// What a catalogue may extend: the models in the binary.
const BINARY: &str = "binary";

/// The cards of a model folder, all of them valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    models: Vec<ModelCard>,
    /// How many of them, the first ones, come from the catalogue that this one extends.
    inherited: usize,
}

impl Catalogue {
    /// Reads the text of a `catalogue.toml` that stands alone.
    ///
    /// # Errors
    /// [`ModelsError::Catalogue`] when the text is not a catalogue, [`ModelsError::Card`] (naming card and key) when a card has an
    /// unknown, missing or impossible key, [`ModelsError::NotEmbedded`] when it extends the models in the binary.
    pub fn parse(text: &str) -> Result<Catalogue, ModelsError> {
        Catalogue::parse_over(text, || Err(ModelsError::NotEmbedded))
    }

    /// As [`parse`](Self::parse), and takes the models of `base` too if the text says `extends = "binary"`. A default of its own for
    /// a role then takes the place of the base's.
    ///
    /// # Errors
    /// As `parse`, and what `base` finds.
    pub(super) fn parse_over(
        text: &str,
        base: impl FnOnce() -> Result<Catalogue, ModelsError>,
    ) -> Result<Catalogue, ModelsError> {
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
        let mut models = match table.remove("extends") {
            None => Vec::new(),
            Some(toml::Value::String(base_name)) if base_name == BINARY => base()?.models,
            Some(other) => return Err(refuse(format!("extends is {other}; allowed is \"{BINARY}\""))),
        };
        if let Some(key) = table.keys().next() {
            return Err(refuse(format!("unknown key {key}; allowed are format, extends and [[model]]")));
        }
        let inherited = models.len();
        for (i, entry) in entries.into_iter().enumerate() {
            let own = card(i, entry)?;
            if own.default {
                models[..inherited]
                    .iter_mut()
                    .filter(|base| base.role == own.role)
                    .for_each(|base| base.default = false);
            }
            models.push(own);
        }
        check_together(&models)?;
        Ok(Catalogue { models, inherited })
    }

    /// All cards, in the file's order, after those of the catalogue that it extends.
    pub fn models(&self) -> &[ModelCard] {
        &self.models
    }

    /// The cards of the file itself.
    pub fn own_models(&self) -> &[ModelCard] {
        &self.models[self.inherited..]
    }

    /// Whether the card called `id` stands in the file itself, not in the catalogue that it extends.
    pub fn is_own(&self, id: &str) -> bool {
        self.own_models().iter().any(|card| card.id == id)
    }

    /// The catalogue of a new file that extends this one.
    pub(super) fn into_inherited(self) -> Catalogue {
        Catalogue { inherited: self.models.len(), ..self }
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

    /// A card of the profile `name`; [`variant`](Self::variant) finds the others.
    ///
    /// # Errors
    /// [`ModelsError::NoProfile`] with the profiles there are.
    pub fn profile(&self, name: &str) -> Result<&ModelCard, ModelsError> {
        self.models.iter().find(|card| card.profile.as_deref() == Some(name)).ok_or_else(|| {
            let mut known: Vec<&str> = self.models.iter().filter_map(|card| card.profile.as_deref()).collect();
            known.sort_unstable();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            ModelsError::NoProfile { profile: name.to_owned(), known }
        })
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
    check(&card)?;
    Ok(card)
}

/// Checks what a card can know alone.
///
/// # Errors
/// [`ModelsError::Card`] with the first key whose value is not possible.
pub(super) fn check(card: &ModelCard) -> Result<(), ModelsError> {
    match first_fault(card) {
        Some((key, reason)) => Err(ModelsError::Card { model: card.id.clone(), key, reason }),
        None => Ok(()),
    }
}

/// The first key of a card whose value is not possible, with the reason.
fn first_fault(card: &ModelCard) -> Option<(String, String)> {
    let fault = |key: &str, reason: &str| Some((key.to_owned(), reason.to_owned()));
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if card.id.is_empty() || card.id.len() > 64 || !card.id.chars().all(allowed) {
        return fault("id", "1 to 64 lower-case letters, digits, - and . are allowed");
    }
    for (key, path) in [("file", Some(&card.file)), ("licence_file", card.licence_file.as_ref())] {
        if let Some(path) = path.filter(|path| !stays_inside(path)) {
            return fault(key, &format!("{path:?} must be a relative path without .."));
        }
    }
    if card.bytes == 0 {
        return fault("bytes", "a model file is not empty");
    }
    if card.quantised_from.is_some() && card.precision == Precision::F32 {
        return fault("quantised_from", "a model in f32 is not quantised; say precision = \"int8\"");
    }
    if !["pip", "npm", "cargo", Source::FILE].contains(&card.source.client.as_str()) {
        return fault("source.client", &format!("{:?}: pip, npm, cargo and file are allowed", card.source.client));
    }
    if !is_licence(&card.licence) {
        return fault(
            "licence",
            &format!("{:?}: an SPDX expression such as MIT or Apache-2.0 is expected", card.licence),
        );
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

    match (input.alignment, input.box_scale) {
        (Alignment::FaceSquare, Some(scale)) if (1.0..=10.0).contains(&scale) => {}
        (Alignment::FaceSquare, _) => {
            return fault("input.box_scale", "alignment face-square needs it: 1 to 10 heights of the face's box");
        }
        (_, None) => {}
        (_, Some(_)) => return fault("input.box_scale", "only alignment face-square has one"),
    }
    match (card.role, card.pad) {
        (Role::Pad, Some(pad)) => {
            if pad.bona_fide_class >= card.output.dimension || card.output.dimension < 2 {
                let reason =
                    format!("{}: one of the {} classes is expected", pad.bona_fide_class, card.output.dimension);
                return fault("pad.bona_fide_class", &reason);
            }
            if !(pad.weight.is_normal() && pad.weight > 0.0) {
                return fault("pad.weight", &format!("{}: a finite number above 0 is expected", pad.weight));
            }
        }
        (Role::Pad, None) => return fault("pad", "a net of role pad needs it: bona_fide_class and weight"),
        (_, None) => {}
        (_, Some(_)) => return fault("pad", "only a net of role pad has it"),
    }

    if card.role != Role::Recogniser && card.profile.is_some() {
        return fault("profile", "only a recogniser has one");
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
    match models.iter().find_map(|card| Some((card, shares_its_profile(card, models)?))) {
        None => Ok(()),
        Some((card, other)) => Err(ModelsError::Card {
            model: card.id.clone(),
            key: "profile".to_owned(),
            reason: format!("{} has it already, and neither is quantised from the other", other.id),
        }),
    }
}

/// A model with the profile of `card` that is no variant of it.
fn shares_its_profile<'a>(card: &ModelCard, models: &'a [ModelCard]) -> Option<&'a ModelCard> {
    let profile = card.profile.as_ref()?;
    models.iter().find(|other| {
        other.id != card.id
            && other.profile.as_ref() == Some(profile)
            && other.quantised_from.as_ref() != Some(&card.id)
            && card.quantised_from.as_ref() != Some(&other.id)
    })
}

/// Why `card` cannot stand in for the model called `from`; `None` when it can.
fn not_a_variant(card: &ModelCard, from: &str, models: &[ModelCard]) -> Option<String> {
    let Some(original) = models.iter().find(|other| other.id == from) else {
        return Some(format!("the catalogue holds no {from}; leave the key out if the original is not part of it"));
    };
    if original.precision != Precision::F32 {
        return Some(format!("{from} is not a model in f32"));
    }
    let same = |other: &ModelCard| {
        (other.role, &other.input, &other.output, other.pad) == (card.role, &card.input, &card.output, card.pad)
    };
    if !same(original) {
        return Some(format!("{from} has another role, input or output, so neither can take the other's place"));
    }
    let other = models.iter().find(|other| other.id != card.id && other.quantised_from.as_deref() == Some(from));
    other.map(|other| format!("{} is quantised from {from} already", other.id))
}

/// Whether a text may be an SPDX expression, by its characters: the list of licences grows, so it is not looked up.
fn is_licence(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.+:() ".contains(c);
    text.len() <= 200 && text.chars().all(allowed) && text.chars().any(|c| c.is_ascii_alphanumeric())
}

/// Whether a path of the catalogue stays in the catalogue's folder.
fn stays_inside(path: &str) -> bool {
    let mut components = Path::new(path).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}
