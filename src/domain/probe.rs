//! A face on its way to a decision.

use super::{BBox, Embedding, FrameRef, SampleQuality};

/// What presentation attack detection says of a face (ISO/IEC 30107-3).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum PadVerdict {
    /// No detector looked at it.
    #[default]
    NotAssessed,
    /// A living person, with the score.
    BonaFide(f32),
    /// A picture, screen or mask, with the score.
    Attack(f32),
}

/// One face of one frame, ready to be compared with the gallery.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The frame it was seen in.
    pub at: FrameRef,
    /// Where in the frame.
    pub bbox: BBox,
    /// Its embedding.
    pub embedding: Embedding,
    /// The sample's quality.
    pub quality: SampleQuality,
    /// Presentation attack verdict.
    pub pad: PadVerdict,
}
