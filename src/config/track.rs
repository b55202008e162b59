use std::time::Duration;

use super::{ConfigError, number::millis, raw};

/// When faces of different frames are one stay before the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSettings {
    /// A face not seen for longer has left; when it returns it is recognised anew.
    pub lost_after: Duration,
}

impl Default for TrackSettings {
    fn default() -> Self {
        // Longer than a few frames that the detector misses, shorter than it takes somebody else to step up: in the demo, played at 15 frames a
        // second, people follow each other by 0.47 s.
        Self { lost_after: Duration::from_millis(300) }
    }
}

impl TrackSettings {
    pub(super) fn from_raw(raw: raw::Track) -> Result<Self, ConfigError> {
        let d = Self::default();
        Ok(Self { lost_after: millis("track.lost_after_ms", raw.lost_after_ms, d.lost_after, 100..=5_000)? })
    }
}
