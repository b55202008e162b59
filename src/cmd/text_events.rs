use std::io::{self, Write};

use crate::{
    domain::{
        AccessEvent, Decision, DenyReason, Event, HintEvent, News, PadVerdict, PresentationEvent, SourceChange,
        SourceEvent,
    },
    emit::{EmitError, EventSink},
};

/// Events as lines for people.
pub(super) struct TextEvents<W: Write>(W);

impl<W: Write> TextEvents<W> {
    pub(super) fn new(out: W) -> Self {
        Self(out)
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        match &event.news {
            News::Access(access) => self.write_access(access)?,
            News::Hint(HintEvent { at, hint, .. }) => writeln!(self.0, "frame {:>4}  hint     {hint}", at.seq)?,
            News::Presentation(PresentationEvent { at, verdict, .. }) => {
                writeln!(self.0, "frame {:>4}  report   {}", at.seq, finding(*verdict))?;
            }
            News::Source(SourceEvent { source, change: SourceChange::Lost { why }, .. }) => {
                writeln!(self.0, "source {source}: lost: {why}")?;
            }
            News::Source(SourceEvent { source, at, change: SourceChange::Back { lost } }) => {
                let ms = at.monotonic.saturating_since(lost.monotonic).as_millis();
                writeln!(self.0, "source {source}: back after {ms} ms")?;
            }
        }
        self.0.flush()
    }

    fn write_access(&mut self, event: &AccessEvent) -> io::Result<()> {
        let total = event.decided.monotonic.saturating_since(event.at.captured.monotonic);
        writeln!(
            self.0,
            "frame {:>4}  {}  {:<38} {:>4} ms after the frame",
            event.at.seq,
            if event.decision.is_granted() { "GRANTED" } else { "denied " },
            sentence(event),
            total.as_millis()
        )
    }
}

fn finding(verdict: PadVerdict) -> String {
    match verdict {
        PadVerdict::NotAssessed => "presentation not assessed".into(),
        PadVerdict::BonaFide(_) => "bona fide presentation".into(),
        PadVerdict::Attack(_) => "presentation attack".into(),
        PadVerdict::Undetermined(doubt) => format!("presentation undetermined ({doubt})"),
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

    fn emit(&mut self, event: &Event) -> Result<(), EmitError> {
        let sink = "standard output".to_owned();
        self.write(event).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => EmitError::Closed { sink },
            _ => EmitError::Write { sink, source: e },
        })
    }
}
