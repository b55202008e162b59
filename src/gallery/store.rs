//! The store's file: read whole and checked, changed in one transaction, rewritten to forget.
//! Knows rows of bytes; nothing here knows what is sealed in them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    GalleryError, io_at,
    key::MasterKey,
    rows::{Rows, read_head, read_parts, read_rows, write_rows},
};

const NAME: &str = "gallery.redb";
const SIDE_NAME: &str = "gallery.redb.side";
/// How long another process may keep the lock: far longer than reading or enrolling takes.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(10);
const CHUNK_BYTES: usize = 1 << 20;

/// What the file system says of a store's file: differs after every change of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStamp {
    device: u64,
    inode: u64,
    length_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// The stamp of the store in `dir`. Take it before a snapshot; when it differs later, take the
/// snapshot again. Costs one `stat`.
///
/// # Errors
/// When there is no store, or the folder cannot be read.
pub fn stamp(dir: &Path) -> io::Result<StoreStamp> {
    let m = fs::metadata(dir.join(NAME))?;
    let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    Ok(StoreStamp {
        device: m.dev(),
        inode: m.ino(),
        length_bytes: m.len(),
        modified_ns: ns(m.mtime(), m.mtime_nsec()),
        changed_ns: ns(m.ctime(), m.ctime_nsec()),
    })
}

/// The folder, locked until dropped.
struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    fn side(&self) -> PathBuf {
        self.dir.join(SIDE_NAME)
    }

    pub fn exists(&self) -> Result<bool, GalleryError> {
        self.path().try_exists().map_err(io_at(&self.path(), "read"))
    }

    /// Refuses a folder in which others could put another store or key.
    pub fn check_folder(&self) -> Result<(), GalleryError> {
        let mode = fs::metadata(&self.dir).map_err(io_at(&self.dir, "read"))?.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(GalleryError::Exposed { path: self.dir.clone(), mode, remedy: "700" });
        }
        Ok(())
    }

    /// Every row, from a file that was read and checked whole.
    pub fn read(&self) -> Result<Rows, GalleryError> {
        let _lock = self.lock(false)?;
        read_rows(&self.path())
    }

    /// What stands in it of no subject, from a file that was checked whole.
    pub fn read_head(&self) -> Result<Rows, GalleryError> {
        let _lock = self.lock(false)?;
        read_head(&self.path())
    }

    /// Hands over its subjects in parts, from a file that was checked whole; see [`read_parts`].
    pub fn read_parts(&self, take: impl FnMut(usize, &Rows) -> Result<(), GalleryError>) -> Result<(), GalleryError> {
        let _lock = self.lock(false)?;
        read_parts(&self.path(), take)
    }

    /// Makes the folder, the key by `key`, then an empty store; nothing if there is a store by now.
    pub fn create(&self, key: impl FnOnce() -> Result<MasterKey, GalleryError>) -> Result<(), GalleryError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(io_at(&self.dir, "created"))?;
        self.check_folder()?;
        let _lock = self.lock(true)?;
        if self.exists()? {
            return Ok(());
        }
        let key = key()?;
        let rows = super::vault::empty(&key, self.path())?;
        self.write_side(&rows)?;
        fs::rename(self.side(), self.path()).map_err(io_at(&self.path(), "written"))?;
        self.sync_dir()?;
        // The folder itself may be new, too. A parent that may not be opened was not made here.
        let _ = File::open(self.dir.join("..")).and_then(|parent| parent.sync_all());
        Ok(())
    }

    /// Puts the rows that `plan` makes of what is stored, in one durable transaction. No rows, no
    /// change.
    pub fn update(&self, plan: impl FnOnce(&Rows) -> Result<Rows, GalleryError>) -> Result<(), GalleryError> {
        let _lock = self.lock(true)?;
        let path = self.path();
        // Checks the whole file first: redb trusts the one it opens for writing.
        let rows = read_rows(&path)?;
        let new = plan(&rows)?;
        if new.is_empty() {
            return Ok(());
        }
        self.wipe_side()?;
        let before = stamp(&self.dir).map_err(io_at(&path, "read"))?;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_at(&path, "written"))?;
        let generation = rows.generation.wrapping_add(1);
        write_rows(file, &new, generation).map_err(|e| self.write_error(&path, e))?;
        self.mark_changed(before)
    }

    /// Writes a new store with the rows `plan` keeps, puts it in the old one's place and overwrites
    /// the old one.
    pub fn rewrite(&self, plan: impl FnOnce(&Rows) -> Result<Rows, GalleryError>) -> Result<(), GalleryError> {
        let _lock = self.lock(true)?;
        let rows = read_rows(&self.path())?;
        let mut kept = plan(&rows)?;
        kept.generation = rows.generation.wrapping_add(1);
        self.write_side(&kept)?;
        if self.exchange()? { self.wipe_side() } else { self.replace() }
    }

    /// Swaps the two stores in one step; false where the file system cannot.
    fn exchange(&self) -> Result<bool, GalleryError> {
        match renameat_with(CWD, self.side(), CWD, self.path(), RenameFlags::EXCHANGE) {
            Ok(()) => self.sync_dir().map(|()| true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(e) => Err(io_at(&self.path(), "written")(e.into())),
        }
    }

    /// Renames the new store over the old, then overwrites the old one through its open file. Killed
    /// in between, the old one's bytes stay in free blocks of the disk.
    fn replace(&self) -> Result<(), GalleryError> {
        let path = self.path();
        let old = OpenOptions::new().write(true).open(&path).map_err(io_at(&path, "written"))?;
        fs::rename(self.side(), &path).map_err(io_at(&path, "written"))?;
        self.sync_dir()?;
        wipe(old).map_err(io_at(&path, "overwritten"))
    }

    /// A complete, synced and compared store under the side name, or nothing there.
    fn write_side(&self, rows: &Rows) -> Result<(), GalleryError> {
        self.wipe_side()?;
        let side = self.side();
        let write = || {
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&side);
            let file = file.map_err(io_at(&side, "written"))?;
            write_rows(file, rows, rows.generation).map_err(|e| self.write_error(&side, e))?;
            File::open(&side).and_then(|f| f.sync_all()).map_err(io_at(&side, "synced"))?;
            if read_rows(&side)? != (Rows { path: side.clone(), ..rows.clone() }) {
                let detail = "what was written reads back differently".into();
                return Err(GalleryError::Damaged { path: side.clone(), detail });
            }
            Ok(())
        };
        write().inspect_err(|_| {
            // The first error is the one to tell; what cannot be removed now, the next writer removes.
            let _ = fs::remove_file(&side);
        })
    }

    /// Whatever bears the side name is a store that was replaced or never finished.
    fn wipe_side(&self) -> Result<(), GalleryError> {
        let side = self.side();
        match OpenOptions::new().write(true).open(&side) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(io_at(&side, "overwritten")(e)),
            Ok(file) => {
                wipe(file).map_err(io_at(&side, "overwritten"))?;
                fs::remove_file(&side).map_err(io_at(&side, "removed"))?;
                self.sync_dir()
            }
        }
    }

    /// Two changes within one tick of the file system's clock would leave the same times.
    fn mark_changed(&self, before: StoreStamp) -> Result<(), GalleryError> {
        let path = self.path();
        let mark = || {
            let file = File::open(&path)?;
            if stamp(&self.dir)? == before {
                file.set_modified(file.metadata()?.modified()? + Duration::from_nanos(1))?;
            }
            Ok(())
        };
        mark().map_err(io_at(&path, "written"))
    }

    fn sync_dir(&self) -> Result<(), GalleryError> {
        File::open(&self.dir).and_then(|d| d.sync_all()).map_err(io_at(&self.dir, "synced"))
    }

    fn lock(&self, exclusive: bool) -> Result<Lock, GalleryError> {
        let dir = File::open(&self.dir).map_err(io_at(&self.dir, "read"))?;
        let start = Instant::now();
        loop {
            match if exclusive { dir.try_lock() } else { dir.try_lock_shared() } {
                Ok(()) => return Ok(Lock(dir)),
                Err(TryLockError::Error(e)) => return Err(io_at(&self.dir, "locked")(e)),
                Err(TryLockError::WouldBlock) if start.elapsed() >= LOCK_WAIT => {
                    return Err(GalleryError::InUse { dir: self.dir.clone() });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
            }
        }
    }

    fn write_error(&self, path: &Path, e: redb::Error) -> GalleryError {
        match e {
            redb::Error::DatabaseAlreadyOpen => GalleryError::InUse { dir: self.dir.clone() },
            redb::Error::Io(source) => GalleryError::Io { path: path.into(), action: "written", source },
            source => GalleryError::Write { path: path.into(), source: Box::new(source) },
        }
    }
}

fn wipe(mut file: File) -> io::Result<()> {
    let zeros = vec![0; CHUNK_BYTES];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let n = usize::try_from(left).map_or(CHUNK_BYTES, |l| l.min(CHUNK_BYTES));
        file.write_all(&zeros[..n])?;
        left -= n as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::gallery::key;

    #[test]
    fn where_files_cannot_be_exchanged_the_old_store_is_overwritten_too() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::at(temp.path());
        store.create(|| key::load_or_create(temp.path(), None)).unwrap();
        let mut rows = store.read().unwrap();
        rows.generation += 1;
        store.write_side(&rows).unwrap();
        let mut old = File::open(store.path()).unwrap();

        store.replace().unwrap();

        let mut bytes = Vec::new();
        old.read_to_end(&mut bytes).unwrap();
        assert!(!bytes.is_empty() && bytes.iter().all(|b| *b == 0));
        assert!(store.read().unwrap() == rows);
        assert!(!store.side().exists());
    }
}
