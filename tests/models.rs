//! The model folder as a whole: what is committed is what the catalogue says, and nothing else is accepted.

use std::fs;
use std::path::{Path, PathBuf};

use doorward::config::EngineChoice;
use doorward::models::{Catalogue, Digest, ModelStore, ModelsError, OperatingPoint, Precision, Role, preferred};
use doorward::nn::{Engine, Isa};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// A folder with the repository's catalogue, changed by `edit`, and no files.
fn catalogue_with(edit: impl Fn(String) -> String) -> (tempfile::TempDir, Result<ModelStore, ModelsError>) {
    let copy = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(folder().join("catalogue.toml")).unwrap();
    let edited = edit(text.clone());
    assert_ne!(edited, text, "the edit must change something");
    fs::write(copy.path().join("catalogue.toml"), edited).unwrap();
    let store = ModelStore::open(copy.path());
    (copy, store)
}

fn asked(store: ModelStore, choice: EngineChoice) -> ModelStore {
    store.computed_by(Engine::default(), choice)
}

fn refusal(from: &str, to: &str) -> String {
    catalogue_with(|text| text.replacen(from, to, 1)).1.unwrap_err().to_string()
}

#[test]
fn the_committed_files_are_what_the_catalogue_says() {
    let store = ModelStore::open(&folder()).unwrap();
    let outcomes = store.verify();
    assert_eq!(outcomes.len(), store.catalogue().models().len());
    for check in outcomes {
        check.outcome.unwrap();
    }
    for card in store.catalogue().models() {
        let licence = card.licence_file.as_ref().unwrap_or_else(|| panic!("{} has no licence text", card.id));
        assert!(folder().join(licence).is_file(), "{}: {licence}", card.id);
    }
}

#[test]
fn the_pipeline_finds_what_it_needs() {
    let store = asked(ModelStore::open(&folder()).unwrap(), EngineChoice::F32);
    assert_eq!(store.default_for(Role::Detector).unwrap().id, "yunet-2023mar");
    assert_eq!(store.default_for(Role::Landmarks).unwrap().id, "landmarks-68");
    let pad = store.default_for(Role::Pad).unwrap();
    assert_eq!((pad.id.as_str(), pad.input.box_scale, pad.pad.unwrap().bona_fide_class), ("fr-liveness", Some(2.7), 0));
    let without =
        catalogue_with(|text| text.replacen("role = \"pad\"\ndefault = true", "role = \"pad\"", 1)).1.unwrap();
    assert!(matches!(without.default_for(Role::Pad), Err(ModelsError::NoDefault { role: Role::Pad })));

    let recogniser = store.default_for(Role::Recogniser).unwrap();
    let one_percent = recogniser.one_to_many("fpir-0.01").unwrap();
    let stricter = recogniser.one_to_many("fpir-0.003").unwrap();
    for subjects in [10, 30, 100, 300, 1000] {
        assert_eq!(stricter.at(subjects).measured_for, Some(subjects as u32));
        assert!(stricter.at(subjects).threshold > one_percent.at(subjects).threshold);
        assert!(stricter.at(subjects + 1).threshold > stricter.at(subjects).threshold || subjects == 1000);
    }
    assert!(stricter.at(1001).beyond);
    recogniser.one_to_one("fmr-0.001").unwrap();
    let other_kind = recogniser.one_to_many("fmr-0.001").unwrap_err().to_string();
    assert!(other_kind.contains("fmr-0.001") && other_kind.contains("one-to-one comparison"), "{other_kind}");
    let unknown = recogniser.one_to_many("fpir-1").unwrap_err().to_string();
    assert!(unknown.contains("fpir-0.01, fpir-0.003, fmr-0.001"), "{unknown}");

    let loaded = store.load("mobilefacenet-arcface-192").unwrap();
    assert_eq!(loaded.id.name(), "mobilefacenet-arcface-192");
    assert_eq!(Digest(*loaded.id.sha256()), loaded.card.sha256);
    let unknown = store.load("arcface").unwrap_err().to_string();
    assert!(unknown.contains("arcface") && unknown.contains("yunet-2023mar"), "{unknown}");
}

#[test]
fn the_engine_decides_which_variant_is_the_default() {
    let store = |choice| asked(ModelStore::open(&folder()).unwrap(), choice);
    for (role, float) in [(Role::Detector, "yunet-2023mar"), (Role::Recogniser, "mobilefacenet-arcface-192")] {
        let int8 = format!("{float}-int8");
        let id = |choice| store(choice).default_for(role).unwrap().id.clone();
        assert_eq!((id(EngineChoice::F32), id(EngineChoice::Int8)), (float.to_owned(), int8.clone()));
        let by_processor = match preferred(Isa::best()).precision {
            Precision::Int8 => &int8,
            _ => float,
        };
        assert_eq!(id(EngineChoice::Auto), *by_processor);
        assert_eq!(store(EngineChoice::F32).variant_of(&int8).unwrap().id, float);
        // Both have operating points of their own, under the same names.
        let names = |id: &str| {
            let card = store(EngineChoice::Auto).catalogue().get(id).unwrap().clone();
            card.operating_points.into_iter().map(|point| point.name).collect::<Vec<_>>()
        };
        assert_eq!(names(float), names(&int8));
    }
}

#[test]
fn a_variant_that_is_not_there_is_missed_only_when_it_is_asked_for() {
    let landmarks = |choice| {
        let store = asked(ModelStore::open(&folder()).unwrap(), choice);
        store.default_for(Role::Landmarks).map(|card| card.id.clone())
    };
    assert_eq!(landmarks(EngineChoice::Auto).unwrap(), "landmarks-68");
    let error = landmarks(EngineChoice::Int8).unwrap_err().to_string();
    assert!(error.contains("landmarks-68") && error.contains("int8") && error.contains("--engine auto"), "{error}");
}

#[test]
fn only_a_processor_without_vector_instructions_prefers_float() {
    for isa in Isa::ALL {
        let expected = if isa == Isa::Portable { Precision::F32 } else { Precision::Int8 };
        assert_eq!(preferred(isa).precision, expected, "{isa}");
        assert!(!preferred(isa).reason.is_empty());
    }
}

/// Which kernels are used must not change which model is taken: its templates would be worth nothing.
#[test]
fn the_kernels_in_use_do_not_change_the_model() {
    let store = ModelStore::open(&folder()).unwrap();
    let before = store.default_for(Role::Recogniser).unwrap().id.clone();
    let held = store.computed_by(Engine { isa: Isa::Portable, threads: 2 }, EngineChoice::Auto);
    assert_eq!(held.default_for(Role::Recogniser).unwrap().id, before);
    let model = held.load(&before).unwrap();
    let graph = model.graph(&model.card.input.shape).unwrap();
    assert_eq!(graph.engine(), Engine { isa: Isa::Portable, threads: 2 });
}

#[test]
fn a_quantised_model_must_be_able_to_stand_in_for_its_original() {
    let key = "quantised_from = \"mobilefacenet-arcface-192\"";
    for (from, to, reason) in [
        (key, "quantised_from = \"arcface\"", "holds no arcface"),
        (key, "quantised_from = \"mobilefacenet-arcface-192-int8\"", "not a model in f32"),
        (key, "quantised_from = \"landmarks-68\"", "another role, input or output"),
        ("title = \"SeetaFace", "quantised_from = \"yunet-2023mar\"\ntitle = \"SeetaFace", "precision = \"int8\""),
        ("precision = \"int8\"", "precision = \"fp16\"", "fp16"),
    ] {
        let message = refusal(from, to);
        assert!(message.contains("model ") && message.contains(reason), "{to}: {message}");
    }
    // A second one of the same original: which would be taken?
    let twice = catalogue_with(|text| {
        let (_, last) = text.rsplit_once("[[model]]").unwrap();
        format!("{text}\n[[model]]{}", last.replacen("-192-int8\"", "-192-int8b\"", 1))
    });
    let message = twice.1.unwrap_err().to_string();
    assert!(message.contains("is quantised from mobilefacenet-arcface-192 already"), "{message}");
}

#[cfg(feature = "embedded-models")]
#[test]
fn the_binary_holds_the_same_models() {
    let embedded = ModelStore::embedded().unwrap();
    let open = ModelStore::open(&folder()).unwrap();
    assert_eq!(embedded.catalogue(), open.catalogue());
    for card in open.catalogue().models() {
        assert_eq!(embedded.load(&card.id).unwrap().bytes, open.load(&card.id).unwrap().bytes, "{}", card.id);
    }
}

#[cfg(not(feature = "embedded-models"))]
#[test]
fn a_binary_without_models_says_how_to_give_some() {
    let error = ModelStore::embedded().unwrap_err().to_string();
    assert!(error.contains("--models DIR"), "{error}");
}

#[test]
fn one_flipped_byte_is_refused_with_file_expected_and_found() {
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder().join("catalogue.toml"), copy.path().join("catalogue.toml")).unwrap();
    let path = copy.path().join("yunet-2023mar.onnx");
    let mut bytes = fs::read(folder().join("yunet-2023mar.onnx")).unwrap();
    let expected = Digest::of(&bytes).to_string();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();

    let store = ModelStore::open(copy.path()).unwrap();
    let error = store.load("yunet-2023mar").unwrap_err();
    assert!(matches!(error, ModelsError::Hash { .. }), "{error}");
    let message = error.to_string();
    for part in [path.display().to_string(), expected, Digest::of(&bytes).to_string()] {
        assert!(message.contains(&part), "{message} lacks {part}");
    }

    fs::write(&path, &bytes[1..]).unwrap();
    let shorter = store.load("yunet-2023mar").unwrap_err().to_string();
    assert!(shorter.contains(&format!("{} bytes", bytes.len() - 1)), "{shorter}");

    let outcomes = store.verify();
    assert!(outcomes.iter().all(|check| check.outcome.is_err()), "one is short, the others are missing");
    assert!(outcomes.iter().any(|check| matches!(check.outcome, Err(ModelsError::Read { .. }))));
}

#[test]
fn a_folder_without_catalogue_is_an_error_with_its_path() {
    let empty = tempfile::tempdir().unwrap();
    let error = ModelStore::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains(&empty.path().join("catalogue.toml").display().to_string()), "{error}");
}

#[test]
fn a_path_out_of_the_folder_is_refused() {
    for path in ["../yunet-2023mar.onnx", "/etc/hostname", "a/../../b", "", "./x/.."] {
        let message = refusal("file = \"yunet-2023mar.onnx\"", &format!("file = {path:?}"));
        assert!(message.contains("model yunet-2023mar") && message.contains("file"), "{path}: {message}");
    }
}

#[test]
fn every_wrong_key_is_refused_with_model_and_key() {
    let edits = [
        ("id = \"yunet-2023mar\"", "id = \"YuNet\"", "id"),
        ("bytes = 231019", "bytes = 231019\nsize = 3", "size"),
        ("bytes = 231019", "bytes = -1", "bytes"),
        ("bytes = 231019\n", "", "bytes"),
        ("sha256 = \"d8bc", "sha256 = \"D8bc", "sha256"),
        ("role = \"detector\"", "role = \"oracle\"", "oracle"),
        ("format = \"onnx\"", "format = \"tflite\"", "tflite"),
        ("client = \"pip\"", "client = \"curl\"", "source.client"),
        ("shape = [1, 3, 640, 640]", "shape = [1, 3, 0, 640]", "input.shape"),
        ("shape = [1, 3, 640, 640]", "shape = [2, 3, 640, 640]", "input.shape"),
        ("colour = \"BGR\"", "colour = \"GREY\"", "input.colour"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0]", "input.mean"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0, nan, 0.0]", "input.mean"),
        ("scale = 1.0", "scale = 0.0", "input.scale"),
        ("scale = 1.0", "scale = inf", "input.scale"),
        ("size_step_px = 32", "size_step_px = 0", "input.size_step_px"),
        ("dimension = 16", "dimension = 0", "output.dimension"),
        ("alignment = \"frame\"", "alignment = \"face-square\"", "input.box_scale"),
        ("alignment = \"frame\"", "alignment = \"frame\"\nbox_scale = 2.7", "input.box_scale"),
        ("dimension = 16", "dimension = 16\nkind = 2", "kind"),
    ];
    for (from, to, key) in edits {
        let message = refusal(from, to);
        assert!(message.contains("model YuNet") || message.contains("model yunet-2023mar"), "{to}: {message}");
        assert!(message.contains(key), "{to}: {message}");
    }
}

#[test]
fn every_wrong_word_on_a_net_for_presentation_attacks_is_refused() {
    let table = "[model.pad]\nbona_fide_class = 0\nweight = 1.0\n";
    for (from, to, key) in [
        ("bona_fide_class = 0", "bona_fide_class = 3", "pad.bona_fide_class"),
        ("weight = 1.0", "weight = 0.0", "pad.weight"),
        ("weight = 1.0", "weight = -1.0", "pad.weight"),
        ("weight = 1.0", "weight = nan", "pad.weight"),
        ("weight = 1.0", "weight = 1.0\nbias = 0.1", "bias"),
        (table, "", "pad: a net of role pad needs it"),
        ("box_scale = 2.7", "box_scale = 0.5", "input.box_scale"),
        ("box_scale = 2.7", "box_scale = nan", "input.box_scale"),
        ("box_scale = 2.7\n", "", "input.box_scale"),
        ("role = \"pad\"", "role = \"landmarks\"", "pad: only a net of role pad"),
    ] {
        let message = refusal(from, to);
        assert!(message.contains("fr-liveness") && message.contains(key), "{to}: {message}");
    }
}

/// The cards of the MiniFASNets are a pattern: whoever has the weights fills in length and hash.
#[test]
fn the_cards_of_the_minifasnets_are_a_catalogue_beside_the_models_in_the_binary() {
    let store = ModelStore::open(&folder().join("minifasnet")).unwrap();
    let [v2, v1se] = store.catalogue().own_models() else { panic!("{:?}", store.catalogue().own_models()) };
    for (card, id, scale) in [(v2, "minifasnet-v2", 2.7), (v1se, "minifasnet-v1se", 4.0)] {
        assert_eq!((card.id.as_str(), card.role, card.default), (id, Role::Pad, false));
        assert_eq!((card.input.box_scale, card.pad.unwrap().bona_fide_class), (Some(scale), 1));
        assert!(folder().join("minifasnet").join(&card.file).metadata().is_err(), "the weights are not ours to ship");
        assert!(folder().join("LICENSES").join("Apache-2.0.txt").is_file());
    }
    assert_eq!(store.default_for(Role::Pad).unwrap().id, "fr-liveness");
}

#[test]
fn every_wrong_operating_point_is_refused() {
    let edits = [
        ("kind = \"one-to-one\"", "kind = \"one-to-many\"", "needs fpir and gallery_size"),
        ("gallery_size = 30\n", "gallery_size = 10\n", "twice"),
        ("\nfmr = 0.", "\nfmr = 1.", "between 0 and 1"),
        ("\nfmr = ", "\nfmr = nan # ", "between 0 and 1"),
        ("\nfpir_interval = [0.", "\nfpir_interval = [1.", "around the rate"),
        ("gallery_size = 100\n", "gallery_size = 1\n", "below the"),
    ];
    for (from, to, reason) in edits {
        let message = refusal(from, to);
        assert!(message.contains("mobilefacenet-arcface-192") && message.contains("operating_point"), "{message}");
        assert!(message.contains(reason), "{to}: {message}");
    }
    for threshold in ["nan", "1.01", "-2.0", "inf"] {
        let error = catalogue_with(|text| {
            let (before, after) = text.split_once("threshold = ").unwrap();
            let rest = after.split_once('\n').unwrap().1;
            format!("{before}threshold = {threshold}\n{rest}")
        })
        .1
        .unwrap_err()
        .to_string();
        assert!(error.contains("operating_point fpir-0.01: threshold"), "{error}");
    }
}

#[test]
fn two_models_of_one_id_or_two_defaults_of_one_role_are_refused() {
    let twice = refusal("id = \"seeta-frontal-1.0\"", "id = \"yunet-2023mar\"");
    assert!(twice.contains("yunet-2023mar") && twice.contains("twice"), "{twice}");
    let defaults = refusal("id = \"seeta-frontal-1.0\"", "id = \"seeta-frontal-1.0\"\ndefault = true");
    assert!(
        defaults.contains("model seeta-frontal-1.0") && defaults.contains("yunet-2023mar is the default"),
        "{defaults}"
    );
}

/// A catalogue that extends the models in the binary by those of the repository's that `edit` leaves.
fn extension(edit: impl Fn(&str) -> String) -> (tempfile::TempDir, Result<ModelStore, ModelsError>) {
    catalogue_with(|text| {
        let entries: Vec<String> =
            text.split("[[model]]").skip(1).map(&edit).filter(|entry| !entry.is_empty()).collect();
        let entries: String = entries.iter().map(|entry| format!("[[model]]{entry}")).collect();
        format!("format = 1\nextends = \"binary\"\n{entries}")
    })
}

/// The detector's entry under another id; of the others nothing.
fn another_detector(entry: &str) -> String {
    match entry.contains("id = \"yunet-2023mar\"") {
        true => entry.replacen("yunet-2023mar", "mine", 1),
        false => String::new(),
    }
}

#[test]
fn a_catalogue_may_extend_the_models_in_the_binary() {
    let (folder, store) = extension(|entry| another_detector(entry).replace("default = true\n", ""));
    let store = asked(store.unwrap(), EngineChoice::F32);
    let binary = ModelStore::embedded().unwrap();
    assert_eq!(store.catalogue().models().len(), binary.catalogue().models().len() + 1);
    assert_eq!(store.catalogue().own_models().len(), 1);
    assert!(store.catalogue().is_own("mine") && !store.catalogue().is_own("yunet-2023mar"));
    assert_eq!(store.default_for(Role::Detector).unwrap().id, "yunet-2023mar");
    store.load("yunet-2023mar").unwrap();
    let missing = store.load("mine").unwrap_err().to_string();
    assert!(missing.contains(&folder.path().display().to_string()), "its own file is looked for there: {missing}");
}

#[test]
fn an_extension_may_name_another_default_but_not_take_an_id() {
    let (_folder, store) = extension(another_detector);
    let store = asked(store.unwrap(), EngineChoice::F32);
    assert_eq!(store.default_for(Role::Detector).unwrap().id, "mine");
    assert_eq!(store.default_for(Role::Recogniser).unwrap().id, "mobilefacenet-arcface-192");
    let same = extension(|entry| entry.to_owned()).1.unwrap_err().to_string();
    assert!(same.contains("yunet-2023mar") && same.contains("twice"), "{same}");
    let other = refusal("format = 1", "format = 1\nextends = \"elsewhere\"");
    assert!(other.contains("elsewhere") && other.contains("binary"), "{other}");
    let alone = Catalogue::parse("format = 1\nextends = \"binary\"\n[[model]]\nid = \"x\"\n").unwrap_err();
    assert!(matches!(alone, ModelsError::NotEmbedded), "{alone}");
}

#[test]
fn a_profile_is_its_recogniser_in_the_variant_asked_for() {
    let store = ModelStore::open(&folder()).unwrap();
    for (choice, id) in
        [(EngineChoice::F32, "mobilefacenet-arcface-192"), (EngineChoice::Int8, "mobilefacenet-arcface-192-int8")]
    {
        assert_eq!(asked(store.clone(), choice).profile("arcface").unwrap().id, id);
    }
    let missing = store.profile("sface").unwrap_err().to_string();
    for part in ["sface", "it has: arcface.", "models.dir", "models/README.md"] {
        assert!(missing.contains(part), "{part}: {missing}");
    }
}

#[test]
fn a_profile_of_two_models_or_of_no_recogniser_is_refused() {
    let detector = refusal("role = \"detector\"", "role = \"detector\"\nprofile = \"fast\"");
    assert!(
        detector.contains("model yunet-2023mar in the catalogue: profile") && detector.contains("only a recogniser"),
        "{detector}"
    );
    let strangers = refusal("quantised_from = \"mobilefacenet-arcface-192\"\n", "");
    assert!(strangers.contains("profile") && strangers.contains("neither is quantised from the other"), "{strangers}");
}

/// The cards of SFace stand beside those of the committed models in the folder that models/build.py makes.
#[test]
fn the_cards_of_sface_are_a_catalogue() {
    let catalogue = Catalogue::parse(&fs::read_to_string(folder().join("sface/catalogue.toml")).unwrap()).unwrap();
    let [float, int8] = catalogue.models() else { panic!("{} cards", catalogue.models().len()) };
    assert_eq!((float.id.as_str(), float.precision, float.default), ("sface", Precision::F32, true));
    assert_eq!((int8.id.as_str(), int8.precision, int8.default), ("sface-int8", Precision::Int8, false));
    assert!(catalogue.variant(float, Precision::Int8) == Some(int8) && catalogue.profile("sface").unwrap() == float);
    let arcface = ModelStore::open(&folder()).unwrap();
    let arcface = arcface.profile("arcface").unwrap();
    for card in [float, int8] {
        let licence = card.licence_file.as_deref().expect("a licence comes with the weights");
        assert!(folder().join(licence).is_file(), "{licence}");
        for point in &arcface.operating_points {
            let same = |p: &&OperatingPoint| (&p.name, p.gallery_size) == (&point.name, point.gallery_size);
            let own = card.operating_points.iter().find(same);
            let own = own.expect("a configuration names the same points for both profiles");
            assert!(own.threshold != point.threshold, "{}: thresholds are each model's own", point.name);
        }
    }
}

#[test]
fn what_is_no_catalogue_is_refused() {
    let edits = [
        ("format = 1", "format = 2", "reads format 1"),
        ("format = 1\n", "", "format is missing"),
        ("format = 1", "format = 1\nauthor = \"me\"", "author"),
        ("format = 1", "format = = 1", "format"),
    ];
    for (from, to, part) in edits {
        let message = refusal(from, to);
        assert!(message.contains(part), "{to}: {message}");
    }
    let empty = catalogue_with(|_| "format = 1\n".to_owned()).1.unwrap_err().to_string();
    assert!(empty.contains("[[model]]"), "{empty}");
}

proptest::proptest! {
    /// Whatever is cut out of or put into the catalogue: a valid catalogue or an error, never a panic.
    #[test]
    fn a_damaged_catalogue_is_read_or_refused(
        from in 0usize..12_000,
        length in 0usize..200,
        inserted in "[ -~\n]{0,12}|nan|inf|-1|\\[\\[model\\]\\]",
    ) {
        let text = fs::read_to_string(folder().join("catalogue.toml")).unwrap();
        let from = from.min(text.len());
        let to = (from + length).min(text.len());
        let damaged = format!("{}{inserted}{}", &text[..from], &text[to..]);
        match Catalogue::parse(&damaged) {
            Ok(catalogue) => proptest::prop_assert!(!catalogue.models().is_empty()),
            Err(error) => proptest::prop_assert!(error.to_string().contains("catalogue")),
        }
    }
}
