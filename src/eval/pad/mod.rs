//! Presentation attack detection measured (ISO/IEC 30107-3): what was presented ([`Presented`]), what the nets say of its frames
//! ([`PadStages`]), how the presentations come out ([`Presentation`]), and the rates ([`PadTrials`], [`DoorTally`]).

mod door;
mod list;
mod presentation;
mod rates;
mod stages;

pub use door::DoorTally;
pub use list::{Presented, recordings};
pub use presentation::{Presentation, presentations};
pub use rates::{PadRates, PadTrial, PadTrials};
pub(in crate::eval) use stages::METHOD;
pub use stages::{PadEyes, PadStages, SeenFrame};
