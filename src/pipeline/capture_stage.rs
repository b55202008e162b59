use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crossbeam_channel::Sender;

use super::{
    PipelineError, SourceFactory,
    backoff::Backoff,
    counters::{Counters, count},
    slot::SlotSender,
};
use crate::{
    capture::{CaptureError, Pacing, Reader, StopSignal},
    domain::{Clock, Frame, SourceChange, SourceEvent, SourceId, Stamp},
};

/// Receives frames and puts them into the slot; opens the source again after errors.
pub(super) struct CaptureStage {
    pub(super) open: SourceFactory,
    pub(super) name: SourceId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) changes: Sender<SourceEvent>,
    /// Since when no frames come, and why, as it was told.
    pub(super) lost: Option<(Stamp, String)>,
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
                    self.tell_lost(e.to_string());
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
            self.tell_back();
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

    /// Told once for each reason: a camera that stays away is tried again every second.
    fn tell_lost(&mut self, why: String) {
        let at = self.clock.now();
        let (since, told) = match self.lost.take() {
            None => (at, None),
            Some((since, told)) => (since, Some(told)),
        };
        if told.as_ref() != Some(&why) {
            self.tell(at, SourceChange::Lost { why: why.clone() });
        }
        self.lost = Some((since, why.clone()));
        self.counters.set_trouble(Some(why));
    }

    fn tell_back(&mut self) {
        if let Some((lost, _)) = self.lost.take() {
            self.counters.set_trouble(None);
            self.tell(self.clock.now(), SourceChange::Back { lost });
        }
    }

    fn tell(&self, at: Stamp, change: SourceChange) {
        count(&self.counters.told, 1);
        // Nobody is left to be told once the sinks have failed for good; that ends the pipeline.
        let _ = self.changes.send(SourceEvent { source: self.name.clone(), at, change });
    }
}
