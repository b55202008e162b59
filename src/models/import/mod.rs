//! Bringing a recogniser of one's own: from an ONNX file and a few words about it to a catalogue entry.
//!
//! Whoever has a model knows its licence and how it was trained ([`Draft`]); all else is found out: [`Examination::of`] reads the file's
//! signature, checks that it takes a crop and puts out an embedding, tries it on bundled faces in every usual preprocessing
//! ([`Trial`]) and measures its speed. [`ModelFolder`] then writes file and entry into a folder, both or none.

mod draft;
mod error;
mod faces;
mod folder;
mod modelhub;
mod preprocessing;
mod separation;
mod shape;
mod trial;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::{
    Digest, Format, LoadedModel, ModelCard, ModelsError, OutputSpec, Precision, Publication, Role, Source, catalogue,
};
use crate::domain::ModelId;
use crate::nn::{Engine, Graph, Signature, Tensor};

pub use draft::{Draft, DraftPublication, Mean};
pub use error::ImportError;
pub use folder::ModelFolder;
pub use preprocessing::{Preprocessing, Stated};
pub use separation::Separation;
pub use trial::{Trial, Tried};

/// The longest model file that is read, bytes: what the engine takes at most.
pub const MAX_FILE_BYTES: u64 = Graph::MAX_FILE_BYTES as u64;

/// The longest card that is read, bytes.
pub const MAX_CARD_BYTES: u64 = 1 << 20;

/// What is said of a thing that nobody told us.
const NOT_RECORDED: &str = "Not recorded";

/// A model file that was tried and found to be a recogniser.
#[derive(Debug)]
pub struct Examination {
    /// Its entry in the catalogue.
    pub card: ModelCard,
    /// Its file's bytes.
    pub bytes: Vec<u8>,
    /// What the file says of itself.
    pub signature: Signature,
    /// How the bundled faces lie apart.
    pub trial: Trial,
    /// Median time of one inference.
    pub inference: Duration,
}

impl Examination {
    /// Looks at the file called `file` (a name for messages and for the card) whose bytes are `bytes`, of which `draft` says the rest.
    ///
    /// `progress` hears how many of how many inferences are done.
    ///
    /// # Errors
    /// [`ImportError`]: when the draft lacks something, the file is no model that can be run, or it is no recogniser of 112x112 crops.
    pub fn of(
        file: &str,
        bytes: Vec<u8>,
        draft: &Draft,
        engine: Engine,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Examination, ImportError> {
        let stated = draft.stated()?;
        let id = required(
            &draft.id,
            "id",
            "a name of lower-case letters, digits, - and ., such as id = \"my-arcface\" (--id)",
        )?;
        let licence = required(
            &draft.licence,
            "licence",
            "under which terms the weights may be used, an SPDX expression such as licence = \"Apache-2.0\" (--licence)",
        )?;
        let signature = Signature::read(file, &bytes).map_err(ModelsError::from)?;
        let layout = shape::layout(&signature.input, draft.layout)?;
        let output = shape::output(&signature.outputs, draft.output.as_deref())?;
        let input = shape::input(layout, draft.alignment)?;

        let mut graph = Graph::load_with(file, &bytes, &input.shape, engine).map_err(ModelsError::from)?;
        let probe = graph.run(&Tensor::zeros(&input.shape)).map_err(|error| ImportError::Input {
            input: signature.input.to_string(),
            reason: format!("on a crop of 112x112 px, {error}; was it made for pictures of another size?"),
        })?;
        let dimension = shape::dimension(&signature.outputs[output].name, probe[output].shape())?;
        let sha256 = Digest::of(&bytes);
        let precision = if signature.quantised { Precision::Int8 } else { Precision::F32 };
        let publication = &draft.publication;
        let recorded = |text: &Option<String>| text.clone().unwrap_or_else(|| NOT_RECORDED.to_owned());
        let mut card = ModelCard {
            title: draft.title.clone().unwrap_or_else(|| id.clone()),
            file: format!("{id}-{}.onnx", &sha256.to_string()[..8]),
            id,
            role: Role::Recogniser,
            profile: None,
            default: draft.default,
            format: Format::Onnx,
            precision,
            quantised_from: draft.quantised_from.clone(),
            bytes: bytes.len() as u64,
            sha256,
            licence,
            licence_file: None,
            architecture: match &draft.architecture {
                Some(text) => text.clone(),
                None => format!("{} operators, opset {}", signature.nodes, signature.opset),
            },
            source: Source {
                client: Source::FILE.to_owned(),
                package: recorded(&draft.origin),
                version: NOT_RECORDED.to_owned(),
                sha256,
                file: file.to_owned(),
                file_sha256: sha256,
                changes: "none".to_owned(),
            },
            publication: Publication {
                title: recorded(&publication.title),
                authors: recorded(&publication.authors),
                venue: recorded(&publication.venue),
                year: publication.year,
                training_loss: recorded(&publication.training_loss),
                training_data: recorded(&publication.training_data),
                note: publication.note.clone(),
            },
            input,
            output: OutputSpec {
                names: vec![signature.outputs[output].name.clone()],
                dimension,
                meaning: "The face's embedding; two are compared by their cosine".to_owned(),
            },
            pad: None,
            operating_points: draft.operating_points.clone(),
        };
        // Before the trial, which may take minutes.
        catalogue::check(&card)?;
        let trial = Trial::hold(&mut graph, output, &card.input, &stated, progress)?;
        let taken = trial.taken();
        match taken.separation {
            None => return Err(ImportError::NoDirection { preprocessing: taken.preprocessing }),
            Some(separation) if separation.constant => {
                return Err(ImportError::Constant { preprocessing: taken.preprocessing });
            }
            Some(_) => card.input = taken.preprocessing.over(&card.input),
        }
        let inference = time(&card, &bytes, engine)?;
        Ok(Examination { card, bytes, signature, trial, inference })
    }
}

fn required(value: &Option<String>, key: &'static str, what: &'static str) -> Result<String, ImportError> {
    let value = value.as_deref().map(str::trim).filter(|value| !value.is_empty());
    value.map(str::to_owned).ok_or(ImportError::Missing { key, what })
}

/// The median time of one inference, as the product runs it.
fn time(card: &ModelCard, bytes: &[u8], engine: Engine) -> Result<Duration, ImportError> {
    const LEAST_RUNS: usize = 5;
    const MOST_RUNS: usize = 50;
    const ENOUGH: Duration = Duration::from_millis(500);

    let id = ModelId::new(&card.id, card.sha256.0);
    let model = LoadedModel { card: card.clone(), bytes: Cow::Owned(bytes.to_vec()), id, engine };
    let mut graph = model.graph(&card.input.shape).map_err(ModelsError::from)?;
    let (face, side) = (&faces::faces()?[0].rgb, (card.input.width(), card.input.height()));
    let (mut times, begun) = (Vec::new(), Instant::now());
    // The first run fills caches and buffers.
    card.input.infer(&mut graph, face, side, None)?;
    while times.len() < LEAST_RUNS || (times.len() < MOST_RUNS && begun.elapsed() < ENOUGH) {
        let start = Instant::now();
        card.input.infer(&mut graph, face, side, None)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
