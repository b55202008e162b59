use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    cmd::{Failure, engine::Engine, survey::survey},
    domain::FaceChoice,
    eval::{Person, Photo},
    gallery::source_name,
};

/// People who are not enrolled.
#[derive(Default)]
pub(super) struct Strangers {
    /// Those with at least one picture that gave an embedding.
    pub(super) people: Vec<Person>,
    /// Pictures that gave none, with the reason.
    pub(super) failures: Vec<(String, String)>,
    /// People without any embedding.
    pub(super) lost: usize,
}

impl Strangers {
    /// Looks at the pictures in a folder: a file or a folder a person. Nothing is kept of them.
    pub(super) fn look(folder: &Path, face: FaceChoice, engine: &Engine) -> Result<Self, Failure> {
        let refuse = |e: io::Error| Failure::usage(format!("--nonmated {}: cannot be read: {e}", folder.display()));
        let mut people: Vec<(String, Vec<PathBuf>)> = Vec::new();
        for entry in visible(folder).map_err(refuse)? {
            let name = source_name(&entry);
            match entry.is_dir() {
                false => people.push((name, vec![entry])),
                true => {
                    let pictures = visible(&entry).map_err(refuse)?;
                    people.push((name, pictures.into_iter().filter(|path| path.is_file()).collect()));
                }
            }
        }
        let pictures: Vec<PathBuf> = people.iter().flat_map(|(_, pictures)| pictures.clone()).collect();
        if pictures.is_empty() {
            return Err(Failure::usage(format!("--nonmated {}: holds no pictures", folder.display())));
        }
        let stages = engine.stages(face)?;
        // Paths have the folder in them.
        let records = survey(engine, Path::new(""), None, &pictures, "looking at strangers", &|| stages.look())?;
        let model = engine.model_id()?;
        let mut samples = records.into_iter().map(|record| record.of_model(&model));
        let mut found = Self::default();
        for (name, pictures) in people {
            let mut photos = Vec::new();
            for (path, sample) in pictures.iter().zip(samples.by_ref()) {
                match sample.acquired {
                    Ok(template) => photos.push(Photo { source: source_name(path), embedding: template.embedding }),
                    Err(failure) => found.failures.push((path.display().to_string(), failure.to_string())),
                }
            }
            match photos.is_empty() {
                true => found.lost += 1,
                false => found.people.push(Person { id: name.clone(), name, photos }),
            }
        }
        Ok(found)
    }
}

/// What is in a folder, hidden files left out, in order of name.
fn visible(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    entries.sort();
    Ok(entries)
}
