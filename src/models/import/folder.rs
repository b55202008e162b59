//! A folder of one's own models beside those in the binary.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Examination, ImportError};
use crate::models::{Catalogue, ModelCard, ModelStore, ModelsError};

/// How a new folder's catalogue begins.
const HEAD: &str = "\
# Models of one's own, beside those in doorward's binary. `doorward models import` adds to this file; `doorward --models DIR` and
# the configuration's [models] dir = \"DIR\" take it.
format = 1
extends = \"binary\"
";

/// A folder with a catalogue, there already or to be made.
#[derive(Debug)]
pub struct ModelFolder {
    dir: PathBuf,
    /// The catalogue's text; that of a new one when there is none yet.
    text: String,
    catalogue: Catalogue,
}

/// The catalogue's file as it is written.
#[derive(Serialize)]
struct Entries<'a> {
    model: &'a [&'a ModelCard],
}

impl ModelFolder {
    /// The folder `dir` and its catalogue; where there is none, one that begins with the models in the binary.
    ///
    /// Nothing is written yet.
    ///
    /// # Errors
    /// What [`ModelStore::open`] finds, and [`ModelsError::NotEmbedded`] for a new folder when the binary has no models.
    pub fn open_or_new(dir: &Path) -> Result<ModelFolder, ImportError> {
        let path = dir.join("catalogue.toml");
        if !path.try_exists().map_err(|source| ModelsError::Read { path: path.clone(), source })? {
            let catalogue = ModelStore::embedded()?.catalogue().clone().into_inherited();
            return Ok(ModelFolder { dir: dir.to_owned(), text: HEAD.to_owned(), catalogue });
        }
        let text = fs::read_to_string(&path).map_err(|source| ModelsError::Read { path, source })?;
        let catalogue = ModelStore::parse(&text)?;
        Ok(ModelFolder { dir: dir.to_owned(), text, catalogue })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a model called `id` can be added.
    ///
    /// # Errors
    /// [`ImportError::Exists`] unless `replace`, and [`ImportError::BuiltIn`].
    pub fn admits(&self, id: &str, replace: bool) -> Result<(), ImportError> {
        match self.catalogue.get(id) {
            Ok(_) if !self.catalogue.is_own(id) => Err(ImportError::BuiltIn { id: id.to_owned() }),
            Ok(_) if !replace => Err(ImportError::Exists { id: id.to_owned(), folder: self.dir.clone() }),
            _ => Ok(()),
        }
    }

    /// Writes the model's file, its licence's text where there is one, and, when both are in place, the catalogue with its entry.
    /// `remark` stands above the entry. Returns the card as it was written.
    ///
    /// # Errors
    /// As [`admits`](Self::admits); [`ModelsError::Card`] when the entry would not be valid; [`ImportError::Write`]. The catalogue is as
    /// it was then.
    pub fn add(
        &mut self,
        examined: &Examination,
        licence_text: Option<&[u8]>,
        remark: &str,
        replace: bool,
    ) -> Result<ModelCard, ImportError> {
        let mut card = examined.card.clone();
        self.admits(&card.id, replace)?;
        card.licence_file = licence_text.map(|_| format!("LICENSES/{}.txt", card.file.trim_end_matches(".onnx")));
        let replaced = self.catalogue.get(&card.id).ok().cloned();
        let text = self.text_with(&card, remark, replaced.is_some())?;
        let catalogue = ModelStore::parse(&text)?;

        let mut written = Written::default();
        written.file(&self.dir.join(&card.file), &examined.bytes)?;
        if let (Some(file), Some(licence)) = (&card.licence_file, licence_text) {
            written.file(&self.dir.join(file), licence)?;
        }
        // The entry last: until it stands, nobody looks for the files.
        written.file(&self.dir.join("catalogue.toml"), text.as_bytes())?;
        written.keep();
        (self.text, self.catalogue) = (text, catalogue);
        if let Some(old) = replaced {
            self.drop_files(&old);
        }
        Ok(card)
    }

    /// The catalogue's text with `card` in it. What stands there stays as people wrote it, unless an entry is replaced.
    fn text_with(&self, card: &ModelCard, remark: &str, replaces: bool) -> Result<String, ImportError> {
        let written = |cards: &[&ModelCard]| {
            toml::to_string(&Entries { model: cards })
                .map_err(|error| ModelsError::Catalogue { reason: error.to_string() })
        };
        let remark: String = remark.lines().map(|line| format!("# {line}\n")).collect();
        let mut text = self.text.clone();
        if replaces {
            let others: Vec<&ModelCard> =
                self.catalogue.own_models().iter().filter(|other| other.id != card.id).collect();
            text = match self.catalogue.own_models().len() == self.catalogue.models().len() {
                true => "format = 1\n".to_owned(),
                false => HEAD.to_owned(),
            };
            if !others.is_empty() {
                text += &format!("\n{}", written(&others)?);
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text + &format!("\n{remark}{}", written(&[card])?))
    }

    /// Removes the files of an entry that is no more, as far as no other has them.
    fn drop_files(&self, old: &ModelCard) {
        let used = |file: &str| {
            self.catalogue
                .own_models()
                .iter()
                .any(|card| card.file == file || card.licence_file.as_deref() == Some(file))
        };
        for file in [Some(&old.file), old.licence_file.as_ref()].into_iter().flatten().filter(|file| !used(file)) {
            if let Err(error) = fs::remove_file(self.dir.join(file)) {
                log::warn!("{} is needed no more and could not be removed: {error}", self.dir.join(file).display());
            }
        }
    }
}

/// The new files of an import; they go again unless it is brought to its end.
#[derive(Default)]
struct Written {
    new: Vec<PathBuf>,
}

impl Written {
    /// Writes a file under another name, then renames it.
    fn file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
        let refuse = |source| ImportError::Write { path: path.to_owned(), source };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(refuse)?;
        // Readable for the service's user too; the umask may take that away.
        let mut file =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder).map_err(refuse)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(refuse)?;
        let is_new = !path.exists();
        file.persist(path).map_err(|error| refuse(error.error))?;
        if is_new {
            self.new.push(path.to_owned());
        }
        Ok(())
    }

    fn keep(mut self) {
        self.new.clear();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.new {
            if let Err(error) = fs::remove_file(path) {
                log::warn!("{} could not be removed after a failed import: {error}", path.display());
            }
        }
    }
}
