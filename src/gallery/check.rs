//! Is everything in the store as it should be?

use std::collections::{BTreeMap, BTreeSet};

use super::{
    GalleryError,
    record::hex,
    rows::{Rows, Slot},
    vault::{OpenSubject, Vault, references},
};

/// What [`Gallery::verify`](super::Gallery::verify) found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Subjects stored.
    pub subjects: usize,
    /// Templates stored.
    pub templates: usize,
    /// References stored, one a subject and model.
    pub references: usize,
    /// Counts committed changes.
    pub generation: u64,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

pub(super) fn verify(vault: &Vault<'_>) -> VerifyReport {
    let rows = vault.rows;
    let mut report = VerifyReport {
        subjects: rows.keys.len(),
        templates: rows.templates.len(),
        references: 0,
        generation: rows.generation,
        problems: Vec::new(),
    };
    let mut ids = BTreeMap::new();
    for slot in rows.keys.keys() {
        match check_subject(vault, slot) {
            Ok((subject, count)) => {
                report.references += count;
                if ids.insert(subject.record.id.clone(), *slot).is_some() {
                    report.problems.push(format!("{}: there are two subjects with this id", subject.record.id));
                }
            }
            Err(problem) => report.problems.push(problem),
        }
    }
    report.problems.extend(orphans(rows));
    report
}

/// The subject and the number of its references, or what is wrong with it.
fn check_subject(vault: &Vault<'_>, slot: &Slot) -> Result<(OpenSubject, usize), String> {
    let text = |e: GalleryError| e.to_string();
    let subject = vault.subject(slot).map_err(text)?;
    let id = &subject.record.id;
    let stored = vault.references(&subject).map_err(text)?;
    let computed = references(id, &vault.templates(&subject).map_err(text)?).map_err(text)?;
    if stored.len() != computed.len() {
        return Err(format!("{id}: {} references where {} belong", stored.len(), computed.len()));
    }
    for (stored, computed) in stored.iter().zip(&computed) {
        let (a, b) = (stored.check().map_err(text)?, computed.check().map_err(text)?);
        // A later doorward may sum in another order; beyond rounding, the reference is another one.
        let same = a.model() == b.model()
            && a.values().len() == b.values().len()
            && a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() <= 1e-6);
        if !same || stored.templates != computed.templates {
            return Err(format!("{id}: the reference for {} is not the mean of the templates", b.model()));
        }
    }
    Ok((subject, stored.len()))
}

/// Rows of slots that have no key, and can never be opened.
fn orphans(rows: &Rows) -> Vec<String> {
    let slot_of = |row: &[u8; 20]| -> Slot { *row.first_chunk().expect("a template's row starts with a slot") };
    let slots: BTreeSet<Slot> = rows
        .subjects
        .keys()
        .chain(rows.references.keys())
        .copied()
        .chain(rows.templates.keys().map(slot_of))
        .filter(|slot| !rows.keys.contains_key(slot))
        .collect();
    slots.into_iter().map(|slot| format!("rows of slot {} belong to nobody: its key is missing", hex(&slot))).collect()
}
