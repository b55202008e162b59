use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use clap::Args;
use crossbeam_channel::{Receiver, unbounded};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use uuid::Uuid;

use super::{
    Exit, Failure,
    compute::ComputeArgs,
    engine::{Engine, SearchPoint},
    place::{GalleryPlace, credentials_dir},
    service,
};
use crate::{
    capture,
    config::{Config, EventOutput, OutputSettings, Pace, PadMode, SourceKind, TrackSettings},
    detect,
    domain::{BootId, Clock, ModelId, SystemClock},
    embed,
    emit::{EmitError, EventSink, JsonLines},
    eval::{Conditions, Qualification},
    gallery::{self, Gallery, Snapshot},
    pad,
    pipeline::{PadPart, Pipeline, Refresh, Tally},
};

/// Guard a door: frames in, access events out, until SIGTERM or SIGINT
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  doorward run --config configs/usb-camera.toml

On the first SIGTERM or SIGINT everything in flight is decided and emitted; a second one ends at once.")]
pub(super) struct Run {
    /// The configuration (see configs/ for commented ones)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    #[command(flatten)]
    place: GalleryPlace,

    /// Replay at the recorded pace, whatever the configuration says
    #[arg(long)]
    realtime: bool,

    #[command(flatten)]
    compute: ComputeArgs,
}

impl Run {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let mut config = Config::load(&self.config)?;
        if self.realtime {
            if config.source.kind.is_live() {
                return Err(Failure::usage("--realtime: a live source sets its own pace; leave it out"));
            }
            config.source.pace = Pace::Realtime;
        }
        config.source.read_files(credentials_dir().as_deref())?;
        if matches!(&config.source.kind, SourceKind::Http(http) if http.exposes_login()) {
            log::warn!(
                "source.http: over http:// anybody on its network can read and forge the pictures, and read the password \
                 where the camera asks for Basic; write https://"
            );
        }
        let engine = Engine::configured(&config, models, &self.compute)?;
        let model = engine.model_id()?;
        let dir = self.place.dir(config.gallery_dir.clone())?;
        let point = engine.one_to_many()?;
        let (snapshot, refresh) = follow_gallery(&dir, &model, point.clone())?;
        if snapshot.subjects().is_empty() {
            log::warn!("gallery {}: nobody is enrolled for {model}; every face will be denied", dir.display());
        }
        engine.warn_of_other_models(&dir, &snapshot)?;
        warn_unless_qualified(&config, &engine, &dir)?;
        if let Some(remark) = engine.remark_on_kernels() {
            log::warn!("{remark}");
        }
        let subjects = snapshot.subjects().len();
        log::info!("{subjects} subjects; {}", point.describe(subjects));
        point.warn_if_beyond(subjects);
        let stop = stop_on_signals()?;
        let outcome = pipeline(&config, &engine, snapshot, refresh)?.run(&stop);
        log_tally(&outcome.tally);
        outcome.result?;
        Ok(Exit::Done)
    }
}

fn pipeline(config: &Config, engine: &Engine, snapshot: Arc<Snapshot>, refresh: Refresh) -> Result<Pipeline, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (source, source_clock) = (config.source.clone(), clock.clone());
    let (detector, detector_store) = (engine.detector, engine.store.clone());
    let (model, views, embedder_store) = (engine.recogniser()?.id.clone(), engine.views(), engine.store.clone());
    let output = config.output.clone();
    Ok(Pipeline {
        door: config.door.clone(),
        boot: boot_id(),
        source_name: source.name.clone(),
        source: Box::new(move |stop| capture::open(&source, source_clock.clone(), stop)),
        detector: Box::new(move || detect::build(&detector, &detector_store)),
        quality: engine.quality,
        idle: has_own_time(config).then_some(config.idle),
        track: tracking(config),
        pad: presentations(engine),
        embedder: Box::new(move || Ok(embed::in_views(embed::build(Some(&model), &embedder_store)?, views))),
        snapshot,
        refresh: Some(refresh),
        operating_point: engine.one_to_many()?.name,
        demands: engine.demands()?,
        hint_every: config.output.hint_every,
        sinks: Box::new(move || sinks(&output)),
        witness: None,
        observer: service::observer(),
        clock,
        supervision: config.supervision,
    })
}

/// Attack detection that decides on a camera of which nobody knows how often it is wrong is worth a word at each start.
fn warn_unless_qualified(config: &Config, engine: &Engine, gallery: &Path) -> Result<(), Failure> {
    if config.pad.mode == PadMode::Require {
        let now = Conditions::of(&config.source, &engine.detector, &engine.pad, &engine.store)?;
        let qualification = Qualification::of_door(gallery, &now)?;
        if !qualification.is_qualified() {
            log::warn!("{qualification}");
        }
    }
    Ok(())
}

/// Whether frames come at the pace of what they show. A replay as fast as frames are taken has no time of its own.
fn has_own_time(config: &Config) -> bool {
    config.source.kind.is_live() || config.source.pace == Pace::Realtime
}

/// Without a time of its own, two frames without a face end a track.
fn tracking(config: &Config) -> TrackSettings {
    if has_own_time(config) { config.track } else { TrackSettings { lost_after: Duration::ZERO } }
}

/// Presentation attack detection, where it is switched on.
fn presentations(engine: &Engine) -> Option<PadPart> {
    let (settings, store) = (engine.pad.clone(), engine.store.clone());
    (settings.mode != PadMode::Off).then(|| PadPart {
        limits: settings.limits,
        assessor: Box::new(move || Ok(Box::new(pad::build(&settings, &store)?))),
    })
}

fn sinks(output: &OutputSettings) -> Result<Vec<Box<dyn EventSink>>, EmitError> {
    let open = |place: &EventOutput| -> Result<Box<dyn EventSink>, EmitError> {
        Ok(match place {
            EventOutput::Stdout => Box::new(JsonLines::new("standard output", io::stdout(), output.scores)),
            EventOutput::File(path) => Box::new(JsonLines::append(path, output.scores)?),
        })
    };
    output.outputs.iter().map(open).collect()
}

/// The gallery as it is now, and a way to learn of changes. The store is locked only while it is
/// read, so that subjects can be enrolled while the door is guarded.
fn follow_gallery(dir: &Path, model: &ModelId, point: SearchPoint) -> Result<(Arc<Snapshot>, Refresh), Failure> {
    let gallery = Gallery::open(dir, credentials_dir().as_deref())?;
    // The stamp first: a change between the two is seen as one more change.
    let mut known = gallery::stamp(dir)?;
    let snapshot = gallery.snapshot(model)?;
    let model = model.clone();
    let mut failing = false;
    let mut subjects_before = snapshot.subjects().len();
    let refresh = move || {
        let newer = match gallery::stamp(gallery.dir()) {
            Ok(stamp) if stamp == known => return None,
            Ok(stamp) => gallery.snapshot(&model).map(|snapshot| (stamp, snapshot)).map_err(|e| e.to_string()),
            Err(e) => Err(format!("gallery {}: {e}", gallery.dir().display())),
        };
        match newer {
            Ok((stamp, snapshot)) => {
                (known, failing) = (stamp, false);
                let subjects = snapshot.subjects().len();
                log::info!("gallery read anew: {subjects} subjects; {}", point.describe(subjects));
                point.warn_if_changed(subjects_before, subjects);
                subjects_before = subjects;
                Some(snapshot)
            }
            Err(e) => {
                // The next second tries again; said once.
                if !failing {
                    log::error!("{e}; the door goes on with the subjects it knows");
                }
                failing = true;
                None
            }
        }
    };
    Ok((snapshot, Box::new(refresh)))
}

fn log_tally(t: &Tally) {
    log::info!(
        "captured {} frames ({} corrupt), replaced {}, seen {}, {} of them passed over; {} faces ({} too small, {} refused); {} granted, {} denied, {} emitted; source opened again {} times",
        t.captured,
        t.corrupt,
        t.replaced,
        t.seen,
        t.passed_over,
        t.faces,
        t.too_small,
        t.refused,
        t.granted,
        t.denied,
        t.emitted,
        t.reopened
    );
}

/// Linux's id of this boot; a random one where there is none.
pub(super) fn boot_id() -> BootId {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    BootId(id.and_then(|id| id.trim().parse().ok()).unwrap_or_else(Uuid::now_v7))
}

/// Turns the first SIGTERM or SIGINT into a request to stop; a second one ends the process.
pub(super) fn stop_on_signals() -> io::Result<Receiver<()>> {
    let (ask, requests) = unbounded();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for (n, signal) in signals.forever().enumerate() {
            if n > 0 || ask.send(()).is_err() {
                // What the shell would see had we not caught it.
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(requests)
}
