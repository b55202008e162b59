//! The latest-frame slot: the one lossy edge of the pipeline. It holds at most one item; a newer
//! one replaces an unread one. A queue, even of depth 1, would keep the older and let what is decided on
//! grow stale.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

struct State<T> {
    item: Option<T>,
    sending: bool,
    receiving: bool,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is whole after every statement under the lock, also when a holder panicked.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn close(&self) {
        self.lock().sending = false;
        self.changed.notify_all();
    }
}

/// The other end of the slot is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Puts items in. Dropping it closes the slot.
pub struct SlotSender<T>(Arc<Slot<T>>);

/// Takes items out.
pub struct SlotReceiver<T>(Arc<Slot<T>>);

/// Closes the slot from outside, for a sender that is stuck elsewhere.
pub struct SlotCloser<T>(Arc<Slot<T>>);

/// An empty slot.
pub fn slot<T>() -> (SlotSender<T>, SlotReceiver<T>, SlotCloser<T>) {
    let slot = Arc::new(Slot {
        state: Mutex::new(State { item: None, sending: true, receiving: true }),
        changed: Condvar::new(),
    });
    (SlotSender(slot.clone()), SlotReceiver(slot.clone()), SlotCloser(slot))
}

impl<T> SlotSender<T> {
    /// Puts `item` in at once; `true` when it replaced an unread one.
    ///
    /// # Errors
    /// When the receiver is gone or the slot is closed.
    pub fn replace(&self, item: T) -> Result<bool, Gone> {
        let mut state = self.0.lock();
        if !state.receiving || !state.sending {
            return Err(Gone);
        }
        let replaced = state.item.replace(item).is_some();
        self.0.changed.notify_all();
        Ok(replaced)
    }

    /// Waits until the slot is empty, then puts `item` in: nothing is lost.
    ///
    /// # Errors
    /// When the receiver is gone or the slot is closed.
    pub fn hand_over(&self, item: T) -> Result<(), Gone> {
        let mut state = self.0.lock();
        while state.item.is_some() && state.receiving && state.sending {
            state = self.0.wait(state);
        }
        if !state.receiving || !state.sending {
            return Err(Gone);
        }
        state.item = Some(item);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Drop for SlotSender<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> SlotReceiver<T> {
    /// Waits for an item; `None` once the slot is closed and empty.
    pub fn take(&self) -> Option<T> {
        let mut state = self.0.lock();
        while state.item.is_none() && state.sending {
            state = self.0.wait(state);
        }
        let item = state.item.take();
        self.0.changed.notify_all();
        item
    }
}

impl<T> Drop for SlotReceiver<T> {
    fn drop(&mut self) {
        self.0.lock().receiving = false;
        self.0.changed.notify_all();
    }
}

impl<T> SlotCloser<T> {
    /// Closes the slot: what is in it can still be taken, nothing more comes in.
    pub fn close(&self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_newest_wins_and_the_last_is_still_taken() {
        let (tx, rx, _closer) = slot();
        assert_eq!(tx.replace(1), Ok(false));
        assert_eq!(tx.replace(2), Ok(true));
        drop(tx);
        assert_eq!((rx.take(), rx.take()), (Some(2), None));
    }

    #[test]
    fn hand_over_loses_nothing() {
        let (tx, rx, _closer) = slot();
        let sender = thread::spawn(move || (0..1000).try_for_each(|i| tx.hand_over(i)));
        let taken: Vec<i32> = std::iter::from_fn(|| rx.take()).collect();
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_sender_learns_that_nobody_takes() {
        let (tx, rx, _closer) = slot();
        tx.replace(1).unwrap();
        let waiting = thread::spawn(move || tx.hand_over(2));
        drop(rx);
        assert_eq!(waiting.join().unwrap(), Err(Gone));
    }

    #[test]
    fn closing_from_outside_frees_the_receiver() {
        let (tx, rx, closer) = slot();
        tx.replace(1).unwrap();
        closer.close();
        assert_eq!((rx.take(), rx.take()), (Some(1), None));
        assert_eq!(tx.replace(2), Err(Gone));
    }
}
