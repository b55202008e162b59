use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{EmitError, EventRecord, EventSink};
use crate::domain::Event;

/// Events as JSON lines: one object a line, each handed on whole.
#[derive(Debug)]
pub struct JsonLines<W> {
    name: String,
    out: W,
    scores: bool,
    /// The last write failed, perhaps in the middle of a line: start the next on a line of its own.
    torn: bool,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, called `name` in logs; similarities only with `scores`.
    pub fn new(name: impl Into<String>, out: W, scores: bool) -> Self {
        Self { name: name.into(), out, scores, torn: false }
    }
}

impl JsonLines<File> {
    /// Appends to the file, which is made, readable by its owner alone, when it is not there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn append(path: &Path, scores: bool) -> Result<Self, EmitError> {
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let out = open.map_err(|source| EmitError::Open { path: path.into(), source })?;
        Ok(Self::new(path.display().to_string(), out, scores))
    }
}

impl<W: Write> EventSink for JsonLines<W> {
    fn name(&self) -> &str {
        &self.name
    }

    fn emit(&mut self, event: &Event) -> Result<(), EmitError> {
        let mut line = if self.torn { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut line, &EventRecord::new(event, self.scores))
            .expect("an event has only string keys and finite numbers");
        line.push(b'\n');
        match self.out.write_all(&line).and_then(|()| self.out.flush()) {
            Ok(()) => {
                self.torn = false;
                Ok(())
            }
            Err(e) => {
                self.torn = true;
                let sink = self.name.clone();
                Err(match e.kind() {
                    io::ErrorKind::BrokenPipe => EmitError::Closed { sink },
                    _ => EmitError::Write { sink, source: e },
                })
            }
        }
    }
}
