//! What packages install beside the program rather than in it.

use std::path::PathBuf;

/// Where an installed program looks for its own data: `../share/doorward/NAME` as seen from the program's folder, so that it is
/// found under `/usr`, under `/usr/local` and in an unpacked package alike.
///
/// The path is for error messages, too: nothing says that it exists.
pub fn installed(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/bin/doorward"));
    let folder = program.parent().and_then(|bin| bin.parent()).map_or_else(|| PathBuf::from("/usr"), PathBuf::from);
    folder.join("share/doorward").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_lies_beside_the_folder_of_the_program() {
        let program = std::env::current_exe().unwrap();
        let prefix = program.parent().unwrap().parent().unwrap();
        assert_eq!(installed("models"), prefix.join("share/doorward/models"));
    }
}
