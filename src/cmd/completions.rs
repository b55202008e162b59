use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, Failure};

/// Print what lets a shell complete doorward's command line
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward completions bash > ~/.local/share/bash-completion/completions/doorward
  doorward completions fish > ~/.config/fish/completions/doorward.fish

The packages install them for bash, zsh and fish.")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        // Into memory first: a closed pipe would be a panic in there.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        io::stdout().write_all(&script)?;
        Ok(Exit::Done)
    }
}
