//! The record of a camera's qualification, which a power cut may have torn anywhere.
#![no_main]

use doorward::eval::Recorded;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let whole = Recorded::parse(text);
    // What follows never changes what was read before it.
    let more = Recorded::parse(&[text, b"\n{\"format\":1}\n"].concat());
    assert!(more.records.starts_with(&whole.records) && more.damaged.starts_with(&whole.damaged));
});
