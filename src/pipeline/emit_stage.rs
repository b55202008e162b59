use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;

use super::{
    PipelineError,
    backoff::Backoff,
    counters::{Counters, count},
};
use crate::{
    capture::StopSignal,
    domain::AccessEvent,
    emit::{EmitError, EventSink},
};

/// How long a sink that fails is still tried once the pipeline was told to stop, all events together.
const FAILING_SINK_GRACE: Duration = Duration::from_millis(500);

/// Hands every event to every sink, in order.
pub(super) struct EmitStage {
    pub(super) events: Receiver<AccessEvent>,
    /// Fires when somebody waits for the end: a stop was asked for, or another stage failed. The end
    /// of a replay is no reason to hurry.
    pub(super) hurry: StopSignal,
    pub(super) counters: Arc<Counters>,
}

impl EmitStage {
    pub(super) fn run(self, sinks: &mut [Box<dyn EventSink>]) -> Result<(), PipelineError> {
        count(&self.counters.built, 1);
        let mut give_up = None;
        while let Ok(event) = self.events.recv() {
            for sink in sinks.iter_mut() {
                if let Err(e) = self.deliver(sink.as_mut(), &event, &mut give_up) {
                    log::error!("event {} and {} more were not written", event.id, self.events.len());
                    return Err(e.into());
                }
            }
            count(&self.counters.emitted, 1);
        }
        Ok(())
    }

    /// Offers the event until the sink has it. Gives up when the sink says that it never will, or
    /// when the end is waited for and the grace is over: a full disk must not keep the service from
    /// ending.
    fn deliver(
        &self,
        sink: &mut dyn EventSink,
        event: &AccessEvent,
        give_up: &mut Option<Instant>,
    ) -> Result<(), EmitError> {
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
