//! The threads, and what flows between them.
//!
//! ```text
//! capture --(slot, the newest wins)--> see --(rendezvous)--> recognise --(64)--> emit
//! ```
//! The capture stage tells `emit` of a source that was lost, and that it is back, on a channel of its own: a source that is stuck must not
//! keep the end waiting.
//!
//! The thread that calls [`Pipeline::run`] supervises and shows the health to an [`Observer`]; another
//! keeps the [`Roster`] up to date. Stopping is dropping the capture's token:
//! each stage ends when its input closes, and everything in flight is still decided and emitted.
//! An `Err` of the source is retried inside its thread. A panic is a bug: the rest drains, and
//! `run` names the stage.

mod backoff;
mod capture_stage;
mod counters;
mod emit_stage;
mod error;
mod health;
mod presentations;
mod recognise_stage;
mod roster;
mod roster_stage;
mod see_stage;
mod slot;
mod supervisor;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crossbeam_channel::{Receiver, bounded};

use self::{
    backoff::Backoff,
    capture_stage::CaptureStage,
    counters::Counters,
    emit_stage::{Doorplate, EmitStage},
    presentations::Presentations,
    recognise_stage::RecogniseStage,
    roster_stage::RosterStage,
    see_stage::SeeStage,
    supervisor::Supervisor,
};
pub use self::{
    counters::Tally,
    error::PipelineError,
    health::{Health, Observer},
    roster::Roster,
};
use crate::{
    capture::{CaptureError, FrameSource, Reader, StopSignal, stop_token},
    config::{IdleSettings, PadLimits, QualityLimits, SupervisionSettings, TrackSettings},
    decide::{Demands, Hints, Policy},
    detect::{DetectError, FaceDetector},
    domain::{AccessEvent, BBox, BootId, Clock, Frame, SourceId, TrackId},
    embed::{EmbedError, FaceEmbedder},
    emit::{EmitError, EventSink},
    gallery::Snapshot,
    pad::{PadAssessor, PadError},
    scene::Attention,
    track::Tracker,
};

/// Events that may wait for the sinks. A sink that hangs longer holds up recognition, and the
/// pressure reaches the slot: stale frames are replaced, never queued.
const EVENT_QUEUE: usize = 64;

/// Stages that have something to build before they work: emit, recognise, see.
const BUILT_STAGES: u64 = 3;

/// Opens the source; called again after each error. Runs on the capture thread.
pub type SourceFactory = Box<dyn FnMut(StopSignal) -> Result<Box<dyn FrameSource>, CaptureError> + Send>;
/// Builds the detector on the thread that uses it (rustface's is not `Send`).
pub type DetectorFactory = Box<dyn FnOnce() -> Result<Box<dyn FaceDetector>, DetectError> + Send>;
/// Builds the recogniser on the thread that uses it.
pub type EmbedderFactory = Box<dyn FnOnce() -> Result<Box<dyn FaceEmbedder>, EmbedError> + Send>;
/// Opens the sinks on the thread that uses them.
pub type SinkFactory = Box<dyn FnOnce() -> Result<Vec<Box<dyn EventSink>>, EmitError> + Send>;
/// Builds the nets of presentation attack detection on the thread that uses them.
pub type AssessorFactory = Box<dyn FnOnce() -> Result<Box<dyn PadAssessor>, PadError> + Send>;
/// Sees each frame with faces, and how each of them stands.
pub type Witness = Box<dyn FnMut(&Frame, &[Standing]) + Send>;
/// Asked once a second for a newer snapshot, on a thread of its own.
pub type Refresh = Box<dyn FnMut() -> Option<Arc<Snapshot>> + Send>;

/// How a face in a frame stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Where it is.
    pub bbox: BBox,
    /// Its track.
    pub track: TrackId,
    /// The latest event of its track; `None` while nothing is decided.
    pub event: Option<AccessEvent>,
}

/// Everything a pipeline is made of; every device, clock and sink is passed in.
pub struct Pipeline {
    /// Name of the door in events.
    pub door: Arc<str>,
    /// The machine's boot.
    pub boot: BootId,
    /// Name of the source in frame references.
    pub source_name: SourceId,
    /// Opens the source.
    pub source: SourceFactory,
    /// Builds the detector.
    pub detector: DetectorFactory,
    /// Which samples are good enough.
    pub quality: QualityLimits,
    /// When faces are looked for less often; `None`: in every frame, as in a replay on demand, whose time is not the scene's.
    pub idle: Option<IdleSettings>,
    /// When faces of different frames are one stay before the camera.
    pub track: TrackSettings,
    /// Presentation attack detection, if it is wanted.
    pub pad: Option<PadPart>,
    /// Builds the recogniser.
    pub embedder: EmbedderFactory,
    /// Whom the door knows at the start.
    pub snapshot: Arc<Snapshot>,
    /// Where newer snapshots come from.
    pub refresh: Option<Refresh>,
    /// Name of the operating point in events.
    pub operating_point: Arc<str>,
    /// What a grant demands.
    pub demands: Demands,
    /// Least pause between two hints; zero gives none.
    pub hint_every: Duration,
    /// Opens the sinks.
    pub sinks: SinkFactory,
    /// Sees what was decided.
    pub witness: Option<Witness>,
    /// Watches over it from outside.
    pub observer: Option<Observer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How errors of the source are met.
    pub supervision: SupervisionSettings,
}

/// Presentation attack detection. Whether it decides anything is said by the [`Demands`]; where it does not, it is reported.
pub struct PadPart {
    /// Builds the nets.
    pub assessor: AssessorFactory,
    /// What a verdict demands.
    pub limits: PadLimits,
}

/// How a pipeline ended.
#[derive(Debug)]
pub struct Outcome {
    /// What the stages have done.
    pub tally: Tally,
    /// `Err` when it ended before it was told to and before the source's end.
    pub result: Result<(), PipelineError>,
}

impl Pipeline {
    /// Runs until the source ends, a message comes on `stop_requests`, or a stage fails; then
    /// drains. A source that is stuck, or a refresh under way, is left behind after half a second.
    pub fn run(self, stop_requests: &Receiver<()>) -> Outcome {
        let counters = Arc::new(Counters::default());
        let (token, stop) = stop_token();
        let gallery_stop = stop.clone();
        let (calm, hurry) = stop_token();
        let (slot_in, slot_out, closer) = slot::slot();
        let (sightings_in, sightings_out) = bounded(0);
        let (events_in, events_out) = bounded(EVENT_QUEUE);
        let (changes_in, changes_out) = bounded(EVENT_QUEUE);
        let roster = Roster::new(self.snapshot);

        let emit = EmitStage {
            news: events_out,
            changes: changes_out,
            plate: Doorplate { door: self.door, boot: self.boot },
            hurry,
            counters: counters.clone(),
        };
        let capture = CaptureStage {
            open: self.source,
            name: self.source_name.clone(),
            clock: self.clock.clone(),
            changes: changes_in,
            lost: None,
            reader: Reader::new(self.source_name),
            slot: slot_in,
            stop,
            backoff: Backoff::new(self.supervision.min_backoff, self.supervision.max_backoff),
            refused: CaptureStage::patience(),
            has_lived: false,
            counters: counters.clone(),
        };
        let see = SeeStage {
            slot: slot_out,
            sightings: sightings_in,
            limits: self.quality,
            attention: self.idle.map(Attention::new),
            tracker: Tracker::new(self.track),
            counters: counters.clone(),
        };
        let (assessor, limits) = self.pad.map(|pad| (pad.assessor, pad.limits)).unzip();
        let recognise = RecogniseStage {
            sightings: sightings_out,
            news: events_in,
            roster: roster.clone(),
            presentations: limits.map(|limits| Presentations::new(limits, self.demands.presentation.is_none())),
            policy: Policy::new(self.demands),
            hints: Hints::new(self.hint_every),
            operating_point: self.operating_point,
            clock: self.clock,
            witness: self.witness,
            counters: counters.clone(),
        };
        let (detector, embedder, sinks) = (self.detector, self.embedder, self.sinks);

        let mut supervisor = Supervisor::new(token, calm, closer);
        // Downstream first: a stage that cannot be built closes its input before frames flow.
        supervisor.start("emit", move || emit.run(&mut sinks()?));
        supervisor.start("recognise", move || {
            let assessor = assessor.map(|build| build()).transpose()?;
            recognise.run(embedder()?, assessor)
        });
        supervisor.start("see", move || see.run(detector()?.as_mut()));
        supervisor.start(Supervisor::CAPTURE, move || capture.run());
        if let Some(refresh) = self.refresh {
            let roster = RosterStage { refresh, roster: roster.clone(), stop: gallery_stop };
            supervisor.start(Supervisor::ROSTER, move || roster.run());
        }
        let (every, mut look) = self.observer.map(|observer| (observer.every, observer.look)).unzip();
        let result = supervisor.watch(stop_requests, every, |stopping| {
            if let Some(look) = &mut look {
                look(&Health {
                    tally: counters.read(),
                    built: counters.built.load(Ordering::Relaxed) == BUILT_STAGES,
                    trouble: counters.trouble(),
                    subjects: roster.current().subjects().len(),
                    stopping,
                });
            }
        });
        Outcome { tally: counters.read(), result }
    }
}
