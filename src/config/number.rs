//! Numbers with bounds. NaN lies outside every bound.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use super::ConfigError;

/// `value` if given, else `default`; refused outside `allowed`.
pub(super) fn within<T: PartialOrd + Display>(
    key: &str,
    value: Option<T>,
    default: T,
    allowed: RangeInclusive<T>,
) -> Result<T, ConfigError> {
    match value {
        None => Ok(default),
        Some(v) if allowed.contains(&v) => Ok(v),
        Some(v) => Err(ConfigError::value(key, v, format!("{} to {}", allowed.start(), allowed.end()))),
    }
}

/// Milliseconds as a duration, within bounds.
pub(super) fn millis(
    key: &str,
    value: Option<u64>,
    default: Duration,
    allowed: RangeInclusive<u64>,
) -> Result<Duration, ConfigError> {
    let default_ms = u64::try_from(default.as_millis()).expect("defaults are far below u64::MAX milliseconds");
    within(key, value, default_ms, allowed).map(Duration::from_millis)
}

/// A count, within bounds.
pub(super) fn count(
    key: &str,
    value: Option<u32>,
    default: usize,
    allowed: RangeInclusive<usize>,
) -> Result<usize, ConfigError> {
    within(key, value.map(|n| n as usize), default, allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_named_and_refused() {
        let e = within("policy.margin", Some(f32::NAN), 0.05, 0.0..=1.0).unwrap_err();
        assert_eq!(e.to_string(), "policy.margin = NaN: allowed is 0 to 1");
    }

    #[test]
    fn bounds_belong_to_what_is_allowed() {
        assert_eq!(within("k", Some(1.0), 0.5, 0.0..=1.0).unwrap(), 1.0);
        assert!(within("k", Some(1.1), 0.5, 0.0..=1.0).is_err());
        assert_eq!(within("k", None, 0.5, 0.0..=1.0).unwrap(), 0.5);
    }
}
