use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, never, select};

use super::{
    PipelineError,
    backoff::Backoff,
    counters::{Counters, count},
};
use crate::{
    capture::StopSignal,
    domain::{BootId, Event, EventId, News, SourceEvent},
    emit::{EmitError, EventSink},
};

/// How long a sink that fails is still tried once the pipeline was told to stop, all events together.
const FAILING_SINK_GRACE: Duration = Duration::from_millis(500);

/// What every event of this door says of it.
pub(super) struct Doorplate {
    pub(super) door: Arc<str>,
    pub(super) boot: BootId,
}

/// Makes events of the news and hands every one to every sink, in order.
pub(super) struct EmitStage {
    /// Ends when the recogniser has ended.
    pub(super) news: Receiver<News>,
    /// Of a source, which may be stuck: its end is not waited for.
    pub(super) changes: Receiver<SourceEvent>,
    pub(super) plate: Doorplate,
    /// Fires when somebody waits for the end: a stop was asked for, or another stage failed. The end
    /// of a replay is no reason to hurry.
    pub(super) hurry: StopSignal,
    pub(super) counters: Arc<Counters>,
}

impl EmitStage {
    pub(super) fn run(mut self, sinks: &mut [Box<dyn EventSink>]) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut give_up = None;
        let mut sequence = 0;
        while let Some(news) = self.next() {
            let event =
                Event { id: EventId::now(), sequence, boot: self.plate.boot, door: self.plate.door.clone(), news };
            sequence += 1;
            for sink in sinks.iter_mut() {
                if let Err(e) = self.deliver(sink.as_mut(), &event, &mut give_up) {
                    let waiting = self.news.len() + self.changes.len();
                    log::error!("event {} and {waiting} more were not written", event.id);
                    return Err(e.into());
                }
            }
            count(&self.counters.emitted, 1);
        }
        Ok(())
    }

    /// The next news; `None` when there will be none from the recogniser, and none is left of the source.
    fn next(&mut self) -> Option<News> {
        loop {
            select! {
                recv(self.news) -> news => return match news {
                    Ok(news) => Some(news),
                    Err(_) => self.changes.try_recv().ok().map(News::Source),
                },
                recv(self.changes) -> change => match change {
                    Ok(change) => return Some(News::Source(change)),
                    Err(_) => self.changes = never(),
                },
            }
        }
    }

    /// Offers the event until the sink has it. Gives up when the sink says that it never will, or
    /// when the end is waited for and the grace is over: a full disk must not keep the service from
    /// ending.
    fn deliver(&self, sink: &mut dyn EventSink, event: &Event, give_up: &mut Option<Instant>) -> Result<(), EmitError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        let mut told = false;
        loop {
            match sink.emit(event) {
                Ok(()) => return Ok(()),
                Err(e) if e.is_lasting() || give_up.is_some_and(|at| Instant::now() >= at) => return Err(e),
                Err(e) => {
                    if !told {
                        log::error!("event {} waits: {e}; trying again until it is written", event.id);
                    }
                    told = true;
                    if give_up.is_some() {
                        thread::sleep(Duration::from_millis(50));
                    } else if self.hurry.wait(backoff.pause()) {
                        *give_up = Some(Instant::now() + FAILING_SINK_GRACE);
                    }
                }
            }
        }
    }
}
