//! What can be seen without the key, and what sealing detects.

use super::*;

#[test]
fn only_the_owner_may_look() {
    let (_temp, dir, _gallery) = two();
    assert_eq!((mode(&dir), mode(&store(&dir)), mode(&dir.join("gallery.key"))), (0o700, 0o600, 0o600));
    let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["gallery.key", "gallery.redb"]);
}

#[test]
fn the_file_shows_counts_and_nothing_else() {
    let (_temp, dir, mut gallery) = empty();
    let long = NewSubject { name: "Adelaide Lovelace the Longer".into(), ..subject("adelaide") };
    gallery.enrol(subject("ada"), vec![template(&model(1), 1)]).unwrap();
    gallery.enrol(long, vec![template(&model(1), 1)]).unwrap();
    let bytes = fs::read(store(&dir)).unwrap();
    for secret in ["ada", "Display", "Lovelace", "floor", "photo-1", "test-model", "created", "2023-11"] {
        assert!(!contains(&bytes, secret.as_bytes()), "{secret}");
    }
    let values = embedding(&model(1), 1, 192);
    let raw: Vec<u8> = values.values()[..4].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert!(!contains(&bytes, &raw));
    // The length of a value does not tell the length of a name.
    let lengths: Vec<usize> = rows(&dir).iter().filter(|r| r.0 == "subjects").map(|r| r.2.len()).collect();
    assert_eq!(lengths, [256 + 28; 2]);
    assert!(!format!("{gallery:?} {:?}", gallery.snapshot(&model(1)).unwrap()).contains("0."));
}

#[test]
fn values_open_only_where_they_were_sealed() {
    for table in ["keys", "subjects", "references", "templates"] {
        let (_temp, dir, gallery) = two();
        let values: Vec<Row> = rows(&dir).into_iter().filter(|r| r.0 == table).collect();
        let (first, last) = (&values[0], &values[values.len() - 1]);
        tamper(&dir, table, |t| {
            t.insert(first.1.as_slice(), last.2.as_slice()).unwrap();
            t.insert(last.1.as_slice(), first.2.as_slice()).unwrap();
        });
        let report = gallery.verify().unwrap();
        assert!(report.problems.iter().any(|p| p.contains("seal is broken")), "{table}: {:?}", report.problems);
        if table != "templates" {
            let e = gallery.snapshot(&model(1)).unwrap_err();
            assert!(matches!(e, GalleryError::Damaged { .. }), "{table}: {e}");
        }
    }
}

#[test]
fn values_of_one_subject_cannot_change_places_either() {
    let (_temp, dir, gallery) = two();
    let all = rows(&dir);
    // Ada is the one with an ordinal 1; its first template is the row before.
    let at = all.iter().position(|r| r.0 == "templates" && r.1[16..] == [0, 0, 0, 1]).unwrap();
    let (first, second) = (&all[at - 1], &all[at]);
    assert_eq!(first.1[..16], second.1[..16]);
    tamper(&dir, "templates", |t| {
        t.insert(first.1.as_slice(), second.2.as_slice()).unwrap();
        t.insert(second.1.as_slice(), first.2.as_slice()).unwrap();
    });
    assert!(gallery.verify().unwrap().problems[0].contains("seal is broken"));
    tamper(&dir, "templates", |t| {
        t.insert(first.1.as_slice(), first.2.as_slice()).unwrap();
        t.insert(second.1.as_slice(), second.2.as_slice()).unwrap();
    });
    assert!(gallery.verify().unwrap().is_sound());
    // The same slot, the same key, another table.
    let reference = all.iter().find(|r| r.0 == "references" && r.1 == first.1[..16]).unwrap();
    tamper(&dir, "subjects", |t| {
        t.insert(reference.1.as_slice(), reference.2.as_slice()).unwrap();
    });
    assert!(gallery.verify().unwrap().problems[0].contains("seal is broken"));
}

#[test]
fn rows_that_are_missing_are_found() {
    for (table, problem) in [("keys", "belong to nobody"), ("subjects", "missing"), ("references", "missing")] {
        let (_temp, dir, gallery) = two();
        let row = rows(&dir).into_iter().find(|r| r.0 == table).unwrap();
        tamper(&dir, table, |t| {
            t.remove(row.1.as_slice()).unwrap();
        });
        let report = gallery.verify().unwrap();
        assert!(report.problems.iter().any(|p| p.contains(problem)), "{table}: {:?}", report.problems);
    }
    let (_temp, dir, gallery) = two();
    let row = rows(&dir).into_iter().rfind(|r| r.0 == "templates").unwrap();
    tamper(&dir, "templates", |t| {
        t.remove(row.1.as_slice()).unwrap();
    });
    assert_eq!(gallery.verify().unwrap().problems.len(), 1);
}
