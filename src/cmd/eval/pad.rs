use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{FaceArgs, SurveyArgs};
use crate::{
    cmd::{Exit, Failure, printer::Printer},
    config::{PadLimits, PadSettings},
    eval::{
        self, AcquisitionFailure, DoorTally, EvalError, Kind, List, PadRates, PadStages, PadTrial, PadTrials, Panel,
        Presentation, Presented, Rate, SeenFrame,
    },
    pad,
};

/// The BPCER at which APCER is told.
const BPCER: f64 = 0.05;
/// How many recordings that gave nothing are named to people.
const NAMED: usize = 20;

/// Presentation attacks: APCER by species and BPCER, by presentation and by frame
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward eval pad --list pad.csv --root recordings --plot pad.svg

The list is CSV with a header: image,attack,species,presentation,subject. A column video may stand in the place of image or beside
it: an MJPEG or y4m file, or a folder of pictures. attack is yes or no (1 or 0), species the kind of attack, such as print or
screen. Rows of one subject, species and presentation are one presentation.

Scores are log-odds of a bona fide presentation; a presentation's is the mean of its frames'. `At the door' is what the gates and the
least number of frames make of it: verdicts, and what is undetermined. docs/pad.md tells how to read the figures.")]
pub(super) struct Pad {
    /// What was presented: image|video,attack,species,presentation,subject
    #[arg(long, value_name = "CSV")]
    list: PathBuf,

    /// Net, by its id in the catalogue; given several times, the nets are fused by the weights on their cards
    #[arg(long = "pad-net", value_name = "ID")]
    nets: Vec<String>,

    /// Least mean log-odds that count as bona fide; 0 is as likely as not [default: 0]
    #[arg(long, value_name = "LOG-ODDS", allow_negative_numbers = true)]
    pad_threshold: Option<f64>,

    /// Least number of judged frames for a verdict at the door [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    min_frames: Option<u16>,

    #[command(flatten)]
    face: FaceArgs,

    #[command(flatten)]
    survey: SurveyArgs,
}

/// The first three keys are the format's promise: presentations, at the threshold.
#[derive(Serialize)]
struct Report {
    apcer: BTreeMap<String, RateRecord>,
    bpcer: RateRecord,
    threshold: f64,
    worst_species: Option<WorstRecord>,
    worst_subject: Option<WorstRecord>,
    at_bpcer: BTreeMap<String, Option<RatesRecord>>,
    frames: FramesRecord,
    door: DoorRecord,
    nets: Vec<String>,
    engine: &'static str,
    presentations: usize,
    /// Presentations in which no frame shows a face; they are in no rate above.
    not_assessed: usize,
    /// Frames and recordings of which nothing came.
    acquisition: RateRecord,
    failures: Vec<FailureRecord>,
}

#[derive(Serialize)]
struct RateRecord {
    rate: Option<f64>,
    low: f64,
    high: f64,
    n: u64,
}

impl From<Rate> for RateRecord {
    fn from(rate: Rate) -> Self {
        let interval = rate.interval();
        Self { rate: rate.value(), low: interval.low, high: interval.high, n: rate.trials }
    }
}

#[derive(Serialize)]
struct WorstRecord {
    name: String,
    #[serde(flatten)]
    rate: RateRecord,
}

impl WorstRecord {
    fn of((name, rate): (&str, Rate)) -> Self {
        Self { name: name.to_owned(), rate: rate.into() }
    }
}

/// The rates at one threshold.
#[derive(Serialize)]
struct RatesRecord {
    threshold: f64,
    apcer: BTreeMap<String, RateRecord>,
    bpcer: RateRecord,
    worst_species: Option<WorstRecord>,
    worst_subject: Option<WorstRecord>,
    /// Whether there are bona fide trials enough for the target, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<bool>,
}

impl RatesRecord {
    fn of(rates: &PadRates, resolved: Option<bool>) -> Self {
        Self {
            threshold: rates.threshold,
            apcer: records(&rates.apcer),
            bpcer: rates.bpcer.into(),
            worst_species: rates.worst_species().map(WorstRecord::of),
            worst_subject: rates.worst_subject().map(WorstRecord::of),
            resolved,
        }
    }
}

#[derive(Serialize)]
struct FramesRecord {
    #[serde(flatten)]
    rates: RatesRecord,
    at_bpcer: BTreeMap<String, Option<RatesRecord>>,
}

/// The verdicts of a door.
#[derive(Serialize)]
struct DoorRecord {
    min_frames: usize,
    bona_fide: TallyRecord,
    attacks: BTreeMap<String, TallyRecord>,
    /// With what is undetermined refused, as where presentation attack detection is required, and
    undetermined_refused: DoorRates,
    /// with what is undetermined admitted.
    undetermined_admitted: DoorRates,
}

#[derive(Serialize)]
struct TallyRecord {
    bona_fide: u64,
    attack: u64,
    undetermined: BTreeMap<&'static str, u64>,
    non_response: RateRecord,
}

#[derive(Serialize)]
struct DoorRates {
    apcer: BTreeMap<String, RateRecord>,
    bpcer: RateRecord,
}

#[derive(Serialize)]
struct FailureRecord {
    recording: String,
    reason: String,
    /// How many of its frames.
    frames: usize,
}

fn records(rates: &BTreeMap<String, Rate>) -> BTreeMap<String, RateRecord> {
    rates.iter().map(|(species, rate)| (species.clone(), (*rate).into())).collect()
}

/// What came of the recordings: everything that is told.
struct Outcome {
    presentations: Vec<Presentation>,
    whole: PadTrials,
    frames: PadTrials,
    tallies: BTreeMap<Option<String>, DoorTally>,
    limits: PadLimits,
}

impl Pad {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let list = List::presented(&self.list)?;
        let recordings = eval::recordings(&self.survey.root, &list)?;
        let settings = self.settings()?;
        let engine = self.survey.engine(models)?;
        // Built here too, before anything is looked at: nets that cannot be used are told at once.
        let nets = pad::build(&settings, &engine.store)?;
        let stages =
            PadStages { models: &engine.store, detector: engine.detector, pad: &settings, face: self.face.face };
        let seen = self.survey.survey(&engine, &stages.method()?, &recordings, "looking", &|| stages.look())?;
        let outcome = Outcome::of(&list, &recordings, &seen, settings.limits);
        let failures = failures(&recordings, &seen);
        if let (Some(first), true) = (failures.first(), outcome.presentations.iter().all(|p| p.log_odds.is_empty())) {
            return Err(
                EvalError::NothingAssessed { recordings: recordings.len(), reason: first.reason.clone() }.into()
            );
        }
        let acquisition = Rate {
            errors: failures.iter().map(|failure| failure.frames as u64).sum(),
            trials: seen.iter().map(|frames| frames.len() as u64).sum(),
        };
        let (names, engine) = (nets.names().map(str::to_owned).collect(), nets.engine_name());
        let report = outcome.report(names, engine, acquisition, failures);
        self.survey.plot(|| outcome.panels(&report.nets))?;
        Printer::new(self.survey.json).result(&report, || outcome.describe(&report, acquisition))?;
        Ok(Exit::Done)
    }

    fn settings(&self) -> Result<PadSettings, Failure> {
        let nets = self.nets.iter().map(|id| id.as_str().into()).collect();
        let mut settings = PadSettings { nets, ..PadSettings::default() };
        if let Some(threshold) = self.pad_threshold {
            if !threshold.is_finite() {
                return Err(Failure::usage(format!("--pad-threshold {threshold}: a finite number is expected")));
            }
            settings.limits.min_log_odds = threshold;
        }
        if let Some(frames) = self.min_frames {
            settings.limits.min_frames = frames.into();
        }
        Ok(settings)
    }
}

/// The recordings of which frames gave nothing, those that cannot be read first, each with its reasons.
fn failures(recordings: &[PathBuf], seen: &[Vec<Result<SeenFrame, AcquisitionFailure>>]) -> Vec<FailureRecord> {
    let (mut unreadable, mut others) = (Vec::new(), Vec::new());
    for (path, frames) in recordings.iter().zip(seen) {
        let mut reasons: BTreeMap<String, (bool, usize)> = BTreeMap::new();
        for failure in frames.iter().filter_map(|frame| frame.as_ref().err()) {
            let is_unreadable = matches!(failure, AcquisitionFailure::Unreadable(_));
            reasons.entry(failure.to_string()).or_insert((is_unreadable, 0)).1 += 1;
        }
        for (reason, (is_unreadable, frames)) in reasons {
            let record = FailureRecord { recording: path.display().to_string(), reason, frames };
            if is_unreadable { unreadable.push(record) } else { others.push(record) }
        }
    }
    unreadable.append(&mut others);
    unreadable
}

fn describe_failures(acquisition: Rate, failures: &[FailureRecord]) -> String {
    let mut text = format!("{:<24} {acquisition}\n", "frames not assessed");
    for FailureRecord { recording, reason, frames } in failures.iter().take(NAMED) {
        text += &match frames {
            1 => format!("  {recording}: {reason}\n"),
            _ => format!("  {recording}: {reason} ({frames} frames)\n"),
        };
    }
    if failures.len() > NAMED {
        text += &format!("  ... and {} more; --json lists them all\n", failures.len() - NAMED);
    }
    text
}

impl Outcome {
    fn of(
        list: &List<Presented>,
        recordings: &[PathBuf],
        seen: &[Vec<Result<SeenFrame, AcquisitionFailure>>],
        limits: PadLimits,
    ) -> Self {
        let presentations = eval::presentations(list, recordings, seen, limits);
        let trial =
            |p: &Presentation, log_odds| PadTrial { subject: p.subject.clone(), species: p.species.clone(), log_odds };
        let whole = PadTrials::new(presentations.iter().filter_map(|p| Some(trial(p, p.mean()?))));
        let frames = PadTrials::new(presentations.iter().flat_map(|p| p.log_odds.iter().map(|odds| trial(p, *odds))));
        let tallies = DoorTally::by_species(&presentations);
        Self { presentations, whole, frames, tallies, limits }
    }

    /// What a door says to bona fide presentations.
    fn people(&self) -> DoorTally {
        self.tallies.get(&None).cloned().unwrap_or_default()
    }

    /// What a door says to attacks, by species.
    fn attacks(&self) -> impl Iterator<Item = (&String, &DoorTally)> {
        self.tallies.iter().filter_map(|(species, tally)| Some((species.as_ref()?, tally)))
    }

    fn report(
        &self,
        nets: Vec<String>,
        engine: &'static str,
        acquisition: Rate,
        failures: Vec<FailureRecord>,
    ) -> Report {
        let threshold = self.limits.min_log_odds;
        let whole = self.whole.at(threshold);
        let at_bpcer = |trials: &PadTrials| {
            let rates = trials.at_bpcer(BPCER).map(|rates| RatesRecord::of(&rates, Some(trials.resolves(BPCER))));
            BTreeMap::from([(BPCER.to_string(), rates)])
        };
        Report {
            apcer: records(&whole.apcer),
            bpcer: whole.bpcer.into(),
            threshold,
            worst_species: whole.worst_species().map(WorstRecord::of),
            worst_subject: whole.worst_subject().map(WorstRecord::of),
            at_bpcer: at_bpcer(&self.whole),
            frames: FramesRecord {
                rates: RatesRecord::of(&self.frames.at(threshold), None),
                at_bpcer: at_bpcer(&self.frames),
            },
            door: self.door(),
            nets,
            engine,
            presentations: self.presentations.len(),
            not_assessed: self.presentations.iter().filter(|p| p.log_odds.is_empty()).count(),
            acquisition: acquisition.into(),
            failures,
        }
    }

    fn door(&self) -> DoorRecord {
        let tally = |tally: &DoorTally| TallyRecord {
            bona_fide: tally.bona_fide,
            attack: tally.attack,
            undetermined: tally.undetermined.iter().map(|(doubt, n)| (doubt.as_str(), *n)).collect(),
            non_response: tally.non_response().into(),
        };
        let rates = |admitted| DoorRates {
            apcer: self.attacks().map(|(name, tally)| (name.clone(), tally.let_through(admitted).into())).collect(),
            bpcer: self.people().turned_away(admitted).into(),
        };
        DoorRecord {
            min_frames: self.limits.min_frames,
            bona_fide: tally(&self.people()),
            attacks: self.attacks().map(|(name, counted)| (name.clone(), tally(counted))).collect(),
            undetermined_refused: rates(false),
            undetermined_admitted: rates(true),
        }
    }

    fn describe(&self, report: &Report, acquisition: Rate) -> String {
        let bona_fide = self.presentations.iter().filter(|p| p.species.is_none()).count();
        let mut text = format!(
            "{} ({}): {} presentations, {bona_fide} bona fide and {} attacks; {} frames\n",
            report.nets.join(" + "),
            report.engine,
            report.presentations,
            report.presentations - bona_fide,
            acquisition.trials
        );
        text += &describe_failures(acquisition, &report.failures);
        if report.not_assessed > 0 {
            text += &format!(
                "{} presentations show no face in any frame and are in no rate but the door's\n",
                report.not_assessed
            );
        }
        for (heading, trials) in [("By presentation", &self.whole), ("By frame", &self.frames)] {
            text += &format!("\n{heading}, log-odds of at least {:.3}\n", self.limits.min_log_odds);
            text += &describe_rates(&trials.at(self.limits.min_log_odds));
            if let Some(rates) = trials.at_bpcer(BPCER) {
                text +=
                    &format!("{heading} at BPCER {} %, log-odds of at least {:.3}\n", 100.0 * BPCER, rates.threshold);
                text += &describe_rates(&rates);
            }
            if !trials.resolves(BPCER) {
                let (n, percent) = (trials.bona_fide().len(), 100.0 * BPCER);
                text +=
                    &format!("  BPCER {percent} % cannot be said from {n} bona fide trials: none of them is refused\n");
            }
        }
        text += &format!("\nAt the door, verdicts over at least {} judged frames\n", self.limits.min_frames);
        let people = self.people();
        text += &describe_tally("bona fide", &people);
        text += &self.attacks().map(|(name, tally)| describe_tally(name, tally)).collect::<String>();
        for (admitted, how) in [(false, "refused"), (true, "admitted")] {
            text += &format!("with what is undetermined {how}\n");
            for (name, tally) in self.attacks() {
                text += &line(&format!("APCER {name}"), tally.let_through(admitted));
            }
            text += &line("BPCER", people.turned_away(admitted));
        }
        text
    }

    fn panels(&self, nets: &[String]) -> Vec<Panel> {
        let tradeoff = |what: &str, trials: &PadTrials| {
            let marks: Vec<PadRates> =
                [Some(trials.at(self.limits.min_log_odds)), trials.at_bpcer(BPCER)].into_iter().flatten().collect();
            Panel::Tradeoff {
                title: format!("{}, by {what}", nets.join(" + ")),
                false_positives: "APCER",
                false_negatives: "BPCER",
                curves: trials.curves(&marks.iter().collect::<Vec<_>>()),
            }
        };
        let kind = |label: &str, scores: &[f64]| Kind {
            label: label.to_owned(),
            scores: scores.iter().map(|score| *score as f32).filter(|score| score.is_finite()).collect(),
        };
        let attacks = self.frames.attacks().iter().map(|(species, scores)| kind(species, scores));
        let mut thresholds = vec![("threshold".to_owned(), self.limits.min_log_odds as f32)];
        thresholds.extend(self.frames.at_bpcer(BPCER).map(|rates| ("BPCER 5 %".to_owned(), rates.threshold as f32)));
        vec![
            tradeoff("presentation", &self.whole),
            tradeoff("frame", &self.frames),
            Panel::Histogram {
                title: "Log-odds of frames".into(),
                scores: "log-odds of a bona fide presentation",
                kinds: std::iter::once(kind("bona fide", self.frames.bona_fide())).chain(attacks).collect(),
                thresholds,
            },
        ]
    }
}

fn line(what: &str, rate: Rate) -> String {
    format!("  {what:<22} {rate}\n")
}

fn describe_rates(rates: &PadRates) -> String {
    let mut text: String = rates.apcer.iter().map(|(species, rate)| line(&format!("APCER {species}"), *rate)).collect();
    if let Some((species, rate)) = rates.worst_species().filter(|_| rates.apcer.len() > 1) {
        text += &line(&format!("worst species {species}"), rate);
    }
    text += &line("BPCER", rates.bpcer);
    if let Some((subject, rate)) = rates.worst_subject().filter(|_| rates.bpcer_by_subject.len() > 1) {
        text += &line(&format!("worst subject {subject}"), rate);
    }
    text
}

fn describe_tally(name: &str, tally: &DoorTally) -> String {
    let doubts: Vec<String> = tally.undetermined.iter().map(|(doubt, n)| format!("{n} {doubt}")).collect();
    let doubts = if doubts.is_empty() { String::new() } else { format!(" ({})", doubts.join(", ")) };
    format!(
        "  {name:<22} {} taken for bona fide, {} for attacks, {} undetermined{doubts}\n",
        tally.bona_fide,
        tally.attack,
        tally.non_response().errors
    )
}
