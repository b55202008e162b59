//! The float engine: convolutions, poolings and what stands between them run channels last, in layers of our own.
//!
//! tract's own convolutions are quick where they are large matrix products and slow where they are not: depthwise ones and
//! poolings took most of the time. `channels_last` puts our layers into tract's graph, `layer` is how tract sees them; `dense`,
//! `depthwise` and `max_pool` compute them, each written once over the vectors of `simd`.

mod activation;
mod channels_last;
mod dense;
mod depthwise;
mod layer;
mod max_pool;
mod simd;
mod window;

pub(super) use channels_last::{leads, rewrite};
