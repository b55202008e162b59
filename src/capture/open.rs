//! From the settings to the source they name.

use std::{io, sync::Arc, time::Duration};

use super::{
    CaptureError,
    child::ChildBytes,
    fd::FdBytes,
    found::FoundCamera,
    http,
    images::ImagesSource,
    mjpeg_split::MjpegSplitter,
    parts::Parts,
    replay::{Open, Recording, Replay},
    source::{FrameSource, Pacing},
    stop::StopSignal,
    y4m::Y4mSplitter,
};
use crate::{
    config::{CameraSettings, Pace, SourceKind, SourceSettings},
    domain::Clock,
};

const AN_MJPEG: &str = "a stream of JPEG pictures (MJPEG)";
const A_Y4M: &str = "a YUV4MPEG2 stream";

/// Opens the source that the settings name.
///
/// # Errors
/// Names the source, why it cannot be opened, and the remedy where there is one.
pub fn open(
    settings: &SourceSettings,
    clock: Arc<dyn Clock>,
    stop: StopSignal,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let replay_interval = Duration::from_secs_f32(1.0 / settings.fps);
    let live = Parts { pacing: Pacing::Live, stall_timeout: Some(settings.stall_timeout), clock, stop };
    let replayed = Parts { pacing: Pacing::OnDemand, stall_timeout: None, ..live.clone() };
    let open_recording: Open = match settings.kind.clone() {
        SourceKind::Images(path) => Box::new(move || {
            let source = ImagesSource::open(&path, replayed.clock.clone(), replayed.stop.clone())?;
            Ok(Recording { source: Box::new(source), interval: replay_interval })
        }),
        SourceKind::Mjpeg(path) => Box::new(move || {
            let bytes = FdBytes::open(&path, replayed.stop.clone())?;
            let source = replayed.stream(path.display().to_string(), bytes, MjpegSplitter::new(), AN_MJPEG);
            Ok(Recording { source: Box::new(source), interval: replay_interval })
        }),
        SourceKind::MjpegStdin => Box::new(move || {
            let place = "standard input".to_owned();
            let bytes = FdBytes::new(io::stdin(), place.clone(), replayed.stop.clone());
            let source = replayed.stream(place, bytes, MjpegSplitter::new(), AN_MJPEG);
            Ok(Recording { source: Box::new(source), interval: replay_interval })
        }),
        SourceKind::Y4m(path) => Box::new(move || {
            let bytes = FdBytes::open(&path, replayed.stop.clone())?;
            let mut source = replayed.stream(path.display().to_string(), bytes, Y4mSplitter::new(), A_Y4M);
            // The header says the pace, so it is read first.
            let header = source.read_until(|framing| framing.read_header().map(|header| header.cloned()))?;
            Ok(Recording { source: Box::new(source), interval: header.interval().unwrap_or(replay_interval) })
        }),
        SourceKind::Http(http) => return http::open(&http, &live),
        SourceKind::Command(argv) => {
            let bytes = ChildBytes::spawn(&argv, live.stop.clone())?;
            let place = bytes.place().to_owned();
            return Ok(Box::new(live.stream(place, bytes, MjpegSplitter::new(), AN_MJPEG)));
        }
        SourceKind::Camera(camera) => return open_camera(camera, &live),
    };
    let realtime = (settings.pace == Pace::Realtime).then(|| live.clock.clone());
    Ok(Box::new(Replay::new(open_recording, realtime, settings.repeat, live.stop)?))
}

/// Every camera that the system knows, by its number, and what would be taken of each for what `asked` asks for, whichever device it
/// names. Nothing is set at any of them: one that is in use stays so.
///
/// # Errors
/// When this program was built without camera support, or the devices cannot be listed.
pub fn cameras(asked: &CameraSettings) -> Result<Vec<FoundCamera>, CaptureError> {
    list_cameras(asked)
}

/// Where cameras are, for errors that name none.
const ALL_CAMERAS: &str = "/dev/video*";

#[cfg(feature = "camera")]
fn list_cameras(asked: &CameraSettings) -> Result<Vec<FoundCamera>, CaptureError> {
    super::v4l2::cameras(asked).map_err(|why| CaptureError::Camera { device: ALL_CAMERAS.into(), why })
}

#[cfg(not(feature = "camera"))]
fn list_cameras(_: &CameraSettings) -> Result<Vec<FoundCamera>, CaptureError> {
    Err(CaptureError::NoCameraSupport { device: ALL_CAMERAS.into() })
}

#[cfg(feature = "camera")]
fn open_camera(settings: CameraSettings, parts: &Parts) -> Result<Box<dyn FrameSource>, CaptureError> {
    Ok(Box::new(super::camera::CameraSource::open(settings, parts)?))
}

#[cfg(not(feature = "camera"))]
fn open_camera(settings: CameraSettings, _: &Parts) -> Result<Box<dyn FrameSource>, CaptureError> {
    Err(CaptureError::NoCameraSupport { device: settings.device })
}
