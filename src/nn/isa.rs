//! The processor families that have int8 kernels of their own, and which of them this processor can run.

use std::fmt;
use std::str::FromStr;

/// The environment variable that overrides the choice, for measuring and for finding faults.
pub const ISA_VARIABLE: &str = "DOORWARD_ISA";

/// The bit in which Linux tells programs on 32-bit ARM that there is NEON (`asm/hwcap.h`).
#[cfg(target_arch = "arm")]
const HWCAP_NEON: usize = 1 << 12;

/// A family of int8 kernels. Every one gives the same bits; they differ in speed only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust for any processor; the reference all others must equal.
    Portable,
    /// x86-64 with AVX2: products of 16-bit pairs (`vpmaddwd`).
    Avx2,
    /// x86-64 with AVX-VNNI: `vpdpbusd` on 256 bits.
    AvxVnni,
    /// x86-64 with AVX-512 VNNI: `vpdpbusd` on 512 bits.
    Avx512Vnni,
    /// 32-bit ARM with NEON, as Cortex-A7, or A53 and A72 under a 32-bit system: pairs added in 16 bits (`vmull.s8`, `vmlal.s8`,
    /// `vpadal.s16`).
    Neon32,
    /// aarch64 without dot product, as Cortex-A53, A57, A72: pairs added in 16 bits (`smull`, `smlal2`, `sadalp`).
    Neon,
    /// aarch64 with dot product, as Cortex-A76, A78: `sdot`.
    NeonDot,
}

impl Isa {
    /// All families, the slowest first.
    pub const ALL: [Isa; 7] =
        [Isa::Portable, Isa::Avx2, Isa::AvxVnni, Isa::Avx512Vnni, Isa::Neon32, Isa::Neon, Isa::NeonDot];

    /// The name that `DOORWARD_ISA` takes and reports print.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512Vnni => "avx512vnni",
            Isa::Neon32 => "neon32",
            Isa::Neon => "neon",
            Isa::NeonDot => "neondot",
        }
    }

    /// Whether this processor, under this operating system, can run the family's instructions.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            // The standard library's detection is not stable for 32-bit ARM.
            #[cfg(target_arch = "arm")]
            Isa::Neon32 => rustix::param::linux_hwcap().0 & HWCAP_NEON != 0,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[allow(unreachable_patterns, reason = "on other architectures")]
            _ => false,
        }
    }

    /// The families this processor can run, the slowest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The fastest family this processor can run.
    pub fn best() -> Isa {
        Isa::available().last().unwrap_or(Isa::Portable)
    }

    /// The family to use: `asked` (the value of [`ISA_VARIABLE`]) where there is one, else the [`best`](Isa::best).
    ///
    /// # Errors
    /// A sentence naming the value and what is allowed, for a name that is unknown or that this processor cannot run.
    pub fn choose(asked: Option<&str>) -> Result<Isa, String> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(Isa::best()) };
        let isa = asked.parse::<Isa>().ok().filter(|isa| isa.is_available());
        isa.ok_or_else(|| {
            let allowed: Vec<_> = Isa::available().map(Isa::name).collect();
            format!("{ISA_VARIABLE}={asked}: this processor runs {}", allowed.join(", "))
        })
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_family() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
    }

    #[test]
    fn the_variable_wins_over_the_best() {
        assert_eq!(Isa::choose(None), Ok(Isa::best()));
        assert_eq!(Isa::choose(Some("")), Ok(Isa::best()));
        assert_eq!(Isa::choose(Some("portable")), Ok(Isa::Portable));
    }

    #[test]
    fn a_family_this_processor_lacks_is_refused_with_what_it_has() {
        let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neondot" };
        for asked in [foreign, "mmx"] {
            let refused = Isa::choose(Some(asked)).unwrap_err();
            assert!(refused.contains(asked) && refused.contains("portable"), "{refused}");
        }
    }
}
