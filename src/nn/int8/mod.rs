//! The int8 engine: quantised convolutions with everything that follows them fused in.
mod aligned;
mod conv;
mod epilogue;
mod grid;
mod kernel;
#[cfg(test)]
mod laws;
mod packed;
mod pool;

pub use aligned::Aligned;
pub use conv::{Conv, PlannedConv};
pub use epilogue::{Activation, Epilogue, Residual, round_to_byte};
pub use grid::Grid;
pub use kernel::Output;
pub use pool::{Enlarge, MaxPool};
