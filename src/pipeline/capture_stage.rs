use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    PipelineError, SourceFactory,
    backoff::Backoff,
    counters::{Counters, count},
    slot::SlotSender,
};
use crate::{
    capture::{CaptureError, Pacing, Reader, StopSignal},
    domain::Frame,
};

/// Receives frames and puts them into the slot; opens the source again after errors.
pub(super) struct CaptureStage {
    pub(super) open: SourceFactory,
    pub(super) reader: Reader,
    pub(super) slot: SlotSender<Frame>,
    pub(super) stop: StopSignal,
    pub(super) backoff: Backoff,
    /// For a camera that does not let us in.
    pub(super) refused: Backoff,
    /// Whether a live source has given a frame: then it is there, and whatever fails may come back.
    pub(super) has_lived: bool,
    pub(super) counters: Arc<Counters>,
}

impl CaptureStage {
    /// Cameras lock an account after five to ten wrong passwords, mostly for half an hour or less; one that is starting may refuse
    /// everybody for a moment. Half an hour has seven tries then.
    pub(super) fn patience() -> Backoff {
        Backoff::new(Duration::from_secs(30), Duration::from_secs(600))
    }

    pub(super) fn run(mut self) -> Result<(), PipelineError> {
        loop {
            match self.run_once() {
                Ok(()) => return Ok(()),
                Err(e) if !e.is_transient() && !self.has_lived => return Err(e.into()),
                Err(e) => {
                    let pause = if e.is_refusal() { self.refused.pause() } else { self.backoff.pause() };
                    log::warn!("{e}; opening it again in {} ms", pause.as_millis());
                    self.counters.set_trouble(Some(e.to_string()));
                    if self.stop.wait(pause) {
                        return Ok(());
                    }
                    count(&self.counters.reopened, 1);
                }
            }
        }
    }

    /// Runs until the source ends, fails, or nobody takes its frames any more.
    fn run_once(&mut self) -> Result<(), CaptureError> {
        let mut source = (self.open)(self.stop.clone())?;
        while !self.stop.is_stopped() {
            let received = self.reader.next(source.as_mut());
            self.counters.corrupt.store(self.reader.corrupt(), Ordering::Relaxed);
            let Some(frame) = received? else {
                return Ok(());
            };
            self.backoff.reset();
            self.refused.reset();
            self.has_lived |= source.pacing() == Pacing::Live;
            self.counters.set_trouble(None);
            let taken = match source.pacing() {
                Pacing::Live => self.slot.replace(frame),
                Pacing::OnDemand => self.slot.hand_over(frame).map(|()| false),
            };
            let Ok(replaced) = taken else {
                return Ok(());
            };
            count(&self.counters.captured, 1);
            count(&self.counters.replaced, u64::from(replaced));
        }
        Ok(())
    }
}
