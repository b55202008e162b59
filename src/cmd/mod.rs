//! The command line: one file a subcommand. Everything here composes the other rooms and speaks
//! with people; nothing here decides.

mod annotation;
mod batch;
mod bench;
mod calibrate;
mod cameras;
mod completions;
mod compute;
mod demo;
mod detect;
mod doctor;
mod embed;
mod engine;
mod enrol;
mod eval;
mod exit;
mod gallery;
mod herald;
mod identify;
mod import;
mod journal;
mod man;
mod models;
mod pad;
mod place;
mod printer;
mod progress;
mod run;
mod scene;
mod service;
mod sheet;
mod sitting;
mod survey;
mod text_events;
mod verify;

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

pub use exit::{Exit, Failure};
pub use journal::Log;

/// Face recognition at the door, on the board beside it.
///
/// Camera frames in, access events out: faces are found, aligned, turned into ArcFace embeddings and compared with a
/// local, encrypted gallery. Nothing leaves the building.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Folder with a catalogue.toml and the model files, instead of the models in the binary
    #[arg(long, global = true, value_name = "DIR")]
    models: Option<PathBuf>,

    /// Say more on standard error (-v: what happens, -vv: every detail)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

const EXAMPLES: &str = "\
Examples:
  doorward demo                               see it work: a short real sequence, a gallery that is thrown away
  doorward enrol \"Ada Lovelace\" ada-*.jpg     enrol a subject from photos
  doorward identify visitor.jpg               who is this?
  doorward doctor                             is everything ready on this board?
  doorward run --config /etc/doorward/doorward.toml

Exit codes: 0 done; 1 a negative result (no match, denied, nobody enrolled); 2 usage or configuration; 3 run time; 130 stopped by a signal.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Run(run::Run),
    Enrol(enrol::Enrol),
    Gallery(gallery::Gallery),
    Identify(identify::Identify),
    Verify(verify::Verify),
    Embed(embed::Embed),
    Detect(detect::Detect),
    Bench(bench::Bench),
    Eval(eval::Eval),
    Calibrate(calibrate::Calibrate),
    Pad(pad::Pad),
    Doctor(doctor::Doctor),
    Cameras(cameras::Cameras),
    Models(models::Models),
    Completions(completions::Completions),
    #[command(hide = true)]
    Man(man::Man),
}

impl Cli {
    /// How much to log: 0 is warnings and errors.
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// Runs the subcommand.
    ///
    /// # Errors
    /// With the message for the user and the exit code.
    pub fn run(self) -> Result<Exit, Failure> {
        let models = self.models.as_deref();
        match self.command {
            Command::Demo(c) => c.run(models),
            Command::Run(c) => c.run(models),
            Command::Enrol(c) => c.run(models),
            Command::Gallery(c) => c.run(),
            Command::Identify(c) => c.run(models),
            Command::Verify(c) => c.run(models),
            Command::Embed(c) => c.run(models),
            Command::Detect(c) => c.run(models),
            Command::Bench(c) => c.run(models),
            Command::Eval(c) => c.run(models),
            Command::Calibrate(c) => c.run(models),
            Command::Pad(c) => c.run(models),
            Command::Doctor(c) => c.run(models),
            Command::Cameras(c) => c.run(),
            Command::Models(c) => c.run(models),
            Command::Completions(c) => c.run(),
            Command::Man(c) => c.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
