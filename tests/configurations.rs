//! Every shipped configuration loads; every mistake is named with its key, its value and what is allowed.

use std::{fs, path::Path};

use doorward::config::{
    Config, ConfigError, EngineChoice, EngineSettings, Pace, PadMode, RecogniserChoice, SourceKind, ThresholdChoice,
};

fn shipped(name: &str) -> Config {
    Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).unwrap()
}

#[test]
fn every_shipped_configuration_loads() {
    let mut found = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
            found += 1;
        }
    }
    assert!(found >= 8, "{found} configurations found");
}

#[test]
fn shipped_configurations_mean_what_their_names_say() {
    let demo = shipped("demo.toml");
    assert!(matches!(demo.source.kind, SourceKind::Mjpeg(_)));
    assert_eq!(demo.source.pace, Pace::Realtime);
    assert!(matches!(shipped("usb-camera.toml").source.kind, SourceKind::Camera(_)));
    assert!(matches!(shipped("ip-camera.toml").source.kind, SourceKind::Http(_)));
    let pi = shipped("pi-camera.toml");
    assert!(matches!(pi.source.kind, SourceKind::Command(argv) if argv[0] == "rpicam-vid"));
    assert_eq!(pi.recogniser.threshold, ThresholdChoice::OperatingPoint("fpir-0.003".into()));
    let sface = shipped("sface.toml");
    assert_eq!(sface.recogniser.model, RecogniserChoice::Profile("sface".into()));
    assert!(sface.models_dir.is_some_and(|dir| dir.is_absolute()));
}

#[test]
fn the_boards_configurations_are_for_the_service_and_name_what_suits_the_board() {
    for (name, threads, working_size_px) in
        [("raspberry-pi-4.toml", 2, 320), ("raspberry-pi-5.toml", 1, 480), ("jetson.toml", 2, 320)]
    {
        let board = shipped(name);
        assert_eq!(board.engine, EngineSettings { choice: EngineChoice::Int8, threads }, "{name}");
        assert_eq!(board.detector.working_size_px, working_size_px, "{name}");
        assert_eq!(board.gallery_dir.as_deref(), Some(Path::new("/var/lib/doorward")), "{name}: the service's own");
        assert!(matches!(board.source.kind, SourceKind::Camera(_)), "{name}");
    }
}

#[test]
fn the_least_configuration_is_a_source() {
    let config = Config::parse("[source]\nmjpeg = '-'").unwrap();
    assert_eq!(&*config.door, "door");
    assert!(!config.output.scores);
}

#[test]
fn the_recogniser_is_named_by_profile_or_by_model() {
    let recogniser = |text: &str| Config::parse(&format!("[recogniser]\n{text}\n[source]\nmjpeg = '-'"));
    for (text, choice) in [
        ("", RecogniserChoice::Default),
        ("profile = 'sface'", RecogniserChoice::Profile("sface".into())),
        ("model = 'sface-int8'", RecogniserChoice::Model("sface-int8".into())),
    ] {
        assert_eq!(recogniser(text).unwrap().recogniser.model, choice);
    }
    let message = recogniser("profile = 'sface'\nmodel = 'sface'").unwrap_err().to_string();
    assert!(message.contains("recogniser.profile") && message.contains("recogniser.model"), "{message}");
}

#[test]
fn engine_and_threads_are_read() {
    let engine = |text: &str| Config::parse(&format!("{text}\n[source]\nmjpeg = '-'")).map(|config| config.engine);
    assert_eq!(engine("").unwrap(), EngineSettings { choice: EngineChoice::Auto, threads: 1 });
    for (name, choice) in [("auto", EngineChoice::Auto), ("int8", EngineChoice::Int8), ("f32", EngineChoice::F32)] {
        assert_eq!(engine(&format!("engine = '{name}'")).unwrap().choice, choice);
        assert_eq!(choice.to_string(), name);
    }
    assert_eq!(engine("threads = 16").unwrap().threads, 16);
    for (text, key, allowed) in [
        ("engine = 'fast'", "engine = \"fast\"", "\"auto\", \"int8\" or \"f32\""),
        ("engine = 'INT8'", "engine = \"INT8\"", "\"int8\""),
        ("engine = 8", "engine", "string"),
        ("threads = 0", "threads = 0", "1 to 16"),
        ("threads = 17", "threads = 17", "1 to 16"),
        ("threads = -1", "threads", "line 1"),
        ("threads = 1.5", "threads", "line 1"),
    ] {
        let message = engine(text).expect_err(text).to_string();
        assert!(message.contains(key) && message.contains(allowed), "{text}: {message}");
    }
}

/// The message for a configuration that is wrong in one place.
fn refusal(text: &str) -> String {
    let whole = format!("[source]\nmjpeg = '-'\n{text}");
    Config::parse(&whole).expect_err(text).to_string()
}

#[test]
fn a_wrong_value_is_named_with_what_is_allowed() {
    for (text, key, allowed) in [
        ("[policy]\nmargin = nan", "policy.margin = NaN", "0 to 1"),
        ("[policy]\nmargin = inf", "policy.margin = inf", "0 to 1"),
        ("[policy]\nmax_frame_age_ms = 0", "policy.max_frame_age_ms = 0", "50 to 10000"),
        ("[recogniser]\nthreshold = nan", "recogniser.threshold = NaN", "above 0"),
        ("[recogniser]\nthreshold = -0.2", "recogniser.threshold = -0.2", "above 0"),
        ("[recogniser]\nviews = 'both'", "recogniser.views = \"both\"", "\"single\" or \"mirrored\""),
        ("[detector]\nbackend = 'mtcnn'", "detector.backend", "\"yunet\" or \"seeta\""),
        ("[detector]\nworking_size_px = 10", "detector.working_size_px = 10", "64 to 1920"),
        ("[detector]\nmin_score = nan", "detector.min_score = NaN", "0.05 to 1"),
        ("[quality]\nmax_yaw_deg = nan", "quality.max_yaw_deg = NaN", "0 to 90"),
        ("[quality]\nmin_brightness = 250", "quality.min_brightness = 250", "below quality.max_brightness"),
        ("[supervision]\nmax_backoff_ms = 20", "supervision.max_backoff_ms = 20", "at least"),
        ("[output]\nstdout = false", "output.file", "events need a file"),
        ("[output]\nhint_every_ms = 600001", "output.hint_every_ms", "0 to 600000"),
        ("[idle]\nsearch_every_ms = 10001", "idle.search_every_ms = 10001", "0 to 10000"),
        ("[pad]\nmode = 'on'", "pad.mode = \"on\"", "\"off\", \"report\" or \"require\""),
        ("[pad]\nmin_frames = 9", "pad.min_frames = 9", "10 to 300"),
        ("[pad]\nmin_log_odds = nan", "pad.min_log_odds = NaN", "-20 to 20"),
        ("[pad]\nrequire = true", "require", "`mode`"),
    ] {
        let message = refusal(text);
        assert!(message.contains(key) && message.contains(allowed), "{text}: {message}");
    }
}

#[test]
fn presentation_attack_detection_is_off_unless_asked_for_in_either_form() {
    let pad = |text: &str| Config::parse(&format!("{text}\n[source]\nmjpeg = '-'")).map(|config| config.pad);
    assert_eq!(pad("").unwrap().mode, PadMode::Off);
    assert_eq!(pad("pad = 'require'").unwrap(), pad("[pad]\nmode = 'require'").unwrap());
    let report = pad("[pad]\nmode = 'report'\nnets = ['a', 'b']\nmin_frames = 20\ncooldown_ms = 0").unwrap();
    assert_eq!((report.mode, report.nets.len(), report.limits.min_frames), (PadMode::Report, 2, 20));
    let message = pad("pad = 3").unwrap_err().to_string();
    assert!(message.contains("\"require\"") && message.contains("line 1"), "{message}");
    assert!(pad("pad = 'yes'").unwrap_err().to_string().contains("pad.mode = \"yes\""));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let message = refusal("[policy]\nmargn = 0.1");
    assert!(message.contains("margn") && message.contains("line 4") && message.contains("`margin`"), "{message}");
    assert!(refusal("[polcy]\n").contains("polcy"));
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let message = refusal("[detector]\nworking_size_px = 'big'");
    assert!(message.contains("working_size_px") && message.contains("line 4"), "{message}");
}

#[test]
fn a_file_at_fault_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("door.toml");
    assert!(matches!(Config::load(&path), Err(ConfigError::Read { .. })));
    fs::write(&path, "[source]\nmjpeg = '-'\n[policy]\nmargin = 2.0").unwrap();
    let message = Config::load(&path).unwrap_err().to_string();
    assert!(message.contains("door.toml") && message.contains("policy.margin = 2"), "{message}");
}
