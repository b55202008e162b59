use std::{env::consts, path::Path};

use clap::Args;
use image::RgbImage;
use serde::Serialize;

use super::{
    Exit, Failure,
    engine::{Engine, EngineArgs},
    models::Check,
    place::{GalleryPlace, credentials_dir},
    printer::Printer,
};
use crate::{
    domain::FaceCrop,
    gallery::{Gallery, GalleryError},
    models::preferred,
    nn::Isa,
};

/// Look whether everything is ready: processor, engine, models, gallery
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward doctor --config /etc/doorward/doorward.toml

Exit code 0 when all is well, else 3.")]
pub(super) struct Doctor {
    #[command(flatten)]
    place: GalleryPlace,

    /// One JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct Findings {
    ok: bool,
    version: &'static str,
    processor: Processor,
    engine: EngineFound,
    detector: Network,
    recogniser: Network,
    models: Vec<Check>,
    /// Null when none is named and nobody was ever enrolled.
    gallery: Option<GalleryFound>,
    /// What is not as good as it could be, and no fault.
    remarks: Vec<String>,
}

/// What the processor is, and the families of kernels it can run, the slowest first.
#[derive(Serialize)]
struct Processor {
    architecture: &'static str,
    families: Vec<&'static str>,
}

/// What was asked for, what `auto` takes here and why, and what computes.
#[derive(Serialize)]
struct EngineFound {
    choice: String,
    auto: String,
    reason: &'static str,
    isa: &'static str,
    threads: usize,
}

/// A network that was tried on an empty picture.
#[derive(Serialize)]
struct Network {
    model: Option<String>,
    /// Who computes it and in which numbers, where it is a network of ours.
    engine: Option<&'static str>,
    error: Option<String>,
}

#[derive(Serialize)]
struct GalleryFound {
    dir: String,
    enrolled: usize,
    /// Those with a template of the recogniser; the others cannot be recognised.
    recognisable: usize,
    /// The threshold for a gallery of this size, and where it comes from.
    threshold: String,
    remedy: Option<String>,
    error: Option<String>,
}

impl Doctor {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        // A configuration that contradicts itself is no finding but an error, as everywhere.
        engine.demands()?;
        let (computed, auto) = (engine.store.engine(), preferred(Isa::best()));
        let mut findings = Findings {
            ok: false,
            version: env!("CARGO_PKG_VERSION"),
            processor: Processor { architecture: consts::ARCH, families: Isa::available().map(Isa::name).collect() },
            engine: EngineFound {
                choice: engine.store.choice().to_string(),
                auto: auto.precision.to_string(),
                reason: auto.reason,
                isa: computed.isa.name(),
                threads: computed.threads,
            },
            detector: Network::of(try_detector(&engine)),
            recogniser: Network::of(try_recogniser(&engine)),
            models: engine.store.verify().into_iter().map(Check::of).collect(),
            gallery: self.look_at_gallery(&engine)?,
            remarks: engine.remark_on_kernels().into_iter().collect(),
        };
        findings.ok = findings.faults().is_empty();
        Printer::new(self.json).result(&findings, || describe(&findings))?;
        Ok(if findings.ok { Exit::Done } else { Exit::Failed })
    }

    fn look_at_gallery(&self, engine: &Engine) -> Result<Option<GalleryFound>, Failure> {
        let named = self.place.gallery.is_some() || engine.gallery_dir.is_some();
        let dir = match self.place.dir(engine.gallery_dir.clone()) {
            Ok(dir) => dir,
            Err(_) if !named => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let model = engine.model_id()?;
        let opened = Gallery::open(&dir, credentials_dir().as_deref()).and_then(|gallery| gallery.snapshot(&model));
        let mut found = GalleryFound {
            dir: dir.display().to_string(),
            enrolled: 0,
            recognisable: 0,
            threshold: String::new(),
            remedy: None,
            error: None,
        };
        let point = engine.one_to_many()?;
        match opened {
            Err(GalleryError::NotFound { .. }) if !named => return Ok(None),
            Err(error) => found.error = Some(error.to_string()),
            Ok(snapshot) => {
                found.recognisable = snapshot.subjects().len();
                found.enrolled = found.recognisable + snapshot.without_model();
                found.threshold = point.describe(found.recognisable);
                point.warn_if_beyond(found.recognisable);
                if snapshot.without_model() > 0 {
                    found.remedy = Some(engine.remedy_for_other_models()?);
                }
            }
        }
        Ok(Some(found))
    }
}

impl Network {
    /// The model's name and engine, or why there is none.
    fn of(tried: Result<(String, Option<&'static str>), Failure>) -> Self {
        match tried {
            Ok((model, engine)) => Self { model: Some(model), engine, error: None },
            Err(failure) => Self { model: None, engine: None, error: Some(failure.to_string()) },
        }
    }
}

impl Findings {
    /// What is not as it should be, a line each.
    fn faults(&self) -> Vec<&str> {
        let models = self.models.iter().map(|check| &check.error);
        let others = [&self.detector.error, &self.recogniser.error];
        let gallery = self.gallery.iter().map(|gallery| &gallery.error);
        others.into_iter().chain(models).chain(gallery).filter_map(Option::as_deref).collect()
    }
}

/// Runs the detector on an empty picture.
fn try_detector(engine: &Engine) -> Result<(String, Option<&'static str>), Failure> {
    let mut detector = engine.build_detector()?;
    detector.detect(&RgbImage::new(640, 480))?;
    Ok((detector.name().to_owned(), detector.engine_name()))
}

/// Runs the recogniser on an even grey.
fn try_recogniser(engine: &Engine) -> Result<(String, Option<&'static str>), Failure> {
    let mut embedder = engine.build_embedder()?;
    let crop = FaceCrop::from_rgb(vec![128; FaceCrop::BYTES]).expect("a crop has this many bytes");
    embedder.embed(&crop)?;
    Ok((embedder.model().name().to_owned(), Some(embedder.engine_name())))
}

fn describe(found: &Findings) -> String {
    let Findings { processor, engine, .. } = found;
    let plural = if engine.threads == 1 { "" } else { "s" };
    let mut text = format!("doorward    {}\n", found.version);
    text += &format!("processor   {}, can run {}\n", processor.architecture, processor.families.join(", "));
    text += &format!("kernels     {}, {} thread{plural}\n", engine.isa, engine.threads);
    text += &format!("engine      {}; auto takes {} here: {}\n", engine.choice, engine.auto, engine.reason);
    for (part, network) in [("detector", &found.detector), ("recogniser", &found.recogniser)] {
        let engine = network.engine.map(|engine| format!(" ({engine})")).unwrap_or_default();
        text += &format!("{part:<11} {}{engine}\n", network.model.as_deref().unwrap_or("FAILED"));
    }
    let whole = found.models.iter().filter(|check| check.ok).count();
    text += &format!("models      {whole} of {} are what the catalogue says\n", found.models.len());
    text += &match &found.gallery {
        None => "gallery     nobody is enrolled yet\n".to_owned(),
        Some(gallery) if gallery.error.is_some() => "gallery     FAILED\n".to_owned(),
        Some(gallery) => {
            let remedy =
                gallery.remedy.as_ref().map(|remedy| format!("; as for the others, {remedy}")).unwrap_or_default();
            let GalleryFound { dir, enrolled, recognisable, threshold, .. } = gallery;
            format!(
                "gallery     {dir}: {enrolled} enrolled, {recognisable} can be recognised{remedy}\nthreshold   {threshold}\n"
            )
        }
    };
    for remark in &found.remarks {
        text += &format!("remark      {remark}\n");
    }
    for fault in found.faults() {
        text += &format!("\n{fault}\n");
    }
    text
}
