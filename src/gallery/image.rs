//! A store's file as a database that can be read: redb repairs what a killed writer left, and does it in memory. The file is
//! never touched.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{PoisonError, RwLock},
};

use redb::{Builder, Database, StorageBackend, backends::InMemoryBackend};

use super::{GalleryError, io_at};

/// Up to here a file is copied into memory and closed; a larger one is read where it lies. Some 15,000 subjects.
const MAX_COPIED_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;
/// What redb may keep of a file it reads in place; pages are visited in order, so more would not be used.
const CACHE_BYTES: usize = 16 << 20;
const PAGE_BYTES: usize = 4096;

/// Opens the store in `path`, whose every page's checksum is checked.
pub(super) fn open(path: &Path) -> Result<Database, GalleryError> {
    let file = File::open(path).map_err(io_at(path, "read"))?;
    let length = file.metadata().map_err(io_at(path, "read"))?.len();
    // redb would make a new database of an empty file.
    if length == 0 {
        return Err(GalleryError::Damaged { path: path.into(), detail: "the file is empty".into() });
    }
    let mut builder = Builder::new();
    builder.set_check_integrity_on_open(true);
    let opened = if length <= MAX_COPIED_BYTES {
        builder.create_with_backend(copy(&file, length).map_err(io_at(path, "read"))?)
    } else {
        builder.set_cache_size(CACHE_BYTES).create_with_backend(Overlay::new(file, length))
    };
    opened.map_err(|e| GalleryError::Damaged { path: path.into(), detail: e.to_string() })
}

fn copy(file: &File, length: u64) -> io::Result<InMemoryBackend> {
    let image = InMemoryBackend::new();
    image.set_len(length)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < length {
        let n = file.read_at(&mut chunk, at)?;
        if n == 0 {
            // A file that shrank while it was read is whatever its checksums say.
            break;
        }
        let kept = n.min(usize::try_from(length - at).unwrap_or(n));
        image.write(at, &chunk[..kept])?;
        at += kept as u64;
    }
    Ok(image)
}

/// A file, and over it in memory what was written to it. `Debug` shows no byte.
struct Overlay {
    file: File,
    state: RwLock<State>,
}

struct State {
    length: u64,
    /// How much of the file still counts: less than all of it after it was made shorter.
    of_file: u64,
    /// The pages that were written to.
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Overlay {
    fn new(file: File, length: u64) -> Self {
        Self { file, state: RwLock::new(State { length, of_file: length, pages: BTreeMap::new() }) }
    }

    /// What the file has at `offset`, zeros behind its end.
    fn read_file(&self, of_file: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let n = usize::try_from(of_file.saturating_sub(offset)).map_or(out.len(), |n| n.min(out.len()));
        let (there, beyond) = out.split_at_mut(n);
        beyond.fill(0);
        self.file.read_exact_at(there, offset)
    }
}

/// The pages that `length` bytes from `offset` on lie in: the number of each, where they start in it and in the bytes, and how
/// many there are.
fn pages_of(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let n = (PAGE_BYTES - within).min(length - done);
        let page = (at / PAGE_BYTES as u64, within, done, n);
        done += n;
        (n > 0).then_some(page)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.read().unwrap_or_else(PoisonError::into_inner).length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        within(&state, offset, out.len())?;
        self.read_file(state.of_file, offset, out)?;
        if !state.pages.is_empty() {
            for (page, start, at, n) in pages_of(offset, out.len()) {
                if let Some(page) = state.pages.get(&page) {
                    out[at..at + n].copy_from_slice(&page[start..start + n]);
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.of_file = state.of_file.min(length);
        state.length = length;
        // What comes back later is zeros, not what was there.
        let first_gone = length.div_ceil(PAGE_BYTES as u64);
        state.pages.retain(|page, _| *page < first_gone);
        let last = (length % PAGE_BYTES as u64) as usize;
        if let Some(page) = state.pages.get_mut(&(length / PAGE_BYTES as u64)) {
            page[last..].fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        within(&state, offset, data.len())?;
        for (number, start, at, n) in pages_of(offset, data.len()) {
            if !state.pages.contains_key(&number) {
                let mut page = Box::new([0; PAGE_BYTES]);
                self.read_file(state.of_file, number * PAGE_BYTES as u64, page.as_mut())?;
                state.pages.insert(number, page);
            }
            let page = state.pages.get_mut(&number).expect("it was put there");
            page[start..start + n].copy_from_slice(&data[at..at + n]);
        }
        Ok(())
    }
}

fn within(state: &State, offset: u64, length: usize) -> io::Result<()> {
    match offset.checked_add(length as u64) {
        Some(end) if end <= state.length => Ok(()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overlay")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use redb::{ReadableDatabase, ReadableTable, TableDefinition, backends::FileBackend};

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Read(u64, usize),
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..20_000, 0usize..9000).prop_map(|(at, n)| Step::Read(at, n)),
            (0u64..20_000, prop::collection::vec(any::<u8>(), 0..6000)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
            (0u64..20_000).prop_map(Step::SetLen),
        ]
    }

    proptest! {
        #[test]
        fn an_overlay_is_a_copy_in_memory_and_leaves_its_file_alone(
            bytes in prop::collection::vec(any::<u8>(), 1..15_000), steps in prop::collection::vec(step(), 0..20),
        ) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let overlay = Overlay::new(file.try_clone().unwrap(), bytes.len() as u64);
            let memory = copy(&file, bytes.len() as u64).unwrap();
            for step in steps {
                match step {
                    Step::Read(at, n) => {
                        let (mut a, mut b) = (vec![1; n], vec![2; n]);
                        let (ours, theirs) = (overlay.read(at, &mut a), memory.read(at, &mut b));
                        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
                        prop_assert!(theirs.is_err() || a == b);
                    }
                    Step::Write(at, data) => {
                        prop_assert_eq!(overlay.write(at, &data).is_ok(), memory.write(at, &data).is_ok());
                    }
                    Step::SetLen(length) => {
                        overlay.set_len(length).unwrap();
                        memory.set_len(length).unwrap();
                    }
                }
                prop_assert_eq!(overlay.len().unwrap(), memory.len().unwrap());
            }
            let mut after = vec![0; bytes.len()];
            file.read_exact_at(&mut after, 0).unwrap();
            prop_assert_eq!(file.metadata().unwrap().len(), bytes.len() as u64);
            prop_assert_eq!(after, bytes);
        }
    }

    #[test]
    fn a_database_whose_writer_was_killed_is_repaired_over_its_file() {
        const TABLE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("rows");
        let file = tempfile::tempfile().unwrap();
        let db = Builder::new().create_with_backend(FileBackend::new(file.try_clone().unwrap()).unwrap()).unwrap();
        let write = |n: u64| {
            let transaction = db.begin_write().unwrap();
            let mut table = transaction.open_table(TABLE).unwrap();
            (0..n).for_each(|k| drop(table.insert(k, [7u8; 900].as_slice()).unwrap()));
            drop(table);
            transaction.commit().unwrap();
        };
        write(300);
        // Not closed: the file says that it is in use, as after a kill.
        let length = file.metadata().unwrap().len();
        let mut before = vec![0; usize::try_from(length).unwrap()];
        file.read_exact_at(&mut before, 0).unwrap();

        let overlay = Overlay::new(file.try_clone().unwrap(), length);
        let seen = Builder::new().set_check_integrity_on_open(true).create_with_backend(overlay).unwrap();
        let table = seen.begin_read().unwrap().open_table(TABLE).unwrap();
        assert_eq!(table.iter().unwrap().count(), 300);
        drop((table, seen));

        let mut after = vec![0; before.len()];
        file.read_exact_at(&mut after, 0).unwrap();
        assert!(after == before && file.metadata().unwrap().len() == length);
    }
}
