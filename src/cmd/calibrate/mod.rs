//! `doorward calibrate`: the threshold, chosen by this site's own gallery.

mod report;
mod strangers;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    Exit, Failure,
    engine::{Engine, EngineArgs, SearchPoint},
    place::{GalleryPlace, credentials_dir},
    printer::Printer,
};
use crate::{
    domain::{FaceChoice, Similarity, Threshold},
    eval::{self, Calibration, GrowthCurve, Kind, Panel, Person, Photo},
    gallery::{Gallery, Subject},
    models::Comparison,
};
use report::Report;
use strangers::Strangers;

/// Choose the threshold by the people who are enrolled here, and by strangers if there are pictures of any
///
/// Reads the gallery, changes nothing; a service may go on with it. Prints similarities, never embeddings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward calibrate --gallery /var/lib/doorward
  doorward calibrate --gallery /var/lib/doorward --nonmated visitors/ --plot calibration.svg

Pictures of strangers are a file or a folder a person: people who are not enrolled, taken by the camera of the door. Without them the
people enrolled are strangers to each other. Exit code 1 when nobody is enrolled or no threshold tells everybody apart.")]
pub(super) struct Calibrate {
    #[command(flatten)]
    place: GalleryPlace,

    /// Folder with pictures of people who are not enrolled, a file or a folder each
    #[arg(long, value_name = "DIR")]
    nonmated: Option<PathBuf>,

    /// Which face is meant where a stranger's picture shows several
    #[arg(long, value_name = "centre|largest", default_value_t = FaceChoice::Largest)]
    face: FaceChoice,

    /// Share of strangers that may be taken for somebody enrolled (FPIR) [default: that of the operating point in force]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    fpir: Option<f64>,

    /// One JSON object
    #[arg(long)]
    json: bool,

    /// Draw the similarities and how the FPIR grows into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    engine: EngineArgs,
}

/// The FPIR of the operating points that the catalogue begins with.
const DEFAULT_FPIR: f64 = 0.003;

impl Calibrate {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let in_force = engine.one_to_many()?;
        let dir = self.place.dir(engine.gallery_dir.clone())?;
        let model = engine.model_id()?;
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        let mut without_model = 0;
        let mut enrolled = Vec::new();
        for subject in Gallery::open(&dir, credentials_dir().as_deref())?.subjects()? {
            let Subject { id, name, templates, .. } = subject;
            let mut photos = Vec::new();
            for template in templates {
                match *template.embedding.model() == model {
                    true => photos.push(Photo { source: template.source, embedding: template.embedding }),
                    false => *others.entry(template.embedding.model().to_string()).or_default() += 1,
                }
            }
            match photos.is_empty() {
                true => without_model += 1,
                false => enrolled.push(Person { id: id.to_string(), name, photos }),
            }
        }
        if enrolled.is_empty() {
            let remedy = match without_model {
                0 => "enrol people first".to_owned(),
                n => format!("{n} are with another model: {}", engine.remedy_for_other_models()?),
            };
            log::error!("gallery {}: nobody is enrolled for {model}; {remedy}", dir.display());
            return Ok(Exit::Negative);
        }
        let strangers = match &self.nonmated {
            Some(folder) => Strangers::look(folder, self.face, &engine)?,
            None => Strangers::default(),
        };
        let found = Calibration::of(&enrolled, &strangers.people)?;
        let target = self.fpir.or_else(|| fpir_of(&in_force.name)).unwrap_or(DEFAULT_FPIR);
        let report = Report {
            gallery: dir.display().to_string(),
            model: model.to_string(),
            photos: enrolled.iter().map(|person| person.photos.len()).sum(),
            single_photo: enrolled.iter().filter(|person| person.photos.len() < 2).count(),
            templates_of_other_models: others,
            subjects_without_model: without_model,
            strangers: &strangers,
            target,
            in_force: in_force.at(found.subjects()),
            in_force_name: in_force.describe(found.subjects()),
            recommended: found.recommend(target, start(&engine, &in_force, target, found.subjects())?),
            found: &found,
        };
        self.draw(&report)?;
        Printer::new(self.json).result(&report.record(), || report.text())?;
        Ok(if report.recommended.threshold.is_some() { Exit::Done } else { Exit::Negative })
    }

    fn draw(&self, report: &Report<'_>) -> Result<(), Failure> {
        let Some(path) = &self.plot else { return Ok(()) };
        let svg = eval::draw(&panels(report))?;
        fs::write(path, svg).map_err(|e| Failure::usage(format!("--plot {}: cannot be written: {e}", path.display())))
    }
}

/// The threshold to begin with: the catalogue's for this FPIR and size of gallery; without such a point that of the next stricter one,
/// else the one in force.
fn start(engine: &Engine, in_force: &SearchPoint, target: f64, subjects: usize) -> Result<Threshold, Failure> {
    let card = engine.recogniser()?;
    let points = card.operating_points.iter().filter(|point| point.kind == Comparison::OneToMany);
    let named = points.filter_map(|point| Some((fpir_of(&point.name)?, point.name.as_str())));
    let best = named.filter(|(fpir, _)| *fpir <= target).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((_, name)) => Ok(card.one_to_many(name)?.at(subjects).threshold),
        None => Ok(in_force.at(subjects)),
    }
}

/// The rate in a name such as `fpir-0.01`.
fn fpir_of(name: &str) -> Option<f64> {
    name.strip_prefix("fpir-")?.parse().ok().filter(|rate| *rate > 0.0 && *rate < 1.0)
}

fn panels(report: &Report<'_>) -> Vec<Panel> {
    let found = report.found;
    let of = |scores: Vec<Similarity>, label: &str| (!scores.is_empty()).then(|| Kind::of(label, &scores));
    let kinds = [
        of(found.mated().iter().map(|s| s.similarity).collect(), "mated, photo left out"),
        of(found.between().iter().map(|s| s.similarity).collect(), "best other subject"),
        of(found.strangers().iter().map(|s| s.similarity).collect(), "strangers, best"),
    ];
    let mut thresholds = vec![("in force".to_owned(), report.in_force.value())];
    thresholds.extend(report.recommended.threshold.map(|t| ("recommended".to_owned(), t.value())));
    let mut panels = vec![Panel::Histogram {
        title: format!("{} subjects, {} photos", found.subjects(), report.photos),
        scores: "similarity, cosine",
        kinds: kinds.into_iter().flatten().collect(),
        thresholds,
    }];
    let curve = |threshold: Threshold, name: &str| {
        let tail = found.tail()?;
        let sizes = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
        let points: Option<Vec<_>> =
            sizes.iter().map(|n| tail.fpir(threshold, *n).map(|rate| (*n, rate.value, rate.interval))).collect();
        Some(GrowthCurve { label: format!("{name}, {threshold}"), points: points? })
    };
    let curves: Vec<GrowthCurve> = [
        curve(report.in_force, "in force"),
        report.recommended.threshold.filter(|t| *t != report.in_force).and_then(|t| curve(t, "recommended")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !curves.is_empty() {
        panels.push(Panel::Growth { title: "As the gallery grows, extrapolated".into(), rate: "FPIR, %", curves });
    }
    panels
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("a rate above 0 and below 1 is expected, such as 0.01".to_owned()),
    }
}
