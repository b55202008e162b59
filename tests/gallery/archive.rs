//! Exports come back; bad ones change nothing.

use super::*;

#[test]
fn exports_come_back_the_same_in_all_three_forms() {
    let (_temp, _dir, mut gallery) = two();
    gallery.add_templates(&id("grace"), vec![template(&model(2), 9)]).unwrap();
    let all = |g: &Gallery| -> Vec<Subject> { g.list().unwrap().iter().map(|s| g.subject(&s.id).unwrap()).collect() };
    let identity = age::x25519::Identity::generate();
    let passphrase = || SecretString::from("correct horse battery staple".to_owned());
    let text = {
        use age::secrecy::ExposeSecret;
        format!("# public key: {}\n{}\n", identity.to_public(), identity.to_string().expose_secret())
    };
    for (form, secret, sealed) in [
        (ExportForm::Plain, None, false),
        (ExportForm::AgePassphrase(passphrase()), Some(ImportSecret::Passphrase(passphrase())), true),
        (
            ExportForm::AgeRecipient(identity.to_public().to_string()),
            Some(ImportSecret::Identity(text.clone().into())),
            true,
        ),
    ] {
        let mut bytes = Vec::new();
        assert_eq!(gallery.export(&mut bytes, &form).unwrap(), 2);
        assert_eq!(!contains(&bytes, b"Display ada"), sealed);
        let (_temp2, _, mut other) = empty();
        let report = other.import(&bytes[..], secret.as_ref()).unwrap();
        assert_eq!(report, ImportReport { added: 2, identical: 0 });
        assert_eq!(all(&other), all(&gallery));
        assert!(other.verify().unwrap().is_sound());
        if sealed {
            let e = other.import(&bytes[..], None).unwrap_err();
            assert!(matches!(e, GalleryError::Locked { .. }), "{e}");
        }
    }
    let e = gallery.export(Vec::new(), &ExportForm::AgeRecipient("age1nonsense".into())).unwrap_err();
    assert!(matches!(e, GalleryError::Recipient(_)), "{e}");
}

#[test]
fn an_import_overwrites_nobody_and_is_one_change() {
    let (_temp, dir, mut gallery) = two();
    let mut export = Vec::new();
    gallery.export(&mut export, &ExportForm::Plain).unwrap();
    let before = (fs::read(store(&dir)).unwrap(), stamp(&dir).unwrap());
    assert_eq!(gallery.import(&export[..], None).unwrap(), ImportReport { added: 0, identical: 2 });
    assert_eq!((fs::read(store(&dir)).unwrap(), stamp(&dir).unwrap()), before, "nothing new, nothing written");

    // Grace differs: Ada, whom this gallery has not, must not be taken either.
    let (_temp2, dir2, mut other) = empty();
    other.enrol(subject("grace"), vec![template(&model(1), 44)]).unwrap();
    let before = fs::read(store(&dir2)).unwrap();
    let e = other.import(&export[..], None).unwrap_err();
    assert!(matches!(&e, GalleryError::Differs { id: who } if *who == id("grace")), "{e}");
    assert_eq!(fs::read(store(&dir2)).unwrap(), before);
}

#[test]
fn a_malformed_export_changes_nothing() {
    let (_temp, _dir, gallery) = two();
    let mut export = Vec::new();
    gallery.export(&mut export, &ExportForm::Plain).unwrap();
    let text = String::from_utf8(export).unwrap();
    let (_temp2, dir2, mut other) = empty();
    let before = fs::read(store(&dir2)).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let sha256 = "01".repeat(32);
    let value = text.split("\"embedding\":\"").nth(1).unwrap().split('"').next().unwrap();
    let bad = [
        String::new(),
        "a text".into(),
        text[..text.len() / 2].to_owned(),
        replaced("\"id\":\"ada\"", "\"id\":\"grace\""),
        replaced("\"id\":\"ada\"", "\"id\":\"../ada\""),
        replaced("Display ada", "Display\\nada"),
        replaced("\"source\":", "\"path\":"),
        replaced("photo-1.jpg", "/home/ada/photo-1.jpg"),
        replaced("148.3", "1e999"),
        replaced(&sha256, &sha256[2..]),
        replaced(value, ""),
        replaced(value, "AADAfw=="),
        replaced(value, &value[4..]),
        replaced("\"version\":1", "\"version\":1,\"extra\":0"),
    ];
    for bad in &bad {
        let e = other.import(bad.as_bytes(), None).unwrap_err();
        assert!(matches!(e, GalleryError::Malformed(_)), "{e}");
    }
    let e = other.import(replaced("\"version\":1", "\"version\":7").as_bytes(), None).unwrap_err();
    assert!(matches!(e, GalleryError::NewerExport { found: 7, supported: 1 }), "{e}");
    assert_eq!(fs::read(store(&dir2)).unwrap(), before);
}
