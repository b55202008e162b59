//! The JSON form of an event, as published in `docs/events.schema.json`.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{AccessEvent, Decision, Similarity, Stamp};

/// One event as it leaves the house. Field order is the order on the line.
#[derive(Debug, Clone, Serialize)]
pub struct EventRecord<'a> {
    schema: u32,
    id: String,
    sequence: u64,
    boot_id: String,
    door: &'a str,
    decision: &'static str,
    reason: Option<&'static str>,
    subject: Option<&'a str>,
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<Similarity>,
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
struct ModelRecord<'a> {
    id: &'a str,
    sha256: String,
}

#[derive(Debug, Clone, Serialize)]
struct StampRecord {
    wall: Timestamp,
    monotonic_ms: f64,
}

/// `total` runs from the receipt of the frame to the decision and holds the waiting too.
#[derive(Debug, Clone, Serialize)]
struct LatencyRecord {
    detect: f64,
    align: f64,
    embed: f64,
    identify: f64,
    decide: f64,
    total: f64,
}

impl<'a> EventRecord<'a> {
    /// Version of the schema.
    pub const SCHEMA: u32 = 2;

    /// The record of `event`; its similarity only with `scores`.
    pub fn new(event: &'a AccessEvent, scores: bool) -> Self {
        let (decision, reason) = match &event.decision {
            Decision::Granted(_) => ("granted", None),
            Decision::Denied(reason) => ("denied", Some(reason.code())),
        };
        let b = event.bbox;
        Self {
            schema: Self::SCHEMA,
            id: event.id.to_string(),
            sequence: event.sequence,
            boot_id: event.boot.to_string(),
            door: &event.door,
            decision,
            reason,
            subject: event.decision.subject().map(|s| s.as_str()),
            name: event.name.as_deref(),
            similarity: event.similarity.filter(|_| scores),
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
                embed: millis(event.stages.embed),
                identify: millis(event.stages.identify),
                decide: millis(event.stages.decide),
                total: millis(event.decided.monotonic.saturating_since(event.at.captured.monotonic)),
            },
        }
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
