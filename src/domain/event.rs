//! What the outside learns.

use std::{fmt, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{BBox, Decision, FrameRef, Hint, ModelId, PadVerdict, Similarity, SourceId, Stamp, TrackId};

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
    /// Presentation attack detection.
    pub pad: Duration,
    /// The recogniser.
    pub embed: Duration,
    /// The search of the gallery.
    pub identify: Duration,
    /// The policy.
    pub decide: Duration,
}

/// What the outside learns of a door, whatever it is about.
#[derive(Debug, Clone)]
pub struct Event {
    /// Unique for ever.
    pub id: EventId,
    /// Counts this run's events from 0, without gaps.
    pub sequence: u64,
    /// The machine's boot.
    pub boot: BootId,
    /// The door, as configured.
    pub door: Arc<str>,
    /// What happened.
    pub news: News,
}

/// What happened at a door.
#[derive(Debug, Clone)]
pub enum News {
    /// Somebody was granted or denied.
    Access(Box<AccessEvent>),
    /// Somebody could do something about not being recognised.
    Hint(HintEvent),
    /// What presentation attack detection found, where it is reported and decides nothing.
    Presentation(PresentationEvent),
    /// The source of frames was lost, or is back.
    Source(SourceEvent),
}

/// One track, decided.
#[derive(Debug, Clone)]
pub struct AccessEvent {
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
    /// What presentation attack detection says of the track so far.
    pub pad: PadVerdict,
    /// The recogniser.
    pub model: ModelId,
    /// The operating point whose threshold was applied.
    pub operating_point: Arc<str>,
    /// Similarity to the best candidate, when there was one. Sinks pass it on only when told to:
    /// a score lets an attacker climb towards a match.
    pub similarity: Option<Similarity>,
    /// From the first frame that showed the face well enough to be compared, to the decision.
    pub waited: Duration,
    /// When the decision was taken.
    pub decided: Stamp,
    /// Time spent by stage.
    pub stages: StageTimes,
}

/// Something a person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintEvent {
    /// The frame that led to it.
    pub at: FrameRef,
    /// The face that is meant; `None` where no face could be told from the dark.
    pub track: Option<TrackId>,
    /// What to do.
    pub hint: Hint,
}

/// The verdict on one track, told once.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentationEvent {
    /// The frame that settled it.
    pub at: FrameRef,
    /// The track.
    pub track: TrackId,
    /// The verdict.
    pub verdict: PadVerdict,
}

/// A change of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEvent {
    /// The source.
    pub source: SourceId,
    /// When it was noticed.
    pub at: Stamp,
    /// What became of it.
    pub change: SourceChange,
}

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceChange {
    /// No frames come, for this reason; it is being opened again.
    Lost {
        /// Why, without any secret of the source's address.
        why: String,
    },
    /// Frames come again.
    Back {
        /// Since when it was lost.
        lost: Stamp,
    },
}
