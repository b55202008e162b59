//! Two clocks, always read together: one for ordering and ages, one for people.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// A point on the monotonic clock: time since the machine booted, suspended time included
/// (`CLOCK_BOOTTIME`). Never set back; comparable only within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// A point `since_boot` after the machine's boot.
    pub const fn from_boot(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Time since the machine's boot.
    pub const fn since_boot(self) -> Duration {
        self.0
    }

    /// Time passed since `earlier`; zero when `earlier` lies in the future.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs))
    }
}

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// For ages, intervals and expiry within this boot.
    pub monotonic: Monotonic,
    /// For people and for dates; may jump.
    pub wall: Timestamp,
}

/// Where the time comes from. Passed in everywhere, so that tests own time.
pub trait Clock: Send + Sync {
    /// Both clocks, now.
    fn now(&self) -> Stamp;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        let t = clock_gettime(ClockId::Boottime);
        let secs = u64::try_from(t.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(t.tv_nsec).unwrap_or(0);
        Stamp { monotonic: Monotonic(Duration::new(secs, nanos)), wall: Timestamp::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_never_negative() {
        let early = Monotonic::from_boot(Duration::from_secs(1));
        let late = early + Duration::from_millis(250);
        assert_eq!(late.saturating_since(early), Duration::from_millis(250));
        assert_eq!(early.saturating_since(late), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_moves_forward() {
        let a = SystemClock.now();
        let b = SystemClock.now();
        assert!(b.monotonic >= a.monotonic);
        assert!(a.monotonic.since_boot() > Duration::ZERO);
    }
}
