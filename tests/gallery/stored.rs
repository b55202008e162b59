//! What is stored comes back, and a gallery behaves like a map.

use super::*;

#[test]
fn what_was_enrolled_comes_back_bit_for_bit() {
    let (_temp, dir, mut gallery) = empty();
    let expires = Some("2030-01-02T03:04:05.000000006Z".parse().unwrap());
    let new = NewSubject { expires, ..subject("ada") };
    let templates = vec![template(&model(1), 1), template(&model(2), 2), template(&model(1), 3)];
    let template_ids = gallery.enrol(new.clone(), templates.clone()).unwrap();

    let back = Gallery::open(&dir, None).unwrap().subject(&id("ada")).unwrap();
    assert_eq!((back.id, back.name, back.attributes), (new.id, new.name, new.attributes));
    assert_eq!((back.created, back.expires), (new.created, new.expires));
    assert_eq!(back.templates.iter().map(|t| t.id).collect::<Vec<_>>(), template_ids);
    for (back, new) in back.templates.iter().zip(&templates) {
        assert_eq!(back.embedding, new.embedding);
        assert_eq!(back.quality, new.quality);
        assert_eq!((&back.source, back.enrolled), (&new.source, new.enrolled));
    }
    assert_eq!(gallery.list().unwrap()[0].templates, [(model(1), 2), (model(2), 1)]);
    assert!(gallery.verify().unwrap().is_sound());
}

#[test]
fn nothing_is_ever_overwritten() {
    let (_temp, dir, mut gallery) = two();
    let before = fs::read(store(&dir)).unwrap();
    let e = gallery.enrol(subject("ada"), vec![template(&model(1), 9)]).unwrap_err();
    assert!(matches!(&e, GalleryError::AlreadyEnrolled { id: taken } if *taken == id("ada")), "{e}");
    assert_eq!(fs::read(store(&dir)).unwrap(), before);
}

#[test]
fn what_does_not_belong_in_is_refused() {
    let (_temp, dir, mut gallery) = two();
    let before = fs::read(store(&dir)).unwrap();
    let new = || subject("new");
    let t = || template(&model(1), 5);
    let nan = SampleQuality { yaw_deg: f32::NAN, ..t().quality };
    let refused = [
        gallery.enrol(new(), vec![]).unwrap_err(),
        gallery.enrol(NewSubject { name: "A\u{1b}[2J".into(), ..new() }, vec![t()]).unwrap_err(),
        gallery.enrol(new(), vec![NewTemplate { source: "private/a.jpg".into(), ..t() }]).unwrap_err(),
        gallery.enrol(new(), vec![NewTemplate { quality: nan, ..t() }]).unwrap_err(),
        gallery.enrol(new(), vec![NewTemplate { embedding: embedding(&model(1), 5, 128), ..t() }]).unwrap_err(),
        gallery.enrol(new(), vec![template(&ModelId::new("", [1; 32]), 5)]).unwrap_err(),
        gallery.add_templates(&id("nobody"), vec![t()]).unwrap_err(),
        gallery.remove(&id("nobody")).unwrap_err(),
        gallery.subject(&id("nobody")).unwrap_err(),
    ];
    assert!(matches!(refused[4], GalleryError::Dimension { found: 128, expected: 192, .. }), "{}", refused[4]);
    // Two templates that cancel out have no mean.
    let opposite: Vec<f32> = t().embedding.values().iter().map(|v| -v).collect();
    let opposite = NewTemplate { embedding: Embedding::new(model(1), &opposite).unwrap(), ..t() };
    let e = gallery.enrol(new(), vec![t(), opposite]).unwrap_err();
    assert!(matches!(e, GalleryError::Reference { .. }), "{e}");
    assert_eq!(fs::read(store(&dir)).unwrap(), before);
}

#[test]
fn a_generation_at_its_end_is_no_end() {
    let (_temp, dir, mut gallery) = two();
    tamper(&dir, "meta", |t| {
        t.insert(b"generation".as_slice(), u64::MAX.to_le_bytes().as_slice()).unwrap();
    });
    gallery.enrol(subject("new"), vec![template(&model(1), 5)]).unwrap();
    assert_eq!(gallery.snapshot(&model(1)).unwrap().generation(), 0);
}

#[derive(Debug, Clone)]
enum Op {
    Enrol(u8, u8),
    Add(u8),
    Remove(u8),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_gallery_behaves_like_a_map(ops in prop::collection::vec(prop_oneof![
        3 => (0u8..5, 1u8..3).prop_map(|(who, n)| Op::Enrol(who, n)),
        1 => (0u8..5).prop_map(Op::Add),
        1 => (0u8..5).prop_map(Op::Remove),
    ], 1..10)) {
        let (_temp, dir, mut gallery) = empty();
        let mut expected: BTreeMap<SubjectId, Vec<Embedding>> = BTreeMap::new();
        let mut seed = 0;
        let mut some = |n: u8| -> Vec<NewTemplate> {
            (0..n).map(|_| { seed += 1; template(&model(1), seed) }).collect()
        };
        for op in ops {
            match op {
                Op::Enrol(who, n) => {
                    let (who, new) = (format!("s{who}"), some(n));
                    let embeddings = new.iter().map(|t| t.embedding.clone()).collect();
                    let free = !expected.contains_key(&id(&who));
                    prop_assert_eq!(gallery.enrol(subject(&who), new).is_ok(), free);
                    expected.entry(id(&who)).or_insert(embeddings);
                }
                Op::Add(who) => {
                    let (who, new) = (id(&format!("s{who}")), some(1));
                    let known = expected.get_mut(&who);
                    prop_assert_eq!(gallery.add_templates(&who, new.clone()).is_ok(), known.is_some());
                    if let Some(known) = known {
                        known.push(new[0].embedding.clone());
                    }
                }
                Op::Remove(who) => {
                    let who = id(&format!("s{who}"));
                    prop_assert_eq!(gallery.remove(&who).is_ok(), expected.remove(&who).is_some());
                }
            }
        }
        let reopened = Gallery::open(&dir, None).unwrap();
        let found: BTreeMap<SubjectId, Vec<Embedding>> = reopened
            .list()
            .unwrap()
            .into_iter()
            .map(|s| {
                let embeddings = reopened.subject(&s.id).unwrap().templates.into_iter().map(|t| t.embedding);
                (s.id, embeddings.collect())
            })
            .collect();
        prop_assert_eq!(&found, &expected);
        let report = reopened.verify().unwrap();
        prop_assert!(report.is_sound(), "{:?}", report.problems);
        prop_assert_eq!(report.templates, expected.values().map(Vec::len).sum::<usize>());
        let snapshot = reopened.snapshot(&model(1)).unwrap();
        for ((who, embeddings), found) in expected.iter().zip(snapshot.references()) {
            let (subject, reference) = found.unwrap();
            prop_assert_eq!(who, &subject.id);
            let mean = Embedding::mean(&embeddings.iter().collect::<Vec<_>>()).unwrap().unwrap();
            prop_assert_eq!(&*reference, mean.values());
        }
    }
}
