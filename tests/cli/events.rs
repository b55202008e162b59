//! The demo, and the published schema of its events.

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use super::{Place, project};

/// Says what is wrong with a line, by the published schema.
pub(super) fn problem(line: &Value) -> Option<String> {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    let schema = compiler.compile(project("docs/events.schema.json").to_str().unwrap(), &mut schemas).unwrap();
    schemas.validate(line, schema).err().map(|e| e.to_string())
}

#[test]
fn the_demo_grants_and_denies_and_its_events_keep_the_schema() {
    let place = Place::new();
    let scratch = place.path("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let out = place.path("frames");
    let mut command = place.command(&["demo", "--json", "--out", &out.display().to_string()]);
    let said = super::Said::of(&command.env("TMPDIR", &scratch).output().unwrap());
    assert_eq!(said.code, 0, "{}", said.err);
    let events = said.json();
    for event in &events {
        assert_eq!(problem(event), None, "{event}");
    }
    assert!(events.iter().enumerate().all(|(i, e)| e["sequence"] == i), "sequence has gaps");
    let events: Vec<Value> = events.into_iter().filter(|e| e["event"] == "access").collect();
    let granted: Vec<&str> =
        events.iter().filter(|e| e["decision"] == "granted").map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(granted, ["Resident", "Barack Obama"]);
    // Frames 51 to 74 and 111 to 134 show two people nobody enrolled.
    let strangers = |e: &&Value| matches!(e["frame"].as_u64().unwrap(), 51..=74 | 111..=134);
    assert!(events.iter().filter(strangers).count() > 0);
    assert!(events.iter().filter(strangers).all(|e| e["decision"] == "denied"), "a stranger was granted");
    assert!(events.iter().all(|e| e.get("similarity").is_none()), "no score unless asked for");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "something was left behind");
    let frames = std::fs::read_dir(&out).unwrap().count();
    assert!(frames > events.len(), "each frame with faces is drawn, not only those that decide: {frames}");
}

#[test]
fn the_schema_refuses_what_is_not_an_event() {
    let good = json!({
        "schema": 3, "event": "access", "id": "0197a9c8-1111-7222-8333-444455556666", "sequence": 0,
        "boot_id": "9b0d3a30-0000-4000-8000-000000000000", "door": "front", "decision": "granted", "reason": null,
        "subject": "ada-lovelace", "name": "Ada Lovelace", "pad": {"verdict": "not-assessed", "doubt": null},
        "model": {"id": "m", "sha256": "0".repeat(64)}, "operating_point": "fpir-0.003", "source": "camera", "frame": 7, "track": 2,
        "bbox": [1.0, 2.0, 3.0, 4.0], "captured": {"wall": "2026-01-01T00:00:00Z", "monotonic_ms": 1.5},
        "decided": {"wall": "2026-01-01T00:00:00.03Z", "monotonic_ms": 31.5},
        "latency_ms": {"detect": 1.0, "align": 1.0, "pad": 0.0, "embed": 1.0, "identify": 0.1, "decide": 0.0, "total": 30.0, "waited": 190.0}
    });
    assert_eq!(problem(&good), None);
    for (key, wrong) in [
        ("decision", json!("maybe")),
        ("reason", json!("below-threshold")),
        ("subject", Value::Null),
        ("id", json!("not a uuid")),
        ("id", json!("0197a9c8-1111-4222-8333-444455556666")),
        ("similarity", json!(1.5)),
        ("extra", json!(1)),
        ("event", json!("hint")),
        ("pad", json!({"verdict": "undetermined", "doubt": null})),
        ("pad", json!({"verdict": "bona-fide", "doubt": "small"})),
        ("frame", json!(-1)),
        ("captured", json!({"wall": "yesterday", "monotonic_ms": 0})),
    ] {
        let mut bad = good.clone();
        bad[key] = wrong.clone();
        assert!(problem(&bad).is_some(), "{key} = {wrong} passed");
    }
    let mut denied = good.clone();
    denied["decision"] = json!("denied");
    assert!(problem(&denied).is_some(), "a denial without a reason passed");
}
