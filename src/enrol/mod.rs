//! Enrolment: from pictures, or from a source, to templates that deserve to be kept.
//!
//! A gallery is as good as its worst template, so every picture is judged, and refused with a
//! reason, before anything is written; and the photos of one enrolment are held against each other ([`purify()`]).
//! Whoever sits before a camera is led by a [`Guide`] through the [headings](Heading). No picture is stored.

mod feed;
mod guide;
mod heading;
mod purify;
mod refusal;
mod session;
mod sitting;

pub use feed::{Fed, Feed, OpenSource};
pub use guide::{Advice, Guide, Seen};
pub use heading::{Deviation, Heading, OwnFront, Quotas};
pub use purify::{Purified, SetAside, purify, set_aside};
pub use refusal::Refusal;
pub use session::{Accepted, EnrolSession, Look};
pub use sitting::{Kind, MIN_FRAMES, Sitting, SittingSettings, Step, Take};
