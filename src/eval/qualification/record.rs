use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Conditions, Showing};
use crate::domain::PadDoubt;

/// Raised when lines mean something else: older and newer ones then cannot be read.
const FORMAT: u32 = 1;
/// Characters of a subject or a species.
const MAX_LABEL: usize = 64;

/// What a door makes of a presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Outcome {
    /// Taken for bona fide.
    Accepted,
    /// Taken for an attack.
    Refused,
    /// Neither: a non-response. A door that requires presentation attack detection refuses it.
    Undetermined(PadDoubt),
}

impl Outcome {
    /// The machine-readable name: `bona-fide`, `attack`, or the reason why neither.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "bona-fide",
            Self::Refused => "attack",
            Self::Undetermined(doubt) => doubt.as_str(),
        }
    }
}

impl From<Outcome> for &'static str {
    fn from(outcome: Outcome) -> Self {
        outcome.as_str()
    }
}

impl TryFrom<String> for Outcome {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let all = PadDoubt::ALL.into_iter().map(Self::Undetermined).chain([Self::Accepted, Self::Refused]);
        all.into_iter().find(|outcome| outcome.as_str() == text).ok_or_else(|| format!("{text:?} is no outcome"))
    }
}

/// One presentation, as a line of the record. Numbers only: no picture, nothing from which a face could be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualificationRecord {
    format: u32,
    /// When it was recorded.
    pub at: Timestamp,
    /// Who was shown: the bona fide person, or the one attacked. As the operator wrote it: a name, or a number.
    pub subject: String,
    /// The species of the attack; `None` for a bona fide presentation.
    pub species: Option<String>,
    /// What the door made of it.
    pub outcome: Outcome,
    /// Log-odds of each frame that shows a face, in tenths of thousandths, and why it was not judged, if it was not.
    pub frames: Vec<(f32, Option<FrameDoubt>)>,
    /// Frames without a face that could be looked at.
    pub without_face: u64,
    /// Width and height of its frames, px.
    pub frame_px: [u32; 2],
    /// Under what it was recorded.
    pub conditions: Conditions,
}

/// Why a frame was not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub struct FrameDoubt(pub PadDoubt);

impl From<FrameDoubt> for &'static str {
    fn from(doubt: FrameDoubt) -> Self {
        doubt.0.as_str()
    }
}

impl TryFrom<String> for FrameDoubt {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = PadDoubt::ALL.into_iter().find(|doubt| doubt.as_str() == text);
        found.map(Self).ok_or_else(|| format!("{text:?} is no reason"))
    }
}

impl QualificationRecord {
    /// What was shown; `None` when no frame of it shows a face: nobody was presented.
    pub fn new(
        showing: &Showing,
        subject: &str,
        species: Option<&str>,
        conditions: &Conditions,
        at: Timestamp,
    ) -> Option<Self> {
        Some(Self {
            format: FORMAT,
            at,
            subject: subject.to_owned(),
            species: species.map(str::to_owned),
            outcome: showing.outcome(species.is_some()),
            frames: showing.frames().iter().map(|(odds, doubt)| (rounded(*odds), doubt.map(FrameDoubt))).collect(),
            without_face: showing.without_face(),
            frame_px: showing.frame_px()?,
            conditions: conditions.clone(),
        })
    }

    /// A line's record, if it is one of this format.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(line).ok()?;
        let named = |text: &str| Self::subject_named(text).is_ok();
        let holds = record.format == FORMAT && named(&record.subject) && record.species.as_deref().is_none_or(named);
        holds.then_some(record)
    }

    /// Who and what it was, and what came of it.
    pub fn result(&self) -> (&str, Option<&str>, Outcome) {
        (&self.subject, self.species.as_deref(), self.outcome)
    }

    /// A subject as it is recorded: trimmed.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn subject_named(text: &str) -> Result<String, String> {
        let text = text.trim();
        if !(1..=MAX_LABEL).contains(&text.chars().count()) || text.chars().any(char::is_control) {
            return Err(format!("{text:?}: 1 to {MAX_LABEL} printable characters are expected"));
        }
        Ok(text.to_owned())
    }

    /// A species as it is recorded: trimmed and in small letters, so that Print and print are one.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn species_named(text: &str) -> Result<String, String> {
        // Small letters may be more characters than large ones.
        Self::subject_named(&Self::subject_named(text)?.to_lowercase())
    }

    /// Whether both tell of the same pictures: a recording counts once. Live frames are never twice the same.
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        self.frames == other.frames && self.conditions == other.conditions
    }
}

/// Not finite is what no net gives; should one, it must not pass.
fn rounded(log_odds: f32) -> f32 {
    if log_odds.abs() < 1e6 { (log_odds * 1e4).round() / 1e4 } else { -1e6 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn of(
        subject: &str,
        species: Option<&str>,
        outcome: Outcome,
        conditions: &Conditions,
    ) -> QualificationRecord {
        QualificationRecord {
            format: FORMAT,
            at: Timestamp::UNIX_EPOCH,
            subject: subject.to_owned(),
            species: species.map(str::to_owned),
            outcome,
            frames: vec![(-1.25, None), (3.0001, Some(FrameDoubt(PadDoubt::Scale)))],
            without_face: 2,
            frame_px: [640, 480],
            conditions: conditions.clone(),
        }
    }

    #[test]
    fn a_line_reads_back_and_holds_no_more_than_numbers() {
        let record = of(
            "Ada",
            Some("print"),
            Outcome::Undetermined(PadDoubt::Dark),
            &super::super::conditions::tests::of("door"),
        );
        let line = serde_json::to_string(&record).unwrap();
        assert!(
            line.contains(r#""outcome":"dark","frames":[[-1.25,null],[3.0001,"scale"]],"without_face":2"#),
            "{line}"
        );
        assert_eq!(QualificationRecord::parse(line.as_bytes()), Some(record));
        for bad in [
            line.replace("\"format\":1", "\"format\":2"),
            line.replace("\"dark\"", "\"night\""),
            line.replace("\"Ada\"", "\"\""),
            line.replace("{\"format\"", "{\"picture\":1,\"format\""),
            line[..line.len() - 1].to_owned(),
        ] {
            assert_eq!(QualificationRecord::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn every_outcome_has_a_name_that_reads_back() {
        for outcome in PadDoubt::ALL.into_iter().map(Outcome::Undetermined).chain([Outcome::Accepted, Outcome::Refused])
        {
            assert_eq!(Outcome::try_from(outcome.as_str().to_owned()), Ok(outcome));
        }
    }

    #[test]
    fn labels_are_trimmed_and_bounded() {
        let (subject, species) = (QualificationRecord::subject_named, QualificationRecord::species_named);
        assert_eq!((subject(" Ada ").unwrap(), species(" Print").unwrap()), ("Ada".into(), "print".into()));
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(subject(bad).unwrap_err().contains("1 to 64 printable"), "{bad:?}");
        }
        assert!(species(&"İ".repeat(64)).is_err(), "twice as many in small letters");
    }

    #[test]
    fn what_is_not_finite_is_written_as_an_attack() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(rounded(bad), -1e6);
        }
        assert_eq!(rounded(-2.58764), -2.5876);
    }
}
