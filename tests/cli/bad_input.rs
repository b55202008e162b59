//! Every kind of bad input: a clear error or a reasoned refusal, the right exit code, nothing half-written.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::process::CommandExt, path::Path};

use doorward::models::Digest;
use serde_json::json;

use super::{Place, Said, obama, picture, project};

/// What enrolling, identifying and detecting say of one picture.
fn three(place: &Place, path: &str) -> [Said; 3] {
    [
        place.run(&["enrol", "Somebody", path, "--gallery", &place.path("other").display().to_string(), "--json"]),
        place.run(&["identify", path, "--gallery", &place.gallery()]),
        place.run(&["detect", path]),
    ]
}

#[test]
fn pictures_that_are_none() {
    let place = Place::new();
    place.enrol();
    let whole = fs::read(picture("portrait.jpg")).unwrap();
    let cases = [
        (place.file("text.jpg", "this is no picture"), "not a JPEG or PNG"),
        (place.file("empty.jpg", ""), "empty"),
        (place.file("cut.jpg", &whole[..whole.len() * 6 / 10]), "damaged JPEG"),
        (place.file("tiny.png", png(1, 1)), "1x1 is smaller than 32x32"),
        (place.file("vast.png", png_header(12_000, 12_000)), "12000x12000 is more than"),
    ];
    for (path, why) in &cases {
        let [enrol, identify, detect] = three(&place, path);
        assert_eq!(enrol.code, 1, "a photo that cannot be used is refused: {enrol:?}");
        let refused = &enrol.json()[0];
        assert_eq!(refused["reasons"], json!(["unreadable"]));
        assert!(refused["text"].as_str().unwrap().contains(why), "{refused}");
        assert!(!place.path("other").exists(), "a refused enrolment leaves nothing behind");
        for said in [identify, detect] {
            assert_eq!(said.code, 3, "{said:?}");
            assert!(said.err.contains(why) && said.err.contains(path.as_str()), "{said:?}");
        }
    }
}

#[test]
fn one_bad_picture_does_not_keep_the_others_from_their_turn() {
    let place = Place::new();
    let text = place.file("text.jpg", "this is no picture");
    let said = place.run(&["detect", "--json", &text, &picture("portrait.jpg")]);
    assert_eq!(said.code, 3, "{said:?}");
    let lines = said.json();
    assert_eq!((&lines[0]["image"], &lines[0]["faces"]), (&json!(text), &json!([])));
    assert!(lines[0]["error"].as_str().unwrap().contains("not a JPEG or PNG"), "{said:?}");
    assert_eq!(lines[1]["faces"].as_array().unwrap().len(), 1);
    assert!(lines[1].get("error").is_none() && said.err.contains("text.jpg"), "{said:?}");
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A small PNG that says it is of this size: what a decompression bomb looks like.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(64, 64);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 })
    })
}

#[test]
fn pictures_of_every_kind_are_understood() {
    let place = Place::new();
    for name in ["grey.jpg", "cmyk.jpg", "alpha.png"] {
        let said = place.run(&["verify", &picture("portrait.jpg"), &picture(name), "--json"]);
        assert_eq!(said.code, 0, "{name}: {said:?}");
        assert!(said.json()[0]["similarity"].as_f64().unwrap() > 0.9, "{name}: {said:?}");
    }
    for name in ["exif-3.jpg", "exif-5.jpg", "exif-6.jpg", "exif-8.jpg"] {
        let said = place.run(&["verify", &picture("exif-1.jpg"), &picture(name), "--json"]);
        assert!(said.code == 0 && said.json()[0]["similarity"].as_f64().unwrap() > 0.95, "{name}: {said:?}");
    }
}

#[test]
fn a_missing_file_is_a_mistake_of_the_caller() {
    let place = Place::new();
    place.enrol();
    for said in three(&place, "nowhere.jpg") {
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("nowhere.jpg") && said.err.contains("no such file"), "{said:?}");
    }
    let folder = place.run(&["detect", &project("demo").display().to_string()]);
    assert!(folder.code == 2 && folder.err.contains("folder"), "{folder:?}");
    assert_eq!(place.run(&["run", "--config", "nowhere.toml"]).code, 2);
}

#[test]
fn an_empty_folder_has_no_frames() {
    let place = Place::new();
    let folder = place.path("empty");
    fs::create_dir(&folder).unwrap();
    let said = place.run(&["bench", "--source", &folder.display().to_string()]);
    assert!(said.code == 2 && said.err.contains("no pictures"), "{said:?}");
}

#[test]
fn no_face_and_six_faces_are_refused_with_their_reasons() {
    let place = Place::new();
    place.enrol();
    for (name, reason) in [("no-face.jpg", "no-face"), ("six-faces.jpg", "several-faces")] {
        let [enrol, identify, _] = three(&place, &picture(name));
        assert_eq!((enrol.code, &enrol.json()[0]["reasons"]), (1, &json!([reason])));
        assert_eq!(identify.code, 1, "{identify:?}");
        assert!(!place.path("other").exists());
    }
}

#[test]
fn poor_samples_are_refused_part_by_part() {
    let place = Place::new();
    place.enrol();
    let portrait = image::open(picture("portrait.jpg")).unwrap().to_rgb8();
    let mut dark = portrait.clone();
    dark.iter_mut().for_each(|v| *v /= 6);
    let save = |name: &str, image: &image::RgbImage| {
        let path = place.path(name);
        image.save(&path).unwrap();
        path.display().to_string()
    };
    let small = image::imageops::thumbnail(&portrait, portrait.width() / 2, portrait.height() / 2);
    for (path, reason) in [
        (save("blurred.png", &image::imageops::blur(&portrait, 4.0)), "quality-sharpness"),
        (save("dark.png", &dark), "quality-brightness"),
        (save("small.png", &small), "quality-size"),
    ] {
        let [enrol, identify, _] = three(&place, &path);
        let reasons = enrol.json()[0]["reasons"].clone();
        assert!(enrol.code == 1 && reasons.as_array().unwrap().contains(&json!(reason)), "{reason}: {enrol:?}");
        assert!(identify.code == 1 && identify.out.contains("quality-"), "{reason}: {identify:?}");
    }
}

/// The detector finds a face on its side and gives it the landmarks of an upright one: a template of nobody.
#[test]
fn a_photo_on_its_side_or_upside_down_is_no_template() {
    let place = Place::new();
    let portrait = image::open(picture("portrait.jpg")).unwrap().to_rgb8();
    for (turned, remedy) in [
        (image::imageops::rotate90(&portrait), "270 degrees"),
        (image::imageops::rotate180(&portrait), "180 degrees"),
        (image::imageops::rotate270(&portrait), "90 degrees"),
    ] {
        let path = place.path("turned.png");
        turned.save(&path).unwrap();
        let said = place.run(&["enrol", "Somebody", path.to_str().unwrap(), "--gallery", &place.gallery(), "--json"]);
        let refused = &said.json()[0];
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(refused["reasons"], json!(["turned"]), "{refused}");
        assert!(refused["text"].as_str().unwrap().contains(&format!("turn the picture {remedy}")), "{refused}");
        assert!(!place.path("gallery").exists());
    }
}

#[test]
fn a_wrong_configuration_names_key_and_value() {
    let place = Place::new();
    place.enrol();
    let door = project("demo/door.mjpeg").display().to_string();
    for (text, named) in [
        ("[policy]\nmargin = nan\n", "policy.margin = NaN"),
        ("[policy]\nmargni = 0.1\n", "margni"),
        ("[recogniser]\noperating_point = 'perfect'\n", "fpir-0.003"),
        ("[recogniser]\nmodel = 'facenet'\n", "mobilefacenet-arcface-192"),
        ("[models]\ndir = '/nowhere'\n", "/nowhere"),
        ("[source]\n", "source"),
    ] {
        let file = place.file("door.toml", format!("{text}[source]\nmjpeg = '{door}'\n"));
        let said = place.run(&["run", "--config", &file, "--gallery", &place.gallery()]);
        assert!((2..=3).contains(&said.code) && said.err.contains(named), "{text}: {said:?}");
        assert!(said.code == 2 || text.contains("models"), "{text}: {said:?}");
        assert_eq!(said.out, "", "nothing was decided");
    }
}

#[test]
fn a_camera_without_camera_support_says_how_to_get_it() {
    if cfg!(feature = "camera") {
        return; // This build has it; there is nothing to refuse.
    }
    let place = Place::new();
    place.enrol();
    let said = place.run(&[
        "run",
        "--config",
        &project("configs/usb-camera.toml").display().to_string(),
        "--gallery",
        &place.gallery(),
    ]);
    assert!(said.code == 2 && said.err.contains("--features camera"), "{said:?}");
}

#[test]
fn cameras_are_listed_only_where_there_is_support_for_them() {
    let place = Place::new();
    let said = place.run(&["cameras"]);
    if !cfg!(feature = "camera") {
        assert!(said.code == 2 && said.err.contains("--features camera") && said.out.is_empty(), "{said:?}");
    } else if Path::new("/dev/video0").exists() {
        assert!(said.code <= 1, "{said:?}");
    } else {
        assert!(said.code == 1 && said.err.contains("no camera") && said.out.is_empty(), "{said:?}");
    }
}

#[test]
fn a_configuration_without_a_camera_is_no_question_about_cameras() {
    let place = Place::new();
    let file = place.file("door.toml", "[source]\nmjpeg = '-'\n");
    for arguments in [vec!["cameras", "--config", &file], vec!["cameras", "--config", &file, "--json"]] {
        let said = place.run(&arguments);
        assert!(said.code == 2 && said.err.contains("source.camera") && said.err.contains(&file), "{said:?}");
    }
    let said = place.run(&["cameras", "--config", "/nonexistent.toml"]);
    assert!(said.code == 2 && said.err.contains("/nonexistent.toml"), "{said:?}");
}

#[test]
fn a_gallery_without_its_key_is_not_given_a_new_one() {
    let place = Place::new();
    place.enrol();
    let key = place.path("gallery/gallery.key");
    let saved = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    for arguments in [
        vec!["gallery", "list"],
        vec!["identify", "tests/pictures/portrait.jpg"],
        vec!["enrol", "Somebody", "tests/pictures/stranger.jpg"],
    ] {
        let gallery = place.gallery();
        let mut command = place.command(&[arguments.as_slice(), &["--gallery", gallery.as_str()]].concat());
        let said = Said::of(&command.current_dir(project("")).output().unwrap());
        assert!(said.code == 3 && said.err.contains("has no key"), "{said:?}");
        assert!(!key.exists());
    }
    fs::write(&key, saved).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.run(&["gallery", "verify", "--gallery", &place.gallery()]).code, 0, "nothing was lost");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let place = Place::new();
    place.enrol();
    let key = place.path("gallery/gallery.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = place.run(&["gallery", "list", "--gallery", &place.gallery()]);
    assert!(said.code == 3 && said.err.contains("chmod"), "{said:?}");
}

#[test]
fn no_gallery_is_said_so() {
    let place = Place::new();
    for arguments in [&["gallery", "list"][..], &["identify", &picture("portrait.jpg")]] {
        let said = place.run(arguments);
        assert!(said.code == 2 && said.err.contains("no gallery"), "{said:?}");
    }
}

#[test]
fn a_disk_that_cannot_be_written_keeps_what_is_there() {
    let place = Place::new();
    place.enrol();
    let gallery = place.path("gallery");
    let store = fs::read(gallery.join("gallery.redb")).unwrap();
    let mut command = std::process::Command::new(place.path("doorward"));
    fs::copy(env!("CARGO_BIN_EXE_doorward"), place.path("doorward")).unwrap();
    let photo = place.file("photo.jpg", fs::read(picture("stranger.jpg")).unwrap());
    fs::set_permissions(&photo, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        // Permissions do not bind root: try as nobody, whose gallery it becomes.
        for path in ["gallery", "gallery/gallery.redb", "gallery/gallery.key"] {
            std::os::unix::fs::chown(place.path(path), Some(65534), Some(65534)).unwrap();
        }
        command.uid(65534).gid(65534);
    }
    fs::set_permissions(&gallery, fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(gallery.join("gallery.redb"), fs::Permissions::from_mode(0o400)).unwrap();
    command.current_dir(place.path("")).env("HOME", place.path(""));
    let said =
        |arguments: &[&str], command: &mut std::process::Command| Said::of(&command.args(arguments).output().unwrap());
    let enrol = said(&["enrol", "Somebody", &photo, "--gallery", &place.gallery()], &mut command);
    fs::set_permissions(&gallery, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(enrol.code == 3 && enrol.err.contains("denied"), "{enrol:?}");
    assert_eq!(fs::read(gallery.join("gallery.redb")).unwrap(), store);
    let mut names: Vec<_> = fs::read_dir(&gallery).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["gallery.key", "gallery.redb"], "nothing half-written");
}

#[test]
fn a_changed_model_file_is_refused_by_name_and_hash() {
    let place = Place::new();
    let models = place.path("models");
    copy_folder(&project("models"), &models);
    let file = models.join("mobilefacenet-arcface-192.onnx");
    let mut bytes = fs::read(&file).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let folder = models.display().to_string();
    let verify = place.run(&["--models", &folder, "models", "verify"]);
    assert!(verify.code == 3 && verify.out.contains("REFUSED mobilefacenet-arcface-192"), "{verify:?}");
    let said = place.run(&["--models", &folder, "verify", "--engine", "f32", &obama("2009.jpg"), &obama("2010.jpg")]);
    assert_eq!(said.code, 3, "{said:?}");
    for part in [
        "mobilefacenet-arcface-192.onnx",
        "SHA-256",
        "cabc63438a2bd2361d8a20c016442fc4f45ef1e434b13290009b662f91e6f4fa",
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
}

/// Whoever may write the model folder may write its catalogue too: the hash fits, and the file itself must be looked at.
#[test]
fn a_broken_model_file_with_a_fitting_hash_is_refused_by_node_or_tensor() {
    let place = Place::new();
    let models = place.path("models");
    copy_folder(&project("models"), &models);
    let (file, catalogue) = (models.join("mobilefacenet-arcface-192.onnx"), models.join("catalogue.toml"));
    let (sound, card) = (fs::read(&file).unwrap(), fs::read_to_string(&catalogue).unwrap());
    let folder = models.display().to_string();
    let embed = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let text = card
            .replace(&Digest::of(&sound).to_string(), &Digest::of(bytes).to_string())
            .replace(&format!("bytes = {}\n", sound.len()), &format!("bytes = {}\n", bytes.len()));
        fs::write(&catalogue, text).unwrap();
        place.run(&["--models", &folder, "embed", "--engine", "f32", &picture("portrait.jpg")])
    };
    assert_eq!(embed(&sound).code, 0);

    // The first convolution's operator becomes one that does not exist; a long run of weights becomes NaN.
    let name = sound.windows(6).position(|window| window == b"\x22\x04Conv").unwrap();
    let mut operator = sound.clone();
    operator[name + 2..name + 6].copy_from_slice(b"Comb");
    let mut weights = sound.clone();
    weights[2_000_000..2_004_000].fill(0xff);
    for (bytes, part) in
        [(operator, "operator Comb is not supported"), (weights, "NaN"), (sound[..4_000_000].to_vec(), "cut off")]
    {
        let said = embed(&bytes);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(said.err.contains("mobilefacenet-arcface-192") && said.err.contains(part), "{said:?}");
        assert!(!said.err.contains("panicked"), "{said:?}");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}
