//! Parses the command line, calls one command, turns an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use doorward::cmd::{Cli, Exit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.verbosity());
    match cli.run() {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => Exit::Done.into(),
        Err(failure) => {
            eprintln!("doorward: {failure:#}");
            failure.exit.into()
        }
    }
}

/// Logs go to standard error; `RUST_LOG` overrides the command line.
fn start_log(verbosity: u8) {
    let level = match verbosity {
        0 => "warn,doorward=warn",
        1 => "warn,doorward=info",
        _ => "info,doorward=debug",
    };
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).format_target(false).init();
}
