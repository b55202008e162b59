use std::time::Duration;

use super::{ConfigError, number::millis, raw};

/// When faces are looked for less often, because nothing moves and nobody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleSettings {
    /// How long nothing must have moved.
    pub after: Duration,
    /// How often faces are looked for then all the same; zero looks in every frame, always.
    pub search_every: Duration,
}

impl Default for IdleSettings {
    fn default() -> Self {
        Self {
            // Whoever stops for a moment is not forgotten.
            after: Duration::from_secs(3),
            // Somebody whom no motion gave away is seen within 0.3 s.
            search_every: Duration::from_millis(220),
        }
    }
}

impl IdleSettings {
    pub(super) fn from_raw(raw: raw::Idle) -> Result<Self, ConfigError> {
        let d = Self::default();
        Ok(Self {
            after: millis("idle.after_ms", raw.after_ms, d.after, 0..=600_000)?,
            search_every: millis("idle.search_every_ms", raw.search_every_ms, d.search_every, 0..=10_000)?,
        })
    }
}
