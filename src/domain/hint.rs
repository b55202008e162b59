//! What somebody can do who is not recognised.

use std::fmt;

use super::{PadDoubt, QualityPart, QualityRefusal};

/// Something a person can do, for a display or a voice to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hint {
    /// The face is too small.
    ComeCloser,
    /// The face fills the picture.
    StepBack,
    /// The face is turned away, or half hidden.
    LookAtCamera,
    /// The head is tilted.
    HeadUpright,
    /// The face is blurred.
    HoldStill,
    /// The face, or the whole picture, is too dark.
    MoreLight,
    /// The face, or the whole picture, is too bright.
    LessLight,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ComeCloser,
        Self::StepBack,
        Self::LookAtCamera,
        Self::HeadUpright,
        Self::HoldStill,
        Self::MoreLight,
        Self::LessLight,
    ];

    /// The machine-readable code, as in events.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ComeCloser => "come-closer",
            Self::StepBack => "step-back",
            Self::LookAtCamera => "look-at-camera",
            Self::HeadUpright => "head-upright",
            Self::HoldStill => "hold-still",
            Self::MoreLight => "more-light",
            Self::LessLight => "less-light",
        }
    }

    /// What helps against a refusal.
    pub fn against(refusal: &QualityRefusal) -> Self {
        match refusal.part {
            QualityPart::Size => Self::ComeCloser,
            QualityPart::Sharpness => Self::HoldStill,
            QualityPart::Brightness if refusal.measured > refusal.limit => Self::LessLight,
            QualityPart::Brightness | QualityPart::Contrast => Self::MoreLight,
            QualityPart::Yaw | QualityPart::Pitch | QualityPart::DetectorScore => Self::LookAtCamera,
            QualityPart::Roll => Self::HeadUpright,
        }
    }

    /// What helps against a doubt of presentation attack detection; `None` where the person can do nothing but wait.
    pub const fn against_doubt(doubt: PadDoubt) -> Option<Self> {
        match doubt {
            PadDoubt::Small => Some(Self::ComeCloser),
            PadDoubt::Scale => Some(Self::StepBack),
            PadDoubt::Dark => Some(Self::MoreLight),
            PadDoubt::Blurred => Some(Self::HoldStill),
            PadDoubt::Monochrome | PadDoubt::TooFewFrames => None,
        }
    }
}

/// For people.
impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ComeCloser => "come closer",
            Self::StepBack => "step back",
            Self::LookAtCamera => "look at the camera",
            Self::HeadUpright => "hold your head upright",
            Self::HoldStill => "hold still",
            Self::MoreLight => "more light",
            Self::LessLight => "less light",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_can_be_too_dark_or_too_bright() {
        let refusal = |measured, limit| QualityRefusal { part: QualityPart::Brightness, measured, limit };
        assert_eq!(Hint::against(&refusal(12.0, 40.0)), Hint::MoreLight);
        assert_eq!(Hint::against(&refusal(240.0, 220.0)), Hint::LessLight);
    }

    #[test]
    fn codes_are_all_different() {
        let codes: std::collections::BTreeSet<_> = Hint::ALL.iter().map(|hint| hint.code()).collect();
        assert_eq!(codes.len(), Hint::ALL.len());
    }
}
