use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use super::{Presented, SeenFrame};
use crate::{
    config::PadLimits,
    domain::PadVerdict,
    eval::{AcquisitionFailure, List},
    pad::Evidence,
};

/// One person who came to the camera once, or one attack held up once, with what was seen of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Presentation {
    /// Who is shown.
    pub subject: String,
    /// The species of the attack; `None` for a bona fide presentation.
    pub species: Option<String>,
    /// Log-odds of the frames in which a face was assessed, whatever the gates say of them.
    pub log_odds: Vec<f64>,
    /// The verdict that a door gives on its frames.
    pub verdict: PadVerdict,
}

impl Presentation {
    /// Mean log-odds of all assessed frames; `None` when no frame shows a face.
    pub fn mean(&self) -> Option<f64> {
        (!self.log_odds.is_empty()).then(|| self.log_odds.iter().sum::<f64>() / self.log_odds.len() as f64)
    }
}

/// Puts the frames of the recordings together to the presentations of the list, in the order of subjects, species and names.
/// `recordings` are those that `seen` is of, in the same order; every one of the list's is among them.
pub fn presentations(
    list: &List<Presented>,
    recordings: &[PathBuf],
    seen: &[Vec<Result<SeenFrame, AcquisitionFailure>>],
    limits: PadLimits,
) -> Vec<Presentation> {
    let seen: HashMap<&Path, _> = recordings.iter().map(PathBuf::as_path).zip(seen).collect();
    let mut grouped: BTreeMap<_, (Vec<f64>, Evidence)> = BTreeMap::new();
    for row in &list.rows {
        let key = (&row.subject, &row.species, &row.presentation);
        let (log_odds, evidence) = grouped.entry(key).or_insert_with(|| (Vec::new(), Evidence::new(limits)));
        let frames = seen.get(row.recording.as_path()).into_iter().copied().flatten();
        for frame in frames.filter_map(|frame| frame.as_ref().ok()) {
            log_odds.push(frame.log_odds.into());
            evidence.add(&frame.assessment(), &frame.quality);
        }
    }
    let presentation =
        |((subject, species, _), (log_odds, evidence)): ((&String, &Option<String>, _), (_, Evidence))| Presentation {
            subject: subject.clone(),
            species: species.clone(),
            log_odds,
            verdict: evidence.verdict(),
        };
    grouped.into_iter().map(presentation).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::{PadDoubt, SampleQuality};

    fn frame(log_odds: f32) -> Result<SeenFrame, AcquisitionFailure> {
        let quality = SampleQuality {
            size_px: 120.0,
            sharpness: 200.0,
            brightness: 120.0,
            contrast: 50.0,
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        Ok(SeenFrame { log_odds, scale: 2.7, saturation: 40.0, frame_px: [640, 480], quality })
    }

    #[test]
    fn rows_of_one_presentation_are_put_together_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pad.csv");
        let text =
            "video,attack,species,presentation,subject\nb,no,,1,Ada\na,no,,1,Ada\nc,yes,print,1,Ada\nd,no,,2,Ada\n";
        fs::write(&path, text).unwrap();
        let list = List::presented(&path).unwrap();
        let recordings = ["a", "b", "c", "d"].map(PathBuf::from);
        let failed = || Err(AcquisitionFailure::NoFace);
        let seen = [vec![frame(1.0); 6], vec![frame(3.0); 5], vec![frame(-1.0), failed()], vec![failed()]];
        let found = presentations(&list, &recordings, &seen, PadLimits::default());
        let [bona_fide, empty, print] = &found[..] else { panic!("{found:?}") };
        assert_eq!(bona_fide.log_odds, [[3.0; 5].as_slice(), &[1.0; 6]].concat());
        // Of the first ten frames alone it would be 2; there are eleven.
        assert_eq!(bona_fide.verdict, PadVerdict::BonaFide(21.0 / 11.0));
        assert_eq!(bona_fide.mean(), Some(21.0 / 11.0));
        assert_eq!((empty.mean(), empty.verdict), (None, PadVerdict::Undetermined(PadDoubt::TooFewFrames)));
        assert_eq!((print.species.as_deref(), print.mean()), (Some("print"), Some(-1.0)));
    }
}
