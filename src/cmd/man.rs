use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, CommandFactory};
use clap_mangen::{
    Man as Page,
    roff::{Roff, roman},
};

use super::{Cli, Exit, Failure};

/// Write the manual's pages, one a command: doorward.1, doorward-run.1, ...
///
/// For those who package doorward; the packages have them.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Folder for the pages; it is made
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        fs::create_dir_all(&self.dir)
            .map_err(|e| Failure::usage(format!("{}: cannot be made a folder for pages: {e}", self.dir.display())))?;
        // `doorward help` explains the others, which have pages of their own.
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        write_pages(&command, &self.dir)?;
        Ok(Exit::Done)
    }
}

/// Writes the page of `command`, then those of its subcommands.
fn write_pages(command: &clap::Command, dir: &Path) -> Result<(), Failure> {
    let source = concat!("doorward ", env!("CARGO_PKG_VERSION"));
    // No date, by which two builds would differ; the quotes hold its place, which the crate does not.
    let page = Page::new(command.clone()).date("\"\"").source(source).manual("doorward");
    let path = dir.join(page.get_filename());
    fs::write(&path, rendered(command, &page)?)
        .map_err(|e| anyhow::Error::new(e).context(format!("{}: cannot be written", path.display())))?;
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| write_pages(sub, dir))
}

/// The whole page. `Page::render` would fill the lines of our examples to one paragraph.
fn rendered(command: &clap::Command, page: &Page) -> io::Result<Vec<u8>> {
    let mut roff = Vec::new();
    page.render_title(&mut roff)?;
    page.render_name_section(&mut roff)?;
    page.render_synopsis_section(&mut roff)?;
    page.render_description_section(&mut roff)?;
    page.render_options_section(&mut roff)?;
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        page.render_subcommands_section(&mut roff)?;
    }
    if let Some(help) = command.get_after_help() {
        notes(&help.to_string()).to_writer(&mut roff)?;
    }
    Ok(roff)
}

/// What stands below the options in the help: indented lines are kept as they are, others are filled.
fn notes(help: &str) -> Roff {
    let mut roff = Roff::default();
    roff.control("SH", ["NOTES"]);
    let mut kept = false;
    for line in help.lines() {
        if line.starts_with(' ') != kept {
            kept = !kept;
            roff.control(if kept { "nf" } else { "fi" }, []);
        }
        if line.is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line)]);
        }
    }
    if kept {
        roff.control("fi", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_lines_are_kept_and_others_filled() {
        let page = notes("Examples:\n  doorward a\n  doorward b\n\nOne sentence\nover two lines.").to_roff();
        let body = page.split_once(".SH NOTES\n").expect("a section").1;
        assert_eq!(body, "Examples:\n.nf\n  doorward a\n  doorward b\n.fi\n.PP\nOne sentence\nover two lines.\n");
        assert!(notes("  doorward a").to_roff().ends_with("doorward a\n.fi\n"), "what is kept ends with the section");
    }
}
