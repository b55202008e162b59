//! The types that travel from frame to event. No I/O, no threads, no inference.

mod candidate;
mod decision;
mod detection;
mod embedding;
mod event;
mod face;
mod face_choice;
mod frame;
mod hint;
mod ladder;
mod probe;
mod quality;
mod similarity;
mod subject;
mod time;
mod track;

pub use candidate::{Candidate, CandidateList};
pub use decision::{Decision, DenyReason};
pub use detection::{BBox, Detection, Landmarks5, Point};
pub use embedding::{Embedding, EmbeddingError, ModelId, ModelMismatch};
pub use event::{
    AccessEvent, BootId, Event, EventId, HintEvent, News, PresentationEvent, SourceChange, SourceEvent, StageTimes,
};
pub use face::{AlignedFace, FaceCrop};
pub use face_choice::FaceChoice;
pub use frame::{Frame, FrameRef, SourceId};
pub use hint::Hint;
pub use ladder::{Foothold, Rung, ThresholdLadder};
pub use probe::{PadDoubt, PadVerdict, Probe};
pub use quality::{QualityPart, QualityRefusal, SampleQuality};
pub use similarity::{Similarity, Threshold};
pub use subject::{InvalidSubjectId, SubjectId, TemplateId};
pub use time::{Clock, Monotonic, Stamp, SystemClock};
pub use track::TrackId;
