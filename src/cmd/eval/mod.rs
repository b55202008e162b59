//! `doorward eval`: recognition measured on photos whose people are known.

mod detect;
mod enrolment;
mod identify;
mod operating_points;
mod pad;
mod record;
mod verify;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Exit, Failure,
    engine::{Engine, EngineArgs},
    survey::survey,
};
use crate::{
    domain::FaceChoice,
    eval::{self, AcquisitionFailure, Cache, EvalError, Look, Panel, Rate, Samples},
};

/// Measure recognition on labelled photos: error rates with their intervals, at the thresholds that targets ask for
#[derive(Debug, Args)]
pub(super) struct Eval {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Verify(verify::Verify),
    Identify(identify::Identify),
    Detect(detect::Detect),
    Enrolment(enrolment::Enrolment),
    OperatingPoints(operating_points::OperatingPoints),
    Pad(pad::Pad),
}

impl Eval {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        match self.what {
            What::Verify(c) => c.run(models),
            What::Identify(c) => c.run(models),
            What::Detect(c) => c.run(models),
            What::Enrolment(c) => c.run(models),
            What::OperatingPoints(c) => c.run(models),
            What::Pad(c) => c.run(models),
        }
    }
}

/// How photos are looked at, and how the result is told.
#[derive(Debug, Args)]
struct SurveyArgs {
    /// Folder that the paths in the lists are relative to
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,

    /// Folder for what was found in photos, so that a second run takes seconds [default: in the user's cache folder]
    ///
    /// It holds embeddings, from which faces can be made again: only its owner can read it; delete it when you are done.
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,

    /// Keep nothing of the photos, and look at all of them anew
    #[arg(long)]
    no_cache: bool,

    /// One JSON object
    #[arg(long)]
    json: bool,

    /// Draw the curves and distributions into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,
}

/// Which face is looked at.
#[derive(Debug, Args)]
struct FaceArgs {
    /// Which face is meant where a photo shows several
    #[arg(long, value_name = "centre|largest", default_value_t = FaceChoice::Centre)]
    face: FaceChoice,
}

impl SurveyArgs {
    /// What is measured. A threshold on the command line would not change it: rates are told for all of them.
    fn engine(&self, models: Option<&Path>) -> Result<Engine, Failure> {
        match self.engine.asked_for_a_threshold() {
            Some(option) => {
                Err(Failure::usage(format!("{option}: eval tells the rates of every threshold; leave it out")))
            }
            None => self.engine.engine(models),
        }
    }

    /// The samples of `pictures`, and who computed the embeddings.
    fn samples(&self, engine: &Engine, face: FaceChoice, pictures: Vec<PathBuf>) -> Result<Surveyed, Failure> {
        let stages = engine.stages(face)?;
        // Built here too, before any picture is looked at: a model that cannot be used is told at once.
        let computed_by = engine.build_embedder()?.engine_name();
        let records = self.survey(engine, &stages.method()?, &pictures, "recognising", &|| stages.look())?;
        let model = engine.model_id()?;
        let samples = records.into_iter().map(|record| record.of_model(&model)).collect();
        Ok(Surveyed {
            model: engine.recogniser()?.id.clone(),
            engine: computed_by,
            samples: Samples::new(pictures, samples)?,
        })
    }

    /// Looks at the pictures over all cores, with a progress bar, until a signal asks to stop.
    fn survey<T: Serialize + DeserializeOwned + Send>(
        &self,
        engine: &Engine,
        method: &str,
        pictures: &[PathBuf],
        doing: &'static str,
        make_look: &(dyn Fn() -> Result<Look<T>, EvalError> + Sync),
    ) -> Result<Vec<T>, Failure> {
        self.check_plot()?;
        let mut cache = self.cache_folder().map(|folder| Cache::open(&folder, method)).transpose()?;
        survey(engine, &self.root, cache.as_mut(), pictures, doing, make_look)
    }

    fn cache_folder(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        let folder = self.cache.clone().or_else(eval::default_folder);
        if folder.is_none() {
            log::warn!("no cache folder for this user: nothing is kept; name one with --cache");
        }
        folder
    }

    /// A plot that cannot be written is told before the work, not after it.
    fn check_plot(&self) -> Result<(), Failure> {
        let Some(path) = &self.plot else { return Ok(()) };
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(Failure::usage(format!(
                "--plot {}: cannot be written: there is no folder {}",
                path.display(),
                folder.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Draws the plot, if one is asked for.
    fn plot(&self, panels: impl FnOnce() -> Vec<Panel>) -> Result<(), Failure> {
        let Some(path) = &self.plot else { return Ok(()) };
        let svg = eval::draw(&panels())?;
        fs::write(path, svg).map_err(|e| Failure::usage(format!("--plot {}: cannot be written: {e}", path.display())))
    }
}

/// Photos, recognised.
struct Surveyed {
    /// The recogniser's id.
    model: String,
    /// Who computed the embeddings, and in which numbers: `tract int8`.
    engine: &'static str,
    samples: Samples,
}

/// The failures by their reason, and the first few by name.
fn describe_failures(what: &str, rate: Rate, failures: &[(&Path, &AcquisitionFailure)]) -> String {
    const NAMED: usize = 5;
    let mut text = format!("{what:<24} {rate}\n");
    for (picture, failure) in failures.iter().take(NAMED) {
        text += &format!("  {}: {failure}\n", picture.display());
    }
    if failures.len() > NAMED {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, failure) in failures {
            *reasons.entry(failure.kind()).or_default() += 1;
        }
        let reasons: Vec<String> = reasons.into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        text += &format!("  ... in all {}\n", reasons.join(", "));
    }
    text
}
