//! A V4L2 camera as a source (cargo feature `camera`).
//!
//! The driver's calls may block, so they run on a thread of their own, which keeps draining the driver's queue and hands over
//! only the newest buffer: a queued frame would be old. A thread that the driver never answers again is left behind; everyone
//! else goes on without it.

use std::{
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};

use super::{
    CaptureError,
    found::node_of,
    parts::Parts,
    pixels::RawFrame,
    source::{FrameSource, Pacing, Received},
    stop::{StopSignal, StopToken, stop_token},
    v4l2::DriverStream,
};
use crate::{
    config::CameraSettings,
    domain::{Clock, Monotonic, Stamp},
};

/// How long a device may take to be given back before it is opened again.
const LET_GO: Duration = Duration::from_millis(400);

/// A buffer, and since when its picture exists.
struct Captured {
    frame: RawFrame,
    at: Stamp,
}

type Delivery = Result<Captured, String>;

/// The newest frame of a camera.
pub(super) struct CameraSource {
    device: String,
    frames: Receiver<Delivery>,
    stall_timeout: Duration,
    /// When the last picture that could be read came, or the camera was opened.
    last_good: Instant,
    stop: StopSignal,
    /// Ends the thread when this source is dropped.
    running: Option<StopToken>,
}

impl CameraSource {
    /// Opens the camera at the mode closest to what is asked.
    pub(super) fn open(settings: CameraSettings, parts: &Parts) -> Result<Self, CaptureError> {
        let device = settings.device.clone();
        let failed = |why| CaptureError::Camera { device: device.clone(), why };
        let stall_timeout = parts.stall_timeout.unwrap_or(Duration::from_secs(5));
        let node = node_of(&device).map_err(failed)?;
        let (opened_to, opened) = bounded(1);
        let (frames_to, frames) = bounded(1);
        let (running, ended) = stop_token();
        let (clock, newest, asked, path) = (parts.clock.clone(), frames.clone(), settings.clone(), node.clone());
        thread::Builder::new()
            .name("capture-camera".into())
            .spawn(move || {
                // `receive` notices a stall itself; the driver's own limit is for a thread that would wait for ever.
                match DriverStream::open(&path, &asked, stall_timeout + LET_GO / 2) {
                    Ok(stream) => {
                        // A failed send means that the source is gone already.
                        if opened_to.send(Ok(stream.mode)).is_ok() {
                            drain(stream, &*clock, &ended, &frames_to, &newest);
                        }
                    }
                    Err(e) => drop(opened_to.send(Err(e))),
                }
            })
            .map_err(|e| failed(e.to_string()))?;
        let mode = select! {
            recv(opened) -> result => match result {
                Ok(mode) => mode.map_err(failed)?,
                Err(_) => return Err(failed("its thread ended while opening it".into())),
            },
            recv(parts.stop.receiver()) -> _ => return Err(CaptureError::Stopped { place: device }),
            default(stall_timeout) => return Err(failed("does not answer; unplug it and plug it in again".into())),
        };
        let CameraSettings { width_px, height_px, fps, .. } = settings;
        if (mode.width_px, mode.height_px, mode.fps) == (width_px, height_px, fps) {
            log::info!("camera {device} ({}): {mode}", node.display());
        } else {
            let path = node.display();
            log::warn!(
                "camera {device} ({path}): {mode}, though {width_px}x{height_px} at {fps} frames/s was asked for"
            );
        }
        Ok(Self {
            device,
            frames,
            stall_timeout,
            last_good: Instant::now(),
            stop: parts.stop.clone(),
            running: Some(running),
        })
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
        let Captured { frame, at } = select! {
            recv(self.frames) -> frame => frame.map_err(|_| failed("its thread ended".into()))?.map_err(failed)?,
            recv(self.stop.receiver()) -> _ => return Ok(Received::End),
            default(self.stall_timeout) => {
                return Err(CaptureError::Stalled { place: self.device.clone(), timeout: self.stall_timeout });
            }
        };
        match frame.decode() {
            Ok(image) => {
                self.last_good = Instant::now();
                Ok(Received::Picture { image, captured: at })
            }
            // A camera that sends nothing else may have lost its way, and find it again when it is opened anew.
            Err(reason) if self.last_good.elapsed() > self.stall_timeout => {
                let stalled_ms = self.stall_timeout.as_millis();
                Err(failed(format!("not one whole frame for {stalled_ms} ms, the last: {reason}")))
            }
            Err(reason) => Ok(Received::Corrupt { reason }),
        }
    }
}

impl Drop for CameraSource {
    /// Gives the device back, since a driver lets nobody stream twice; one that does not let go is left behind.
    fn drop(&mut self) {
        drop(self.running.take());
        let deadline = Instant::now() + LET_GO;
        while self.frames.recv_deadline(deadline).is_ok() {}
    }
}

/// Takes every frame the driver has, as long as there is someone to take the newest.
fn drain(
    mut stream: DriverStream,
    clock: &dyn Clock,
    ended: &StopSignal,
    frames: &Sender<Delivery>,
    newest: &Receiver<Delivery>,
) {
    while !ended.is_stopped() {
        let delivery = match stream.next(ended) {
            Ok(None) => return,
            Ok(Some(taken)) => Ok(Captured { frame: taken.frame, at: earlier(clock.now(), taken.age) }),
            Err(e) => Err(e),
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

/// The stamp of a frame: of its receipt, less the time it lay in the driver's queue. After a pause of the whole process or machine the
/// queue holds frames of before it.
fn earlier(received: Stamp, age: Duration) -> Stamp {
    Stamp {
        monotonic: Monotonic::from_boot(received.monotonic.since_boot().saturating_sub(age)),
        wall: received.wall.checked_sub(age).unwrap_or(received.wall),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SystemClock;

    #[test]
    fn a_frame_is_as_old_as_its_driver_says() {
        let now = SystemClock.now();
        let waited = Duration::from_millis(980);
        let stamp = earlier(now, waited);
        assert_eq!(now.monotonic.saturating_since(stamp.monotonic), waited);
        assert_eq!(now.wall.duration_since(stamp.wall).as_millis(), 980);
        assert_eq!(earlier(now, Duration::MAX).monotonic, Monotonic::default());
    }
}
