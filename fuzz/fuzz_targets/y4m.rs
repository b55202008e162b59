//! A YUV4MPEG2 stream, header and frames.
#![no_main]

use doorward::capture::{Framing, Part, Y4mSplitter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut splitter = Y4mSplitter::new();
    splitter.push(bytes);
    while let Ok(Some(part)) = splitter.next_part() {
        if let Part::Frame(frame) = part {
            let _ = splitter.decode(&frame);
        }
    }
    splitter.finish();
});
