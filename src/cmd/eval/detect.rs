use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::{SurveyArgs, record::RateRecord};
use crate::{
    cmd::{Exit, Failure, printer::Printer, scene::bbox_record},
    domain::FaceChoice,
    eval::{self, FaceMatching, Kind, List, Panel, SeenFace},
};

/// Finding faces: recall and precision against labelled boxes
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward eval detect --boxes faces.csv --root photos

The list is CSV with a header: image,x,y,w,h in pixels of the upright picture, a row a face; a picture without a face has one row
with the four numbers empty. A face is found when a detection overlaps it by an intersection over union of at least 0.5; the
detection with the best score chooses first.")]
pub(super) struct Detect {
    /// The labelled faces: image,x,y,w,h
    #[arg(long, value_name = "CSV")]
    boxes: PathBuf,

    #[command(flatten)]
    survey: SurveyArgs,
}

#[derive(Serialize)]
struct Report {
    faces: u64,
    recall: Option<f64>,
    precision: Option<f64>,
    detections: u64,
    pictures: usize,
    unreadable: Vec<String>,
    missed: RateRecord,
    unlabelled: RateRecord,
    misses: Vec<MissRecord>,
    detector: String,
}

#[derive(Serialize)]
struct MissRecord {
    image: String,
    bbox: [f32; 4],
    best_iou: f32,
}

impl Detect {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let boxes = List::boxes(&self.boxes)?;
        let labelled = eval::by_picture(&boxes.rows);
        eval::pictures(&self.survey.root, labelled.iter().map(|(image, _)| *image))?;
        let engine = self.survey.engine(models)?;
        let detector = engine.build_detector()?.name().to_owned();
        let stages = engine.stages(FaceChoice::default())?;
        let pictures: Vec<PathBuf> = labelled.iter().map(|(image, _)| image.to_path_buf()).collect();
        let found = self
            .survey
            .survey(&engine, &stages.detection_method(), &pictures, "looking", &|| stages.look_for_faces())?;
        let unreadable = pictures.iter().zip(&found).filter(|(_, found)| found.is_none());
        let unreadable: Vec<String> = unreadable.map(|(image, _)| image.display().to_string()).collect();
        let faces: Vec<&[SeenFace]> = found.iter().map(|found| found.as_deref().unwrap_or_default()).collect();
        let matching =
            FaceMatching::of(labelled.into_iter().zip(&faces).map(|((image, labels), seen)| (image, labels, *seen)));
        let report = Report {
            faces: matching.missed.trials,
            recall: matching.missed.value().map(|missed| 1.0 - missed),
            precision: matching.unlabelled.value().map(|unlabelled| 1.0 - unlabelled),
            detections: matching.unlabelled.trials,
            pictures: pictures.len(),
            unreadable,
            missed: matching.missed.into(),
            unlabelled: matching.unlabelled.into(),
            misses: matching
                .misses
                .iter()
                .map(|miss| MissRecord {
                    image: miss.image.display().to_string(),
                    bbox: bbox_record(miss.bbox),
                    best_iou: miss.best_iou,
                })
                .collect(),
            detector,
        };
        self.survey.plot(|| vec![scores(&matching)])?;
        Printer::new(self.survey.json).result(&report, || describe(&report, &matching))?;
        Ok(Exit::Done)
    }
}

fn describe(report: &Report, matching: &FaceMatching) -> String {
    let mut text = format!(
        "{}: {} faces in {} pictures, {} detections\n",
        report.detector, report.faces, report.pictures, report.detections
    );
    text += &format!("{:<24} {}\n", "not found", matching.missed);
    text += &format!("{:<24} {}\n", "found, not labelled", matching.unlabelled);
    for image in &report.unreadable {
        text += &format!("  {image}: not a picture that can be read\n");
    }
    for miss in &report.misses {
        let ([x, y, w, h], best) = (miss.bbox, miss.best_iou);
        text += &format!("  {}: {w:.0}x{h:.0} px at {x:.0},{y:.0} not found; best overlap {best:.2}\n", miss.image);
    }
    text
}

fn scores(matching: &FaceMatching) -> Panel {
    Panel::Histogram {
        title: "Detector's scores".into(),
        scores: "score, 0 to 1",
        kinds: vec![
            Kind { label: "labelled faces".into(), scores: matching.found_scores.clone() },
            Kind { label: "not labelled".into(), scores: matching.unlabelled_scores.clone() },
        ],
        thresholds: vec![],
    }
}
