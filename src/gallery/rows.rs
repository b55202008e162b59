//! The rows of a store, and their way into a redb file and out of it. Nothing here knows what is
//! sealed in them.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction, backends::FileBackend,
};

use super::{GalleryError, image, seal::StoreId};

/// The version of all that `docs/gallery-format.md` draws.
pub(super) const SCHEMA: u32 = 1;
/// Subjects of a part: few megabytes, and few enough parts that what each costs does not count.
const PART_SUBJECTS: usize = 1024;

/// What stands for a subject in the tables.
pub(super) type Slot = [u8; 16];
/// A slot and an ordinal.
pub(super) type TemplateRow = [u8; 20];

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;
const META: Table = TableDefinition::new("meta");
const KEYS: Table = TableDefinition::new(Rows::KEYS);
const SUBJECTS: Table = TableDefinition::new(Rows::SUBJECTS);
const REFERENCES: Table = TableDefinition::new(Rows::REFERENCES);
const TEMPLATES: Table = TableDefinition::new(Rows::TEMPLATES);

/// Every row of a store, or rows to put into one.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Rows {
    /// The store's file, for messages.
    pub path: PathBuf,
    pub store: StoreId,
    pub generation: u64,
    pub check: Vec<u8>,
    pub keys: BTreeMap<Slot, Vec<u8>>,
    pub subjects: BTreeMap<Slot, Vec<u8>>,
    pub references: BTreeMap<Slot, Vec<u8>>,
    pub templates: BTreeMap<TemplateRow, Vec<u8>>,
}

impl Rows {
    pub const META: &'static str = "meta";
    pub const KEYS: &'static str = "keys";
    pub const SUBJECTS: &'static str = "subjects";
    pub const REFERENCES: &'static str = "references";
    pub const TEMPLATES: &'static str = "templates";
    pub const CHECK: &'static [u8] = b"check";

    /// The same rows but those of `slot`.
    pub fn without(&self, slot: &Slot) -> Self {
        let mut rows = self.clone();
        rows.keys.remove(slot);
        rows.subjects.remove(slot);
        rows.references.remove(slot);
        rows.templates.retain(|row, _| !row.starts_with(slot));
        rows
    }

    pub fn templates_of(&self, slot: &Slot) -> impl Iterator<Item = (&TemplateRow, &Vec<u8>)> {
        self.templates.range(template_row(slot, 0)..=template_row(slot, u32::MAX))
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.subjects.is_empty() && self.references.is_empty() && self.templates.is_empty()
    }
}

pub(super) fn template_row(slot: &Slot, ordinal: u32) -> TemplateRow {
    let mut row = [0; 20];
    row[..16].copy_from_slice(slot);
    row[16..].copy_from_slice(&ordinal.to_be_bytes());
    row
}

/// Puts `rows` into the database in `file`, in one durable transaction; an empty file becomes one.
pub(super) fn write_rows(file: File, rows: &Rows, generation: u64) -> Result<(), redb::Error> {
    let db = Builder::new().create_with_backend(FileBackend::new(file)?)?;
    let transaction = db.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(b"generation".as_slice(), generation.to_le_bytes().as_slice())?;
        // Rows to be added to a store come without its head.
        if !rows.check.is_empty() {
            meta.insert(b"schema".as_slice(), SCHEMA.to_le_bytes().as_slice())?;
            meta.insert(b"store".as_slice(), rows.store.as_slice())?;
            meta.insert(Rows::CHECK, rows.check.as_slice())?;
        }
    }
    insert(&transaction, KEYS, &rows.keys)?;
    insert(&transaction, SUBJECTS, &rows.subjects)?;
    insert(&transaction, REFERENCES, &rows.references)?;
    insert(&transaction, TEMPLATES, &rows.templates)?;
    transaction.commit()?;
    Ok(db.close()?)
}

fn insert<const N: usize>(
    transaction: &WriteTransaction,
    table: Table,
    rows: &BTreeMap<[u8; N], Vec<u8>>,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(table)?;
    for (key, value) in rows {
        table.insert(key.as_slice(), value.as_slice())?;
    }
    Ok(())
}

/// Every row of the store in `path`, once every page of it was checked. The file is not touched.
pub(super) fn read_rows(path: &Path) -> Result<Rows, GalleryError> {
    let db = image::open(path)?;
    took(take_rows(&db, path), path)
}

/// What stands in the store in `path` of no subject: its identity, what tells the key, how often it was changed.
pub(super) fn read_head(path: &Path) -> Result<Rows, GalleryError> {
    let db = image::open(path)?;
    let head = || take_head(&db.begin_read()?, path);
    took(head(), path)
}

/// Hands over the store in `path` part by part: each a store of some subjects, without their templates. Before it, how many
/// subjects there are in all. A store without subjects is one part.
pub(super) fn read_parts(
    path: &Path,
    mut take: impl FnMut(usize, &Rows) -> Result<(), GalleryError>,
) -> Result<(), GalleryError> {
    let db = image::open(path)?;
    let mut part = || {
        let transaction = db.begin_read()?;
        let head = take_head(&transaction, path)?;
        let keys = transaction.open_table(KEYS)?;
        let (subjects, references) = (transaction.open_table(SUBJECTS)?, transaction.open_table(REFERENCES)?);
        let total = usize::try_from(keys.len()?).unwrap_or(usize::MAX);
        let mut rows = head.clone();
        for row in keys.iter()? {
            let (slot, key) = row?;
            let slot: Slot = fixed(slot.value(), Rows::KEYS)?;
            rows.subjects.extend(subjects.get(slot.as_slice())?.map(|v| (slot, v.value().to_vec())));
            rows.references.extend(references.get(slot.as_slice())?.map(|v| (slot, v.value().to_vec())));
            rows.keys.insert(slot, key.value().to_vec());
            if rows.keys.len() == PART_SUBJECTS {
                take(total, &rows)?;
                rows = head.clone();
            }
        }
        Ok(take(total, &rows)?)
    };
    took(part(), path)
}

fn took<T>(taken: Result<T, TakeError>, path: &Path) -> Result<T, GalleryError> {
    let damaged = |detail: String| GalleryError::Damaged { path: path.into(), detail };
    taken.map_err(|e| match e {
        TakeError::Redb(e) => damaged(e.to_string()),
        TakeError::Shape(detail) => damaged(detail),
        TakeError::Newer(found) => GalleryError::NewerSchema { path: path.into(), found, supported: SCHEMA },
        TakeError::Taker(e) => e,
    })
}

enum TakeError {
    Redb(redb::Error),
    Shape(String),
    Newer(u32),
    /// Who was handed rows found something wrong with them.
    Taker(GalleryError),
}

impl From<GalleryError> for TakeError {
    fn from(e: GalleryError) -> Self {
        Self::Taker(e)
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for TakeError {
            fn from(e: redb::$error) -> Self {
                Self::Redb(e.into())
            }
        }
    )*};
}
from_redb!(TransactionError, TableError, StorageError);

fn take_rows(db: &Database, path: &Path) -> Result<Rows, TakeError> {
    let transaction = db.begin_read()?;
    Ok(Rows {
        keys: table(&transaction, KEYS)?,
        subjects: table(&transaction, SUBJECTS)?,
        references: table(&transaction, REFERENCES)?,
        templates: table(&transaction, TEMPLATES)?,
        ..take_head(&transaction, path)?
    })
}

fn take_head(transaction: &ReadTransaction, path: &Path) -> Result<Rows, TakeError> {
    let meta = transaction.open_table(META)?;
    let value = |key: &str| -> Result<Vec<u8>, TakeError> {
        let value = meta.get(key.as_bytes())?;
        value.map(|v| v.value().to_vec()).ok_or_else(|| TakeError::Shape(format!("meta has no {key}")))
    };
    // The schema first: what else there is depends on it.
    let schema = u32::from_le_bytes(fixed(&value("schema")?, "schema")?);
    if schema > SCHEMA {
        return Err(TakeError::Newer(schema));
    }
    if schema != SCHEMA {
        return Err(TakeError::Shape(format!("schema {schema} was never used")));
    }
    Ok(Rows {
        path: path.into(),
        store: fixed(&value("store")?, "store")?,
        generation: u64::from_le_bytes(fixed(&value("generation")?, "generation")?),
        check: value("check")?,
        ..Rows::default()
    })
}

fn table<const N: usize>(transaction: &ReadTransaction, table: Table) -> Result<BTreeMap<[u8; N], Vec<u8>>, TakeError> {
    let name = redb::TableHandle::name(&table).to_owned();
    let table = transaction.open_table(table)?;
    let mut rows = BTreeMap::new();
    for row in table.iter()? {
        let (key, value) = row?;
        rows.insert(fixed(key.value(), &name)?, value.value().to_vec());
    }
    Ok(rows)
}

fn fixed<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], TakeError> {
    bytes.try_into().map_err(|_| TakeError::Shape(format!("{what}: {} bytes where {N} belong", bytes.len())))
}
