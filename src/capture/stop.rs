//! Stop by dropping: no flag to poll forgotten, no message to lose.

use std::{convert::Infallible, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

/// Keeps everything running that holds its [`StopSignal`]. Dropping it is the stop.
#[derive(Debug)]
pub struct StopToken {
    // Nothing can ever be sent; only the disconnection says something.
    _alive: Sender<Infallible>,
}

/// Learns that the [`StopToken`] was dropped. Clones hear it alike.
#[derive(Debug, Clone)]
pub struct StopSignal(Receiver<Infallible>);

/// A token and the signal that fires when it is dropped.
pub fn stop_token() -> (StopToken, StopSignal) {
    let (alive, signal) = bounded(0);
    (StopToken { _alive: alive }, StopSignal(signal))
}

impl StopSignal {
    /// Whether the token is gone.
    pub fn is_stopped(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits until the token is gone, at most for `timeout`; true when it is gone.
    pub fn wait(&self, timeout: Duration) -> bool {
        matches!(self.0.recv_timeout(timeout), Err(RecvTimeoutError::Disconnected))
    }

    /// For `select!`: this channel carries nothing, it only disconnects.
    pub fn receiver(&self) -> &Receiver<Infallible> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use super::*;

    #[test]
    fn dropping_the_token_ends_a_wait_at_once() {
        let (token, signal) = stop_token();
        assert!(!signal.is_stopped());
        assert!(!signal.wait(Duration::from_millis(5)));
        let waiting = {
            let signal = signal.clone();
            thread::spawn(move || (signal.wait(Duration::from_secs(60)), Instant::now()))
        };
        let dropped = Instant::now();
        drop(token);
        let (stopped, woken) = waiting.join().unwrap();
        assert!(stopped && signal.is_stopped() && signal.wait(Duration::ZERO));
        assert!(woken.saturating_duration_since(dropped) < Duration::from_secs(1));
    }
}
