//! `doorward run` as a service manager sees it.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Place, obama, project};

fn configuration(place: &Place, more: &str) -> String {
    let door = project("demo/door.mjpeg").display().to_string();
    place.file("door.toml", format!("door = 'test'\n[source]\nmjpeg = '{door}'\nfps = 12.0\n{more}"))
}

fn start(place: &Place, config: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["run", "--config", config, "--gallery", &place.gallery()])
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn wait(child: &mut Child, at_most: Duration) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < at_most {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("it did not end within {at_most:?}");
}

#[test]
fn a_replay_runs_to_its_end_and_decides_once_on_each_who_comes() {
    let place = Place::new();
    place.enrol();
    let events = place.path("events.jsonl").display().to_string();
    let config = configuration(&place, &format!("[output]\nfile = '{events}'\nscores = true\n"));
    let said = place.run(&["run", "--config", &config, "--gallery", &place.gallery()]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    let text = fs::read_to_string(&events).unwrap();
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let told = |e: &Value| (e["frame"].as_u64().unwrap(), e["subject"].as_str().map(str::to_owned));
    let told: Vec<(u64, Option<String>)> = lines.iter().map(told).collect();
    // Four people come, one after the other, and one of them is known. Nobody is decided on by the first look.
    let stays = [(8..=44, None), (51..=74, None), (81..=104, Some("barack-obama")), (111..=134, None)];
    assert_eq!(told.len(), stays.len(), "{told:?}");
    for ((frame, subject), (stay, who)) in told.iter().zip(&stays) {
        assert!(stay.contains(frame) && *frame >= stay.start() + 2, "{told:?}");
        assert_eq!(subject.as_deref(), *who);
    }
    assert!(lines.iter().all(|e| (e["decision"] == "granted") == e["subject"].is_string()));
    assert!(lines.iter().all(|e| e["similarity"].is_f64()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&events).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "who came and went is not everybody's business");
}

#[test]
fn sigterm_drains_and_ends_within_a_second() {
    let place = Place::new();
    place.enrol();
    let config = configuration(&place, "realtime = true\nrepeat = true\n");
    let mut child = start(&place, &config);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["door"], "test");
    let asked = Instant::now();
    signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child, Duration::from_secs(10)), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    for line in lines {
        serde_json::from_str::<Value>(&line.unwrap()).expect("every line is whole");
    }
}

#[test]
fn somebody_enrolled_while_the_door_is_guarded_is_granted() {
    let place = Place::new();
    let mut stranger = place.command(&[
        "enrol",
        "Somebody Else",
        &project("tests/pictures/stranger.jpg").display().to_string(),
        "--gallery",
        &place.gallery(),
    ]);
    stranger.assert().success();
    // Only the part of the sequence with Barack Obama, round and round.
    let stream = fs::read(project("demo/door.mjpeg")).unwrap();
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    let part = place.file("part.mjpeg", &stream[starts[81]..starts[105]]);
    let config =
        place.file("door.toml", format!("[source]\nmjpeg = '{part}'\nfps = 12.0\nrealtime = true\nrepeat = true\n"));
    let mut child = start(&place, &config);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
    let event = |line: String| serde_json::from_str::<Value>(&line).unwrap();
    assert_eq!(event(lines.next().unwrap())["decision"], "denied");
    let enrol =
        place.run(&["enrol", "Barack Obama", &obama("2009.jpg"), &obama("2010.jpg"), "--gallery", &place.gallery()]);
    assert_eq!(enrol.code, 0, "the running service keeps nobody from enrolling: {enrol:?}");
    let started = Instant::now();
    let granted = lines
        .map(event)
        .take_while(|_| started.elapsed() < Duration::from_secs(30))
        .any(|e| e["decision"] == "granted");
    signal(&child, Signal::TERM);
    wait(&mut child, Duration::from_secs(10));
    assert!(granted);
}

#[test]
fn realtime_keeps_the_recorded_pace() {
    let place = Place::new();
    place.enrol();
    let stream = fs::read(project("demo/door.mjpeg")).unwrap();
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    let part = place.file("part.mjpeg", &stream[..starts[12]]);
    let config = place.file("door.toml", format!("[source]\nmjpeg = '{part}'\nfps = 6.0\n"));
    let started = Instant::now();
    let said = place.run(&["run", "--config", &config, "--gallery", &place.gallery(), "--realtime"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        started.elapsed() > Duration::from_millis(1_800),
        "12 frames at 6 a second take 2 s: {:?}",
        started.elapsed()
    );
    let live = place.file("live.toml", "[source]\ncommand = ['cat', '/dev/null']\n");
    assert_eq!(place.run(&["run", "--config", &live, "--realtime", "--gallery", &place.gallery()]).code, 2);
}

#[test]
fn corrupt_frames_are_counted_skipped_and_said_once_a_burst() {
    let place = Place::new();
    place.enrol();
    let stream = fs::read(project("demo/door.mjpeg")).unwrap();
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    let frame = |n: usize| &stream[starts[n]..starts[n + 1]];
    let cut = |n: usize| &frame(n)[..frame(n).len() / 2];
    let part = place
        .file("part.mjpeg", [frame(81), frame(82), cut(83), cut(84), cut(85), frame(86), cut(87), frame(88)].concat());
    let config = place.file("door.toml", format!("[source]\nmjpeg = '{part}'\n"));
    let said = place.run(&["run", "-v", "--config", &config, "--gallery", &place.gallery()]);
    assert_eq!(said.code, 0, "{said:?}");
    let numbers: Vec<u64> = said.json().iter().map(|e| e["frame"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [5], "the third look decides, and a corrupt frame uses up its number");
    assert_eq!(said.err.matches("corrupt frame skipped").count(), 2, "once a burst: {said:?}");
    assert!(said.err.contains("3 corrupt frames in a row") && said.err.contains("(4 corrupt)"), "{said:?}");
}

/// A camera's program that plays part of the sequence, and adds its number to the file `pids` each time.
fn camera_program(place: &Place, script: &str) -> (String, impl Fn() -> Vec<String>) {
    let stream = fs::read(project("demo/door.mjpeg")).unwrap();
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    let part = place.file("part.mjpeg", &stream[..starts[4]]);
    let pids = place.path("pids");
    let told = pids.display().to_string();
    let config = place.file(
        "door.toml",
        format!(
            "[source]\ncommand = ['sh', '-c', '{script}', '{told}', '{part}']\nstall_timeout_ms = 1000\n\
             [supervision]\nmin_backoff_ms = 10\nmax_backoff_ms = 20\n"
        ),
    );
    let read = move || fs::read_to_string(&pids).unwrap_or_default().lines().map(str::to_owned).collect();
    (config, read)
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Alive, or a zombie.
fn is_there(pid: &String) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

#[test]
fn a_camera_program_is_restarted_when_it_dies_is_killed_hangs_or_writes_garbage() {
    let place = Place::new();
    place.enrol();
    // The last line is each time what it comes to after some frames, or none.
    let script = "echo $$ >> \"$0\"; n=$(wc -l < \"$0\"); case $n in \
        1) cat \"$1\"; exit 7;; 2) cat \"$1\"; kill -9 $$;; 3) while :; do echo garbage; sleep 0.02; done;; \
        4) cat \"$1\"; exec sleep 600;; *) cat \"$1\"; exec sleep 600;; esac";
    let (config, pids) = camera_program(&place, script);
    let mut child = start(&place, &config);
    wait_until("four restarts", || pids().len() >= 5);
    let (last, before) = {
        let mut all = pids();
        (all.split_off(4), all)
    };
    let left: Vec<&String> = before.iter().filter(|pid| is_there(pid)).collect();
    assert!(left.is_empty(), "zombies, or still running: {left:?}");
    signal(&child, Signal::TERM);
    assert_eq!(wait(&mut child, Duration::from_secs(10)), Some(0));
    assert!(!last.iter().any(is_there));
}

#[test]
fn a_camera_program_does_not_outlive_a_doorward_that_is_killed() {
    let place = Place::new();
    place.enrol();
    // As rpicam-vid it writes on and on.
    let (config, pids) = camera_program(&place, "echo $$ >> \"$0\"; while cat \"$1\"; do sleep 0.05; done");
    let mut child = start(&place, &config);
    wait_until("a start", || pids().len() == 1);
    signal(&child, Signal::KILL);
    assert_eq!(child.wait().unwrap().code(), None);
    // Nobody reaps it here but init, which takes a zombie away at once, or a container without one, which does not.
    wait_until("its end", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pids()[0])).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('Z'))
    });
}
