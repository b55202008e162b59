//! The record: a file of JSON lines in the gallery's folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::QualificationRecord;
use crate::eval::EvalError;

const NAME: &str = "pad-qualification.jsonl";
/// A presentation takes 1 to 6 KB: room for thousands, of which 117 are asked for.
const MAX_BYTES: u64 = 16 << 20;

/// What a record holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recorded {
    /// The presentations, in the order in which they were recorded.
    pub records: Vec<QualificationRecord>,
    /// Numbers of the lines, from 1, that cannot be read. What they told is not known.
    pub damaged: Vec<usize>,
    /// Bytes up to the end of the last whole line. What comes after was never told of as recorded: the power failed.
    whole: usize,
}

impl Recorded {
    /// Reads the text of a record. A last line that was torn off is left out; any other that cannot be read is named.
    pub fn parse(text: &[u8]) -> Self {
        let mut recorded = Self { whole: text.len(), ..Self::default() };
        let mut begin = 0;
        for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let end = begin + line.len();
            match (QualificationRecord::parse(line.trim_ascii()), line.ends_with(b"\n")) {
                (Some(record), _) => recorded.records.push(record),
                (None, true) if line.trim_ascii().is_empty() => {}
                (None, true) => recorded.damaged.push(number + 1),
                (None, false) => recorded.whole = begin,
            }
            begin = end;
        }
        recorded
    }
}

/// The record of the presentations at a door, readable by its owner alone.
#[derive(Debug, Clone)]
pub struct QualificationFile {
    path: PathBuf,
}

impl QualificationFile {
    /// That in a gallery's folder: it is the folder that a door writes to and that is backed up.
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(NAME) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is recorded; nothing where there is no file.
    ///
    /// # Errors
    /// When there is one that cannot be read, or that is far too large.
    pub fn read(&self) -> Result<Recorded, EvalError> {
        match File::open(&self.path) {
            Ok(file) => {
                file.lock_shared().map_err(self.failed("locked"))?;
                Ok(Recorded::parse(&self.text(&file)?))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Recorded::default()),
            Err(e) => Err(self.failed("read")(e)),
        }
    }

    /// Adds presentations, each once: those that repeat one recorded before are left out. Returns how many were added. When this
    /// returns they are on the disk.
    ///
    /// # Errors
    /// When the file cannot be written, or is full; then it stays as it was.
    pub fn append(&self, records: &[QualificationRecord]) -> Result<usize, EvalError> {
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(self.failed("made"))?;
        }
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        let mut file = open.map_err(self.failed("written"))?;
        file.lock().map_err(self.failed("locked"))?;
        let text = self.text(&file)?;
        let Recorded { records: mut known, whole, .. } = Recorded::parse(&text);
        let mut lines = Vec::new();
        if !text[..whole].ends_with(b"\n") && whole > 0 {
            lines.push(b'\n');
        }
        let mut added = 0;
        for record in records {
            if known.iter().any(|other| other.is_repeated_by(record)) {
                continue;
            }
            serde_json::to_writer(&mut lines, record).expect("a record has only string keys and finite numbers");
            lines.push(b'\n');
            known.push(record.clone());
            added += 1;
        }
        if added == 0 {
            return Ok(0);
        }
        if (whole + lines.len()) as u64 > MAX_BYTES {
            return Err(EvalError::QualificationFull { path: self.path.clone() });
        }
        // A torn last line goes first: what is appended to it could not be read either.
        let begin = whole as u64;
        let mut write = || {
            file.set_len(begin)?;
            file.seek(SeekFrom::Start(begin))?;
            file.write_all(&lines)?;
            file.sync_all()
        };
        match write() {
            Ok(()) => Ok(added),
            Err(e) => {
                // As it was, as far as that can be done on such a disk.
                let _ = file.set_len(begin);
                Err(self.failed("written")(e))
            }
        }
    }

    /// Removes the record. Returns whether there was one.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn reset(&self) -> Result<bool, EvalError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(self.failed("removed")(e)),
        }
    }

    fn text(&self, file: &File) -> Result<Vec<u8>, EvalError> {
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(self.failed("read"))?;
        match text.len() as u64 > MAX_BYTES {
            true => Err(EvalError::QualificationFull { path: self.path.clone() }),
            false => Ok(text),
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> EvalError {
        let path = self.path.clone();
        move |source| EvalError::Qualification { path, action, source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::super::{Outcome, conditions, record};
    use super::*;

    fn presentation(n: usize) -> QualificationRecord {
        let mut record = record::tests::of("Ada", Some("print"), Outcome::Refused, &conditions::tests::of("door"));
        record.frames[0].0 = n as f32 / 4.0;
        record
    }

    fn text_of(n: usize) -> Vec<u8> {
        (0..n).flat_map(|n| [serde_json::to_vec(&presentation(n)).unwrap(), b"\n".to_vec()].concat()).collect()
    }

    #[test]
    fn what_is_appended_is_read_back_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/gallery");
        let file = QualificationFile::in_folder(&folder);
        assert_eq!(file.read().unwrap(), Recorded::default());
        assert!(!folder.exists(), "reading makes nothing");
        assert_eq!(file.append(&[presentation(1), presentation(2)]).unwrap(), 2);
        // Another record of the same pictures, and a new one.
        let mut again = presentation(2);
        again.subject = "Eve".into();
        assert_eq!(file.append(&[again, presentation(3), presentation(3)]).unwrap(), 1);
        assert_eq!(file.read().unwrap().records, [1, 2, 3].map(presentation));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(&folder)), (0o600, 0o700));
        assert!(file.reset().unwrap() && !file.reset().unwrap());
        assert!(file.read().unwrap().records.is_empty());
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_cut_off_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let file = QualificationFile::in_folder(dir.path());
        let whole = text_of(3);
        fs::write(file.path(), &whole[..whole.len() - 40]).unwrap();
        let torn = file.read().unwrap();
        assert_eq!((torn.records.len(), torn.damaged.len()), (2, 0));
        file.append(&[presentation(2)]).unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), whole);
        // Only the line's end is missing: the record is whole.
        fs::write(file.path(), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(file.read().unwrap().records.len(), 3);
        file.append(&[presentation(3)]).unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), text_of(4));
    }

    #[test]
    fn a_damaged_line_inside_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = QualificationFile::in_folder(dir.path());
        let text = [text_of(1), b"{\"half\":\n\n".to_vec(), text_of(1)].concat();
        fs::write(file.path(), &text).unwrap();
        let recorded = file.read().unwrap();
        assert_eq!((recorded.records.len(), recorded.damaged), (2, vec![2]));
        file.append(&[presentation(7)]).unwrap();
        assert!(fs::read(file.path()).unwrap().starts_with(&text));
        assert_eq!(file.read().unwrap().damaged, [2]);
    }

    #[test]
    fn a_record_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let file = QualificationFile::in_folder(dir.path());
        File::create(file.path()).unwrap().set_len(MAX_BYTES + 1).unwrap();
        for error in [file.read().unwrap_err(), file.append(&[presentation(1)]).unwrap_err()] {
            assert!(error.to_string().contains("`doorward pad qualify reset`"), "{error}");
        }
        fs::write(file.path(), vec![b'\n'; MAX_BYTES as usize - 10]).unwrap();
        assert!(matches!(file.append(&[presentation(1)]), Err(EvalError::QualificationFull { .. })));
        assert_eq!(fs::metadata(file.path()).unwrap().len(), MAX_BYTES - 10, "as it was");
    }

    proptest! {
        /// Wherever the power fails, the lines before are read, and none is made up.
        #[test]
        fn cut_anywhere_the_whole_lines_are_read(lines in 0usize..5, cut in 0usize..4000) {
            let text = text_of(lines);
            let cut = cut.min(text.len());
            let recorded = Recorded::parse(&text[..cut]);
            let ends = text[..cut].iter().filter(|byte| **byte == b'\n').count();
            // One more where only the line's end is missing.
            prop_assert!(recorded.records.len() == ends || text.get(cut) == Some(&b'\n'));
            prop_assert!(recorded.damaged.is_empty());
            prop_assert_eq!(&recorded.records[..ends], &Recorded::parse(&text).records[..ends]);
        }

        #[test]
        fn any_bytes_are_read(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let recorded = Recorded::parse(&text);
            prop_assert!(recorded.records.is_empty() && recorded.whole <= text.len());
        }
    }
}
