use super::{Accepted, EnrolSession, Refusal};
use crate::{
    capture::{CaptureError, FrameSource, Reader},
    detect::DetectError,
    domain::SubjectId,
};

/// How long a subject sits before a source, and what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SittingSettings {
    /// Templates kept, the best ones.
    pub keep: usize,
    /// Frames looked at, at most.
    pub max_frames: usize,
    /// Frames between two templates, at least: neighbours show the same.
    pub spacing: u64,
}

impl Default for SittingSettings {
    fn default() -> Self {
        // Three to five photos are where the mean of embeddings stops gaining; at 15 frames a second this is ten
        // seconds of sitting, a template every half second at most.
        Self { keep: 5, max_frames: 150, spacing: 7 }
    }
}

/// What came of a sitting.
#[derive(Debug, Default)]
pub struct Sitting {
    /// The templates kept, with their frame numbers, in order of time.
    pub kept: Vec<(u64, Accepted)>,
    /// Frames looked at.
    pub frames: usize,
    /// The reason of the last frame that was refused.
    pub last_refusal: Option<Refusal>,
}

/// Why a sitting ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SittingError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] CaptureError),
    /// The detector failed.
    #[error(transparent)]
    Detector(#[from] DetectError),
}

impl Sitting {
    /// Looks at the frames of `source` until it ends or the limit is reached, and keeps the sharpest
    /// that lie far enough apart.
    ///
    /// # Errors
    /// When the source or the detector fails.
    pub fn hold(
        session: &mut EnrolSession,
        source: &mut dyn FrameSource,
        reader: &mut Reader,
        subject: &SubjectId,
        settings: SittingSettings,
        mut each_frame: impl FnMut(usize),
    ) -> Result<Self, SittingError> {
        let mut sitting = Self::default();
        let mut taken: Vec<(u64, Accepted)> = Vec::new();
        while sitting.frames < settings.max_frames {
            let Some(frame) = reader.next(source)? else {
                break;
            };
            sitting.frames += 1;
            each_frame(sitting.frames);
            match session.judge(&frame.image, subject)? {
                Ok(accepted) => taken.push((frame.at.seq, accepted)),
                Err(refusal) => sitting.last_refusal = Some(refusal),
            }
        }
        taken.sort_by(|(_, a), (_, b)| b.quality.sharpness.total_cmp(&a.quality.sharpness));
        for (seq, accepted) in taken {
            let apart = sitting.kept.iter().all(|(other, _)| seq.abs_diff(*other) >= settings.spacing);
            if apart && sitting.kept.len() < settings.keep {
                sitting.kept.push((seq, accepted));
            }
        }
        sitting.kept.sort_by_key(|(seq, _)| *seq);
        Ok(sitting)
    }
}
