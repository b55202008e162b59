use std::{env, path::PathBuf};

use clap::Args;

use super::Failure;

/// Where the gallery is.
#[derive(Debug, Args)]
pub(super) struct GalleryPlace {
    /// Folder of the gallery [default: $STATE_DIRECTORY, else the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub(super) gallery: Option<PathBuf>,
}

impl GalleryPlace {
    /// The folder asked for, else `configured`, else the default.
    pub(super) fn dir(&self, configured: Option<PathBuf>) -> Result<PathBuf, Failure> {
        if let Some(dir) = self.gallery.clone().or(configured) {
            return Ok(dir);
        }
        // systemd lists several folders with colons; the first is the service's own.
        let state = env::var_os("STATE_DIRECTORY").and_then(|v| env::split_paths(&v).next());
        state
            .filter(|dir| !dir.as_os_str().is_empty())
            .or_else(|| dirs::data_dir().map(|d| d.join("doorward")))
            .ok_or_else(|| {
                Failure::usage(
                    "no place for the gallery: neither $STATE_DIRECTORY nor $HOME is set; give --gallery DIR",
                )
            })
    }
}

/// Where systemd put the service's credentials.
pub(super) fn credentials_dir() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}
