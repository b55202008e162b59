//! The models: which file does what, where it came from, how it is fed and where its thresholds lie.
//!
//! `models/catalogue.toml` holds one card a model, readable by people and by this room: role, file with byte count and SHA-256,
//! licence, source package, publication, architecture, input, output and operating points. A [`ModelStore`] is such a
//! catalogue with its files, either inside the binary (feature `embedded-models`) or in a folder. It never hands out bytes
//! whose hash differs from the card's.
//!
//! Without the feature `embedded-extras` only what the default configuration computes with on ARM is in the binary; it finds the other
//! files where a package puts them ([`installed`]).
//!
//! A folder's catalogue may extend the models in the binary (`extends = "binary"`): that is how a model of one's own, brought in by
//! [`import`], stands beside them.
//!
//! A model may be there twice, in `f32` and quantised to int8. A store knows the engine it works for, and gives the variant that the
//! configuration asks for or, with `engine = "auto"`, the one that [`preferred`] holds for the processor.
//!
//! Preprocessing is data: [`InputSpec`] turns a picture into a model's input as the card says, and is the only code that does, so
//! that the golden vectors under `tests/golden/` pin what the product computes.

mod auto;
mod card;
mod catalogue;
pub mod import;
mod input;
mod installed;
mod rewrite;
mod store;

use std::path::PathBuf;

pub use auto::{Preference, preferred};
pub use card::{
    Comparison, Digest, Format, ModelCard, OperatingPoint, OutputSpec, PadSpec, Precision, Publication, Role, Source,
};
pub use catalogue::Catalogue;
pub use input::{Alignment, Colour, InputSpec, Layout};
pub use installed::installed;
pub use rewrite::with_operating_points;
pub use store::{LoadedModel, ModelStore, Verification};

/// What to do when an operating point is missing: another model's threshold means nothing here.
fn remedy(known: &str) -> &'static str {
    match known {
        "none" => {
            "Thresholds of other models mean nothing for it: find one with `doorward eval identify` on labelled photos, or \
             `doorward calibrate` on your gallery, and give it as a number (--threshold, or threshold in [recogniser])"
        }
        _ => "Name one of these, or give a threshold as a number (--threshold, or threshold in [recogniser])",
    }
}

/// What can be wrong with a catalogue, a model file or a request for one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// A network failed on a picture.
    #[error(transparent)]
    Network(#[from] crate::nn::NnError),
    /// The binary holds no models and no folder was given.
    #[error(
        "this build holds no models (feature embedded-models is off); give a folder with a catalogue.toml that stands alone, \
         without extends: --models DIR"
    )]
    NotEmbedded,
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that belongs to the program, though not inside it, could not be read.
    #[error(
        "this model is not inside the program, and its file cannot be read at {path}: {source}; install the package of doorward, build \
         with the feature embedded-extras, or give a folder of models: --models DIR"
    )]
    NotInstalled {
        /// Where it belongs.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The catalogue is not TOML, or not a catalogue.
    #[error("the model catalogue is not valid: {reason}")]
    Catalogue {
        /// What the parser said, with the place.
        reason: String,
    },
    /// A card has a missing, unknown or impossible key.
    #[error("model {model} in the catalogue: {key}: {reason}")]
    Card {
        /// The card's id, or its place in the file when it has none.
        model: String,
        /// The key, with the table it stands in.
        key: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// No card has this id.
    #[error("no model is called {id}; the catalogue holds: {known}")]
    Unknown {
        /// The id asked for.
        id: String,
        /// The ids there are.
        known: String,
    },
    /// No card is the default for this role.
    #[error("the catalogue has no default {role}; mark one of role \"{role}\" with default = true, or name a model")]
    NoDefault {
        /// The role asked for.
        role: Role,
    },
    /// The model asked for by its role has no variant in the numbers asked for.
    #[error(
        "the catalogue has no variant of {model} in {precision}; set engine = \"auto\" (--engine auto), or take a catalogue that has one"
    )]
    NoVariant {
        /// The model.
        model: String,
        /// The numbers asked for.
        precision: Precision,
    },
    /// The catalogue has no recogniser of this profile.
    #[error(
        "the catalogue has no recogniser with the profile {profile}; it has: {known}. Set models.dir (--models) to a folder that \
         has one; models/README.md tells how the one for sface is made"
    )]
    NoProfile {
        /// The profile asked for.
        profile: String,
        /// The profiles there are.
        known: String,
    },
    /// The card has no operating point of this name.
    #[error("model {model} has no operating point {name}; it has: {known}. {}", remedy(.known))]
    NoOperatingPoint {
        /// The model.
        model: String,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The card's operating point of this name is for another kind of comparison.
    #[error("operating point {name} of model {model} is for {kind}; this needs one for {wanted}")]
    OtherComparison {
        /// The model.
        model: String,
        /// The name asked for.
        name: String,
        /// What it is for.
        kind: Comparison,
        /// What it was asked for.
        wanted: Comparison,
    },
    /// A model file has another length than its card says.
    #[error(
        "model file {file} has {found} bytes, the catalogue says {expected}: it is truncated or another file; fetch it again"
    )]
    Length {
        /// The file, with its folder.
        file: String,
        /// Bytes by the catalogue.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// A model file has another hash than its card says.
    #[error(
        "model file {file} has SHA-256 {found}, the catalogue says {expected}: it was changed or is another file; fetch it again"
    )]
    Hash {
        /// The file, with its folder.
        file: String,
        /// The hash by the catalogue.
        expected: Digest,
        /// The hash of what was found.
        found: Digest,
    },
    /// A picture does not fit the model's input.
    #[error("a picture of {width}x{height} px ({bytes} bytes) does not fit the model's input: {reason}")]
    Picture {
        /// Width in px.
        width: usize,
        /// Height in px.
        height: usize,
        /// Bytes given.
        bytes: usize,
        /// What the model takes.
        reason: String,
    },
}
