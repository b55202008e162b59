use std::{fmt, ops::AddAssign};

use statrs::function::beta::beta_reg;

/// Of this many trials, this many were errors.
///
/// A rate is never reported without its interval: no error in ten trials says little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Errors, at most as many as trials.
    pub errors: u64,
    /// Trials.
    pub trials: u64,
}

/// A confidence interval of a rate, both bounds 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Chance that the true rate lies below the lower bound, and that it lies above the upper one: 95 % lie between.
const TAIL: f64 = 0.025;

impl AddAssign for Rate {
    fn add_assign(&mut self, other: Self) {
        self.errors += other.errors;
        self.trials += other.trials;
    }
}

impl Rate {
    /// Counts the errors among `trials`.
    pub fn count(trials: impl IntoIterator<Item = bool>) -> Self {
        let mut rate = Self { errors: 0, trials: 0 };
        for error in trials {
            rate.trials += 1;
            rate.errors += u64::from(error);
        }
        rate
    }

    /// Errors by trials, 0..=1; `None` without trials.
    pub fn value(self) -> Option<f64> {
        (self.trials > 0).then(|| self.errors as f64 / self.trials as f64)
    }

    /// The 95 % interval of Clopper and Pearson (Biometrika 26, 1934): exact, so never too narrow, whatever the number of
    /// trials. 0..=1 without trials; begins at 0 without errors and ends at 1 without anything else.
    ///
    /// Trials are taken to be independent. Those of one subject are not quite, so the truth is a little wider (ISO/IEC 19795-1,
    /// annex B).
    pub fn interval(self) -> Interval {
        let (errors, others) = (self.errors as f64, self.trials.saturating_sub(self.errors) as f64);
        let low = if self.errors == 0 { 0.0 } else { beta_quantile(errors, others + 1.0, TAIL) };
        let high = if others == 0.0 { 1.0 } else { beta_quantile(errors + 1.0, others, 1.0 - TAIL) };
        Interval { low, high }
    }

    /// The rate that the true one does not exceed, one-sided, 95 %: after Clopper and Pearson, too. 1 without trials. No error in 14,
    /// 29, 59 or 299 trials proves 20, 10, 5 or 1 %.
    pub fn upper_bound(self) -> f64 {
        match self.trials.saturating_sub(self.errors) {
            0 => 1.0,
            others => beta_quantile(self.errors as f64 + 1.0, others as f64, 1.0 - 2.0 * TAIL),
        }
    }
}

/// Below which value the given share of the beta distribution lies. By halving, which ends for every shape and count; the
/// inverse of statrs 0.18 goes on for ever on some of a million trials.
fn beta_quantile(a: f64, b: f64, share: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // Each step is a binary digit: more than a double has, also of a bound in the billionths.
    for _ in 0..90 {
        let middle = f64::midpoint(low, high);
        if beta_reg(a, b, middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

impl fmt::Display for Rate {
    /// `0.30 % (0.01-1.69 %), 1 of 328`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { low, high } = self.interval();
        // Two digits say nothing of a rate in the millionths.
        let digits = if high < 0.001 { 4 } else { 2 };
        match self.value() {
            Some(value) => write!(f, "{:.digits$} %", 100.0 * value)?,
            None => f.write_str("cannot be said")?,
        }
        write!(f, " ({:.digits$}-{:.digits$} %), {} of {}", 100.0 * low, 100.0 * high, self.errors, self.trials)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(errors: u64, trials: u64) -> Rate {
        Rate { errors, trials }
    }

    #[test]
    fn the_interval_is_always_printed() {
        assert_eq!(rate(1, 328).to_string(), "0.30 % (0.01-1.69 %), 1 of 328");
        assert_eq!(rate(0, 10).to_string(), "0.00 % (0.00-30.85 %), 0 of 10");
        assert_eq!(rate(3, 1_000_000).to_string(), "0.0003 % (0.0001-0.0009 %), 3 of 1000000");
        assert_eq!(rate(0, 0).to_string(), "cannot be said (0.00-100.00 %), 0 of 0");
    }

    #[test]
    fn without_errors_the_bound_is_the_one_by_hand() {
        // (1 - p)^n = 0.025
        let high = 1.0 - 0.025f64.powf(1.0 / 300.0);
        assert_eq!(rate(0, 300).interval().low, 0.0);
        assert!((rate(0, 300).interval().high - high).abs() < 1e-12);
        assert!((rate(300, 300).interval().low - (1.0 - high)).abs() < 1e-12);
        assert_eq!(rate(300, 300).interval().high, 1.0);
    }

    #[test]
    fn so_many_trials_without_an_error_prove_so_much() {
        for (trials, bound) in [(14, 0.20), (29, 0.10), (59, 0.05), (299, 0.01)] {
            assert!(rate(0, trials).upper_bound() <= bound && rate(0, trials - 1).upper_bound() > bound, "{trials}");
            // (1 - p)^n = 0.05
            assert!((rate(0, trials).upper_bound() - (1.0 - 0.05f64.powf(1.0 / trials as f64))).abs() < 1e-12);
        }
        assert_eq!((rate(3, 3).upper_bound(), rate(0, 0).upper_bound()), (1.0, 1.0));
    }

    #[test]
    fn without_trials_nothing_is_known() {
        assert_eq!(rate(0, 0).value(), None);
        assert_eq!(rate(0, 0).interval(), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn errors_are_counted() {
        assert_eq!(Rate::count([true, false, true]), rate(2, 3));
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_rate_and_shrinks_with_trials(errors in 0u64..200, others in 0u64..20_000) {
            let small = rate(errors, errors + others);
            let Interval { low, high } = small.interval();
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            if let Some(value) = small.value() {
                prop_assert!(low <= value && value <= high, "{low} {value} {high}");
                prop_assert!(value <= small.upper_bound() && small.upper_bound() <= high);
                let large = rate(10 * errors, 10 * (errors + others)).interval();
                prop_assert!(large.high - large.low < high - low);
            }
        }
    }
}
