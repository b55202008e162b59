//! From an aligned crop to an embedding: a point on the unit hypersphere, bound to the model that made it.

mod views;

pub use views::in_views;

use crate::domain::{Embedding, EmbeddingError, FaceCrop, ModelId};
use crate::models::{LoadedModel, ModelStore, ModelsError, Role};
use crate::nn::{Graph, NnError, Profile};

/// Turns faces into embeddings.
pub trait FaceEmbedder: Send {
    /// The model, as every embedding carries it.
    fn model(&self) -> &ModelId;

    /// The embedding of a crop.
    ///
    /// # Errors
    /// [`EmbedError`] when the network fails or what it gives is no direction.
    fn embed(&mut self, crop: &FaceCrop) -> Result<Embedding, EmbedError>;

    /// Who computes it and in which numbers, for reports: `tract int8`.
    fn engine_name(&self) -> &'static str;

    /// As [`embed`](Self::embed), and adds the time of every operator of the network to `profile`. A recogniser that is no network adds
    /// nothing.
    ///
    /// # Errors
    /// As `embed`.
    fn embed_profiled(&mut self, crop: &FaceCrop, profile: &mut Profile) -> Result<Embedding, EmbedError> {
        let _ = profile;
        self.embed(crop)
    }
}

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The model is missing or damaged.
    #[error("the recogniser's model cannot be used: {0}")]
    Models(#[from] ModelsError),
    /// The network cannot be loaded or run.
    #[error("the recogniser failed: {0}")]
    Network(#[from] NnError),
    /// The model does something else.
    #[error("model {model} is a {role}, not a recogniser; `doorward models list` shows the recognisers")]
    Role {
        /// The model.
        model: String,
        /// What it is.
        role: Role,
    },
    /// The model takes other pictures.
    #[error("model {model} takes input {shape:?}; a recogniser must take one RGB or BGR crop of 112x112 px")]
    Input {
        /// The model.
        model: String,
        /// The shape by its card.
        shape: [usize; 4],
    },
    /// The card names an output that the network does not have.
    #[error("model {model} has no output {output}, which its card names: card and file do not belong together")]
    Output {
        /// The model.
        model: String,
        /// The output by its card.
        output: String,
    },
    /// The network gives another number of values than its card says.
    #[error("model {model} gave {found} values, its card says {expected}: card and file do not belong together")]
    Dimension {
        /// The model.
        model: String,
        /// Values by the card.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// What the network gave has no direction.
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
}

/// Loads the recogniser called `model`, or the default one in the variant for the store's engine.
///
/// # Errors
/// When it is missing, damaged, no recogniser, or takes no 112x112 crop.
pub fn build(model: Option<&str>, models: &ModelStore) -> Result<Box<dyn FaceEmbedder>, EmbedError> {
    let id = match model {
        Some(id) => id,
        None => &models.default_for(Role::Recogniser)?.id,
    };
    Ok(Box::new(Recogniser::new(models.load(id)?)?))
}

/// A recogniser on tract.
struct Recogniser {
    model: LoadedModel,
    graph: Graph,
    /// Which of the graph's outputs is the embedding.
    output: usize,
}

impl Recogniser {
    fn new(model: LoadedModel) -> Result<Recogniser, EmbedError> {
        let card = &model.card;
        if card.role != Role::Recogniser {
            return Err(EmbedError::Role { model: card.id.clone(), role: card.role });
        }
        let input = &card.input;
        if (input.width(), input.height(), input.channels()) != (FaceCrop::SIDE_PX, FaceCrop::SIDE_PX, 3) {
            return Err(EmbedError::Input { model: card.id.clone(), shape: input.shape });
        }
        let graph = model.graph(&input.shape)?;
        let output = match card.output.names.first() {
            None => 0,
            Some(name) => graph
                .output_index(name)
                .ok_or_else(|| EmbedError::Output { model: card.id.clone(), output: name.clone() })?,
        };
        Ok(Recogniser { model, graph, output })
    }
}

impl FaceEmbedder for Recogniser {
    fn model(&self) -> &ModelId {
        &self.model.id
    }

    fn engine_name(&self) -> &'static str {
        self.graph.engine_name()
    }

    fn embed(&mut self, crop: &FaceCrop) -> Result<Embedding, EmbedError> {
        self.embedding(crop, None)
    }

    fn embed_profiled(&mut self, crop: &FaceCrop, profile: &mut Profile) -> Result<Embedding, EmbedError> {
        self.embedding(crop, Some(profile))
    }
}

impl Recogniser {
    fn embedding(&mut self, crop: &FaceCrop, profile: Option<&mut Profile>) -> Result<Embedding, EmbedError> {
        let card = &self.model.card;
        let size = (FaceCrop::SIDE_PX, FaceCrop::SIDE_PX);
        let outputs = card.input.infer(&mut self.graph, crop.as_rgb(), size, profile)?;
        let values = outputs.get(self.output).map_or(&[][..], |output| output.data());
        if values.len() != card.output.dimension {
            return Err(EmbedError::Dimension {
                model: card.id.clone(),
                expected: card.output.dimension,
                found: values.len(),
            });
        }
        Ok(Embedding::new(self.model.id.clone(), values)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crop(seed: usize) -> FaceCrop {
        FaceCrop::from_rgb((0..FaceCrop::BYTES).map(|i| (i * seed % 251) as u8).collect()).unwrap()
    }

    #[test]
    fn the_default_recogniser_gives_its_cards_dimension_and_the_same_each_time() {
        let models = ModelStore::open("models".as_ref()).unwrap();
        let card = models.default_for(Role::Recogniser).unwrap();
        let mut embedder = build(None, &models).unwrap();
        assert_eq!(embedder.model().name(), card.id);
        let first = embedder.embed(&crop(7)).unwrap();
        assert_eq!(first.values().len(), card.output.dimension);
        let other = embedder.embed(&crop(13)).unwrap();
        assert!(first.similarity(&other).unwrap().value() < 0.999);
        assert_eq!(embedder.embed(&crop(7)).unwrap(), first);
    }

    #[test]
    fn what_is_no_recogniser_is_refused_by_name() {
        let models = ModelStore::open("models".as_ref()).unwrap();
        let error = build(Some("landmarks-68"), &models).err().unwrap();
        assert!(matches!(error, EmbedError::Role { role: Role::Landmarks, .. }), "{error}");
        assert!(build(Some("no-such-model"), &models).err().unwrap().to_string().contains("no-such-model"));
    }

    #[test]
    fn a_card_that_does_not_fit_is_refused() {
        let models = ModelStore::open("models".as_ref()).unwrap();
        let good = models.load("mobilefacenet-arcface-192").unwrap();

        let mut larger = good.clone();
        larger.card.input.shape = [1, 3, 128, 128];
        let error = Recogniser::new(larger).err().unwrap();
        assert!(matches!(error, EmbedError::Input { shape: [1, 3, 128, 128], .. }), "{error}");

        let mut renamed = good.clone();
        renamed.card.output.names = vec!["fc1".to_owned()];
        let error = Recogniser::new(renamed).err().unwrap();
        assert!(matches!(&error, EmbedError::Output { output, .. } if output == "fc1"), "{error}");

        let mut longer = good;
        longer.card.output.dimension = 512;
        let error = Recogniser::new(longer).unwrap().embed(&crop(7)).unwrap_err();
        assert!(matches!(error, EmbedError::Dimension { expected: 512, found: 192, .. }), "{error}");
    }
}
