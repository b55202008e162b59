use std::io::{self, Write};

use crate::{
    domain::{AccessEvent, Decision, DenyReason},
    emit::{EmitError, EventSink},
};

/// Events as lines for people.
pub(super) struct TextEvents<W: Write>(W);

impl<W: Write> TextEvents<W> {
    pub(super) fn new(out: W) -> Self {
        Self(out)
    }

    fn write(&mut self, event: &AccessEvent) -> io::Result<()> {
        let total = event.decided.monotonic.saturating_since(event.at.captured.monotonic);
        writeln!(
            self.0,
            "frame {:>4}  {}  {:<38} {:>4} ms after the frame",
            event.at.seq,
            if event.decision.is_granted() { "GRANTED" } else { "denied " },
            sentence(event),
            total.as_millis()
        )?;
        self.0.flush()
    }
}

fn sentence(event: &AccessEvent) -> String {
    let who = event.name.as_deref().unwrap_or("");
    match &event.decision {
        Decision::Granted(_) => who.into(),
        Decision::Denied(DenyReason::BelowThreshold) => "a stranger (below-threshold)".into(),
        Decision::Denied(DenyReason::Cooldown(_)) => format!("{who}, granted moments ago (cooldown)"),
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
