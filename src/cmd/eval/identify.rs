use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    FaceArgs, SurveyArgs, Surveyed, describe_failures,
    record::{ByTarget, FnirRecord, RateRecord, by_target, describe_point, percent},
};
use crate::{
    cmd::{Exit, Failure, printer::Printer},
    eval::{self, Curve, Identification, Kind, Labelled, List, Panel, Rate, RatesAt, ReferenceRule},
};

/// False positive identification rates at which FNIR is told.
const TARGETS: [f64; 3] = [0.01, 0.003, 0.001];

/// One to many, with strangers: rank-1 rate, FNIR at FPIR
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward eval identify --gallery gallery.csv --mated probes.csv --nonmated strangers.csv --root photos --plot identify.svg

The lists are CSV with a header: subject,image (or identity,image); other columns are ignored. A subject with several photos in
the gallery has several templates; --reference says what is made of them. Without --json all references are told.")]
pub(super) struct Identify {
    /// Whom to enrol, a row a photo: subject,image
    #[arg(long, value_name = "CSV")]
    gallery: PathBuf,

    /// Other photos of those enrolled: subject,image
    #[arg(long, value_name = "CSV")]
    mated: PathBuf,

    /// Photos of people who are not enrolled: subject,image; the subject may be empty
    #[arg(long, value_name = "CSV")]
    nonmated: PathBuf,

    /// What is made of a subject's templates: mean, best-template or quality-weighted-mean [default: mean]
    #[arg(long, value_name = "NAME")]
    reference: Option<ReferenceRule>,

    #[command(flatten)]
    face: FaceArgs,

    #[command(flatten)]
    survey: SurveyArgs,
}

#[derive(Serialize)]
struct Report {
    model: String,
    engine: &'static str,
    reference: &'static str,
    subjects: usize,
    mated: usize,
    nonmated: usize,
    /// Share of the probes.
    fta: Option<f64>,
    rank1: Option<f64>,
    fnir_at_fpir: ByTarget<FnirRecord>,
    rank1_misses: RateRecord,
    acquisition: RateRecord,
    /// Subjects none of whose photos gave a template.
    enrolment: RateRecord,
    gallery_photos: usize,
}

/// Probes and photos that gave no template, and subjects without any.
struct Failures<'a> {
    probes: (Rate, Vec<(&'a Path, &'a eval::AcquisitionFailure)>),
    photos: (Rate, Vec<(&'a Path, &'a eval::AcquisitionFailure)>),
    enrolment: Rate,
}

impl Identify {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let gallery = List::labelled(&self.gallery, false)?;
        let mated = List::labelled(&self.mated, false)?;
        let nonmated = List::labelled(&self.nonmated, true)?;
        gallery.check_open_set(&mated, &nonmated)?;
        let lists = [&gallery, &mated, &nonmated];
        let pictures = eval::pictures(&self.survey.root, lists.into_iter().flat_map(images))?;
        let engine = self.survey.engine(models)?;
        let surveyed = self.survey.samples(&engine, self.face.face, pictures)?;
        let samples = &surveyed.samples;
        let subjects = samples.gallery(&gallery);
        let failures = Failures {
            probes: samples.failures(images(&mated).chain(images(&nonmated))),
            photos: samples.failures(images(&gallery)),
            enrolment: Rate::count(subjects.values().map(Vec::is_empty)),
        };
        let rule = self.reference.unwrap_or_default();
        let trial = samples.identify(&gallery, &mated, &nonmated, rule)?;
        let points = points(&trial);
        let report = Report {
            model: surveyed.model.clone(),
            engine: surveyed.engine,
            reference: rule.name(),
            subjects: subjects.len(),
            mated: mated.rows.len(),
            nonmated: nonmated.rows.len(),
            fta: failures.probes.0.value(),
            rank1: trial.rank1_misses().value().map(|missed| 1.0 - missed),
            fnir_at_fpir: by_target(&points, |point| point.into()),
            rank1_misses: trial.rank1_misses().into(),
            acquisition: failures.probes.0.into(),
            enrolment: failures.enrolment.into(),
            gallery_photos: gallery.rows.len(),
        };
        let rules = self.reference.map_or_else(|| ReferenceRule::ALL.to_vec(), |rule| vec![rule]);
        let mut trials = Vec::new();
        if !self.survey.json || self.survey.plot.is_some() {
            for rule in rules {
                trials.push((rule, samples.identify(&gallery, &mated, &nonmated, rule)?));
            }
        }
        self.survey.plot(|| panels(&surveyed, report.subjects, &trials, (rule, &trial)))?;
        Printer::new(self.survey.json).result(&report, || describe(&report, &failures, &trials))?;
        Ok(Exit::Done)
    }
}

fn images(list: &List<Labelled>) -> impl Iterator<Item = &Path> {
    list.rows.iter().map(|row| row.image.as_path())
}

fn points(trial: &Identification) -> [RatesAt; 3] {
    TARGETS.map(|target| trial.at_fpir(target))
}

fn describe(report: &Report, failures: &Failures<'_>, trials: &[(ReferenceRule, Identification)]) -> String {
    let mut text = format!(
        "{} ({}): {} subjects from {} photos, {} mated and {} non-mated probes\n",
        report.model, report.engine, report.subjects, report.gallery_photos, report.mated, report.nonmated
    );
    text += &describe_failures("FTA, probes", failures.probes.0, &failures.probes.1);
    text += &describe_failures("FTA, gallery photos", failures.photos.0, &failures.photos.1);
    text += &format!("{:<24} {}\n", "FTE, subjects", failures.enrolment);
    for (rule, trial) in trials {
        text += &format!("\nreference: {rule}\n{:<24} {}\n", "not at rank 1", trial.rank1_misses());
        text += &points(trial).iter().map(|point| describe_point(point, ["FNIR", "FPIR"])).collect::<String>();
    }
    text
}

fn panels(
    surveyed: &Surveyed,
    subjects: usize,
    trials: &[(ReferenceRule, Identification)],
    (rule, trial): (ReferenceRule, &Identification),
) -> Vec<Panel> {
    let curve = |(of, trial): &(ReferenceRule, Identification)| Curve {
        label: of.name().to_owned(),
        points: trial.curve(),
        // One set of intervals; three over each other cannot be read.
        marks: if *of == rule { points(trial).to_vec() } else { vec![] },
    };
    let named = |point: &RatesAt| Some((format!("FPIR {} %", percent(point.target)), point.threshold?.value()));
    vec![
        Panel::Tradeoff {
            title: format!("{} ({}), {subjects} subjects", surveyed.model, surveyed.engine),
            false_positives: "FPIR",
            false_negatives: "FNIR",
            curves: trials.iter().map(curve).collect(),
        },
        Panel::Histogram {
            title: format!("Similarities, reference: {rule}"),
            scores: "similarity, cosine",
            kinds: vec![
                Kind::of("mated, own subject", &trial.own_similarities()),
                Kind::of("non-mated, best", trial.nonmated_best()),
            ],
            thresholds: points(trial).iter().filter_map(named).collect(),
        },
    ]
}
