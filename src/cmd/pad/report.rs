use std::{collections::BTreeMap, path::Path};

use clap::Args;
use serde_json::{Value, json};

use super::door::DoorArgs;
use crate::{
    cmd::{Exit, Failure, printer::Printer},
    eval::{Counted, Gate, Qualification, Rate, Standing},
};

/// How far the camera is: counts by species and by person, exact intervals, and whether the gate is met
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward pad qualify report --config door.toml

Exit code 0 when the camera is qualified, else 1.")]
pub(super) struct Report {
    #[command(flatten)]
    door: DoorArgs,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let door = self.door.door(models)?;
        let conditions = door.conditions()?;
        let found = Qualification::of(&door.file.read()?, &conditions);
        Printer::new(self.json).result(&value(&found), || {
            let standing = match &found {
                Qualification::Qualified(standing) | Qualification::Not(standing) => describe(standing),
                Qualification::Stale { .. } => String::new(),
            };
            format!("{}\nrecord {}\n{standing}\n{found}\n", conditions.describe(), door.file.path().display())
        })?;
        Ok(if found.is_qualified() { Exit::Done } else { Exit::Negative })
    }
}

/// Both kinds: what they are called, their counts, their gate, and how their error rate is called.
fn kinds(standing: &Standing) -> impl Iterator<Item = (&str, &Counted, Rate, &'static str)> {
    let attacks =
        standing.attacks.iter().map(|(species, counted)| (species.as_str(), counted, counted.accepted(), "APCER"));
    attacks.chain([("bona fide", &standing.bona_fide, standing.bona_fide.denied(), "BPCER")])
}

fn describe(standing: &Standing) -> String {
    let mut text = String::new();
    if let Some([width, height]) = standing.frame_px {
        text += &format!("frames of {width}x{height} px\n");
    }
    for ((_, counted, rate, name), Gate { met, text: gate }) in kinds(standing).zip(standing.gates()) {
        text += &format!("\n{} {gate}\n", if met { "met    " } else { "not met" });
        if counted.tally.all() == 0 {
            continue;
        }
        text += &format!("  {name} {rate}; at most {:.1} % (95 %, one-sided)\n", 100.0 * rate.upper_bound());
        if counted.undetermined() > 0 {
            let doubts: Vec<String> = counted.doubts().iter().map(|(doubt, n)| format!("{n} {doubt}")).collect();
            let (n, all) = (counted.undetermined(), counted.tally.all());
            text += &format!("  undetermined {n} of {all}: {}\n", doubts.join(", "));
        }
        for (subject, Rate { errors, trials }) in &counted.by_subject {
            text += &format!("  {subject}: {errors} of {trials}\n");
        }
    }
    let warnings: String = standing.warnings().into_iter().map(|warning| format!("\nnote: {warning}")).collect();
    text + &warnings
}

fn value(found: &Qualification) -> Value {
    let state = match found {
        Qualification::Qualified(_) => "qualified",
        Qualification::Not(_) => "not-qualified",
        Qualification::Stale { .. } => "stale",
    };
    let mut value = json!({"qualified": found.is_qualified(), "state": state, "text": found.to_string()});
    match found {
        Qualification::Stale { changed, presentations } => {
            value["changed"] = json!(changed);
            value["presentations"] = json!(presentations);
        }
        Qualification::Qualified(standing) | Qualification::Not(standing) => {
            let mut kinds: BTreeMap<&str, Value> = kinds(standing)
                .zip(standing.gates())
                .map(|((kind, counted, rate, _), gate)| (kind, counts(counted, rate, &gate)))
                .collect();
            value["bona_fide"] = kinds.remove("bona fide").unwrap_or_default();
            value["attacks"] = json!(kinds);
            value["frame_px"] = json!(standing.frame_px);
            value["not_counted"] = json!(standing.not_counted);
            value["damaged_lines"] = json!(standing.damaged());
            value["warnings"] = json!(standing.warnings());
        }
    }
    value
}

fn counts(counted: &Counted, rate: Rate, gate: &Gate) -> Value {
    let interval = rate.interval();
    let by_subject: BTreeMap<_, _> = counted
        .by_subject
        .iter()
        .map(|(subject, rate)| (subject, json!({"errors": rate.errors, "trials": rate.trials})))
        .collect();
    let doubts: BTreeMap<_, _> = counted.doubts().iter().map(|(doubt, n)| (doubt.as_str(), n)).collect();
    json!({
        "met": gate.met,
        "presentations": counted.tally.all(),
        "errors": rate.errors,
        "trials": rate.trials,
        "rate": rate.value(),
        "low": interval.low,
        "high": interval.high,
        "upper_bound": rate.upper_bound(),
        "undetermined": doubts,
        "by_subject": by_subject,
    })
}
