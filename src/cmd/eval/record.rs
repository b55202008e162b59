use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    domain::Threshold,
    eval::{Rate, RatesAt},
};

/// A rate with its interval; `null` without trials.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RateRecord {
    value: Option<f64>,
    low: f64,
    high: f64,
    errors: u64,
    trials: u64,
}

impl From<Rate> for RateRecord {
    fn from(rate: Rate) -> Self {
        let interval = rate.interval();
        let Rate { errors, trials } = rate;
        Self { value: rate.value(), low: interval.low, high: interval.high, errors, trials }
    }
}

/// The rates at a target, by the target's name: `0.01`.
pub(super) type ByTarget<T> = BTreeMap<String, T>;

pub(super) fn by_target<T>(points: &[RatesAt], record: impl Fn(&RatesAt) -> T) -> ByTarget<T> {
    points.iter().map(|point| (point.target.to_string(), record(point))).collect()
}

/// One to one: FNMR at a target of FMR. The four keys that the format promises, then what else there is to know.
#[derive(Debug, Serialize)]
pub(super) struct FnmrRecord {
    fnmr: Option<f64>,
    low: f64,
    high: f64,
    threshold: Option<Threshold>,
    fmr: RateRecord,
    resolved: bool,
}

impl From<&RatesAt> for FnmrRecord {
    fn from(point: &RatesAt) -> Self {
        let (fnmr, interval) = (point.false_negatives.value(), point.false_negatives.interval());
        let (fmr, resolved) = (point.false_positives.into(), point.is_resolved());
        Self { fnmr, low: interval.low, high: interval.high, threshold: point.threshold, fmr, resolved }
    }
}

/// One to many: FNIR at a target of FPIR, as [`FnmrRecord`].
#[derive(Debug, Serialize)]
pub(super) struct FnirRecord {
    fnir: Option<f64>,
    low: f64,
    high: f64,
    threshold: Option<Threshold>,
    fpir: RateRecord,
    resolved: bool,
}

impl From<&RatesAt> for FnirRecord {
    fn from(point: &RatesAt) -> Self {
        let (fnir, interval) = (point.false_negatives.value(), point.false_negatives.interval());
        let (fpir, resolved) = (point.false_positives.into(), point.is_resolved());
        Self { fnir, low: interval.low, high: interval.high, threshold: point.threshold, fpir, resolved }
    }
}

/// A line of text for a point; `negatives` and `positives` are the names of the rates.
pub(super) fn describe_point(point: &RatesAt, [negatives, positives]: [&str; 2]) -> String {
    let threshold = point.threshold.map_or_else(|| "none".to_owned(), |t| t.to_string());
    let target = format!("{negatives} at {positives} {} %", percent(point.target));
    let mut line = format!("{target:<24} {}; threshold {threshold}\n", point.false_negatives);
    if !point.is_resolved() {
        line += &format!(
            "  {positives} {} % cannot be said from {} non-mated trials; at this threshold it is {}\n",
            percent(point.target),
            point.false_positives.trials,
            point.false_positives
        );
    }
    line
}

/// `0.3` for 0.003.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.4}", 100.0 * share);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> RatesAt {
        RatesAt {
            target: 0.003,
            threshold: Threshold::new(0.5),
            false_positives: Rate { errors: 0, trials: 10 },
            false_negatives: Rate { errors: 1, trials: 328 },
        }
    }

    #[test]
    fn a_target_that_cannot_be_said_says_so() {
        let text = describe_point(&point(), ["FNIR", "FPIR"]);
        assert!(
            text.starts_with("FNIR at FPIR 0.3 %       0.30 % (0.01-1.69 %), 1 of 328; threshold 0.5000\n"),
            "{text}"
        );
        assert!(
            text.contains("cannot be said from 10 non-mated trials; at this threshold it is 0.00 % (0.00-30.85 %)")
        );
    }

    #[test]
    fn the_promised_keys_come_first() {
        let json = serde_json::to_string(&by_target(&[point()], |p| FnirRecord::from(p))).unwrap();
        assert!(json.starts_with(r#"{"0.003":{"fnir":0.0030"#), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["0.003"]["threshold"], 0.5);
        assert_eq!(value["0.003"]["resolved"], false);
    }
}
