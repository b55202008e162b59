use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    FaceArgs, SurveyArgs, Surveyed, describe_failures,
    record::{ByTarget, FnmrRecord, RateRecord, by_target, describe_point, percent},
};
use crate::{
    cmd::{Exit, Failure, printer::Printer},
    eval::{self, Curve, Kind, List, Pair, Panel, RatesAt, Verification},
};

/// False match rates at which FNMR is told.
const TARGETS: [f64; 2] = [0.01, 0.001];

/// One to one: FMR and FNMR, equal error rate, accuracy by folds
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward eval verify --pairs lfw/pairs.csv --root lfw --plot verify.svg

The list is CSV with a header: image1,image2,same[,fold]; same is 1 or 0, other columns are ignored.")]
pub(super) struct Verify {
    /// The pairs: image1,image2,same[,fold]
    #[arg(long, value_name = "CSV")]
    pairs: PathBuf,

    #[command(flatten)]
    face: FaceArgs,

    #[command(flatten)]
    survey: SurveyArgs,
}

#[derive(Serialize)]
struct Report {
    model: String,
    engine: &'static str,
    pairs: usize,
    fta: Option<f64>,
    accuracy: Option<AccuracyRecord>,
    eer: Option<f64>,
    fnmr_at_fmr: ByTarget<FnmrRecord>,
    mated: Distribution,
    nonmated: Distribution,
    acquisition: RateRecord,
    eer_at: Option<EerRecord>,
}

#[derive(Serialize)]
struct AccuracyRecord {
    mean: f64,
    std: f64,
    folds: usize,
    wrong: RateRecord,
}

#[derive(Serialize)]
struct EerRecord {
    threshold: f32,
    fmr: RateRecord,
    fnmr: RateRecord,
}

/// How the similarities of one kind are distributed.
#[derive(Serialize)]
struct Distribution {
    n: usize,
    mean: Option<f64>,
    std: Option<f64>,
    /// Least, 1 %, 5 %, 25 %, median, 75 %, 95 %, 99 %, greatest.
    quantiles: Vec<f32>,
}

impl Verify {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let pairs = List::pairs(&self.pairs)?;
        let images = || pairs.rows.iter().flat_map(|pair| [pair.left.as_path(), pair.right.as_path()]);
        let pictures = eval::pictures(&self.survey.root, images())?;
        let engine = self.survey.engine(models)?;
        let surveyed = self.survey.samples(&engine, self.face.face, pictures.clone())?;
        let (fta, failures) = surveyed.samples.failures(pictures.iter().map(PathBuf::as_path));
        let (verification, accuracy) = surveyed.samples.verify(&pairs)?;
        let points = TARGETS.map(|target| verification.at_fmr(target));
        let eer = verification.equal_error_rate();
        let report = Report {
            model: surveyed.model.clone(),
            engine: surveyed.engine,
            pairs: pairs.rows.len(),
            fta: fta.value(),
            accuracy: accuracy.map(|a| AccuracyRecord {
                mean: a.mean,
                std: a.std,
                folds: a.folds,
                wrong: a.wrong.into(),
            }),
            eer: eer.map(|eer| eer.value),
            fnmr_at_fmr: by_target(&points, |point| point.into()),
            mated: Distribution::of(verification.mated()),
            nonmated: Distribution::of(verification.nonmated()),
            acquisition: fta.into(),
            eer_at: eer.map(|eer| EerRecord {
                threshold: eer.threshold.value(),
                fmr: eer.fmr.into(),
                fnmr: eer.fnmr.into(),
            }),
        };
        self.survey.plot(|| panels(&surveyed, &verification, &points))?;
        Printer::new(self.survey.json).result(&report, || {
            let mut text = heading(&surveyed, &pairs, &verification);
            text += &describe_failures("FTA", fta, &failures);
            text += &match accuracy {
                Some(a) => format!(
                    "{:<24} {} % +- {} over {} folds; wrong {}\n",
                    "accuracy by folds",
                    percent(a.mean),
                    percent(a.std),
                    a.folds,
                    a.wrong
                ),
                None => {
                    format!("{:<24} cannot be said: the list has no column fold with two folds\n", "accuracy by folds")
                }
            };
            text += &match eer {
                Some(eer) => {
                    format!(
                        "{:<24} {:.2} %; at {} FMR is {}, FNMR {}\n",
                        "equal error rate",
                        100.0 * eer.value,
                        eer.threshold,
                        eer.fmr,
                        eer.fnmr
                    )
                }
                None => format!("{:<24} cannot be said: one kind of pair has no comparison\n", "equal error rate"),
            };
            text += &points.iter().map(|point| describe_point(point, ["FNMR", "FMR"])).collect::<String>();
            text += &report.mated.describe("mated");
            text + &report.nonmated.describe("non-mated")
        })?;
        Ok(Exit::Done)
    }
}

fn heading(surveyed: &Surveyed, pairs: &List<Pair>, verification: &Verification) -> String {
    format!(
        "{} ({}): {} pairs, compared {} mated and {} non-mated\n",
        surveyed.model,
        surveyed.engine,
        pairs.rows.len(),
        verification.mated().len(),
        verification.nonmated().len()
    )
}

fn panels(surveyed: &Surveyed, verification: &Verification, points: &[RatesAt]) -> Vec<Panel> {
    let label = format!("{} ({})", surveyed.model, surveyed.engine);
    let named = |point: &RatesAt| Some((format!("FMR {} %", percent(point.target)), point.threshold?.value()));
    vec![
        Panel::Tradeoff {
            title: "One to one: detection error trade-off".into(),
            false_positives: "FMR",
            false_negatives: "FNMR",
            curves: vec![Curve { label, points: verification.curve(), marks: points.to_vec() }],
        },
        Panel::Histogram {
            title: "Similarities".into(),
            scores: "similarity, cosine",
            kinds: vec![Kind::of("mated", verification.mated()), Kind::of("non-mated", verification.nonmated())],
            thresholds: points.iter().filter_map(named).collect(),
        },
    ]
}

impl Distribution {
    /// Takes the similarities, the largest first.
    fn of(descending: &[crate::domain::Similarity]) -> Self {
        let n = descending.len();
        let values = || descending.iter().map(|s| f64::from(s.value()));
        let mean = (n > 0).then(|| values().sum::<f64>() / n as f64);
        let std = mean
            .filter(|_| n > 1)
            .map(|mean| (values().map(|v| (v - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0)).sqrt());
        let rank = |share: f64| descending.get(n - 1 - (share * (n - 1) as f64).round() as usize);
        let shares = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0];
        let quantiles = match n {
            0 => vec![],
            _ => shares.iter().filter_map(|share| rank(*share)).map(|s| s.value()).collect(),
        };
        Self { n, mean, std, quantiles }
    }

    fn describe(&self, kind: &str) -> String {
        let name = format!("similarity, {kind}");
        match (self.mean, self.std, &self.quantiles[..]) {
            (Some(mean), Some(std), [least, _, five, _, median, _, ninety_five, _, greatest]) => format!(
                "{name:<24} mean {mean:.3}, deviation {std:.3}; least {least:.3}, 5 % {five:.3}, median {median:.3}, 95 % {ninety_five:.3}, greatest {greatest:.3}\n"
            ),
            _ => format!("{name:<24} {} comparisons\n", self.n),
        }
    }
}
