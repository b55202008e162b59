//! The model catalogue.
#![no_main]

use doorward::models::Catalogue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Catalogue::parse(text);
});
