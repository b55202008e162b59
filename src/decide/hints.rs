use std::{collections::HashMap, time::Duration};

use crate::domain::{Hint, Monotonic, TrackId};

/// How long something must stand in the way before it is worth a word: whoever walks up is about to come closer.
const PATIENCE: Duration = Duration::from_millis(700);

/// How long somebody too far away must stand there: most only pass by.
const DISTANT_PATIENCE: Duration = Duration::from_secs(2);

/// The same words for the same face come again after so long.
const AGAIN: Duration = Duration::from_secs(6);

/// A pause after which what stands in the way counts as something new.
const GAP: Duration = Duration::from_secs(1);

/// Whom a hint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Addressee {
    Face(TrackId),
    /// A face too far away to be followed.
    Distant,
    /// Whoever may stand there in the dark.
    Anybody,
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    hint: Hint,
    since: Monotonic,
    last: Monotonic,
    told: Option<Monotonic>,
}

/// What to say, and when: not before something has lasted, one at a time, and not the same over and over. Pure: times are passed in.
#[derive(Debug)]
pub struct Hints {
    /// Least pause between two hints; zero: none at all.
    every: Duration,
    last: Option<Monotonic>,
    troubles: HashMap<Addressee, Trouble>,
}

impl Hints {
    /// With the least pause between two hints; zero gives none.
    pub fn new(every: Duration) -> Self {
        Self { every, last: None, troubles: HashMap::new() }
    }

    /// Something stands in the way of recognising this face. `Some`: say it now.
    pub fn on_face(&mut self, track: TrackId, hint: Hint, now: Monotonic) -> Option<Hint> {
        self.note(Addressee::Face(track), hint, PATIENCE, now)
    }

    /// Somebody stands too far away, and nobody else is there.
    pub fn on_distant_face(&mut self, now: Monotonic) -> Option<Hint> {
        self.note(Addressee::Distant, Hint::ComeCloser, DISTANT_PATIENCE, now)
    }

    /// The whole picture shows nothing; said once, until it shows something again.
    pub fn on_picture(&mut self, hint: Hint, now: Monotonic) -> Option<Hint> {
        self.note(Addressee::Anybody, hint, DISTANT_PATIENCE, now)
    }

    /// A face that nothing stands in the way of any more, or that has left.
    pub fn forget(&mut self, track: TrackId) {
        self.troubles.remove(&Addressee::Face(track));
    }

    fn note(&mut self, addressee: Addressee, hint: Hint, patience: Duration, now: Monotonic) -> Option<Hint> {
        if self.every.is_zero() {
            return None;
        }
        let fresh = Trouble { hint, since: now, last: now, told: None };
        let trouble = self.troubles.entry(addressee).or_insert(fresh);
        if now.saturating_since(trouble.last) > GAP {
            *trouble = fresh;
        } else if trouble.hint != hint {
            // The obstacle is another one; that there is one is not new.
            *trouble = Trouble { since: trouble.since, ..fresh };
        }
        trouble.last = now;
        let lasted = now.saturating_since(trouble.since) >= patience;
        let free = self.last.is_none_or(|last| now.saturating_since(last) >= self.every);
        let due = match (trouble.told, addressee) {
            (None, _) => true,
            (Some(_), Addressee::Anybody) => false,
            (Some(told), _) => now.saturating_since(told) >= AGAIN,
        };
        if !(lasted && free && due) {
            return None;
        }
        trouble.told = Some(now);
        self.last = Some(now);
        Some(hint)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_boot(Duration::from_millis(ms))
    }

    const EVERY: Duration = Duration::from_secs(2);

    /// The times at which something is said of what lasts from 0 to `until_ms`, a frame every 66 ms.
    fn told(until_ms: u64, mut say: impl FnMut(Monotonic) -> Option<Hint>) -> Vec<u64> {
        (0..until_ms).step_by(66).filter(|ms| say(at(*ms)).is_some()).collect()
    }

    #[test]
    fn what_lasts_is_said_and_said_again_after_a_while() {
        let mut hints = Hints::new(EVERY);
        assert_eq!(told(10_000, |now| hints.on_face(TrackId::new(0), Hint::HoldStill, now)), [726, 6_732]);
    }

    #[test]
    fn what_passes_is_not_worth_a_word() {
        let mut hints = Hints::new(EVERY);
        assert!(told(600, |now| hints.on_face(TrackId::new(0), Hint::HoldStill, now)).is_empty());
        hints.forget(TrackId::new(0));
        assert_eq!(hints.on_face(TrackId::new(0), Hint::HoldStill, at(800)), None, "it begins anew");
        let later = (0..10).map(|n| at(n * 1_500));
        assert_eq!(later.filter_map(|now| hints.on_face(TrackId::new(1), Hint::HoldStill, now)).count(), 0);
    }

    #[test]
    fn a_crowd_is_told_one_thing_at_a_time() {
        let mut hints = Hints::new(EVERY);
        let said = told(9_000, |now| {
            let one = hints.on_face(TrackId::new(0), Hint::ComeCloser, now);
            one.or(hints.on_face(TrackId::new(1), Hint::LookAtCamera, now))
        });
        assert!(said.windows(2).all(|pair| pair[1] - pair[0] >= 2_000) && said.len() >= 3, "{said:?}");
    }

    #[test]
    fn the_dark_is_told_of_once_until_there_was_light() {
        let mut hints = Hints::new(EVERY);
        assert_eq!(told(600_000, |now| hints.on_picture(Hint::MoreLight, now)).len(), 1);
        let after = (0..60).filter_map(|n| hints.on_picture(Hint::MoreLight, at(610_000 + n * 66)));
        assert_eq!(after.count(), 1);
    }

    #[test]
    fn somebody_far_away_has_time_to_pass_by() {
        let mut hints = Hints::new(EVERY);
        assert_eq!(told(4_000, |now| hints.on_distant_face(now)), [2_046]);
    }

    #[test]
    fn zero_says_nothing() {
        let mut hints = Hints::new(Duration::ZERO);
        assert!(told(20_000, |now| hints.on_face(TrackId::new(0), Hint::HoldStill, now)).is_empty());
    }

    proptest! {
        #[test]
        fn two_hints_are_never_closer_than_they_may_be(
            frames in prop::collection::vec((0u64..300, 0u64..3, 0usize..Hint::ALL.len()), 0..200),
        ) {
            let mut hints = Hints::new(EVERY);
            let (mut now, mut last) = (0, None);
            for (step, track, hint) in frames {
                now += step;
                if hints.on_face(TrackId::new(track), Hint::ALL[hint], at(now)).is_some() {
                    prop_assert!(last.is_none_or(|last| now - last >= 2_000));
                    last = Some(now);
                }
            }
        }
    }
}
