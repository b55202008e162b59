use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::Machine;

/// Times of one stage, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StageReport {
    /// Half of the runs took at most this long.
    pub p50_ms: f64,
    /// 95 of 100 runs took at most this long.
    pub p95_ms: f64,
    /// 99 of 100 runs took at most this long.
    pub p99_ms: f64,
    /// Runs.
    pub n: usize,
}

impl StageReport {
    /// Percentiles by the nearest-rank method; `None` when there was no run.
    pub fn new(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let n = times.len();
        let percentile = |p: usize| {
            let rank = (n * p).div_ceil(100).clamp(1, n);
            (times[rank - 1].as_secs_f64() * 1e6).round() / 1e3
        };
        (n > 0).then(|| Self { p50_ms: percentile(50), p95_ms: percentile(95), p99_ms: percentile(99), n })
    }
}

/// What `doorward bench` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// By stage: detect (a frame), align, embed, identify, decide (a face), frame (all of them).
    pub stages: BTreeMap<&'static str, StageReport>,
    /// Frames looked at.
    pub frames: usize,
    /// Faces found in them.
    pub faces: usize,
    /// Frames a second that one core could take, decoding not counted.
    pub frames_per_s: f64,
    /// Most memory the process held, MB (10^6 bytes).
    pub rss_mb: f64,
    /// Who computes the embeddings, and in which numbers: `tract int8`.
    pub engine: &'static str,
    /// The family of kernels in use.
    pub isa: &'static str,
    /// Threads that share one inference.
    pub threads: usize,
    /// On what it was measured.
    pub machine: Machine,
    /// By stage (detect, embed): its model, and who computes it.
    pub networks: BTreeMap<&'static str, NetworkReport>,
    /// By stage (detect, embed): milliseconds a run by kind of operator, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<BTreeMap<&'static str, StageProfile>>,
}

/// A stage's model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkReport {
    /// Its id in the catalogue.
    pub model: String,
    /// Who computes it, and in which numbers; `None` for a detector that is no network.
    pub engine: Option<&'static str>,
}

/// Where the time of a stage's network goes: milliseconds a run, by kind of operator.
pub type StageProfile = BTreeMap<String, f64>;

/// The mean of `runs` runs whose times by kind of operator were added up, to the microsecond.
pub(super) fn stage_profile<'a>(times: impl Iterator<Item = (&'a str, Duration)>, runs: usize) -> StageProfile {
    let mean_ms = |time: Duration| (time.as_secs_f64() * 1e6 / runs.max(1) as f64).round() / 1e3;
    times.map(|(kind, time)| (kind.to_owned(), mean_ms(time))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let report = StageReport::new(times).unwrap();
        assert_eq!((report.p50_ms, report.p95_ms, report.p99_ms, report.n), (100.0, 190.0, 198.0, 200));
    }

    #[test]
    fn one_run_is_every_percentile_and_none_is_no_report() {
        let one = StageReport::new(vec![Duration::from_micros(1500)]).unwrap();
        assert_eq!((one.p50_ms, one.p99_ms), (1.5, 1.5));
        assert_eq!(StageReport::new(vec![]), None);
    }

    #[test]
    fn a_profile_is_the_mean_of_its_runs() {
        let times = [("Conv", Duration::from_micros(12_008)), ("Add", Duration::ZERO)];
        let profile = stage_profile(times.into_iter(), 8);
        assert_eq!(profile, StageProfile::from([("Conv".into(), 1.501), ("Add".into(), 0.0)]));
        assert_eq!(stage_profile([].into_iter(), 0), StageProfile::new(), "a source without a face");
    }
}
