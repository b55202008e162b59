//! What is recorded, played: at its own pace or as fast as it is taken, once or again and again.

use std::{sync::Arc, time::Duration};

use super::{
    CaptureError,
    source::{FrameSource, Pacing, Received},
    stop::StopSignal,
};
use crate::domain::{Clock, Monotonic};

/// A recording, open at its first frame.
pub(super) struct Recording {
    pub(super) source: Box<dyn FrameSource>,
    /// Time between frames.
    pub(super) interval: Duration,
}

/// Opens the recording from its start.
pub(super) type Open = Box<dyn FnMut() -> Result<Recording, CaptureError>>;

/// Plays recordings.
pub(super) struct Replay {
    open: Open,
    source: Box<dyn FrameSource>,
    /// Set when it is played at its own pace.
    pacer: Option<Pacer>,
    repeat: bool,
    /// Pictures since the recording was opened.
    pictures: u64,
    stop: StopSignal,
}

impl Replay {
    /// Opens the recording and plays it; with a clock, at its own pace.
    pub(super) fn new(
        mut open: Open,
        realtime: Option<Arc<dyn Clock>>,
        repeat: bool,
        stop: StopSignal,
    ) -> Result<Self, CaptureError> {
        let Recording { source, interval } = open()?;
        let pacer = realtime.map(|clock| Pacer { interval, due: None, clock });
        Ok(Self { open, source, pacer, repeat, pictures: 0, stop })
    }
}

impl FrameSource for Replay {
    fn pacing(&self) -> Pacing {
        if self.pacer.is_some() { Pacing::Live } else { Pacing::OnDemand }
    }

    fn receive(&mut self) -> Result<Received, CaptureError> {
        if let Some(pacer) = &mut self.pacer
            && pacer.wait(&self.stop)
        {
            return Ok(Received::End);
        }
        loop {
            match self.source.receive()? {
                // A recording without one picture would be opened again for ever.
                Received::End if self.repeat && self.pictures > 0 && !self.stop.is_stopped() => {
                    self.source = (self.open)()?.source;
                    self.pictures = 0;
                }
                received => {
                    self.pictures += u64::from(matches!(received, Received::Picture { .. }));
                    return Ok(received);
                }
            }
        }
    }
}

struct Pacer {
    interval: Duration,
    due: Option<Monotonic>,
    clock: Arc<dyn Clock>,
}

impl Pacer {
    /// Waits until the next frame is due; true when a stop was signalled first.
    fn wait(&mut self, stop: &StopSignal) -> bool {
        let now = self.clock.now().monotonic;
        let due = self.due.unwrap_or(now);
        // Frames that are overdue are not made up for in a burst: no camera does that.
        self.due = Some(due.max(now) + self.interval);
        stop.wait(due.saturating_since(now))
    }
}
