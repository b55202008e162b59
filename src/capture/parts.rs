//! What every source is given, beside its bytes.

use std::{sync::Arc, time::Duration};

use super::{
    framing::Framing,
    source::Pacing,
    stop::StopSignal,
    stream::{ByteStream, Progress, StreamSource},
};
use crate::domain::Clock;

/// What the sources have in common.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) pacing: Pacing,
    pub(super) stall_timeout: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stop: StopSignal,
}

impl Parts {
    pub(super) fn stream<B: ByteStream, F: Framing>(
        &self,
        place: String,
        bytes: B,
        framing: F,
        expected: &'static str,
    ) -> StreamSource<B, F> {
        StreamSource {
            place,
            bytes,
            framing,
            expected,
            pacing: self.pacing,
            stall_timeout: self.stall_timeout,
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            progress: Progress::default(),
        }
    }
}
