//! Parses the command line, calls one command, turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use doorward::cmd::{Cli, Exit, Log};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = Log::start(cli.verbosity());
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => Exit::Done.into(),
        Err(failure) => {
            log.failure(&failure);
            failure.exit.into()
        }
    }
}
