//! `doorward pad qualify`: a camera's owner presents people and attacks to it, and is told whether it may be relied on.

mod door;
mod from;
mod record;
mod report;
mod reset;

use std::path::Path;

use clap::{Args, Subcommand};

use super::{Exit, Failure};

/// Presentation attack detection: qualify the camera of a door
#[derive(Debug, Args)]
pub(super) struct Pad {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Qualify(Qualify),
}

/// Present people and attacks to a camera, and see whether a door may rely on what the nets say of them
///
/// What was measured elsewhere does not carry over to another camera and another light. The gate: 29 attacks of each species, prints and
/// screens at least, and none accepted; 59 bona fide presentations, and none denied. docs/pad.md tells how to go about it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward pad qualify record --config door.toml --subject Ada --bona-fide
  doorward pad qualify record --config door.toml --subject Ada --attack print
  doorward pad qualify report --config door.toml

No picture is kept: numbers, the species, and the subject as you write it (a number does as well as a name).")]
struct Qualify {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    Record(record::Record),
    Report(report::Report),
    From(from::FromList),
    Reset(reset::Reset),
}

impl Pad {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let What::Qualify(qualify) = self.what;
        match qualify.step {
            Step::Record(c) => c.run(models),
            Step::Report(c) => c.run(models),
            Step::From(c) => c.run(models),
            Step::Reset(c) => c.run(),
        }
    }
}
