//! A folder or glob of pictures, replayed in natural order: `2.jpg` before `10.jpg`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    CaptureError,
    picture::read_picture,
    source::{FrameSource, Pacing, Received},
    stop::StopSignal,
};
use crate::domain::Clock;

/// What is taken from a folder; a glob or a path takes whatever it names.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

pub(super) struct ImagesSource {
    paths: std::vec::IntoIter<PathBuf>,
    clock: Arc<dyn Clock>,
    stop: StopSignal,
}

impl ImagesSource {
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>, stop: StopSignal) -> Result<Self, CaptureError> {
        Ok(Self { paths: list(path)?.into_iter(), clock, stop })
    }
}

/// The pictures a folder, a file or a glob names, in natural order.
fn list(path: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let open = |source| CaptureError::Open { place: path.display().to_string(), source };
    let (mut paths, remedy) = if path.is_dir() {
        let mut paths = Vec::new();
        for entry in fs::read_dir(path).map_err(open)? {
            let entry = entry.map_err(open)?.path();
            let extension = entry.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
            if EXTENSIONS.contains(&extension.as_str()) {
                paths.push(entry);
            }
        }
        (paths, "a folder is searched for .jpg, .jpeg and .png, without the folders in it")
    } else if path.exists() {
        (vec![path.to_owned()], "")
    } else {
        let format = |why| CaptureError::Format { place: path.display().to_string(), why };
        let pattern = path.to_str().ok_or_else(|| format("a glob must be UTF-8".into()))?;
        let found = glob::glob(pattern).map_err(|e| format(format!("not a glob: {e}")))?;
        // A folder of the tree that may not be read is no picture either.
        (found.flatten().filter(|p| p.is_file()).collect(), "neither a folder, a file nor a glob that names any")
    };
    if paths.is_empty() {
        return Err(CaptureError::NoPictures { path: path.into(), remedy });
    }
    alphanumeric_sort::sort_path_slice(&mut paths);
    Ok(paths)
}

impl FrameSource for ImagesSource {
    fn pacing(&self) -> Pacing {
        Pacing::OnDemand
    }

    fn receive(&mut self) -> Result<Received, CaptureError> {
        if self.stop.is_stopped() {
            return Ok(Received::End);
        }
        let Some(path) = self.paths.next() else { return Ok(Received::End) };
        let captured = self.clock.now();
        Ok(match read_picture(&path) {
            Ok(image) => Received::Picture { image, captured },
            Err(e) => Received::Corrupt { reason: e.to_string() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let name = |p: &PathBuf| p.file_name().unwrap().to_str().unwrap().to_owned();
        list(path).unwrap().iter().map(name).collect()
    }

    #[test]
    fn natural_order_and_pictures_only() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["10.jpg", "9.JPG", "1.png", "2.jpeg", "notes.txt"] {
            fs::write(folder.path().join(name), []).unwrap();
        }
        fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(names(folder.path()), ["1.png", "2.jpeg", "9.JPG", "10.jpg"]);
        assert_eq!(names(&folder.path().join("*.j*")), ["2.jpeg", "10.jpg"]);
        assert_eq!(names(&folder.path().join("9.JPG")), ["9.JPG"]);
    }

    #[test]
    fn nothing_found_is_an_error_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let said = list(folder.path()).unwrap_err().to_string();
        assert!(said.contains(folder.path().to_str().unwrap()) && said.contains(".jpeg"), "{said}");
        assert!(matches!(list(&folder.path().join("*.jpg")), Err(CaptureError::NoPictures { .. })));
        assert!(list(&folder.path().join("a[")).unwrap_err().to_string().contains("not a glob"));
    }
}
