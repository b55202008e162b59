use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Exit, Failure, printer::Printer, progress};

/// A command over several pictures: one result a picture, in their order, with a progress bar. A
/// picture that cannot be read is reported and does not keep the others from their turn.
pub(super) struct Batch<'a> {
    pub(super) images: &'a [PathBuf],
    pub(super) json: bool,
    pub(super) doing: &'static str,
}

/// One object a picture.
#[derive(Serialize)]
struct Record<'a, F> {
    image: String,
    faces: &'a [F],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Batch<'_> {
    /// Runs `faces_of` on every picture and prints what it found, as JSON or as `describe` puts it.
    /// The answer is yes when some face is `positive`.
    pub(super) fn run<F: Serialize>(
        self,
        mut faces_of: impl FnMut(&Path) -> Result<Vec<F>, Failure>,
        positive: impl Fn(&F) -> bool,
        describe: impl Fn(&Path, &[F]) -> String,
    ) -> Result<Exit, Failure> {
        let mut printer = Printer::new(self.json);
        let bar = progress::bar(self.images.len(), self.doing);
        let (mut answer, mut failed) = (Exit::Negative, None);
        for path in self.images {
            let image = path.display().to_string();
            match faces_of(path) {
                Ok(faces) => {
                    if faces.iter().any(&positive) {
                        answer = Exit::Done;
                    }
                    let record = Record { image, faces: &faces, error: None };
                    bar.suspend(|| printer.result(&record, || describe(path, &faces)))?;
                }
                Err(failure) if self.images.len() == 1 => return Err(failure),
                Err(failure) => {
                    failed = failed.max(Some(failure.exit));
                    bar.suspend(|| log::error!("{failure}"));
                    let record = Record::<F> { image, faces: &[], error: Some(failure.to_string()) };
                    bar.suspend(|| printer.result(&record, String::new))?;
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(failed.unwrap_or(answer))
    }
}
