use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Exit, Failure,
    annotation::{Canvas, Colour},
    compute::ComputeArgs,
    engine::Engine,
    run::{boot_id, stop_on_signals},
    text_events::TextEvents,
};
use crate::{
    capture::{self, decode_picture},
    config::{DetectorSettings, OutputSettings, Pace, SourceKind, SourceSettings, SupervisionSettings, TrackSettings},
    detect,
    domain::{Clock, Decision, Frame, SubjectId, SystemClock},
    embed,
    emit::{EmitError, EventSink, JsonLines},
    enrol::EnrolSession,
    gallery::{Gallery, NewSubject, NewTemplate, Snapshot},
    pipeline::{Pipeline, PipelineError, Standing},
};

/// See it work: enrols people from photos and plays a short real sequence as if it were a camera
///
/// Everything happens in a temporary folder; nothing is left behind.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward demo --out frames/     and look at the annotated frames")]
pub(super) struct Demo {
    /// Events as JSON lines (see docs/events.schema.json)
    #[arg(long)]
    json: bool,

    /// Write the frames with faces, annotated, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    compute: ComputeArgs,
}

/// The sequence's own pace.
const FPS: f32 = 12.0;

/// The shortest stay of somebody in the sequence,
const SHORTEST_STAY_FRAMES: f32 = 24.0;
/// and how many looks at them there should be time for: a decision takes five at most.
const LOOKS_A_STAY: f32 = 6.0;

/// Somebody the demo enrols.
struct Person {
    name: &'static str,
    photos: &'static [Photo],
}

struct Photo {
    file: &'static str,
    picture: Picture,
}

/// A file of `demo/`: in the binary, or where the package installs it.
struct Picture {
    #[cfg(feature = "embedded-extras")]
    bytes: &'static [u8],
    #[cfg(not(feature = "embedded-extras"))]
    place: &'static str,
}

macro_rules! picture {
    ($($part:literal),+) => {
        Picture {
            #[cfg(feature = "embedded-extras")]
            bytes: include_bytes!(concat!("../../demo/", $($part),+)),
            #[cfg(not(feature = "embedded-extras"))]
            place: concat!("demo/", $($part),+),
        }
    };
}

macro_rules! photo {
    ($folder:literal, $file:literal) => {
        Photo { file: $file, picture: picture!("enrol/", $folder, "/", $file) }
    };
}

const SEQUENCE: Picture = picture!("door.mjpeg");

impl Picture {
    #[cfg(feature = "embedded-extras")]
    fn read(&self) -> Result<Cow<'static, [u8]>, Failure> {
        Ok(Cow::Borrowed(self.bytes))
    }

    #[cfg(not(feature = "embedded-extras"))]
    fn read(&self) -> Result<Cow<'static, [u8]>, Failure> {
        let path = crate::models::installed(self.place);
        fs::read(&path).map(Cow::Owned).map_err(|e| {
            Failure::usage(format!(
                "the demo's pictures are not inside this program, and {}: {e}; install the package of doorward, or build with the \
                 feature embedded-extras",
                path.display()
            ))
        })
    }
}

const ENROLLED: [Person; 2] = [
    Person {
        name: "Resident",
        photos: &[
            photo!("Resident", "video-240.jpg"),
            photo!("Resident", "video-256.jpg"),
            photo!("Resident", "video-272.jpg"),
        ],
    },
    Person { name: "Barack Obama", photos: &[photo!("Barack Obama", "2009.jpg"), photo!("Barack Obama", "2010.jpg")] },
];

impl Demo {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = Engine::new(models, &self.compute)?;
        if let Some(dir) = &self.out {
            fs::create_dir_all(dir)
                .map_err(|e| Failure::usage(format!("{}: cannot be made a folder for frames: {e}", dir.display())))?;
        }
        let scratch = tempfile::tempdir()?;
        // What people read goes where the events do not.
        let say = |text: String| -> io::Result<()> {
            if self.json { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") }
        };
        let sequence = SourceSettings::new(SourceKind::Mjpeg(Self::write_sequence(scratch.path())?));
        let Enrolled { snapshot, look } = enrol_everyone(&engine, scratch.path(), &say)?;
        let fps = FPS.min(SHORTEST_STAY_FRAMES / (LOOKS_A_STAY * look.as_secs_f32()));
        let settings = SourceSettings { pace: Pace::Realtime, fps, ..sequence };
        let slow = if fps < FPS { ", slower than recorded, as this machine is slow" } else { "" };
        say(format!(
            "playing {} as if it were a camera, {} frames a second{slow}",
            settings.name,
            (fps * 10.0).round() / 10.0
        ))?;

        let seen: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let pipeline = self.pipeline(&engine, settings, snapshot, seen.clone())?;
        let outcome = pipeline.run(&stop_on_signals()?);
        let tally = outcome.tally;
        match outcome.result {
            // `doorward demo | head`: whoever watched has seen enough.
            Err(PipelineError::Sink(EmitError::Closed { .. })) => return Ok(Exit::Done),
            result => result?,
        }
        say(format!(
            "{} frames captured, {} looked at, {} replaced by a newer one; {} faces: {} granted, {} denied",
            tally.captured, tally.seen, tally.replaced, tally.faces, tally.granted, tally.denied
        ))?;
        for (who, n) in seen.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            say(format!("  {who}: {n} frame{}", if *n == 1 { "" } else { "s" }))?;
        }
        if let Some(dir) = &self.out {
            say(format!("annotated frames are in {}", dir.display()))?;
        }
        Ok(if tally.granted > 0 && tally.denied > 0 { Exit::Done } else { Exit::Negative })
    }

    /// Writes the demo's sequence into `dir`.
    pub(super) fn write_sequence(dir: &Path) -> Result<PathBuf, Failure> {
        let path = dir.join("door.mjpeg");
        fs::write(&path, SEQUENCE.read()?)?;
        Ok(path)
    }

    /// The demo's gallery, in memory.
    pub(super) fn snapshot(engine: &Engine) -> Result<Arc<Snapshot>, Failure> {
        let scratch = tempfile::tempdir()?;
        Ok(enrol_everyone(engine, scratch.path(), &|_| Ok(()))?.snapshot)
    }

    fn pipeline(
        &self,
        engine: &Engine,
        settings: SourceSettings,
        snapshot: Arc<Snapshot>,
        seen: Arc<Mutex<BTreeMap<String, u64>>>,
    ) -> Result<Pipeline, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (detector, store): (DetectorSettings, _) = (engine.detector, engine.store.clone());
        let (model, embedder_store) = (engine.recogniser()?.id.clone(), engine.store.clone());
        let (json, out) = (self.json, self.out.clone());
        let source_clock = clock.clone();
        Ok(Pipeline {
            door: "demo".into(),
            boot: boot_id(),
            source_name: settings.name.clone(),
            source: Box::new(move |stop| capture::open(&settings, source_clock.clone(), stop)),
            detector: Box::new(move || detect::build(&detector, &store)),
            quality: engine.quality,
            // Every frame is looked at: the demo shows what is found in them.
            idle: None,
            track: TrackSettings::default(),
            pad: None,
            embedder: Box::new(move || embed::build(Some(&model), &embedder_store)),
            snapshot,
            refresh: None,
            operating_point: engine.one_to_many()?.name,
            // A recording on a busy machine is still a recording: nobody walks through this door.
            demands: crate::decide::Demands { max_frame_age: Duration::from_secs(10), ..engine.demands()? },
            hint_every: OutputSettings::default().hint_every,
            sinks: Box::new(move || {
                let sink: Box<dyn EventSink> = if json {
                    Box::new(JsonLines::new("standard output", io::stdout(), false))
                } else {
                    Box::new(TextEvents::new(io::stdout()))
                };
                Ok(vec![sink])
            }),
            witness: Some(Box::new(move |frame, faces| {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                for face in faces {
                    *seen.entry(label(face)).or_default() += 1;
                }
                if let Some(dir) = &out
                    && let Err(e) = annotate(frame, faces).save(&dir.join(format!("frame-{:05}.jpg", frame.at.seq)))
                {
                    log::error!("{e}");
                }
            })),
            observer: None,
            clock,
            supervision: SupervisionSettings::default(),
        })
    }
}

/// The demo's gallery, and how long one look at a picture took.
struct Enrolled {
    snapshot: Arc<Snapshot>,
    /// Median over the photos.
    look: Duration,
}

/// Enrols everyone into a gallery below `scratch`.
fn enrol_everyone(
    engine: &Engine,
    scratch: &Path,
    say: &dyn Fn(String) -> io::Result<()>,
) -> Result<Enrolled, Failure> {
    let mut looks = Vec::new();
    let model = engine.model_id()?;
    let mut gallery = Gallery::open_or_create(&scratch.join("gallery"), None)?;
    for Person { name, photos } in ENROLLED {
        let id = SubjectId::from_name(name).expect("the demo's names are Latin");
        let mut session = EnrolSession::new(
            engine.build_detector()?,
            engine.build_embedder()?,
            engine.quality,
            Some(gallery.snapshot(&model)?),
            engine.one_to_many()?.at(gallery.list()?.len()),
            Arc::new(SystemClock),
        );
        let mut templates = Vec::new();
        for Photo { file, picture } in photos {
            let bytes = picture.read()?;
            let started = Instant::now();
            let judged = session.judge(&decode_picture(&bytes, file)?, &id)?;
            looks.push(started.elapsed());
            match judged {
                Ok(accepted) => templates.push(NewTemplate {
                    embedding: accepted.embedding,
                    quality: accepted.quality,
                    source: (*file).into(),
                    enrolled: SystemClock.now().wall,
                }),
                Err(refusal) => log::warn!("{name}, {file}: {refusal}"),
            }
        }
        say(format!("enrolled {name} from {} photos", templates.len()))?;
        let created = SystemClock.now().wall;
        let subject = NewSubject { id, name: name.into(), attributes: BTreeMap::new(), created, expires: None };
        gallery.enrol(subject, templates)?;
    }
    looks.sort_unstable();
    Ok(Enrolled { snapshot: gallery.snapshot(&model)?, look: looks[looks.len() / 2] })
}

fn label(face: &Standing) -> String {
    let Some(event) = &face.event else {
        return "looking".into();
    };
    let who = event.name.as_deref();
    match &event.decision {
        Decision::Granted(_) => format!("granted: {}", who.unwrap_or("")),
        Decision::Denied(reason) => {
            format!("denied: {reason}{}", who.map(|w| format!(" ({w})")).unwrap_or_default())
        }
    }
}

fn annotate(frame: &Frame, faces: &[Standing]) -> Canvas {
    let mut canvas = Canvas::new(frame.image.as_ref().clone());
    for face in faces {
        let granted = face.event.as_ref().is_some_and(|event| event.decision.is_granted());
        canvas.face(face.bbox, if granted { Colour::Good } else { Colour::Bad }, &label(face));
    }
    canvas
}
