//! One still picture.
#![no_main]

use doorward::capture::{decode_frame, decode_picture};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_picture(bytes, "fuzzed");
    let _ = decode_frame(bytes);
});
