//! The rows of a store and the key that opens them: from sealed values to subjects and back.

use std::path::PathBuf;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    GalleryError, Subject, SubjectSummary, Template,
    key::MasterKey,
    record::{ReferenceRecord, SubjectRecord, TemplateRecord, from_padded, hex, to_padded},
    rows::{Rows, SCHEMA, Slot, template_row},
    seal::{KEY_BYTES, Key, Place, StoreId},
};
use crate::domain::{Embedding, ModelId, SubjectId};

const CHECK: &[u8] = b"doorward gallery";

/// Rows, and a master key that was seen to be theirs.
pub(super) struct Vault<'a> {
    master: &'a Key,
    pub rows: &'a Rows,
}

/// A subject whose key and record were opened.
pub(super) struct OpenSubject {
    pub slot: Slot,
    key: Key,
    pub record: SubjectRecord,
}

/// The rows of a new store.
pub(super) fn empty(master: &MasterKey, path: PathBuf) -> Result<Rows, GalleryError> {
    let mut store = StoreId::default();
    getrandom::fill(&mut store).map_err(GalleryError::Random)?;
    let place = Place { schema: SCHEMA, store: &store, table: Rows::META, row: Rows::CHECK };
    let check = master.key.seal(place, CHECK)?;
    Ok(Rows { path, store, check, ..Rows::default() })
}

impl<'a> Vault<'a> {
    /// Tells a wrong key from a damaged value.
    pub fn unlock(master: &'a MasterKey, rows: &'a Rows) -> Result<Self, GalleryError> {
        let vault = Self { master: &master.key, rows };
        match master.key.open(vault.place(Rows::META, Rows::CHECK), &rows.check) {
            Some(plain) if **plain == *CHECK => Ok(vault),
            _ => Err(GalleryError::WrongKey { key: master.path.clone(), store: rows.path.clone() }),
        }
    }

    fn place<'b>(&'b self, table: &'b str, row: &'b [u8]) -> Place<'b> {
        Place { schema: SCHEMA, store: &self.rows.store, table, row }
    }

    pub fn damaged(&self, table: &str, row: &[u8], detail: &str) -> GalleryError {
        let detail = format!("{table} row {}: {detail}", hex(row));
        GalleryError::Damaged { path: self.rows.path.clone(), detail }
    }

    fn open<T: DeserializeOwned>(
        &self,
        key: &Key,
        table: &str,
        row: &[u8],
        sealed: Option<&Vec<u8>>,
    ) -> Result<T, GalleryError> {
        let sealed = sealed.ok_or_else(|| self.damaged(table, row, "missing"))?;
        let plain =
            key.open(self.place(table, row), sealed).ok_or_else(|| self.damaged(table, row, "its seal is broken"))?;
        from_padded(&plain).map_err(|e| self.damaged(table, row, &e))
    }

    fn seal<T: Serialize>(&self, key: &Key, table: &str, row: &[u8], record: &T) -> Result<Vec<u8>, GalleryError> {
        key.seal(self.place(table, row), &to_padded(record))
    }

    /// Everybody, in order of slot, that is in no order.
    pub fn subjects(&self) -> impl Iterator<Item = Result<OpenSubject, GalleryError>> {
        self.rows.keys.keys().map(|slot| self.subject(slot))
    }

    /// Who has `id`.
    pub fn find(&self, id: &SubjectId) -> Result<OpenSubject, GalleryError> {
        for subject in self.subjects() {
            let subject = subject?;
            if subject.record.id == *id {
                return Ok(subject);
            }
        }
        Err(GalleryError::UnknownSubject { id: id.clone() })
    }

    pub fn subject(&self, slot: &Slot) -> Result<OpenSubject, GalleryError> {
        let wrapped = self.rows.keys.get(slot).ok_or_else(|| self.damaged(Rows::KEYS, slot, "missing"))?;
        let bytes = self.master.open(self.place(Rows::KEYS, slot), wrapped);
        let bytes = bytes.as_deref().and_then(|b| <[u8; KEY_BYTES]>::try_from(b.as_slice()).ok());
        let bytes = bytes.ok_or_else(|| self.damaged(Rows::KEYS, slot, "its seal is broken"))?;
        let key = Key::from_bytes(bytes.into());
        let record: SubjectRecord = self.open(&key, Rows::SUBJECTS, slot, self.rows.subjects.get(slot))?;
        record.check().map_err(|e| self.damaged(Rows::SUBJECTS, slot, &e.to_string()))?;
        Ok(OpenSubject { slot: *slot, key, record })
    }

    pub fn references(&self, subject: &OpenSubject) -> Result<Vec<ReferenceRecord>, GalleryError> {
        let slot = &subject.slot;
        self.open(&subject.key, Rows::REFERENCES, slot, self.rows.references.get(slot))
    }

    /// The subject's reference for `model`, if it has one.
    pub fn reference(&self, subject: &OpenSubject, model: &ModelId) -> Result<Option<Embedding>, GalleryError> {
        let references = self.references(subject)?;
        let reference = references.iter().find(|r| r.is_of(model)).map(ReferenceRecord::check);
        reference.transpose().map_err(|e| self.damaged(Rows::REFERENCES, &subject.slot, &e.to_string()))
    }

    pub fn templates(&self, subject: &OpenSubject) -> Result<Vec<Template>, GalleryError> {
        let mut templates = Vec::new();
        for (ordinal, (row, sealed)) in (0u32..).zip(self.rows.templates_of(&subject.slot)) {
            if *row != template_row(&subject.slot, ordinal) {
                return Err(self.damaged(Rows::TEMPLATES, &template_row(&subject.slot, ordinal), "missing"));
            }
            let record: TemplateRecord = self.open(&subject.key, Rows::TEMPLATES, row, Some(sealed))?;
            templates.push(record.check().map_err(|e| self.damaged(Rows::TEMPLATES, row, &e.to_string()))?);
        }
        if templates.is_empty() {
            return Err(self.damaged(Rows::TEMPLATES, &template_row(&subject.slot, 0), "missing"));
        }
        Ok(templates)
    }

    pub fn full(&self, subject: &OpenSubject) -> Result<Subject, GalleryError> {
        let SubjectRecord { id, name, attributes, created, expires } = subject.record.clone();
        Ok(Subject { id, name, attributes, created, expires, templates: self.templates(subject)? })
    }

    pub fn summary(&self, subject: &OpenSubject) -> Result<SubjectSummary, GalleryError> {
        let damaged = |e: GalleryError| self.damaged(Rows::REFERENCES, &subject.slot, &e.to_string());
        let templates =
            self.references(subject)?.iter().map(|r| Ok((r.model()?, r.templates))).collect::<Result<_, _>>();
        let SubjectRecord { id, name, attributes, created, expires } = subject.record.clone();
        Ok(SubjectSummary { id, name, attributes, created, expires, templates: templates.map_err(damaged)? })
    }

    /// The rows of new subjects, each with its own new key.
    pub fn seal_new(&self, subjects: &[Subject]) -> Result<Rows, GalleryError> {
        let mut rows = Rows::default();
        let mut dimensions = Vec::new();
        for subject in subjects {
            self.check_dimensions(&subject.id, &subject.templates, &mut dimensions)?;
            let mut slot = Slot::default();
            getrandom::fill(&mut slot).map_err(GalleryError::Random)?;
            let key = Key::random()?;
            let record = SubjectRecord {
                id: subject.id.clone(),
                name: subject.name.clone(),
                attributes: subject.attributes.clone(),
                created: subject.created,
                expires: subject.expires,
            };
            let references = references(&subject.id, &subject.templates)?;
            rows.keys.insert(slot, self.master.seal(self.place(Rows::KEYS, &slot), key.bytes())?);
            rows.subjects.insert(slot, self.seal(&key, Rows::SUBJECTS, &slot, &record)?);
            rows.references.insert(slot, self.seal(&key, Rows::REFERENCES, &slot, &references)?);
            for (ordinal, template) in (0..).zip(&subject.templates) {
                let row = template_row(&slot, ordinal);
                rows.templates.insert(row, self.seal(&key, Rows::TEMPLATES, &row, &TemplateRecord::new(template))?);
            }
        }
        Ok(rows)
    }

    /// The rows that more templates of a subject make: theirs, and its references anew.
    pub fn seal_more(&self, subject: &OpenSubject, new: Vec<Template>) -> Result<Rows, GalleryError> {
        self.check_dimensions(&subject.record.id, &new, &mut Vec::new())?;
        let mut templates = self.templates(subject)?;
        let known = templates.len();
        templates.extend(new);

        let mut rows = Rows::default();
        let references = references(&subject.record.id, &templates)?;
        let sealed = self.seal(&subject.key, Rows::REFERENCES, &subject.slot, &references)?;
        rows.references.insert(subject.slot, sealed);
        for (ordinal, template) in (0..).zip(&templates).skip(known) {
            let row = template_row(&subject.slot, ordinal);
            let sealed = self.seal(&subject.key, Rows::TEMPLATES, &row, &TemplateRecord::new(template))?;
            rows.templates.insert(row, sealed);
        }
        Ok(rows)
    }

    /// Every embedding of a model has the same number of components; `known` remembers them.
    fn check_dimensions(
        &self,
        id: &SubjectId,
        templates: &[Template],
        known: &mut Vec<(ModelId, usize)>,
    ) -> Result<(), GalleryError> {
        for template in templates {
            let model = template.embedding.model();
            let found = template.embedding.values().len();
            let expected = match known.iter().find(|(m, _)| m == model) {
                Some((_, n)) => *n,
                None => {
                    let n = self.dimension(model)?.unwrap_or(found);
                    known.push((model.clone(), n));
                    n
                }
            };
            if found != expected {
                return Err(GalleryError::Dimension { id: id.clone(), model: model.clone(), found, expected });
            }
        }
        Ok(())
    }

    /// The number of components of `model`'s embeddings, by the first subject that has one.
    fn dimension(&self, model: &ModelId) -> Result<Option<usize>, GalleryError> {
        for subject in self.subjects() {
            if let Some(reference) = self.reference(&subject?, model)? {
                return Ok(Some(reference.values().len()));
            }
        }
        Ok(None)
    }
}

/// One reference a model, in order of the first template of each.
pub(super) fn references(id: &SubjectId, templates: &[Template]) -> Result<Vec<ReferenceRecord>, GalleryError> {
    let mut models: Vec<&ModelId> = Vec::new();
    for template in templates {
        let model = template.embedding.model();
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let reference = |model: &ModelId| {
        let of_model: Vec<_> = templates.iter().map(|t| &t.embedding).filter(|e| e.model() == model).collect();
        let mean = Embedding::mean(&of_model).map_err(|source| GalleryError::Reference { id: id.clone(), source })?;
        // `None` stands for embeddings of different lengths here.
        let mean = mean.ok_or_else(|| {
            let lengths = || of_model.iter().map(|e| e.values().len());
            let (expected, found) = (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0));
            GalleryError::Dimension { id: id.clone(), model: model.clone(), found, expected }
        })?;
        Ok(ReferenceRecord::new(of_model.len(), &mean))
    };
    models.into_iter().map(reference).collect()
}
