use std::{
    path::{Path, PathBuf},
    thread,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{Failure, engine::Engine, progress, run::stop_on_signals};
use crate::eval::{Cache, EvalError, Look, Survey};

/// Looks at the pictures, whose paths are relative to `root`, over all cores, with a progress bar, until a signal asks to stop.
pub(super) fn survey<T: Serialize + DeserializeOwned + Send>(
    engine: &Engine,
    root: &Path,
    cache: Option<&mut Cache>,
    pictures: &[PathBuf],
    doing: &'static str,
    make_look: &(dyn Fn() -> Result<Look<T>, EvalError> + Sync),
) -> Result<Vec<T>, Failure> {
    let stop = stop_on_signals()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let bar = progress::bar(pictures.len(), doing);
    let found = Survey {
        root,
        workers: (cores / engine.store.engine().threads).max(1),
        cache,
        stop: &|| !stop.is_empty(),
        progress: &mut |done| bar.set_position(done as u64),
    }
    .look(pictures, make_look);
    bar.finish_and_clear();
    Ok(found?)
}
