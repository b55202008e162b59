//! Where pictures come from: stills for enrolment, and sources of frames.

mod jpeg;
pub mod picture;
mod stop;

pub use jpeg::decode_frame;
pub use picture::{PictureError, decode_picture, read_picture};
pub use stop::{StopSignal, StopToken, stop_token};
