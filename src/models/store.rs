//! A catalogue with its files, in the binary or in a folder.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "embedded-models")]
use super::installed;
use super::{Catalogue, Digest, ModelCard, ModelsError, Precision, Role, preferred};
use crate::config::EngineChoice;
use crate::domain::ModelId;
use crate::nn::{Engine, Graph, Isa, NnError};

/// The committed models as part of the binary.
#[cfg(feature = "embedded-models")]
mod embedded {
    pub(super) const CATALOGUE: &str = include_str!("../../models/catalogue.toml");

    macro_rules! files {
        ($($name:literal),+ $(,)?) => { &[$(($name, include_bytes!(concat!("../../models/", $name)))),+] };
    }

    /// What the default configuration computes with on ARM.
    pub(super) const FILES: &[(&str, &[u8])] = files!["yunet-2023mar-int8.onnx", "mobilefacenet-arcface-192-int8.onnx"];

    /// The others, which packages install as files.
    #[cfg(feature = "embedded-extras")]
    pub(super) const EXTRAS: &[(&str, &[u8])] = files![
        "yunet-2023mar.onnx",
        "seeta-frontal-1.0.bin",
        "landmarks-68.onnx",
        "mobilefacenet-arcface-192.onnx",
        "fr-liveness.onnx",
    ];
    #[cfg(not(feature = "embedded-extras"))]
    pub(super) const EXTRAS: &[(&str, &[u8])] = &[];
}

/// A valid catalogue, the place of its files, and the engine its models are meant for.
#[derive(Debug, Clone)]
pub struct ModelStore {
    catalogue: Catalogue,
    place: Place,
    engine: Engine,
    choice: EngineChoice,
}

#[derive(Debug, Clone)]
enum Place {
    #[cfg(feature = "embedded-models")]
    Binary,
    Folder(PathBuf),
}

/// A model whose bytes are what its card says.
#[derive(Clone)]
pub struct LoadedModel {
    /// The model's card.
    pub card: ModelCard,
    /// The file's bytes.
    pub bytes: Cow<'static, [u8]>,
    /// The identity that travels with everything the model makes.
    pub id: ModelId,
    /// How its graphs are computed.
    pub engine: Engine,
}

impl LoadedModel {
    /// The model's graph for inputs of `shape`, computed as the store's engine says.
    ///
    /// # Errors
    /// As [`Graph::load_with`].
    pub fn graph(&self, shape: &[usize]) -> Result<Graph, NnError> {
        match self.card.input.pixel_table() {
            Some(pixels) => Graph::load_for_pixels(&self.card.id, &self.bytes, shape, self.engine, pixels),
            None => Graph::load_with(&self.card.id, &self.bytes, shape, self.engine),
        }
    }
}

impl std::fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoadedModel {} ({} bytes)", self.card.id, self.bytes.len())
    }
}

/// The outcome of checking one model file.
#[derive(Debug)]
pub struct Verification {
    /// The model's id.
    pub id: String,
    /// The file, as the catalogue names it.
    pub file: String,
    /// Whether length and hash are the card's.
    pub outcome: Result<(), ModelsError>,
}

impl ModelStore {
    /// The models inside this binary, for the default engine: the best kernels of this processor, one thread,
    /// [`EngineChoice::Auto`].
    ///
    /// # Errors
    /// [`ModelsError::NotEmbedded`] when it was built without the feature `embedded-models`.
    pub fn embedded() -> Result<ModelStore, ModelsError> {
        #[cfg(feature = "embedded-models")]
        return Ok(ModelStore::new(Catalogue::parse(embedded::CATALOGUE)?, Place::Binary));
        #[cfg(not(feature = "embedded-models"))]
        Err(ModelsError::NotEmbedded)
    }

    /// The models of a folder that holds a `catalogue.toml`, for the default engine; those in the binary too if the catalogue extends
    /// them.
    ///
    /// The model files are read and checked when they are loaded, not here.
    ///
    /// # Errors
    /// [`ModelsError::Read`] when there is no catalogue, or what [`Catalogue::parse`] finds.
    pub fn open(folder: &Path) -> Result<ModelStore, ModelsError> {
        let path = folder.join("catalogue.toml");
        let text = fs::read_to_string(&path).map_err(|source| ModelsError::Read { path, source })?;
        Ok(ModelStore::new(ModelStore::parse(&text)?, Place::Folder(folder.to_owned())))
    }

    /// Reads the text of a folder's catalogue, together with the models in the binary if it extends them.
    pub(super) fn parse(text: &str) -> Result<Catalogue, ModelsError> {
        Catalogue::parse_over(text, || Ok(ModelStore::embedded()?.catalogue))
    }

    fn new(catalogue: Catalogue, place: Place) -> ModelStore {
        ModelStore { catalogue, place, engine: Engine::default(), choice: EngineChoice::default() }
    }

    /// The same models for another engine: graphs are loaded for `engine`, and where no model is named the variant that
    /// `choice` asks for is taken.
    #[must_use]
    pub fn computed_by(self, engine: Engine, choice: EngineChoice) -> ModelStore {
        ModelStore { engine, choice, ..self }
    }

    /// How graphs are computed.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Which variant of a model was asked for.
    pub fn choice(&self) -> EngineChoice {
        self.choice
    }

    /// The catalogue.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The card that is taken for `role` when no model is named: the catalogue's default, in the variant for this engine.
    ///
    /// # Errors
    /// [`ModelsError::NoDefault`], and as [`variant_of`](Self::variant_of).
    pub fn default_for(&self, role: Role) -> Result<&ModelCard, ModelsError> {
        self.variant(self.catalogue.default_for(role)?)
    }

    /// The variant of the model called `id` for this engine. `auto` falls back to the variant there is.
    ///
    /// # Errors
    /// [`ModelsError::Unknown`]; [`ModelsError::NoVariant`] when int8 or f32 was asked for and there is none.
    pub fn variant_of(&self, id: &str) -> Result<&ModelCard, ModelsError> {
        self.variant(self.catalogue.get(id)?)
    }

    /// The recogniser of the profile `name`, in the variant for this engine. `auto` falls back to the variant there is.
    ///
    /// # Errors
    /// [`ModelsError::NoProfile`], and [`ModelsError::NoVariant`] as [`variant_of`](Self::variant_of).
    pub fn profile(&self, name: &str) -> Result<&ModelCard, ModelsError> {
        self.variant(self.catalogue.profile(name)?)
    }

    fn variant<'a>(&'a self, card: &'a ModelCard) -> Result<&'a ModelCard, ModelsError> {
        let Some(asked) = Precision::asked(self.choice) else {
            // By the processor, not by the kernels in use: DOORWARD_ISA is for measuring, it must not change the model.
            return Ok(self.catalogue.variant(card, preferred(Isa::best()).precision).unwrap_or(card));
        };
        let none = || ModelsError::NoVariant { model: card.id.clone(), precision: asked };
        self.catalogue.variant(card, asked).ok_or_else(none)
    }

    /// Reads the model called `id` and checks its length and SHA-256.
    ///
    /// # Errors
    /// [`ModelsError::Unknown`], [`ModelsError::Read`], [`ModelsError::Length`] or [`ModelsError::Hash`].
    pub fn load(&self, id: &str) -> Result<LoadedModel, ModelsError> {
        let card = self.catalogue.get(id)?;
        let bytes = self.read(card)?;
        let found = Digest::of(&bytes);
        if found != card.sha256 {
            return Err(ModelsError::Hash { file: self.describe(card), expected: card.sha256, found });
        }
        Ok(LoadedModel { card: card.clone(), bytes, id: ModelId::new(&card.id, card.sha256.0), engine: self.engine })
    }

    /// Checks every file of the catalogue, in its order.
    pub fn verify(&self) -> Vec<Verification> {
        let check = |card: &ModelCard| Verification {
            id: card.id.clone(),
            file: card.file.clone(),
            outcome: self.load(&card.id).map(drop),
        };
        self.catalogue.models().iter().map(check).collect()
    }

    fn read(&self, card: &ModelCard) -> Result<Cow<'static, [u8]>, ModelsError> {
        let length = |found| match found == card.bytes {
            true => Ok(()),
            false => Err(ModelsError::Length { file: self.describe(card), expected: card.bytes, found }),
        };
        match self.place_of(card) {
            #[cfg(feature = "embedded-models")]
            Place::Binary => {
                match embedded::FILES.iter().chain(embedded::EXTRAS).find(|(name, _)| *name == card.file) {
                    Some((_, bytes)) => length(bytes.len() as u64).map(|()| Cow::Borrowed(*bytes)),
                    None => {
                        let path = installed("models").join(&card.file);
                        read_file(&path, length).map_err(|error| match error {
                            ModelsError::Read { path, source } => ModelsError::NotInstalled { path, source },
                            other => other,
                        })
                    }
                }
            }
            Place::Folder(folder) => read_file(&folder.join(&card.file), length),
        }
    }

    /// Where a card's file is: what a folder's catalogue only extends lies in the binary.
    #[cfg(feature = "embedded-models")]
    fn place_of(&self, card: &ModelCard) -> &Place {
        if self.catalogue.is_own(&card.id) { &self.place } else { &Place::Binary }
    }

    /// Where a card's file is.
    #[cfg(not(feature = "embedded-models"))]
    fn place_of(&self, _card: &ModelCard) -> &Place {
        &self.place
    }

    /// The file as an error should name it.
    fn describe(&self, card: &ModelCard) -> String {
        match self.place_of(card) {
            #[cfg(feature = "embedded-models")]
            Place::Binary if embedded::FILES.iter().chain(embedded::EXTRAS).all(|(name, _)| *name != card.file) => {
                installed("models").join(&card.file).display().to_string()
            }
            #[cfg(feature = "embedded-models")]
            Place::Binary => format!("{} (in the binary)", card.file),
            Place::Folder(folder) => folder.join(&card.file).display().to_string(),
        }
    }
}

/// Reads a file whose length is as `length` wants it.
fn read_file(path: &Path, length: impl Fn(u64) -> Result<(), ModelsError>) -> Result<Cow<'static, [u8]>, ModelsError> {
    let refuse = |source| ModelsError::Read { path: path.to_owned(), source };
    // The length first, so that a huge file of the same name is not read.
    length(fs::metadata(path).map_err(refuse)?.len())?;
    fs::read(path).map(Cow::Owned).map_err(refuse)
}

#[cfg(all(test, feature = "embedded-models", not(feature = "embedded-extras")))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_installed_is_named_with_its_place_and_the_remedy() {
        let store = ModelStore::embedded().unwrap();
        assert!(store.load("yunet-2023mar-int8").is_ok());
        let error = store.load("yunet-2023mar").unwrap_err();
        assert!(matches!(error, ModelsError::NotInstalled { .. }), "{error}");
        let message = error.to_string();
        for part in ["share/doorward/models/yunet-2023mar.onnx", "install the package", "--models DIR"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
