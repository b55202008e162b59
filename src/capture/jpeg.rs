//! One JPEG picture: where it ends, how large it is, its pixels. Strict: a picture that is cut off
//! is an error, never grey bars that a detector might take for a face. (One that its sender closed
//! too early, with an end marker, looks whole: nothing in JPEG says how much data was meant.)
//!
//! Markers and their segments: ITU-T T.81, annex B.

use std::borrow::Cow;

use image::{RgbImage, metadata::Orientation};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::side::check_frame_size;

pub(super) const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const TEM: u8 = 0x01;
const RST0: u8 = 0xD0;
const RST7: u8 = 0xD7;

/// What a [`JpegWalk`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// The picture goes on behind the bytes there are.
    NeedsMore,
    /// The picture ends before this offset.
    End(usize),
    /// At this offset stands what no JPEG has there.
    Broken {
        /// Offset from the start of the picture.
        at: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Finds the end of a JPEG picture by walking its marker segments, in one pass over bytes that may
/// still be arriving. Segments are skipped by their length, so that the thumbnail in an APPn
/// segment does not end the picture.
#[derive(Debug, Clone)]
pub(super) struct JpegWalk {
    at: usize,
    in_entropy_data: bool,
}

impl JpegWalk {
    /// At the start of a picture, behind its SOI marker.
    pub(super) fn new() -> Self {
        Self { at: 2, in_entropy_data: false }
    }

    /// Walks on. `picture` starts with the SOI marker and only ever grows between calls.
    pub(super) fn step(&mut self, picture: &[u8]) -> Walk {
        loop {
            if self.in_entropy_data {
                let Some(found) = picture.get(self.at..).and_then(|rest| rest.iter().position(|&b| b == 0xFF)) else {
                    self.at = self.at.max(picture.len());
                    return Walk::NeedsMore;
                };
                self.at += found;
                match picture.get(self.at + 1) {
                    None => return Walk::NeedsMore,
                    // A stuffed 0xFF, or a restart: the data goes on.
                    Some(0x00 | RST0..=RST7) => self.at += 2,
                    Some(0xFF) => self.at += 1,
                    Some(_) => self.in_entropy_data = false,
                }
                continue;
            }
            match (picture.get(self.at), picture.get(self.at + 1)) {
                (None, _) | (Some(0xFF), None) => return Walk::NeedsMore,
                (Some(0xFF), Some(0xFF)) => self.at += 1,
                (Some(0xFF), Some(&TEM | &(RST0..=RST7))) => self.at += 2,
                (Some(0xFF), Some(&EOI)) => return Walk::End(self.at + 2),
                (Some(0xFF), Some(&SOI)) => {
                    return Walk::Broken { at: self.at, why: "cut off: the next picture starts inside it" };
                }
                (Some(0xFF), Some(&marker)) if marker != 0 => {
                    let Some(length) = picture.get(self.at + 2..self.at + 4) else { return Walk::NeedsMore };
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    if length < 2 {
                        return Walk::Broken { at: self.at + 2, why: "a segment shorter than its own length field" };
                    }
                    self.at += 2 + length;
                    self.in_entropy_data = marker == SOS;
                }
                _ => return Walk::Broken { at: self.at, why: "no marker where a segment must start" },
            }
        }
    }
}

/// A JPEG whose headers were read and nothing allocated yet.
pub(super) struct JpegHeader<'a> {
    bytes: &'a [u8],
    decoder: JpegDecoder<ZCursor<&'a [u8]>>,
    /// Width, pixels.
    pub(super) width: u32,
    /// Height, pixels.
    pub(super) height: u32,
}

impl<'a> JpegHeader<'a> {
    /// Reads up to the start of the pixel data.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        // The caller judges the size: 65535 is all that the format can say.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::from(u16::MAX))
            .set_max_height(usize::from(u16::MAX))
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|e| reason(&e))?;
        let info = decoder.info().ok_or("no frame header")?;
        Ok(Self { bytes, decoder, width: info.width.into(), height: info.height.into() })
    }

    /// How the picture must be turned, from its EXIF segment.
    pub(super) fn orientation(&self) -> Orientation {
        self.decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif)).unwrap_or(Orientation::NoTransforms)
    }

    /// The pixels, as stored. Grey, YCbCr, RGB, CMYK and YCCK all become RGB.
    pub(super) fn decode(mut self) -> Result<RgbImage, String> {
        // The decoder's strict mode looks at the start of each row of blocks only: a cut in the
        // last row would pass. So the end marker must be there too.
        match JpegWalk::new().step(self.bytes) {
            Walk::End(_) => {}
            Walk::NeedsMore => return Err("cut off: the end of the picture is missing".into()),
            Walk::Broken { why, .. } => return Err(why.into()),
        }
        let expected = self.width as usize * self.height as usize * 3;
        if self.decoder.output_buffer_size() != Some(expected) {
            return Err("colours that cannot become RGB".into());
        }
        let mut pixels = vec![0; expected];
        self.decoder.decode_into(&mut pixels).map_err(|e| reason(&e))?;
        RgbImage::from_raw(self.width, self.height, pixels).ok_or_else(|| "fewer pixels than its header says".into())
    }
}

/// The pixels of one JPEG frame of a stream, as stored (no EXIF orientation), as RGB. The Huffman
/// tables that webcams leave out are put in.
///
/// # Errors
/// Says what is wrong: cut off, damaged, or a size that a frame may not have.
pub fn decode_frame(bytes: &[u8]) -> Result<RgbImage, String> {
    let bytes = with_huffman_tables(bytes);
    let header = JpegHeader::read(&bytes)?;
    check_frame_size(header.width, header.height)?;
    header.decode()
}

/// Webcams leave the Huffman tables of T.81, K.3 out of their MJPEG frames. The decoder has them
/// for frames that the application segment of AVI files announces, so that is put in.
fn with_huffman_tables(frame: &[u8]) -> Cow<'_, [u8]> {
    const AVI1: &[u8] = b"\xFF\xE0\x00\x08AVI1\x00\x00";
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = frame.get(at..at + 4) {
        match marker {
            DHT => return Cow::Borrowed(frame),
            SOS => return Cow::Owned([&frame[..2], AVI1, &frame[2..]].concat()),
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    Cow::Borrowed(frame)
}

fn reason(error: &DecodeErrors) -> String {
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => "cut off: the picture ends too early".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTRAIT: &[u8] = include_bytes!("../../tests/pictures/portrait.jpg");

    #[test]
    fn the_walk_ends_where_the_file_ends_however_it_arrives() {
        assert_eq!(JpegWalk::new().step(PORTRAIT), Walk::End(PORTRAIT.len()));
        let mut walk = JpegWalk::new();
        for n in 2..PORTRAIT.len() {
            assert_eq!(walk.step(&PORTRAIT[..n]), Walk::NeedsMore, "at {n}");
        }
        assert_eq!(walk.step(PORTRAIT), Walk::End(PORTRAIT.len()));
    }

    #[test]
    fn an_end_marker_inside_a_segment_ends_nothing() {
        let thumbnail = [0xFF, SOI, 0xFF, EOI];
        let mut with_thumbnail = vec![0xFF, SOI, 0xFF, 0xE1, 0x00, 6];
        with_thumbnail.extend(thumbnail);
        with_thumbnail.extend(&PORTRAIT[2..]);
        assert_eq!(JpegWalk::new().step(&with_thumbnail), Walk::End(with_thumbnail.len()));
        assert!(JpegHeader::read(&with_thumbnail).unwrap().decode().is_ok());
    }

    #[test]
    fn every_cut_is_refused() {
        assert!(JpegHeader::read(PORTRAIT).unwrap().decode().is_ok());
        for keep in (2..PORTRAIT.len()).step_by(97).chain([PORTRAIT.len() - 2, PORTRAIT.len() - 1]) {
            let cut = JpegHeader::read(&PORTRAIT[..keep]).and_then(JpegHeader::decode);
            assert!(cut.unwrap_err().contains("cut off"), "{keep} of {} bytes", PORTRAIT.len());
        }
    }

    #[test]
    fn a_frame_without_huffman_tables_is_decoded() {
        let door = include_bytes!("../../demo/door.mjpeg");
        let Walk::End(end) = JpegWalk::new().step(door) else { panic!("no first frame") };
        let first = &door[..end];
        let standard = without_huffman_tables(first);
        assert!(standard.len() < first.len(), "nothing was taken out");
        assert!(JpegHeader::read(&standard).unwrap().decode().is_err(), "not a case for decode_frame");
        let image = decode_frame(&standard).unwrap();
        assert_eq!(image, decode_frame(first).unwrap());
        assert_eq!(image, JpegHeader::read(first).unwrap().decode().unwrap());
    }

    fn without_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
        let mut kept = jpeg[..2].to_vec();
        let mut at = 2;
        loop {
            let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] == SOS {
                kept.extend(&jpeg[at..]);
                return kept;
            }
            if jpeg[at + 1] != DHT {
                kept.extend(&jpeg[at..end]);
            }
            at = end;
        }
    }
}
