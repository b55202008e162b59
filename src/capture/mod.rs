//! Where pictures come from: stills for enrolment, and sources of frames.
//!
//! A source is bytes and their framing, or a list of pictures:
//!
//! | source | bytes from | framing |
//! |---|---|---|
//! | folder, glob | files | one picture a file |
//! | MJPEG file, standard input | `fd` | `mjpeg_split` |
//! | y4m | `fd` | `y4m` |
//! | HTTP | `http` (`address`, `authorization`, `tls`) | `multipart` |
//! | command | `child` | `mjpeg_split` |
//! | camera | the driver, through `v4l2` | one buffer a picture, read by `pixels` |
//!
//! Everything that waits also waits for the stop, so that a stop is noticed within 0.3 s.

mod address;
mod authorization;
#[cfg(feature = "camera")]
mod camera;
mod child;
mod error;
mod fd;
mod found;
mod framing;
mod http;
mod images;
mod jpeg;
mod mjpeg_split;
mod multipart;
mod open;
mod parts;
pub mod picture;
#[cfg(any(feature = "camera", test))]
mod pixels;
mod reader;
mod replay;
mod side;
mod source;
mod stop;
mod stream;
mod tls;
#[cfg(feature = "camera")]
mod v4l2;
mod y4m;

pub use error::CaptureError;
pub use found::{FoundCamera, FoundFormat, FoundSize, Pixels, VideoMode};
pub use framing::{Framing, MAX_FRAME_BYTES, Part};
pub use jpeg::decode_frame;
pub use mjpeg_split::MjpegSplitter;
pub use multipart::MultipartSplitter;
pub use open::{cameras, open};
pub use picture::{PictureError, decode_picture, read_picture};
pub use reader::Reader;
pub use side::{MAX_SIDE_PX, MIN_SIDE_PX};
pub use source::{FrameSource, Pacing, Received};
pub use stop::{StopSignal, StopToken, stop_token};
pub use y4m::{Y4mHeader, Y4mSplitter};
