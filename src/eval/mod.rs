//! Measuring recognition by the field's own protocols (ISO/IEC 19795-1), on photos whose people are known.
//!
//! The pure half takes similarities and gives rates: [`Rate`] with its interval, [`Verification`] (one to one: FMR, FNMR, equal error
//! rate), [`FoldAccuracy`], [`Identification`] (one to many: FPIR, FNIR), [`ReferenceRule`] and the charts.
//! The other half takes lists and photos to similarities: [`List`], [`Stages`] (the product's own detect, align, embed),
//! [`Survey`] over all cores with its [`Cache`], [`Samples`]. [`Planting`] measures enrolment. [`PadTrials`] and [`DoorTally`] measure
//! presentation attack detection (ISO/IEC 30107-3), [`PadStages`] looks at what was presented, [`Qualification`] says whether a camera may rely on it.
//! `docs/recognition.md` says what is measured and how.

mod cache;
mod calibration;
mod chart;
mod detection;
mod error;
mod folds;
mod growth;
mod identification;
mod list;
mod operating_points;
mod pad;
mod planting;
mod qualification;
mod random_gallery;
mod rate;
mod reference;
mod sample;
mod samples;
mod survey;
mod threshold;
mod verification;

pub use cache::{Cache, default_folder};
pub use calibration::{Basis, Calibration, LookAlikes, MatedScore, Person, Photo, Recommendation, WrongScore};
pub use chart::{Curve, GrowthCurve, Kind, Panel, draw};
pub use detection::{FaceMatching, Miss, by_picture};
pub use error::EvalError;
pub use folds::{FoldAccuracy, FoldedComparison};
pub use growth::{Extrapolated, ResemblanceTail};
pub use identification::{Identification, MatedSearch};
pub use list::{Boxed, Labelled, List, Pair, pictures};
pub use operating_points::{PointLists, PointTargets};
pub use pad::{
    DoorTally, PadEyes, PadRates, PadStages, PadTrial, PadTrials, Presentation, Presented, SeenFrame, presentations,
    recordings,
};
pub use planting::{Planted, Planting, Purify};
pub use qualification::{
    Conditions, Counted, Gate, Glimpse, Outcome, Qualification, QualificationFile, QualificationRecord, Recorded,
    Showing, Standing, showings,
};
pub use random_gallery::{ExpectedRate, NonmatedSearch, OwnSearch, RandomGallery};
pub use rate::{Interval, Rate};
pub use reference::{ReferenceRule, Template};
pub use sample::{AcquisitionFailure, Sample, SampleRecord, SeenFace, Stages};
pub use samples::Samples;
pub use survey::{Look, Survey};
pub use threshold::RatesAt;
pub use verification::{EqualErrorRate, Verification};
