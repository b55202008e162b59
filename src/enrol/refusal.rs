use std::fmt;

use crate::{
    domain::{QualityRefusal, Similarity, SubjectId, Threshold},
    embed::EmbedError,
};

/// Reasons told when a whole sitting is refused: who reads them changes one thing at a time.
const COMMONEST: usize = 3;

/// Why a picture was not taken as a template.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody is in it.
    NoFace,
    /// It does not say who is meant.
    SeveralFaces(usize),
    /// The face lies on its side or upside down.
    Turned {
        /// How far the picture has to be turned, degrees clockwise.
        clockwise_deg: u16,
    },
    /// The sample is not good enough; every part that fails.
    Quality(Vec<QualityRefusal>),
    /// The person is enrolled already, under another id.
    EnrolledAs {
        /// As whom.
        subject: SubjectId,
        /// How alike the picture is to that subject's reference.
        similarity: Similarity,
    },
    /// It shows someone else than the subject's other photos, or nothing useful.
    SetAside {
        /// How alike it is to them.
        similarity: Similarity,
        /// How alike photos of one subject are.
        threshold: Threshold,
        /// How many more photos show the same as it does.
        companions: usize,
    },
    /// The photos do not show one face, and which of them are of the subject cannot be told.
    Undecided {
        /// How many photos agree with one another, group by group.
        sizes: Vec<usize>,
        /// How alike photos of one subject are.
        threshold: Threshold,
    },
    /// It shows somebody else than the sitting's frames before it.
    AnotherPerson {
        /// How alike it is to them.
        similarity: Similarity,
        /// How alike pictures of one person are.
        threshold: Threshold,
    },
    /// The frames of a source did not give enough templates.
    TooFewFrames {
        /// How many they gave.
        good: usize,
        /// How many there must be.
        needed: usize,
        /// How many frames were looked at.
        frames: usize,
        /// The reasons for which frames were refused, by their codes, the commonest first, with the number of frames.
        reasons: Vec<(String, usize)>,
    },
    /// The face's landmarks make no sense.
    Landmarks,
    /// The recogniser made nothing of it.
    Recogniser(EmbedError),
    /// The picture could not be read; why.
    Unreadable(String),
}

impl Refusal {
    /// The machine-readable reasons, at least one.
    pub fn codes(&self) -> Vec<String> {
        match self {
            Self::NoFace => vec!["no-face".into()],
            Self::SeveralFaces(_) => vec!["several-faces".into()],
            Self::Turned { .. } => vec!["turned".into()],
            Self::Quality(parts) => parts.iter().map(|r| format!("quality-{}", r.part)).collect(),
            Self::EnrolledAs { .. } => vec!["enrolled-as-another".into()],
            Self::SetAside { .. } => vec!["set-aside".into()],
            Self::Undecided { .. } => vec!["undecided".into()],
            Self::AnotherPerson { .. } => vec!["another-person".into()],
            Self::TooFewFrames { reasons, .. } => {
                let commonest = reasons.iter().take(COMMONEST).map(|(code, _)| code.clone());
                std::iter::once("too-few-frames".into()).chain(commonest).collect()
            }
            Self::Landmarks => vec!["landmarks".into()],
            Self::Recogniser(_) => vec!["recogniser".into()],
            Self::Unreadable(_) => vec!["unreadable".into()],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFace => f.write_str("no face in it"),
            Self::SeveralFaces(n) => write!(f, "{n} faces in it; crop it to the one that is meant"),
            Self::Turned { clockwise_deg } => {
                write!(f, "the face is not upright; turn the picture {clockwise_deg} degrees clockwise")
            }
            Self::Quality(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if i == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::EnrolledAs { subject, similarity } => {
                write!(f, "already enrolled as {subject} (similarity {similarity})")
            }
            Self::SetAside { similarity, threshold, companions } => {
                match companions {
                    0 => f.write_str("alone")?,
                    n => write!(f, "alike only to {n} more")?,
                }
                write!(f, ": similarity {similarity} to the subject's photos, below {threshold}")
            }
            Self::Undecided { sizes, threshold } => {
                write!(f, "the photos do not show one face (similarity below {threshold}; groups of ")?;
                for (i, size) in sizes.iter().enumerate() {
                    write!(f, "{}{size}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("), and which are meant cannot be told")
            }
            Self::AnotherPerson { similarity, threshold } => {
                write!(f, "somebody else than before: similarity {similarity}, below {threshold}")
            }
            Self::TooFewFrames { good, needed, frames, reasons } => {
                write!(
                    f,
                    "{good} good frames that are far enough apart, {needed} are needed; {frames} were looked at"
                )?;
                for (i, (code, n)) in reasons.iter().take(COMMONEST).enumerate() {
                    write!(f, "{} {n} {code}", if i == 0 { ", refused:" } else { "," })?;
                }
                Ok(())
            }
            Self::Landmarks => f.write_str("the face's landmarks make no sense"),
            Self::Recogniser(e) => e.fmt(f),
            Self::Unreadable(why) => f.write_str(why),
        }
    }
}
