use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::door::{DoorArgs, parse_species, parse_subject};
use crate::{
    cmd::{Exit, Failure, printer::Printer, survey::survey},
    domain::{Clock, SystemClock},
    eval::{self, List, Presented, Qualification, QualificationRecord, Showing, showings},
};

/// Add presentations that this camera has recorded, by a list as `eval pad` takes it
#[derive(Debug, Args)]
#[command(after_help = "Example:
  doorward pad qualify from --config door.toml --list pad.csv --root recordings

The list is CSV with a header: image,attack,species,presentation,subject; `doorward eval pad --help` tells more. Record with the camera,
the resolution and the light of the door: of which camera they are, recordings cannot tell. A recording counts once. Exit code 1 when
nothing was added.")]
pub(super) struct FromList {
    #[command(flatten)]
    door: DoorArgs,

    /// What was presented: image|video,attack,species,presentation,subject
    #[arg(long, value_name = "CSV")]
    list: PathBuf,

    /// Folder that the paths in the list are relative to
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl FromList {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let list = List::presented(&self.list)?;
        let recordings = eval::recordings(&self.root, &list)?;
        let door = self.door.door(models)?;
        let conditions = door.conditions()?;
        door.file.read()?;
        let stages = door.stages();
        let seen = survey(&door.engine, &self.root, None, &recordings, "looking", &|| stages.look())?;
        let now = SystemClock.now().wall;
        let (mut records, mut without_face) = (Vec::new(), Vec::new());
        for (row, showing) in showings(&list, &recordings, &seen, door.pad.limits) {
            let (subject, species) = self.labels(row)?;
            match QualificationRecord::new(&showing, &subject, species.as_deref(), &conditions, now) {
                Some(record) => records.push(record),
                None => without_face.push(name(row, &showing)),
            }
        }
        let added = door.file.append(&records)?;
        let known = records.len() - added;
        let found = Qualification::of(&door.file.read()?, &conditions);
        let value = json!({
            "added": added,
            "recorded_before": known,
            "without_face": without_face,
            "qualified": found.is_qualified(),
        });
        Printer::new(self.json).result(&value, || {
            let mut text = format!("presentations added: {added}");
            if known > 0 {
                text += &format!("; in the record already, where a recording counts once: {known}");
            }
            for name in &without_face {
                text += &format!("\nno face, not recorded: {name}");
            }
            format!("{text}\n{found}\n")
        })?;
        Ok(if added > 0 { Exit::Done } else { Exit::Negative })
    }

    fn labels(&self, row: &Presented) -> Result<(String, Option<String>), Failure> {
        let named = |what: &str, error: String| Failure::usage(format!("list {}: {what} {error}", self.list.display()));
        let subject = parse_subject(&row.subject).map_err(|e| named("subject", e))?;
        let species = row.species.as_deref().map(parse_species).transpose().map_err(|e| named("species", e))?;
        Ok((subject, species))
    }
}

/// A presentation, for people.
fn name(row: &Presented, showing: &Showing) -> String {
    let kind = row.species.as_deref().unwrap_or("bona fide");
    format!("{}, {kind}, {} (frames: {})", row.subject, row.presentation, showing.without_face())
}
