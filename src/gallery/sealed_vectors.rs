//! Vectors of a large snapshot, outside memory: sealed in a file without a name, opened one at a time.
//!
//! The key is random and only in this process's memory: nobody else can read the file, and when the snapshot is dropped or the
//! process dies its contents are noise. Each vector is sealed for its row, so that a damaged file gives an error, never another
//! row's vector.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    GalleryError, io_at,
    rows::SCHEMA,
    seal::{Key, OVERHEAD_BYTES, Place, StoreId},
};

/// The name that vectors are sealed under where a store's values have their table's.
const TABLE: &str = "snapshot";
/// There is one file and one key: the key says which.
const FILE: &StoreId = &[0; 16];
const BUFFER_BYTES: usize = 1 << 20;

/// Vectors of one length, by row.
pub(super) struct SealedVectors {
    file: File,
    /// Where the file is, for messages.
    folder: PathBuf,
    key: Key,
    dimension: usize,
}

/// [`SealedVectors`] while they are written, in order of row.
pub(super) struct VectorWriter {
    vectors: SealedVectors,
    /// Another handle of the same file.
    to: BufWriter<File>,
    next: u64,
}

impl VectorWriter {
    /// An empty file in the first of `folders` that takes one.
    pub fn create(folders: &[PathBuf], dimension: usize) -> Result<Self, GalleryError> {
        let mut refused = None;
        for folder in folders {
            let made = tempfile::tempfile_in(folder).and_then(|file| Ok((file.try_clone()?, file)));
            match made {
                Ok((to, file)) => {
                    let vectors = SealedVectors { file, folder: folder.clone(), key: Key::random()?, dimension };
                    return Ok(Self { vectors, to: BufWriter::with_capacity(BUFFER_BYTES, to), next: 0 });
                }
                Err(e) => refused = Some((folder, e)),
            }
        }
        let (folder, source) = refused.expect("there is a folder to try");
        Err(cannot_write(folder, source))
    }

    /// The vector of the next row.
    pub fn push(&mut self, values: &[f32]) -> Result<(), GalleryError> {
        let plain: Zeroizing<Vec<u8>> = Zeroizing::new(values.iter().flat_map(|v| v.to_le_bytes()).collect());
        let sealed = self.vectors.key.seal(place(&self.next.to_le_bytes()), &plain)?;
        self.next += 1;
        self.to.write_all(&sealed).map_err(|e| cannot_write(&self.vectors.folder, e))
    }

    /// All of them, to be read.
    pub fn finish(mut self) -> Result<SealedVectors, GalleryError> {
        self.to.flush().map_err(|e| cannot_write(&self.vectors.folder, e))?;
        Ok(self.vectors)
    }
}

impl SealedVectors {
    /// The vector of `row`.
    ///
    /// # Errors
    /// When it cannot be read, or the file is damaged there.
    pub fn read(&self, row: usize) -> Result<Vec<f32>, GalleryError> {
        let mut sealed = vec![0; OVERHEAD_BYTES + 4 * self.dimension];
        let (row, length) = (row as u64, sealed.len() as u64);
        self.file.read_exact_at(&mut sealed, row * length).map_err(io_at(&self.folder, "read"))?;
        let plain = self.key.open(place(&row.to_le_bytes()), &sealed).ok_or_else(|| GalleryError::Damaged {
            path: self.folder.clone(),
            detail: format!("its temporary file, vector {row}: its seal is broken"),
        })?;
        Ok(plain.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)).collect())
    }
}

fn place(row: &[u8; 8]) -> Place<'_> {
    Place { schema: SCHEMA, store: FILE, table: TABLE, row }
}

fn cannot_write(folder: &Path, source: io::Error) -> GalleryError {
    GalleryError::Io { path: folder.into(), action: "given the temporary file that a large gallery needs", source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> SealedVectors {
        let mut writer = VectorWriter::create(&[folder.join("none"), folder.into()], 3).unwrap();
        (0..100u8).for_each(|row| writer.push(&[f32::from(row), 0.5, -1.0]).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn each_row_gives_its_vector_from_a_file_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let vectors = written(folder.path());
        for row in [0usize, 1, 50, 99] {
            assert_eq!(vectors.read(row).unwrap(), [row as f32, 0.5, -1.0]);
        }
        assert!(vectors.read(100).is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn the_file_holds_no_vector_in_the_open_and_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let vectors = written(folder.path());
        let length = vectors.file.metadata().unwrap().len();
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        vectors.file.read_exact_at(&mut bytes, 0).unwrap();
        let open: Vec<u8> = [0.5f32, -1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(!bytes.windows(open.len()).any(|w| w == open));

        let (one, at) = (bytes.len() / 100, bytes.len() / 2 + 20);
        bytes[at] ^= 1;
        // Two rows that change places are no more each other's than noise.
        bytes[..2 * one].rotate_left(one);
        vectors.file.write_all_at(&bytes, 0).unwrap();
        for row in [0, 1, 50] {
            assert!(matches!(vectors.read(row), Err(GalleryError::Damaged { .. })), "{row}");
        }
        assert!(vectors.read(51).is_ok());
    }

    #[test]
    fn where_no_folder_takes_a_file_the_error_names_one() {
        let folder = tempfile::tempdir().unwrap();
        let Err(e) = VectorWriter::create(&[folder.path().join("none")], 3) else { panic!("it was made") };
        assert!(e.to_string().contains("none") && e.to_string().contains("temporary file"), "{e}");
    }
}
