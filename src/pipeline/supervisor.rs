use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, never, select, tick, unbounded};

use super::{PipelineError, slot::SlotCloser};
use crate::{capture::StopToken, domain::Frame};

/// How long a stopped source, or the reading of a gallery, may take to let go before it is left behind.
/// Stopping a blocked pipeline takes at most this long plus the work in flight.
const GRACE: Duration = Duration::from_millis(500);

/// A stage's thread has ended.
struct Exit {
    stage: &'static str,
    result: Result<(), PipelineError>,
}

/// Starts the stages' threads and watches over them.
pub(super) struct Supervisor {
    /// The capture's token: dropping it stops the pipeline.
    token: Option<StopToken>,
    /// Dropping it tells the sinks that somebody waits for the end.
    calm: Option<StopToken>,
    closer: SlotCloser<Frame>,
    exit: Sender<Exit>,
    exits: Receiver<Exit>,
    running: Vec<&'static str>,
    first_error: Option<PipelineError>,
}

impl Supervisor {
    pub(super) const CAPTURE: &'static str = "capture";
    pub(super) const ROSTER: &'static str = "roster";
    /// Stages that may hang in a driver or a disk and have nothing in flight that would be lost.
    const EXPENDABLE: [&'static str; 2] = [Self::CAPTURE, Self::ROSTER];

    pub(super) fn new(token: StopToken, calm: StopToken, closer: SlotCloser<Frame>) -> Self {
        let (exit, exits) = unbounded();
        Self { token: Some(token), calm: Some(calm), closer, exit, exits, running: Vec::new(), first_error: None }
    }

    /// Starts a stage on a thread of its own. What the stage owns is dropped before its end is
    /// reported, so that its neighbours see their channels close.
    pub(super) fn start(
        &mut self,
        stage: &'static str,
        run: impl FnOnce() -> Result<(), PipelineError> + Send + 'static,
    ) {
        let exit = self.exit.clone();
        let body = move || {
            let result = catch_unwind(AssertUnwindSafe(run))
                .unwrap_or_else(|panic| Err(PipelineError::Panicked { stage, message: message_of(panic.as_ref()) }));
            // The supervisor is gone only after it left this stage behind.
            let _ = exit.send(Exit { stage, result });
        };
        match thread::Builder::new().name(stage.into()).spawn(body) {
            Ok(_) => self.running.push(stage),
            Err(source) => self.fail(PipelineError::Thread { stage, source }),
        }
    }

    /// Returns when every stage has ended. Calls `look` meanwhile in this interval, and once when stopping begins; its
    /// argument is whether that has been.
    pub(super) fn watch(
        mut self,
        stop_requests: &Receiver<()>,
        every: Option<Duration>,
        mut look: impl FnMut(bool),
    ) -> Result<(), PipelineError> {
        let looks = every.map_or_else(never, tick);
        let deaf = never();
        let mut requests = stop_requests;
        let mut stopped_at: Option<Instant> = None;
        while !self.running.is_empty() {
            if self.token.is_none() && stopped_at.is_none() {
                stopped_at = Some(Instant::now());
                look(true);
            }
            let patience = match stopped_at {
                Some(at) if self.running.iter().any(is_expendable) => GRACE.saturating_sub(at.elapsed()),
                _ => Duration::from_secs(3600),
            };
            select! {
                recv(self.exits) -> exit => {
                    let exit = exit.expect("the supervisor holds a sender of its own");
                    self.running.retain(|stage| *stage != exit.stage);
                    log::debug!("stage {} ended", exit.stage);
                    match exit.result {
                        Err(e) => self.fail(e),
                        // A stage ends early only because its neighbour is gone: stop the rest.
                        Ok(()) => self.token = None,
                    }
                }
                recv(requests) -> request => match request {
                    Ok(()) => {
                        log::info!("stopping");
                        (self.token, self.calm) = (None, None);
                    }
                    // Nobody can ask any more.
                    Err(_) => requests = &deaf,
                },
                recv(looks) -> _ => look(stopped_at.is_some()),
                default(patience) => if stopped_at.is_some() {
                    self.leave_behind();
                }
            }
        }
        self.first_error.map_or(Ok(()), Err)
    }

    /// Goes on without the stages that do not let go and have nothing in flight.
    fn leave_behind(&mut self) {
        for stage in self.running.extract_if(.., |stage| is_expendable(stage)) {
            log::warn!("stage {stage} does not let go; it is left behind");
        }
        self.closer.close();
    }

    fn fail(&mut self, error: PipelineError) {
        (self.token, self.calm) = (None, None);
        match self.first_error {
            None => self.first_error = Some(error),
            Some(_) => log::error!("{error}"),
        }
    }
}

fn is_expendable(stage: &&'static str) -> bool {
    Supervisor::EXPENDABLE.contains(stage)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
