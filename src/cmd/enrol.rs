use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use crossbeam_channel::Receiver;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    Exit, Failure,
    engine::{Engine, EngineArgs},
    place::{GalleryPlace, credentials_dir},
    printer::Printer,
    progress,
    run::stop_on_signals,
    sheet::Sheet,
    sitting::{self, Sat, Sit},
};
use crate::{
    capture::{PictureError, read_picture},
    domain::{Clock, Embedding, SubjectId, SystemClock},
    enrol::{self, Accepted, EnrolSession, Heading, Refusal, SittingSettings, Take},
    gallery::{Gallery, GalleryError, NewSubject, NewTemplate, Snapshot, Subject, source_name},
};

/// Enrol a subject from photos, or before a camera
///
/// Every photo is judged; the ones that are not good enough are refused with the reason, the others are taken. Who sits before a
/// camera is told what to do until enough varied frames are taken. No picture is stored, unless one is asked for with --out.
#[derive(Debug, Args)]
#[command(
    visible_alias = "enroll",
    after_help = "Examples:
  doorward enrol \"Ada Lovelace\" ada-1.jpg ada-2.jpg ada-3.jpg
  doorward enrol --add \"Ada Lovelace\" ada-2027.jpg
  doorward enrol \"Ada Lovelace\" --source /dev/video0 --frames 10 --out ada.jpg
  doorward enrol \"Ada Lovelace\" --source recording.mjpeg
  rpicam-vid -n -t 0 --framerate 15 --codec mjpeg -o - | doorward enrol \"Ada Lovelace\" --source - --realtime

Three to five photos in the light of the door work best. A photo that shows somebody else than the others, or nothing useful, is
set aside; of two that disagree neither is taken, a third decides. Photos that are added are held against those enrolled.

Before a camera the sitter is asked to look at it, to turn the head a little to their left and right, and to raise the chin; what does not come
within ten seconds is passed over, and front frames alone are enough. Fewer than three good frames enrol nobody. With --json each change is
an object: {\"guide\":\"turn-left\",\"taken\":3,\"of\":10}.

Exit code 0 when somebody was enrolled, else 1; 130 when stopped by Ctrl-C, which leaves nothing enrolled."
)]
pub(super) struct Enrol {
    /// Display name of the subject
    name: String,

    /// Photos, one face in each
    #[arg(value_name = "IMAGE", required_unless_present = "source", conflicts_with = "source")]
    images: Vec<PathBuf>,

    /// Take varied good frames of this source instead: /dev/video0, http://..., a .mjpeg or .y4m file, a folder or glob, or -
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,

    /// Frames of the source to take
    #[arg(long, value_name = "N", conflicts_with = "images", default_value_t = SittingSettings::DEFAULT_FRAMES as u8,
          value_parser = clap::value_parser!(u8).range(4..=30))]
    frames: u8,

    /// Treat a recording, or standard input, as a camera: at its own pace, and the sitter is guided
    #[arg(long, conflicts_with = "images")]
    realtime: bool,

    /// Write a sheet of the faces that were taken to this JPEG: it holds pictures of the subject
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Subject id [default: made from the name]
    #[arg(long, value_name = "ID")]
    id: Option<SubjectId>,

    /// Add photos to a subject who is enrolled already
    #[arg(long, conflicts_with_all = ["expires", "attributes"])]
    add: bool,

    /// Last day of the enrolment (2027-06-30), or a moment (2027-06-30T18:00:00Z)
    #[arg(long, value_name = "DATE", value_parser = parse_expiry)]
    expires: Option<Timestamp>,

    /// Something to remember about the subject; may be repeated
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = parse_attribute)]
    attributes: Vec<(String, String)>,

    /// Keep also the photos that do not show the same face as the others
    #[arg(long)]
    keep_all: bool,

    #[command(flatten)]
    place: GalleryPlace,

    /// One JSON object a change of what the sitter is told, one a photo, then one for the subject
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct PhotoRecord {
    image: String,
    /// Which way the head points, in frames of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    heading: Option<Heading>,
    taken: bool,
    reasons: Vec<String>,
    text: Option<String>,
}

#[derive(Serialize)]
struct SubjectRecord {
    subject: String,
    name: String,
    taken: usize,
    refused: usize,
    enrolled: bool,
}

/// A photo or a frame, by its name.
struct Picture {
    image: String,
    heading: Option<Heading>,
}

/// A picture, judged.
type Judged = (Picture, Result<Accepted, Refusal>);

impl Enrol {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
        let mut sheet = self.out.as_deref().map(Sheet::at).transpose()?;
        let id = match self.id.clone().or_else(|| SubjectId::from_name(&self.name)) {
            Some(id) => id,
            None => {
                return Err(Failure::usage(format!("no id can be made from {:?}: give one with --id", self.name)));
            }
        };
        let dir = self.place.dir(engine.gallery_dir.clone())?;
        let existing = match Gallery::open(&dir, credentials_dir().as_deref()) {
            Ok(gallery) => Some(gallery),
            Err(GalleryError::NotFound { .. }) => None,
            Err(e) => return Err(e.into()),
        };
        let known = self.check_identity(&id, existing.as_ref())?;
        let model = engine.model_id()?;
        let snapshot = existing.as_ref().map(|gallery| gallery.snapshot(&model)).transpose()?;
        if let Some(end) = self.expires.filter(|end| *end <= SystemClock.now().wall) {
            log::warn!("{id}: the enrolment ended {end:.0}, it will be denied as expired");
        }
        let mut printer = Printer::new(self.json);
        let stop = stop_on_signals()?;
        let judged = self.judge(&engine, snapshot, &id, known.as_ref(), &mut printer, &stop)?;
        let Some(judged) = judged.filter(|_| stop.is_empty()) else {
            log::warn!("stopped: nothing was enrolled");
            return Ok(Exit::Interrupted);
        };
        let (pictures, mut verdicts): (Vec<_>, Vec<_>) = judged.into_iter().unzip();
        if !self.keep_all {
            purify(&engine, known.as_ref(), &mut verdicts)?;
        }
        if self.source.is_some() {
            refuse_too_few(&mut verdicts);
        }
        let purified = verdicts.iter().any(|v| matches!(v, Err(Refusal::SetAside { .. } | Refusal::Undecided { .. })));

        if let Some(sheet) = &mut sheet {
            let titled = pictures.iter().zip(&verdicts).filter_map(|(p, v)| Some((p.title(), v.as_ref().ok()?)));
            sheet.draw(&titled.collect::<Vec<_>>())?;
        }
        let (mut templates, mut refused) = (Vec::new(), 0);
        for (Picture { image, heading }, verdict) in pictures.into_iter().zip(verdicts) {
            let (reasons, text) = match &verdict {
                Ok(_) => (Vec::new(), None),
                Err(refusal) => (refusal.codes(), Some(refusal.to_string())),
            };
            let record = PhotoRecord { image, heading, taken: verdict.is_ok(), reasons, text };
            printer.result(&record, || match &record.text {
                None => match record.heading {
                    None => format!("taken    {}", record.image),
                    Some(heading) => format!("taken    {}, {}", record.image, heading.as_str()),
                },
                Some(why) => format!("refused  {}: {why}", record.image),
            })?;
            match verdict {
                Ok(accepted) => templates.push(NewTemplate {
                    embedding: accepted.embedding,
                    quality: accepted.quality,
                    source: source_name(Path::new(&record.image)),
                    enrolled: SystemClock.now().wall,
                }),
                Err(_) => refused += 1,
            }
        }
        let taken = templates.len();
        if taken > 0 {
            // First, so that nobody is enrolled whose sheet cannot be written.
            sheet.as_ref().map_or(Ok(()), Sheet::write)?;
            self.store(existing, &dir, &id, templates).inspect_err(|_| sheet.iter().for_each(Sheet::remove))?;
        }
        let record = SubjectRecord { subject: id.to_string(), name: self.name, taken, refused, enrolled: taken > 0 };
        let overrule = if purified { "; --keep-all takes also those that do not show the same face" } else { "" };
        printer.result(&record, || match (taken, self.add) {
            (0, false) => format!("{}: not enrolled, no photo was taken{overrule}", record.name),
            (0, true) => format!("{id}: no photo was added{overrule}"),
            (n, false) => format!("{} is enrolled as {id} with {n} of {} photos{overrule}", record.name, n + refused),
            (n, true) => format!("{n} of {} photos added to {id}{overrule}", n + refused),
        })?;
        Ok(if taken > 0 { Exit::Done } else { Exit::Negative })
    }

    fn store(
        &self,
        existing: Option<Gallery>,
        dir: &Path,
        id: &SubjectId,
        templates: Vec<NewTemplate>,
    ) -> Result<(), Failure> {
        // Made only now: a refused enrolment leaves nothing behind.
        let mut gallery = match existing {
            Some(gallery) => gallery,
            None => Gallery::open_or_create(dir, credentials_dir().as_deref())?,
        };
        if self.add {
            gallery.add_templates(id, templates)?;
        } else {
            let attributes: BTreeMap<_, _> = self.attributes.iter().cloned().collect();
            let subject = NewSubject {
                id: id.clone(),
                name: self.name.clone(),
                attributes,
                created: SystemClock.now().wall,
                expires: self.expires,
            };
            gallery.enrol(subject, templates)?;
        }
        Ok(())
    }

    /// Before any picture is looked at: is this somebody new, or somebody known, as asked? Who it is, if known.
    fn check_identity(&self, id: &SubjectId, gallery: Option<&Gallery>) -> Result<Option<Subject>, Failure> {
        let known = match gallery.map(|g| g.subject(id)) {
            None | Some(Err(GalleryError::UnknownSubject { .. })) => None,
            Some(found) => Some(found?),
        };
        match (known, self.add) {
            (Some(subject), false) => Err(Failure::usage(format!(
                "{id} is enrolled already, as {}: --add adds photos, --id enrols somebody else of that name",
                subject.name
            ))),
            (None, true) => Err(Failure::usage(format!("{id} is not enrolled: leave --add out, or give the --id"))),
            (known, _) => Ok(known),
        }
    }

    /// `None` when a signal asked to stop.
    fn judge(
        &self,
        engine: &Engine,
        snapshot: Option<Arc<Snapshot>>,
        id: &SubjectId,
        known: Option<&Subject>,
        printer: &mut Printer,
        stop: &Receiver<()>,
    ) -> Result<Option<Vec<Judged>>, Failure> {
        let threshold = engine.one_to_many()?.at(snapshot.as_ref().map_or(0, |s| s.subjects().len()));
        let mut session = EnrolSession::new(
            engine.build_detector()?,
            engine.build_embedder()?,
            engine.quality,
            snapshot,
            threshold,
            Arc::new(SystemClock),
        );
        let Some(source) = &self.source else { return self.photos(&mut session, id, stop) };
        let source = sitting::source(source, self.realtime)?;
        let name = source.name.clone();
        let known = known_embeddings(engine, known)?.into_iter().cloned().collect();
        let sit = Sit { source, frames: self.frames.into(), id, known, anybody: self.keep_all };
        let Some(Sat { frames, taken }) = sit.hold(engine, &mut session, printer, stop)? else { return Ok(None) };
        Ok(Some(match taken {
            Ok(takes) => {
                let picture = |take: &Take| Picture { image: format!("{name}#{}", take.seq), heading: take.heading };
                takes.into_iter().map(|take| (picture(&take), Ok(take.accepted))).collect()
            }
            Err(refusal) => {
                vec![(Picture { image: format!("{name} ({frames} frames)"), heading: None }, Err(refusal))]
            }
        }))
    }

    fn photos(
        &self,
        session: &mut EnrolSession,
        id: &SubjectId,
        stop: &Receiver<()>,
    ) -> Result<Option<Vec<Judged>>, Failure> {
        let bar = progress::bar(self.images.len(), "judging");
        let mut judged = Vec::with_capacity(self.images.len());
        for path in &self.images {
            if !stop.is_empty() {
                bar.finish_and_clear();
                return Ok(None);
            }
            let verdict = match read_picture(path) {
                Ok(image) => session.judge(&image, id)?,
                // A mistyped path is a mistake of the caller, not a bad photo.
                Err(e @ (PictureError::Missing { .. } | PictureError::Folder { .. })) => return Err(e.into()),
                Err(e) => Err(Refusal::Unreadable(e.to_string())),
            };
            judged.push((Picture { image: path.display().to_string(), heading: None }, verdict));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Some(judged))
    }
}

impl Picture {
    /// What stands below it on a sheet.
    fn title(&self) -> String {
        let name = || Path::new(&self.image).file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        self.heading.map_or_else(name, |heading| heading.as_str().to_owned())
    }
}

/// The templates of a subject that this recogniser made.
fn known_embeddings<'a>(engine: &Engine, known: Option<&'a Subject>) -> Result<Vec<&'a Embedding>, Failure> {
    let (model, templates) = (engine.model_id()?, known.map_or(&[][..], |subject| &subject.templates));
    Ok(templates.iter().map(|t| &t.embedding).filter(|e| *e.model() == model).collect())
}

/// Of a source's frames so few are left that none is taken.
fn refuse_too_few(verdicts: &mut [Result<Accepted, Refusal>]) {
    let good = verdicts.iter().filter(|v| v.is_ok()).count();
    if good >= enrol::MIN_FRAMES {
        return;
    }
    let frames = verdicts.len();
    for verdict in verdicts.iter_mut().filter(|v| v.is_ok()) {
        let reasons = vec![("set-aside".to_owned(), frames - good)];
        *verdict = Err(Refusal::TooFewFrames { good, needed: enrol::MIN_FRAMES, frames, reasons });
    }
}

/// Sets aside the photos that show somebody else than the others do, or than the templates that `known` has already.
fn purify(engine: &Engine, known: Option<&Subject>, verdicts: &mut [Result<Accepted, Refusal>]) -> Result<(), Failure> {
    let enrolled = known_embeddings(engine, known)?;
    match engine.one_person()? {
        Some(threshold) => Ok(enrol::set_aside(verdicts, &enrolled, threshold)?),
        None => {
            log::warn!(
                "model {}: no one-to-one operating point on its card; photos are not held against each other",
                engine.model_id()?
            );
            Ok(())
        }
    }
}

/// A day ends when it ends where the door is.
fn parse_expiry(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let day: Date =
        text.parse().map_err(|_| format!("{text:?} is no date; write 2027-06-30 or 2027-06-30T18:00:00Z"))?;
    let end = day.tomorrow().and_then(|d| d.to_zoned(TimeZone::system()));
    end.map(|z| z.timestamp()).map_err(|e| e.to_string())
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("{text:?}: write KEY=VALUE")),
    }
}
