//! YUV4MPEG2, uncompressed video as `ffmpeg -f yuv4mpegpipe` writes it: one header line, then frames
//! of planes. 8 bits a sample; mono, 4:2:0, 4:2:2, 4:4:4. See yuv4mpeg(5) of the mjpegtools.

use std::time::Duration;

use image::RgbImage;
use yuv::{
    YuvGrayImage, YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv400_to_rgb, yuv420_to_rgb, yuv422_to_rgb,
    yuv444_to_rgb,
};

use super::{
    framing::{Backlog, Framing, Part},
    side::check_frame_size,
};

const MAGIC: &[u8] = b"YUV4MPEG2";
/// Longest header line that is believed to be one.
const MAX_LINE_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sampling {
    Mono,
    C420,
    C422,
    C444,
}

/// What the first line of a stream says.
#[derive(Debug, Clone)]
pub struct Y4mHeader {
    width: u32,
    height: u32,
    sampling: Sampling,
    range: YuvRange,
    interval: Option<Duration>,
}

impl Y4mHeader {
    /// Reads the header line, without its end.
    ///
    /// # Errors
    /// Says what is missing, out of range or not supported.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line = std::str::from_utf8(line).map_err(|_| "the header is not text")?;
        let mut fields = line.split(' ');
        if fields.next().map(str::as_bytes) != Some(MAGIC) {
            return Err("not YUV4MPEG2".into());
        }
        let (mut width, mut height, mut interval) = (None, None, None);
        // Studio swing is what the format's tools write unless they say otherwise.
        let (mut sampling, mut range) = (Sampling::C420, YuvRange::Limited);
        for field in fields.filter(|f| !f.is_empty()) {
            let (tag, value) = field.split_at_checked(1).ok_or_else(|| format!("a field named {field:?}"))?;
            match tag {
                "W" => width = value.parse().ok(),
                "H" => height = value.parse().ok(),
                "F" => interval = interval_of(value),
                "C" => {
                    sampling = match value {
                        "mono" => Sampling::Mono,
                        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Sampling::C420,
                        "422" => Sampling::C422,
                        "444" => Sampling::C444,
                        other => {
                            return Err(format!("samples of kind {other:?}; 8-bit mono, 420, 422 and 444 are read"));
                        }
                    }
                }
                "X" if value == "COLORRANGE=FULL" => range = YuvRange::Full,
                _ => {}
            }
        }
        let (Some(width), Some(height)) = (width, height) else { return Err("no width and height".into()) };
        check_frame_size(width, height)?;
        Ok(Self { width, height, sampling, range, interval })
    }

    /// Time between frames; `None` when the header does not say.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Bytes of the luma plane and of each chroma plane, and a chroma row's samples.
    fn planes(&self) -> (usize, usize, u32) {
        let luma = self.width as usize * self.height as usize;
        let (chroma_width, chroma_height) = match self.sampling {
            Sampling::Mono => (0, 0),
            Sampling::C420 => (self.width.div_ceil(2), self.height.div_ceil(2)),
            Sampling::C422 => (self.width.div_ceil(2), self.height),
            Sampling::C444 => (self.width, self.height),
        };
        (luma, chroma_width as usize * chroma_height as usize, chroma_width)
    }

    fn decode(&self, frame: &[u8]) -> Result<RgbImage, String> {
        let (luma, chroma, chroma_width) = self.planes();
        if frame.len() != luma + 2 * chroma {
            return Err("cut off".into());
        }
        let (y_plane, uv) = frame.split_at(luma);
        let (u_plane, v_plane) = uv.split_at(chroma);
        let (width, height) = (self.width, self.height);
        let planar = YuvPlanarImage {
            y_plane,
            y_stride: width,
            u_plane,
            u_stride: chroma_width,
            v_plane,
            v_stride: chroma_width,
            width,
            height,
        };
        let mut image = RgbImage::new(width, height);
        let convert = match self.sampling {
            Sampling::Mono => {
                let grey = YuvGrayImage { y_plane, y_stride: width, width, height };
                return yuv400_to_rgb(&grey, &mut image, width * 3, self.range, YuvStandardMatrix::Bt601)
                    .map_err(|e| e.to_string())
                    .map(|()| image);
            }
            Sampling::C420 => yuv420_to_rgb,
            Sampling::C422 => yuv422_to_rgb,
            Sampling::C444 => yuv444_to_rgb,
        };
        convert(&planar, &mut image, width * 3, self.range, YuvStandardMatrix::Bt601).map_err(|e| e.to_string())?;
        Ok(image)
    }
}

/// `30:1`, `30000:1001`; `0:0` is "unknown".
fn interval_of(rate: &str) -> Option<Duration> {
    let (frames, seconds) = rate.split_once(':')?;
    let (frames, seconds): (u32, u32) = (frames.parse().ok()?, seconds.parse().ok()?);
    (frames > 0 && seconds > 0).then(|| Duration::from_secs_f64(f64::from(seconds) / f64::from(frames)))
}

/// Cuts a YUV4MPEG2 stream into frames of planes.
#[derive(Default)]
pub struct Y4mSplitter {
    backlog: Backlog,
    header: Option<Y4mHeader>,
    /// Behind a `FRAME` line.
    in_frame: bool,
}

impl Y4mSplitter {
    /// Before the first byte of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the header if it has arrived; `None` when more bytes are needed.
    ///
    /// # Errors
    /// As for [`Y4mHeader::parse`].
    pub fn read_header(&mut self) -> Result<Option<&Y4mHeader>, String> {
        if self.header.is_none()
            && let Some(line) = self.line(MAGIC, "YUV4MPEG2 header")?
        {
            self.header = Some(Y4mHeader::parse(&line)?);
        }
        Ok(self.header.as_ref())
    }

    fn line(&mut self, starts_with: &[u8], what: &str) -> Result<Option<Vec<u8>>, String> {
        let rest = self.backlog.rest();
        let shown = rest.len().min(starts_with.len());
        if rest[..shown] != starts_with[..shown] {
            return Err(format!("no {what} where one must start"));
        }
        match self.backlog.take_line() {
            None if self.backlog.rest().len() > MAX_LINE_BYTES => Err(format!("a {what} without end")),
            line => Ok(line),
        }
    }
}

impl Framing for Y4mSplitter {
    fn push(&mut self, bytes: &[u8]) {
        self.backlog.push(bytes);
    }

    fn next_part(&mut self) -> Result<Option<Part>, String> {
        let Some(header) = self.read_header()? else { return Ok(None) };
        let (luma, chroma, _) = header.planes();
        let bytes = luma + 2 * chroma;
        if !self.in_frame {
            let Some(line) = self.line(b"FRAME", "FRAME line")? else { return Ok(None) };
            // Parameters may follow; those of a single frame change nothing here.
            if line.get(5).is_some_and(|&b| b != b' ') {
                return Err("no FRAME line where one must start".into());
            }
            self.in_frame = true;
        }
        if self.backlog.rest().len() < bytes {
            return Ok(None);
        }
        self.in_frame = false;
        Ok(Some(Part::Frame(self.backlog.take(bytes))))
    }

    fn finish(&mut self) -> Option<Part> {
        let cut = self.in_frame || (self.header.is_some() && !self.backlog.rest().is_empty());
        self.in_frame = false;
        self.backlog.skip(usize::MAX);
        cut.then(|| Part::Cut("cut off: the stream ends inside it".into()))
    }

    fn decode(&self, frame: &[u8]) -> Result<RgbImage, String> {
        self.header.as_ref().ok_or("no header")?.decode(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_header_says_rate_range_and_sampling() {
        let header = Y4mHeader::parse(b"YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C422 XCOLORRANGE=FULL").unwrap();
        assert_eq!((header.width, header.height, header.sampling), (640, 480, Sampling::C422));
        assert_eq!(header.range, YuvRange::Full);
        assert_eq!(header.interval().unwrap().as_micros(), 33_366);
        let plain = Y4mHeader::parse(b"YUV4MPEG2 W33 H35 F0:0").unwrap();
        assert_eq!((plain.sampling, plain.range, plain.interval()), (Sampling::C420, YuvRange::Limited, None));
        assert_eq!(plain.planes(), (33 * 35, 17 * 18, 17));
    }

    #[test]
    fn what_cannot_be_read_is_said_before_anything_is_allocated() {
        for (line, says) in [
            ("YUV4MPEG2 W640 H480 C420p10", "420p10"),
            ("YUV4MPEG2 W640 H480 C411", "411"),
            ("YUV4MPEG2 W4294967295 H4294967295", "4096"),
            ("YUV4MPEG2 W18446744073709551616 H2", "no width"),
            ("YUV4MPEG2 W31 H480", "31x480"),
            ("YUV4MPEG2 H480", "no width"),
            ("YUV4MPEG W640 H480", "not YUV4MPEG2"),
        ] {
            let said = Y4mHeader::parse(line.as_bytes()).unwrap_err();
            assert!(said.contains(says), "{line}: {said}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes: Vec<u8>, with_header: bool) {
            let mut splitter = Y4mSplitter::new();
            if with_header {
                splitter.push(b"YUV4MPEG2 W32 H32 Cmono\nFRAME\n");
            }
            splitter.push(&bytes);
            while let Ok(Some(_)) = splitter.next_part() {}
            splitter.finish();
        }
    }
}
