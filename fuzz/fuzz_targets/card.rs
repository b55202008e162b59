//! The card of a model of one's own: TOML, or the config.json of a ModelHub repository.
#![no_main]

use doorward::models::import::Draft;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Draft::parse(text);
});
