use std::{
    collections::HashMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use super::EvalError;
use crate::models::Digest;

/// Hexadecimal digits of the checksum before every entry.
const CHECK_DIGITS: usize = 16;

/// What was found in pictures, by the SHA-256 of their bytes, kept in one file for each way of looking.
///
/// The file holds a line an entry: a checksum, the picture's hash, the finding as JSON. Lines are only ever appended, each by one
/// write, so that whatever ends the process leaves a file whose whole lines are good; a line that is damaged is as if it were
/// not there.
///
/// Embeddings are biometric data: folder and file are readable by their owner only.
pub struct Cache {
    path: PathBuf,
    file: File,
    known: Known,
    damaged: usize,
}

/// What was in a cache when it was opened. Cloning shares it.
#[derive(Clone)]
pub(super) struct Known(Arc<HashMap<Digest, String>>);

impl Known {
    /// What was found in the picture with this hash. `None` also for an entry that cannot be read as a `T`.
    pub(super) fn get<T: DeserializeOwned>(&self, picture: &Digest) -> Option<T> {
        serde_json::from_str(self.0.get(picture)?).ok()
    }
}

impl Cache {
    /// Opens, or begins, the cache in `folder` for what is looked at in the way that `method` describes: everything that
    /// decides on the result must be part of it.
    ///
    /// # Errors
    /// [`EvalError::Cache`] when folder or file cannot be made, read or written.
    pub fn open(folder: &Path, method: &str) -> Result<Self, EvalError> {
        let refuse = |path: &Path, action| {
            let path = path.to_owned();
            move |source| EvalError::Cache { path, action, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refuse(folder, "created"))?;
        let name = &Digest::of(method.as_bytes()).to_string()[..CHECK_DIGITS];
        let path = folder.join(format!("{name}.entries"));
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(refuse(&path, "opened"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(refuse(&path, "read"))?;
        let (mut entries, mut damaged) = (HashMap::new(), 0);
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match std::str::from_utf8(line).ok().and_then(read_line) {
                Some((picture, json)) => drop(entries.insert(picture, json.to_owned())),
                None => damaged += 1,
            }
        }
        if bytes.last().is_some_and(|b| *b != b'\n') {
            // The last line was cut off; the next must not be glued to it.
            end_line(&mut file).map_err(refuse(&path, "written"))?;
        }
        if damaged > 0 {
            log::warn!("cache {}: {damaged} damaged entries are ignored and made anew", path.display());
        }
        Ok(Self { path, file, known: Known(Arc::new(entries)), damaged })
    }

    /// What was there when the cache was opened.
    pub(super) fn known(&self) -> Known {
        self.known.clone()
    }

    /// Keeps what was found.
    ///
    /// # Errors
    /// [`EvalError::Cache`] when it cannot be written, such as on a full disk.
    pub fn put<T: Serialize>(&mut self, picture: Digest, found: &T) -> Result<(), EvalError> {
        let refuse = |source| EvalError::Cache { path: self.path.clone(), action: "written", source };
        let entry = format!("{picture} {}", serde_json::to_string(found).map_err(|e| refuse(e.into()))?);
        let line = format!("{} {entry}\n", check(&entry));
        self.file.write_all(line.as_bytes()).map_err(refuse)
    }

    /// Entries that were damaged when the cache was opened.
    pub fn damaged(&self) -> usize {
        self.damaged
    }
}

/// Appends a line's end.
fn end_line(file: &mut File) -> io::Result<()> {
    file.seek(SeekFrom::End(0))?;
    file.write_all(b"\n")
}

fn check(entry: &str) -> String {
    Digest::of(entry.as_bytes()).to_string()[..CHECK_DIGITS].to_owned()
}

fn read_line(line: &str) -> Option<(Digest, &str)> {
    let (found, entry) = line.split_once(' ')?;
    let (picture, json) = entry.split_once(' ')?;
    (found == check(entry)).then_some(())?;
    Some((Digest::try_from(picture.to_owned()).ok()?, json))
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({}, {} entries)", self.path.display(), self.known.0.len())
    }
}

/// The folder for caches of this user; `None` where the system does not tell of any.
pub fn default_folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("doorward").join("eval"))
}

/// SHA-256 and bytes of a file.
pub(super) fn read_hashed(path: &Path) -> io::Result<(Digest, Vec<u8>)> {
    let bytes = fs::read(path)?;
    Ok((Digest::of(&bytes), bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::tempdir;

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::of(&[n])
    }

    #[test]
    fn what_was_kept_comes_back_for_the_same_method_only() {
        let dir = tempdir().unwrap();
        let mut cache = Cache::open(dir.path(), "method 1").unwrap();
        assert_eq!(cache.known().get::<Vec<f32>>(&digest(1)), None);
        cache.put(digest(1), &vec![0.1f32, 0.2]).unwrap();
        let again = Cache::open(dir.path(), "method 1").unwrap();
        assert_eq!(again.known().get::<Vec<f32>>(&digest(1)), Some(vec![0.1, 0.2]));
        assert_eq!(again.known().get::<String>(&digest(1)), None, "of another kind");
        assert_eq!(Cache::open(dir.path(), "method 2").unwrap().known().get::<Vec<f32>>(&digest(1)), None);
    }

    #[test]
    fn only_the_owner_can_read_it() {
        let dir = tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let cache = Cache::open(&folder, "m").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&cache.path)), (0o700, 0o600));
    }

    #[test]
    fn a_damaged_or_cut_off_line_is_made_anew_and_hurts_no_other() {
        let dir = tempdir().unwrap();
        let mut cache = Cache::open(dir.path(), "m").unwrap();
        for n in 1..=3 {
            cache.put(digest(n), &u32::from(n)).unwrap();
        }
        let mut bytes = fs::read(&cache.path).unwrap();
        let second = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        bytes[second + 40] ^= 1;
        bytes.truncate(bytes.len() - 2);
        fs::write(&cache.path, &bytes).unwrap();
        let mut cache = Cache::open(dir.path(), "m").unwrap();
        assert_eq!([1, 2, 3].map(|n| cache.known().get::<u32>(&digest(n))), [Some(1), None, None]);
        assert_eq!(cache.damaged(), 2);
        cache.put(digest(3), &3u32).unwrap();
        assert_eq!(Cache::open(dir.path(), "m").unwrap().known().get(&digest(3)), Some(3u32));
    }

    #[test]
    fn what_is_no_cache_at_all_is_ignored() {
        let dir = tempdir().unwrap();
        let path = Cache::open(dir.path(), "m").unwrap().path;
        fs::write(&path, [0xFFu8, 0, b'\n', b'x', b'\n', b' ', b' ', b'\n']).unwrap();
        assert_eq!(Cache::open(dir.path(), "m").unwrap().damaged(), 3);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let dir = tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::open(&file.join("cache"), "m").unwrap_err().to_string();
        assert!(error.contains("file/cache") && error.contains("--no-cache"), "{error}");
    }
}
