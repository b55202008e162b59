use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ConfigError,
    http::{Demanded, HttpSettings},
    number::{millis, within},
    raw,
};
use crate::domain::SourceId;

/// What kind of source, and where.
#[derive(Clone, PartialEq)]
pub enum SourceKind {
    /// A folder or glob of pictures, in natural order.
    Images(PathBuf),
    /// A file of concatenated JPEGs.
    Mjpeg(PathBuf),
    /// Concatenated JPEGs on standard input.
    MjpegStdin,
    /// A YUV4MPEG2 file.
    Y4m(PathBuf),
    /// An MJPEG stream over HTTP (multipart/x-mixed-replace).
    Http(HttpSettings),
    /// A command, with its arguments, whose standard output is MJPEG; never empty.
    Command(Vec<String>),
    /// A V4L2 camera (cargo feature `camera`).
    Camera(CameraSettings),
}

/// A V4L2 camera and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSettings {
    /// `/dev/v4l/by-id/...`, `/dev/videoN` or an index.
    pub device: String,
    /// Width asked for, pixels.
    pub width_px: u32,
    /// Height asked for, pixels.
    pub height_px: u32,
    /// Frames a second asked for.
    pub fps: u32,
}

impl CameraSettings {
    /// A camera asked for 640x480 at 15 frames a second: a face at a door is 100 to 300 px wide there.
    pub fn new(device: String) -> Self {
        Self { device, width_px: 640, height_px: 480, fps: SourceSettings::DEFAULT_FPS as u32 }
    }
}

/// How fast a replay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as frames are taken; none is dropped.
    OnDemand,
    /// As recorded, like a camera: a frame not taken in time is replaced by the next.
    Realtime,
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSettings {
    /// Name in events and logs.
    pub name: SourceId,
    /// Kind and place.
    pub kind: SourceKind,
    /// Pace of a replay; live sources set their own.
    pub pace: Pace,
    /// Start again at the end of a replay.
    pub repeat: bool,
    /// Frames a second of a replay without times of its own (pictures, MJPEG).
    pub fps: f32,
    /// Longest pause between frames of a live source before it counts as stalled.
    pub stall_timeout: Duration,
}

impl fmt::Debug for SourceKind {
    /// Without what may hold a password: an address and a command's arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images(path) => f.debug_tuple("Images").field(path).finish(),
            Self::Mjpeg(path) => f.debug_tuple("Mjpeg").field(path).finish(),
            Self::MjpegStdin => f.write_str("MjpegStdin"),
            Self::Y4m(path) => f.debug_tuple("Y4m").field(path).finish(),
            Self::Http(http) => http.fmt(f),
            Self::Command(argv) => f.debug_tuple("Command").field(&argv.first()).finish_non_exhaustive(),
            Self::Camera(camera) => camera.fmt(f),
        }
    }
}

impl SourceKind {
    /// Whether it sets its own pace: not a replay.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Command(_) | Self::Camera(_))
    }
}

impl SourceSettings {
    /// Frames a second of a replay that has no times of its own.
    pub const DEFAULT_FPS: f32 = 15.0;
    /// Five frame times of the slowest camera worth using at a door (1 frame a second).
    pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(5);

    /// A source of this kind, everything else by default.
    pub fn new(kind: SourceKind) -> Self {
        let name = match &kind {
            SourceKind::Images(p) | SourceKind::Mjpeg(p) | SourceKind::Y4m(p) => file_name(p),
            SourceKind::MjpegStdin => "stdin".into(),
            // Never the address itself: it may carry a password.
            SourceKind::Http(_) => "http".into(),
            SourceKind::Command(argv) => file_name(Path::new(&argv[0])),
            SourceKind::Camera(camera) => camera.device.clone(),
        };
        Self {
            name: SourceId::new(name),
            kind,
            pace: Pace::OnDemand,
            repeat: false,
            fps: Self::DEFAULT_FPS,
            stall_timeout: Self::DEFAULT_STALL_TIMEOUT,
        }
    }

    /// The source a word on the command line means: `-`, an address, a camera below `/dev`, a `.mjpeg`
    /// or `.y4m` file, else a folder or glob of pictures.
    pub fn from_arg(arg: &str) -> Self {
        let path = PathBuf::from(arg);
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        Self::new(if arg == "-" {
            SourceKind::MjpegStdin
        } else if arg.starts_with("http://") || arg.starts_with("https://") {
            SourceKind::Http(HttpSettings::new(arg.into()))
        } else if arg.starts_with("/dev/") {
            SourceKind::Camera(CameraSettings::new(arg.into()))
        } else {
            match extension.as_str() {
                "mjpeg" | "mjpg" => SourceKind::Mjpeg(path),
                "y4m" => SourceKind::Y4m(path),
                _ => SourceKind::Images(path),
            }
        })
    }

    /// Reads what the settings name beside the source itself, an IP camera's password and certificate: once, so that nothing that
    /// happens to these files later takes the door out of service. `credentials` is the service manager's folder.
    ///
    /// # Errors
    /// Names the key, the file and the remedy.
    pub fn read_files(&mut self, credentials: Option<&Path>) -> Result<(), ConfigError> {
        match &mut self.kind {
            SourceKind::Http(http) => http.read_files(credentials),
            _ => Ok(()),
        }
    }

    pub(super) fn from_raw(raw: raw::Source) -> Result<Self, ConfigError> {
        let mut kinds = Vec::new();
        kinds.extend(raw.images.map(SourceKind::Images));
        kinds
            .extend(raw.mjpeg.map(|p| if p == Path::new("-") { SourceKind::MjpegStdin } else { SourceKind::Mjpeg(p) }));
        kinds.extend(raw.y4m.map(SourceKind::Y4m));
        let demanded = Demanded {
            user: raw.user,
            password_file: raw.password_file,
            certificate: raw.certificate,
            certificate_sha256: raw.certificate_sha256,
        };
        if let Some(address) = raw.http {
            kinds.push(SourceKind::Http(HttpSettings::from_raw(address, demanded)?));
        } else if let Some(key) = demanded.first_key() {
            return Err(ConfigError::Surplus { key: key.into(), why: "only an http source logs in".into() });
        }
        if let Some(argv) = raw.command {
            if argv.first().is_none_or(String::is_empty) {
                return Err(ConfigError::value("source.command", "[]", "a program and its arguments, as a list"));
            }
            kinds.push(SourceKind::Command(argv));
        }
        let is_camera = raw.camera.is_some();
        if let Some(device) = raw.camera {
            let d = CameraSettings::new(device);
            kinds.push(SourceKind::Camera(CameraSettings {
                width_px: within("source.width_px", raw.width_px, d.width_px, 32..=4096)?,
                height_px: within("source.height_px", raw.height_px, d.height_px, 32..=4096)?,
                fps: within("source.fps", raw.fps, d.fps as f32, 1.0..=240.0)?.round() as u32,
                device: d.device,
            }));
        } else if raw.width_px.is_some() || raw.height_px.is_some() {
            return Err(ConfigError::Surplus {
                key: if raw.width_px.is_some() { "source.width_px" } else { "source.height_px" }.into(),
                why: "only a camera can be asked for a size".into(),
            });
        }
        let remedy = "set exactly one of images, mjpeg, y4m, http, command, camera";
        if kinds.len() > 1 {
            return Err(ConfigError::Surplus { key: "source".into(), why: format!("it names several; {remedy}") });
        }
        let kind = kinds.pop().ok_or_else(|| ConfigError::Missing { key: "source".into(), remedy: remedy.into() })?;
        let replay =
            matches!(kind, SourceKind::Images(_) | SourceKind::Mjpeg(_) | SourceKind::MjpegStdin | SourceKind::Y4m(_));
        for (key, given) in [("source.realtime", raw.realtime.is_some()), ("source.repeat", raw.repeat.is_some())] {
            if given && !replay {
                return Err(ConfigError::Surplus { key: key.into(), why: "a live source sets its own pace".into() });
            }
        }
        if raw.fps.is_some() && !replay && !is_camera {
            return Err(ConfigError::Surplus {
                key: "source.fps".into(),
                why: "an http or command source sends at its own pace".into(),
            });
        }
        if raw.repeat == Some(true) && kind == SourceKind::MjpegStdin {
            return Err(ConfigError::Surplus { key: "source.repeat".into(), why: "standard input ends once".into() });
        }
        let d = Self::new(kind);
        Ok(Self {
            name: match raw.name {
                None => d.name,
                Some(name) if !name.is_empty() && name.chars().count() <= 64 => SourceId::new(name),
                Some(name) => {
                    return Err(ConfigError::value("source.name", format!("{name:?}"), "1 to 64 characters"));
                }
            },
            pace: if raw.realtime.unwrap_or(false) { Pace::Realtime } else { Pace::OnDemand },
            repeat: raw.repeat.unwrap_or(false),
            fps: within("source.fps", raw.fps, d.fps, 0.1..=240.0)?,
            stall_timeout: millis("source.stall_timeout_ms", raw.stall_timeout_ms, d.stall_timeout, 100..=600_000)?,
            kind: d.kind,
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<SourceSettings, ConfigError> {
        SourceSettings::from_raw(toml::from_str(toml).unwrap())
    }

    #[test]
    fn exactly_one_source_is_named() {
        assert!(parse("").unwrap_err().to_string().contains("exactly one of"));
        assert!(parse("images = 'a'\nmjpeg = 'b'").unwrap_err().to_string().contains("several"));
        assert_eq!(parse("mjpeg = '-'").unwrap().kind, SourceKind::MjpegStdin);
    }

    #[test]
    fn a_key_without_meaning_is_refused() {
        for bad in [
            "http = 'http://cam/'\nrealtime = true",
            "images = 'a'\nwidth_px = 640",
            "http = 'http://cam/'\nfps = 5.0",
            "command = []",
            "mjpeg = '-'\nrepeat = true",
            "http = 'rtsp://cam/'",
            "mjpeg = '-'\nuser = 'door'",
            "images = 'a'\ncertificate = 'cam.pem'",
            "images = 'a'\nfps = nan",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_with_a_password_never_becomes_a_name() {
        let s = parse("http = 'http://door:secret@cam/stream'").unwrap();
        assert!(!s.name.as_str().contains("secret"));
        assert!(!format!("{s:?}").contains("secret"), "{s:?}");
        let s = parse("command = ['camera', '--password=secret']").unwrap();
        assert!(!format!("{s:?}").contains("secret"), "{s:?}");
    }

    #[test]
    fn words_on_the_command_line() {
        assert_eq!(SourceSettings::from_arg("-").kind, SourceKind::MjpegStdin);
        assert!(matches!(SourceSettings::from_arg("demo/door.MJPEG").kind, SourceKind::Mjpeg(_)));
        assert!(matches!(SourceSettings::from_arg("photos/*.jpg").kind, SourceKind::Images(_)));
        assert!(matches!(SourceSettings::from_arg("http://cam/").kind, SourceKind::Http(_)));
        assert!(matches!(SourceSettings::from_arg("/dev/video0").kind, SourceKind::Camera(_)));
    }
}
