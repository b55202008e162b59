//! JPEGs as parts of a `multipart/x-mixed-replace` body, as IP cameras send them. Tolerant of what
//! cameras do: LF for CRLF, a boundary given with or without its dashes, no Content-Length.

use image::RgbImage;

use super::{
    framing::{Backlog, Framing, MAX_FRAME_BYTES, Part},
    jpeg::{self, JpegWalk, Walk},
};

/// Longest line of a part's header that is still believed to be one.
const MAX_LINE_BYTES: usize = 8192;

/// Cuts a multipart body into its parts' pictures.
pub struct MultipartSplitter {
    /// Two dashes and the boundary.
    delimiter: Vec<u8>,
    backlog: Backlog,
    place: Place,
}

enum Place {
    /// Before a delimiter.
    Between,
    /// Behind a delimiter, on its line or in the part's header.
    Header { length: Option<usize>, on_delimiter: bool },
    /// In a body of known length.
    Sized(usize),
    /// In a body whose end the picture itself tells.
    Open(JpegWalk),
}

impl MultipartSplitter {
    /// For a body with this boundary, with or without leading dashes; `None` when it is empty.
    pub fn new(boundary: &str) -> Option<Self> {
        // Some cameras give the delimiter, dashes and all, as the boundary; others add the two
        // dashes on top. So the dashes are no part of what is looked for.
        let name = boundary.trim_start_matches('-');
        (!name.is_empty()).then(|| Self {
            delimiter: format!("--{name}").into_bytes(),
            backlog: Backlog::default(),
            place: Place::Between,
        })
    }

    /// The value of the `boundary` parameter of a Content-Type.
    pub fn boundary(content_type: &str) -> Option<&str> {
        let (_, parameters) = content_type.split_once(';')?;
        let at = parameters.to_ascii_lowercase().find("boundary=")?;
        let value = parameters.get(at + "boundary=".len()..)?;
        match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next(),
            None => value.split([';', ' ']).next(),
        }
    }

    /// Goes to the next body, unless in one; false when it has not begun yet.
    fn find_body(&mut self) -> bool {
        loop {
            let moved = match self.place {
                Place::Between => self.find_delimiter(),
                Place::Header { length, on_delimiter } => self.read_header(length, on_delimiter),
                Place::Sized(_) | Place::Open(_) => return true,
            };
            if !moved {
                return false;
            }
        }
    }

    /// Goes behind the next delimiter; false when there is none yet.
    fn find_delimiter(&mut self) -> bool {
        let rest = self.backlog.rest();
        match rest.windows(self.delimiter.len()).position(|w| w == self.delimiter) {
            Some(at) => {
                self.backlog.skip(at + self.delimiter.len());
                self.place = Place::Header { length: None, on_delimiter: true };
                true
            }
            None => {
                self.backlog.skip(rest.len().saturating_sub(self.delimiter.len() - 1));
                false
            }
        }
    }

    /// Reads one line of a header; false when it has not ended yet.
    fn read_header(&mut self, length: Option<usize>, on_delimiter: bool) -> bool {
        let Some(line) = self.backlog.take_line() else {
            if self.backlog.rest().len() <= MAX_LINE_BYTES {
                return false;
            }
            self.place = Place::Between;
            return true;
        };
        let line = String::from_utf8_lossy(&line);
        self.place = match line.split_once(':') {
            // The last delimiter has two more dashes; a camera may start over behind it.
            _ if on_delimiter && line.starts_with("--") => Place::Between,
            _ if on_delimiter => Place::Header { length, on_delimiter: false },
            None if line.trim().is_empty() => match length {
                // A part kept empty to keep the connection alive.
                Some(0) => Place::Between,
                Some(n) => Place::Sized(n),
                None => Place::Open(JpegWalk::new()),
            },
            Some((name, value)) if name.trim().eq_ignore_ascii_case("content-length") => {
                Place::Header { length: value.trim().parse().ok().or(length), on_delimiter: false }
            }
            // Sound or text between the pictures.
            Some((name, value))
                if name.trim().eq_ignore_ascii_case("content-type")
                    && !value.trim().to_ascii_lowercase().starts_with("image/") =>
            {
                Place::Between
            }
            _ => Place::Header { length, on_delimiter: false },
        };
        true
    }
}

impl Framing for MultipartSplitter {
    fn push(&mut self, bytes: &[u8]) {
        self.backlog.push(bytes);
    }

    fn next_part(&mut self) -> Result<Option<Part>, String> {
        let too_large = || Part::Cut(format!("larger than {} MB", MAX_FRAME_BYTES >> 20));
        if !self.find_body() {
            return Ok(None);
        }
        let part = match &mut self.place {
            Place::Between | Place::Header { .. } => return Ok(None),
            Place::Sized(n) if *n > MAX_FRAME_BYTES => too_large(),
            Place::Sized(n) if self.backlog.rest().len() < *n => return Ok(None),
            Place::Sized(n) => Part::Frame(self.backlog.take(*n)),
            Place::Open(walk) => {
                let body = self.backlog.rest();
                match (body, walk.step(body)) {
                    ([], _) => return Ok(None),
                    ([first, ..], _) if *first != 0xFF => Part::Cut("a part that holds no JPEG".into()),
                    (_, Walk::End(end)) if end <= MAX_FRAME_BYTES => Part::Frame(self.backlog.take(end)),
                    (_, Walk::NeedsMore) if body.len() <= MAX_FRAME_BYTES => return Ok(None),
                    (_, Walk::End(_) | Walk::NeedsMore) => too_large(),
                    // The next delimiter stands before the break: it is looked for from here.
                    (_, Walk::Broken { why, .. }) => Part::Cut(why.into()),
                }
            }
        };
        self.place = Place::Between;
        Ok(Some(part))
    }

    fn finish(&mut self) -> Option<Part> {
        let in_body = matches!(self.place, Place::Sized(_) | Place::Open(_));
        self.place = Place::Between;
        in_body.then(|| Part::Cut("cut off: the stream ends inside it".into()))
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

    fn split(boundary: &str, body: &[u8], pieces: &[usize]) -> Vec<Part> {
        let mut splitter = MultipartSplitter::new(boundary).unwrap();
        let mut parts = Vec::new();
        let mut rest = body;
        for &n in pieces.iter().chain([&usize::MAX]) {
            let (piece, later) = rest.split_at(n.min(rest.len()));
            rest = later;
            splitter.push(piece);
            while let Some(part) = splitter.next_part().unwrap() {
                parts.push(part);
            }
        }
        parts.extend(splitter.finish());
        parts
    }

    fn body(sized: bool, end: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for jpeg in [PORTRAIT, TURNED, PORTRAIT] {
            body.extend(format!("--cut{end}Content-Type: image/jpeg{end}").bytes());
            if sized {
                body.extend(format!("content-length: {}{end}", jpeg.len()).bytes());
            }
            body.extend(end.bytes());
            body.extend(jpeg);
            body.extend(end.bytes());
        }
        body.extend(format!("--cut--{end}").bytes());
        body
    }

    fn frame(bytes: &[u8]) -> Part {
        Part::Frame(bytes.to_vec())
    }

    #[test]
    fn the_boundary_as_cameras_write_it() {
        for (content_type, boundary) in [
            ("multipart/x-mixed-replace;boundary=cut", Some("cut")),
            ("multipart/x-mixed-replace; Boundary=\"--cut here\"; x=y", Some("--cut here")),
            ("multipart/x-mixed-replace; boundary=--cut ; charset=utf-8", Some("--cut")),
            ("multipart/x-mixed-replace", None),
            ("multipart/x-mixed-replace; x=y", None),
        ] {
            assert_eq!(MultipartSplitter::boundary(content_type), boundary, "{content_type}");
        }
        assert!(MultipartSplitter::new("").is_none() && MultipartSplitter::new("--").is_none());
    }

    #[test]
    fn parts_with_and_without_length_and_with_either_line_end() {
        let all = vec![frame(PORTRAIT), frame(TURNED), frame(PORTRAIT)];
        for boundary in ["cut", "--cut"] {
            for sized in [true, false] {
                for end in ["\r\n", "\n"] {
                    assert_eq!(split(boundary, &body(sized, end), &[]), all, "{boundary} {sized} {end:?}");
                }
            }
        }
    }

    #[test]
    fn a_cut_part_costs_no_other() {
        let header = b"\r\n--cut\r\n\r\n".as_slice();
        let cut = [header, &PORTRAIT[..9000], header, TURNED, header, b"no picture", header, TURNED].concat();
        let parts = split("cut", &cut, &[]);
        assert!(
            matches!(&parts[..], [Part::Cut(_), a, Part::Cut(_), b] if *a == frame(TURNED) && *b == frame(TURNED)),
            "{parts:?}"
        );
        assert!(matches!(&split("cut", &[header, &PORTRAIT[..9000]].concat(), &[])[..], [Part::Cut(_)]));
        let sized = format!("--cut\r\nContent-Length: {}\r\n\r\n", usize::MAX);
        assert!(matches!(&split("cut", sized.as_bytes(), &[])[..], [Part::Cut(_)]));
    }

    #[test]
    fn other_parts_are_passed_over() {
        let body = [
            b"--cut\nContent-Type: text/plain\nContent-Length: 5\n\nhello\n--cut\nContent-Length: 0\n\n\n--cut\n\n",
            PORTRAIT,
        ]
        .concat();
        assert_eq!(split("cut", &body, &[]), vec![frame(PORTRAIT)]);
    }

    proptest! {
        #[test]
        fn the_pieces_a_body_arrives_in_change_nothing(
            pieces in prop::collection::vec(0..3000_usize, 0..40), sized: bool,
        ) {
            let body = body(sized, "\r\n");
            prop_assert_eq!(split("cut", &body, &pieces), vec![frame(PORTRAIT), frame(TURNED), frame(PORTRAIT)]);
        }

        #[test]
        fn no_bytes_are_a_panic(body: Vec<u8>, pieces in prop::collection::vec(0..50_usize, 0..20)) {
            split("a", &[b"--a\n\n".as_slice(), &body].concat(), &pieces);
            split("a", &body, &pieces);
        }
    }
}
