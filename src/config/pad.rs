use std::sync::Arc;

/// Presentation attack detection: by which nets, at which threshold, and of which frames it says anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PadSettings {
    /// The nets, by their ids in the catalogue; fused by the weights on their cards. None named is the catalogue's default.
    pub nets: Vec<Arc<str>>,
    /// What a verdict demands.
    pub limits: PadLimits,
}

/// What a verdict demands. Nothing but the nets' log-odds decides between bona fide and attack; the rest are gates: a frame that
/// fails one is not judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PadLimits {
    /// Least mean log-odds of a bona fide presentation; below, it is an attack.
    pub min_log_odds: f64,
    /// Least number of judged frames before there is a verdict.
    pub min_frames: usize,
    /// Smallest face, the shorter side of its box, pixels of the original frame.
    pub min_size_px: f32,
    /// Least side of the square that a net sees, in heights of the face's box.
    pub min_scale: f32,
    /// Least mean spread of a pixel's three channels in that square, 0..=255.
    pub min_saturation: f32,
    /// Darkest mean luma of the face, 0..=255.
    pub min_brightness: f32,
    /// Least sharpness of the face, variance of the Laplacian.
    pub min_sharpness: f32,
}

impl Default for PadLimits {
    /// `docs/pad.md` tells what they rest on.
    fn default() -> Self {
        Self {
            // Bona fide as likely as not. A threshold set on the clips of three people denied the others 1 to 42 % of the time: one
            // of your own needs a qualified camera.
            min_log_odds: 0.0,
            // A mean over ten frames is what was measured; more do not repair the bias of a person or a camera.
            min_frames: 10,
            // The published measurements' own limit; how errors grow below it was not told.
            min_size_px: 80.0,
            // AUC of fr-liveness at 1.0, 1.5, 2.0 and 2.7 heights: 0.88, 0.98, 0.997 and 1.00.
            min_scale: 2.0,
            // Of monochrome and infrared pictures 45 to 96 % of the bona fide ones were denied. Of 1,500 photos of LFW View 1 14 are
            // black and white, at 4.2 or less; the next has 12.1, the print of the reference pictures 13.5.
            min_saturation: 8.0,
            // As `QualityLimits`: LFW spans 51 to 196.
            min_brightness: 40.0,
            // As `QualityLimits`: the least of LFW is 11.9; a sharp portrait blurred by 3 px has 6.3.
            min_sharpness: 10.0,
        }
    }
}
