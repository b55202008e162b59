//! What is refused, with what words, and that it is left alone.

use super::*;

#[test]
fn no_gallery_is_said_and_not_made() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("none");
    let e = Gallery::open(&dir, None).unwrap_err();
    assert!(matches!(e, GalleryError::NotFound { .. }), "{e}");
    assert!(!dir.exists());
}

#[test]
fn a_store_without_its_key_gets_no_new_one() {
    let (_temp, dir, _gallery) = two();
    let key = dir.join("gallery.key");
    let backup = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for opened in [Gallery::open(&dir, None), Gallery::open_or_create(&dir, None)] {
        let e = opened.unwrap_err();
        assert!(matches!(e, GalleryError::KeyMissing { .. }), "{e}");
        assert!(e.to_string().contains("gallery.key (mode 0600)"), "{e}");
    }
    assert!(!key.exists());
    fs::write(&key, backup).unwrap();
    set_mode(&key, 0o600);
    assert_eq!(ids(&Gallery::open(&dir, None).unwrap()), ["ada", "grace"]);
}

#[test]
fn a_wrong_key_is_told_from_damage() {
    let (_temp, dir, _gallery) = two();
    let before = fs::read(store(&dir)).unwrap();
    let key = dir.join("gallery.key");
    let other = format!("{}\n", "5a".repeat(32));
    fs::write(&key, &other).unwrap();
    let e = Gallery::open_or_create(&dir, None).unwrap_err();
    assert!(matches!(e, GalleryError::WrongKey { .. }), "{e}");
    for bad in ["", "5a", "not a key\n", &other.repeat(2)] {
        fs::write(&key, bad).unwrap();
        let e = Gallery::open(&dir, None).unwrap_err();
        assert!(matches!(e, GalleryError::KeyInvalid { .. }), "{bad:?}: {e}");
    }
    assert_eq!(fs::read(store(&dir)).unwrap(), before);
}

#[test]
fn a_credential_goes_before_the_file() {
    let (_temp, dir, _gallery) = two();
    let credentials = tempfile::tempdir().unwrap();
    let handed_over = credentials.path().join("gallery.key");
    // No credential there: the file is used.
    assert_eq!(ids(&Gallery::open(&dir, Some(credentials.path())).unwrap()).len(), 2);
    fs::rename(dir.join("gallery.key"), &handed_over).unwrap();
    // An access list for the service's user shows as group permission.
    set_mode(&handed_over, 0o440);
    assert_eq!(ids(&Gallery::open(&dir, Some(credentials.path())).unwrap()).len(), 2);
    set_mode(&handed_over, 0o444);
    assert!(matches!(Gallery::open(&dir, Some(credentials.path())), Err(GalleryError::Exposed { .. })));
    // A new gallery with a credential needs no key file.
    set_mode(&handed_over, 0o400);
    let new = credentials.path().join("new");
    Gallery::open_or_create(&new, Some(credentials.path())).unwrap();
    assert!(!new.join("gallery.key").exists());
}

#[test]
fn what_others_can_reach_is_refused_with_the_command_that_helps() {
    let (_temp, dir, _gallery) = two();
    let key = dir.join("gallery.key");
    for open in [0o640, 0o604, 0o660] {
        set_mode(&key, open);
        let e = Gallery::open(&dir, None).unwrap_err();
        assert!(e.to_string().contains(&format!("chmod 600 '{}'", key.display())), "{e}");
    }
    set_mode(&key, 0o600);
    set_mode(&dir, 0o777);
    let e = Gallery::open(&dir, None).unwrap_err();
    assert!(e.to_string().contains("chmod 700"), "{e}");
}

#[test]
fn a_newer_schema_is_refused_by_both_numbers_and_left_alone() {
    let (_temp, dir, mut gallery) = two();
    tamper(&dir, "meta", |t| {
        t.insert(b"schema".as_slice(), 2u32.to_le_bytes().as_slice()).unwrap();
    });
    let before = fs::read(store(&dir)).unwrap();
    let refused = [
        Gallery::open(&dir, None).unwrap_err(),
        Gallery::open_or_create(&dir, None).unwrap_err(),
        gallery.enrol(subject("new"), vec![template(&model(1), 5)]).unwrap_err(),
        gallery.remove(&id("ada")).unwrap_err(),
    ];
    for e in refused {
        assert!(matches!(e, GalleryError::NewerSchema { found: 2, supported: 1, .. }), "{e}");
    }
    assert_eq!(fs::read(store(&dir)).unwrap(), before);
}

#[test]
fn a_truncated_store_is_refused_and_left_alone() {
    let (_temp, dir, mut gallery) = two();
    let whole = fs::read(store(&dir)).unwrap();
    let cuts = (0..16).map(|n| whole.len() * n / 16).chain([1, 100, 4096, 8192, whole.len() - 1]);
    for cut in cuts {
        fs::write(store(&dir), &whole[..cut]).unwrap();
        for e in [
            Gallery::open(&dir, None).unwrap_err(),
            Gallery::open_or_create(&dir, None).unwrap_err(),
            gallery.enrol(subject("new"), vec![template(&model(1), 5)]).unwrap_err(),
            gallery.remove(&id("ada")).unwrap_err(),
        ] {
            assert!(matches!(e, GalleryError::Damaged { .. }), "cut at {cut}: {e}");
        }
        assert_eq!(fs::read(store(&dir)).unwrap(), whole[..cut], "cut at {cut}");
    }
    fs::write(store(&dir), b"this is a text, not a gallery\n".repeat(400)).unwrap();
    assert!(matches!(Gallery::open(&dir, None), Err(GalleryError::Damaged { .. })));
}

#[test]
fn a_flipped_bit_is_refused_or_was_in_free_space() {
    let (_temp, dir, gallery) = two();
    let whole = fs::read(store(&dir)).unwrap();
    let expected = gallery.list().unwrap();
    let mut refused = 0;
    // Steps that are odd, so that every part of a page is met.
    for at in (0..512).step_by(3).chain((512..whole.len()).step_by((whole.len() / 400) | 1)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(store(&dir), &bytes).unwrap();
        match gallery.list() {
            Ok(list) => assert_eq!(list, expected, "byte {at}"),
            Err(GalleryError::Damaged { .. } | GalleryError::WrongKey { .. }) => refused += 1,
            Err(e) => panic!("byte {at}: {e}"),
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_half_made_gallery_is_finished() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("gallery");
    // Killed after the key was made, in the middle of the store.
    Gallery::open_or_create(&dir, None).unwrap();
    let key = fs::read(dir.join("gallery.key")).unwrap();
    fs::rename(store(&dir), dir.join("gallery.redb.side")).unwrap();
    fs::write(dir.join("gallery.key.new"), "5a").unwrap();
    let mut gallery = Gallery::open_or_create(&dir, None).unwrap();
    gallery.enrol(subject("ada"), vec![template(&model(1), 1)]).unwrap();
    assert_eq!(fs::read(dir.join("gallery.key")).unwrap(), key);
    // Killed while the key was being made.
    fs::remove_file(store(&dir)).unwrap();
    fs::remove_file(dir.join("gallery.key")).unwrap();
    Gallery::open_or_create(&dir, None).unwrap();
    assert_ne!(fs::read(dir.join("gallery.key")).unwrap(), key);
    assert!(!dir.join("gallery.key.new").exists());
}
