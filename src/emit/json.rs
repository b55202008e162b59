//! The JSON form of an event, as published in `docs/events.schema.json`.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{
    AccessEvent, Decision, Event, HintEvent, News, PadVerdict, PresentationEvent, Similarity, SourceChange,
    SourceEvent, Stamp,
};

/// One event as it leaves the house. Field order is the order on the line.
#[derive(Debug, Clone, Serialize)]
pub struct EventRecord<'a> {
    schema: u32,
    event: &'static str,
    id: String,
    sequence: u64,
    boot_id: String,
    door: &'a str,
    #[serde(flatten)]
    news: NewsRecord<'a>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum NewsRecord<'a> {
    Access(Box<AccessRecord<'a>>),
    Hint(HintRecord<'a>),
    Presentation(PresentationRecord<'a>),
    Source(SourceRecord<'a>),
}

#[derive(Debug, Clone, Serialize)]
struct AccessRecord<'a> {
    decision: &'static str,
    reason: Option<&'static str>,
    subject: Option<&'a str>,
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<Similarity>,
    pad: PadRecord,
    model: ModelRecord<'a>,
    operating_point: &'a str,
    source: &'a str,
    frame: u64,
    track: u64,
    bbox: [f32; 4],
    captured: StampRecord,
    decided: StampRecord,
    latency_ms: LatencyRecord,
}

#[derive(Debug, Clone, Serialize)]
struct HintRecord<'a> {
    hint: &'static str,
    text: String,
    source: &'a str,
    frame: u64,
    track: Option<u64>,
    captured: StampRecord,
}

#[derive(Debug, Clone, Serialize)]
struct PresentationRecord<'a> {
    pad: PadRecord,
    source: &'a str,
    frame: u64,
    track: u64,
    captured: StampRecord,
}

#[derive(Debug, Clone, Serialize)]
struct SourceRecord<'a> {
    source: &'a str,
    state: &'static str,
    why: Option<&'a str>,
    at: StampRecord,
    lost_ms: Option<f64>,
}

/// The log-odds leave the house only where scores do.
#[derive(Debug, Clone, Serialize)]
struct PadRecord {
    verdict: &'static str,
    doubt: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_odds: Option<f32>,
}

#[derive(Debug, Clone, Serialize)]
struct ModelRecord<'a> {
    id: &'a str,
    sha256: String,
}

#[derive(Debug, Clone, Serialize)]
struct StampRecord {
    wall: Timestamp,
    monotonic_ms: f64,
}

/// `total` runs from the receipt of the frame to the decision and holds the waiting too; `waited` from the first frame that showed the face
/// well enough.
#[derive(Debug, Clone, Serialize)]
struct LatencyRecord {
    detect: f64,
    align: f64,
    pad: f64,
    embed: f64,
    identify: f64,
    decide: f64,
    total: f64,
    waited: f64,
}

impl<'a> EventRecord<'a> {
    /// Version of the schema.
    pub const SCHEMA: u32 = 3;

    /// The record of `event`; its similarity and log-odds only with `scores`.
    pub fn new(event: &'a Event, scores: bool) -> Self {
        let (kind, news) = match &event.news {
            News::Access(access) => ("access", NewsRecord::Access(Box::new(AccessRecord::new(access, scores)))),
            News::Hint(hint) => ("hint", NewsRecord::Hint(hint.into())),
            News::Presentation(found) => {
                ("presentation", NewsRecord::Presentation(PresentationRecord::new(found, scores)))
            }
            News::Source(change) => ("source", NewsRecord::Source(change.into())),
        };
        Self {
            schema: Self::SCHEMA,
            event: kind,
            id: event.id.to_string(),
            sequence: event.sequence,
            boot_id: event.boot.to_string(),
            door: &event.door,
            news,
        }
    }
}

impl<'a> AccessRecord<'a> {
    fn new(event: &'a AccessEvent, scores: bool) -> Self {
        let (decision, reason) = match &event.decision {
            Decision::Granted(_) => ("granted", None),
            Decision::Denied(reason) => ("denied", Some(reason.code())),
        };
        let b = event.bbox;
        Self {
            decision,
            reason,
            subject: event.decision.subject().map(|s| s.as_str()),
            name: event.name.as_deref(),
            similarity: event.similarity.filter(|_| scores),
            pad: PadRecord::new(event.pad, scores),
            model: ModelRecord { id: event.model.name(), sha256: event.model.sha256_hex() },
            operating_point: &event.operating_point,
            source: event.at.source.as_str(),
            frame: event.at.seq,
            track: event.track.number(),
            bbox: [b.x, b.y, b.w, b.h].map(|v| (v * 10.0).round() / 10.0),
            captured: event.at.captured.into(),
            decided: event.decided.into(),
            latency_ms: LatencyRecord {
                detect: millis(event.stages.detect),
                align: millis(event.stages.align),
                pad: millis(event.stages.pad),
                embed: millis(event.stages.embed),
                identify: millis(event.stages.identify),
                decide: millis(event.stages.decide),
                total: millis(event.decided.monotonic.saturating_since(event.at.captured.monotonic)),
                waited: millis(event.waited),
            },
        }
    }
}

impl<'a> From<&'a HintEvent> for HintRecord<'a> {
    fn from(event: &'a HintEvent) -> Self {
        Self {
            hint: event.hint.code(),
            text: event.hint.to_string(),
            source: event.at.source.as_str(),
            frame: event.at.seq,
            track: event.track.map(|track| track.number()),
            captured: event.at.captured.into(),
        }
    }
}

impl<'a> PresentationRecord<'a> {
    fn new(event: &'a PresentationEvent, scores: bool) -> Self {
        Self {
            pad: PadRecord::new(event.verdict, scores),
            source: event.at.source.as_str(),
            frame: event.at.seq,
            track: event.track.number(),
            captured: event.at.captured.into(),
        }
    }
}

impl<'a> From<&'a SourceEvent> for SourceRecord<'a> {
    fn from(event: &'a SourceEvent) -> Self {
        let (state, why, lost_ms) = match &event.change {
            SourceChange::Lost { why } => ("lost", Some(why.as_str()), None),
            SourceChange::Back { lost } => {
                ("back", None, Some(millis(event.at.monotonic.saturating_since(lost.monotonic))))
            }
        };
        Self { source: event.source.as_str(), state, why, at: event.at.into(), lost_ms }
    }
}

impl PadRecord {
    fn new(verdict: PadVerdict, scores: bool) -> Self {
        let (verdict, doubt, log_odds) = match verdict {
            PadVerdict::NotAssessed => ("not-assessed", None, None),
            PadVerdict::BonaFide(log_odds) => ("bona-fide", None, Some(log_odds)),
            PadVerdict::Attack(log_odds) => ("attack", None, Some(log_odds)),
            PadVerdict::Undetermined(doubt) => ("undetermined", Some(doubt.as_str()), None),
        };
        // A net may give what is no number; JSON has none for it.
        Self { verdict, doubt, log_odds: log_odds.filter(|odds| scores && odds.is_finite()) }
    }
}

impl From<Stamp> for StampRecord {
    fn from(stamp: Stamp) -> Self {
        Self { wall: stamp.wall, monotonic_ms: millis(stamp.monotonic.since_boot()) }
    }
}

/// Milliseconds with three decimals.
fn millis(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}
