use std::{env, path::Path};

use clap::Args;

use super::Failure;
use crate::{
    config::{EngineChoice, EngineSettings},
    models::ModelStore,
    nn::{Engine, ISA_VARIABLE, Isa},
};

/// How the networks are computed.
#[derive(Debug, Default, Args)]
pub(super) struct ComputeArgs {
    /// Numbers the networks are computed in: auto (what suits the processor), int8 or f32
    ///
    /// Templates made in one cannot be compared with those made in the other.
    #[arg(long = "engine", value_name = "auto|int8|f32")]
    choice: Option<EngineChoice>,

    /// Threads that share one inference, 1 to 16
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(EngineSettings::MAX_THREADS)))]
    threads: Option<u32>,
}

impl ComputeArgs {
    /// The command line over the configuration.
    pub(super) fn over(&self, configured: EngineSettings) -> EngineSettings {
        EngineSettings {
            choice: self.choice.unwrap_or(configured.choice),
            threads: self.threads.unwrap_or(configured.threads),
        }
    }
}

/// The models of a folder, or those in the binary, for an engine.
pub(super) fn open_store(models: Option<&Path>, settings: EngineSettings) -> Result<ModelStore, Failure> {
    let store = match models {
        None => ModelStore::embedded()?,
        Some(dir) => ModelStore::open(dir)?,
    };
    Ok(store.computed_by(kernels(settings)?, settings.choice))
}

/// The kernels that the environment asks for, and the threads that the settings do.
pub(super) fn kernels(settings: EngineSettings) -> Result<Engine, Failure> {
    let threads = usize::try_from(settings.threads).expect("a few threads fit any machine word");
    Ok(Engine { isa: isa()?, threads })
}

/// The family of kernels: the one that the environment asks for, else the processor's best.
fn isa() -> Result<Isa, Failure> {
    let asked = env::var_os(ISA_VARIABLE);
    Isa::choose(asked.as_deref().map(|name| name.to_string_lossy()).as_deref()).map_err(Failure::usage)
}
