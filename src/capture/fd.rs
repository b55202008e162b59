//! Bytes from a file descriptor that may block: a pipe, a FIFO, a terminal, a file.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    CaptureError,
    stop::StopSignal,
    stream::{ByteStream, Chunk},
};

/// Longest single wait, so that a stop is noticed soon.
const SLICE: Duration = Duration::from_millis(100);
/// One pipe's worth.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) struct FdBytes<F> {
    fd: F,
    place: String,
    stop: StopSignal,
    chunk: Vec<u8>,
}

impl<F: AsFd> FdBytes<F> {
    pub(super) fn new(fd: F, place: String, stop: StopSignal) -> Self {
        Self { fd, place, stop, chunk: vec![0; CHUNK_BYTES] }
    }

    fn read_error(&self, errno: Errno) -> CaptureError {
        CaptureError::Read { place: self.place.clone(), source: errno.into() }
    }
}

impl FdBytes<OwnedFd> {
    /// Opens a file, or a FIFO without waiting for its writer.
    pub(super) fn open(path: &Path, stop: StopSignal) -> Result<Self, CaptureError> {
        let place = path.display().to_string();
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| CaptureError::Open { place: place.clone(), source: errno.into() })?;
        Ok(Self::new(fd, place, stop))
    }
}

impl<F: AsFd> ByteStream for FdBytes<F> {
    fn next_chunk(&mut self, deadline: Option<Instant>) -> Result<Chunk<'_>, CaptureError> {
        loop {
            if self.stop.is_stopped() {
                return Ok(Chunk::Stopped);
            }
            let slice = deadline.map_or(SLICE, |d| d.saturating_duration_since(Instant::now()).min(SLICE));
            if slice.is_zero() {
                return Ok(Chunk::Late);
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: slice.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(self.read_error(errno)),
            }
            match rustix::io::read(&self.fd, &mut self.chunk[..]) {
                Ok(0) => return Ok(Chunk::End),
                Ok(n) => return Ok(Chunk::Bytes(&self.chunk[..n])),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(self.read_error(errno)),
            }
        }
    }
}
