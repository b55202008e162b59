//! Exports: the records of a gallery in one JSON document, encrypted with age unless plain was asked for.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
};

use age::{DecryptError, Decryptor, Encryptor, Recipient, secrecy::ExposeSecret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    GalleryError, SecretString, Subject,
    record::{SubjectRecord, TemplateRecord},
};
use crate::domain::SubjectId;

const FORMAT: &str = "doorward-gallery";
const VERSION: u32 = 1;
const AGE_MAGIC: &[u8] = b"age-encryption.org/";

/// How an export is written.
#[derive(Debug, Clone)]
pub enum ExportForm {
    /// Encrypted with age by a passphrase.
    AgePassphrase(SecretString),
    /// Encrypted with age for the holder of a secret key; this is its public key, `age1...`.
    AgeRecipient(String),
    /// Not encrypted: whoever has the file has everybody's templates.
    Plain,
}

/// What opens an encrypted export.
#[derive(Debug, Clone)]
pub enum ImportSecret {
    /// Its passphrase.
    Passphrase(SecretString),
    /// The text of an age identity file, with an `AGE-SECRET-KEY-1...` line.
    Identity(SecretString),
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportReport {
    /// Subjects added.
    pub added: usize,
    /// Subjects that were there already, the same in every field.
    pub identical: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    subjects: Vec<Entry>,
}

/// Read first, so that a newer version is told from a malformed document.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: SubjectId,
    name: String,
    attributes: std::collections::BTreeMap<String, String>,
    created: jiff::Timestamp,
    expires: Option<jiff::Timestamp>,
    templates: Vec<TemplateRecord>,
}

pub(super) fn write(mut writer: impl Write, form: &ExportForm, subjects: &[Subject]) -> Result<(), GalleryError> {
    let text = to_json(subjects);
    match form {
        ExportForm::Plain => writer.write_all(&text).and_then(|()| writer.flush()).map_err(at("written")),
        ExportForm::AgePassphrase(passphrase) => {
            encrypt(writer, &age::scrypt::Recipient::new(passphrase.clone()), &text)
        }
        ExportForm::AgeRecipient(recipient) => {
            let recipient: age::x25519::Recipient =
                recipient.trim().parse().map_err(|_| GalleryError::Recipient(recipient.clone()))?;
            encrypt(writer, &recipient, &text)
        }
    }
}

pub(super) fn read(mut reader: impl Read, secret: Option<&ImportSecret>) -> Result<Vec<Subject>, GalleryError> {
    let mut bytes = Zeroizing::new(Vec::new());
    reader.read_to_end(&mut bytes).map_err(at("read"))?;
    if bytes.starts_with(AGE_MAGIC) { parse(&decrypt(&bytes, secret)?) } else { parse(&bytes) }
}

fn at(action: &'static str) -> impl FnOnce(std::io::Error) -> GalleryError {
    move |source| GalleryError::Archive { action, source }
}

fn to_json(subjects: &[Subject]) -> Zeroizing<Vec<u8>> {
    let entry = |s: &Subject| Entry {
        id: s.id.clone(),
        name: s.name.clone(),
        attributes: s.attributes.clone(),
        created: s.created,
        expires: s.expires,
        templates: s.templates.iter().map(TemplateRecord::new).collect(),
    };
    let document = Document { format: FORMAT.into(), version: VERSION, subjects: subjects.iter().map(entry).collect() };
    let mut text = Zeroizing::new(serde_json::to_vec(&document).expect("records have string keys and finite numbers"));
    text.push(b'\n');
    text
}

fn parse(text: &[u8]) -> Result<Vec<Subject>, GalleryError> {
    // A message of serde_json about a value would quote it; the place is enough.
    let malformed = |e: serde_json::Error| match e.classify() {
        serde_json::error::Category::Eof => GalleryError::Malformed("it ends too early".into()),
        _ => GalleryError::Malformed(format!("line {}, column {} is not as it should be", e.line(), e.column())),
    };
    let head: Head = serde_json::from_slice(text).map_err(malformed)?;
    if head.format != FORMAT {
        return Err(GalleryError::Malformed(format!("it is not a {FORMAT}")));
    }
    if head.version > VERSION {
        return Err(GalleryError::NewerExport { found: head.version, supported: VERSION });
    }
    let document: Document = serde_json::from_slice(text).map_err(malformed)?;
    let mut ids = BTreeSet::new();
    let mut subjects = Vec::with_capacity(document.subjects.len());
    for Entry { id, name, attributes, created, expires, templates } in document.subjects {
        let of = |e: GalleryError| GalleryError::Malformed(format!("{id}: {e}"));
        let record = SubjectRecord { id: id.clone(), name, attributes, created, expires };
        record.check().map_err(of)?;
        let templates = templates.into_iter().map(TemplateRecord::check).collect::<Result<Vec<_>, _>>().map_err(of)?;
        if templates.is_empty() {
            return Err(of(GalleryError::NoTemplates { id: id.clone() }));
        }
        if templates.iter().map(|t| t.id).collect::<BTreeSet<_>>().len() != templates.len() {
            return Err(GalleryError::Malformed(format!("{id}: a template occurs twice")));
        }
        if !ids.insert(id.clone()) {
            return Err(GalleryError::Malformed(format!("{id} occurs twice")));
        }
        let SubjectRecord { name, attributes, .. } = record;
        subjects.push(Subject { id, name, attributes, created, expires, templates });
    }
    Ok(subjects)
}

fn encrypt(writer: impl Write, recipient: &dyn Recipient, text: &[u8]) -> Result<(), GalleryError> {
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient))
        .map_err(|e| at("encrypted")(std::io::Error::other(e)))?;
    let seal = || {
        let mut encrypted = encryptor.wrap_output(writer)?;
        encrypted.write_all(text)?;
        encrypted.finish()?.flush()
    };
    seal().map_err(at("written"))
}

fn decrypt(bytes: &[u8], secret: Option<&ImportSecret>) -> Result<Zeroizing<Vec<u8>>, GalleryError> {
    let damaged = |e: &dyn std::fmt::Display| GalleryError::Malformed(format!("its age encryption is damaged: {e}"));
    let decryptor = Decryptor::new_buffered(bytes).map_err(|e| damaged(&e))?;
    let by_passphrase = decryptor.is_scrypt();
    let with = if by_passphrase { "by a passphrase" } else { "for an age identity" };
    let locked = |problem| GalleryError::Locked { with, problem };
    let identity: Box<dyn age::Identity> = match secret {
        Some(ImportSecret::Passphrase(p)) if by_passphrase => Box::new(age::scrypt::Identity::new(p.clone())),
        Some(ImportSecret::Identity(text)) if !by_passphrase => {
            let line = text.expose_secret().lines().map(str::trim).find(|l| l.starts_with("AGE-SECRET-KEY-1"));
            let identity = line.and_then(|l| l.parse::<age::x25519::Identity>().ok());
            Box::new(identity.ok_or_else(|| locked("the identity given is none (AGE-SECRET-KEY-1...)"))?)
        }
        Some(_) => return Err(locked("the other kind of secret was given")),
        None => return Err(locked("it has to be given")),
    };
    let mut plain = decryptor.decrypt(std::iter::once(&*identity)).map_err(|e| match e {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys => {
            locked(if by_passphrase { "this is not the passphrase" } else { "this is not the identity" })
        }
        e => damaged(&e),
    })?;
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len()));
    plain.read_to_end(&mut text).map_err(|e| damaged(&e))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn noise_is_refused_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&noise).is_err());
            let mut age = AGE_MAGIC.to_vec();
            age.extend_from_slice(&noise);
            prop_assert!(read(&age[..], None).is_err());
        }
    }

    #[test]
    fn a_passphrase_opens_what_it_closed_and_another_does_not() {
        // The lightest work: what is tested is the way, not scrypt's price.
        let mut recipient = age::scrypt::Recipient::new("correct horse".to_owned().into());
        recipient.set_work_factor(2);
        let mut sealed = Vec::new();
        encrypt(&mut sealed, &recipient, b"text").unwrap();
        let secret = |s: &str| ImportSecret::Passphrase(s.to_owned().into());
        assert_eq!(**decrypt(&sealed, Some(&secret("correct horse"))).unwrap(), *b"text");
        let wrong = decrypt(&sealed, Some(&secret("battery staple"))).unwrap_err();
        assert!(wrong.to_string().contains("not the passphrase"), "{wrong}");
        let none = decrypt(&sealed, None).unwrap_err();
        assert!(none.to_string().contains("by a passphrase: it has to be given"), "{none}");
        let other = decrypt(&sealed, Some(&ImportSecret::Identity("AGE-SECRET-KEY-1".to_owned().into()))).unwrap_err();
        assert!(matches!(other, GalleryError::Locked { .. }), "{other}");
        for end in [sealed.len() - 1, sealed.len() / 2, 30] {
            let cut = decrypt(&sealed[..end], Some(&secret("correct horse"))).unwrap_err();
            assert!(matches!(cut, GalleryError::Malformed(_)), "{cut}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_quoting_it() {
        let said = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert!(said("").contains("ends too early"));
        assert!(said(r#"{"format":"other","version":1}"#).contains("not a doorward-gallery"));
        assert!(said(r#"{"format":"doorward-gallery","version":2,"people":[]}"#).contains("version 2"));
        let field = said(r#"{"format":"doorward-gallery","version":1,"subjects":[],"Ada":1}"#);
        assert!(field.contains("line 1") && !field.contains("Ada"), "{field}");
    }
}
