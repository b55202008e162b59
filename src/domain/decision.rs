//! What the policy says of a probe.

use std::fmt;

use super::{PadDoubt, QualityPart, SubjectId};

/// Grant, or deny with a reason. There is no third answer, and no decision means no door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This subject may pass.
    Granted(SubjectId),
    /// Nobody passes.
    Denied(DenyReason),
}

/// Why a probe was denied, machine-readable. Where a subject is named, the probe was mated to it
/// and something else stood against the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DenyReason {
    /// Nobody is enrolled for the model in use.
    GalleryEmpty,
    /// No subject reaches the threshold: a stranger, as far as the gallery can tell.
    BelowThreshold,
    /// The best subject reaches the threshold but the second is too close to tell them apart.
    Ambiguous,
    /// The frame was too old when the decision was due.
    FrameTooOld,
    /// The subject's enrolment has expired.
    Expired(SubjectId),
    /// The subject was granted moments ago; one grant is one passage.
    Cooldown(SubjectId),
    /// The sample is not good enough to decide on.
    Quality(QualityPart),
    /// Whoever it was left before enough looks agreed.
    TooFewLooks,
    /// The face of the track became another one.
    IdentityChanged,
    /// Presentation attack detection took the face for a picture, screen or mask.
    PresentationAttack,
    /// Presentation attack detection is required, and cannot tell.
    PresentationUndetermined(PadDoubt),
    /// An attack was found at this door moments ago.
    AttackCooldown(SubjectId),
}

impl DenyReason {
    /// The machine-readable code, as in events.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::GalleryEmpty => "gallery-empty",
            Self::BelowThreshold => "below-threshold",
            Self::Ambiguous => "ambiguous",
            Self::FrameTooOld => "frame-too-old",
            Self::Expired(_) => "expired",
            Self::Cooldown(_) => "cooldown",
            Self::Quality(QualityPart::Size) => "quality-size",
            Self::Quality(QualityPart::Sharpness) => "quality-sharpness",
            Self::Quality(QualityPart::Brightness) => "quality-brightness",
            Self::Quality(QualityPart::Contrast) => "quality-contrast",
            Self::Quality(QualityPart::Yaw) => "quality-yaw",
            Self::Quality(QualityPart::Pitch) => "quality-pitch",
            Self::Quality(QualityPart::Roll) => "quality-roll",
            Self::Quality(QualityPart::DetectorScore) => "quality-detector-score",
            Self::TooFewLooks => "too-few-looks",
            Self::IdentityChanged => "identity-changed",
            Self::PresentationAttack => "presentation-attack",
            Self::PresentationUndetermined(PadDoubt::Small) => "presentation-small",
            Self::PresentationUndetermined(PadDoubt::Scale) => "presentation-scale",
            Self::PresentationUndetermined(PadDoubt::Monochrome) => "presentation-monochrome",
            Self::PresentationUndetermined(PadDoubt::Dark) => "presentation-dark",
            Self::PresentationUndetermined(PadDoubt::Blurred) => "presentation-blurred",
            Self::PresentationUndetermined(PadDoubt::TooFewFrames) => "presentation-too-few-frames",
            Self::AttackCooldown(_) => "attack-cooldown",
        }
    }

    /// The subject the probe was mated to, where there is one.
    pub const fn subject(&self) -> Option<&SubjectId> {
        match self {
            Self::Expired(s) | Self::Cooldown(s) | Self::AttackCooldown(s) => Some(s),
            _ => None,
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Decision {
    /// The subject granted, or the one named by the reason.
    pub const fn subject(&self) -> Option<&SubjectId> {
        match self {
            Self::Granted(s) => Some(s),
            Self::Denied(reason) => reason.subject(),
        }
    }

    /// Whether the door may open.
    pub const fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }
}
