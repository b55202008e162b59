//! A face on its way to a decision.

use std::fmt;

use super::{BBox, Embedding, FrameRef, SampleQuality, TrackId};

/// What presentation attack detection says of a face (ISO/IEC 30107-3).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum PadVerdict {
    /// No detector looked at it.
    #[default]
    NotAssessed,
    /// A living person, with the mean log-odds of that.
    BonaFide(f32),
    /// A picture, screen or mask, with the mean log-odds of a bona fide presentation.
    Attack(f32),
    /// It was looked at and cannot be told: a non-response.
    Undetermined(PadDoubt),
}

/// Why a detector cannot tell a bona fide presentation from an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PadDoubt {
    /// The face is too small.
    Small,
    /// The face is too near to the picture's edges, or too large in it: there is too little around it.
    Scale,
    /// The picture has no colour: infrared, or black and white.
    Monochrome,
    /// The face is too dark.
    Dark,
    /// The face is blurred.
    Blurred,
    /// Too few frames were seen.
    TooFewFrames,
}

impl PadDoubt {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 6] =
        [Self::Small, Self::Scale, Self::Monochrome, Self::Dark, Self::Blurred, Self::TooFewFrames];

    /// The machine-readable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Scale => "scale",
            Self::Monochrome => "monochrome",
            Self::Dark => "dark",
            Self::Blurred => "blurred",
            Self::TooFewFrames => "too-few-frames",
        }
    }
}

impl fmt::Display for PadDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One face of one frame, ready to be compared with the gallery.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The frame it was seen in.
    pub at: FrameRef,
    /// The track it belongs to.
    pub track: TrackId,
    /// Where in the frame.
    pub bbox: BBox,
    /// Its embedding.
    pub embedding: Embedding,
    /// The sample's quality.
    pub quality: SampleQuality,
    /// Presentation attack verdict.
    pub pad: PadVerdict,
}
