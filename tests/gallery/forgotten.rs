//! What is removed is gone from every byte.

use super::*;

#[test]
fn a_removed_subject_is_gone_from_every_byte() {
    let (_temp, dir, mut gallery) = two();
    // More versions of some rows, in pages that are free by now.
    gallery.add_templates(&id("ada"), vec![template(&model(1), 7)]).unwrap();
    gallery.add_templates(&id("grace"), vec![template(&model(1), 8)]).unwrap();
    let before = rows(&dir);
    let mut old = File::open(store(&dir)).unwrap();
    let grace = gallery.subject(&id("grace")).unwrap();

    gallery.remove(&id("ada")).unwrap();

    let after = rows(&dir);
    let gone: Vec<&Row> = before.iter().filter(|r| r.0 != "meta" && !after.contains(r)).collect();
    assert_eq!(gone.len(), 3 + 3, "a key, a subject, its references and three templates");
    let bytes = fs::read(store(&dir)).unwrap();
    for (table, key, value) in gone {
        assert!(!contains(&bytes, key), "{table}");
        assert!(!contains(&bytes, value), "{table}");
        // Nor in part: the first bytes are the nonce, then comes ciphertext.
        assert!(!contains(&bytes, &value[..24]), "{table}");
    }
    let mut overwritten = Vec::new();
    old.read_to_end(&mut overwritten).unwrap();
    assert!(!overwritten.is_empty() && overwritten.iter().all(|b| *b == 0), "the old file was not overwritten");
    assert_eq!(gallery.subject(&id("grace")).unwrap(), grace);
    assert!(gallery.verify().unwrap().is_sound());
    assert_eq!(mode(&store(&dir)), 0o600);
    assert!(!dir.join("gallery.redb.side").exists());
}

#[test]
fn a_removal_killed_at_any_step_leaves_one_whole_store() {
    let (_temp, dir, mut gallery) = two();
    let side = dir.join("gallery.redb.side");
    let old = fs::read(store(&dir)).unwrap();
    // Killed while the new store was being written: the old one is whole.
    for half in [0, 1, 4096, old.len() / 2] {
        fs::write(&side, &old[..half]).unwrap();
        assert_eq!(ids(&gallery), ["ada", "grace"]);
    }
    gallery.remove(&id("ada")).unwrap();
    // Killed after the exchange: the new one is whole, and the old one is overwritten by the next writer.
    fs::write(&side, &old).unwrap();
    let mut left_over = File::open(&side).unwrap();
    assert_eq!(ids(&gallery), ["grace"]);
    gallery.enrol(subject("edsger"), vec![template(&model(1), 4)]).unwrap();
    assert!(!side.exists());
    let mut bytes = Vec::new();
    left_over.read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() == old.len() && bytes.iter().all(|b| *b == 0));
    assert_eq!(ids(&gallery), ["edsger", "grace"]);
}
