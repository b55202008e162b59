//! Concatenated JPEGs, as `ffmpeg -f mjpeg` and `rpicam-vid --codec mjpeg` write them.

use image::RgbImage;

use super::{
    framing::{Backlog, Framing, MAX_FRAME_BYTES, Part},
    jpeg::{self, JpegWalk, SOI, Walk},
};

/// Cuts concatenated JPEGs apart. What stands between them is skipped; a picture in which another
/// starts, or in which a segment is malformed, is cut, and the search goes on from there.
#[derive(Default)]
pub struct MjpegSplitter {
    backlog: Backlog,
    /// In a picture, which then starts at the first byte of the backlog.
    walk: Option<JpegWalk>,
    skipped: u64,
}

impl MjpegSplitter {
    /// Before the first byte of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that belonged to no picture: padding, garbage, the rest of a cut picture.
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped
    }

    fn skip(&mut self, n: usize) {
        self.backlog.skip(n);
        self.skipped += n as u64;
    }

    /// Goes to the next picture's first byte; false when there is none yet.
    fn find_start(&mut self) -> bool {
        let rest = self.backlog.rest();
        // A marker always follows the SOI marker: three bytes make a chance hit rare.
        match rest.windows(3).position(|w| w == [0xFF, SOI, 0xFF]) {
            Some(at) => {
                self.skip(at);
                self.walk = Some(JpegWalk::new());
                true
            }
            None => {
                self.skip(rest.len().saturating_sub(2));
                false
            }
        }
    }
}

impl Framing for MjpegSplitter {
    fn push(&mut self, bytes: &[u8]) {
        self.backlog.push(bytes);
    }

    fn next_part(&mut self) -> Result<Option<Part>, String> {
        if self.walk.is_none() && !self.find_start() {
            return Ok(None);
        }
        let Some(walk) = &mut self.walk else { return Ok(None) };
        let rest = self.backlog.rest();
        let part = match walk.step(rest) {
            Walk::End(end) if end <= MAX_FRAME_BYTES => Part::Frame(self.backlog.take(end)),
            Walk::NeedsMore if rest.len() <= MAX_FRAME_BYTES => return Ok(None),
            Walk::End(_) | Walk::NeedsMore => {
                self.skip(MAX_FRAME_BYTES);
                Part::Cut(format!("larger than {} MB", MAX_FRAME_BYTES >> 20))
            }
            Walk::Broken { at, why } => {
                self.skip(at);
                Part::Cut(why.into())
            }
        };
        self.walk = None;
        Ok(Some(part))
    }

    fn finish(&mut self) -> Option<Part> {
        self.skip(self.backlog.rest().len());
        self.walk.take().map(|_| Part::Cut("cut off: the stream ends inside it".into()))
    }

    fn decode(&self, frame: &[u8]) -> Result<RgbImage, String> {
        jpeg::decode_frame(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PORTRAIT: &[u8] = include_bytes!("../../tests/pictures/portrait.jpg");
    const TURNED: &[u8] = include_bytes!("../../tests/pictures/exif-6.jpg");

    fn split(stream: &[u8], pieces: &[usize]) -> (Vec<Part>, u64) {
        let mut splitter = MjpegSplitter::new();
        let mut parts = Vec::new();
        let mut rest = stream;
        for &n in pieces.iter().chain([&usize::MAX]) {
            let (piece, later) = rest.split_at(n.min(rest.len()));
            rest = later;
            splitter.push(piece);
            while let Some(part) = splitter.next_part().unwrap() {
                parts.push(part);
            }
        }
        parts.extend(splitter.finish());
        (parts, splitter.skipped_bytes())
    }

    fn frame(bytes: &[u8]) -> Part {
        Part::Frame(bytes.to_vec())
    }

    #[test]
    fn garbage_between_frames_is_skipped_and_counted() {
        let stream = [b"--boundary\r\n\xFF\xD8\0".as_slice(), PORTRAIT, &[0; 100], TURNED, b"\xFF"].concat();
        assert_eq!(split(&stream, &[]), (vec![frame(PORTRAIT), frame(TURNED)], 15 + 100 + 1));
    }

    #[test]
    fn a_cut_frame_costs_no_other() {
        let stream = [&PORTRAIT[..9000], TURNED, &PORTRAIT[..9000]].concat();
        let (parts, _) = split(&stream, &[]);
        assert!(matches!(&parts[..], [Part::Cut(_), whole, Part::Cut(_)] if *whole == frame(TURNED)), "{parts:?}");
    }

    #[test]
    fn a_frame_without_end_does_not_fill_the_memory() {
        let mut splitter = MjpegSplitter::new();
        splitter.push(&PORTRAIT[..9000]);
        let mut cuts = 0;
        for _ in 0..40 {
            splitter.push(&[0; 1 << 20]);
            while let Some(part) = splitter.next_part().unwrap() {
                assert!(matches!(part, Part::Cut(_)));
                cuts += 1;
            }
            assert!(splitter.backlog.rest().len() <= MAX_FRAME_BYTES);
        }
        assert_eq!(cuts, 1);
    }

    proptest! {
        #[test]
        fn the_pieces_a_stream_arrives_in_change_nothing(
            pieces in prop::collection::vec(0..6000_usize, 0..40),
            order in prop::collection::vec(any::<bool>(), 0..5),
        ) {
            let frames: Vec<&[u8]> = order.iter().map(|&first| if first { PORTRAIT } else { TURNED }).collect();
            let (parts, skipped) = split(&frames.concat(), &pieces);
            prop_assert_eq!(parts, frames.into_iter().map(frame).collect::<Vec<_>>());
            prop_assert_eq!(skipped, 0);
        }

        #[test]
        fn no_bytes_are_a_panic_and_each_is_in_a_frame_or_skipped(
            // Marker bytes are frequent, or nothing would ever start.
            stream in prop::collection::vec(prop_oneof![Just(0xFF), Just(0xD8), Just(0xD9), Just(0xDA), any::<u8>()], 0..600),
            pieces in prop::collection::vec(0..50_usize, 0..20),
        ) {
            let (parts, skipped) = split(&stream, &pieces);
            let in_frames: usize = parts.iter().map(|p| if let Part::Frame(f) = p { f.len() } else { 0 }).sum();
            prop_assert_eq!(in_frames as u64 + skipped, stream.len() as u64);
        }
    }
}
