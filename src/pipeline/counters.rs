use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// What the stages have done so far. Written by one stage each, read by anyone.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) captured: AtomicU64,
    pub(super) corrupt: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) replaced: AtomicU64,
    pub(super) seen: AtomicU64,
    pub(super) searched: AtomicU64,
    pub(super) passed_over: AtomicU64,
    pub(super) faces: AtomicU64,
    pub(super) too_small: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) sightings: AtomicU64,
    pub(super) judged: AtomicU64,
    pub(super) probes: AtomicU64,
    pub(super) granted: AtomicU64,
    pub(super) denied: AtomicU64,
    pub(super) told: AtomicU64,
    pub(super) emitted: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Stages whose models or sinks are there.
    pub(super) built: AtomicU64,
    trouble: Mutex<Option<String>>,
}

pub(super) fn count(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// What the stages have done. When the pipeline has drained, `captured = replaced + seen` and
/// `granted + denied + told = emitted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Pictures received and decoded.
    pub captured: u64,
    /// Pictures received that could not be decoded.
    pub corrupt: u64,
    /// Times the source was opened again after an error.
    pub reopened: u64,
    /// Frames replaced in the slot by a newer one.
    pub replaced: u64,
    /// Frames taken out of the slot.
    pub seen: u64,
    /// Those of them that the detector has searched, and whose faces were handed on.
    pub searched: u64,
    /// Those of them in which faces were not looked for, because they are dark, or nothing moves and nobody is there.
    pub passed_over: u64,
    /// Faces found in them.
    pub faces: u64,
    /// Faces too small to belong to somebody at the door: counted, not decided on.
    pub too_small: u64,
    /// Faces not compared for another part of their quality.
    pub refused: u64,
    /// Frames with faces or the end of a track, offered to the recogniser.
    pub sightings: u64,
    /// Those of them that it has done with.
    pub judged: u64,
    /// Faces compared with the gallery.
    pub probes: u64,
    /// Events that grant.
    pub granted: u64,
    /// Events that deny.
    pub denied: u64,
    /// Events that tell something else: hints, reports, changes of the source.
    pub told: u64,
    /// Events taken by every sink.
    pub emitted: u64,
    /// Frames or faces lost to an error of a stage.
    pub failed: u64,
}

impl Counters {
    /// All counters, now.
    pub fn read(&self) -> Tally {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Tally {
            captured: get(&self.captured),
            corrupt: get(&self.corrupt),
            reopened: get(&self.reopened),
            replaced: get(&self.replaced),
            seen: get(&self.seen),
            searched: get(&self.searched),
            passed_over: get(&self.passed_over),
            faces: get(&self.faces),
            too_small: get(&self.too_small),
            refused: get(&self.refused),
            sightings: get(&self.sightings),
            judged: get(&self.judged),
            probes: get(&self.probes),
            granted: get(&self.granted),
            denied: get(&self.denied),
            told: get(&self.told),
            emitted: get(&self.emitted),
            failed: get(&self.failed),
        }
    }

    /// The source gives no frames, for this reason; `None`: it does again.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Why the source gives no frames, if it is known not to.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
