use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

use super::{
    Exit, Failure,
    engine::{Engine, EngineArgs},
    place::{GalleryPlace, credentials_dir},
    printer::Printer,
    progress,
};
use crate::{
    capture::{self, PictureError, Reader, read_picture, stop_token},
    config::SourceSettings,
    domain::{Clock, Embedding, SubjectId, SystemClock},
    enrol::{self, Accepted, EnrolSession, Refusal, Sitting, SittingSettings},
    gallery::{Gallery, GalleryError, NewSubject, NewTemplate, Snapshot, Subject, source_name},
};

/// Enrol a subject from photos, or from a source
///
/// Every photo is judged; the ones that are not good enough are refused with the reason, the others are taken. No
/// picture is stored.
#[derive(Debug, Args)]
#[command(
    visible_alias = "enroll",
    after_help = "Examples:
  doorward enrol \"Ada Lovelace\" ada-1.jpg ada-2.jpg ada-3.jpg
  doorward enrol --add \"Ada Lovelace\" ada-2027.jpg
  doorward enrol \"Ada Lovelace\" --source recording.mjpeg

Three to five photos in the light of the door work best. A photo that shows somebody else than the others, or nothing useful, is
set aside; of two that disagree neither is taken, a third decides. Photos that are added are held against those enrolled. Exit code 0 when at least one was taken, else 1."
)]
pub(super) struct Enrol {
    /// Display name of the subject
    name: String,

    /// Photos, one face in each
    #[arg(value_name = "IMAGE", required_unless_present = "source", conflicts_with = "source")]
    images: Vec<PathBuf>,

    /// Take the best frames of this source instead: a .mjpeg or .y4m file, a folder or glob, http://..., /dev/video0, or -
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,

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

    /// One JSON object a photo, then one for the subject
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Serialize)]
struct PhotoRecord {
    image: String,
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

/// A picture, judged.
type Judged = (String, Result<Accepted, Refusal>);

impl Enrol {
    pub(super) fn run(self, models: Option<&Path>) -> Result<Exit, Failure> {
        let engine = self.engine.engine(models)?;
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
        let (images, mut verdicts): (Vec<_>, Vec<_>) = self.judge(&engine, snapshot, &id)?.into_iter().unzip();
        if !self.keep_all {
            purify(&engine, known.as_ref(), &mut verdicts)?;
        }
        let purified = verdicts.iter().any(|v| matches!(v, Err(Refusal::SetAside { .. } | Refusal::Undecided { .. })));

        let mut printer = Printer::new(self.json);
        let (mut templates, mut refused) = (Vec::new(), 0);
        for (image, verdict) in images.into_iter().zip(verdicts) {
            let (reasons, text) = match &verdict {
                Ok(_) => (Vec::new(), None),
                Err(refusal) => (refusal.codes(), Some(refusal.to_string())),
            };
            let record = PhotoRecord { image, taken: verdict.is_ok(), reasons, text };
            printer.result(&record, || match &record.text {
                None => format!("taken    {}", record.image),
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
            // Made only now: a refused enrolment leaves nothing behind.
            let mut gallery = match existing {
                Some(gallery) => gallery,
                None => Gallery::open_or_create(&dir, credentials_dir().as_deref())?,
            };
            if self.add {
                gallery.add_templates(&id, templates)?;
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

    fn judge(&self, engine: &Engine, snapshot: Option<Arc<Snapshot>>, id: &SubjectId) -> Result<Vec<Judged>, Failure> {
        let threshold = engine.one_to_many()?.at(snapshot.as_ref().map_or(0, |s| s.subjects().len()));
        let mut session = EnrolSession::new(
            engine.build_detector()?,
            engine.build_embedder()?,
            engine.quality,
            snapshot,
            threshold,
            Arc::new(SystemClock),
        );
        match &self.source {
            Some(source) => sit(&mut session, source, id),
            None => self.photos(&mut session, id),
        }
    }

    fn photos(&self, session: &mut EnrolSession, id: &SubjectId) -> Result<Vec<Judged>, Failure> {
        let bar = progress::bar(self.images.len(), "judging");
        let mut judged = Vec::with_capacity(self.images.len());
        for path in &self.images {
            let verdict = match read_picture(path) {
                Ok(image) => session.judge(&image, id)?,
                // A mistyped path is a mistake of the caller, not a bad photo.
                Err(e @ (PictureError::Missing { .. } | PictureError::Folder { .. })) => return Err(e.into()),
                Err(e) => Err(Refusal::Unreadable(e.to_string())),
            };
            judged.push((path.display().to_string(), verdict));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(judged)
    }
}

/// Sets aside the photos that show somebody else than the others do, or than the templates that `known` has already.
fn purify(engine: &Engine, known: Option<&Subject>, verdicts: &mut [Result<Accepted, Refusal>]) -> Result<(), Failure> {
    let model = engine.model_id()?;
    let templates = known.map_or(&[][..], |subject| &subject.templates);
    let enrolled: Vec<&Embedding> = templates.iter().map(|t| &t.embedding).filter(|e| *e.model() == model).collect();
    match engine.one_person()? {
        Some(threshold) => Ok(enrol::set_aside(verdicts, &enrolled, threshold)?),
        None => {
            log::warn!(
                "model {model}: no one-to-one operating point on its card; photos are not held against each other"
            );
            Ok(())
        }
    }
}

fn sit(session: &mut EnrolSession, source: &str, id: &SubjectId) -> Result<Vec<Judged>, Failure> {
    let settings = SourceSettings::from_arg(source);
    let (_token, stop) = stop_token();
    let mut frames = capture::open(&settings, Arc::new(SystemClock), stop)?;
    let mut reader = Reader::new(settings.name.clone());
    let limits = SittingSettings::default();
    let bar = progress::bar(limits.max_frames, "sitting");
    let sitting = Sitting::hold(session, frames.as_mut(), &mut reader, id, limits, |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    if sitting.kept.is_empty() {
        let refusal = sitting.last_refusal.unwrap_or(Refusal::NoFace);
        return Ok(vec![(format!("{} ({} frames)", settings.name, sitting.frames), Err(refusal))]);
    }
    let name = |seq: u64| format!("{}#{seq}", settings.name);
    Ok(sitting.kept.into_iter().map(|(seq, accepted)| (name(seq), Ok(accepted))).collect())
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
