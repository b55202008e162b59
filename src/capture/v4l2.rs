//! Cameras as the kernel has them (V4L2): which there are, what they offer, their frames.
//!
//! nokhwa finds the devices and chooses among what they offer. Opening, setting and streaming is done with v4l, the crate
//! that nokhwa itself sits on: docs/adr/0015-v4l-below-nokhwa.md says why.

use std::{
    fs, io, mem, panic,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nokhwa::{
    query,
    utils::{ApiBackend, CameraFormat, CameraInfo, FrameFormat, RequestedFormat, RequestedFormatType, Resolution},
};
use rustix::{
    event::PollFlags,
    io::Errno,
    time::{ClockId, clock_gettime},
};
use v4l::{
    Device, Format, FourCC, Fraction,
    buffer::{Flags, Metadata, Type},
    device::Handle,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    io::traits::{CaptureStream, Stream},
    prelude::MmapStream,
    video::{Capture, capture::Parameters},
};

use super::{
    found::{FoundCamera, FoundFormat, FoundSize, Pixels, VideoMode, links_to},
    pixels::{Layout, RawFrame},
    side::check_frame_size,
    stop::StopSignal,
};
use crate::config::CameraSettings;

/// Buffers asked of a driver: one is read, one is filled, two wait.
const BUFFERS: u32 = 4;
/// How often somebody who waits for a frame looks whether it is still wanted.
const SLICE_MS: i32 = 100;

/// Every camera there is, and what would be taken of it.
///
/// # Errors
/// Says why none can be looked for.
pub(super) fn cameras(asked: &CameraSettings) -> Result<Vec<FoundCamera>, String> {
    // It panics on a node of another name than /dev/videoN.
    let found = panic::catch_unwind(|| query(ApiBackend::Video4Linux))
        .map_err(|_| "a node below /dev begins with `video` and has no number")?
        .map_err(|e| e.to_string())?;
    let mut cameras: Vec<_> = found.iter().filter_map(|info| look_at(info, asked)).collect();
    cameras.sort_by(|a, b| alphanumeric_sort::compare_path(&a.path, &b.path));
    Ok(cameras)
}

/// `None` for a node that gives no pictures: a camera's metadata, a codec, an output.
fn look_at(info: &CameraInfo, asked: &CameraSettings) -> Option<FoundCamera> {
    let path = PathBuf::from(format!("/dev/video{}", info.index().as_index().ok()?));
    let (formats, error) = match Device::with_path(&path).and_then(|device| offered(&device, asked)) {
        Ok(formats) if formats.is_empty() => return None,
        Ok(formats) => (formats, None),
        Err(e) => (Vec::new(), Some(explain("cannot be opened", &e))),
    };
    Some(FoundCamera {
        links: links_to(&path),
        name: info.human_name(),
        driver: driver_of(&path),
        takes: choose(&formats, asked),
        formats,
        error,
        path,
    })
}

/// Not by the driver's own word, which v4l takes for UTF-8 and panics where it is not.
fn driver_of(node: &Path) -> Option<String> {
    let link = Path::new("/sys/class/video4linux").join(node.file_name()?).join("device/driver");
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// What a device offers.
fn offered(device: &Device, asked: &CameraSettings) -> io::Result<Vec<FoundFormat>> {
    let mut found: Vec<FoundFormat> = Vec::new();
    for described in Capture::enum_formats(device)? {
        let fourcc = described.fourcc;
        let name = String::from_utf8_lossy(&fourcc.repr).into_owned();
        if found.iter().any(|known| known.fourcc == name) {
            continue;
        }
        let sized = |(width_px, height_px)| {
            let intervals = Capture::enum_frameintervals(device, fourcc, width_px, height_px).unwrap_or_default();
            FoundSize { width_px, height_px, fps: rates(intervals.into_iter().map(|i| i.interval), asked.fps) }
        };
        let offered = Capture::enum_framesizes(device, fourcc).unwrap_or_default();
        let pixels = Pixels::ALL.into_iter().find(|pixels| pixels.fourcc() == name);
        found.push(FoundFormat {
            fourcc: name,
            pixels,
            sizes: sizes(offered.into_iter().map(|s| s.size), asked).into_iter().map(sized).collect(),
        });
    }
    Ok(found)
}

/// Of a range: the nearest to what is asked, the least and the largest. Where a driver does not tell its sizes: what is asked.
fn sizes(offered: impl Iterator<Item = FrameSizeEnum>, asked: &CameraSettings) -> Vec<(u32, u32)> {
    let mut sizes = Vec::new();
    for size in offered {
        match size {
            FrameSizeEnum::Discrete(d) => sizes.push((d.width, d.height)),
            FrameSizeEnum::Stepwise(s) => sizes.extend([
                (
                    nearest_step(asked.width_px, s.min_width, s.max_width, s.step_width),
                    nearest_step(asked.height_px, s.min_height, s.max_height, s.step_height),
                ),
                (s.min_width, s.min_height),
                (s.max_width, s.max_height),
            ]),
        }
    }
    if sizes.is_empty() {
        sizes.push((asked.width_px, asked.height_px));
    }
    let mut kept = Vec::new();
    sizes.into_iter().for_each(|size| {
        if !kept.contains(&size) {
            kept.push(size);
        }
    });
    kept
}

/// The value of a range with steps that is nearest below the one asked for.
fn nearest_step(asked: u32, min: u32, max: u32, step: u32) -> u32 {
    let above = asked.clamp(min, max.max(min)) - min;
    min + above - above % step.max(1)
}

/// Rates of all intervals, the highest first; of a range also the one asked for, where it lies within.
fn rates(intervals: impl Iterator<Item = FrameIntervalEnum>, asked_fps: u32) -> Vec<u32> {
    let mut rates = Vec::new();
    for interval in intervals {
        match interval {
            FrameIntervalEnum::Discrete(interval) => rates.extend(rate(interval)),
            FrameIntervalEnum::Stepwise(range) => {
                let (most, least) = (rate(range.min), rate(range.max));
                let within = most.is_none_or(|most| asked_fps <= most) && least.is_none_or(|least| asked_fps >= least);
                rates.extend(most.into_iter().chain(least).chain(within.then_some(asked_fps)));
            }
        }
    }
    rates.sort_unstable_by(|a, b| b.cmp(a));
    rates.dedup();
    rates
}

/// Frames a second of an interval, rounded, at least 1.
fn rate(interval: Fraction) -> Option<u32> {
    let Fraction { numerator, denominator } = interval;
    let rounded = (u64::from(denominator) + u64::from(numerator) / 2).checked_div(u64::from(numerator))?;
    u32::try_from(rounded).ok().filter(|_| denominator > 0).map(|fps| fps.max(1))
}

/// The mode nearest to what is asked, of the first format that is read.
fn choose(offered: &[FoundFormat], asked: &CameraSettings) -> Option<VideoMode> {
    Pixels::ALL.into_iter().find_map(|pixels| {
        let format = match pixels {
            Pixels::Mjpeg => FrameFormat::MJPEG,
            Pixels::Yuyv => FrameFormat::YUYV,
            Pixels::Grey => FrameFormat::GRAY,
        };
        let sizes = offered.iter().filter(|found| found.pixels == Some(pixels)).flat_map(|found| &found.sizes);
        let modes: Vec<_> = sizes
            .filter(|size| check_frame_size(size.width_px, size.height_px).is_ok())
            .flat_map(|size| {
                // A driver that does not tell its rates is asked all the same.
                let fps = if size.fps.is_empty() { vec![asked.fps] } else { size.fps.clone() };
                fps.into_iter()
                    .map(move |fps| CameraFormat::new(Resolution::new(size.width_px, size.height_px), format, fps))
            })
            .collect();
        let closest = |size| {
            let wanted = RequestedFormatType::Closest(CameraFormat::new(size, format, asked.fps));
            RequestedFormat::with_formats(wanted, &[format]).fulfill(&modes)
        };
        let size = Resolution::new(asked.width_px, asked.height_px);
        // It looks for rates at exactly the size asked for: one that is not offered is asked for again by the nearest that is.
        let taken = closest(size).or_else(|| {
            let away = |mode: &&CameraFormat| {
                let (x, y) = (mode.width().abs_diff(size.width()), mode.height().abs_diff(size.height()));
                u64::from(x).pow(2) + u64::from(y).pow(2)
            };
            closest(modes.iter().min_by_key(away)?.resolution())
        })?;
        Some(VideoMode { pixels, width_px: taken.width(), height_px: taken.height(), fps: taken.frame_rate() })
    })
}

/// The frames of an open camera.
pub(super) struct DriverStream {
    /// There until it is dropped.
    stream: Option<MmapStream<'static>>,
    handle: Arc<Handle>,
    layout: Layout,
    /// What the driver says it does.
    pub(super) mode: VideoMode,
    /// When, by the clock of V4L2's stamps.
    opened: Duration,
    started: bool,
}

/// A frame, and how long the driver had it.
pub(super) struct Taken {
    pub(super) frame: RawFrame,
    pub(super) age: Duration,
}

impl DriverStream {
    /// Opens a camera at the mode nearest to what is asked.
    ///
    /// # Errors
    /// Says what failed and the remedy.
    pub(super) fn open(node: &Path, asked: &CameraSettings, first_within: Duration) -> Result<Self, String> {
        let device = Device::with_path(node).map_err(|e| explain("cannot be opened", &e))?;
        let formats = offered(&device, asked).map_err(|e| explain("does not say what it offers", &e))?;
        if formats.is_empty() {
            return Err("gives no pictures: no camera, or one that nobody feeds".into());
        }
        let chosen = choose(&formats, asked).ok_or_else(|| {
            let names: Vec<_> = formats.iter().map(|found| found.fourcc.as_str()).collect();
            format!("sends {}, of which nothing is read: that is MJPG, YUYV and GREY", names.join(", "))
        })?;
        let fourcc = FourCC::from(&chosen);
        let set = Capture::set_format(&device, &Format::new(chosen.width_px, chosen.height_px, fourcc))
            .map_err(|e| explain(&format!("does not do {chosen}"), &e))?;
        if set.fourcc != fourcc {
            return Err(format!("was asked for {}, which it offers, and took {}", chosen.pixels.fourcc(), set.fourcc));
        }
        check_frame_size(set.width, set.height)?;
        // Some drivers have a rate that nobody can set.
        let interval = Capture::set_params(&device, &Parameters::with_fps(chosen.fps)).map(|set| set.interval);
        let fps = interval.ok().and_then(rate).unwrap_or(chosen.fps);
        let mut stream = MmapStream::with_buffers(&device, Type::VideoCapture, BUFFERS)
            .map_err(|e| explain("has no buffers to read", &e))?;
        stream.set_timeout(first_within);
        let mode = VideoMode { width_px: set.width, height_px: set.height, fps, ..chosen };
        let layout = Layout {
            pixels: mode.pixels,
            width_px: mode.width_px,
            height_px: mode.height_px,
            stride: set.stride as usize,
        };
        let opened = monotonic_now();
        Ok(Self { stream: Some(stream), handle: device.handle(), layout, mode, opened, started: false })
    }

    /// Waits for the next frame; `None` when nobody wants it any more. A frame of before the camera was opened is left out: some drivers
    /// (v4l2loopback) give every new reader the last they had, however old.
    ///
    /// # Errors
    /// Says why the device gives no more.
    pub(super) fn next(&mut self, ended: &StopSignal) -> Result<Option<Taken>, String> {
        loop {
            match self.next_of_any_age(ended)? {
                Some((_, Some(filled))) if filled < self.opened => {
                    log::info!("a frame of before the camera was opened is left out");
                }
                Some((frame, filled)) => {
                    let age = filled.map_or(Duration::ZERO, |filled| monotonic_now().saturating_sub(filled));
                    return Ok(Some(Taken { frame, age }));
                }
                None => return Ok(None),
            }
        }
    }

    /// The next frame, and when the driver had it.
    fn next_of_any_age(&mut self, ended: &StopSignal) -> Result<Option<(RawFrame, Option<Duration>)>, String> {
        let lost = |e: io::Error| explain("gives no more frames", &e);
        // Before its first frame the driver is not streaming, and cannot be waited for.
        if self.started && !self.wait(ended).map_err(lost)? {
            return Ok(None);
        }
        let Some(stream) = self.stream.as_mut() else { return Ok(None) };
        let (bytes, meta) = stream.next().map_err(lost)?;
        self.started = true;
        let used = bytes.len().min(meta.bytesused as usize);
        let frame =
            RawFrame { bytes: bytes[..used].to_vec(), layout: self.layout, damaged: meta.flags.contains(Flags::ERROR) };
        Ok(Some((frame, filled(meta, monotonic_now()))))
    }

    /// Whether a frame is there; false when nobody wants it any more.
    fn wait(&self, ended: &StopSignal) -> io::Result<bool> {
        loop {
            if ended.is_stopped() {
                return Ok(false);
            }
            match self.handle.poll(PollFlags::IN.bits().cast_signed(), SLICE_MS) {
                Ok(0) => {}
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for DriverStream {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        // Where a driver refuses to stop, v4l panics, and again while that unwinds: then its buffers are left behind.
        match stream.stop() {
            Err(e) if !is(&e, Errno::NODEV) => {
                log::warn!("a camera does not stop: {e}; its buffers are left behind");
                mem::forget(stream);
            }
            _ => drop(stream),
        }
    }
}

impl From<&VideoMode> for FourCC {
    fn from(mode: &VideoMode) -> Self {
        let mut repr = [b' '; 4];
        repr.copy_from_slice(mode.pixels.fourcc().as_bytes());
        Self { repr }
    }
}

/// When the driver had a frame, by its own stamp; `None` where that is not on the monotonic clock: copied from elsewhere, missing, or in
/// the future.
fn filled(meta: &Metadata, now: Duration) -> Option<Duration> {
    let seconds = Duration::from_secs(u64::try_from(meta.timestamp.sec).ok()?);
    let filled = seconds.saturating_add(Duration::from_micros(u64::try_from(meta.timestamp.usec).ok()?));
    let copied = meta.flags & Flags::TIMESTAMP_MASK == Flags::TIMESTAMP_COPY;
    (!copied && !filled.is_zero() && filled <= now).then_some(filled)
}

/// The clock of V4L2's stamps.
fn monotonic_now() -> Duration {
    let t = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// An error of a device, with the remedy.
fn explain(what: &str, error: &io::Error) -> String {
    let remedy = if is(error, Errno::BUSY) {
        "; another program has it: `fuser -v /dev/video*` says which"
    } else if is(error, Errno::ACCESS) || is(error, Errno::PERM) {
        "; join the group `video`"
    } else if is(error, Errno::NODEV) || is(error, Errno::NXIO) || is(error, Errno::NOENT) {
        "; is it still plugged in?"
    } else {
        "; plug it in anew if that does not pass"
    };
    format!("{what}: {error}{remedy}")
}

#[cfg(test)]
mod tests {
    use v4l::{Timestamp, framesize::Stepwise};

    use super::*;

    fn asked(width_px: u32, height_px: u32, fps: u32) -> CameraSettings {
        CameraSettings { device: "0".into(), width_px, height_px, fps }
    }

    fn format(pixels: Pixels, sizes: &[(u32, u32, &[u32])]) -> FoundFormat {
        let size =
            |&(width_px, height_px, fps): &(u32, u32, &[u32])| FoundSize { width_px, height_px, fps: fps.to_vec() };
        FoundFormat { fourcc: pixels.fourcc().into(), pixels: Some(pixels), sizes: sizes.iter().map(size).collect() }
    }

    fn chosen(offered: &[FoundFormat], wanted: CameraSettings) -> String {
        choose(offered, &wanted).map_or_else(String::new, |mode| mode.to_string())
    }

    #[test]
    fn the_nearest_mode_of_the_first_format_that_is_read_is_taken() {
        let jpeg = format(Pixels::Mjpeg, &[(1280, 720, &[30]), (640, 480, &[30, 15, 5]), (320, 240, &[60])]);
        let yuyv = format(Pixels::Yuyv, &[(640, 480, &[15])]);
        let grey = format(Pixels::Grey, &[(640, 400, &[60, 30])]);
        let all = [grey.clone(), yuyv.clone(), jpeg];
        assert_eq!(chosen(&all, asked(640, 480, 15)), "MJPG 640x480 at 15 frames/s");
        assert_eq!(chosen(&all, asked(640, 480, 12)), "MJPG 640x480 at 15 frames/s");
        assert_eq!(chosen(&all, asked(4096, 2160, 15)), "MJPG 1280x720 at 30 frames/s");
        assert_eq!(chosen(&[grey.clone(), yuyv], asked(640, 480, 30)), "YUYV 640x480 at 15 frames/s");
        // A size that is not offered, in nokhwa's own words "Failed to Fufill".
        assert_eq!(chosen(&[grey], asked(640, 480, 15)), "GREY 640x400 at 30 frames/s");
    }

    #[test]
    fn what_cannot_be_read_is_not_taken() {
        let unread = FoundFormat { fourcc: "H264".into(), pixels: None, sizes: vec![] };
        let huge = format(Pixels::Grey, &[(8192, 4096, &[5]), (16, 16, &[30])]);
        assert_eq!(choose(&[unread, huge], &asked(640, 480, 15)), None);
        assert_eq!(choose(&[], &asked(640, 480, 15)), None);
    }

    #[test]
    fn a_driver_that_tells_no_rates_is_asked_for_ours() {
        assert_eq!(
            chosen(&[format(Pixels::Yuyv, &[(640, 480, &[])])], asked(640, 480, 7)),
            "YUYV 640x480 at 7 frames/s"
        );
    }

    #[test]
    fn of_a_range_the_nearest_is_offered() {
        let range = |step| {
            FrameSizeEnum::Stepwise(Stepwise {
                min_width: 32,
                max_width: 2592,
                step_width: step,
                min_height: 32,
                max_height: 1944,
                step_height: step,
            })
        };
        let ends = [(32, 32), (2592, 1944)];
        assert_eq!(sizes([range(2)].into_iter(), &asked(641, 481, 15)), [&[(640, 480)][..], &ends].concat());
        assert_eq!(sizes([range(0)].into_iter(), &asked(641, 481, 15)), [&[(641, 481)][..], &ends].concat());
        assert_eq!(sizes([range(16)].into_iter(), &asked(9999, 9999, 15)), [(2592, 1936), (32, 32), (2592, 1944)]);
        assert_eq!(sizes([].into_iter(), &asked(640, 480, 15)), [(640, 480)]);
    }

    #[test]
    fn rates_are_rounded_and_an_interval_of_nothing_is_none() {
        let discrete = |numerator, denominator| FrameIntervalEnum::Discrete(Fraction { numerator, denominator });
        let offered =
            [discrete(1, 30), discrete(1001, 30_000), discrete(2, 15), discrete(5, 1), discrete(0, 30), discrete(1, 0)];
        assert_eq!(rates(offered.into_iter(), 15), [30, 8, 1]);
        let range = FrameIntervalEnum::Stepwise(v4l::frameinterval::Stepwise {
            min: Fraction::new(1, 60),
            max: Fraction::new(1, 2),
            step: Fraction::new(0, 0),
        });
        assert_eq!(rates([range].into_iter(), 15), [60, 15, 2]);
    }

    #[test]
    fn a_drivers_stamp_counts_where_its_clock_is_ours() {
        let meta = |sec, usec, flags| Metadata { timestamp: Timestamp::new(sec, usec), flags, ..Metadata::default() };
        let now = Duration::from_millis(10_500);
        assert_eq!(filled(&meta(10, 250_000, Flags::TIMESTAMP_MONOTONIC), now), Some(Duration::from_millis(10_250)));
        // v4l2loopback does not say which clock it is.
        assert_eq!(filled(&meta(7, 0, Flags::TIMESTAMP_UNKNOWN), now), Some(Duration::from_secs(7)));
        assert_eq!(filled(&meta(7, 0, Flags::TIMESTAMP_COPY), now), None);
        for (sec, usec) in [(0, 0), (1_700_000_000, 0), (-1, 0), (1, -1), (10, 500_001)] {
            assert_eq!(filled(&meta(sec, usec, Flags::TIMESTAMP_MONOTONIC), now), None, "{sec} {usec}");
        }
    }

    #[test]
    fn an_error_names_its_remedy() {
        let said = |errno: Errno| explain("cannot be opened", &io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!(said(Errno::BUSY).contains("another program"));
        assert!(said(Errno::ACCESS).contains("group `video`"));
        assert!(said(Errno::NODEV).contains("plugged in?"));
    }
}
