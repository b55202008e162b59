use std::time::Duration;

use super::{PipelineError, Refresh, Roster};
use crate::capture::StopSignal;

/// How often is asked for a newer snapshot. Somebody just enrolled should not have to wait at the door.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps the roster up to date. A thread of its own: reading a large gallery takes seconds, and neither a
/// stop nor the watchdog waits for it.
pub(super) struct RosterStage {
    pub(super) refresh: Refresh,
    pub(super) roster: Roster,
    pub(super) stop: StopSignal,
}

impl RosterStage {
    pub(super) fn run(mut self) -> Result<(), PipelineError> {
        while !self.stop.wait(EVERY) {
            if let Some(snapshot) = (self.refresh)() {
                self.roster.replace(snapshot);
            }
        }
        Ok(())
    }
}
