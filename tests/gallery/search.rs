//! Snapshots and the search over them.

use super::*;

#[test]
fn a_snapshot_holds_those_of_its_model_and_says_how_many_it_left_out() {
    let (_temp, _dir, mut gallery) = two();
    let expires = Some(Timestamp::from_second(1).unwrap());
    gallery.enrol(NewSubject { expires, ..subject("edsger") }, vec![template(&model(2), 5)]).unwrap();
    let snapshot = gallery.snapshot(&model(2)).unwrap();
    assert_eq!((snapshot.subjects().len(), snapshot.without_model(), snapshot.dimension()), (1, 2, 192));
    let edsger = snapshot.subject(&id("edsger")).unwrap();
    assert_eq!(
        (&*edsger.name, edsger.expires),
        ("Display edsger", expires),
        "expired subjects stay, to be denied by name"
    );
    assert_eq!(snapshot.subject(&id("ada")), None);

    let nobody = gallery.snapshot(&model(3)).unwrap();
    assert_eq!((nobody.subjects().len(), nobody.without_model()), (0, 3));
    assert!(identify(&nobody, &embedding(&model(3), 1, 192)).unwrap().as_slice().is_empty());
    assert!(identify(&snapshot, &embedding(&model(1), 1, 192)).is_err(), "another model");
    assert!(identify(&snapshot, &embedding(&model(2), 1, 191)).is_err(), "another length");
}

#[test]
fn a_search_is_exact_and_ties_go_to_the_smaller_id() {
    let (_temp, _dir, mut gallery) = empty();
    for n in (0..40).rev() {
        // Four each share one embedding.
        gallery.enrol(subject(&format!("s{n:02}")), vec![template(&model(1), n / 4)]).unwrap();
    }
    let snapshot = gallery.snapshot(&model(1)).unwrap();
    for seed in 0..30 {
        let probe = embedding(&model(1), seed, 192);
        let mut all: Vec<(f32, String)> = (0..40u64)
            .map(|n| {
                let s = probe.similarity(&embedding(&model(1), n / 4, 192)).unwrap();
                (s.value(), format!("s{n:02}"))
            })
            .collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let found = identify(&snapshot, &probe).unwrap();
        assert_eq!(found.as_slice().len(), CANDIDATES);
        for (found, (similarity, who)) in found.as_slice().iter().zip(&all) {
            assert_eq!(found.subject.as_str(), who);
            assert!((found.similarity.value() - similarity).abs() < 1e-5);
        }
    }
}

#[test]
fn a_snapshot_serves_while_a_writer_commits() {
    let (_temp, dir, gallery) = two();
    let snapshot = gallery.snapshot(&model(1)).unwrap();
    let probe = embedding(&model(1), 3, 192);
    let before = identify(&snapshot, &probe).unwrap();
    assert_eq!(before.first().unwrap().subject, id("grace"));

    let searched = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writer = Gallery::open(&dir, None).unwrap();
            for n in 0..10 {
                writer.enrol(subject(&format!("n{n}")), vec![template(&model(1), 100 + n)]).unwrap();
            }
            writer.remove(&id("grace")).unwrap();
        });
        let mut searched = 0;
        while !writer.is_finished() {
            assert_eq!(identify(&snapshot, &probe).unwrap(), before);
            searched += 1;
        }
        writer.join().unwrap();
        searched
    });
    assert!(searched > 10, "{searched}");
    let after = gallery.snapshot(&model(1)).unwrap();
    assert_eq!(after.generation(), snapshot.generation() + 11);
    assert!(after.subject(&id("grace")).is_none() && snapshot.subject(&id("grace")).is_some());
}

#[test]
fn the_stamp_changes_with_every_change_and_with_nothing_else() {
    let (_temp, dir, mut gallery) = two();
    let mut seen = vec![stamp(&dir).unwrap()];
    gallery.list().unwrap();
    gallery.snapshot(&model(1)).unwrap();
    gallery.verify().unwrap();
    gallery.export(Vec::new(), &ExportForm::Plain).unwrap();
    Gallery::open_or_create(&dir, None).unwrap();
    gallery.enrol(subject("ada"), vec![template(&model(1), 9)]).unwrap_err();
    assert_eq!(stamp(&dir).unwrap(), seen[0]);
    for n in 0..6 {
        match n % 3 {
            0 => drop(gallery.enrol(subject(&format!("n{n}")), vec![template(&model(1), n)]).unwrap()),
            1 => drop(gallery.add_templates(&id("ada"), vec![template(&model(1), n)]).unwrap()),
            _ => gallery.remove(&id(&format!("n{}", n - 2))).unwrap(),
        }
        let now = stamp(&dir).unwrap();
        assert!(!seen.contains(&now), "change {n}");
        seen.push(now);
    }
    assert!(stamp(&dir.join("none")).is_err());
}

#[test]
fn ten_thousand_subjects_are_searched_in_a_few_milliseconds() {
    let (_temp, dir, mut gallery) = empty();
    // One export of many is the quick way to a large gallery.
    let started = Instant::now();
    gallery.enrol(subject("s0"), vec![template(&model(1), 0)]).unwrap();
    let mut export = Vec::new();
    gallery.export(&mut export, &ExportForm::Plain).unwrap();
    let text = String::from_utf8(export).unwrap();
    let entry = text.split_once("\"subjects\":[").unwrap().1.trim_end().strip_suffix("]}").unwrap();
    let value = entry.split("\"embedding\":\"").nth(1).unwrap().split('"').next().unwrap();
    let entries: Vec<String> = (1..10_000u64)
        .map(|n| {
            use base64::Engine;
            let bytes: Vec<u8> = embedding(&model(1), n, 192).values().iter().flat_map(|v| v.to_le_bytes()).collect();
            let new = base64::engine::general_purpose::STANDARD.encode(bytes);
            entry.replacen("\"s0\"", &format!("\"s{n}\""), 1).replacen(value, &new, 1)
        })
        .collect();
    let text = format!("{{\"format\":\"doorward-gallery\",\"version\":1,\"subjects\":[{}]}}", entries.join(","));
    gallery.import(text.as_bytes(), None).unwrap();
    let imported = started.elapsed();

    let started = Instant::now();
    let snapshot: Arc<_> = gallery.snapshot(&model(1)).unwrap();
    let taken = started.elapsed();
    assert_eq!(snapshot.subjects().len(), 10_000);

    let probe = embedding(&model(1), 4321, 192);
    let best = (0..20)
        .map(|_| {
            let started = Instant::now();
            let found = identify(&snapshot, &probe).unwrap();
            assert_eq!(found.first().unwrap().subject, id("s4321"));
            started.elapsed()
        })
        .min()
        .unwrap();
    let length = fs::metadata(store(&dir)).unwrap().len();
    println!("import {imported:?}, snapshot {taken:?}, search {best:?}, store {length} bytes");
    assert!(best < Duration::from_millis(5), "{best:?}");
}
