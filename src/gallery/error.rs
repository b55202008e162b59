use std::{io, path::PathBuf};

use crate::domain::{EmbeddingError, SubjectId};

/// Why a gallery could not be read or changed. Whatever it is, what was stored before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GalleryError {
    /// Nobody was ever enrolled here.
    #[error("no gallery in {dir}: enrol someone first, or name the gallery's folder with --gallery", dir = dir.display())]
    NotFound {
        /// The folder.
        dir: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: cannot be {action}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Others than the owner can read the key, or write into the folder.
    #[error("{path} is open to others (mode {mode:04o}): run `chmod {remedy} '{path}'`", path = path.display())]
    Exposed {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What to give to chmod.
        remedy: &'static str,
    },
    /// There is a store, but no key to it.
    #[error(
        "the gallery in {dir} has no key: put the backup of its key at {path} (mode 0600) or into the service's \
         credentials as gallery.key; a new key could not open it",
        dir = dir.display(), path = path.display()
    )]
    KeyMissing {
        /// The gallery's folder.
        dir: PathBuf,
        /// Where the key belongs.
        path: PathBuf,
    },
    /// The key file does not hold a key.
    #[error("{path} is not a gallery key (64 hexadecimal digits and a newline): restore it from its backup", path = path.display())]
    KeyInvalid {
        /// The key file.
        path: PathBuf,
    },
    /// The key is not this store's.
    #[error("the key {key} does not open the gallery {store}: restore the key made with it", key = key.display(), store = store.display())]
    WrongKey {
        /// The key file.
        key: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// A later doorward wrote the store.
    #[error(
        "the gallery {path} has schema {found}, this doorward knows up to {supported}: update doorward; the file was not changed",
        path = path.display()
    )]
    NewerSchema {
        /// The store.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        supported: u32,
    },
    /// The store's bytes are not what was written.
    #[error("the gallery {path} is damaged ({detail}): restore it from a backup or an export; the file was not changed", path = path.display())]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// Another process keeps the gallery locked.
    #[error("the gallery {dir} is in use by another process (the doorward service?): try again, or stop the other one", dir = dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// redb could not write.
    #[error("the gallery {path} cannot be written: {source}", path = path.display())]
    Write {
        /// The store.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// The system has no randomness to give.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The id is taken.
    #[error("{id} is enrolled already: remove it first, or enrol under another name")]
    AlreadyEnrolled {
        /// The id.
        id: SubjectId,
    },
    /// The id is not in the gallery.
    #[error("nobody with the id {id} is enrolled: `doorward gallery list` shows who is")]
    UnknownSubject {
        /// The id.
        id: SubjectId,
    },
    /// A subject must have a template.
    #[error("{id}: no template to enrol")]
    NoTemplates {
        /// The subject.
        id: SubjectId,
    },
    /// A value out of bounds.
    #[error("{what} {value:?}: allowed is {allowed}")]
    Value {
        /// What it should have been.
        what: &'static str,
        /// The value, shortened.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// An embedding with another number of components than its model's others.
    #[error("{id}: an embedding of {found} components, where the others of {model} have {expected}")]
    Dimension {
        /// The subject.
        id: SubjectId,
        /// The model.
        model: crate::domain::ModelId,
        /// Components of this one.
        found: usize,
        /// Components of the others.
        expected: usize,
    },
    /// Templates without a common direction.
    #[error("{id}: {source}")]
    Reference {
        /// The subject.
        id: SubjectId,
        /// Why they have no mean.
        source: EmbeddingError,
    },
    /// Not an export of a gallery, or one that was altered.
    #[error("the export cannot be read: {0}; nothing was imported")]
    Malformed(String),
    /// A later doorward wrote the export.
    #[error(
        "the export has version {found}, this doorward knows up to {supported}: update doorward; nothing was imported"
    )]
    NewerExport {
        /// Its version.
        found: u32,
        /// The newest version known here.
        supported: u32,
    },
    /// The export is encrypted for someone with another secret, or with one when none was given.
    #[error("the export is encrypted {with}: {problem}; nothing was imported")]
    Locked {
        /// How it is encrypted.
        with: &'static str,
        /// What is missing or does not fit.
        problem: &'static str,
    },
    /// Not the public key of an age recipient.
    #[error("recipient {0:?}: not an age public key (age1...)")]
    Recipient(String),
    /// The imported subject differs from the one enrolled.
    #[error(
        "{id} is enrolled already and differs from the export: remove it first if the export's is wanted; nothing was imported"
    )]
    Differs {
        /// The subject.
        id: SubjectId,
    },
    /// The export could not be written out.
    #[error("the export cannot be {action}: {source}")]
    Archive {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}
