//! Several threads on one inference, without a lock between operators.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, Thread};

use super::int8::Aligned;

/// A fixed number of threads, the caller's among them, that share the parts of one operator after the other.
///
/// Work is handed out by one atomic word: the number of the job and which of its parts are still to be had. A thread takes the
/// part of its own number if it can, so that the same rows of a picture stay in the same processor's cache from operator to
/// operator, and any other after that; the caller takes parts as well and waits until all are done, so a helper that still
/// sleeps costs nothing but its help. Helpers spin while an inference is under way (its operators follow each other within microseconds) and
/// sleep in between.
pub(super) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    sleepers: Vec<Thread>,
    /// The caller's own scratch memory.
    scratch: Scratch,
}

/// What a thread may use as it likes during a part; kept from part to part.
pub(super) type ScratchBytes = Aligned<u8>;

struct Scratch(UnsafeCell<ScratchBytes>);

// SAFETY: only the thread that holds `Shared::busy` touches it (see `Team::run`).
unsafe impl Sync for Scratch {}

type Job = dyn Fn(usize, &mut ScratchBytes) + Sync;

struct Shared {
    /// Number of the job (32 bits), its parts that nobody has taken (32).
    claims: AtomicU64,
    done: AtomicU32,
    job: UnsafeCell<Option<*const Job>>,
    failed: AtomicBool,
    awake: AtomicBool,
    stop: AtomicBool,
    /// One job at a time.
    busy: AtomicBool,
}

// SAFETY: `job` is written by the thread that holds `busy` while no part is unclaimed, and read by threads that have claimed a
// part, which the writer waits for. All else is atomic.
unsafe impl Sync for Shared {}
// SAFETY: the pointer in `job` refers to a `Sync` closure and is used only while its owner waits in `Team::run`.
unsafe impl Send for Shared {}

/// The most parts of a job, hence threads that are of use.
pub(super) const MAX_PARTS: usize = 32;

/// How long a helper looks for work before it sleeps, once the inference is over.
const IDLE_SPINS: u32 = 2048;
/// After so many looks at the clock of nothing happening a spinning thread lets others run.
const SPINS_BEFORE_YIELD: u32 = 1 << 12;

impl Team {
    /// A team of `threads` threads (at least one, the caller's).
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn new(threads: usize) -> std::io::Result<Team> {
        let shared = Arc::new(Shared {
            claims: AtomicU64::new(0),
            done: AtomicU32::new(0),
            job: UnsafeCell::new(None),
            failed: AtomicBool::new(false),
            awake: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            busy: AtomicBool::new(false),
        });
        let mut team = Team {
            shared,
            helpers: Vec::new(),
            sleepers: Vec::new(),
            scratch: Scratch(UnsafeCell::new(Aligned::default())),
        };
        for number in 1..threads {
            let shared = team.shared.clone();
            let helper =
                thread::Builder::new().name(format!("inference-{number}")).spawn(move || shared.help(number))?;
            team.sleepers.push(helper.thread().clone());
            team.helpers.push(helper);
        }
        Ok(team)
    }

    /// How many threads work.
    pub(super) fn threads(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Keeps the helpers awake until the guard goes.
    pub(super) fn wake(&self) -> Awake<'_> {
        if !self.sleepers.is_empty() {
            self.shared.awake.store(true, Ordering::Release);
            self.sleepers.iter().for_each(Thread::unpark);
        }
        Awake(self)
    }

    /// Calls `job` once for every part below `parts`, on all threads, and returns when all are done.
    ///
    /// # Panics
    /// When `job` does, when another thread is in here, or with more than 32 parts.
    pub(super) fn run(&self, parts: usize, job: &(dyn Fn(usize, &mut ScratchBytes) + Sync)) {
        let shared = &*self.shared;
        assert!(parts <= MAX_PARTS, "parts fit 32 bits");
        assert!(!shared.busy.swap(true, Ordering::Acquire), "a team works on one job at a time");
        // Freed on every way out, a panic of the job too.
        let _busy = Busy(shared);
        // SAFETY: `busy` is ours, so nobody else has the caller's scratch.
        let scratch = unsafe { &mut *self.scratch.0.get() };
        if self.helpers.is_empty() || parts <= 1 {
            (0..parts).for_each(|part| job(part, scratch));
            return;
        }
        // SAFETY: of the job before, every part was claimed and done before its `run` returned; no thread reads `job` until
        // the store to `claims` below. The lifetime is erased; `run` does not return before all parts are done.
        unsafe {
            let job: *const (dyn Fn(usize, &mut ScratchBytes) + Sync + '_) = job;
            *shared.job.get() =
                Some(std::mem::transmute::<*const (dyn Fn(usize, &mut ScratchBytes) + Sync + '_), *const Job>(job));
        }
        shared.done.store(0, Ordering::Relaxed);
        let number = (shared.claims.load(Ordering::Relaxed) >> 32).wrapping_add(1) & u64::from(u32::MAX);
        shared.claims.store(number << 32 | ((1 << parts) - 1), Ordering::Release);
        while let Some(part) = shared.claim(0) {
            shared.work(part, scratch);
        }
        let mut spins = 0;
        while shared.done.load(Ordering::Acquire) < parts as u32 {
            pause(&mut spins);
        }
        assert!(
            !shared.failed.swap(false, Ordering::Relaxed),
            "a part of an operator panicked; its message stands above"
        );
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.sleepers.iter().for_each(Thread::unpark);
        for helper in self.helpers.drain(..) {
            // A helper catches the panics of jobs, so it has none of its own to report.
            drop(helper.join());
        }
    }
}

/// While it lives helpers spin for work.
pub(super) struct Awake<'a>(&'a Team);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.shared.awake.store(false, Ordering::Release);
    }
}

struct Busy<'a>(&'a Shared);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Shared {
    /// Takes a part of the present job: `own` if it is to be had, else the first that is.
    fn claim(&self, own: usize) -> Option<usize> {
        let mut claims = self.claims.load(Ordering::Acquire);
        loop {
            let free = claims & u64::from(u32::MAX);
            if free == 0 {
                return None;
            }
            let part = if free >> own & 1 == 1 { own } else { free.trailing_zeros() as usize };
            match self.claims.compare_exchange_weak(claims, claims & !(1 << part), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(part),
                Err(now) => claims = now,
            }
        }
    }

    /// Does a claimed part.
    fn work(&self, part: usize, scratch: &mut ScratchBytes) {
        // SAFETY: the part is claimed and not done, so `run` is still waiting for it: the job is the present one and alive.
        let job = unsafe { &*(*self.job.get()).expect("a job is set before its parts can be claimed") };
        if catch_unwind(AssertUnwindSafe(|| job(part, scratch))).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        self.done.fetch_add(1, Ordering::Release);
    }

    fn help(&self, number: usize) {
        let mut scratch = Aligned::default();
        let mut spins = 0;
        while !self.stop.load(Ordering::Acquire) {
            if let Some(part) = self.claim(number) {
                self.work(part, &mut scratch);
                spins = 0;
            } else if self.awake.load(Ordering::Acquire) || spins < IDLE_SPINS {
                pause(&mut spins);
            } else {
                thread::park();
                spins = 0;
            }
        }
    }
}

/// One turn of waiting.
fn pause(spins: &mut u32) {
    *spins = spins.saturating_add(1);
    if *spins < SPINS_BEFORE_YIELD {
        std::hint::spin_loop();
    } else {
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_job_after_job() {
        for threads in [1, 2, 4] {
            let team = Team::new(threads).unwrap();
            assert_eq!(team.threads(), threads);
            for parts in [0, 1, 2, 3, 17] {
                for _ in 0..200 {
                    let _awake = team.wake();
                    let counts: Vec<AtomicU32> = (0..parts).map(|_| AtomicU32::new(0)).collect();
                    team.run(parts, &|part, scratch| {
                        scratch.grow(8);
                        counts[part].fetch_add(1, Ordering::Relaxed);
                    });
                    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
                }
            }
        }
    }

    #[test]
    fn helpers_that_sleep_are_not_waited_for() {
        let team = Team::new(3).unwrap();
        let sum = AtomicU32::new(0);
        team.run(10, &|part, _| {
            sum.fetch_add(part as u32, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 45);
    }

    #[test]
    fn a_panic_in_a_part_reaches_the_caller_and_leaves_the_team_usable() {
        let team = Team::new(2).unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _awake = team.wake();
            team.run(8, &|part, _| assert!(part != 5, "on purpose"));
        }));
        assert!(caught.is_err());
        let done = AtomicU32::new(0);
        team.run(8, &|_, _| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.load(Ordering::Relaxed), 8);
    }
}
