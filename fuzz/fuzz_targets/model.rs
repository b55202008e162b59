//! A model file: checked, imported, optimised, and run once on zeros when it loads.
//!
//! The engine may panic on a file that only looks sound, and the loader catches that; the runtime's own hook would stop there, so it is
//! replaced. A panic that leaves the loader still stops the run.
#![no_main]

use doorward::nn::Graph;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| {
        if let Ok(mut graph) = Graph::load("fuzzed", bytes, &[1, 3, 8, 8]) {
            let _ = graph.run_with(|input| input.fill(0.0));
        }
    }
);
