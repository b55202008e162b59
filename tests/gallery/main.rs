//! The gallery from outside: what is stored, what is refused, what survives, what is forgotten.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use doorward::{
    domain::{Embedding, ModelId, SampleQuality, SubjectId},
    gallery::{
        ExportForm, Gallery, GalleryError, ImportReport, ImportSecret, NewSubject, NewTemplate, SecretString, Subject,
        stamp,
    },
    identify::{CANDIDATES, identify},
};
use jiff::Timestamp;
use proptest::prelude::*;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

mod archive;
mod forgotten;
mod processes;
mod refused;
mod sealed;
mod search;
mod stored;

type Row = (String, Vec<u8>, Vec<u8>);
const TABLES: [&str; 5] = ["meta", "keys", "subjects", "references", "templates"];
const CHILD_ROLE: &str = "DOORWARD_TEST_CHILD_ROLE";
const CHILD_DIR: &str = "DOORWARD_TEST_CHILD_DIR";

fn id(s: &str) -> SubjectId {
    s.parse().unwrap()
}

fn model(n: u8) -> ModelId {
    ModelId::new("test-model", [n; 32])
}

/// A reproducible direction.
fn embedding(model: &ModelId, seed: u64, dimension: usize) -> Embedding {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f32> = (0..dimension)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        })
        .collect();
    Embedding::new(model.clone(), &values).unwrap()
}

fn template(model: &ModelId, seed: u64) -> NewTemplate {
    NewTemplate {
        embedding: embedding(model, seed, 192),
        quality: SampleQuality {
            size_px: 148.3,
            sharpness: 61.25,
            brightness: 121.7,
            contrast: 49.1,
            yaw_deg: 2.2,
            pitch_deg: -4.1,
            roll_deg: 0.3,
            detector_score: 0.931,
        },
        source: format!("photo-{seed}.jpg"),
        enrolled: Timestamp::from_second(1_700_000_000 + seed as i64).unwrap(),
    }
}

fn subject(name: &str) -> NewSubject {
    NewSubject {
        id: id(name),
        name: format!("Display {name}"),
        attributes: BTreeMap::from([("floor".into(), "2".into())]),
        created: Timestamp::from_second(1_700_000_000).unwrap(),
        expires: None,
    }
}

fn empty() -> (tempfile::TempDir, PathBuf, Gallery) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("gallery");
    let gallery = Gallery::open_or_create(&dir, None).unwrap();
    (temp, dir, gallery)
}

/// Ada with two templates, Grace with one.
fn two() -> (tempfile::TempDir, PathBuf, Gallery) {
    let (temp, dir, mut gallery) = empty();
    gallery.enrol(subject("ada"), vec![template(&model(1), 1), template(&model(1), 2)]).unwrap();
    gallery.enrol(subject("grace"), vec![template(&model(1), 3)]).unwrap();
    (temp, dir, gallery)
}

fn ids(gallery: &Gallery) -> Vec<String> {
    gallery.list().unwrap().into_iter().map(|s| s.id.to_string()).collect()
}

fn store(dir: &Path) -> PathBuf {
    dir.join("gallery.redb")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The store's rows as redb shows them to anyone, read from a copy.
fn rows(dir: &Path) -> Vec<Row> {
    let copy = tempfile::NamedTempFile::new().unwrap();
    fs::copy(store(dir), copy.path()).unwrap();
    let db = Database::open(copy.path()).unwrap();
    let transaction = db.begin_read().unwrap();
    let mut rows = Vec::new();
    for name in TABLES {
        let table = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(name)).unwrap();
        for row in table.iter().unwrap() {
            let (key, value) = row.unwrap();
            rows.push((name.to_owned(), key.value().to_vec(), value.value().to_vec()));
        }
    }
    rows
}

/// Changes the store as someone without the key could.
fn tamper(dir: &Path, table: &str, change: impl FnOnce(&mut redb::Table<'_, &[u8], &[u8]>)) {
    let db = Database::open(store(dir)).unwrap();
    let transaction = db.begin_write().unwrap();
    change(&mut transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(table)).unwrap());
    transaction.commit().unwrap();
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
