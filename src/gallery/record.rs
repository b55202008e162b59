//! What stands inside the seals and in exports: JSON records, and the bounds of every field.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{GalleryError, Template};
use crate::domain::{Embedding, ModelId, SampleQuality, SubjectId, TemplateId};

const BLOCK_BYTES: usize = 256;
const MAX_NAME: usize = 128;
const MAX_ATTRIBUTES: usize = 32;
const MAX_ATTRIBUTE_NAME: usize = 64;
const MAX_ATTRIBUTE_VALUE: usize = 256;
const MAX_SOURCE: usize = 255;
const MAX_DIMENSION: usize = 4096;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectRecord {
    pub id: SubjectId,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateRecord {
    id: TemplateId,
    model: ModelRecord,
    embedding: String,
    quality: SampleQuality,
    source: String,
    enrolled: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceRecord {
    model: ModelRecord,
    pub templates: usize,
    embedding: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRecord {
    name: String,
    sha256: String,
}

impl SubjectRecord {
    pub fn check(&self) -> Result<(), GalleryError> {
        check_name(&self.name)?;
        check_attributes(&self.attributes)
    }
}

impl TemplateRecord {
    pub fn new(t: &Template) -> Self {
        Self {
            id: t.id,
            model: ModelRecord::new(t.embedding.model()),
            embedding: encode(t.embedding.values()),
            quality: t.quality,
            source: t.source.clone(),
            enrolled: t.enrolled,
        }
    }

    /// The template, every field within its bounds.
    pub fn check(self) -> Result<Template, GalleryError> {
        check_source(&self.source)?;
        check_quality(&self.quality)?;
        let embedding = embedding(&self.model, &self.embedding)?;
        Ok(Template { id: self.id, embedding, quality: self.quality, source: self.source, enrolled: self.enrolled })
    }
}

impl ReferenceRecord {
    pub fn new(templates: usize, reference: &Embedding) -> Self {
        Self { model: ModelRecord::new(reference.model()), templates, embedding: encode(reference.values()) }
    }

    pub fn is_of(&self, model: &ModelId) -> bool {
        self.model.name == model.name() && self.model.sha256 == model.sha256_hex()
    }

    pub fn model(&self) -> Result<ModelId, GalleryError> {
        self.model.check()
    }

    pub fn check(&self) -> Result<Embedding, GalleryError> {
        embedding(&self.model, &self.embedding)
    }
}

impl ModelRecord {
    fn new(model: &ModelId) -> Self {
        Self { name: model.name().into(), sha256: model.sha256_hex() }
    }

    fn check(&self) -> Result<ModelId, GalleryError> {
        let refused = || out_of_bounds("model sha256", &self.sha256, "64 lower-case hexadecimal digits");
        let mut sha256 = [0; 32];
        let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if self.sha256.len() != 64 || !self.sha256.as_bytes().iter().all(digit) {
            return Err(refused());
        }
        for (byte, at) in sha256.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&self.sha256[at..at + 2], 16).map_err(|_| refused())?;
        }
        let model = ModelId::new(&self.name, sha256);
        check_model(&model).map(|()| model)
    }
}

/// JSON, then 80h and zeros up to a multiple of [`BLOCK_BYTES`] (ISO/IEC 7816-4 padding).
pub(super) fn to_padded<T: Serialize>(record: &T) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(serde_json::to_vec(record).expect("records have string keys and finite numbers"));
    bytes.push(0x80);
    let padded = bytes.len().next_multiple_of(BLOCK_BYTES);
    bytes.resize(padded, 0);
    bytes
}

/// The way back of [`to_padded`]; an `Err` says what does not fit, without the record's contents.
pub(super) fn from_padded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let end = bytes.iter().rposition(|b| *b != 0).filter(|end| bytes[*end] == 0x80).ok_or("no padding")?;
    serde_json::from_slice(&bytes[..end])
        .map_err(|e| format!("not a record: {:?} in column {}", e.classify(), e.column()))
}

/// A photo's name as a template's source: the file name without its folders, cut to what is allowed.
pub fn source_name(photo: &Path) -> String {
    let name = photo.file_name().map_or_else(|| "?".into(), |n| n.to_string_lossy());
    name.chars().take(MAX_SOURCE).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) fn check_name(name: &str) -> Result<(), GalleryError> {
    text("name", name, 1..=MAX_NAME, "1 to 128 characters, no control characters")
}

pub(super) fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), GalleryError> {
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(out_of_bounds("number of attributes", &attributes.len().to_string(), "up to 32"));
    }
    attributes.iter().try_for_each(|(name, value)| {
        text("attribute name", name, 1..=MAX_ATTRIBUTE_NAME, "1 to 64 characters, no control characters")?;
        text("attribute value", value, 0..=MAX_ATTRIBUTE_VALUE, "up to 256 characters, no control characters")
    })
}

pub(super) fn check_source(source: &str) -> Result<(), GalleryError> {
    let allowed = "a file name without its folders, 1 to 255 characters, no control characters";
    if source.contains('/') {
        return Err(out_of_bounds("source", source, allowed));
    }
    text("source", source, 1..=MAX_SOURCE, allowed)
}

pub(super) fn check_quality(quality: &SampleQuality) -> Result<(), GalleryError> {
    let SampleQuality { size_px, sharpness, brightness, contrast, yaw_deg, pitch_deg, roll_deg, detector_score } =
        *quality;
    [size_px, sharpness, brightness, contrast, yaw_deg, pitch_deg, roll_deg, detector_score]
        .into_iter()
        .find(|part| !part.is_finite())
        .map_or(Ok(()), |part| Err(out_of_bounds("quality part", &part.to_string(), "a finite number")))
}

pub(super) fn check_model(model: &ModelId) -> Result<(), GalleryError> {
    text("model name", model.name(), 1..=MAX_NAME, "1 to 128 characters, no control characters")
}

pub(super) fn check_dimension(components: usize) -> Result<(), GalleryError> {
    if (1..=MAX_DIMENSION).contains(&components) {
        return Ok(());
    }
    Err(out_of_bounds("number of embedding components", &components.to_string(), "1 to 4096"))
}

fn text(
    what: &'static str,
    value: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: &'static str,
) -> Result<(), GalleryError> {
    if length.contains(&value.chars().count()) && !value.chars().any(char::is_control) {
        return Ok(());
    }
    Err(out_of_bounds(what, value, allowed))
}

fn out_of_bounds(what: &'static str, value: &str, allowed: &'static str) -> GalleryError {
    GalleryError::Value { what, value: value.chars().take(80).collect(), allowed }
}

fn encode(values: &[f32]) -> String {
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(values.iter().flat_map(|v| v.to_le_bytes()).collect());
    STANDARD.encode(&*bytes)
}

fn embedding(model: &ModelRecord, encoded: &str) -> Result<Embedding, GalleryError> {
    let refused = || out_of_bounds("embedding", "", "base64 of single precision numbers of unit length");
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| refused())?);
    let (components, []) = bytes.as_chunks::<4>() else {
        return Err(refused());
    };
    check_dimension(components.len())?;
    let values: Zeroizing<Vec<f32>> = Zeroizing::new(components.iter().map(|c| f32::from_le_bytes(*c)).collect());
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    // What doorward writes is within 2^-24 of unit length; anything else was not an embedding.
    if norm.is_nan() || (norm - 1.0).abs() > 1e-6 {
        return Err(refused());
    }
    Embedding::new(model.check()?, &values).map_err(|_| refused())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
        write!(text, "{b:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn embeddings_come_back_bit_for_bit(v in prop::collection::vec(-1f32..1.0, 1..200)) {
            prop_assume!(v.iter().any(|x| x.abs() > 1e-3));
            let e = Embedding::new(ModelId::new("m", [7; 32]), &v).unwrap();
            let back = embedding(&ModelRecord::new(e.model()), &encode(e.values())).unwrap();
            prop_assert_eq!(back, e);
        }

        #[test]
        fn quality_comes_back_bit_for_bit(parts in prop::array::uniform8(any::<f32>())) {
            prop_assume!(parts.iter().all(|p| p.is_finite()));
            let [size_px, sharpness, brightness, contrast, yaw_deg, pitch_deg, roll_deg, detector_score] = parts;
            let quality = SampleQuality {
                size_px, sharpness, brightness, contrast, yaw_deg, pitch_deg, roll_deg, detector_score,
            };
            prop_assert_eq!(from_padded::<SampleQuality>(&to_padded(&quality)).unwrap(), quality);
        }

        #[test]
        fn padding_hides_the_length_and_comes_off_again(text in "\\PC{0,400}") {
            let padded = to_padded(&text);
            prop_assert_eq!(padded.len() % BLOCK_BYTES, 0);
            prop_assert_eq!(from_padded::<String>(&padded).unwrap(), text);
        }

        #[test]
        fn noise_is_refused_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..64), text in "\\PC{0,80}") {
            prop_assert!(from_padded::<TemplateRecord>(&noise).is_err());
            let model = ModelRecord { name: "m".into(), sha256: text.clone() };
            prop_assert!(model.check().is_err());
            prop_assert!(embedding(&ModelRecord::new(&ModelId::new("m", [7; 32])), &text).is_err());
        }

        #[test]
        fn what_source_name_gives_is_allowed(path in any::<std::path::PathBuf>()) {
            prop_assert!(check_source(&source_name(&path)).is_ok());
        }
    }

    #[test]
    fn a_source_is_no_path() {
        assert_eq!(source_name(Path::new("/home/ada/private/2009.jpg")), "2009.jpg");
        assert!(check_source("private/2009.jpg").is_err());
    }

    #[test]
    fn texts_have_bounds() {
        assert!(check_name("Ada Lovelace").is_ok());
        for bad in ["", "Ada\nLovelace", "\u{7f}", &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        let many = (0..33).map(|n| (n.to_string(), String::new())).collect();
        assert!(check_attributes(&many).is_err());
    }
}
