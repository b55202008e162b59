//! Concatenated JPEGs, arriving in pieces; what comes out is decoded.
#![no_main]

use doorward::capture::{Framing, MjpegSplitter, Part};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let mut splitter = MjpegSplitter::new();
    for piece in pieces {
        splitter.push(&piece);
        while let Ok(Some(part)) = splitter.next_part() {
            if let Part::Frame(frame) = part {
                let _ = splitter.decode(&frame);
            }
        }
    }
    splitter.finish();
});
