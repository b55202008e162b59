//! A Content-Type and a multipart body, arriving in pieces.
#![no_main]

use doorward::capture::{Framing, MultipartSplitter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, Vec<Vec<u8>>)| {
    let (content_type, pieces) = input;
    let boundary = MultipartSplitter::boundary(&content_type).unwrap_or("a");
    let Some(mut splitter) = MultipartSplitter::new(boundary) else { return };
    for piece in pieces {
        splitter.push(&piece);
        while let Ok(Some(_)) = splitter.next_part() {}
    }
    splitter.finish();
});
