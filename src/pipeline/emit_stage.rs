use std::{sync::Arc, thread, time::Duration};

use crossbeam_channel::Receiver;

use super::{
    PipelineError,
    backoff::Backoff,
    counters::{Counters, count},
};
use crate::{
    domain::AccessEvent,
    emit::{EmitError, EventSink},
};

/// Hands every event to every sink, in order.
pub(super) struct EmitStage {
    pub(super) events: Receiver<AccessEvent>,
    pub(super) counters: Arc<Counters>,
}

impl EmitStage {
    pub(super) fn run(self, sinks: &mut [Box<dyn EventSink>]) -> Result<(), PipelineError> {
        while let Ok(event) = self.events.recv() {
            for sink in sinks.iter_mut() {
                deliver(sink.as_mut(), &event)?;
            }
            count(&self.counters.emitted, 1);
        }
        Ok(())
    }
}

/// Offers the event until the sink has it; gives up when the sink says that it never will.
fn deliver(sink: &mut dyn EventSink, event: &AccessEvent) -> Result<(), EmitError> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut told = false;
    loop {
        match sink.emit(event) {
            Ok(()) => return Ok(()),
            Err(e) if e.is_lasting() => return Err(e),
            Err(e) => {
                if !told {
                    log::error!("event {} waits: {e}; trying again until it is written", event.id);
                }
                told = true;
                thread::sleep(backoff.pause());
            }
        }
    }
}
