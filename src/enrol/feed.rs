//! The frames of a source, read on a thread of their own.

use std::{io, thread, time::Duration};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};

use crate::{
    capture::{CaptureError, FrameSource, Pacing, Reader, StopSignal, StopToken, stop_token},
    domain::{Frame, SourceId},
};

/// Opens a source on the thread that will read it.
pub type OpenSource = Box<dyn FnOnce(StopSignal) -> Result<Box<dyn FrameSource>, CaptureError> + Send>;

/// What there is next.
#[derive(Debug)]
pub enum Fed {
    /// A frame.
    Frame(Frame),
    /// The source is over.
    End,
    /// Somebody asked to stop.
    Interrupted,
    /// Nothing yet, after the time one was ready to wait.
    Nothing,
}

type Delivery = Result<Frame, CaptureError>;

/// Frames, in their order. Of a live source only the newest: whoever is being guided must be told of what they do now, and
/// judging a frame takes longer than taking one. Of a recording all.
///
/// The thread ends soon after this is dropped; one that a driver never answers is left behind.
pub struct Feed {
    opened: Receiver<Result<Pacing, CaptureError>>,
    frames: Receiver<Delivery>,
    _running: StopToken,
}

impl Feed {
    /// Begins to open the source and to read it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(name: SourceId, open: OpenSource) -> io::Result<Self> {
        let (opened_to, opened) = bounded(1);
        let (frames_to, frames) = bounded(1);
        let (running, stop) = stop_token();
        let unread = frames.clone();
        thread::Builder::new().name("enrol-capture".into()).spawn(move || match open(stop.clone()) {
            Err(e) => drop(opened_to.send(Err(e))),
            Ok(mut source) => {
                let pacing = source.pacing();
                if opened_to.send(Ok(pacing)).is_ok() {
                    read(source.as_mut(), Reader::new(name), pacing, &stop, &frames_to, &unread);
                }
            }
        })?;
        Ok(Self { opened, frames, _running: running })
    }

    /// Waits until the source is open; who sets the pace, or `None` when something came by `interrupt` first.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn pacing(&self, interrupt: &Receiver<()>) -> Result<Option<Pacing>, CaptureError> {
        select! {
            recv(interrupt) -> _ => Ok(None),
            // A thread that ended without a word has panicked; that says so itself.
            recv(self.opened) -> opened => opened.ok().transpose(),
        }
    }

    /// Waits for the next frame, for so long at most.
    ///
    /// # Errors
    /// Those of the source.
    pub fn next(&self, interrupt: &Receiver<()>, at_most: Duration) -> Result<Fed, CaptureError> {
        // Asked for first: a source that is always ready must not drown it.
        if interrupt.try_recv().is_ok() {
            return Ok(Fed::Interrupted);
        }
        select! {
            recv(interrupt) -> _ => Ok(Fed::Interrupted),
            recv(self.frames) -> delivery => match delivery {
                Ok(Ok(frame)) => Ok(Fed::Frame(frame)),
                Ok(Err(e)) => Err(e),
                Err(_) => Ok(Fed::End),
            },
            default(at_most) => Ok(Fed::Nothing),
        }
    }
}

fn read(
    source: &mut dyn FrameSource,
    mut reader: Reader,
    pacing: Pacing,
    stop: &StopSignal,
    to: &Sender<Delivery>,
    unread: &Receiver<Delivery>,
) {
    loop {
        let delivery = match reader.next(source) {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let last = delivery.is_err();
        match pacing {
            Pacing::Live => replace(to, unread, delivery),
            Pacing::OnDemand => select! {
                send(to, delivery) -> _ => {},
                recv(stop.receiver()) -> _ => return,
            },
        }
        if last {
            return;
        }
    }
}

/// Puts it where nothing, or something older, lies. Only this thread puts, so it comes to an end.
fn replace(to: &Sender<Delivery>, unread: &Receiver<Delivery>, mut delivery: Delivery) {
    while let Err(TrySendError::Full(back)) = to.try_send(delivery) {
        let _ = unread.try_recv();
        delivery = back;
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use image::RgbImage;

    use super::*;
    use crate::{
        capture::Received,
        domain::{Clock, SystemClock},
    };

    /// Gives so many frames, then fails or ends.
    struct Scripted {
        left: u64,
        pacing: Pacing,
        fails: bool,
        /// Told before each frame.
        given: Sender<()>,
    }

    impl FrameSource for Scripted {
        fn pacing(&self) -> Pacing {
            self.pacing
        }

        fn receive(&mut self) -> Result<Received, CaptureError> {
            let _ = self.given.send(());
            if self.left == 0 {
                let stalled = CaptureError::Stalled { place: "scripted".into(), timeout: Duration::from_secs(5) };
                return if self.fails { Err(stalled) } else { Ok(Received::End) };
            }
            self.left -= 1;
            Ok(Received::Picture { image: RgbImage::new(32, 32), captured: SystemClock.now() })
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn feed(left: u64, pacing: Pacing, fails: bool) -> (Feed, Receiver<()>) {
        let (given, told) = unbounded();
        let open: OpenSource = Box::new(move |_| Ok(Box::new(Scripted { left, pacing, fails, given })));
        (Feed::start(SourceId::new("scripted"), open).unwrap(), told)
    }

    fn numbers(feed: &Feed) -> Vec<u64> {
        let (_keep, never) = unbounded();
        std::iter::from_fn(|| match feed.next(&never, LONG).unwrap() {
            Fed::Frame(frame) => Some(frame.at.seq),
            Fed::End => None,
            other => panic!("{other:?}"),
        })
        .collect()
    }

    #[test]
    fn a_recording_gives_every_frame() {
        let (feed, _told) = feed(20, Pacing::OnDemand, false);
        let (_keep, never) = unbounded();
        assert_eq!(feed.pacing(&never).unwrap(), Some(Pacing::OnDemand));
        assert_eq!(numbers(&feed), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn of_a_live_source_only_the_newest_is_there() {
        let (feed, told) = feed(20, Pacing::Live, false);
        // Until the twenty-first time it is asked: all are given by then, and nobody took one.
        for _ in 0..21 {
            told.recv().unwrap();
        }
        assert_eq!(numbers(&feed), [19]);
    }

    #[test]
    fn a_failure_is_told_and_ends_it() {
        for pacing in [Pacing::Live, Pacing::OnDemand] {
            let (feed, _told) = feed(0, pacing, true);
            let (_keep, never) = unbounded();
            assert!(matches!(feed.next(&never, LONG), Err(CaptureError::Stalled { .. })));
            assert!(matches!(feed.next(&never, LONG), Ok(Fed::End)));
        }
    }

    #[test]
    fn who_asks_to_stop_is_heard_before_the_frames() {
        let (feed, _told) = feed(5, Pacing::OnDemand, false);
        let (ask, asked) = unbounded();
        ask.send(()).unwrap();
        assert!(matches!(feed.next(&asked, LONG), Ok(Fed::Interrupted)));
        let closed: OpenSource = Box::new(|stop| {
            stop.wait(LONG);
            Err(CaptureError::Stopped { place: "closed".into() })
        });
        ask.send(()).unwrap();
        let opening = Feed::start(SourceId::new("closed"), closed).unwrap();
        assert!(matches!(opening.pacing(&asked), Ok(None)));
        assert!(matches!(opening.next(&asked, Duration::ZERO), Ok(Fed::Nothing)));
    }
}
