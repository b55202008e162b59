//! Enrolment: from pictures, or from a source, to templates that deserve to be kept.
//!
//! A gallery is as good as its worst template, so every picture is judged, and refused with a
//! reason, before anything is written; and the photos of one enrolment are held against each other ([`purify()`]).
//! No picture is stored.

mod purify;
mod refusal;
mod session;
mod sitting;

pub use purify::{Purified, SetAside, purify, set_aside};
pub use refusal::Refusal;
pub use session::{Accepted, EnrolSession};
pub use sitting::{Sitting, SittingError, SittingSettings};
