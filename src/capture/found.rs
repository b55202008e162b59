//! Cameras as the system knows them: where they are, what they offer, what would be taken of it.

#[cfg(any(feature = "camera", test))]
use std::path::Path;
use std::{fmt, fs, path::PathBuf};

use serde::Serialize;

/// Folders of links that stay the same when cameras are replugged or renumbered, the better one first.
#[cfg(feature = "camera")]
const LINKS: [&str; 2] = ["/dev/v4l/by-id", "/dev/v4l/by-path"];

/// How a camera may send its pictures, in the order in which they are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Pixels {
    /// JPEG pictures: large ones fit through USB 2.
    #[serde(rename = "MJPG")]
    Mjpeg,
    /// YCbCr 4:2:2, packed.
    #[serde(rename = "YUYV")]
    Yuyv,
    /// Eight bits of brightness, as infrared cameras send.
    #[serde(rename = "GREY")]
    Grey,
}

impl Pixels {
    /// All that are read.
    pub const ALL: [Self; 3] = [Self::Mjpeg, Self::Yuyv, Self::Grey];

    /// V4L2's name of it.
    pub const fn fourcc(self) -> &'static str {
        match self {
            Self::Mjpeg => "MJPG",
            Self::Yuyv => "YUYV",
            Self::Grey => "GREY",
        }
    }
}

/// What a camera sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VideoMode {
    /// How.
    pub pixels: Pixels,
    /// Width, pixels.
    pub width_px: u32,
    /// Height, pixels.
    pub height_px: u32,
    /// Frames a second, rounded.
    pub fps: u32,
}

impl fmt::Display for VideoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pixels, width_px, height_px, fps } = self;
        write!(f, "{} {width_px}x{height_px} at {fps} frames/s", pixels.fourcc())
    }
}

/// A size of pictures that a camera offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundSize {
    /// Width, pixels.
    pub width_px: u32,
    /// Height, pixels.
    pub height_px: u32,
    /// Frames a second, rounded, the most first; empty where the driver does not say.
    pub fps: Vec<u32>,
}

/// A format that a camera offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundFormat {
    /// V4L2's name of it: four characters.
    pub fourcc: String,
    /// How it is read; `None` where it is not.
    #[serde(skip)]
    pub pixels: Option<Pixels>,
    /// Its sizes; of a range the nearest to what is asked, the least and the largest.
    pub sizes: Vec<FoundSize>,
}

/// A camera that the system knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundCamera {
    /// `/dev/videoN`, until it is plugged in elsewhere.
    pub path: PathBuf,
    /// Names that stay, the best for a configuration first.
    pub links: Vec<PathBuf>,
    /// What it calls itself.
    pub name: String,
    /// The kernel's driver, where it is one of a device.
    pub driver: Option<String>,
    /// What it offers.
    pub formats: Vec<FoundFormat>,
    /// What would be taken of that; `None` where nothing can be read.
    pub takes: Option<VideoMode>,
    /// Why it cannot be looked at.
    pub error: Option<String>,
}

impl FoundCamera {
    /// Whether a configuration means this camera by `device`.
    pub fn answers_to(&self, device: &str) -> bool {
        node_of(device).is_ok_and(|node| node == self.path)
    }
}

/// The node of `0`, `/dev/video0`, or a link such as those in `/dev/v4l/by-id`, as it leads now.
///
/// # Errors
/// Says what is not there, or no camera's node.
pub(super) fn node_of(device: &str) -> Result<PathBuf, String> {
    let path = match device.parse::<u32>() {
        Ok(index) => PathBuf::from(format!("/dev/video{index}")),
        Err(_) => PathBuf::from(device),
    };
    let node = fs::canonicalize(&path).map_err(|e| format!("{e}; `doorward cameras` lists what is plugged in"))?;
    let number = node.to_str().and_then(|path| path.strip_prefix("/dev/video")?.parse::<u32>().ok());
    match number {
        Some(_) => Ok(node),
        None => Err(format!("leads to {}, which is no /dev/videoN", node.display())),
    }
}

/// The stable names that lead to a node.
#[cfg(feature = "camera")]
pub(super) fn links_to(node: &Path) -> Vec<PathBuf> {
    links_in(&LINKS.map(Path::new), node)
}

/// The links of these folders that lead to a node, by folder, then by name.
#[cfg(any(feature = "camera", test))]
fn links_in(folders: &[&Path], node: &Path) -> Vec<PathBuf> {
    let leads_there = |link: &PathBuf| fs::canonicalize(link).is_ok_and(|target| target == node);
    let mut links = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(leads_there).collect();
        found.sort();
        links.extend(found);
    }
    links
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_device_that_is_no_camera_is_named_with_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("usb-Door_Camera-video-index0");
        symlink("/dev/null", &link).unwrap();
        assert!(node_of(link.to_str().unwrap()).unwrap_err().contains("/dev/null"));
        let gone = node_of("/dev/v4l/by-id/never-plugged-in").unwrap_err();
        assert!(gone.contains("No such file") && gone.contains("doorward cameras"), "{gone}");
        assert!(node_of("4294967295").is_err(), "a number is a node of that number");
    }

    #[test]
    fn names_that_stay_come_in_the_order_of_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let (node, by_id, by_path) = (folder.join("video0"), folder.join("by-id"), folder.join("by-path"));
        fs::write(&node, "").unwrap();
        for (links, name) in [(&by_path, "a"), (&by_id, "z"), (&by_id, "y")] {
            fs::create_dir_all(links).unwrap();
            symlink("../video0", links.join(name)).unwrap();
        }
        symlink("../video1", by_id.join("another")).unwrap();
        let found = links_in(&[&by_id, &by_path, &folder.join("not-there")], &node);
        assert_eq!(found, [by_id.join("y"), by_id.join("z"), by_path.join("a")]);
    }
}
