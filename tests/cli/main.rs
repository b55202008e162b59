//! The command line from outside: results, exit codes, and what bad input is told. Real models, real faces.

mod bad_input;
mod calibrate;
mod commands;
mod engine;
mod eval;
mod events;
mod manual;
mod pad;
mod purified;
mod qualify;
mod service;
mod sface;
mod sitting;

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn picture(name: &str) -> String {
    project("tests/pictures").join(name).display().to_string()
}

fn obama(name: &str) -> String {
    project("demo/enrol/Barack Obama").join(name).display().to_string()
}

/// A place of its own for one test: a home, a gallery.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn gallery(&self) -> String {
        self.path("gallery").display().to_string()
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.args(arguments).env_remove("STATE_DIRECTORY").env_remove("CREDENTIALS_DIRECTORY");
        command
            .env_remove("RUST_LOG")
            .env_remove("DOORWARD_ISA")
            .env_remove("XDG_DATA_HOME")
            .env("HOME", self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    /// Enrols Barack Obama from both photos.
    fn enrol(&self) {
        let said =
            self.run(&["enrol", "Barack Obama", &obama("2009.jpg"), &obama("2010.jpg"), "--gallery", &self.gallery()]);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

/// What a command said, and its exit code.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let said = Self {
            code: output.status.code().expect("not killed by a signal"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        };
        assert!(!said.err.contains("panicked"), "{said:?}");
        said
    }

    /// Standard output as JSON lines.
    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
    }
}
