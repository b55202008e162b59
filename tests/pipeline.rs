//! The pipeline from outside: what it promises about losses, order, panics, errors and stopping.
//!
//! Source, detector, recogniser, sinks and clock are fakes here, because the threads and the edges
//! between them are what is under test; `tests/demo.rs` runs the real ones on real faces.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use doorward::{
    capture::{CaptureError, FrameSource, Pacing, Received, StopSignal},
    config::{IdleSettings, PadLimits, QualityLimits, SupervisionSettings, TrackSettings},
    decide::{Demands, PresentationDemands},
    detect::{DetectError, FaceDetector},
    domain::{
        AccessEvent, BBox, BootId, Clock, Decision, DenyReason, Detection, Embedding, Event, FaceCrop, Hint,
        Landmarks5, ModelId, News, PadDoubt, PadVerdict, Point, SampleQuality, SourceChange, SourceId, Stamp,
        SystemClock, Threshold, ThresholdLadder,
    },
    embed::{EmbedError, FaceEmbedder},
    emit::{EmitError, EventSink},
    gallery::{Gallery, NewSubject, NewTemplate, Snapshot},
    pad::{Assessment, PadAssessor, PadError},
    pipeline::{Health, Observer, Outcome, PadPart, Pipeline, PipelineError},
};
use image::RgbImage;

// ---------------------------------------------------------------- fakes

/// What a fake source does next.
enum Step {
    Frame,
    /// A black frame.
    Dark,
    Corrupt,
    Fail,
    /// Fails like something that was never there.
    Vanish,
    Panic,
    /// Blocks until stopped.
    Wait,
    /// Blocks without noticing a stop.
    Sleep(Duration),
}

struct Script {
    steps: Arc<Mutex<VecDeque<Step>>>,
    pacing: Pacing,
    every: Duration,
    stop: StopSignal,
}

impl FrameSource for Script {
    fn pacing(&self) -> Pacing {
        self.pacing
    }

    fn receive(&mut self) -> Result<Received, CaptureError> {
        if self.stop.wait(self.every) {
            return Ok(Received::End);
        }
        let step = self.steps.lock().unwrap().pop_front();
        match step {
            None => Ok(Received::End),
            Some(Step::Frame) => {
                let image =
                    RgbImage::from_fn(160, 160, |x, y| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, 90]));
                Ok(Received::Picture { image, captured: SystemClock.now() })
            }
            Some(Step::Dark) => Ok(Received::Picture { image: RgbImage::new(160, 160), captured: SystemClock.now() }),
            Some(Step::Corrupt) => Ok(Received::Corrupt { reason: "scripted".into() }),
            Some(Step::Fail) => Err(CaptureError::Ended { place: "script".into(), how: "scripted".into() }),
            Some(Step::Vanish) => {
                Err(CaptureError::Open { place: "script".into(), source: std::io::ErrorKind::NotFound.into() })
            }
            Some(Step::Panic) => panic!("scripted panic"),
            Some(Step::Wait) => {
                self.stop.wait(Duration::from_secs(600));
                Ok(Received::End)
            }
            Some(Step::Sleep(d)) => {
                thread::sleep(d);
                Ok(Received::End)
            }
        }
    }
}

/// Finds one face a frame, each time in another corner: somebody else each time.
struct OneFace {
    takes: Duration,
    panic_at: Option<u64>,
    calls: u64,
}

impl FaceDetector for OneFace {
    fn name(&self) -> &str {
        "one face"
    }

    fn detect(&mut self, _: &RgbImage) -> Result<Vec<Detection>, DetectError> {
        self.calls += 1;
        assert!(self.panic_at != Some(self.calls), "scripted panic");
        thread::sleep(self.takes);
        let (x, y) = [(8.0, 8.0), (110.0, 8.0), (8.0, 110.0), (110.0, 110.0)][self.calls as usize % 4];
        Ok(vec![face_at(x, y)])
    }
}

/// A face whose box has this upper left corner.
fn face_at(x: f32, y: f32) -> Detection {
    let points = [(7.0, 14.0), (25.0, 14.0), (16.0, 25.0), (9.0, 33.0), (23.0, 33.0)];
    Detection {
        bbox: BBox { x, y, w: 32.0, h: 40.0 },
        score: 0.9,
        landmarks: Landmarks5(points.map(|(dx, dy)| Point { x: x + dx, y: y + dy })),
    }
}

fn model() -> ModelId {
    ModelId::new("fake", [7; 32])
}

fn ada() -> Embedding {
    Embedding::new(model(), &[1.0, 0.0, 0.0]).unwrap()
}

/// Everybody is Ada.
struct AlwaysAda {
    model: ModelId,
    takes: Duration,
    panic_at: Option<u64>,
    calls: u64,
}

impl FaceEmbedder for AlwaysAda {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&mut self, _: &FaceCrop) -> Result<Embedding, EmbedError> {
        self.calls += 1;
        assert!(self.panic_at != Some(self.calls), "scripted panic");
        thread::sleep(self.takes);
        Ok(ada())
    }

    fn engine_name(&self) -> &'static str {
        "a script"
    }
}

/// Keeps what it is given; fails or panics when told to.
struct Notebook {
    events: Arc<Mutex<Vec<AccessEvent>>>,
    /// Those that are of something else than access.
    others: Arc<Mutex<Vec<News>>>,
    written: usize,
    failures: u32,
    closed: bool,
    panic_at: Option<usize>,
}

impl EventSink for Notebook {
    fn name(&self) -> &str {
        "notebook"
    }

    fn emit(&mut self, event: &Event) -> Result<(), EmitError> {
        if self.closed {
            return Err(EmitError::Closed { sink: "notebook".into() });
        }
        if self.failures > 0 {
            self.failures -= 1;
            let source = std::io::Error::new(std::io::ErrorKind::StorageFull, "scripted");
            return Err(EmitError::Write { sink: "notebook".into(), source });
        }
        assert!(self.panic_at != Some(self.written), "scripted panic");
        assert_eq!(event.sequence, self.written as u64, "a gap");
        self.written += 1;
        match &event.news {
            News::Access(access) => self.events.lock().unwrap().push((**access).clone()),
            other => self.others.lock().unwrap().push(other.clone()),
        }
        Ok(())
    }
}

/// The real clock, and a lead over it.
#[derive(Default)]
struct AheadClock {
    by_ms: AtomicU64,
}

impl Clock for AheadClock {
    fn now(&self) -> Stamp {
        let Stamp { monotonic, wall } = SystemClock.now();
        Stamp { monotonic: monotonic + Duration::from_millis(self.by_ms.load(Ordering::Relaxed)), wall }
    }
}

// ---------------------------------------------------------------- a pipeline of fakes

struct Rig {
    steps: Vec<Step>,
    pacing: Pacing,
    every: Duration,
    detector: OneFace,
    embedder: AlwaysAda,
    notebook: Notebook,
    cooldown: Duration,
    clock: Arc<AheadClock>,
    enrolled: bool,
    enrol_later: bool,
}

fn frames(n: usize) -> Vec<Step> {
    (0..n).map(|_| Step::Frame).collect()
}

impl Rig {
    fn new(steps: Vec<Step>) -> Self {
        Self {
            steps,
            pacing: Pacing::OnDemand,
            every: Duration::ZERO,
            detector: OneFace { takes: Duration::ZERO, panic_at: None, calls: 0 },
            embedder: AlwaysAda { model: model(), takes: Duration::ZERO, panic_at: None, calls: 0 },
            notebook: Notebook {
                events: Arc::default(),
                others: Arc::default(),
                written: 0,
                failures: 0,
                closed: false,
                panic_at: None,
            },
            cooldown: Duration::ZERO,
            clock: Arc::default(),
            enrolled: true,
            enrol_later: false,
        }
    }

    fn events(&self) -> Arc<Mutex<Vec<AccessEvent>>> {
        self.notebook.events.clone()
    }

    fn others(&self) -> Arc<Mutex<Vec<News>>> {
        self.notebook.others.clone()
    }

    fn pipeline(self) -> Pipeline {
        let steps = Arc::new(Mutex::new(VecDeque::from(self.steps)));
        let (pacing, every) = (self.pacing, self.every);
        let (detector, embedder, notebook) = (self.detector, self.embedder, self.notebook);
        let mut later = self.enrol_later.then(|| snapshot(true));
        Pipeline {
            door: "test".into(),
            boot: BootId(uuid::Uuid::nil()),
            source_name: SourceId::new("script"),
            source: Box::new(move |stop| Ok(Box::new(Script { steps: steps.clone(), pacing, every, stop }))),
            detector: Box::new(move || Ok(Box::new(detector))),
            quality: QualityLimits {
                min_size_px: 20.0,
                min_sharpness: 0.0,
                min_brightness: 0.0,
                max_brightness: 255.0,
                min_contrast: 0.0,
                max_yaw_deg: 90.0,
                max_pitch_deg: 90.0,
                max_roll_deg: 180.0,
                min_detector_score: 0.0,
            },
            embedder: Box::new(move || Ok(Box::new(embedder))),
            snapshot: snapshot(self.enrolled),
            refresh: Some(Box::new(move || later.take())),
            operating_point: "test".into(),
            demands: Demands {
                thresholds: ThresholdLadder::fixed(Threshold::new(0.5).unwrap()),
                margin: 0.05,
                max_frame_age: Duration::from_secs(5),
                cooldown: self.cooldown,
                agree: 1,
                looks: 1,
                retry: Duration::ZERO,
                presentation: None,
            },
            hint_every: Duration::from_secs(1),
            idle: None,
            pad: None,
            // Lost after two frames: the same corner is another track four frames later.
            track: TrackSettings { lost_after: Duration::ZERO },
            sinks: Box::new(move || Ok(vec![Box::new(notebook)])),
            witness: None,
            observer: None,
            clock: self.clock,
            supervision: SupervisionSettings {
                min_backoff: Duration::from_millis(10),
                max_backoff: Duration::from_millis(40),
            },
        }
    }

    fn run(self) -> Outcome {
        self.pipeline().run(&never_asked().1)
    }

    /// Runs on a thread of its own; the receiver gets the outcome.
    fn start(self) -> (Sender<()>, Receiver<Outcome>) {
        let (ask, asked) = unbounded();
        let (done, outcome) = unbounded();
        let pipeline = self.pipeline();
        thread::spawn(move || done.send(pipeline.run(&asked)).expect("the test waits for the outcome"));
        (ask, outcome)
    }
}

fn never_asked() -> (Sender<()>, Receiver<()>) {
    unbounded()
}

fn snapshot(enrolled: bool) -> Arc<Snapshot> {
    let dir = tempfile::tempdir().unwrap();
    let mut gallery = Gallery::open_or_create(&dir.path().join("gallery"), None).unwrap();
    if enrolled {
        let subject = NewSubject {
            id: "ada".parse().unwrap(),
            name: "Ada Lovelace".into(),
            attributes: Default::default(),
            created: SystemClock.now().wall,
            expires: None,
        };
        let quality = SampleQuality {
            size_px: 100.0,
            sharpness: 100.0,
            brightness: 100.0,
            contrast: 40.0,
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            detector_score: 0.9,
        };
        let template =
            NewTemplate { embedding: ada(), quality, source: "a.jpg".into(), enrolled: SystemClock.now().wall };
        gallery.enrol(subject, vec![template]).unwrap();
    }
    gallery.snapshot(&model()).unwrap()
}

// ---------------------------------------------------------------- the promises

#[test]
fn every_captured_frame_is_replaced_or_seen_and_every_probe_is_emitted() {
    let mut rig = Rig::new(frames(150));
    rig.pacing = Pacing::Live;
    rig.every = Duration::from_millis(2);
    rig.detector.takes = Duration::from_millis(5);
    rig.embedder.takes = Duration::from_millis(6);
    let events = rig.events();
    let Outcome { tally, result } = rig.run();
    result.unwrap();
    assert_eq!(tally.captured, 150);
    assert_eq!(tally.captured, tally.replaced + tally.seen);
    assert!(tally.replaced > 0, "a live source three times too fast must lose frames: {tally:?}");
    assert_eq!((tally.probes, tally.granted + tally.denied, tally.emitted), (tally.seen, tally.seen, tally.seen));
    let events = events.lock().unwrap();
    assert_eq!(events.len() as u64, tally.emitted);
    assert!(events.is_sorted_by(|a, b| a.at.seq < b.at.seq), "events are out of order");
}

#[test]
fn the_last_frame_is_never_the_one_replaced() {
    let mut rig = Rig::new(frames(40));
    rig.pacing = Pacing::Live;
    rig.detector.takes = Duration::from_millis(3);
    let events = rig.events();
    rig.run().result.unwrap();
    assert_eq!(events.lock().unwrap().last().unwrap().at.seq, 39);
}

#[test]
fn a_replay_on_demand_loses_nothing() {
    let mut rig = Rig::new(frames(60));
    rig.detector.takes = Duration::from_millis(1);
    rig.embedder.takes = Duration::from_millis(2);
    let Outcome { tally, result } = rig.run();
    result.unwrap();
    assert_eq!((tally.captured, tally.replaced, tally.seen, tally.emitted), (60, 0, 60, 60));
}

#[test]
fn a_corrupt_frame_uses_up_its_number() {
    let rig = Rig::new(vec![Step::Frame, Step::Corrupt, Step::Corrupt, Step::Frame]);
    let events = rig.events();
    let Outcome { tally, result } = rig.run();
    result.unwrap();
    assert_eq!((tally.captured, tally.corrupt), (2, 2));
    let seqs: Vec<u64> = events.lock().unwrap().iter().map(|e| e.at.seq).collect();
    assert_eq!(seqs, [0, 3]);
}

#[test]
fn a_panic_in_any_stage_drains_the_rest_and_names_the_stage() {
    let with = |stage: &'static str, change: fn(&mut Rig)| {
        let mut rig = Rig::new(frames(20));
        change(&mut rig);
        let events = rig.events();
        let Outcome { tally, result } = rig.run();
        match result {
            Err(PipelineError::Panicked { stage: named, message }) => {
                assert_eq!((named, message.as_str()), (stage, "scripted panic"));
            }
            other => panic!("{stage}: {other:?}"),
        }
        (tally, events.lock().unwrap().len() as u64)
    };
    let (tally, written) = with("see", |rig| rig.detector.panic_at = Some(8));
    assert_eq!((tally.probes, tally.emitted, written), (7, 7, 7), "what was in flight is emitted");
    let (tally, written) = with("recognise", |rig| rig.embedder.panic_at = Some(8));
    assert_eq!((tally.probes, tally.emitted, written), (7, 7, 7), "what was decided is emitted");
    let (tally, written) = with("capture", |rig| rig.steps[7] = Step::Panic);
    assert_eq!((tally.captured, tally.seen, tally.emitted, written), (7, 7, 7, 7));
    let (_, written) = with("emit", |rig| rig.notebook.panic_at = Some(3));
    assert_eq!(written, 3);
}

#[test]
fn a_stop_while_everything_waits_ends_within_a_second() {
    for last in [Step::Wait, Step::Sleep(Duration::from_secs(30))] {
        let cooperative = matches!(last, Step::Wait);
        let mut steps = frames(3);
        steps.push(last);
        let rig = Rig::new(steps);
        let events = rig.events();
        let (ask, outcome) = rig.start();
        let started = Instant::now();
        while events.lock().unwrap().len() < 3 {
            assert!(started.elapsed() < Duration::from_secs(20), "the first frames never came through");
            thread::sleep(Duration::from_millis(5));
        }
        let asked = Instant::now();
        ask.send(()).unwrap();
        let outcome = outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}, cooperative: {cooperative}", asked.elapsed());
        outcome.result.unwrap();
        assert_eq!(outcome.tally.emitted, 3);
    }
}

#[test]
fn a_stop_under_load_still_emits_what_was_decided() {
    let mut rig = Rig::new(frames(100_000));
    rig.pacing = Pacing::Live;
    rig.every = Duration::from_millis(1);
    rig.embedder.takes = Duration::from_millis(4);
    let events = rig.events();
    let (ask, outcome) = rig.start();
    thread::sleep(Duration::from_millis(300));
    ask.send(()).unwrap();
    let Outcome { tally, result } = outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended");
    result.unwrap();
    assert!(tally.captured > 0);
    assert_eq!(tally.captured, tally.replaced + tally.seen);
    assert_eq!((tally.probes, tally.emitted), (tally.seen, tally.seen));
    assert_eq!(events.lock().unwrap().len() as u64, tally.emitted);
}

#[test]
fn a_source_that_fails_is_opened_again_and_numbers_go_on() {
    let mut steps = frames(3);
    steps.push(Step::Fail);
    steps.push(Step::Fail);
    steps.extend(frames(3));
    let rig = Rig::new(steps);
    let events = rig.events();
    let Outcome { tally, result } = rig.run();
    result.unwrap();
    assert_eq!((tally.captured, tally.reopened), (6, 2));
    let seqs: Vec<u64> = events.lock().unwrap().iter().map(|e| e.at.seq).collect();
    assert_eq!(seqs, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_stop_wakes_a_source_that_waits_to_be_opened_again() {
    let mut pipeline_rig = Rig::new(vec![]);
    pipeline_rig.every = Duration::ZERO;
    let opened = Arc::new(AtomicBool::new(false));
    let (ask, asked) = unbounded();
    let (done, outcome) = unbounded();
    let seen = opened.clone();
    thread::spawn(move || {
        let mut pipeline = pipeline_rig.pipeline();
        pipeline.supervision =
            SupervisionSettings { min_backoff: Duration::from_secs(600), max_backoff: Duration::from_secs(600) };
        pipeline.source = Box::new(move |_| {
            seen.store(true, Ordering::SeqCst);
            Err(CaptureError::Ended { place: "script".into(), how: "never there".into() })
        });
        done.send(pipeline.run(&asked)).expect("the test waits for the outcome");
    });
    while !opened.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(2));
    }
    let started = Instant::now();
    ask.send(()).unwrap();
    outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended").result.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_source_that_can_never_work_ends_the_pipeline_with_its_error() {
    let mut pipeline = Rig::new(vec![]).pipeline();
    pipeline.source =
        Box::new(|_| Err(CaptureError::Open { place: "nowhere".into(), source: std::io::ErrorKind::NotFound.into() }));
    let outcome = pipeline.run(&never_asked().1);
    assert!(matches!(outcome.result, Err(PipelineError::Source(_))), "{:?}", outcome.result);
}

#[test]
fn a_live_source_that_has_worked_is_opened_again_whatever_becomes_of_it() {
    let rig = |pacing| {
        let mut rig = Rig::new(vec![Step::Frame, Step::Vanish, Step::Frame]);
        rig.pacing = pacing;
        rig.run()
    };
    // A camera's program is missing while its package is upgraded.
    let Outcome { tally, result } = rig(Pacing::Live);
    result.unwrap();
    assert_eq!((tally.captured, tally.reopened), (2, 1));
    // A recording that is gone is gone.
    let Outcome { tally, result } = rig(Pacing::OnDemand);
    assert!(matches!(result, Err(PipelineError::Source(_))), "{result:?}");
    assert_eq!(tally.reopened, 0);
}

#[test]
fn a_camera_that_refuses_is_not_asked_again_soon() {
    let mut pipeline = Rig::new(vec![]).pipeline();
    let opened = Arc::new(AtomicU64::new(0));
    let counted = opened.clone();
    pipeline.source = Box::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Err(CaptureError::Refused { place: "camera".into(), why: "scripted".into() })
    });
    let (ask, asked) = unbounded();
    let (done, outcome) = unbounded();
    thread::spawn(move || done.send(pipeline.run(&asked)).expect("the test waits for the outcome"));
    let started = Instant::now();
    while opened.load(Ordering::SeqCst) == 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "never opened");
        thread::sleep(Duration::from_millis(1));
    }
    // Eight of the longest pauses of other failures.
    thread::sleep(Duration::from_millis(320));
    assert_eq!(opened.load(Ordering::SeqCst), 1);
    ask.send(()).unwrap();
    outcome.recv_timeout(Duration::from_secs(20)).expect("a stop wakes it").result.unwrap();
}

#[test]
fn a_detector_that_cannot_be_built_ends_the_pipeline_with_its_error() {
    let mut pipeline = Rig::new(vec![Step::Frame, Step::Wait]).pipeline();
    pipeline.detector = Box::new(|| {
        let store = doorward::models::ModelStore::open(std::path::Path::new("/nonexistent"));
        Err(store.expect_err("there is no such folder").into())
    });
    let outcome = pipeline.run(&never_asked().1);
    assert!(matches!(outcome.result, Err(PipelineError::Detector(_))), "{:?}", outcome.result);
    assert_eq!(outcome.tally.emitted, 0);
}

#[test]
fn a_sink_that_fails_for_a_while_loses_no_event() {
    let mut rig = Rig::new(frames(5));
    rig.notebook.failures = 3;
    let Outcome { tally, result } = rig.run();
    result.unwrap();
    assert_eq!(tally.emitted, 5);
}

#[test]
fn a_stop_ends_even_when_the_disk_is_full() {
    let mut rig = Rig::new(vec![Step::Frame, Step::Wait]);
    rig.notebook.failures = u32::MAX;
    let (ask, outcome) = rig.start();
    thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    ask.send(()).unwrap();
    let outcome = outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(matches!(outcome.result, Err(PipelineError::Sink(EmitError::Write { .. }))), "{:?}", outcome.result);
    assert_eq!(outcome.tally.emitted, 0);
}

#[test]
fn a_stop_gives_a_sink_that_recovers_a_moment() {
    let mut rig = Rig::new(vec![Step::Frame, Step::Frame, Step::Wait]);
    rig.notebook.failures = 6;
    let events = rig.events();
    let (ask, outcome) = rig.start();
    thread::sleep(Duration::from_millis(300));
    ask.send(()).unwrap();
    let outcome = outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended");
    outcome.result.unwrap();
    assert!(outcome.tally.probes > 0);
    assert_eq!(outcome.tally.emitted, outcome.tally.probes);
    assert_eq!(events.lock().unwrap().len() as u64, outcome.tally.emitted);
}

#[test]
fn a_sink_without_a_reader_ends_the_pipeline() {
    let mut rig = Rig::new(vec![Step::Frame, Step::Wait]);
    rig.notebook.closed = true;
    assert!(matches!(rig.run().result, Err(PipelineError::Sink(EmitError::Closed { .. }))));
}

#[test]
fn a_frame_that_has_grown_old_is_denied_whoever_is_in_it() {
    let rig = Rig::new(frames(2));
    rig.clock.by_ms.store(6_000, Ordering::Relaxed);
    let events = rig.events();
    let tally = rig.run().tally;
    assert_eq!((tally.granted, tally.denied), (0, 2));
    assert!(events.lock().unwrap().iter().all(|e| e.decision == Decision::Denied(DenyReason::FrameTooOld)));
}

#[test]
fn the_cooldown_makes_one_grant_of_many_frames() {
    let mut rig = Rig::new(frames(10));
    rig.cooldown = Duration::from_secs(60);
    let events = rig.events();
    let tally = rig.run().tally;
    assert_eq!((tally.granted, tally.denied), (1, 9));
    let events = events.lock().unwrap();
    assert!(events[0].decision.is_granted());
    assert_eq!(events[0].name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(events[9].decision, Decision::Denied(DenyReason::Cooldown("ada".parse().unwrap())));
}

#[test]
fn an_enrolment_counts_while_the_door_is_guarded() {
    let mut rig = Rig::new(frames(100_000));
    rig.every = Duration::from_millis(5);
    rig.enrolled = false;
    rig.enrol_later = true;
    let events = rig.events();
    let (ask, outcome) = rig.start();
    let started = Instant::now();
    while !events.lock().unwrap().last().is_some_and(|e| e.decision.is_granted()) {
        assert!(started.elapsed() < Duration::from_secs(30), "the new snapshot was never used");
        thread::sleep(Duration::from_millis(10));
    }
    ask.send(()).unwrap();
    outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended").result.unwrap();
    assert_eq!(events.lock().unwrap()[0].decision, Decision::Denied(DenyReason::GalleryEmpty));
}

/// What an observer was shown.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<Health>>>);

impl Diary {
    fn observer(&self) -> Option<Observer> {
        let pages = self.0.clone();
        let look = Box::new(move |health: &Health| pages.lock().unwrap().push(health.clone()));
        Some(Observer { every: Duration::from_millis(10), look })
    }

    /// The first page like this, once it is written.
    fn wait_for(&self, what: &str, like: impl Fn(&Health) -> bool) -> Health {
        let started = Instant::now();
        loop {
            if let Some(health) = self.0.lock().unwrap().iter().find(|health| like(health)) {
                return health.clone();
            }
            assert!(started.elapsed() < Duration::from_secs(20), "never seen: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn observed(mut pipeline: Pipeline) -> (Diary, Sender<()>, Receiver<Outcome>) {
    let diary = Diary::default();
    pipeline.observer = diary.observer();
    let (ask, asked) = unbounded();
    let (done, outcome) = unbounded();
    thread::spawn(move || done.send(pipeline.run(&asked)).expect("the test waits for the outcome"));
    (diary, ask, outcome)
}

#[test]
fn the_health_shows_what_is_built_what_waits_and_the_end() {
    let mut rig = Rig::new(vec![Step::Frame, Step::Frame, Step::Frame, Step::Wait]);
    rig.embedder.takes = Duration::from_millis(300);
    let (diary, ask, outcome) = observed(rig.pipeline());
    let waiting = diary.wait_for("a face in the recogniser", |h| h.tally.sightings > h.tally.judged);
    assert!(waiting.built && !waiting.stopping && waiting.trouble.is_none(), "{waiting:?}");
    assert_eq!(waiting.subjects, 1);
    let done = diary.wait_for("every frame through", |h| h.tally.emitted == 3);
    assert_eq!((done.tally.searched, done.tally.sightings, done.stopping), (3, 3, false));
    ask.send(()).unwrap();
    diary.wait_for("the end", |h| h.stopping);
    let tally = outcome.recv_timeout(Duration::from_secs(20)).unwrap().tally;
    assert_eq!((tally.sightings, tally.judged), (4, 4), "three frames, and the end of their tracks");
}

#[test]
fn the_health_names_the_sources_trouble_until_a_frame_comes() {
    let mut pipeline = Rig::new(vec![Step::Frame, Step::Frame, Step::Wait]).pipeline();
    let mut open = std::mem::replace(&mut pipeline.source, Box::new(|_| unreachable!()));
    let mut failures = 3;
    pipeline.source = Box::new(move |stop| {
        if failures > 0 {
            failures -= 1;
            return Err(CaptureError::Ended { place: "script".into(), how: "not plugged in".into() });
        }
        open(stop)
    });
    pipeline.supervision.min_backoff = Duration::from_millis(50);
    let (diary, ask, outcome) = observed(pipeline);
    let trouble = diary.wait_for("the trouble", |h| h.trouble.is_some());
    assert!(trouble.trouble.unwrap().contains("not plugged in"));
    assert_eq!(trouble.tally.captured, 0);
    let over = diary.wait_for("a frame", |h| h.tally.captured == 2);
    assert_eq!(over.trouble, None);
    ask.send(()).unwrap();
    outcome.recv_timeout(Duration::from_secs(20)).unwrap().result.unwrap();
}

#[test]
fn a_frame_that_the_detector_cannot_search_is_no_progress() {
    struct Blind;
    impl FaceDetector for Blind {
        fn name(&self) -> &str {
            "blind"
        }
        fn detect(&mut self, _: &RgbImage) -> Result<Vec<Detection>, DetectError> {
            let store = doorward::models::ModelStore::open(std::path::Path::new("/nonexistent"));
            Err(store.expect_err("there is no such folder").into())
        }
    }
    let mut pipeline = Rig::new(frames(5)).pipeline();
    pipeline.detector = Box::new(|| Ok(Box::new(Blind)));
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    assert_eq!((tally.seen, tally.searched, tally.failed), (5, 0, 5));
}

#[test]
fn a_gallery_that_takes_long_to_read_holds_up_neither_the_door_nor_the_observer_nor_the_end() {
    let mut rig = Rig::new(frames(100_000));
    rig.every = Duration::from_millis(5);
    let reading = Arc::new(AtomicBool::new(false));
    let mut pipeline = rig.pipeline();
    let begun = reading.clone();
    pipeline.refresh = Some(Box::new(move || {
        begun.store(true, Ordering::SeqCst);
        thread::sleep(Duration::from_secs(30));
        None
    }));
    let (diary, ask, outcome) = observed(pipeline);
    let started = Instant::now();
    while !reading.load(Ordering::SeqCst) {
        assert!(started.elapsed() < Duration::from_secs(20), "nobody asked for a newer snapshot");
        thread::sleep(Duration::from_millis(5));
    }
    let seen = diary.0.lock().unwrap().last().unwrap().tally.searched;
    diary.wait_for("frames meanwhile", |h| h.tally.searched > seen + 10);
    let asked = Instant::now();
    ask.send(()).unwrap();
    outcome.recv_timeout(Duration::from_secs(20)).expect("the pipeline never ended").result.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

// ---------------------------------------------------------------- tracks

/// Shows these faces, frame by frame, and nobody after that.
struct Faces(VecDeque<Vec<Detection>>);

impl FaceDetector for Faces {
    fn name(&self) -> &str {
        "a script of faces"
    }

    fn detect(&mut self, _: &RgbImage) -> Result<Vec<Detection>, DetectError> {
        Ok(self.0.pop_front().unwrap_or_default())
    }
}

/// A door that asks for three of five looks, and sees these faces.
fn door(frames_of_faces: Vec<Vec<Detection>>) -> (Pipeline, Arc<Mutex<Vec<AccessEvent>>>) {
    let (pipeline, events, _) = door_with_others(frames_of_faces);
    (pipeline, events)
}

type Doings = (Pipeline, Arc<Mutex<Vec<AccessEvent>>>, Arc<Mutex<Vec<News>>>);

/// The same, with what is told beside decisions.
fn door_with_others(frames_of_faces: Vec<Vec<Detection>>) -> Doings {
    let mut rig = Rig::new(frames(frames_of_faces.len()));
    rig.every = Duration::from_millis(2);
    let (events, others) = (rig.events(), rig.others());
    let mut pipeline = rig.pipeline();
    (pipeline.demands.agree, pipeline.demands.looks) = (3, 5);
    pipeline.demands.retry = Duration::from_secs(60);
    pipeline.demands.cooldown = Duration::from_secs(60);
    pipeline.detector = Box::new(move || Ok(Box::new(Faces(frames_of_faces.into()))));
    (pipeline, events, others)
}

fn told(events: &Mutex<Vec<AccessEvent>>) -> Vec<(u64, u64, Decision)> {
    events.lock().unwrap().iter().map(|e| (e.track.number(), e.at.seq, e.decision.clone())).collect()
}

fn granted_ada() -> Decision {
    Decision::Granted("ada".parse().unwrap())
}

#[test]
fn one_stay_is_one_decision_by_the_third_look() {
    let (pipeline, events) = door(vec![vec![face_at(40.0, 40.0)]; 40]);
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    assert_eq!(told(&events), [(0, 2, granted_ada())]);
    assert_eq!(tally.probes, 3, "who is decided on is not looked at before the pause is over");
    assert_eq!((tally.granted, tally.denied, tally.emitted), (1, 0, 1));
}

#[test]
fn who_leaves_and_returns_is_a_new_track() {
    let (there, gone) = (vec![face_at(40.0, 40.0)], Vec::new());
    let script = [vec![there.clone(); 8], vec![gone; 4], vec![there; 8]].concat();
    let (pipeline, events) = door(script);
    pipeline.run(&never_asked().1).result.unwrap();
    let cooldown = Decision::Denied(DenyReason::Cooldown("ada".parse().unwrap()));
    assert_eq!(told(&events), [(0, 2, granted_ada()), (1, 14, cooldown)]);
}

#[test]
fn who_leaves_before_enough_looks_is_told_of() {
    let script = [vec![vec![face_at(40.0, 40.0)]; 2], vec![Vec::new(); 6]].concat();
    let (pipeline, events) = door(script);
    pipeline.run(&never_asked().1).result.unwrap();
    assert_eq!(told(&events), [(0, 1, Decision::Denied(DenyReason::TooFewLooks))]);
    let (pipeline, events) = door(vec![vec![face_at(40.0, 40.0)]; 2]);
    pipeline.run(&never_asked().1).result.unwrap();
    assert_eq!(told(&events), [(0, 1, Decision::Denied(DenyReason::TooFewLooks))], "also when the source ends");
}

#[test]
fn of_a_crowd_one_is_decided_as_soon_as_one_alone_and_all_have_their_turn() {
    let places = [(2.0, 2.0), (60.0, 2.0), (118.0, 2.0), (2.0, 110.0), (60.0, 110.0), (118.0, 110.0)];
    let crowd: Vec<Detection> = places.iter().map(|&(x, y)| face_at(x, y)).collect();
    let (pipeline, events) = door(vec![crowd; 40]);
    pipeline.run(&never_asked().1).result.unwrap();
    let told = told(&events);
    assert_eq!(told.first().map(|(_, frame, _)| *frame), Some(2), "{told:?}");
    let mut tracks: Vec<u64> = told.iter().map(|(track, ..)| *track).collect();
    tracks.sort_unstable();
    assert_eq!(tracks, [0, 1, 2, 3, 4, 5], "{told:?}");
    // All of them are Ada: the others meet her cooldown.
    assert_eq!(told.iter().filter(|(.., decision)| decision.is_granted()).count(), 1);
}

#[test]
fn a_face_that_becomes_another_under_way_is_told_and_begins_again() {
    /// Ada for two looks, then somebody else.
    struct Swap(ModelId, u32);
    impl FaceEmbedder for Swap {
        fn model(&self) -> &ModelId {
            &self.0
        }
        fn embed(&mut self, _: &FaceCrop) -> Result<Embedding, EmbedError> {
            self.1 += 1;
            Ok(if self.1 <= 2 { Embedding::new(model(), &[0.0, 1.0, 0.0]).unwrap() } else { ada() })
        }
        fn engine_name(&self) -> &'static str {
            "a script"
        }
    }
    let (mut pipeline, events) = door(vec![vec![face_at(40.0, 40.0)]; 12]);
    pipeline.embedder = Box::new(|| Ok(Box::new(Swap(model(), 0))));
    pipeline.run(&never_asked().1).result.unwrap();
    // Looks 0 and 1 are a stranger's, 2 and 3 are unlike them, 4 to 6 are Ada's.
    assert_eq!(told(&events), [(0, 3, Decision::Denied(DenyReason::IdentityChanged)), (0, 6, granted_ada())]);
}

// ---------------------------------------------------------------- light and motion

#[test]
fn an_infrared_lamp_that_strobes_costs_nobody_their_track() {
    let script: Vec<Step> = (0..24).flat_map(|_| [Step::Frame, Step::Dark]).collect();
    let mut rig = Rig::new(script);
    rig.every = Duration::from_millis(2);
    let events = rig.events();
    let mut pipeline = rig.pipeline();
    (pipeline.demands.agree, pipeline.demands.looks) = (3, 5);
    pipeline.demands.retry = Duration::from_secs(60);
    pipeline.detector = Box::new(move || Ok(Box::new(Faces(vec![vec![face_at(40.0, 40.0)]; 24].into()))));
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    assert_eq!((tally.seen, tally.searched, tally.passed_over), (48, 24, 24));
    assert_eq!(told(&events), [(0, 4, granted_ada())], "one stay");
}

#[test]
fn in_the_dark_tracks_end_and_more_light_is_asked_for_once() {
    let mut rig = Rig::new((0..6).map(|_| Step::Frame).chain((0..140).map(|_| Step::Dark)).collect());
    rig.every = Duration::from_millis(20);
    let others = rig.others();
    let mut pipeline = rig.pipeline();
    pipeline.detector = Box::new(move || Ok(Box::new(Faces(vec![vec![face_at(40.0, 40.0)]; 6].into()))));
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    assert_eq!((tally.searched, tally.passed_over), (6, 140));
    let told = others.lock().unwrap();
    assert!(
        matches!(&told[..], [News::Hint(hint)] if hint.hint == Hint::MoreLight && hint.track.is_none()),
        "{told:?}"
    );
}

#[test]
fn a_scene_in_which_nothing_happens_is_searched_now_and_then() {
    let mut rig = Rig::new(frames(200));
    rig.every = Duration::from_millis(5);
    let mut pipeline = rig.pipeline();
    pipeline.idle = Some(IdleSettings { after: Duration::from_millis(50), search_every: Duration::from_millis(100) });
    pipeline.detector = Box::new(move || Ok(Box::new(Faces(VecDeque::new()))));
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    assert_eq!(tally.searched + tally.passed_over, 200);
    assert!((5..100).contains(&tally.searched), "{tally:?}");
}

// ---------------------------------------------------------------- what a person can do

#[test]
fn who_cannot_be_judged_is_told_what_to_do_and_not_all_the_time() {
    let mut rig = Rig::new(frames(120));
    rig.every = Duration::from_millis(20);
    let (events, others) = (rig.events(), rig.others());
    let mut pipeline = rig.pipeline();
    pipeline.quality.min_sharpness = 1e6;
    pipeline.demands.looks = 5;
    pipeline.detector = Box::new(move || Ok(Box::new(Faces(vec![vec![face_at(40.0, 40.0)]; 120].into()))));
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    let told = others.lock().unwrap();
    assert!(
        matches!(&told[..], [News::Hint(hint)] if hint.hint == Hint::HoldStill && hint.track.is_some()),
        "{told:?}"
    );
    assert_eq!(events.lock().unwrap().len(), 1, "and denied once");
    assert_eq!((tally.told, tally.emitted), (1, 2));
}

#[test]
fn who_stays_too_far_away_is_asked_to_come_closer() {
    let mut rig = Rig::new(frames(130));
    rig.every = Duration::from_millis(20);
    let (events, others) = (rig.events(), rig.others());
    let mut pipeline = rig.pipeline();
    pipeline.quality.min_size_px = 100.0;
    pipeline.detector = Box::new(move || Ok(Box::new(Faces(vec![vec![face_at(40.0, 40.0)]; 130].into()))));
    pipeline.run(&never_asked().1).result.unwrap();
    let told = others.lock().unwrap();
    assert!(matches!(&told[..], [News::Hint(hint)] if hint.hint == Hint::ComeCloser), "{told:?}");
    assert_eq!(events.lock().unwrap().len(), 0, "nobody is decided on who is not at the door");
}

// ---------------------------------------------------------------- the source

#[test]
fn a_source_that_is_lost_is_told_of_once_and_again_when_it_is_back() {
    let rig = Rig::new(vec![Step::Frame, Step::Fail, Step::Fail, Step::Fail, Step::Frame, Step::Frame]);
    let others = rig.others();
    rig.run().result.unwrap();
    let told = others.lock().unwrap();
    let changes: Vec<&SourceChange> = told
        .iter()
        .filter_map(|news| if let News::Source(event) = news { Some(&event.change) } else { None })
        .collect();
    assert!(
        matches!(&changes[..], [SourceChange::Lost { why }, SourceChange::Back { .. }] if why.contains("scripted")),
        "{changes:?}"
    );
}

// ---------------------------------------------------------------- presentation attacks

/// Says the same of every frame; `None` fails.
struct Says(Option<f64>);

impl PadAssessor for Says {
    fn assess(&mut self, _: &RgbImage, _: &BBox) -> Result<Option<Assessment>, PadError> {
        match self.0 {
            Some(log_odds) => Ok(Some(Assessment { log_odds, scale: 2.7, saturation: 90.0 })),
            None => Err(PadError::Output { model: "script".into(), reason: "scripted".into() }),
        }
    }
}

/// Ada before a door for 40 frames, of whom presentation attack detection says this.
fn presented(says: Option<f64>, required: bool) -> Doings {
    let (mut pipeline, events, others) = door_with_others(vec![vec![face_at(40.0, 40.0)]; 40]);
    let limits = PadLimits { min_size_px: 20.0, min_brightness: 0.0, min_sharpness: 0.0, ..PadLimits::default() };
    pipeline.pad = Some(PadPart { assessor: Box::new(move || Ok(Box::new(Says(says)))), limits });
    pipeline.demands.presentation = required.then_some(PresentationDemands { cooldown: Duration::from_secs(10) });
    (pipeline, events, others)
}

#[test]
fn where_it_is_required_a_grant_comes_with_the_tenth_frame() {
    let (pipeline, events, others) = presented(Some(1.5), true);
    pipeline.run(&never_asked().1).result.unwrap();
    assert_eq!(told(&events), [(0, 9, granted_ada())]);
    assert_eq!(events.lock().unwrap()[0].pad, PadVerdict::BonaFide(1.5));
    assert!(others.lock().unwrap().is_empty(), "it decides, and is not reported");
}

#[test]
fn where_it_is_required_an_attack_and_a_net_that_fails_open_nothing() {
    let (pipeline, events, _) = presented(Some(-1.5), true);
    pipeline.run(&never_asked().1).result.unwrap();
    assert_eq!(told(&events), [(0, 9, Decision::Denied(DenyReason::PresentationAttack))]);
    let (pipeline, events, _) = presented(None, true);
    let Outcome { tally, result } = pipeline.run(&never_asked().1);
    result.unwrap();
    let reason = DenyReason::PresentationUndetermined(PadDoubt::TooFewFrames);
    assert_eq!(told(&events), [(0, 39, Decision::Denied(reason))]);
    assert_eq!(tally.failed, 40);
}

#[test]
fn where_it_is_reported_it_changes_nothing_and_is_told_of() {
    let (pipeline, events, others) = presented(Some(-1.5), false);
    pipeline.run(&never_asked().1).result.unwrap();
    assert_eq!(told(&events), [(0, 2, granted_ada())]);
    let told = others.lock().unwrap();
    assert!(
        matches!(&told[..], [News::Presentation(found)] if found.at.seq == 9 && found.verdict == PadVerdict::Attack(-1.5)),
        "{told:?}"
    );
}
