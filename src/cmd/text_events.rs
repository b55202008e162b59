use std::io::{self, Write};

use crate::{
    domain::{AccessEvent, Decision, DenyReason},
    emit::{EmitError, EventSink},
};

/// Events as lines for people: one line when something new happens at the door, a count of the
/// frames in which it went on.
pub(super) struct TextEvents<W: Write> {
    out: W,
    last: Option<AccessEvent>,
    repeats: u64,
}

impl<W: Write> TextEvents<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, last: None, repeats: 0 }
    }

    fn write(&mut self, event: &AccessEvent) -> io::Result<()> {
        if self.last.as_ref().is_some_and(|last| last.decision == event.decision) {
            self.repeats += 1;
            return Ok(());
        }
        self.close()?;
        let total = event.decided.monotonic.saturating_since(event.at.captured.monotonic);
        writeln!(
            self.out,
            "frame {:>4}  {}  {:<38} {:>4} ms after the frame",
            event.at.seq,
            if event.decision.is_granted() { "GRANTED" } else { "denied " },
            sentence(event),
            total.as_millis()
        )?;
        self.last = Some(event.clone());
        self.out.flush()
    }

    fn close(&mut self) -> io::Result<()> {
        if self.repeats > 0 {
            writeln!(self.out, "            and so for {} frames more", self.repeats)?;
        }
        self.repeats = 0;
        Ok(())
    }
}

fn sentence(event: &AccessEvent) -> String {
    let who = event.name.as_deref().unwrap_or("");
    match &event.decision {
        Decision::Granted(_) => who.into(),
        Decision::Denied(DenyReason::BelowThreshold) => "a stranger (below-threshold)".into(),
        Decision::Denied(DenyReason::Cooldown(_)) => format!("{who}, still there (cooldown)"),
        Decision::Denied(reason) => format!("{who}{}{reason}", if who.is_empty() { "" } else { ": " }),
    }
}

impl<W: Write> EventSink for TextEvents<W> {
    fn name(&self) -> &str {
        "text"
    }

    fn emit(&mut self, event: &AccessEvent) -> Result<(), EmitError> {
        let sink = "standard output".to_owned();
        self.write(event).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => EmitError::Closed { sink },
            _ => EmitError::Write { sink, source: e },
        })
    }
}

impl<W: Write> Drop for TextEvents<W> {
    fn drop(&mut self) {
        // The last count; nobody is left to tell if it cannot be written.
        let _ = self.close().and_then(|()| self.out.flush());
    }
}
