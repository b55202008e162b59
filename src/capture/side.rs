//! How wide and high a frame may be.

/// Smallest side of a picture or frame, pixels: less holds no face that can be recognised.
pub const MIN_SIDE_PX: u32 = 32;
/// Largest side of a frame, pixels. A still picture beyond it is reduced to fit.
pub const MAX_SIDE_PX: u32 = 4096;

/// Whether a frame of a stream may have this size; else why not.
pub(super) fn check_frame_size(width: u32, height: u32) -> Result<(), String> {
    let side = MIN_SIDE_PX..=MAX_SIDE_PX;
    if side.contains(&width) && side.contains(&height) {
        return Ok(());
    }
    Err(format!("{width}x{height}: a frame must measure {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels each way"))
}
