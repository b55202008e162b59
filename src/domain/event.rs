//! What the outside learns of a decision.

use std::{fmt, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{BBox, Decision, FrameRef, ModelId, Similarity, Stamp, TrackId};

/// Names one event for ever: a UUID of version 7 (RFC 9562), which sorts by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub Uuid);

impl EventId {
    /// A new id, of this moment.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one run of the machine (Linux's `boot_id`): monotonic times and sequence numbers are
/// comparable only within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(pub Uuid);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long each stage took for the face of an event. Detection is counted once a frame, the
/// others once a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Finding the faces.
    pub detect: Duration,
    /// Alignment and quality.
    pub align: Duration,
    /// The recogniser.
    pub embed: Duration,
    /// The search of the gallery.
    pub identify: Duration,
    /// The policy.
    pub decide: Duration,
}

/// An access event: one track, decided.
#[derive(Debug, Clone)]
pub struct AccessEvent {
    /// Unique for ever.
    pub id: EventId,
    /// Counts this run's events from 0, without gaps.
    pub sequence: u64,
    /// The machine's boot.
    pub boot: BootId,
    /// The door, as configured.
    pub door: Arc<str>,
    /// The frame that decided.
    pub at: FrameRef,
    /// The track.
    pub track: TrackId,
    /// Where in the frame the face was.
    pub bbox: BBox,
    /// Granted, or denied and why.
    pub decision: Decision,
    /// Display name of the subject the decision names.
    pub name: Option<Arc<str>>,
    /// The recogniser.
    pub model: ModelId,
    /// The operating point whose threshold was applied.
    pub operating_point: Arc<str>,
    /// Similarity to the best candidate, when there was one. Sinks pass it on only when told to:
    /// a score lets an attacker climb towards a match.
    pub similarity: Option<Similarity>,
    /// When the decision was taken.
    pub decided: Stamp,
    /// Time spent by stage.
    pub stages: StageTimes,
}
