//! What the service manager is told, and when: pure logic, fed with the pipeline's health and the time.

use std::{
    mem,
    time::{Duration, Instant},
};

use crate::pipeline::{Health, Tally};

/// How often the status line is brought up to date. Each one wakes the service manager and who listens to it.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// How the status line begins when all is well.
const GUARDING: &str = "guarding the door";

/// Something to tell the service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// The door is guarded.
    Ready,
    /// Frames make progress.
    Watchdog,
    /// The end has begun.
    Stopping,
    /// A line for people.
    Status(String),
}

/// Where the stages stood at some time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    tally: Tally,
}

/// Decides what to tell.
///
/// Ready comes with the first frame that has gone through detection, or was passed over as dark, once everything is built. The watchdog is fed
/// at half its interval, and only when since the last feeding frames were captured and searched, and every face and every event that
/// was handed on before it is done with: nothing waits in a stage for longer than the interval. Recogniser and
/// sinks may be idle, since nobody may be at the door.
#[derive(Debug)]
pub(super) struct Herald {
    feed_every: Option<Duration>,
    /// The last feeding; the first one is being ready.
    fed: Option<Mark>,
    stopping: bool,
    status: String,
    /// From when the rate in the status line is counted.
    counted: Mark,
}

impl Herald {
    /// At the start, with the watchdog's interval if there is one.
    pub(super) fn new(watchdog: Option<Duration>, now: Instant) -> Self {
        Self {
            feed_every: watchdog.map(|interval| interval / 2),
            fed: None,
            stopping: false,
            status: String::new(),
            counted: Mark { at: now, tally: Tally::default() },
        }
    }

    /// How often it should hear of the pipeline: often enough that a feeding is not late by much.
    pub(super) fn pace(&self) -> Duration {
        let longest = Duration::from_millis(500);
        self.feed_every.map_or(longest, |every| (every / 8).clamp(Duration::from_millis(1), longest))
    }

    /// What to tell now.
    pub(super) fn hear(&mut self, health: &Health, now: Instant) -> Vec<Word> {
        let mut words = Vec::new();
        let here = Mark { at: now, tally: health.tally };
        if health.stopping {
            if !mem::replace(&mut self.stopping, true) {
                words.push(Word::Stopping);
            }
        } else if let Some(word) = self.sign_of_life(health.built, &here) {
            self.fed = Some(here);
            words.push(word);
        }
        words.extend(self.news(health, here).map(Word::Status));
        words
    }

    fn sign_of_life(&self, built: bool, here: &Mark) -> Option<Word> {
        match &self.fed {
            None => (built && frames_done(&here.tally) > 0).then_some(Word::Ready),
            Some(last) => {
                let due = self.feed_every.is_some_and(|every| here.at.duration_since(last.at) >= every);
                (due && has_progressed(&last.tally, &here.tally)).then_some(Word::Watchdog)
            }
        }
    }

    /// The status line, when it says something new: a change of state at once, figures now and then.
    fn news(&mut self, health: &Health, here: Mark) -> Option<String> {
        let due = here.at.duration_since(self.counted.at) >= STATUS_EVERY;
        let status = match &health.trouble {
            _ if self.stopping => "stopping".to_owned(),
            // One line: a line of its own would be a message of its own.
            Some(trouble) => format!("waiting for frames: {}", trouble.replace(char::is_control, " ")),
            None if self.fed.is_none() && health.built => "waiting for the first frame".to_owned(),
            None if self.fed.is_none() => "starting".to_owned(),
            None if due || !self.status.starts_with(GUARDING) => self.guarding(health, here),
            None => return None,
        };
        if due {
            self.counted = here;
        }
        let news = status != self.status;
        self.status.clone_from(&status);
        news.then_some(status)
    }

    fn guarding(&self, health: &Health, here: Mark) -> String {
        let Tally { granted, denied, .. } = health.tally;
        let frames = frames_done(&health.tally) - frames_done(&self.counted.tally);
        let seconds = here.at.duration_since(self.counted.at).as_secs_f64();
        let subjects = health.subjects;
        let plural = if subjects == 1 { "" } else { "s" };
        let rate = if seconds >= 1.0 { format!("{:.1} frames/s, ", frames as f64 / seconds) } else { String::new() };
        format!("{GUARDING}: {rate}{subjects} subject{plural}, {granted} granted, {denied} denied")
    }
}

/// Frames that have gone through detection, or need not: nothing stirred, or it was dark.
const fn frames_done(tally: &Tally) -> u64 {
    tally.searched + tally.passed_over
}

/// Whether every stage has moved on between two readings.
const fn has_progressed(before: &Tally, after: &Tally) -> bool {
    after.captured > before.captured
        && frames_done(after) > frames_done(before)
        && after.judged >= before.sightings
        && after.emitted >= before.granted + before.denied + before.told
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(20);

    /// A pipeline that works: a frame every 100 ms, with a face in each.
    fn at_work(ms: u64) -> Health {
        let n = ms / 100;
        let tally = Tally {
            captured: n,
            seen: n,
            searched: n,
            sightings: n,
            judged: n,
            granted: n,
            emitted: n,
            ..Tally::default()
        };
        Health { tally, built: true, trouble: None, subjects: 2, stopping: false }
    }

    /// Feeds a herald with a health for every 100 ms from the start; gives the words but for the status, with their times.
    fn told(until_ms: u64, health: impl Fn(u64) -> Health) -> Vec<(u64, Word)> {
        let start = Instant::now();
        let mut herald = Herald::new(Some(INTERVAL), start);
        let times = (0..=until_ms).step_by(100);
        let words = times.flat_map(|ms| {
            let words = herald.hear(&health(ms), start + Duration::from_millis(ms));
            words.into_iter().map(move |word| (ms, word))
        });
        words.filter(|(_, word)| !matches!(word, Word::Status(_))).collect()
    }

    #[test]
    fn ready_comes_with_the_first_frame_and_the_watchdog_is_fed_at_half_its_interval() {
        let fed = |at| (at, Word::Watchdog);
        assert_eq!(told(35_000, at_work), [(100, Word::Ready), fed(10_100), fed(20_100), fed(30_100)]);
    }

    #[test]
    fn it_is_not_ready_without_a_frame_nor_without_its_models() {
        assert_eq!(told(60_000, |_| at_work(0)), []);
        assert_eq!(told(60_000, |ms| Health { built: false, ..at_work(ms) }), []);
        let captured_only = |ms| Health { tally: Tally { searched: 0, ..at_work(ms).tally }, ..at_work(ms) };
        assert_eq!(told(60_000, captured_only), []);
    }

    #[test]
    fn whatever_stands_still_starves_the_watchdog() {
        let (then, fed) = (at_work(5_000).tally, |words: Vec<(u64, Word)>| {
            words.into_iter().filter(|(_, word)| *word == Word::Watchdog).count()
        });
        let stuck = |change: fn(&mut Tally, &Tally)| {
            fed(told(60_000, |ms| {
                let mut health = at_work(ms);
                if ms >= 5_000 {
                    change(&mut health.tally, &then);
                }
                health
            }))
        };
        assert_eq!(stuck(|_, _| {}), 5);
        // Once more: frames did go through after the first feeding, and what was handed on before it is done.
        assert_eq!(stuck(|now, then| *now = *then), 1, "the source");
        assert_eq!(stuck(|now, then| now.searched = then.searched), 1, "see");
        assert_eq!(stuck(|now, then| now.judged = then.judged), 1, "recognise");
        assert_eq!(stuck(|now, then| now.emitted = then.emitted), 1, "emit");
    }

    #[test]
    fn nobody_at_the_door_is_no_reason_to_starve() {
        let empty = |ms| {
            let Tally { captured, seen, searched, .. } = at_work(ms).tally;
            Health { tally: Tally { captured, seen, searched, ..Tally::default() }, ..at_work(ms) }
        };
        assert_eq!(told(35_000, empty).len(), 4);
    }

    #[test]
    fn a_watchdog_that_was_starved_is_fed_again_at_the_first_progress() {
        let pause = |ms| at_work(if (5_000..23_000).contains(&ms) { 5_000 } else { ms });
        let fed: Vec<u64> = told(40_000, pause).into_iter().map(|(ms, _)| ms).collect();
        assert_eq!(fed, [100, 10_100, 23_000, 33_000]);
    }

    #[test]
    fn without_a_watchdog_nothing_is_fed() {
        let start = Instant::now();
        let mut herald = Herald::new(None, start);
        let words: Vec<Word> =
            (0..600).flat_map(|s| herald.hear(&at_work(s * 1000), start + Duration::from_secs(s))).collect();
        assert!(words.contains(&Word::Ready) && !words.contains(&Word::Watchdog), "{words:?}");
    }

    #[test]
    fn stopping_is_said_once_and_ends_the_feeding() {
        let stopping = |ms| Health { stopping: ms >= 15_000, ..at_work(ms) };
        let words = told(60_000, stopping);
        assert_eq!(words, [(100, Word::Ready), (10_100, Word::Watchdog), (15_000, Word::Stopping)]);
    }

    #[test]
    fn the_status_is_a_line_for_people_and_says_nothing_twice() {
        let start = Instant::now();
        let mut herald = Herald::new(Some(INTERVAL), start);
        let mut status = |ms: u64, health: Health| {
            let words = herald.hear(&health, start + Duration::from_millis(ms));
            words.into_iter().find_map(|word| if let Word::Status(line) = word { Some(line) } else { None })
        };
        let trouble = |ms| Health { trouble: Some("camera\n/dev/video0: gone".into()), ..at_work(ms) };
        assert_eq!(status(0, Health { built: false, ..at_work(0) }).as_deref(), Some("starting"));
        assert_eq!(status(100, at_work(0)).as_deref(), Some("waiting for the first frame"));
        assert_eq!(status(200, trouble(0)).as_deref(), Some("waiting for frames: camera /dev/video0: gone"));
        assert_eq!(status(300, trouble(0)), None);
        let first = "guarding the door: 2 subjects, 1 granted, 0 denied";
        assert_eq!(status(400, at_work(100)).as_deref(), Some(first));
        assert_eq!(status(5_000, at_work(4_000)), None);
        let later = "guarding the door: 10.0 frames/s, 2 subjects, 100 granted, 0 denied";
        assert_eq!(status(10_000, at_work(10_000)).as_deref(), Some(later));
        assert_eq!(status(20_000, at_work(10_000)).map(|line| line.contains(" 0.0 frames/s")), Some(true));
        assert!(status(20_100, trouble(10_000)).is_some());
        assert_eq!(status(20_200, Health { stopping: true, ..trouble(10_000) }).as_deref(), Some("stopping"));
    }
}
