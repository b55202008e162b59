//! Qualification of a camera for presentation attack detection: people and attacks are presented to it, what a door makes of each
//! presentation is written down in numbers ([`QualificationRecord`], [`QualificationFile`]), and the counts say whether the gate is
//! met ([`Standing`]).
//!
//! What was measured elsewhere does not carry over: on one data set the nets missed five times as many attacks as on another
//! (`docs/pad.md`). So a door that relies on them is measured itself, and anew when its camera, nets, limits or resolution change
//! ([`Conditions`]).

mod conditions;
mod file;
mod record;
mod showing;
mod standing;

pub use conditions::Conditions;
pub use file::{QualificationFile, Recorded};
pub use record::{Outcome, QualificationRecord};
pub use showing::{Glimpse, Showing, showings};
pub use standing::{Counted, Gate, Standing};

use std::{fmt, path::Path};

use super::EvalError;

/// What the presentations recorded say of a camera as it is now.
#[derive(Debug, Clone, PartialEq)]
pub enum Qualification {
    /// The gate is met.
    Qualified(Standing),
    /// It is not, or nothing was recorded.
    Not(Standing),
    /// Presentations were recorded, under other conditions than those of now.
    Stale {
        /// What has changed since the last of them.
        changed: Vec<&'static str>,
        /// How many there are.
        presentations: usize,
    },
}

impl Qualification {
    /// Reads the record in a gallery's folder and holds it against the conditions of now.
    ///
    /// # Errors
    /// When there is a record that cannot be read.
    pub fn of_door(folder: &Path, now: &Conditions) -> Result<Self, EvalError> {
        Ok(Self::of(&QualificationFile::in_folder(folder).read()?, now))
    }

    /// Holds a record against the conditions of now. Only presentations under the same conditions count, and of these the ones whose
    /// frames were as large as the last one's.
    pub fn of(recorded: &Recorded, now: &Conditions) -> Self {
        let of_now = || recorded.records.iter().filter(|record| record.conditions == *now);
        let Some(frame_px) = of_now().next_back().map(|record| record.frame_px) else {
            return match recorded.records.last() {
                None => Self::Not(Standing::default().damaged_in(&recorded.damaged)),
                Some(last) => {
                    Self::Stale { changed: last.conditions.changes(now), presentations: recorded.records.len() }
                }
            };
        };
        let counted = of_now().filter(|record| record.frame_px == frame_px);
        let mut standing = Standing::of(counted.map(QualificationRecord::result)).damaged_in(&recorded.damaged);
        standing.frame_px = Some(frame_px);
        standing.not_counted = recorded.records.len() as u64 - standing.presentations();
        if standing.met() { Self::Qualified(standing) } else { Self::Not(standing) }
    }

    /// Whether the gate is met.
    pub fn is_qualified(&self) -> bool {
        matches!(self, Self::Qualified(_))
    }
}

impl fmt::Display for Qualification {
    /// One sentence, for the log and for the end of a report.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qualified(standing) => {
                let lines: Vec<_> = standing.gates().into_iter().map(|gate| gate.text).collect();
                write!(f, "this camera is qualified for presentation attack detection: {}", lines.join("; "))
            }
            Self::Not(standing) if standing.presentations() == 0 && standing.not_counted == 0 => {
                f.write_str("this camera is not qualified for presentation attack detection: ")?;
                if !standing.damaged().is_empty() {
                    write!(f, "{}; ", standing.say_damaged())?;
                }
                f.write_str("nothing is recorded; `doorward pad qualify record` adds presentations")
            }
            Self::Not(standing) => {
                let missing = standing.gates().into_iter().filter(|gate| !gate.met).map(|gate| gate.text);
                let damage = (!standing.damaged().is_empty()).then(|| standing.say_damaged());
                let missing: Vec<_> = missing.chain(damage).collect();
                write!(f, "this camera is not qualified for presentation attack detection: {}", missing.join("; "))?;
                f.write_str("; `doorward pad qualify report` tells more")
            }
            Self::Stale { changed, presentations } => write!(
                f,
                "the qualification of this camera is out of date: {} changed since the last of {presentations} presentations; \
                 `doorward pad qualify record` begins anew",
                and(changed)
            ),
        }
    }
}

/// `a, b and c`
fn and(parts: &[&str]) -> String {
    match parts {
        [] => "something".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PadDoubt;

    fn recorded(presentations: &[(Option<&str>, Outcome, u64)], conditions: &Conditions) -> Recorded {
        let records = presentations.iter().flat_map(|(species, outcome, n)| {
            (0..*n).map(|n| record::tests::of(&format!("person {}", n % 12), *species, *outcome, conditions))
        });
        let mut recorded = Recorded::default();
        recorded.records.extend(records);
        recorded
    }

    const ENOUGH: [(Option<&str>, Outcome, u64); 3] =
        [(Some("print"), Outcome::Refused, 29), (Some("screen"), Outcome::Refused, 29), (None, Outcome::Accepted, 59)];

    #[test]
    fn a_camera_is_qualified_by_what_the_gate_asks_for_and_by_nothing_less() {
        let now = conditions::tests::of("door");
        assert!(Qualification::of(&recorded(&ENOUGH, &now), &now).is_qualified());
        for at in 0..ENOUGH.len() {
            let mut fewer = ENOUGH;
            fewer[at].2 -= 1;
            let found = Qualification::of(&recorded(&fewer, &now), &now);
            assert!(matches!(found, Qualification::Not(_)), "{found}");
            let mut failed = recorded(&ENOUGH, &now);
            let (species, outcome) = (ENOUGH[at].0, ENOUGH[at].1);
            let wrong = if outcome == Outcome::Accepted { Outcome::Refused } else { Outcome::Accepted };
            failed.records.push(record::tests::of("somebody", species, wrong, &now));
            let found = Qualification::of(&failed, &now);
            assert!(!found.is_qualified() && found.to_string().contains("does not pass"), "{found}");
        }
        let nothing = Qualification::of(&Recorded::default(), &now);
        assert!(nothing.to_string().contains("nothing is recorded; `doorward pad qualify record`"), "{nothing}");
    }

    #[test]
    fn how_far_it_is_stands_in_one_sentence() {
        let now = conditions::tests::of("door");
        let dark = Outcome::Undetermined(PadDoubt::Dark);
        let some = [
            (Some("print"), Outcome::Refused, 12),
            (Some("print"), dark, 4),
            (Some("screen"), Outcome::Accepted, 3),
            (Some("screen"), Outcome::Refused, 37),
            (None, Outcome::Accepted, 58),
            (None, dark, 1),
        ];
        let found = Qualification::of(&recorded(&some, &now), &now).to_string();
        assert_eq!(
            found,
            "this camera is not qualified for presentation attack detection: print: 12 of 29 presentations, none accepted \
             (4 more undetermined); screen: 3 of 40 accepted, this camera does not pass; bona fide: 1 of 59 denied \
             (1 of these undetermined), this camera does not pass; `doorward pad qualify report` tells more"
        );
    }

    #[test]
    fn what_has_changed_is_named() {
        let (before, now) = (conditions::tests::of("door"), conditions::tests::of("porch"));
        let found = Qualification::of(&recorded(&ENOUGH, &before), &now);
        let Qualification::Stale { changed, presentations: 117 } = &found else { panic!("{found:?}") };
        assert_eq!(changed, &["the source's name"]);
        assert!(found.to_string().contains("out of date: the source's name changed since the last of 117"), "{found}");
        // Presentations of now count, those of before do not.
        let mut both = recorded(&ENOUGH, &before);
        both.records.extend(recorded(&ENOUGH, &now).records);
        let Qualification::Qualified(standing) = Qualification::of(&both, &now) else { panic!("{both:?}") };
        assert_eq!((standing.presentations(), standing.not_counted), (117, 117));
    }

    #[test]
    fn a_door_is_asked_by_the_folder_of_its_gallery() {
        let dir = tempfile::tempdir().unwrap();
        let now = conditions::tests::of("door");
        assert_eq!(Qualification::of_door(dir.path(), &now).unwrap(), Qualification::Not(Standing::default()));
        let one = record::tests::of("Ada", None, Outcome::Accepted, &now);
        QualificationFile::in_folder(dir.path()).append(&[one]).unwrap();
        let Qualification::Not(standing) = Qualification::of_door(dir.path(), &now).unwrap() else { panic!() };
        assert_eq!(standing.presentations(), 1);
        std::fs::remove_file(dir.path().join("pad-qualification.jsonl")).unwrap();
        std::fs::create_dir(dir.path().join("pad-qualification.jsonl")).unwrap();
        assert!(Qualification::of_door(dir.path(), &now).is_err(), "what cannot be read is no qualification");
    }

    #[test]
    fn frames_of_another_size_do_not_count() {
        let now = conditions::tests::of("door");
        let mut recorded = recorded(&ENOUGH, &now);
        recorded.records[0].frame_px = [320, 240];
        let Qualification::Not(standing) = Qualification::of(&recorded, &now) else { panic!() };
        assert_eq!((standing.frame_px, standing.not_counted), (Some([640, 480]), 1));
    }

    #[test]
    fn a_line_that_cannot_be_read_may_have_told_of_an_error() {
        let now = conditions::tests::of("door");
        let mut recorded = recorded(&ENOUGH, &now);
        recorded.damaged = vec![17];
        let found = Qualification::of(&recorded, &now);
        assert!(!found.is_qualified() && found.to_string().contains("line 17 cannot be read"), "{found}");
    }
}
