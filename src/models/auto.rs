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
/// Decided by measurement (`docs/performance.md`), not by trying at start-up: a try on a busy board could fall out either way,
/// and with the recogniser the templates of a gallery would lose their meaning from one start to the next.
pub const fn preferred(best: Isa) -> Preference {
    let (precision, reason) = match best {
        Isa::Avx512Vnni => (Precision::Int8, "four products of bytes a lane and instruction, 64 lanes of bytes"),
        Isa::AvxVnni => (Precision::Int8, "four products of bytes a lane and instruction"),
        Isa::Avx2 => (Precision::Int8, "16 products of 16 bits an instruction, where float has 8"),
        Isa::NeonDot => (Precision::Int8, "16 products of bytes an instruction, where float has 4"),
        Isa::Neon => (Precision::Int8, "16 products of bytes in three instructions, where float has 12"),
        Isa::Portable => (Precision::F32, "without vector instructions for bytes float is not slower"),
    };
    Preference { precision, reason }
}
