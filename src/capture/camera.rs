//! A V4L2 camera, through nokhwa (cargo feature `camera`).
//!
//! The driver's calls block without a timeout, so they run on a thread of their own, which keeps
//! draining the driver's queue and hands over only the newest buffer: a queued frame would be old.
//! A thread that the driver never answers again is left behind; everyone else goes on without it.

use std::{fs, thread, time::Duration};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use image::RgbImage;
use nokhwa::{
    Camera, NokhwaError,
    utils::{CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType, Resolution},
};
use yuv::{YuvPackedImage, YuvRange, YuvStandardMatrix, yuyv422_to_rgb};

use super::{
    CaptureError,
    jpeg::{self, JpegWalk, Walk},
    parts::Parts,
    side::check_frame_size,
    source::{FrameSource, Pacing, Received},
    stop::{StopSignal, StopToken, stop_token},
};
use crate::{
    config::CameraSettings,
    domain::{Clock, Stamp},
};

/// A driver's buffer, as it came.
struct RawFrame {
    bytes: Vec<u8>,
    format: FrameFormat,
    width: u32,
    height: u32,
    captured: Stamp,
}

type Delivery = Result<RawFrame, String>;

/// The newest frame of a camera.
pub(super) struct CameraSource {
    device: String,
    frames: Receiver<Delivery>,
    stall_timeout: Duration,
    stop: StopSignal,
    /// Ends the thread when this source is dropped.
    _running: StopToken,
}

impl CameraSource {
    /// Opens the camera at the format closest to what is asked.
    pub(super) fn open(settings: CameraSettings, parts: &Parts) -> Result<Self, CaptureError> {
        let device = settings.device.clone();
        let failed = |why| CaptureError::Camera { device: device.clone(), why };
        let stall_timeout = parts.stall_timeout.unwrap_or(Duration::from_secs(5));
        let index = index_of(&device).map_err(failed)?;
        let (opened_to, opened) = bounded(1);
        let (frames_to, frames) = bounded(1);
        let (running, ended) = stop_token();
        let (clock, newest) = (parts.clock.clone(), frames.clone());
        thread::Builder::new()
            .name("capture-camera".into())
            .spawn(move || match open_stream(index, &settings) {
                Ok(camera) => {
                    // A failed send means that the source is gone already.
                    if opened_to.send(Ok(camera.camera_format())).is_ok() {
                        drain(camera, &*clock, &ended, &frames_to, &newest);
                    }
                }
                Err(e) => drop(opened_to.send(Err(e.to_string()))),
            })
            .map_err(|e| failed(e.to_string()))?;
        let format = select! {
            recv(opened) -> result => match result {
                Ok(Ok(format)) => format,
                Ok(Err(e)) => {
                    return Err(failed(format!("cannot be opened: {e}; is it plugged in, and in no other program's use?")));
                }
                Err(_) => return Err(failed("its thread ended while opening it".into())),
            },
            recv(parts.stop.receiver()) -> _ => return Err(CaptureError::Stopped { place: device }),
            default(stall_timeout) => return Err(failed("does not answer; unplug it and plug it in again".into())),
        };
        log::info!("camera {device}: {format}");
        Ok(Self { device, frames, stall_timeout, stop: parts.stop.clone(), _running: running })
    }
}

impl FrameSource for CameraSource {
    fn pacing(&self) -> Pacing {
        Pacing::Live
    }

    fn receive(&mut self) -> Result<Received, CaptureError> {
        if self.stop.is_stopped() {
            return Ok(Received::End);
        }
        let failed = |why| CaptureError::Camera { device: self.device.clone(), why };
        let frame = select! {
            recv(self.frames) -> frame => frame.map_err(|_| failed("its thread ended".into()))?.map_err(failed)?,
            recv(self.stop.receiver()) -> _ => return Ok(Received::End),
            default(self.stall_timeout) => {
                return Err(CaptureError::Stalled { place: self.device.clone(), timeout: self.stall_timeout });
            }
        };
        let captured = frame.captured;
        Ok(match decode(&frame) {
            Ok(image) => Received::Picture { image, captured },
            Err(reason) => Received::Corrupt { reason },
        })
    }
}

/// `0`, `/dev/video0`, or a link to one such as those in `/dev/v4l/by-id`.
fn index_of(device: &str) -> Result<u32, String> {
    if let Ok(index) = device.parse() {
        return Ok(index);
    }
    let path = fs::canonicalize(device).map_err(|e| format!("{e}; `ls /dev/v4l/by-id` lists the cameras"))?;
    let index = path.to_str().and_then(|p| p.strip_prefix("/dev/video")?.parse().ok());
    index.ok_or_else(|| format!("leads to {}, which is no /dev/videoN", path.display()))
}

/// MJPEG first, at which a USB 2 camera can send large pictures, then YUYV.
fn open_stream(index: u32, settings: &CameraSettings) -> Result<Camera, NokhwaError> {
    let open = |format: FrameFormat| {
        let size = Resolution::new(settings.width_px, settings.height_px);
        let closest = RequestedFormatType::Closest(CameraFormat::new(size, format, settings.fps));
        let mut camera = Camera::new(CameraIndex::Index(index), RequestedFormat::with_formats(closest, &[format]))?;
        camera.open_stream()?;
        Ok(camera)
    };
    open(FrameFormat::MJPEG).or_else(|_: NokhwaError| open(FrameFormat::YUYV))
}

/// Takes every frame the driver has, as long as there is someone to take the newest.
fn drain(
    mut camera: Camera,
    clock: &dyn Clock,
    ended: &StopSignal,
    frames: &Sender<Delivery>,
    newest: &Receiver<Delivery>,
) {
    while !ended.is_stopped() {
        let delivery = match camera.frame() {
            Ok(buffer) => Ok(RawFrame {
                bytes: buffer.buffer().to_vec(),
                format: buffer.source_frame_format(),
                width: buffer.resolution().width(),
                height: buffer.resolution().height(),
                captured: clock.now(),
            }),
            Err(e) => Err(format!("gives no more frames: {e}; is it still plugged in?")),
        };
        let last = delivery.is_err();
        if let Err(TrySendError::Full(delivery)) = frames.try_send(delivery) {
            // Nobody else sends, so there is room once the older one is out.
            let _ = newest.try_recv();
            let _ = frames.try_send(delivery);
        }
        if last {
            return;
        }
    }
}

/// Never nokhwa's own decoding, which panics on a cut JPEG.
fn decode(frame: &RawFrame) -> Result<RgbImage, String> {
    match frame.format {
        // The driver's whole buffer comes, with older bytes behind the picture.
        FrameFormat::MJPEG => match JpegWalk::new().step(&frame.bytes) {
            Walk::End(end) => jpeg::decode_frame(&frame.bytes[..end]),
            Walk::NeedsMore => Err("cut off: the end of the picture is missing".into()),
            Walk::Broken { why, .. } => Err(why.into()),
        },
        FrameFormat::YUYV => {
            let (width, height) = (frame.width, frame.height);
            check_frame_size(width, height)?;
            let stride = width.next_multiple_of(2) * 2;
            let yuy = frame.bytes.get(..stride as usize * height as usize).ok_or("cut off")?;
            let mut image = RgbImage::new(width, height);
            let packed = YuvPackedImage { yuy, yuy_stride: stride, width, height };
            yuyv422_to_rgb(&packed, &mut image, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt601)
                .map_err(|e| e.to_string())?;
            Ok(image)
        }
        other => Err(format!("the camera sends {other}, of which nothing is read")),
    }
}
