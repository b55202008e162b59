//! Measuring recognition by the field's own protocols (ISO/IEC 19795-1), on photos whose people are known.
//!
//! The pure half takes similarities and gives rates: [`Rate`] with its interval, [`Verification`] (one to one: FMR, FNMR, equal error
//! rate), [`FoldAccuracy`], [`Identification`] (one to many: FPIR, FNIR), [`ReferenceRule`] and the charts.
//! `docs/recognition.md` says what is measured and how.

mod error;
mod folds;
mod identification;
mod rate;
mod reference;
mod threshold;
mod verification;

pub use error::EvalError;
pub use folds::{FoldAccuracy, FoldedComparison};
pub use identification::{Identification, MatedSearch};
pub use rate::{Interval, Rate};
pub use reference::{ReferenceRule, Template};
pub use threshold::RatesAt;
pub use verification::{EqualErrorRate, Verification};
