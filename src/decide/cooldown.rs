use std::{collections::HashMap, time::Duration};

use crate::domain::{Monotonic, SubjectId};

/// When each subject was granted last. Holds at most one entry a subject.
#[derive(Debug, Default)]
pub(super) struct Cooldowns(HashMap<SubjectId, Monotonic>);

impl Cooldowns {
    /// Whether the subject's pause is over; if so, a new one starts now.
    pub(super) fn start(&mut self, subject: &SubjectId, now: Monotonic, pause: Duration) -> bool {
        let resting = self.0.get(subject).is_some_and(|granted| now.saturating_since(*granted) < pause);
        if !resting {
            self.0.insert(subject.clone(), now);
        }
        !resting
    }
}
