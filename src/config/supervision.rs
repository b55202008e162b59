use std::time::Duration;

use super::{ConfigError, number::millis, raw};

/// How errors of the source are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisionSettings {
    /// First pause before a failed source is opened again; doubled each time.
    pub min_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
}

impl Default for SupervisionSettings {
    fn default() -> Self {
        Self {
            // A camera that was unplugged and replugged should be back within two seconds.
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
        }
    }
}

impl SupervisionSettings {
    pub(super) fn from_raw(raw: raw::Supervision) -> Result<Self, ConfigError> {
        let d = Self::default();
        let min_backoff = millis("supervision.min_backoff_ms", raw.min_backoff_ms, d.min_backoff, 10..=60_000)?;
        let max_backoff = millis("supervision.max_backoff_ms", raw.max_backoff_ms, d.max_backoff, 10..=600_000)?;
        if max_backoff < min_backoff {
            return Err(ConfigError::value(
                "supervision.max_backoff_ms",
                max_backoff.as_millis(),
                format!("at least supervision.min_backoff_ms ({})", min_backoff.as_millis()),
            ));
        }
        Ok(Self { min_backoff, max_backoff })
    }
}
