use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::EvalError;
use crate::domain::BBox;

/// How many missing pictures an error names.
const NAMED: usize = 3;

/// A list as CSV with a header: columns in any order, others beside them ignored. Paths are relative to a folder that the caller
/// names.
#[derive(Debug, Clone, PartialEq)]
pub struct List<T> {
    /// The file.
    pub path: PathBuf,
    /// Its rows, in their order; at least one.
    pub rows: Vec<T>,
    /// The line each row stands in, from 1.
    lines: Vec<u64>,
}

/// A one-to-one comparison: `image1,image2,same[,fold]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// One picture.
    pub left: PathBuf,
    /// The other.
    pub right: PathBuf,
    /// Whether both show the same person.
    pub mated: bool,
    /// The fold, where the list has any.
    pub fold: Option<String>,
}

/// A picture and whom it shows: `subject,image` (or `identity,image`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Whom it shows; empty where the list leaves it open, as lists of strangers may.
    pub subject: String,
    /// The picture.
    pub image: PathBuf,
}

/// A face in a picture: `image,x,y,w,h`, px from the upper left corner of the upright picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Boxed {
    /// The picture.
    pub image: PathBuf,
    /// Where the face is; `None` (all four columns empty) for a picture without a face.
    pub bbox: Option<BBox>,
}

impl List<Pair> {
    /// Reads a list of pairs. `same` is `1` or `true`, `0` or `false`.
    ///
    /// # Errors
    /// [`EvalError::List`] names file, line and remedy: columns missing, values of another kind, a pair that stands there twice or is of
    /// one picture only, and a list with only one kind of pair, from which no error rate comes.
    pub fn pairs(path: &Path) -> Result<Self, EvalError> {
        let mut table = Table::open(path)?;
        let [left, right, same] = [table.column(&["image1"])?, table.column(&["image2"])?, table.column(&["same"])?];
        let fold = table.optional("fold")?;
        let mut seen = HashMap::new();
        let list = table.rows(|row| {
            let mated = match row.text(same)?.to_ascii_lowercase().as_str() {
                "1" | "true" => true,
                "0" | "false" => false,
                other => return row.refuse(format!("same is {other:?}; 1 (one person) or 0 (two) is expected")),
            };
            let pair = Pair {
                left: row.text(left)?.into(),
                right: row.text(right)?.into(),
                mated,
                fold: fold.map(|column| row.text(column).map(str::to_owned)).transpose()?,
            };
            if pair.left == pair.right {
                return row.refuse(format!("both pictures are {}: nothing is compared", pair.left.display()));
            }
            let mut key = [pair.left.clone(), pair.right.clone()];
            key.sort();
            row.once(&mut seen, key, "the same pair")?;
            Ok(pair)
        })?;
        for (mated, what) in [(true, "mated (same = 1)"), (false, "non-mated (same = 0)")] {
            if list.rows.iter().all(|pair| pair.mated != mated) {
                let reason = format!("has no {what} pair; FMR and FNMR cannot be said from one kind alone");
                return Err(EvalError::List { path: path.to_owned(), line: None, reason });
            }
        }
        Ok(list)
    }
}

impl List<Labelled> {
    /// Reads a list of people's pictures. A subject may be left empty only where `strangers` says so.
    ///
    /// # Errors
    /// [`EvalError::List`] names file, line and remedy: columns or subjects missing, a picture that stands there twice.
    pub fn labelled(path: &Path, strangers: bool) -> Result<Self, EvalError> {
        let mut table = Table::open(path)?;
        let [subject, image] = [table.column(&["subject", "identity"])?, table.column(&["image"])?];
        let mut seen = HashMap::new();
        table.rows(|row| {
            let subject = if strangers { row.any_text(subject) } else { row.text(subject)? };
            let labelled = Labelled { subject: subject.to_owned(), image: row.text(image)?.into() };
            row.once(&mut seen, labelled.image.clone(), "the same picture")?;
            Ok(labelled)
        })
    }

    /// Checks that these are the three lists of one open-set test: `self` those enrolled.
    ///
    /// # Errors
    /// [`EvalError::List`] when a picture is in two lists, a mated probe is of someone who is not enrolled, or a non-mated one of
    /// someone who is.
    pub fn check_open_set(&self, mated: &Self, nonmated: &Self) -> Result<(), EvalError> {
        let enrolled: BTreeSet<&str> = self.rows.iter().map(|row| row.subject.as_str()).collect();
        let lists = [self, mated, nonmated];
        let mut place: HashMap<&Path, usize> = HashMap::new();
        for (at, list) in lists.into_iter().enumerate() {
            for (row, line) in list.rows.iter().zip(&list.lines) {
                let refuse = |reason| Err(EvalError::List { path: list.path.clone(), line: Some(*line), reason });
                if let Some(other) = place.insert(&row.image, at).filter(|other| *other != at) {
                    let (image, other) = (row.image.display(), lists[other].path.display());
                    return refuse(format!("picture {image} is also in list {other}"));
                }
                match (at, enrolled.contains(row.subject.as_str())) {
                    (1, false) => {
                        return refuse(format!(
                            "subject {} of a mated probe is not in the gallery's list",
                            row.subject
                        ));
                    }
                    (2, true) => {
                        return refuse(format!(
                            "subject {} of a non-mated probe is in the gallery's list",
                            row.subject
                        ));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl List<Boxed> {
    /// Reads a list of boxes; a picture has as many rows as faces, or one row without numbers when it has none.
    ///
    /// # Errors
    /// [`EvalError::List`] names file, line and remedy: columns missing, what is no box, a box that stands there twice.
    pub fn boxes(path: &Path) -> Result<Self, EvalError> {
        let mut table = Table::open(path)?;
        let image = table.column(&["image"])?;
        let columns = [table.column(&["x"])?, table.column(&["y"])?, table.column(&["w"])?, table.column(&["h"])?];
        let mut seen = HashMap::new();
        table.rows(|row| {
            let image: PathBuf = row.text(image)?.into();
            let texts = columns.map(|column| row.any_text(column));
            row.once(&mut seen, (image.clone(), texts.map(str::to_owned)), "the same box")?;
            if texts.iter().all(|text| text.is_empty()) {
                return Ok(Boxed { image, bbox: None });
            }
            let numbers = texts.map(|text| text.parse::<f32>().ok().filter(|v| v.is_finite()));
            match numbers {
                [Some(x), Some(y), Some(w), Some(h)] if w > 0.0 && h > 0.0 => {
                    Ok(Boxed { image, bbox: Some(BBox { x, y, w, h }) })
                }
                _ => row.refuse(format!(
                    "{} is no box; x, y, w, h in pixels are expected, w and h above 0",
                    texts.join(",")
                )),
            }
        })
    }
}

/// Checks that every picture is in `root`, and gives each of them once, sorted.
///
/// # Errors
/// [`EvalError::Missing`] counts those that are not there and names the first few.
pub fn pictures<'a>(root: &Path, named: impl IntoIterator<Item = &'a Path>) -> Result<Vec<PathBuf>, EvalError> {
    there(root, named, Path::is_file)
}

/// Checks that all of `named` are in `root`, being there as `is_there` says, and gives each of them once, sorted.
///
/// # Errors
/// As [`pictures`].
pub(super) fn there<'a>(
    root: &Path,
    named: impl IntoIterator<Item = &'a Path>,
    is_there: fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, EvalError> {
    let all: BTreeSet<&Path> = named.into_iter().collect();
    let missing: Vec<String> =
        all.iter().filter(|path| !is_there(&root.join(path))).map(|path| path.display().to_string()).collect();
    if missing.is_empty() {
        return Ok(all.into_iter().map(Path::to_owned).collect());
    }
    let first = match missing.len() > NAMED {
        true => format!("{}, ...", missing[..NAMED].join(", ")),
        false => missing.join(", "),
    };
    Err(EvalError::Missing { root: root.to_owned(), missing: missing.len(), of: all.len(), first })
}

/// A CSV file whose header is read.
pub(super) struct Table<'a> {
    path: &'a Path,
    header: StringRecord,
    reader: Reader<std::fs::File>,
}

impl<'a> Table<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, EvalError> {
        let refuse = |e: &csv::Error| refuse_csv(path, e);
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_path(path).map_err(|e| refuse(&e))?;
        let header = reader.headers().map_err(|e| refuse(&e))?.clone();
        Ok(Self { path, header, reader })
    }

    /// The place of the column with one of these names.
    pub(super) fn column(&self, names: &[&str]) -> Result<usize, EvalError> {
        let found = names.iter().find_map(|name| self.optional(name).transpose()).transpose()?;
        found.ok_or_else(|| {
            let columns: Vec<&str> = self.header.iter().collect();
            self.refuse_header(format!(
                "has no column {}; its first line must name the columns, it is: {}",
                names.join(" or "),
                columns.join(",")
            ))
        })
    }

    pub(super) fn optional(&self, name: &str) -> Result<Option<usize>, EvalError> {
        let mut places = self.header.iter().enumerate().filter(|(_, column)| *column == name).map(|(place, _)| place);
        let first = places.next();
        match places.next() {
            Some(_) => Err(self.refuse_header(format!("has two columns {name}; leave one"))),
            None => Ok(first),
        }
    }

    fn refuse_header(&self, reason: String) -> EvalError {
        EvalError::List { path: self.path.to_owned(), line: Some(1), reason }
    }

    pub(super) fn rows<T>(
        &mut self,
        mut parse: impl FnMut(&Row<'_>) -> Result<T, EvalError>,
    ) -> Result<List<T>, EvalError> {
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for record in self.reader.records() {
            let record = record.map_err(|e| refuse_csv(self.path, &e))?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push(parse(&Row { path: self.path, header: &self.header, record: &record, line })?);
            lines.push(line);
        }
        if rows.is_empty() {
            let reason = "has no rows below its header".to_owned();
            return Err(EvalError::List { path: self.path.to_owned(), line: None, reason });
        }
        Ok(List { path: self.path.to_owned(), rows, lines })
    }
}

pub(super) struct Row<'a> {
    path: &'a Path,
    header: &'a StringRecord,
    record: &'a StringRecord,
    line: u64,
}

impl Row<'_> {
    /// A value, which may be empty.
    pub(super) fn any_text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    /// A value.
    pub(super) fn text(&self, column: usize) -> Result<&str, EvalError> {
        match self.any_text(column) {
            "" => self.refuse(format!("{} is empty", self.header.get(column).unwrap_or_default())),
            text => Ok(text),
        }
    }

    pub(super) fn refuse<T>(&self, reason: String) -> Result<T, EvalError> {
        Err(EvalError::List { path: self.path.to_owned(), line: Some(self.line), reason })
    }

    /// Refuses what stood in an earlier line already.
    pub(super) fn once<K: Eq + std::hash::Hash>(
        &self,
        seen: &mut HashMap<K, u64>,
        key: K,
        what: &str,
    ) -> Result<(), EvalError> {
        match seen.insert(key, self.line) {
            Some(line) => self.refuse(format!("{what} stands in line {line}; each counts once")),
            None => Ok(()),
        }
    }
}

fn refuse_csv(path: &Path, error: &csv::Error) -> EvalError {
    let line = error.position().map(csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::Io(e) => format!("cannot be read: {e}"),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} values where the header names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text; save it as such".to_owned(),
        _ => error.to_string(),
    };
    EvalError::List { path: path.to_owned(), line, reason }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::{TempDir, tempdir};

    use super::*;

    fn file(text: &str) -> (TempDir, PathBuf) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("list.csv");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn pairs(text: &str) -> Result<List<Pair>, String> {
        let (_dir, path) = file(text);
        List::pairs(&path).map_err(|e| e.to_string())
    }

    fn labelled(text: &str, strangers: bool) -> Result<List<Labelled>, String> {
        let (_dir, path) = file(text);
        List::labelled(&path, strangers).map_err(|e| e.to_string())
    }

    fn boxes(text: &str) -> Result<List<Boxed>, String> {
        let (_dir, path) = file(text);
        List::boxes(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn columns_come_in_any_order_with_others_beside_them() {
        let list =
            pairs("\u{feff}note,fold,same,image2,image1\nx, 1 ,1,b.jpg, a.jpg\n,1,FALSE,\"c,d.jpg\",a.jpg\n").unwrap();
        let first = Pair { left: "a.jpg".into(), right: "b.jpg".into(), mated: true, fold: Some("1".into()) };
        assert_eq!((&list.rows[0], list.rows[1].mated), (&first, false));
        assert_eq!(list.rows[1].right, Path::new("c,d.jpg"));
        let identity = labelled("image,identity\na.jpg,Ada\n", false).unwrap();
        assert_eq!(identity.rows, [Labelled { subject: "Ada".into(), image: "a.jpg".into() }]);
    }

    #[test]
    fn what_is_no_pair_is_named_with_its_line() {
        let good = "image1,image2,same\na.jpg,b.jpg,1\na.jpg,c.jpg,0\n";
        assert_eq!(pairs(good).unwrap().rows.len(), 2);
        for (text, expected) in [
            (
                "image1,image2\na,b\n",
                "line 1: has no column same; its first line must name the columns, it is: image1,image2",
            ),
            ("image1,image2,same,same\na,b,1,1\n", "two columns same"),
            (&format!("{good}a.jpg,d.jpg,maybe\n"), "line 4: same is \"maybe\""),
            (&format!("{good}a.jpg,,1\n"), "line 4: image2 is empty"),
            (&format!("{good}d.jpg,d.jpg,1\n"), "line 4: both pictures are d.jpg"),
            (&format!("{good}b.jpg,a.jpg,1\n"), "line 4: the same pair stands in line 2"),
            (&format!("{good}a.jpg,d.jpg\n"), "line 4: 2 values where the header names 3 columns"),
            ("image1,image2,same\na,b,1\n", "no non-mated (same = 0) pair"),
            ("image1,image2,same\na,b,0\n", "no mated (same = 1) pair"),
            ("image1,image2,same\n", "no rows"),
            ("", "no column image1"),
        ] {
            let error = pairs(text).unwrap_err();
            assert!(error.contains(expected) && error.contains("list.csv"), "{text:?}: {error}");
        }
        assert!(List::pairs(Path::new("no/such.csv")).unwrap_err().to_string().contains("no/such.csv"));
        let (_dir, path) = file("");
        fs::write(&path, b"image1,image2,same\n\xff,b,1\n").unwrap();
        assert!(List::pairs(&path).unwrap_err().to_string().contains("line 2: is not UTF-8"));
    }

    #[test]
    fn strangers_may_be_nameless_and_subjects_may_not() {
        assert_eq!(labelled("subject,image\n,a.jpg\n", true).unwrap().rows[0].subject, "");
        assert!(labelled("subject,image\n,a.jpg\n", false).unwrap_err().contains("line 2: subject is empty"));
        assert!(labelled("subject,image\nA,a.jpg\nB,a.jpg\n", false).unwrap_err().contains("line 3: the same picture"));
    }

    #[test]
    fn lists_that_contradict_each_other_are_refused() {
        let check = |gallery: &str, mated: &str, nonmated: &str| {
            let write = |text: &str, strangers| {
                let (dir, path) = file(&format!("subject,image\n{text}\n"));
                (dir, List::labelled(&path, strangers).unwrap())
            };
            let lists = [write(gallery, false), write(mated, false), write(nonmated, true)];
            lists[0].1.check_open_set(&lists[1].1, &lists[2].1).map_err(|e| e.to_string())
        };
        assert_eq!(check("A,1.jpg", "A,2.jpg", ",3.jpg"), Ok(()));
        assert!(check("A,1.jpg", "A,1.jpg", ",3.jpg").unwrap_err().contains("picture 1.jpg is also in list"));
        assert!(check("A,1.jpg", "A,2.jpg", ",1.jpg").unwrap_err().contains("picture 1.jpg is also in list"));
        assert!(check("A,1.jpg", "B,2.jpg", ",3.jpg").unwrap_err().contains("subject B of a mated probe"));
        assert!(check("A,1.jpg", "A,2.jpg", "A,3.jpg").unwrap_err().contains("subject A of a non-mated probe"));
    }

    #[test]
    fn boxes_are_pixels_and_a_picture_may_have_none() {
        let list = boxes("image,x,y,w,h\na.jpg,-1,2.5,30,40\nb.jpg,,,,\n").unwrap();
        assert_eq!(list.rows[0].bbox, Some(BBox { x: -1.0, y: 2.5, w: 30.0, h: 40.0 }));
        assert_eq!(list.rows[1].bbox, None);
        for bad in ["1,2,0,4", "1,2,3,-4", "1,2,3,", "a,2,3,4", "1,2,inf,4", "1,2,NaN,4"] {
            assert!(boxes(&format!("image,x,y,w,h\na.jpg,{bad}\n")).unwrap_err().contains("line 2"), "{bad}");
        }
    }

    #[test]
    fn missing_pictures_are_counted_and_the_first_named() {
        let (dir, _) = file("");
        let names = ["list.csv", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "4.jpg"].map(Path::new);
        let error = pictures(dir.path(), names).unwrap_err().to_string();
        assert!(error.starts_with("4 of 5 pictures") && error.contains("1.jpg, 2.jpg, 3.jpg, ..."), "{error}");
        assert_eq!(pictures(dir.path(), [Path::new("list.csv")]).unwrap(), [Path::new("list.csv")]);
    }
}
