use std::{sync::Arc, time::Duration};

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

/// Hands every event to every sink, in order.
pub(super) struct EmitStage {
    pub(super) events: Receiver<AccessEvent>,
    pub(super) stop: StopSignal,
    pub(super) counters: Arc<Counters>,
}

impl EmitStage {
    pub(super) fn run(self, sinks: &mut [Box<dyn EventSink>]) -> Result<(), PipelineError> {
        while let Ok(event) = self.events.recv() {
            for sink in sinks.iter_mut() {
                if let Err(e) = self.deliver(sink.as_mut(), &event) {
                    log::error!("event {} and {} more were not written", event.id, self.events.len());
                    return Err(e.into());
                }
            }
            count(&self.counters.emitted, 1);
        }
        Ok(())
    }

    /// Offers the event until the sink has it. Gives up when the sink says that it never will, or
    /// when a stop was asked for and one more attempt failed: a full disk must not keep the service
    /// from ending.
    fn deliver(&self, sink: &mut dyn EventSink, event: &AccessEvent) -> Result<(), EmitError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        let (mut told, mut stopped) = (false, false);
        loop {
            match sink.emit(event) {
                Ok(()) => return Ok(()),
                Err(e) if e.is_lasting() || stopped => return Err(e),
                Err(e) => {
                    if !told {
                        log::error!("event {} waits: {e}; trying again until it is written", event.id);
                    }
                    told = true;
                    stopped = self.stop.wait(backoff.pause());
                }
            }
        }
    }
}
