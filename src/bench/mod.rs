//! How long each stage takes on this machine: the stages of the pipeline in one thread, one frame
//! after the other, nothing dropped and nothing waited for.

mod machine;
mod report;
mod run;

pub use machine::Machine;
pub use report::{BenchReport, NetworkReport, StageProfile, StageReport};
pub use run::{Bench, BenchError};
