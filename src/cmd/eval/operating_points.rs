use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{FaceArgs, SurveyArgs};
use crate::{
    cmd::{Exit, Failure, printer::Printer},
    eval::{self, List, PointLists, PointTargets},
    models::{Comparison, OperatingPoint, with_operating_points},
};

/// Measure a recogniser's thresholds for its card: by error rate and size of gallery
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward eval operating-points --gallery gallery_3photos.csv --mated probes_mated.csv --nonmated probes_nonmated.csv \\
      --root photos --model sface --data \"LFW View 1\" --write models/catalogue.toml

Without --write the points are printed. With it they replace those of the model in the catalogue, and nothing else of it changes.")]
pub(super) struct OperatingPoints {
    /// People with the photos they are enrolled from: subject,image
    #[arg(long, value_name = "CSV")]
    gallery: PathBuf,

    /// Other photos of theirs: subject,image
    #[arg(long, value_name = "CSV")]
    mated: PathBuf,

    /// People who are not among them, one photo each: subject,image; the subject may be empty
    #[arg(long, value_name = "CSV")]
    nonmated: PathBuf,

    /// What the pictures are, for the card
    #[arg(long, value_name = "TEXT")]
    data: String,

    /// False positive identification rates, one to many
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_value = "0.01,0.003", value_parser = parse_rate)]
    fpir: Vec<f64>,

    /// Subjects in the gallery
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_value = "10,30,100,300,1000", value_parser = clap::value_parser!(u32).range(1..))]
    sizes: Vec<u32>,

    /// False match rates, one to one
    #[arg(long, value_name = "RATES", value_delimiter = ',', default_value = "0.001,0.0001", value_parser = parse_rate)]
    fmr: Vec<f64>,

    /// Catalogue to write the points into
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,

    #[command(flatten)]
    face: FaceArgs,

    #[command(flatten)]
    survey: SurveyArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    engine: &'static str,
    operating_points: &'a [OperatingPoint],
}

impl OperatingPoints {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        if self.survey.plot.is_some() {
            return Err(Failure::usage(
                "--plot: operating points have no plot; `doorward eval identify` draws the curves",
            ));
        }
        let gallery = List::labelled(&self.gallery, false)?;
        let mated = List::labelled(&self.mated, false)?;
        let nonmated = List::labelled(&self.nonmated, true)?;
        gallery.check_open_set(&mated, &nonmated)?;
        let images =
            [&gallery, &mated, &nonmated].into_iter().flat_map(|list| &list.rows).map(|row| row.image.as_path());
        let pictures = eval::pictures(&self.survey.root, images)?;
        let engine = self.survey.engine(models)?;
        let surveyed = self.survey.samples(&engine, self.face.face, pictures)?;
        let targets = PointTargets {
            fpirs: self.fpir.clone(),
            sizes: self.sizes.iter().map(|size| *size as usize).collect(),
            fmrs: self.fmr.clone(),
        };
        let lists = PointLists { gallery: &gallery, mated: &mated, nonmated: &nonmated };
        let points = surveyed.samples.operating_points(lists, &targets, &self.data)?;
        if let Some(path) = &self.write {
            write(path, &surveyed.model, &points)?;
        }
        let report = Report { model: &surveyed.model, engine: surveyed.engine, operating_points: &points };
        Printer::new(self.survey.json).result(&report, || describe(&report, self.write.as_deref()))?;
        Ok(Exit::Done)
    }
}

/// Replaces the model's points in the catalogue: the new file takes the old one's place when it is whole.
fn write(path: &Path, model: &str, points: &[OperatingPoint]) -> Result<(), Failure> {
    let refuse = |e: &dyn std::fmt::Display| Failure::usage(format!("--write {}: {e}", path.display()));
    let text = fs::read_to_string(path).map_err(|e| refuse(&e))?;
    let text = with_operating_points(&text, model, points).map_err(|e| refuse(&e))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|e| refuse(&e))?;
    file.write_all(text.as_bytes()).map_err(|e| refuse(&e))?;
    file.as_file()
        .set_permissions(fs::metadata(path).map_err(|e| refuse(&e))?.permissions())
        .map_err(|e| refuse(&e))?;
    file.persist(path).map_err(|e| refuse(&e))?;
    Ok(())
}

fn describe(report: &Report<'_>, written: Option<&Path>) -> String {
    let mut text = format!("{} ({})\n", report.model, report.engine);
    text += &format!(
        "{:<12} {:>8} {:>9}   {:<26} {}\n",
        "point", "subjects", "threshold", "false positives", "false negatives"
    );
    for point in report.operating_points {
        let (positives, negatives) = match point.kind {
            Comparison::OneToMany => ((point.fpir, point.fpir_interval), (point.fnir, point.fnir_interval)),
            Comparison::OneToOne => ((point.fmr, point.fmr_interval), (point.fnmr, point.fnmr_interval)),
        };
        text += &format!(
            "{:<12} {:>8} {:>9.3}   {:<26} {}\n",
            point.name,
            point.gallery_size.map_or_else(|| "1".to_owned(), |size| size.to_string()),
            point.threshold,
            rate(positives),
            rate(negatives)
        );
    }
    if let Some(path) = written {
        text += &format!("written into {}\n", path.display());
    }
    text
}

/// `0.98 % (0.64-1.41 %)`
fn rate((rate, interval): (Option<f64>, Option<[f64; 2]>)) -> String {
    match (rate, interval) {
        (Some(rate), Some([low, high])) => {
            let digits = if high < 0.01 { 3 } else { 2 };
            format!("{:.digits$} % ({:.digits$}-{:.digits$} %)", 100.0 * rate, 100.0 * low, 100.0 * high)
        }
        _ => "cannot be said".to_owned(),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if rate > 0.0 && rate < 1.0 {
        Ok(rate)
    } else {
        Err("a rate above 0 and below 1 is expected, such as 0.01".to_owned())
    }
}
