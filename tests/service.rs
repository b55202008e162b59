//! `doorward run` under a service manager: what it tells through `NOTIFY_SOCKET` and when, its log in the journal, its exit codes, and the
//! unit it is shipped with.
//!
//! The daemon is the real one, and so is the socket; the service manager is this test.

use std::{
    fs::{self, File},
    os::unix::{fs::MetadataExt, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use doorward::gallery::Gallery;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

/// Long enough for a busy machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Frames of the demo's sequence, one JPEG after the other.
fn frames(range: std::ops::Range<usize>) -> Vec<u8> {
    let stream = fs::read(project("demo/door.mjpeg")).unwrap();
    let starts: Vec<usize> =
        stream.windows(3).enumerate().filter(|(_, w)| *w == [0xff, 0xd8, 0xff]).map(|(i, _)| i).collect();
    stream[starts[range.start]..starts[range.end]].to_vec()
}

/// A service manager with one service.
struct Manager {
    dir: TempDir,
    socket: UnixDatagram,
    /// Every line it was sent.
    heard: Vec<String>,
}

impl Manager {
    /// With an empty gallery and two recordings: `empty.mjpeg`, nobody at the door, and `face.mjpeg`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Gallery::open_or_create(&dir.path().join("gallery"), None).unwrap();
        fs::write(dir.path().join("empty.mjpeg"), frames(0..8)).unwrap();
        fs::write(dir.path().join("face.mjpeg"), frames(84..92)).unwrap();
        Self { dir, socket, heard: Vec::new() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn command(&self, config: &str, watchdog: Duration) -> Command {
        let file = self.path("door.toml");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command
            .args(["run", "-v", "--config", &file, "--gallery", &self.path("gallery")])
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
            .env_remove("WATCHDOG_PID")
            .env_remove("JOURNAL_STREAM")
            .env_remove("RUST_LOG")
            .env_remove("DOORWARD_ISA")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn start(&self, config: &str, watchdog: Duration) -> Service {
        Service(self.command(config, watchdog).spawn().unwrap())
    }

    /// Listens for a moment; the lines that came.
    fn listen(&mut self) -> &[String] {
        let before = self.heard.len();
        let mut buffer = [0; 4096];
        if let Ok(n) = self.socket.recv(&mut buffer) {
            self.heard.extend(std::str::from_utf8(&buffer[..n]).unwrap().lines().map(str::to_owned));
        }
        &self.heard[before..]
    }

    /// Listens for so long; the lines that came.
    fn listen_for(&mut self, time: Duration) -> Vec<String> {
        let (before, started) = (self.heard.len(), Instant::now());
        while started.elapsed() < time {
            self.listen();
        }
        self.heard[before..].to_vec()
    }

    /// Listens until a line is like this.
    fn wait_for(&mut self, what: &str, like: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !self.listen().iter().any(|line| like(line)) {
            assert!(started.elapsed() < PATIENCE, "never heard {what}: {:?}", self.heard);
        }
    }

    fn heard(&self, word: &str) -> bool {
        self.heard.iter().any(|line| line == word)
    }
}

/// The daemon; killed when the test fails.
struct Service(Child);

impl Service {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for its end; the exit code.
    fn wait(&mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const READY: &str = "READY=1";
const WATCHDOG: &str = "WATCHDOG=1";
const STOPPING: &str = "STOPPING=1";

#[test]
fn it_is_ready_with_the_first_frame_alive_while_frames_go_through_and_says_when_it_stops() {
    let mut manager = Manager::new();
    let config = format!("[source]\nmjpeg = '{}'\nrealtime = true\nrepeat = true\n", manager.path("face.mjpeg"));
    let mut service = manager.start(&config, Duration::from_secs(2));
    manager.wait_for("READY", |line| line == READY);
    assert!(!manager.heard(WATCHDOG), "{:?}", manager.heard);
    let ready = Instant::now();
    manager.wait_for("the first WATCHDOG", |line| line == WATCHDOG);
    assert!(ready.elapsed() > Duration::from_millis(300), "half of two seconds: {:?}", ready.elapsed());
    manager.wait_for("the second WATCHDOG", |line| line == WATCHDOG);
    assert!(manager.heard.iter().any(|line| line.starts_with("STATUS=guarding the door")), "{:?}", manager.heard);
    assert!(!manager.heard(STOPPING));
    service.signal(Signal::TERM);
    manager.wait_for("STOPPING", |line| line == STOPPING);
    assert_eq!(service.wait(), Some(0));
    for once in [READY, STOPPING] {
        assert_eq!(manager.heard.iter().filter(|line| *line == once).count(), 1, "{:?}", manager.heard);
    }
}

#[test]
fn without_a_frame_it_is_not_ready_and_says_what_it_waits_for() {
    let mut manager = Manager::new();
    let config = "[source]\ncommand = ['sleep', '600']\nstall_timeout_ms = 300\n";
    let mut service = manager.start(config, Duration::from_millis(500));
    manager.wait_for("the trouble", |line| line.starts_with("STATUS=waiting for frames: ") && line.contains("300 ms"));
    manager.listen_for(Duration::from_secs(1));
    assert!(!manager.heard(READY) && !manager.heard(WATCHDOG), "{:?}", manager.heard);
    service.signal(Signal::TERM);
    manager.wait_for("STOPPING", |line| line == STOPPING);
    assert_eq!(service.wait(), Some(0));
}

#[test]
fn a_source_that_stalls_stops_the_watchdog_until_frames_come_again() {
    let mut manager = Manager::new();
    // A camera program that can be stopped; each word of it in the group whose number it writes down.
    let script = format!(
        "echo $$ > '{}'; while :; do cat '{}'; sleep 0.05; done",
        manager.path("camera.pid"),
        manager.path("empty.mjpeg")
    );
    let config = format!("[source]\ncommand = ['sh', '-c', \"{script}\"]\nstall_timeout_ms = 600000\n");
    let feed_every = Duration::from_millis(500);
    let mut service = manager.start(&config, 2 * feed_every);
    manager.wait_for("WATCHDOG", |line| line == WATCHDOG);
    let group: i32 = fs::read_to_string(manager.path("camera.pid")).unwrap().trim().parse().unwrap();
    let camera = |signal| kill_process_group(Pid::from_raw(group).unwrap(), signal).unwrap();

    camera(Signal::STOP);
    // Frames already under way may feed it once more.
    manager.listen_for(2 * feed_every);
    let meanwhile = manager.listen_for(4 * feed_every);
    assert!(!meanwhile.iter().any(|line| line == WATCHDOG), "{meanwhile:?}");
    camera(Signal::CONT);
    manager.wait_for("WATCHDOG again", |line| line == WATCHDOG);
    service.signal(Signal::TERM);
    assert_eq!(service.wait(), Some(0));
}

#[test]
fn an_event_that_cannot_be_written_stops_the_watchdog() {
    let mut manager = Manager::new();
    let config = format!(
        "[source]\nmjpeg = '{}'\nrealtime = true\nrepeat = true\n[output]\nfile = '/dev/full'\n",
        manager.path("face.mjpeg")
    );
    let feed_every = Duration::from_millis(500);
    let mut service = manager.start(&config, 2 * feed_every);
    manager.wait_for("READY", |line| line == READY);
    // The first event may come after the first feeding.
    manager.listen_for(4 * feed_every);
    let meanwhile = manager.listen_for(4 * feed_every);
    assert!(!meanwhile.iter().any(|line| line == WATCHDOG), "{meanwhile:?}");
    service.signal(Signal::TERM);
    manager.wait_for("STOPPING", |line| line == STOPPING);
    assert_eq!(service.wait(), Some(3), "an event was lost");
}

#[test]
fn a_configuration_that_is_wrong_ends_with_2_and_is_never_ready() {
    let mut manager = Manager::new();
    let place = |name: &str| manager.path(name);
    let recording = format!("[source]\nmjpeg = '{}'\n", place("empty.mjpeg"));
    let wrong = [
        format!("{recording}[policy]\nmargin = 7\n"),
        format!("{recording}[recogniser]\noperating_point = 'none'\n"),
        format!("{recording}[gallery]\ndir = '{}'\n", place("nowhere")),
        format!("[source]\nmjpeg = '{}'\n", place("nowhere.mjpeg")),
        "[source]\ncommand = ['/nonexistent/camera']\n".to_owned(),
    ];
    for config in wrong {
        let mut command = manager.command(&config, Duration::from_secs(1));
        if config.contains("[gallery]") {
            // The command line's folder would win.
            command = Command::new(env!("CARGO_BIN_EXE_doorward"));
            command.args(["run", "--config", &manager.path("door.toml")]).env("NOTIFY_SOCKET", manager.path("notify"));
            command.stderr(Stdio::null());
        }
        let mut service = Service(command.spawn().unwrap());
        assert_eq!(service.wait(), Some(2), "{config}");
        manager.listen_for(Duration::from_millis(50));
        assert!(!manager.heard(READY) && !manager.heard(WATCHDOG), "{config}: {:?}", manager.heard);
    }
}

#[test]
fn another_process_watchdog_is_not_fed() {
    let mut manager = Manager::new();
    let config = format!("[source]\nmjpeg = '{}'\nrealtime = true\nrepeat = true\n", manager.path("empty.mjpeg"));
    let mut command = manager.command(&config, Duration::from_millis(500));
    let mut service = Service(command.env("WATCHDOG_PID", "1").spawn().unwrap());
    manager.wait_for("READY", |line| line == READY);
    let meanwhile = manager.listen_for(Duration::from_millis(1500));
    assert!(!meanwhile.iter().any(|line| line == WATCHDOG), "{meanwhile:?}");
    service.signal(Signal::TERM);
    assert_eq!(service.wait(), Some(0));
}

#[test]
fn a_socket_that_is_not_there_keeps_nobody_from_guarding_the_door() {
    let manager = Manager::new();
    let config = format!("[source]\nmjpeg = '{}'\n", manager.path("empty.mjpeg"));
    let mut command = manager.command(&config, Duration::from_secs(1));
    let output = command.env("NOTIFY_SOCKET", manager.path("nowhere")).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("service manager cannot be told").count(), 1, "said once: {said}");
}

/// What a run says on standard error, and its exit code; `journal` makes that the journal's stream.
fn log_of(manager: &Manager, config: &str, journal: impl Fn(&File) -> String) -> (String, Option<i32>) {
    let log = File::create(manager.path("log")).unwrap();
    let mut command = manager.command(config, Duration::from_secs(1));
    command.env("JOURNAL_STREAM", journal(&log)).stderr(log);
    let code = Service(command.spawn().unwrap()).wait();
    (fs::read_to_string(manager.path("log")).unwrap(), code)
}

fn stream_of(file: &File) -> String {
    let metadata = file.metadata().unwrap();
    format!("{}:{}", metadata.dev(), metadata.ino())
}

#[test]
fn in_the_journal_lines_carry_priorities_and_no_times() {
    let manager = Manager::new();
    let config = format!("[source]\nmjpeg = '{}'\n", manager.path("empty.mjpeg"));
    let (log, code) = log_of(&manager, &config, stream_of);
    assert_eq!(code, Some(0), "{log}");
    let bare: Vec<&str> = log.lines().map(|line| line.get(3..).unwrap_or_default()).collect();
    for line in log.lines() {
        assert!(["<3>", "<4>", "<6>"].iter().any(|priority| line.starts_with(priority)), "{log}");
    }
    assert!(log.lines().any(|line| line.starts_with("<4>") && line.contains("nobody is enrolled")), "{log}");
    assert!(bare.iter().any(|line| line.starts_with("captured 8 frames")), "{log}");
    assert!(
        bare.iter().all(|line| !line.starts_with('[') && !line.contains("INFO") && !line.contains('\u{1b}')),
        "{log}"
    );

    let (log, code) = log_of(&manager, "[source]\nmjpeg = 7\n", stream_of);
    assert_eq!(code, Some(2));
    assert!(log.contains("mjpeg") && log.lines().all(|line| line.starts_with("<3>")), "{log}");
    assert_eq!(log.matches("TOML parse error").count(), 1, "said once: {log}");
}

#[test]
fn a_standard_error_that_is_not_the_journals_is_written_for_people() {
    let manager = Manager::new();
    for journal in ["1:2", "", "nonsense"] {
        let (log, code) = log_of(&manager, "[source]\nmjpeg = 7\n", |_| journal.to_owned());
        assert_eq!(code, Some(2));
        assert!(log.starts_with("doorward: "), "{log}");
    }
}

// ---------------------------------------------------------------- the unit

/// Runs one of systemd's tools; `None`, and a line that says so, where it is not installed.
fn systemd(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(e) => {
            eprintln!("skipped: {program} (package systemd) cannot be run here: {e}");
            None
        }
    }
}

#[test]
fn the_unit_is_sound_with_and_without_the_pi_cameras_drop_in() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("doorward.service");
    // What it starts is not installed here.
    let text = fs::read_to_string(project("systemd/doorward.service")).unwrap();
    fs::write(&unit, text.replace("/usr/bin/doorward", env!("CARGO_BIN_EXE_doorward"))).unwrap();
    let unit = unit.display().to_string();
    let verify = || systemd("systemd-analyze", &["verify", &unit]);
    let Some(said) = verify() else { return };
    assert_eq!(said, (true, String::new()));
    let drop_ins = dir.path().join("doorward.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::copy(project("systemd/doorward-pi-camera.conf"), drop_ins.join("pi-camera.conf")).unwrap();
    assert_eq!(verify().unwrap(), (true, String::new()));
    // That silence means something.
    fs::write(drop_ins.join("wrong.conf"), "[Service]\nWatchdogSecs=1\n").unwrap();
    assert!(verify().unwrap().1.contains("WatchdogSecs"));
}

#[test]
fn the_unit_is_hardened_to_an_exposure_of_at_most_1_5() {
    let unit = project("systemd/doorward.service").display().to_string();
    let arguments = ["security", "--offline=true", "--threshold=15", "--no-pager", &unit];
    let Some((within, said)) = systemd("systemd-analyze", &arguments) else { return };
    assert!(within, "{said}");
}

#[test]
fn the_unit_leaves_the_service_what_it_needs() {
    let unit = fs::read_to_string(project("systemd/doorward.service")).unwrap();
    let has = |line: &str| unit.lines().any(|l| l == line);
    // Cameras and GPIO.
    assert!(
        has("DeviceAllow=char-video4linux rw") && has("DeviceAllow=char-gpiochip rw") && !has("PrivateDevices=yes")
    );
    // The processor's features, the boot's id.
    assert!(!has("ProcSubset=pid"));
    // A wrong configuration is not tried again.
    assert!(has("Type=notify") && has("RestartPreventExitStatus=2"));
    let groups = unit.lines().find_map(|l| l.strip_prefix("SupplementaryGroups=")).unwrap();
    let sysusers = fs::read_to_string(project("systemd/doorward.sysusers")).unwrap();
    for group in groups.split(' ') {
        assert!(sysusers.contains(&format!("g {group} ")), "the unit does not start without the group {group}");
    }
}

#[test]
fn user_groups_and_modes_are_made_from_the_shipped_files() {
    let root = tempfile::tempdir().unwrap();
    let root_option = format!("--root={}", root.path().display());
    fs::create_dir_all(root.path().join("etc/doorward")).unwrap();
    let config = root.path().join("etc/doorward/doorward.toml");
    fs::write(&config, "").unwrap();
    let sysusers = project("systemd/doorward.sysusers").display().to_string();
    let Some((made, said)) = systemd("systemd-sysusers", &[&root_option, &sysusers]) else { return };
    assert!(made, "{said}");
    let lines = |name: &str| fs::read_to_string(root.path().join("etc").join(name)).unwrap();
    assert!(
        lines("passwd").lines().any(|l| l.starts_with("doorward:") && l.ends_with("/nologin")),
        "{}",
        lines("passwd")
    );
    for group in ["video", "gpio"] {
        assert!(lines("group").lines().any(|l| l.starts_with(&format!("{group}:")) && l.ends_with(":doorward")));
    }
    // Owners can be given by root alone.
    if rustix::process::getuid().is_root() {
        let tmpfiles = project("systemd/doorward.tmpfiles").display().to_string();
        let (made, said) = systemd("systemd-tmpfiles", &[&root_option, "--create", &tmpfiles]).unwrap();
        assert!(made, "{said}");
        assert_eq!(fs::metadata(&config).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::metadata(config.parent().unwrap()).unwrap().mode() & 0o7777, 0o750);
    }
}
