use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Exit, Failure,
    place::{GalleryPlace, credentials_dir},
    printer::Printer,
};
use crate::{
    domain::SubjectId,
    gallery::{self, ExportForm, ImportSecret, SecretString, SubjectSummary, VerifyReport},
};

/// Look after the gallery: list, show, remove, export, import, verify
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  doorward gallery list
  doorward gallery export --recipient age1... gallery.age
  doorward gallery remove ada-lovelace        destroys her key: nothing of her can be opened again")]
pub(super) struct Gallery {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line a subject
    List {
        #[command(flatten)]
        common: Common,
    },
    /// One subject with its templates (never the embeddings)
    Show {
        /// Subject id
        id: SubjectId,
        #[command(flatten)]
        common: Common,
    },
    /// Remove subjects for good: their keys are destroyed
    Remove {
        /// Subject ids
        #[arg(required = true)]
        ids: Vec<SubjectId>,
        #[command(flatten)]
        common: Common,
    },
    /// Write everything to a file, encrypted with age
    Export {
        /// The file to write; never overwritten
        file: PathBuf,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        common: Common,
    },
    /// Read an export; a subject that is there already is never overwritten
    Import {
        /// The file to read
        file: PathBuf,
        /// File with the passphrase, - for standard input
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// File with the age identity (AGE-SECRET-KEY-1...)
        #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
        identity: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Open and check every value
    Verify {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    place: GalleryPlace,

    /// JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Form {
    /// Encrypt for this age recipient (age1...)
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Option<String>,

    /// Encrypt with the passphrase in this file, - for standard input
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Do not encrypt: whoever has the file has the faces
    #[arg(long)]
    plain: bool,
}

impl Gallery {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        match self.what {
            What::List { common } => list(&common),
            What::Show { id, common } => show(&id, &common),
            What::Remove { ids, common } => remove(&ids, &common),
            What::Export { file, form, common } => export(&file, form, &common),
            What::Import { file, passphrase_file, identity, common } => {
                import(&file, passphrase_file.as_deref(), identity.as_deref(), &common)
            }
            What::Verify { common } => verify(&common),
        }
    }
}

impl Common {
    fn open(&self) -> Result<gallery::Gallery, Failure> {
        Ok(gallery::Gallery::open(&self.place.dir(None)?, credentials_dir().as_deref())?)
    }

    fn printer(&self) -> Printer {
        Printer::new(self.json)
    }
}

#[derive(Serialize)]
struct SubjectRecord {
    subject: String,
    name: String,
    attributes: BTreeMap<String, String>,
    created: Timestamp,
    expires: Option<Timestamp>,
    templates: BTreeMap<String, usize>,
}

impl SubjectRecord {
    fn new(s: &SubjectSummary) -> Self {
        Self {
            subject: s.id.to_string(),
            name: s.name.to_string(),
            attributes: s.attributes.clone(),
            created: s.created,
            expires: s.expires,
            templates: s.templates.iter().map(|(model, n)| (model.to_string(), *n)).collect(),
        }
    }

    fn text(&self) -> String {
        let templates: usize = self.templates.values().sum();
        let expires = self.expires.map(|t| format!("  expires {t:.0}")).unwrap_or_default();
        format!("{:<24} {:<28} {templates} templates, since {:.0}{expires}", self.subject, self.name, self.created)
    }
}

fn list(common: &Common) -> Result<Exit, Failure> {
    let mut printer = common.printer();
    for subject in common.open()?.list()? {
        let record = SubjectRecord::new(&subject);
        printer.result(&record, || record.text())?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct TemplateRecord {
    template: String,
    model: String,
    source: String,
    enrolled: Timestamp,
    quality: crate::domain::SampleQuality,
}

#[derive(Serialize)]
struct SubjectDetails {
    subject: String,
    name: String,
    attributes: BTreeMap<String, String>,
    created: Timestamp,
    expires: Option<Timestamp>,
    templates: Vec<TemplateRecord>,
}

fn show(id: &SubjectId, common: &Common) -> Result<Exit, Failure> {
    let subject = common.open()?.subject(id)?;
    let templates = subject.templates.iter().map(|t| TemplateRecord {
        template: t.id.to_string(),
        model: t.embedding.model().to_string(),
        source: t.source.clone(),
        enrolled: t.enrolled,
        quality: t.quality,
    });
    let details = SubjectDetails {
        subject: subject.id.to_string(),
        name: subject.name.to_string(),
        attributes: subject.attributes.clone(),
        created: subject.created,
        expires: subject.expires,
        templates: templates.collect(),
    };
    common.printer().result(&details, || {
        let mut text = format!("{}  {}\n  enrolled {:.0}\n", details.subject, details.name, details.created);
        if let Some(end) = details.expires {
            text += &format!("  expires  {end:.0}\n");
        }
        for (key, value) in &details.attributes {
            text += &format!("  {key} = {value}\n");
        }
        for t in &details.templates {
            let q = &t.quality;
            text += &format!(
                "  {}  {}  {:.0} px, sharpness {:.0}, yaw {:.0}  {:.0}  {}\n",
                t.template, t.source, q.size_px, q.sharpness, q.yaw_deg, t.enrolled, t.model
            );
        }
        text
    })?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

fn remove(ids: &[SubjectId], common: &Common) -> Result<Exit, Failure> {
    let mut gallery = common.open()?;
    let mut printer = common.printer();
    for id in ids {
        gallery.remove(id)?;
        printer.result(&Removed { removed: id.as_str() }, || format!("removed {id}; its key is destroyed"))?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Exported {
    subjects: usize,
    file: String,
}

fn export(file: &Path, form: Form, common: &Common) -> Result<Exit, Failure> {
    let gallery = common.open()?;
    let plain = form.plain;
    let form = match (form.recipient, form.passphrase_file) {
        (Some(recipient), _) => ExportForm::AgeRecipient(recipient),
        (None, Some(path)) => ExportForm::AgePassphrase(secret(&path)?),
        (None, None) => ExportForm::Plain,
    };
    let mut bytes = Vec::new();
    let subjects = gallery.export(&mut bytes, &form)?;
    let refuse = |e: io::Error| Failure::usage(format!("{}: cannot be written: {e}", file.display()));
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(refuse)?;
    out.write_all(&bytes).and_then(|()| out.sync_all()).map_err(|e| {
        // Half an export is worse than none.
        let _ = fs::remove_file(file);
        io::Error::new(e.kind(), format!("{}: {e}", file.display()))
    })?;
    if plain {
        log::warn!("{} is not encrypted: whoever has it has the faces", file.display());
    }
    let record = Exported { subjects, file: file.display().to_string() };
    common.printer().result(&record, || format!("{subjects} subjects exported to {}", record.file))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Imported {
    added: usize,
    unchanged: usize,
}

fn import(
    file: &Path,
    passphrase_file: Option<&Path>,
    identity: Option<&Path>,
    common: &Common,
) -> Result<Exit, Failure> {
    let secret = match (passphrase_file, identity) {
        (Some(path), _) => Some(ImportSecret::Passphrase(secret(path)?)),
        (None, Some(path)) => Some(ImportSecret::Identity(secret(path)?)),
        (None, None) => None,
    };
    let input = File::open(file).map_err(|e| Failure::usage(format!("{}: cannot be read: {e}", file.display())))?;
    let mut gallery = gallery::Gallery::open_or_create(&common.place.dir(None)?, credentials_dir().as_deref())?;
    let report = gallery.import(input, secret.as_ref())?;
    let record = Imported { added: report.added, unchanged: report.identical };
    common
        .printer()
        .result(&record, || format!("{} subjects imported, {} were there already", record.added, record.unchanged))?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Verified {
    subjects: usize,
    templates: usize,
    references: usize,
    generation: u64,
    problems: Vec<String>,
}

fn verify(common: &Common) -> Result<Exit, Failure> {
    let report = common.open()?.verify()?;
    let sound = report.is_sound();
    let VerifyReport { subjects, templates, references, generation, problems } = report;
    let record = Verified { subjects, templates, references, generation, problems };
    common.printer().result(&record, || {
        let mut text =
            format!("{subjects} subjects, {templates} templates, {references} references; generation {generation}\n");
        if sound {
            text += "every value opens and fits";
        }
        for problem in &record.problems {
            text += &format!("WRONG {problem}\n");
        }
        text
    })?;
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

/// A secret from a file, or standard input for `-`; the newline at its end does not belong to it.
fn secret(path: &Path) -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_string(&mut text)
    } else {
        File::open(path).and_then(|mut f| f.read_to_string(&mut text))
    };
    read.map_err(|e| Failure::usage(format!("{}: cannot be read: {e}", path.display())))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(Failure::usage(format!("{}: it is empty", path.display())));
    }
    Ok(SecretString::from(secret.to_owned()))
}
