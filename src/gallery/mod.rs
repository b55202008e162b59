//! The gallery: who is enrolled, sealed on disk, and immutable snapshots to search in.
//!
//! `docs/gallery-format.md` draws every byte. [`Gallery`] is the way in: each of its calls reads or
//! changes the store in one go and holds nothing open in between, so that the command line can enrol
//! while a service runs; the service learns of it by [`stamp`]. A [`Snapshot`] is what
//! identification works on; it never changes.

mod archive;
mod builder;
mod check;
mod error;
mod image;
mod key;
mod record;
mod references;
mod register;
mod rows;
mod seal;
mod sealed_vectors;
mod snapshot;
mod store;
mod subject;
mod vault;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use age::secrecy::SecretString;
pub use archive::{ExportForm, ImportReport, ImportSecret};
pub use builder::{MAX_IN_MEMORY, SnapshotBuilder};
pub use check::VerifyReport;
pub use error::GalleryError;
pub use record::source_name;
pub use references::ReferenceCodes;
pub use snapshot::{Snapshot, SnapshotSubject, Subjects};
pub use store::{StoreStamp, stamp};
pub use subject::{NewSubject, NewTemplate, Subject, SubjectSummary, Template};

use crate::domain::{ModelId, SubjectId, TemplateId};
use key::MasterKey;
use store::Store;
use vault::{OpenSubject, Vault};

/// A gallery in a folder, with its master key. Not a lock: each call takes the folder's lock for as
/// long as it needs, waiting up to two seconds for another process.
pub struct Gallery {
    store: Store,
    key: MasterKey,
}

impl std::fmt::Debug for Gallery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gallery({})", self.store.dir().display())
    }
}

impl Gallery {
    /// Opens the gallery in `dir`. The master key is `gallery.key` in `credentials` (the service
    /// manager's `$CREDENTIALS_DIRECTORY`) if it is there, else in `dir`.
    ///
    /// # Errors
    /// When there is no gallery, or no key to it, or not its key; when the store is damaged or of a
    /// newer schema; when another process keeps it locked. Nothing on disk is changed.
    pub fn open(dir: &Path, credentials: Option<&Path>) -> Result<Self, GalleryError> {
        let store = Store::at(dir);
        if !store.exists()? {
            return Err(GalleryError::NotFound { dir: dir.into() });
        }
        Self::with_key(store, credentials)
    }

    /// Opens the gallery in `dir`, or makes the folder, the key and an empty store. A store without
    /// its key is an error, never a reason to make a new key.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the folder cannot be written.
    pub fn open_or_create(dir: &Path, credentials: Option<&Path>) -> Result<Self, GalleryError> {
        let store = Store::at(dir);
        if !store.exists()? {
            store.create(|| key::load_or_create(dir, credentials))?;
        }
        Self::with_key(store, credentials)
    }

    fn with_key(store: Store, credentials: Option<&Path>) -> Result<Self, GalleryError> {
        store.check_folder()?;
        let head = store.read_head()?;
        let key = key::load(store.dir(), credentials)?;
        Vault::unlock(&key, &head)?;
        Ok(Self { store, key })
    }

    /// The gallery's folder.
    pub fn dir(&self) -> &Path {
        self.store.dir()
    }

    /// Everybody who has templates of `model`, ready to be searched. The store stays locked against writers while it is read.
    ///
    /// # Errors
    /// When the store cannot be read, or a value in it does not open; with more than [`MAX_IN_MEMORY`] subjects, when neither
    /// the gallery's folder nor the one for temporary files has room for the sealed references (see [`SnapshotBuilder`]).
    pub fn snapshot(&self, model: &ModelId) -> Result<Arc<Snapshot>, GalleryError> {
        Snapshot::read(&self.store, &self.key, model).map(Arc::new)
    }

    /// Everybody, in order of id, without embeddings.
    ///
    /// # Errors
    /// When the store cannot be read, or a value in it does not open.
    pub fn list(&self) -> Result<Vec<SubjectSummary>, GalleryError> {
        let rows = self.store.read()?;
        let vault = Vault::unlock(&self.key, &rows)?;
        let mut list = vault.subjects().map(|s| vault.summary(&s?)).collect::<Result<Vec<_>, _>>()?;
        list.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(list)
    }

    /// Everybody with every template, in order of id.
    ///
    /// # Errors
    /// When the store cannot be read, or a value in it does not open.
    pub fn subjects(&self) -> Result<Vec<Subject>, GalleryError> {
        let rows = self.store.read()?;
        let vault = Vault::unlock(&self.key, &rows)?;
        let mut subjects = vault.subjects().map(|s| vault.full(&s?)).collect::<Result<Vec<_>, _>>()?;
        subjects.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(subjects)
    }

    /// One subject with its templates.
    ///
    /// # Errors
    /// When nobody has this id, the store cannot be read, or a value in it does not open.
    pub fn subject(&self, id: &SubjectId) -> Result<Subject, GalleryError> {
        let rows = self.store.read()?;
        let vault = Vault::unlock(&self.key, &rows)?;
        vault.full(&vault.find(id)?)
    }

    /// Enrols a new subject with at least one template, in one transaction. Returns the templates'
    /// new ids, in the order given.
    ///
    /// # Errors
    /// [`AlreadyEnrolled`](GalleryError::AlreadyEnrolled) when the id is taken: nothing is ever
    /// overwritten. When a text is out of bounds, a template does not fit the gallery, or the store
    /// cannot be written.
    pub fn enrol(&mut self, subject: NewSubject, templates: Vec<NewTemplate>) -> Result<Vec<TemplateId>, GalleryError> {
        subject.check()?;
        let templates = subject::with_ids(&subject.id, templates)?;
        let ids = templates.iter().map(|t| t.id).collect();
        let subject = subject.with(templates);
        self.store.update(|rows| {
            let vault = Vault::unlock(&self.key, rows)?;
            match vault.find(&subject.id) {
                Err(GalleryError::UnknownSubject { .. }) => vault.seal_new(&[subject]),
                Ok(_) => Err(GalleryError::AlreadyEnrolled { id: subject.id }),
                Err(e) => Err(e),
            }
        })?;
        Ok(ids)
    }

    /// Adds templates to a subject, in one transaction. Returns their new ids, in the order given.
    ///
    /// # Errors
    /// When nobody has this id, a template does not fit the gallery, or the store cannot be
    /// written.
    pub fn add_templates(
        &mut self,
        id: &SubjectId,
        templates: Vec<NewTemplate>,
    ) -> Result<Vec<TemplateId>, GalleryError> {
        let templates = subject::with_ids(id, templates)?;
        let ids = templates.iter().map(|t| t.id).collect();
        self.store.update(|rows| {
            let vault = Vault::unlock(&self.key, rows)?;
            vault.seal_more(&vault.find(id)?, templates)
        })?;
        Ok(ids)
    }

    /// Removes a subject for good: the store is written anew without it and the old file, with the
    /// subject's key in it, is overwritten. `docs/gallery-format.md` says what no program can reach.
    ///
    /// # Errors
    /// When nobody has this id, or the new store cannot be written; then the old one stays.
    pub fn remove(&mut self, id: &SubjectId) -> Result<(), GalleryError> {
        self.store.rewrite(|rows| {
            let slot = Vault::unlock(&self.key, rows)?.find(id)?.slot;
            Ok(rows.without(&slot))
        })
    }

    /// Opens every value, computes every reference anew and looks for rows that belong to nobody.
    ///
    /// # Errors
    /// When the store cannot be read at all; what is wrong inside it is in the report.
    pub fn verify(&self) -> Result<VerifyReport, GalleryError> {
        let rows = self.store.read()?;
        Ok(check::verify(&Vault::unlock(&self.key, &rows)?))
    }

    /// Writes everybody and every template, in order of id. Returns the number of subjects.
    ///
    /// # Errors
    /// When the store cannot be read, the recipient is not one, or `writer` fails.
    pub fn export(&self, writer: impl Write, form: &ExportForm) -> Result<usize, GalleryError> {
        let subjects = self.subjects()?;
        archive::write(writer, form, &subjects)?;
        Ok(subjects.len())
    }

    /// Merges an export into the gallery, in one transaction. A subject that is there already and
    /// identical is counted and left alone.
    ///
    /// # Errors
    /// [`Differs`](GalleryError::Differs) when a subject is there already and not identical; when
    /// the export is malformed, newer, or does not open with `secret`. Then nothing is changed.
    pub fn import(&mut self, reader: impl Read, secret: Option<&ImportSecret>) -> Result<ImportReport, GalleryError> {
        let subjects = archive::read(reader, secret)?;
        let mut report = ImportReport { added: 0, identical: 0 };
        self.store.update(|rows| {
            let vault = Vault::unlock(&self.key, rows)?;
            let present: BTreeMap<SubjectId, OpenSubject> =
                vault.subjects().map(|s| s.map(|s| (s.record.id.clone(), s))).collect::<Result<_, _>>()?;
            let mut new = Vec::new();
            for subject in subjects {
                match present.get(&subject.id) {
                    None => new.push(subject),
                    Some(known) if vault.full(known)? == subject => report.identical += 1,
                    Some(_) => return Err(GalleryError::Differs { id: subject.id }),
                }
            }
            report.added = new.len();
            vault.seal_new(&new)
        })?;
        Ok(report)
    }
}

fn io_at(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> GalleryError {
    let path = PathBuf::from(path);
    move |source| GalleryError::Io { path, action, source }
}
