use std::{io, io::Write, sync::Arc, time::Duration};

use crossbeam_channel::Receiver;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Failure, engine::Engine, printer::Printer, progress};
use crate::{
    capture::{self, Pacing},
    config::{Pace, SourceKind, SourceSettings},
    domain::{Embedding, SubjectId, SystemClock},
    enrol::{Advice, EnrolSession, Fed, Feed, Heading, Kind, Refusal, Sitting, SittingSettings, Step, Take},
};

/// How long to wait before looking whether somebody asked to stop; a source that gives nothing says so itself.
const TICK: Duration = Duration::from_millis(500);

/// A subject before a source.
pub(super) struct Sit<'a> {
    pub(super) source: SourceSettings,
    /// Templates wanted.
    pub(super) frames: usize,
    pub(super) id: &'a SubjectId,
    /// Templates that the subject has already.
    pub(super) known: Vec<Embedding>,
    /// Take whoever is to be seen.
    pub(super) anybody: bool,
}

/// What a sitting came to.
pub(super) struct Sat {
    pub(super) frames: usize,
    pub(super) taken: Result<Vec<Take>, Refusal>,
}

/// The source that is meant, played at its own pace if asked for.
pub(super) fn source(arg: &str, realtime: bool) -> Result<SourceSettings, Failure> {
    let settings = SourceSettings::from_arg(arg);
    if !realtime {
        return Ok(settings);
    }
    if settings.kind.is_live() {
        return Err(Failure::usage("--realtime: a live source sets its own pace; leave it out"));
    }
    Ok(SourceSettings { pace: Pace::Realtime, ..settings })
}

impl Sit<'_> {
    /// Looks at frames until enough are taken, the source ends, or there is no use in it; `None` when a signal asked to stop.
    pub(super) fn hold(
        self,
        engine: &Engine,
        session: &mut EnrolSession,
        printer: &mut Printer,
        stop: &Receiver<()>,
    ) -> Result<Option<Sat>, Failure> {
        let source = self.source.clone();
        let open = Box::new(move |stop| capture::open(&source, Arc::new(SystemClock), stop));
        let feed = Feed::start(self.source.name.clone(), open)?;
        let Some(pacing) = feed.pacing(stop)? else { return Ok(None) };
        let kind = match (pacing, &self.source.kind) {
            (Pacing::Live, _) => Kind::Guided,
            (Pacing::OnDemand, SourceKind::Images(_)) => Kind::PICTURES,
            (Pacing::OnDemand, _) => Kind::Recording { interval: Duration::from_secs_f32(1.0 / self.source.fps) },
        };
        let one_person = if self.anybody { None } else { engine.one_person()? };
        let settings = SittingSettings { kind, frames: self.frames, limits: engine.quality, one_person };
        let mut narrator = Narrator::new(&settings, printer);
        let mut sitting = Sitting::new(settings, self.known);
        let mut hold = || -> Result<bool, Failure> {
            loop {
                match feed.next(stop, TICK)? {
                    Fed::Nothing => {}
                    Fed::Interrupted => return Ok(false),
                    Fed::End => return Ok(true),
                    Fed::Frame(frame) => {
                        let look = session.look(&frame.image, self.id)?;
                        let step = sitting.look(frame.at.seq, settings.time_of(&frame.at), look)?;
                        narrator.tell(&step, sitting.frames())?;
                        if step.over {
                            return Ok(true);
                        }
                    }
                }
            }
        };
        let held = hold();
        narrator.clear();
        if !held? {
            return Ok(None);
        }
        Ok(Some(Sat { frames: sitting.frames(), taken: sitting.finish()? }))
    }
}

/// Says what the sitter is to do: on one line of the terminal, line by line where there is none, or as JSON.
struct Narrator<'a> {
    printer: &'a mut Printer,
    /// Hidden where nobody looks.
    bar: ProgressBar,
    of: usize,
    /// What was said last, and how many were taken then.
    said: Option<(Advice, usize)>,
}

/// What changed.
#[derive(Serialize)]
struct GuideRecord<'a> {
    guide: Advice,
    taken: usize,
    of: usize,
    /// Headings that did not come and are not waited for any more.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    given_up: &'a [Heading],
}

impl<'a> Narrator<'a> {
    fn new(settings: &SittingSettings, printer: &'a mut Printer) -> Self {
        let bar = match settings.kind {
            Kind::Guided if printer.is_json() => ProgressBar::hidden(),
            Kind::Guided => progress::line(settings.frames),
            Kind::Recording { .. } => progress::bar(settings.max_recorded(), "looking"),
        };
        Self { printer, bar, of: settings.frames, said: None }
    }

    fn tell(&mut self, step: &Step, looked_at: usize) -> io::Result<()> {
        let Some(guide) = step.advice else {
            self.bar.set_position(looked_at as u64);
            return Ok(());
        };
        if self.said == Some((guide, step.taken)) && step.given_up.is_empty() {
            return Ok(());
        }
        self.said = Some((guide, step.taken));
        if self.printer.is_json() {
            let record = GuideRecord { guide, taken: step.taken, of: self.of, given_up: &step.given_up };
            self.printer.result(&record, String::new)?;
            return self.printer.flush();
        }
        let mut text = guide.to_string();
        for heading in &step.given_up {
            text = format!("never mind ({}); {text}", heading.as_str());
        }
        if self.bar.is_hidden() {
            return writeln!(io::stderr(), "[{}/{}] {text}", step.taken, self.of);
        }
        self.bar.set_message(text);
        self.bar.set_position(step.taken as u64);
        Ok(())
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
