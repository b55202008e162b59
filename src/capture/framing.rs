//! How single frames are told apart in a stream of bytes. No I/O: bytes are pushed in as they come.

use image::RgbImage;

/// Largest coded frame of a stream, bytes: 4096x4096 MJPEG stays well below. It bounds the buffer.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// What was cut out of a stream.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// A whole frame, still coded.
    Frame(Vec<u8>),
    /// A frame that began and did not end as it must; the reason.
    Cut(String),
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(bytes) => write!(f, "Frame({} bytes)", bytes.len()),
            Self::Cut(why) => write!(f, "Cut({why})"),
        }
    }
}

/// Cuts a stream into frames.
pub trait Framing {
    /// Takes the next bytes of the stream, in pieces of any size.
    fn push(&mut self, bytes: &[u8]);

    /// The next frame among the bytes so far; `None` when more are needed.
    ///
    /// # Errors
    /// Says why no later frame of this stream can be found.
    fn next_part(&mut self) -> Result<Option<Part>, String>;

    /// The stream has ended: what is left of a frame, after `next_part` gave `None`.
    fn finish(&mut self) -> Option<Part>;

    /// The pixels of one [`Part::Frame`].
    ///
    /// # Errors
    /// Says what is wrong with the frame.
    fn decode(&self, frame: &[u8]) -> Result<RgbImage, String>;
}

/// Bytes that arrived and were not used yet.
#[derive(Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    start: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Takes the first `n` bytes away; all of them when there are fewer.
    pub(super) fn skip(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.bytes.len());
    }

    /// Takes the first `n` bytes, of which there must be as many.
    pub(super) fn take(&mut self, n: usize) -> Vec<u8> {
        let taken = self.rest()[..n].to_vec();
        self.skip(n);
        taken
    }

    /// Takes a line without its end (LF or CRLF); `None` when it has not ended yet.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.rest().iter().position(|&b| b == b'\n')?;
        let mut line = self.take(end + 1);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}
