use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use super::{
    ConfigError,
    number::{count, millis, within},
    raw,
};

/// What presentation attack detection may do at the door. It can refuse and never admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PadMode {
    /// Nothing: no net is loaded.
    #[default]
    Off,
    /// It says what it finds, and nothing follows from it.
    Report,
    /// Who is not found to be bona fide is denied.
    Require,
}

impl PadMode {
    /// Its name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Require => "require",
        }
    }
}

impl FromStr for PadMode {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        [Self::Off, Self::Report, Self::Require].into_iter().find(|mode| mode.name() == s).ok_or(())
    }
}

impl fmt::Display for PadMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Presentation attack detection: by which nets, at which threshold, and of which frames it says anything.
#[derive(Debug, Clone, PartialEq)]
pub struct PadSettings {
    /// What it may do.
    pub mode: PadMode,
    /// The nets, by their ids in the catalogue; fused by the weights on their cards. None named is the catalogue's default.
    pub nets: Vec<Arc<str>>,
    /// What a verdict demands.
    pub limits: PadLimits,
    /// How long nobody is granted after an attack, where it is required.
    pub cooldown: Duration,
}

impl Default for PadSettings {
    fn default() -> Self {
        Self {
            // It denies one genuine attempt in ten or more until a camera is qualified (`docs/pad.md`).
            mode: PadMode::Off,
            nets: Vec::new(),
            limits: PadLimits::default(),
            // Whoever lowers the photograph and tries the next one meets a shut door; whoever stands behind them waits that long.
            cooldown: Duration::from_secs(10),
        }
    }
}

impl PadSettings {
    pub(super) fn from_raw(raw: raw::Pad) -> Result<Self, ConfigError> {
        let d = Self::default();
        let mode = match raw.mode {
            None => d.mode,
            Some(name) => name.parse().map_err(|()| {
                ConfigError::value("pad.mode", format!("{name:?}"), "\"off\", \"report\" or \"require\"")
            })?,
        };
        Ok(Self {
            mode,
            nets: raw.nets.unwrap_or_default().into_iter().map(Arc::from).collect(),
            limits: PadLimits {
                min_log_odds: within("pad.min_log_odds", raw.min_log_odds, d.limits.min_log_odds, -20.0..=20.0)?,
                // Fewer were never measured.
                min_frames: count("pad.min_frames", raw.min_frames, d.limits.min_frames, 10..=300)?,
                ..d.limits
            },
            cooldown: millis("pad.cooldown_ms", raw.cooldown_ms, d.cooldown, 0..=3_600_000)?,
        })
    }
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
