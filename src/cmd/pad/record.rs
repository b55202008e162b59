use std::{collections::BTreeMap, path::Path, slice, sync::Arc};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::door::{Door, DoorArgs, parse_species, parse_subject};
use crate::{
    capture::{self, Reader, stop_token},
    cmd::{Exit, Failure, printer::Printer, progress},
    config::Pace,
    domain::{Clock, PadDoubt, SystemClock},
    eval::{Glimpse, Outcome, Qualification, QualificationRecord, Showing},
};

/// Present one person, or one attack, to the camera once
///
/// Takes thirty judged frames, or ten seconds, and says what a door would have made of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward pad qualify record --config door.toml --subject Ada --bona-fide
  doorward pad qualify record --config door.toml --subject Ada --attack screen
  doorward pad qualify record --source ada.mjpeg --subject Ada --bona-fide

Come to the camera, or hold the attack up to it, as at the door; one face at a time. Do it as often as the gate asks for, each time
anew: leave, and come again. Exit code 1 when nothing was recorded.")]
pub(super) struct Record {
    #[command(flatten)]
    door: DoorArgs,

    /// Who is shown: the person, or the one whose picture is held up; a name or a number
    #[arg(long, value_name = "NAME", value_parser = parse_subject)]
    subject: String,

    #[command(flatten)]
    kind: KindArgs,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What is presented.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct KindArgs {
    /// The person is there
    #[arg(long)]
    bona_fide: bool,

    /// An attack of this species: print, screen, or another name
    #[arg(long, value_name = "SPECIES", value_parser = parse_species)]
    attack: Option<String>,
}

impl Record {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let door = self.door.door(models)?;
        let conditions = door.conditions()?;
        // A record that cannot be read is told before anybody stands before the camera.
        door.file.read()?;
        let showing = show(&door)?;
        let species = self.kind.attack.as_deref().filter(|_| !self.kind.bona_fide);
        let record = QualificationRecord::new(&showing, &self.subject, species, &conditions, SystemClock.now().wall);
        let added = record.as_ref().map_or(Ok(0), |record| door.file.append(slice::from_ref(record)))?;
        let standing = Qualification::of(&door.file.read()?, &conditions);
        let value = json!({
            "recorded": added == 1,
            "subject": self.subject,
            "species": species,
            "outcome": record.as_ref().map(|record| record.outcome.as_str()),
            "mean_log_odds": showing.mean(),
            "judged": showing.judged(),
            "not_judged": showing.doubts().into_iter().map(|(doubt, n)| (doubt.as_str(), n)).collect::<BTreeMap<_, _>>(),
            "without_face": showing.without_face(),
            "qualified": standing.is_qualified(),
        });
        Printer::new(self.json).result(&value, || {
            let said = match (&record, added) {
                (None, _) => format!("no face in any frame ({}): nothing is recorded", showing.without_face()),
                (Some(_), 0) => "these frames are in the record already: a recording counts once".to_owned(),
                (Some(record), _) => describe(record, &showing),
            };
            format!("{said}\n{standing}\n")
        })?;
        Ok(if added == 1 { Exit::Done } else { Exit::Negative })
    }
}

/// Looks at the door's source until the presentation is over.
fn show(door: &Door) -> Result<Showing, Failure> {
    let mut eyes = door.stages().eyes()?;
    let (_token, stop) = stop_token();
    let mut source = capture::open(&door.source, Arc::new(SystemClock), stop)?;
    let mut reader = Reader::new(door.source.name.clone());
    // A recording has no time of its own.
    let is_timed = door.source.kind.is_live() || door.source.pace == Pace::Realtime;
    let mut showing = Showing::new(door.pad.limits);
    let bar = progress::bar(showing.wanted(), "looking for a face");
    while let Some(frame) = reader.next(source.as_mut())? {
        let at = is_timed.then_some(frame.at.captured.monotonic);
        let glimpse = showing.add(at, &eyes.frame(&frame.at, &frame.image)?);
        tell(&bar, glimpse, showing.judged());
        if showing.is_over(at) {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(showing)
}

fn tell(bar: &ProgressBar, glimpse: Glimpse, judged: usize) {
    bar.set_position(judged as u64);
    bar.set_message(match glimpse {
        Glimpse::Judged => "looking",
        Glimpse::Doubted(doubt) => advice(doubt),
        Glimpse::NoFace => "no face in sight",
    });
}

/// What to do about frames that are not judged.
fn advice(doubt: PadDoubt) -> &'static str {
    match doubt {
        PadDoubt::Small => "come nearer, the face is too small",
        PadDoubt::Scale => "step back or to the middle, there is too little around the face",
        PadDoubt::Monochrome => "the picture has no colour: more light, or the camera out of its night mode",
        PadDoubt::Dark => "more light on the face",
        PadDoubt::Blurred => "hold still, the face is blurred",
        PadDoubt::TooFewFrames => "stay longer",
    }
}

fn describe(record: &QualificationRecord, showing: &Showing) -> String {
    let kind = record.species.as_deref().map_or("bona fide".to_owned(), |species| format!("attack ({species})"));
    let outcome = match record.outcome {
        Outcome::Accepted => "taken for bona fide".to_owned(),
        Outcome::Refused => "taken for an attack".to_owned(),
        Outcome::Undetermined(doubt) => format!("undetermined, {doubt} ({})", advice(doubt)),
    };
    let mean = showing.mean().map_or(String::new(), |mean| format!(", mean log-odds {mean:.2}"));
    let mut text = format!("{}, {kind}: {outcome}; judged frames {}{mean}", record.subject, showing.judged());
    for (doubt, frames) in showing.doubts() {
        text += &format!("\n  {frames} not judged, {doubt}: {}", advice(doubt));
    }
    text
}
