use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    config::{DetectorSettings, PadSettings, SourceKind, SourceSettings},
    detect,
    eval::{EvalError, pad::METHOD},
    models::{Digest, ModelStore},
    pad,
};

/// What a qualification is of: change any of it, and what was recorded says nothing any more.
///
/// Settings are kept as their `Debug` texts: all that they hold counts, also what they do not hold yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// The source's name.
    source: String,
    /// Its kind and place.
    camera: String,
    /// Width and height asked of a camera, px.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    asked_px: Option<[u32; 2]>,
    /// Each net's file, its weight and its square.
    nets: BTreeMap<String, String>,
    limits: String,
    detector: String,
    /// How frames are looked at.
    method: u32,
}

impl Conditions {
    /// Those of a door with these settings.
    ///
    /// # Errors
    /// When a net or the detector is missing, damaged or not of its kind.
    pub fn of(
        source: &SourceSettings,
        detector: &DetectorSettings,
        pad: &PadSettings,
        models: &ModelStore,
    ) -> Result<Self, EvalError> {
        let nets = pad::cards(pad, models)?.into_iter().map(|card| {
            let weight = card.pad.map_or(0.0, |spec| spec.weight);
            let square = card.input.box_scale.unwrap_or(0.0);
            (card.id.clone(), format!("{}, weight {weight}, {square} box heights", card.sha256))
        });
        // The variant in int8 or in float, as the engine chooses: boxes move by a pixel, and log-odds with them.
        let finder = detect::build(detector, models)?;
        let sha256 = models.catalogue().get(finder.name()).map_err(detect::DetectError::from)?.sha256;
        let asked_px = match &source.kind {
            SourceKind::Camera(camera) => Some([camera.width_px, camera.height_px]),
            _ => None,
        };
        Ok(Self {
            source: source.name.as_str().to_owned(),
            camera: place(&source.kind),
            asked_px,
            nets: nets.collect(),
            limits: format!("{:?}", pad.limits),
            detector: format!("{} {sha256} {detector:?}", finder.name()),
            method: METHOD,
        })
    }

    /// Source, camera and nets, for people.
    pub fn describe(&self) -> String {
        let nets: Vec<&str> = self.nets.keys().map(String::as_str).collect();
        format!("{} ({}), {}", self.source, self.camera, nets.join(" + "))
    }

    /// What is different now.
    pub fn changes(&self, now: &Self) -> Vec<&'static str> {
        let compared = [
            ("the source's name", self.source == now.source),
            ("the camera", self.camera == now.camera),
            ("the resolution", self.asked_px == now.asked_px),
            ("the nets", self.nets == now.nets),
            ("the limits", self.limits == now.limits),
            ("the detector", self.detector == now.detector),
            ("how doorward looks at frames", self.method == now.method),
        ];
        compared.into_iter().filter_map(|(what, same)| (!same).then_some(what)).collect()
    }
}

/// Kind and place of a source. Passwords stay out: of an address the part before the `@`, and what may hold one (a query, the
/// arguments of a command) is a hash.
fn place(kind: &SourceKind) -> String {
    match kind {
        SourceKind::Camera(camera) => format!("camera {}", camera.device),
        SourceKind::Http(http) => without_secrets(&http.address),
        SourceKind::Images(path) | SourceKind::Mjpeg(path) | SourceKind::Y4m(path) => {
            format!("recording {}", path.display())
        }
        SourceKind::Command(argv) => {
            format!("command {} #{}", argv.first().map_or("", String::as_str), short_hash(&argv.join("\0")))
        }
        other => {
            let text = format!("{other:?}");
            let name = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            format!("{name} #{}", short_hash(&text))
        }
    }
}

fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (address, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let (host, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let query = if query.is_empty() { String::new() } else { format!(" #{}", short_hash(query)) };
    format!("{scheme}://{host}{path}{query}")
}

fn short_hash(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string().chars().take(16).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{CameraSettings, HttpSettings, PadLimits};

    /// Conditions without models.
    pub(in super::super) fn of(source: &str) -> Conditions {
        Conditions {
            source: source.to_owned(),
            camera: "camera /dev/video0".to_owned(),
            asked_px: Some([640, 480]),
            nets: BTreeMap::from([("fr-liveness".to_owned(), "00".to_owned())]),
            limits: "none".to_owned(),
            detector: "yunet".to_owned(),
            method: 1,
        }
    }

    fn real(source: &SourceSettings, detector: &DetectorSettings, pad: &PadSettings) -> Conditions {
        let models = ModelStore::open("models".as_ref()).unwrap();
        Conditions::of(source, detector, pad, &models).unwrap()
    }

    #[test]
    fn every_change_is_told_by_its_name() {
        let (detector, pad) = (DetectorSettings::default(), PadSettings::default());
        let mut camera = CameraSettings::new("/dev/video0".into());
        let source = SourceSettings::new(SourceKind::Camera(camera.clone()));
        let now = real(&source, &detector, &pad);
        assert_eq!(now, real(&source, &detector, &pad));
        assert!(now.describe().contains("/dev/video0") && now.describe().contains("fr-liveness"), "{now:?}");
        let changed = |source: &SourceSettings, detector: &DetectorSettings, pad: &PadSettings| {
            now.changes(&real(source, detector, pad))
        };
        assert!(changed(&source, &detector, &pad).is_empty());
        let limits = PadLimits { min_log_odds: -1.5, ..PadLimits::default() };
        assert_eq!(changed(&source, &detector, &PadSettings { limits, ..pad.clone() }), ["the limits"]);
        let larger = DetectorSettings { working_size_px: 640, ..detector };
        assert_eq!(changed(&source, &larger, &pad), ["the detector"]);
        camera.width_px = 1280;
        let named =
            SourceSettings { name: source.name.clone(), ..SourceSettings::new(SourceKind::Camera(camera.clone())) };
        assert_eq!(changed(&named, &detector, &pad), ["the resolution"]);
        camera.device = "/dev/video2".into();
        let other = SourceSettings::new(SourceKind::Camera(camera));
        assert_eq!(changed(&other, &detector, &pad), ["the source's name", "the camera", "the resolution"]);
        let mut nets = now.clone();
        nets.nets.insert("fr-liveness".into(), "another".into());
        assert_eq!(now.changes(&nets), ["the nets"]);
    }

    #[test]
    fn no_password_stands_in_the_record() {
        let of = |url: &str| place(&SourceKind::Http(HttpSettings::new(url.into())));
        assert_eq!(of("http://ada:secret@cam.lan:81/a/b"), "http://cam.lan:81/a/b");
        assert_eq!(of("http://ada:p@ss@cam.lan"), "http://cam.lan");
        let query = of("http://cam.lan/stream?user=ada&pwd=secret");
        assert!(query.starts_with("http://cam.lan/stream #") && !query.contains("secret"), "{query}");
        assert_ne!(query, of("http://cam.lan/stream?user=ada&pwd=other"));
        assert_eq!(of("http://cam.lan/a@b"), "http://cam.lan/a@b");
        let command = place(&SourceKind::Command(vec!["ffmpeg".into(), "rtsp://ada:secret@cam".into()]));
        assert!(command.starts_with("command ffmpeg #") && !command.contains("secret"), "{command}");
    }
}
