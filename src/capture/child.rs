//! A program whose standard output is MJPEG, such as `rpicam-vid`. It runs in a process group of its
//! own, so that what it starts ends with it.
//!
//! When doorward itself is killed, nobody is left to end the program. Its output is broken then, so that the next picture it writes
//! ends it; one that hangs is ended by the service manager with the service's group.

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{
    CaptureError,
    fd::FdBytes,
    stop::StopSignal,
    stream::{ByteStream, Chunk},
};

/// How long a program may take to end by itself, once asked or once its output has ended.
const GRACE: Duration = Duration::from_millis(300);

/// What to do when a program cannot be started.
fn remedy(program: &str, kind: io::ErrorKind) -> &'static str {
    match (program.rsplit('/').next(), kind) {
        (Some("rpicam-vid" | "libcamera-vid"), io::ErrorKind::NotFound) => {
            "install the package rpicam-apps (rpicam-apps-lite without a desktop)"
        }
        (_, io::ErrorKind::NotFound) => "install it, or write its whole path",
        (_, io::ErrorKind::PermissionDenied) => "make it executable for the user doorward runs as",
        _ => "try it by hand as the user doorward runs as",
    }
}

pub(super) struct ChildBytes {
    place: String,
    child: Child,
    /// Its number, and its group's, may be another's from then on.
    reaped: bool,
    output: FdBytes<ChildStdout>,
}

impl ChildBytes {
    /// Starts the program `argv[0]` with the other words as arguments.
    pub(super) fn spawn(argv: &[String], stop: StopSignal) -> Result<Self, CaptureError> {
        let (program, arguments) = argv.split_first().ok_or_else(|| CaptureError::Format {
            place: "command".into(),
            why: "no program is named; give a program and its arguments".into(),
        })?;
        // Not the arguments: they may hold a password.
        let place = format!("program {program}");
        let start = |source: io::Error| {
            let remedy = remedy(program, source.kind());
            CaptureError::Start { place: place.clone(), source, remedy }
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        Ok(Self { output: FdBytes::new(stdout, place.clone(), stop), place, child, reaped: false })
    }

    /// What messages call it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Waits for the program's end at most for [`GRACE`], without reaping it: its process group
    /// keeps its number until then.
    fn wait_for_end(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let deadline = Instant::now() + GRACE;
        loop {
            match waitid(WaitId::Pid(Pid::from_child(&self.child)), options) {
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Ok(None) => return false,
                _ => return true,
            }
        }
    }
}

impl ChildBytes {
    /// Ends what is left of its process group, and reaps it.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        if !self.reaped {
            // Fails only when none is left.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            self.reaped = true;
        }
        self.child.wait()
    }
}

impl ByteStream for ChildBytes {
    fn next_chunk(&mut self, deadline: Option<Instant>) -> Result<Chunk<'_>, CaptureError> {
        self.output.next_chunk(deadline)
    }

    fn ended(&mut self) -> Result<(), CaptureError> {
        let how = if self.reaped || self.wait_for_end() {
            self.reap().map_or_else(|e| e.to_string(), |status| status.to_string())
        } else {
            "it closed its output but runs on".into()
        };
        Err(CaptureError::Ended { place: self.place.clone(), how })
    }
}

impl Drop for ChildBytes {
    fn drop(&mut self) {
        if !self.reaped {
            // Asked first, so that it can release its camera.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
            self.wait_for_end();
            let _ = self.reap();
        }
    }
}
