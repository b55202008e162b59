//! One model's card: the record of what a file is, what it may be used for and how.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InputSpec, ModelsError};
use crate::{
    config::EngineChoice,
    domain::{Rung, Threshold, ThresholdLadder},
};

/// Everything known about one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The name by which configuration, gallery and events speak of it: lower-case letters, digits, `-` and `.`.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// Whether it is taken for its role when no model is named.
    #[serde(default)]
    pub default: bool,
    /// One line for people.
    pub title: String,
    /// The file, relative to the catalogue's folder.
    pub file: String,
    /// The kind of file.
    pub format: Format,
    /// The numbers its weights and most of its arithmetic are in.
    #[serde(default)]
    pub precision: Precision,
    /// The id of the model in `f32` that this one was quantised from, where it is in the same catalogue: the two are then
    /// variants of one, and which is taken is a question of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantised_from: Option<String>,
    /// Of a recogniser: the name by which a configuration asks for it, whatever the numbers it is computed in. The variants of one
    /// model share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The file's length.
    pub bytes: u64,
    /// The file's SHA-256.
    pub sha256: Digest,
    /// The licence of the weights, an SPDX expression.
    pub licence: String,
    /// The licence's text, relative to the catalogue's folder; absent when it was not given with a model of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_file: Option<String>,
    /// The network's structure and cost.
    pub architecture: String,
    /// Where the weights came from.
    pub source: Source,
    /// The paper behind it.
    pub publication: Publication,
    /// What goes in.
    pub input: InputSpec,
    /// What comes out.
    pub output: OutputSpec,
    /// Of a net for presentation attack detection, and of no other: what its classes mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<PadSpec>,
    /// The thresholds measured for it; none for anything but a recogniser.
    #[serde(default, rename = "operating_point", skip_serializing_if = "Vec::is_empty")]
    pub operating_points: Vec<OperatingPoint>,
}

/// What a model does in the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Finds faces in a frame.
    Detector,
    /// Finds the landmarks of a face whose box is known.
    Landmarks,
    /// Makes an embedding of an aligned face.
    Recogniser,
    /// Tells a bona fide presentation from an attack.
    Pad,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Role::Detector => "detector",
            Role::Landmarks => "landmarks",
            Role::Recogniser => "recogniser",
            Role::Pad => "pad",
        })
    }
}

/// The kind of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// An ONNX graph, run by `nn`.
    Onnx,
    /// The cascade file of SeetaFace, run by rustface.
    Seeta,
}

/// The numbers a model is computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Quantised to 8-bit integers.
    Int8,
}

impl Precision {
    /// The numbers that `choice` insists on; `None` for `auto`.
    pub const fn asked(choice: EngineChoice) -> Option<Precision> {
        match choice {
            EngineChoice::Auto => None,
            EngineChoice::F32 => Some(Precision::F32),
            EngineChoice::Int8 => Some(Precision::Int8),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
        })
    }
}

/// Where the weights were found: a published package, or a file that somebody had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The client that fetches it: `pip`, `npm` or `cargo`; [`Source::FILE`] for a file that was brought by hand.
    pub client: String,
    /// The package's name; of a file, where it came from.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the package's archive; of a file, the file's own.
    pub sha256: Digest,
    /// The file inside the package.
    pub file: String,
    /// The SHA-256 of that file.
    pub file_sha256: Digest,
    /// What was done to it; "none" when it is used as shipped.
    pub changes: String,
}

impl Source {
    /// The client of a model that was brought as a file (`doorward models import`).
    pub const FILE: &str = "file";
}

/// The publication a model goes back to, and what is known of its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The paper's title.
    pub title: String,
    /// Its authors.
    pub authors: String,
    /// Where it appeared.
    pub venue: String,
    /// The year it appeared, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<u16>,
    /// The loss the weights were trained with, as far as it is known.
    pub training_loss: String,
    /// The data the weights were trained on, as far as it is known.
    pub training_data: String,
    /// What else a reader must know, such as further papers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a model puts out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The graph's outputs by name, in their order; empty when the format names none. Of a recogniser the first is the embedding.
    pub names: Vec<String>,
    /// Values a face: the length of an embedding, twice the number of landmarks, the number of classes.
    pub dimension: usize,
    /// What the values mean.
    pub meaning: String,
}

/// How the classes of a net for presentation attack detection are read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PadSpec {
    /// Which of the output's logits is that of a bona fide presentation, from 0; all others are attacks.
    pub bona_fide_class: usize,
    /// How much its log-odds count where several nets are fused: the fused log-odds are the weighted mean. Above 0.
    pub weight: f64,
}

/// A threshold on the similarity, with the error rates and the data that set it.
///
/// A one-to-many point stands there once for each size of gallery it was measured for, under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// The name by which a configuration asks for it, such as `fpir-0.01`.
    pub name: String,
    /// The kind of comparison it holds for.
    pub kind: Comparison,
    /// The least similarity (cosine, -1 to 1) that counts as a match.
    pub threshold: f32,
    /// False positive identification rate at this threshold (one-to-many).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fpir: Option<f64>,
    /// Lower and upper bound of the FPIR's 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fpir_interval: Option<[f64; 2]>,
    /// False negative identification rate at this threshold (one-to-many).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fnir: Option<f64>,
    /// Lower and upper bound of the FNIR's 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fnir_interval: Option<[f64; 2]>,
    /// False match rate at this threshold (one-to-one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmr: Option<f64>,
    /// Lower and upper bound of the FMR's 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmr_interval: Option<[f64; 2]>,
    /// False non-match rate at this threshold (one-to-one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fnmr: Option<f64>,
    /// Lower and upper bound of the FNMR's 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fnmr_interval: Option<[f64; 2]>,
    /// How many subjects the gallery held (one-to-many). The FPIR grows with the gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gallery_size: Option<u32>,
    /// The data it was measured on.
    pub data: String,
    /// What else a reader must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The two kinds of comparison of ISO/IEC 19795-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// A probe against every subject of a gallery (identification).
    OneToMany,
    /// A probe against one reference (verification).
    OneToOne,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::OneToMany => "one-to-many search",
            Comparison::OneToOne => "one-to-one comparison",
        })
    }
}

impl ModelCard {
    /// The thresholds for one-to-many search of the operating point called `name`, by the size of the gallery.
    ///
    /// # Errors
    /// [`ModelsError::NoOperatingPoint`] with the names there are, [`ModelsError::OtherComparison`] when it is for one-to-one
    /// comparison.
    pub fn one_to_many(&self, name: &str) -> Result<ThresholdLadder, ModelsError> {
        let rungs = self.operating_point(name, Comparison::OneToMany)?.into_iter().filter_map(|point| {
            Some(Rung { subjects: point.gallery_size?, threshold: Threshold::new(point.threshold)? })
        });
        ThresholdLadder::measured(rungs.collect()).ok_or_else(|| self.no_operating_point(name))
    }

    /// The threshold for one-to-one comparison of the operating point called `name`.
    ///
    /// # Errors
    /// As [`one_to_many`](Self::one_to_many).
    pub fn one_to_one(&self, name: &str) -> Result<Threshold, ModelsError> {
        let points = self.operating_point(name, Comparison::OneToOne)?;
        let threshold = points.first().and_then(|point| Threshold::new(point.threshold));
        threshold.ok_or_else(|| self.no_operating_point(name))
    }

    /// The operating point called `name`, once for each size of gallery.
    fn operating_point(&self, name: &str, kind: Comparison) -> Result<Vec<&OperatingPoint>, ModelsError> {
        let named: Vec<_> = self.operating_points.iter().filter(|point| point.name == name).collect();
        match named.first() {
            None => Err(self.no_operating_point(name)),
            Some(first) if first.kind != kind => Err(ModelsError::OtherComparison {
                model: self.id.clone(),
                name: name.to_owned(),
                kind: first.kind,
                wanted: kind,
            }),
            Some(_) => Ok(named),
        }
    }

    /// The error for an operating point that is not there: its name, or which it should be.
    pub fn no_operating_point(&self, name: &str) -> ModelsError {
        let mut names: Vec<&str> = Vec::new();
        for point in &self.operating_points {
            if !names.contains(&point.name.as_str()) {
                names.push(&point.name);
            }
        }
        ModelsError::NoOperatingPoint {
            model: self.id.clone(),
            name: name.to_owned(),
            known: if names.is_empty() { "none".to_owned() } else { names.join(", ") },
        }
    }
}

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Digest, String> {
        let refuse = || format!("{text:?} is not a SHA-256: 64 lower-case hexadecimal digits are expected");
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(refuse()),
        };
        let pairs = <&[u8; 64]>::try_from(text.as_bytes()).map_err(|_| refuse())?.as_chunks::<2>().0;
        let mut digest = [0; 32];
        for (byte, &[high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Digest(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_sha256_of_fips_180_and_reads_back() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Digest::try_from(digest.to_string()), Ok(digest));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let good = Digest::of(b"").to_string();
        for bad in ["", &good[1..], &good.to_uppercase(), &good.replace('e', "g"), &format!("{good}00")] {
            assert!(Digest::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
