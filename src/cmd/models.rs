use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Exit, Failure, compute::open_store, import::Import, printer::Printer};
use crate::{
    config::EngineSettings,
    models::{ModelCard, Verification},
};

/// The models: what they are, where they come from, whether they are whole
#[derive(Debug, Args)]
pub(super) struct Models {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line a model; * marks those taken on this processor when none is named
    List {
        /// One JSON object a model
        #[arg(long)]
        json: bool,
    },
    /// A model's card
    Show {
        /// Its id
        id: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    Import(Box<Import>),
    /// Check every file against its length and SHA-256
    Verify {
        /// One JSON object a model
        #[arg(long)]
        json: bool,
    },
}

/// A model file, checked.
#[derive(Serialize)]
pub(super) struct Check {
    id: String,
    file: String,
    pub(super) ok: bool,
    pub(super) error: Option<String>,
}

impl Check {
    pub(super) fn of(checked: Verification) -> Self {
        let error = checked.outcome.err().map(|e| e.to_string());
        Self { id: checked.id, file: checked.file, ok: error.is_none(), error }
    }
}

impl Models {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let store = || open_store(models, EngineSettings::default());
        match self.what {
            What::Import(import) => import.run(models),
            What::List { json } => {
                let store = store()?;
                let mut printer = Printer::new(json);
                for card in store.catalogue().models() {
                    printer.result(card, || {
                        let taken = store.default_for(card.role).is_ok_and(|default| default.id == card.id);
                        format!(
                            "{} {:<30} {:<11} {:<5} {:>8} bytes  {:<18} {}",
                            if taken { "*" } else { " " },
                            card.id,
                            card.role,
                            card.precision,
                            card.bytes,
                            card.licence,
                            card.title
                        )
                    })?;
                }
                Ok(Exit::Done)
            }
            What::Show { id, json } => {
                let store = store()?;
                let card = store.catalogue().get(&id).map_err(|e| Failure::usage(e.to_string()))?;
                Printer::new(json).result(card, || show(card))?;
                Ok(Exit::Done)
            }
            What::Verify { json } => {
                let mut printer = Printer::new(json);
                let mut whole = true;
                for check in store()?.verify() {
                    let record = Check::of(check);
                    whole &= record.ok;
                    printer.result(&record, || match &record.error {
                        None => format!("ok      {}  {}", record.id, record.file),
                        Some(e) => format!("REFUSED {}  {e}", record.id),
                    })?;
                }
                Ok(if whole { Exit::Done } else { Exit::Failed })
            }
        }
    }
}

/// The card as text. Its TOML form is what people wrote, so it is what people read.
fn show(card: &ModelCard) -> String {
    toml::to_string_pretty(card).unwrap_or_else(|e| format!("{}: the card cannot be shown: {e}", card.id))
}
