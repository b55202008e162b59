use std::io::{self, StdoutLock, Write};

use serde::Serialize;

/// Writes results to standard output: JSON lines for programs, or text for people.
pub(super) struct Printer {
    json: bool,
    out: StdoutLock<'static>,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, out: io::stdout().lock() }
    }

    /// Whether it writes for programs.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Lets a reader have what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// One result: as a JSON line, or as the text that `text` makes of it.
    pub(super) fn result(&mut self, record: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.out, record)?;
            self.out.write_all(b"\n")
        } else {
            let text = text();
            self.out.write_all(text.as_bytes())?;
            if text.ends_with('\n') || text.is_empty() { Ok(()) } else { self.out.write_all(b"\n") }
        }
    }
}
