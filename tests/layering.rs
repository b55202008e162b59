//! The rooms of `src/` know only those before them; stage rooms do not know each other.
//!
//! One crate: the compiler does not keep this order, so this test does. It reads `crate::room`
//! paths, also inside `use crate::{...}` lists over several lines.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms of one rank do not know each other.
const RANKS: &[&[&str]] = &[
    &["domain"],
    &["config", "nn"],
    &["models"],
    &["capture", "scene", "detect", "align", "track", "pad", "embed", "gallery"],
    &["identify"],
    &["decide", "emit"],
    &["pipeline", "enrol", "eval", "bench"],
    &["cmd"],
    &["main"],
];

fn rank(room: &str) -> Option<usize> {
    RANKS.iter().position(|rooms| rooms.contains(&room))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The rooms that a source text names after `crate::` (or `doorward::` in `main`).
fn rooms_named(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|l| l.split("//").next().unwrap_or("")).flat_map(|l| [l, "\n"]).collect();
    let mut rooms = Vec::new();
    for root in ["crate::", "doorward::"] {
        for part in code.split(root).skip(1) {
            match part.trim_start().strip_prefix('{') {
                None => rooms.push(word(part)),
                Some(list) => rooms.extend(heads(list)),
            }
        }
    }
    rooms
}

/// The first words at the outer level of a `{a::b, c::{d, e}}` list whose brace is already open.
fn heads(list: &str) -> Vec<String> {
    let (mut depth, mut start, mut heads) = (0, true, Vec::new());
    for (i, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && depth == 0 && !c.is_whitespace() => {
                heads.push(word(&list[i..]));
                start = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// One line for each place that looks the wrong way, and for each room without a rank.
fn violations(src: &Path) -> Vec<String> {
    let mut bad = Vec::new();
    for path in rust_files(src) {
        let inside = path.strip_prefix(src).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        if room == "lib" {
            continue;
        }
        let Some(mine) = rank(&room) else {
            bad.push(format!("{}: room {room} has no place in the order", inside.display()));
            continue;
        };
        for other in rooms_named(&fs::read_to_string(&path).unwrap()) {
            let Some(theirs) = rank(&other) else { continue };
            if other != room && theirs >= mine {
                bad.push(format!("{}: {room} looks at {other}", inside.display()));
            }
        }
    }
    bad
}

#[test]
fn every_room_knows_only_those_before_it() {
    let bad = violations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_planted_back_edge_is_found() {
    let planted = |room: &str, text: &str| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(room)).unwrap();
        fs::write(dir.path().join(room).join("mod.rs"), text).unwrap();
        violations(dir.path()).len()
    };
    assert_eq!(planted("detect", "use crate::domain::Frame;\n"), 0);
    assert_eq!(planted("detect", "use crate::domain::Frame;\nuse crate::decide::Policy;\n"), 1);
    assert_eq!(planted("detect", "use crate::{\n    domain::{Frame, BBox},\n    pipeline::Pipeline,\n};\n"), 1);
    assert_eq!(planted("detect", "fn f() { crate::embed::build(); }\n"), 1, "stage rooms do not know each other");
    assert_eq!(planted("identify", "use crate::gallery::Snapshot;\n"), 0);
    assert_eq!(planted("domain", "// crate::cmd is only talked about here\n"), 0);
    assert_eq!(planted("utils", "\n"), 1, "a new room needs a place in the order");
}

#[test]
fn unsafe_code_lives_in_nn_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in rust_files(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let allowed = inside.starts_with("nn") || inside == Path::new("lib.rs");
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().map(|l| l.split("//").next().unwrap_or(""));
        let found = code.flat_map(|l| l.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|w| w == "unsafe");
        assert!(allowed || !found, "{} uses unsafe", inside.display());
    }
}
