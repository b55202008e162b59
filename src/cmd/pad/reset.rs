use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    cmd::{Exit, Failure, place::GalleryPlace, printer::Printer},
    config::Config,
    eval::QualificationFile,
};

/// Remove the record: the next presentation is the first
///
/// A record that is thrown away because it did not pass proves nothing when the next one does: change something before.
#[derive(Debug, Args)]
pub(super) struct Reset {
    /// Configuration of the door, for the gallery's folder
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    place: GalleryPlace,

    /// Yes, remove it
    #[arg(long)]
    yes: bool,

    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Reset {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let configured = self.config.as_deref().map(Config::load).transpose()?.and_then(|config| config.gallery_dir);
        let file = QualificationFile::in_folder(&self.place.dir(configured)?);
        let path = file.path().display();
        if !self.yes {
            return Err(Failure::usage(format!("{path}: the record would be removed for good; say so with --yes")));
        }
        let was_there = file.reset()?;
        let said = if was_there { "removed" } else { "there is no record" };
        Printer::new(self.json).result(&json!({"removed": was_there}), || format!("{path}: {said}"))?;
        Ok(Exit::Done)
    }
}
