//! An export of a gallery, plain or encrypted, read into an empty gallery.
#![no_main]

use doorward::gallery::Gallery;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let Ok(mut gallery) = Gallery::open_or_create(&folder.path().join("gallery"), None) else { return };
    if gallery.import(bytes, None).is_err() {
        assert_eq!(gallery.list().map(|subjects| subjects.len()).ok(), Some(0), "a refused import left something");
    }
});
