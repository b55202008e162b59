//! The master key: handed over by the service manager, or a file beside the store.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    GalleryError, io_at,
    seal::{KEY_BYTES, Key},
};

const NAME: &str = "gallery.key";

/// The master key and where it was found.
pub(super) struct MasterKey {
    pub key: Key,
    pub path: PathBuf,
}

/// The key of the gallery in `dir`.
pub(super) fn load(dir: &Path, credentials: Option<&Path>) -> Result<MasterKey, GalleryError> {
    // A service manager's credential may carry an access list for the service's user, which shows as
    // group permission; only the rest of the world is kept out there.
    let places = credentials.map(|c| (c.join(NAME), 0o007, "o=")).into_iter().chain([(dir.join(NAME), 0o077, "600")]);
    for (path, closed_to, remedy) in places {
        match File::open(&path) {
            Ok(file) => return read(path, file, closed_to, remedy),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io_at(&path, "read")(e)),
        }
    }
    Err(GalleryError::KeyMissing { dir: dir.into(), path: dir.join(NAME) })
}

/// The key for a new gallery in `dir`: the one that is there, else a new one. The caller holds the
/// folder's lock and knows that there is no store.
pub(super) fn load_or_create(dir: &Path, credentials: Option<&Path>) -> Result<MasterKey, GalleryError> {
    match load(dir, credentials) {
        Err(GalleryError::KeyMissing { .. }) => create(dir),
        found => found,
    }
}

fn read(path: PathBuf, file: File, closed_to: u32, remedy: &'static str) -> Result<MasterKey, GalleryError> {
    let mode = file.metadata().map_err(io_at(&path, "read"))?.permissions().mode() & 0o7777;
    if mode & closed_to != 0 {
        return Err(GalleryError::Exposed { path, mode, remedy });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES + 2));
    // One byte more than a key ever has, so that a longer file is seen to be none.
    file.take(2 * KEY_BYTES as u64 + 2).read_to_end(&mut text).map_err(io_at(&path, "read"))?;
    match parse(&text) {
        Some(key) => Ok(MasterKey { key, path }),
        None => Err(GalleryError::KeyInvalid { path }),
    }
}

/// 64 hexadecimal digits, with or without the newline.
fn parse(text: &[u8]) -> Option<Key> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(Key::from_bytes(bytes))
}

fn create(dir: &Path) -> Result<MasterKey, GalleryError> {
    let key = Key::random()?;
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
    key.bytes().iter().for_each(|b| write!(text, "{b:02x}").expect("writing to a string does not fail"));
    text.push('\n');

    let path = dir.join(NAME);
    let unfinished = dir.join("gallery.key.new");
    match fs::remove_file(&unfinished) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io_at(&unfinished, "removed")(e)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(io_at(&unfinished, "written"))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io_at(&unfinished, "written"))?;
    // A link appears whole or not at all, and never replaces a key that is there.
    fs::hard_link(&unfinished, &path).map_err(io_at(&path, "written"))?;
    fs::remove_file(&unfinished).map_err(io_at(&unfinished, "removed"))?;
    File::open(dir).and_then(|d| d.sync_all()).map_err(io_at(dir, "synced"))?;
    Ok(MasterKey { key, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixty_four_digits() {
        let digits = "00ff".repeat(16);
        let key = parse(digits.as_bytes()).unwrap();
        assert_eq!(key.bytes()[..4], [0, 0xff, 0, 0xff]);
        assert!(parse(format!("{digits}\n").as_bytes()).is_some());
        for bad in
            ["", "00", &format!("{digits}0"), &format!("{digits}\n\n"), &digits.replace('f', "g"), &"é".repeat(32)]
        {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
