//! `doorward eval`: shapes, caches, interruption and bad lists, on a handful of faces.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};

use super::{Place, Said, picture, project};

const PAIRS: &str = "\
image1,image2,same,fold
demo/enrol/Barack Obama/2009.jpg,demo/enrol/Barack Obama/2010.jpg,1,a
demo/enrol/Resident/video-240.jpg,demo/enrol/Barack Obama/2009.jpg,0,a
tests/pictures/portrait.jpg,tests/pictures/exif-1.jpg,1,b
tests/pictures/portrait.jpg,tests/pictures/stranger.jpg,0,b
";
const GALLERY: &str = "\
subject,image
Barack Obama,demo/enrol/Barack Obama/2009.jpg
Resident,demo/enrol/Resident/video-240.jpg
Resident,demo/enrol/Resident/video-256.jpg
";
const MATED: &str = "\
image,identity
demo/enrol/Barack Obama/2010.jpg,Barack Obama
demo/enrol/Resident/video-272.jpg,Resident
";
const NONMATED: &str = "\
subject,image
,tests/pictures/portrait.jpg
Grace Hopper,tests/pictures/stranger.jpg
,tests/pictures/no-face.jpg
";
/// Marked by hand.
const BOXES: &str = "\
image,x,y,w,h
tests/pictures/six-faces.jpg,65,50,92,118
tests/pictures/six-faces.jpg,273,48,112,122
tests/pictures/six-faces.jpg,505,50,92,118
tests/pictures/six-faces.jpg,50,268,114,122
tests/pictures/six-faces.jpg,285,270,92,118
tests/pictures/six-faces.jpg,492,268,114,122
tests/pictures/no-face.jpg,,,,
";

impl Place {
    /// Runs `eval` on pictures of the project; the cache is in this place's home.
    fn eval(&self, arguments: &[&str]) -> Said {
        let root = project("").display().to_string();
        self.run(&[&["eval"], arguments, &["--root", &root]].concat())
    }

    fn verify(&self, pairs: &str, more: &[&str]) -> Said {
        let pairs = self.file("pairs.csv", pairs);
        self.eval(&[&["verify", "--pairs", &pairs], more].concat())
    }

    fn identify(&self, [gallery, mated, nonmated]: [&str; 3], more: &[&str]) -> Said {
        let [g, m, n] =
            [("g.csv", gallery), ("m.csv", mated), ("n.csv", nonmated)].map(|(name, text)| self.file(name, text));
        self.eval(&[&["identify", "--gallery", &g, "--mated", &m, "--nonmated", &n], more].concat())
    }
}

fn one(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    said.json().remove(0)
}

#[test]
fn verify_tells_rates_with_intervals_and_a_second_run_is_the_same() {
    let place = Place::new();
    let cache = place.path("cache").display().to_string();
    let plot = place.path("plot.svg").display().to_string();
    let report = one(&place.verify(PAIRS, &["--json", "--cache", &cache, "--plot", &plot]));
    assert_eq!((&report["pairs"], &report["fta"], &report["eer"]), (&json!(4), &json!(0.0), &json!(0.0)));
    assert!(report["model"].as_str().unwrap().starts_with("mobilefacenet"), "{report}");
    assert!(report["engine"].as_str().unwrap().starts_with("tract"), "{report}");
    assert_eq!((&report["accuracy"]["mean"], &report["accuracy"]["std"]), (&json!(1.0), &json!(0.0)));
    for target in ["0.01", "0.001"] {
        let at = &report["fnmr_at_fmr"][target];
        assert_eq!((&at["fnmr"], &at["low"], &at["resolved"]), (&json!(0.0), &json!(0.0), &json!(false)));
        // 1 - 0.025^(1/2): two mated pairs prove little.
        assert!((at["high"].as_f64().unwrap() - 0.841_886).abs() < 1e-6, "{at}");
        assert!((-1.0..1.0).contains(&at["threshold"].as_f64().unwrap()), "{at}");
    }
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("FNMR, false negatives, %"), "{}", &svg[..200]);

    let files: Vec<_> = fs::read_dir(&cache).unwrap().map(|f| f.unwrap().path()).collect();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((files.len(), mode(Path::new(&cache)), mode(&files[0])), (1, 0o700, 0o600));
    let kept = fs::read(&files[0]).unwrap();
    assert_eq!(one(&place.verify(PAIRS, &["--json", "--cache", &cache])), report);
    assert_eq!(fs::read(&files[0]).unwrap(), kept, "a second run adds nothing");

    // Half a line, and one changed character: both pictures are looked at again.
    let mut damaged = kept.clone();
    damaged[100] ^= 1;
    damaged.truncate(kept.len() - 10);
    fs::write(&files[0], damaged).unwrap();
    let said = place.verify(PAIRS, &["--json", "--cache", &cache]);
    assert_eq!(one(&said), report);
    assert!(said.err.contains("2 damaged entries"), "{said:?}");
}

#[test]
fn identify_tells_every_reference_and_leaves_nothing_without_a_cache() {
    let place = Place::new();
    let lists = [GALLERY, MATED, NONMATED];
    let report = one(&place.identify(lists, &["--json", "--no-cache"]));
    assert_eq!(
        (&report["reference"], &report["subjects"], &report["mated"], &report["nonmated"]),
        (&json!("mean"), &json!(2), &json!(2), &json!(3))
    );
    assert_eq!((&report["rank1"], &report["fta"]), (&json!(1.0), &json!(0.2)));
    for target in ["0.01", "0.003", "0.001"] {
        let at = &report["fnir_at_fpir"][target];
        assert_eq!((&at["fnir"], &at["resolved"], &at["fpir"]["trials"]), (&json!(0.0), &json!(false), &json!(3)));
        assert!(at["high"].as_f64().unwrap() > 0.8 && at["threshold"].as_f64().unwrap() < 0.6, "{at}");
    }
    assert!(!place.path(".cache").exists());

    let text = place.identify(lists, &[]).out;
    for expected in [
        "2 subjects from 3 photos, 2 mated and 3 non-mated probes",
        "tests/pictures/no-face.jpg: no face found",
        "reference: mean\n",
        "reference: best-template\n",
        "reference: quality-weighted-mean\n",
        "FPIR 0.1 % cannot be said from 3 non-mated trials",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(place.path(".cache/doorward/eval").exists());
    let best = one(&place.identify(lists, &["--json", "--reference", "best-template"]));
    assert_eq!(best["reference"], "best-template");
    let unknown = place.identify(lists, &["--reference", "median"]);
    assert!(unknown.code == 2 && unknown.err.contains("quality-weighted-mean"), "{unknown:?}");
}

#[test]
fn detect_lists_what_was_missed() {
    let place = Place::new();
    let run = |boxes: &str| {
        let boxes = place.file("boxes.csv", boxes);
        one(&place.eval(&["detect", "--boxes", &boxes, "--json"]))
    };
    let report = run(BOXES);
    assert_eq!((&report["faces"], &report["recall"], &report["precision"]), (&json!(6), &json!(1.0), &json!(1.0)));
    assert_eq!(report["misses"], json!([]));

    // A face that is not there, and one that is there and was not marked.
    let report = run(&BOXES.replace("492,268,114,122", "430,180,60,60"));
    assert_eq!((&report["faces"], &report["detections"]), (&json!(6), &json!(6)));
    assert!((report["recall"].as_f64().unwrap() - 5.0 / 6.0).abs() < 1e-12, "{report}");
    assert!((report["precision"].as_f64().unwrap() - 5.0 / 6.0).abs() < 1e-12, "{report}");
    assert_eq!(report["misses"][0]["bbox"], json!([430.0, 180.0, 60.0, 60.0]));
    assert_eq!(report["misses"][0]["image"], "tests/pictures/six-faces.jpg");
}

#[test]
fn lists_that_cannot_be_used_are_named_with_line_and_remedy() {
    let place = Place::new();
    let verify = |pairs: &str| place.verify(pairs, &[]);
    let identify = |lists: [&str; 3]| place.identify(lists, &[]);
    let missing = PAIRS.replace("2009", "1809").replace("portrait", "landscape");
    let cases = [
        (verify(&missing), "2 of 6 pictures in the lists are not in"),
        (verify(&PAIRS.replace("same", "equal")), "pairs.csv, line 1: has no column same"),
        (verify(&PAIRS.replace(",0,", ",1,")), "no non-mated (same = 0) pair"),
        (
            verify(&format!("{PAIRS}tests/pictures/portrait.jpg,tests/pictures/stranger.jpg,0,b\n")),
            "line 6: the same pair",
        ),
        (identify(["subject,image\n", MATED, NONMATED]), "g.csv: has no rows"),
        (identify([GALLERY, GALLERY, NONMATED]), "is also in list"),
        (identify([MATED, GALLERY, MATED]), "is also in list"),
        (identify([GALLERY, MATED, "subject,picture\n,a.jpg\n"]), "n.csv, line 1: has no column image"),
        (place.eval(&["detect", "--boxes", "no/such/list.csv"]), "no/such/list.csv: cannot be read"),
        (place.verify(PAIRS, &["--face", "nearest"]), "allowed is largest or centre"),
        (place.verify(PAIRS, &["--plot", "no/such/folder/plot.svg"]), "no/such/folder/plot.svg: cannot be written"),
        (place.verify(PAIRS, &["--cache", &picture("portrait.jpg")]), "cannot be created"),
    ];
    for (said, expected) in cases {
        assert!(said.code == 2 && said.err.contains(expected) && said.out.is_empty(), "{expected}: {said:?}");
    }
}

#[test]
fn photos_from_which_nothing_can_be_said() {
    let place = Place::new();
    let no_face = fs::read(picture("no-face.jpg")).unwrap();
    let portrait = fs::read(picture("portrait.jpg")).unwrap();
    // What stands behind a JPEG's end is not part of the picture: other files, the same face.
    for n in 0..3 {
        place.file(&format!("empty-{n}.jpg"), [&no_face[..], &[n]].concat());
        place.file(&format!("same-{n}.jpg"), [&portrait[..], &[n]].concat());
    }
    let root = place.path("").display().to_string();
    let run = |kind: &str| {
        let pairs = format!("image1,image2,same\n{kind}-0.jpg,{kind}-1.jpg,1\n{kind}-0.jpg,{kind}-2.jpg,0\n");
        place.run(&["eval", "verify", "--pairs", &place.file("p.csv", pairs), "--root", &root, "--json"])
    };
    let nobody = run("empty");
    assert!(nobody.code == 3 && nobody.err.contains("none of 3 pictures gave an embedding"), "{nobody:?}");
    let constant = run("same");
    assert!(constant.code == 3 && constant.err.contains("the same embedding for all 3 pictures"), "{constant:?}");
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let place = Place::new();
    // Other files, so that each is looked at: bytes behind a JPEG's end change nothing but the hash.
    let photos = 30;
    let mut pairs = "image1,image2,same\n".to_owned();
    for n in 0..photos {
        for name in ["portrait", "stranger"] {
            let bytes = fs::read(picture(&format!("{name}.jpg"))).unwrap();
            place.file(&format!("{name}-{n}.jpg"), [&bytes[..], &[n]].concat());
        }
        pairs +=
            &format!("portrait-{n}.jpg,stranger-{n}.jpg,0\nportrait-{n}.jpg,portrait-{}.jpg,1\n", (n + 1) % photos);
    }
    let (root, pairs) = (place.path("").display().to_string(), place.file("pairs.csv", pairs));
    let cache = place.path("cache");
    let arguments =
        ["eval", "verify", "--pairs", &pairs, "--root", &root, "--json", "--cache", &cache.display().to_string()];
    let kept = || {
        let files = fs::read_dir(&cache).map(|dir| dir.map(|f| f.unwrap().path()).collect::<Vec<_>>());
        let lines = |path: &std::path::PathBuf| fs::read(path).unwrap().iter().filter(|b| **b == b'\n').count();
        files.unwrap_or_default().first().map_or(0, lines)
    };

    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.args(arguments).env("HOME", place.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    for _ in 0..30_000 {
        if kept() > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = Said::of(&child.wait_with_output().unwrap());
    assert!(said.code == 130 && said.err.contains("stopped: ") && said.out.is_empty(), "{said:?}");
    let before = kept();
    assert!((1..2 * usize::from(photos)).contains(&before), "{before}");

    let report = one(&place.run(&arguments));
    assert_eq!((&report["eer"], &report["mated"]["n"]), (&json!(0.0), &json!(photos)));
    assert_eq!(kept(), 2 * usize::from(photos), "nothing was done twice");
}

#[test]
fn a_threshold_is_refused_as_rates_are_told_for_all_of_them() {
    let place = Place::new();
    for option in [["--threshold", "0.5"], ["--operating-point", "fpir-0.01"]] {
        let said = place.verify(PAIRS, &option);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(option[0]) && said.err.contains("leave it out"), "{said:?}");
    }
}
