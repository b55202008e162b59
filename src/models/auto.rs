//! What `engine = "auto"` takes on which processor.

use super::Precision;
use crate::nn::Isa;

/// The numbers to compute in, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preference {
    /// The numbers.
    pub precision: Precision,
    /// The reason, a clause for people.
    pub reason: &'static str,
}

/// What `auto` takes on a processor whose best kernels are those of `best`.
///
/// Decided by measurement (`docs/adr/0008-int8-by-default.md` has the table), not by trying at start-up: a try on a busy board
/// could fall out either way, and with the recogniser the templates of a gallery would lose their meaning from one start to the
/// next.
pub const fn preferred(best: Isa) -> Preference {
    let (precision, reason) = match best {
        Isa::Avx512Vnni => (Precision::Int8, "measured, the recogniser takes 0.42 of float's time, the detector 0.80"),
        Isa::AvxVnni => (Precision::Int8, "measured, the recogniser takes 0.39 of float's time, the detector 0.77"),
        Isa::Avx2 => (Precision::Int8, "measured, the recogniser takes 0.66 of float's time, the detector 0.94"),
        Isa::NeonDot => (Precision::Int8, "by count, the recogniser takes 0.29 of float's instructions"),
        Isa::Neon => (Precision::Int8, "by count, the recogniser takes 0.56 of float's instructions"),
        Isa::Neon32 => (Precision::Int8, "by count, the recogniser takes 0.23 of float's instructions"),
        Isa::Portable => {
            (Precision::F32, "measured, int8 takes 1.8 times float's time in the recogniser, 5.6 times in the detector")
        }
    };
    Preference { precision, reason }
}
