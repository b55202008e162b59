//! The rows of a store, and their way into a redb file and out of it. Nothing here knows what is
//! sealed in them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction,
    backends::{FileBackend, InMemoryBackend},
};

use super::{GalleryError, io_at, seal::StoreId};

/// The version of all that `docs/gallery-format.md` draws.
pub(super) const SCHEMA: u32 = 1;
const CHUNK_BYTES: usize = 1 << 20;

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

/// Reads a store into memory, checks every page there, repairs there what a killed writer left, and
/// takes its rows. The file is not touched.
pub(super) fn read_rows(path: &Path) -> Result<Rows, GalleryError> {
    let image = load(path).map_err(io_at(path, "read"))?;
    rows_of(image, path)
}

fn load(path: &Path) -> io::Result<InMemoryBackend> {
    let mut file = File::open(path)?;
    let image = InMemoryBackend::new();
    image.set_len(file.metadata()?.len())?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok(image);
        }
        image.write(at, &chunk[..n])?;
        at += n as u64;
    }
}

fn rows_of(image: InMemoryBackend, path: &Path) -> Result<Rows, GalleryError> {
    let damaged = |detail: String| GalleryError::Damaged { path: path.into(), detail };
    // redb would make a new database of an empty file.
    if image.len().map_err(io_at(path, "read"))? == 0 {
        return Err(damaged("the file is empty".into()));
    }
    let db: Database = Builder::new()
        .set_check_integrity_on_open(true)
        .create_with_backend(image)
        .map_err(|e| damaged(e.to_string()))?;
    match take_rows(&db, path) {
        Err(TakeError::Redb(e)) => Err(damaged(e.to_string())),
        Err(TakeError::Shape(detail)) => Err(damaged(detail)),
        Err(TakeError::Newer(found)) => Err(GalleryError::NewerSchema { path: path.into(), found, supported: SCHEMA }),
        Ok(rows) => Ok(rows),
    }
}

enum TakeError {
    Redb(redb::Error),
    Shape(String),
    Newer(u32),
}

impl<E: Into<redb::Error>> From<E> for TakeError {
    fn from(e: E) -> Self {
        Self::Redb(e.into())
    }
}

fn take_rows(db: &Database, path: &Path) -> Result<Rows, TakeError> {
    let transaction = db.begin_read()?;
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
        keys: table(&transaction, KEYS)?,
        subjects: table(&transaction, SUBJECTS)?,
        references: table(&transaction, REFERENCES)?,
        templates: table(&transaction, TEMPLATES)?,
    })
}

fn table<const N: usize>(
    transaction: &redb::ReadTransaction,
    table: Table,
) -> Result<BTreeMap<[u8; N], Vec<u8>>, TakeError> {
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
