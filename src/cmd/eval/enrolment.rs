use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{FaceArgs, SurveyArgs, Surveyed, record::RateRecord};
use crate::{
    cmd::{Exit, Failure, printer::Printer},
    domain::{Embedding, Threshold},
    enrol::{Purified, purify},
    eval::{self, Kind, Labelled, List, Panel, Planted, Planting, Rate},
};

/// FPIR at which FNIR is told.
const TARGET_FPIR: f64 = 0.01;

/// Purified enrolment: one wrong photo is planted among each subject's; is it found?
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward eval enrolment --gallery gallery.csv --gallery probes.csv --nonmated strangers.csv --root photos

The lists are CSV with a header: subject,image. All photos of a subject in any --gallery count; each repetition draws some of them and
one of a stranger, sees what enrolment makes of them, and searches for the photos that were not drawn.")]
pub(super) struct Enrolment {
    /// Photos of those who are enrolled, a row a photo: subject,image; may be repeated
    #[arg(long, value_name = "CSV", required = true)]
    gallery: Vec<PathBuf>,

    /// Photos of people who are not enrolled: subject,image; the subject may be empty
    #[arg(long, value_name = "CSV")]
    nonmated: PathBuf,

    /// Photos an enrolment, the wrong one among them
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [3, 4, 5, 10], value_parser = clap::value_parser!(u64).range(2..=100))]
    photos: Vec<u64>,

    /// How often every subject is enrolled, with photos drawn anew
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    repetitions: u64,

    /// Decides on the photos that are drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    face: FaceArgs,

    #[command(flatten)]
    survey: SurveyArgs,
}

#[derive(Serialize)]
struct Report {
    model: String,
    engine: &'static str,
    threshold: Threshold,
    subjects: usize,
    nonmated: usize,
    repetitions: u64,
    seed: u64,
    /// By the number of photos; `null` where nobody has enough.
    planted: BTreeMap<u64, Option<PlantedRecord>>,
}

#[derive(Serialize)]
struct PlantedRecord {
    subjects: usize,
    found: RateRecord,
    undecided: RateRecord,
    lost: RateRecord,
    lost_unplanted: RateRecord,
    fnir_good: RateRecord,
    fnir_planted: RateRecord,
    fnir_purified: RateRecord,
}

impl Enrolment {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let galleries = self.gallery.iter().map(|path| List::labelled(path, false)).collect::<Result<Vec<_>, _>>()?;
        let nonmated = List::labelled(&self.nonmated, true)?;
        let subjects = photos_of(&galleries);
        self.check_strangers(&subjects, &nonmated)?;
        let lists = galleries.iter().chain([&nonmated]);
        let pictures = eval::pictures(&self.survey.root, lists.flat_map(|l| &l.rows).map(|r| r.image.as_path()))?;
        let engine = self.survey.engine(models)?;
        let Some(threshold) = engine.one_person()? else {
            let model = &engine.recogniser()?.id;
            return Err(Failure::usage(format!(
                "model {model}: its card has no one-to-one operating point, by which photos of one subject are told from others; `doorward eval verify` finds one"
            )));
        };
        let surveyed = self.survey.samples(&engine, self.face.face, pictures)?;
        let templates = |photos: &BTreeSet<&Path>| -> Vec<&Embedding> {
            photos.iter().filter_map(|p| Some(&surveyed.samples.template(p)?.embedding)).collect()
        };
        let subjects: Vec<Vec<&Embedding>> = subjects.values().map(templates).collect();
        let strangers: Vec<&Embedding> =
            nonmated.rows.iter().filter_map(|r| Some(&surveyed.samples.template(&r.image)?.embedding)).collect();
        let planting = Planting {
            subjects: &subjects,
            strangers: &strangers,
            repetitions: self.repetitions,
            seed: self.seed,
            target_fpir: TARGET_FPIR,
        };
        let taken = |photos: &[&Embedding]| match purify(photos, &[], threshold) {
            Ok(Purified::Clear { kept, .. }) => Some(kept),
            // Embeddings of one survey are of one model.
            Ok(Purified::Undecided { .. }) | Err(_) => None,
        };
        let mut planted = BTreeMap::new();
        for &photos in &self.photos {
            let few = usize::try_from(photos).expect("a hundred fits any machine word");
            planted.insert(photos, planting.plant(few, &taken)?);
        }
        self.survey.plot(|| planted.values().flatten().map(|p| panel(p, &surveyed, threshold)).collect())?;
        let report = Report {
            model: surveyed.model.clone(),
            engine: surveyed.engine,
            threshold,
            subjects: subjects.len(),
            nonmated: strangers.len(),
            repetitions: self.repetitions,
            seed: self.seed,
            planted: planted.iter().map(|(n, p)| (*n, p.as_ref().map(|p| self.record(p)))).collect(),
        };
        Printer::new(self.survey.json).result(&report, || self.describe(&report, &planted))?;
        Ok(Exit::Done)
    }

    /// Checks that strangers are strangers.
    fn check_strangers(&self, subjects: &PhotosOf<'_>, nonmated: &List<Labelled>) -> Result<(), Failure> {
        let photos: BTreeSet<&Path> = subjects.values().flatten().copied().collect();
        let enrolled =
            |row: &&Labelled| subjects.contains_key(row.subject.as_str()) || photos.contains(row.image.as_path());
        match nonmated.rows.iter().find(enrolled) {
            None => Ok(()),
            Some(row) => Err(Failure::usage(format!(
                "list {}: picture {} of subject {} is of somebody in the gallery's list; leave it out",
                self.nonmated.display(),
                row.image.display(),
                row.subject
            ))),
        }
    }

    fn record(&self, planted: &Planted) -> PlantedRecord {
        let record = |rate: Rate| RateRecord::repeated(rate, self.repetitions);
        PlantedRecord {
            subjects: planted.subjects,
            found: record(planted.found),
            undecided: record(planted.undecided),
            lost: record(planted.lost),
            lost_unplanted: record(planted.lost_unplanted),
            fnir_good: record(planted.fnir_good),
            fnir_planted: record(planted.fnir_planted),
            fnir_purified: record(planted.fnir_purified),
        }
    }

    fn describe(&self, report: &Report, planted: &BTreeMap<u64, Option<Planted>>) -> String {
        let mut text = format!(
            "{} ({}): {} subjects, {} strangers, {} repetitions; photos of one subject are alike from {} on\n",
            report.model, report.engine, report.subjects, report.nonmated, report.repetitions, report.threshold
        );
        for (photos, planted) in planted {
            text += &format!("\n1 wrong photo in {photos}: ");
            let Some(p) = planted else {
                text += &format!("cannot be said, no subject has {} photos\n", photos - 1);
                continue;
            };
            text += &format!("{} subjects\n", p.subjects);
            for (what, rate) in [
                ("wrong photo found", p.found),
                ("undecided", p.undecided),
                ("good photos lost", p.lost),
                ("  without a wrong one", p.lost_unplanted),
                ("FNIR at FPIR 1 %, good", p.fnir_good),
                ("  with the wrong one", p.fnir_planted),
                ("  purified", p.fnir_purified),
            ] {
                text += &format!("{what:<24} {}\n", RateRecord::repeated(rate, self.repetitions));
            }
        }
        text
    }
}

/// The photos of each subject.
type PhotosOf<'a> = BTreeMap<&'a str, BTreeSet<&'a Path>>;

/// The photos of each subject in all of the lists.
fn photos_of(lists: &[List<Labelled>]) -> PhotosOf<'_> {
    let mut subjects = PhotosOf::new();
    for row in lists.iter().flat_map(|list| &list.rows) {
        subjects.entry(&row.subject).or_default().insert(&row.image);
    }
    subjects
}

fn panel(planted: &Planted, surveyed: &Surveyed, threshold: Threshold) -> Panel {
    Panel::Histogram {
        title: format!("{} ({}), 1 wrong photo in {}", surveyed.model, surveyed.engine, planted.photos),
        scores: "mean similarity to the good photos, cosine",
        kinds: vec![Kind::of("good photo", &planted.good), Kind::of("wrong photo", &planted.wrong)],
        thresholds: vec![("one person".to_owned(), threshold.value())],
    }
}
