//! Subjects and templates, as they come in and go out.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{GalleryError, record};
use crate::domain::{Embedding, ModelId, SampleQuality, SubjectId, TemplateId};

/// A subject about to be enrolled.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSubject {
    /// Its id, unused so far.
    pub id: SubjectId,
    /// Display name: 1 to 128 characters, no control characters.
    pub name: String,
    /// Free attributes: up to 32, names of 1 to 64 and values of up to 256 characters.
    pub attributes: BTreeMap<String, String>,
    /// When it is enrolled.
    pub created: Timestamp,
    /// From when on it is not granted any more.
    pub expires: Option<Timestamp>,
}

/// A template about to be stored: what one enrolled photo gave.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTemplate {
    /// The embedding, with the model that made it.
    pub embedding: Embedding,
    /// The sample's quality.
    pub quality: SampleQuality,
    /// The photo's file name, without its folders; see [`source_name`](super::source_name).
    pub source: String,
    /// When it is enrolled.
    pub enrolled: Timestamp,
}

/// A stored template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// The embedding, with the model that made it.
    pub embedding: Embedding,
    /// The sample's quality.
    pub quality: SampleQuality,
    /// The photo's file name.
    pub source: String,
    /// When it was enrolled.
    pub enrolled: Timestamp,
}

/// A stored subject with its templates, in the order of their enrolment.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Its id.
    pub id: SubjectId,
    /// Display name.
    pub name: String,
    /// Free attributes.
    pub attributes: BTreeMap<String, String>,
    /// When it was enrolled.
    pub created: Timestamp,
    /// From when on it is not granted any more.
    pub expires: Option<Timestamp>,
    /// Its templates, at least one.
    pub templates: Vec<Template>,
}

/// A stored subject without its embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectSummary {
    /// Its id.
    pub id: SubjectId,
    /// Display name.
    pub name: String,
    /// Free attributes.
    pub attributes: BTreeMap<String, String>,
    /// When it was enrolled.
    pub created: Timestamp,
    /// From when on it is not granted any more.
    pub expires: Option<Timestamp>,
    /// How many templates there are of each model, in order of their enrolment.
    pub templates: Vec<(ModelId, usize)>,
}

impl NewSubject {
    pub(super) fn check(&self) -> Result<(), GalleryError> {
        record::check_name(&self.name)?;
        record::check_attributes(&self.attributes)
    }

    pub(super) fn with(self, templates: Vec<Template>) -> Subject {
        let Self { id, name, attributes, created, expires } = self;
        Subject { id, name, attributes, created, expires, templates }
    }
}

/// Checks new templates of `subject` and gives each an id.
pub(super) fn with_ids(subject: &SubjectId, templates: Vec<NewTemplate>) -> Result<Vec<Template>, GalleryError> {
    if templates.is_empty() {
        return Err(GalleryError::NoTemplates { id: subject.clone() });
    }
    templates
        .into_iter()
        .map(|NewTemplate { embedding, quality, source, enrolled }| {
            record::check_source(&source)?;
            record::check_quality(&quality)?;
            record::check_model(embedding.model())?;
            record::check_dimension(embedding.values().len())?;
            Ok(Template { id: TemplateId::now(), embedding, quality, source, enrolled })
        })
        .collect()
}
