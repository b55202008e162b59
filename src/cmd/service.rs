//! The service manager (systemd) that started this process, if one did: it is told through the socket it named how the
//! pipeline is. What it is told is decided in [`Herald`].

use std::{env, time::Instant};

use sd_notify::NotifyState;

use super::herald::{Herald, Word};
use crate::pipeline::Observer;

/// Tells the service manager of the pipeline; `None` where there is none.
pub(super) fn observer() -> Option<Observer> {
    env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
    let watchdog = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero());
    let mut herald = Herald::new(watchdog, Instant::now());
    let mut failing = false;
    Some(Observer {
        every: herald.pace(),
        look: Box::new(move |health| {
            let words = herald.hear(health, Instant::now());
            let states: Vec<NotifyState<'_>> = words.iter().map(state_of).collect();
            if states.is_empty() {
                return;
            }
            match sd_notify::notify(&states) {
                Ok(()) => failing = false,
                Err(e) => {
                    if !failing {
                        log::error!("the service manager cannot be told of readiness and progress: {e}");
                    }
                    failing = true;
                }
            }
        }),
    })
}

fn state_of(word: &Word) -> NotifyState<'_> {
    match word {
        Word::Ready => NotifyState::Ready,
        Word::Watchdog => NotifyState::Watchdog,
        Word::Stopping => NotifyState::Stopping,
        Word::Status(line) => NotifyState::Status(line),
    }
}
