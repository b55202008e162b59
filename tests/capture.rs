//! Sources as the pipeline sees them: files, pipes, a program, a server on this machine.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use doorward::{
    capture::{CaptureError, FrameSource, Pacing, Reader, Received, StopToken, open, stop_token},
    config::{HttpSettings, Pace, SourceKind, SourceSettings},
    domain::{Frame, SystemClock},
};
use image::RgbImage;

const DOOR: &str = "demo/door.mjpeg";
const DOOR_FRAMES: usize = 143;

/// A source, and what keeps it from stopping.
fn start(settings: &SourceSettings) -> (Result<Box<dyn FrameSource>, CaptureError>, StopToken) {
    let (token, stop) = stop_token();
    (open(settings, Arc::new(SystemClock), stop), token)
}

fn read_all(settings: &SourceSettings) -> (Vec<Frame>, u64, Option<CaptureError>) {
    let (source, _token) = start(settings);
    let mut source = source.unwrap();
    let mut reader = Reader::new(settings.name.clone());
    let mut frames = Vec::new();
    let error = loop {
        match reader.next(&mut *source) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    (frames, reader.corrupt(), error)
}

fn refusal(kind: SourceKind) -> CaptureError {
    start(&SourceSettings::new(kind)).0.err().expect("it should not open")
}

fn picture(name: &str) -> Vec<u8> {
    fs::read(Path::new("tests/pictures").join(name)).unwrap()
}

fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn sequence(frames: &[Frame]) -> Vec<u64> {
    frames.iter().map(|f| f.at.seq).collect()
}

// Replays

#[test]
fn the_demo_sequence_is_read_whole_and_in_order() {
    let (frames, corrupt, error) = read_all(&SourceSettings::new(SourceKind::Mjpeg(DOOR.into())));
    assert!(error.is_none() && corrupt == 0, "{error:?}");
    assert_eq!(sequence(&frames), (0..DOOR_FRAMES as u64).collect::<Vec<_>>());
    assert!(frames.windows(2).all(|w| w[0].at.captured.monotonic <= w[1].at.captured.monotonic));
    assert_eq!(frames[0].at.to_string(), "door.mjpeg#0");
}

#[test]
fn a_corrupt_frame_uses_up_its_number() {
    let (good, other) = (picture("portrait.jpg"), picture("exif-1.jpg"));
    let mut bent = other.clone();
    // 12 bits a sample, says its frame header: whole, and not to be decoded.
    let sof = bent.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    bent[sof + 4] = 12;
    let folder = tempfile::tempdir().unwrap();
    let stream = [&good[..], &good[..6000], &other, &bent, b"garbage", &good, &good[..6000]].concat();
    let path = file(&folder, "x.mjpeg", &stream);
    let (frames, corrupt, error) = read_all(&SourceSettings::new(SourceKind::Mjpeg(path)));
    assert!(error.is_none(), "{error:?}");
    assert_eq!((sequence(&frames), corrupt), (vec![0, 2, 4], 3));
}

#[test]
fn a_reader_goes_on_counting_when_its_source_is_opened_again() {
    let settings = SourceSettings::new(SourceKind::Mjpeg(DOOR.into()));
    let mut reader = Reader::new(settings.name.clone());
    let mut last = None;
    for _ in 0..2 {
        let (source, _token) = start(&settings);
        let mut source = source.unwrap();
        for _ in 0..3 {
            last = reader.next(&mut *source).unwrap().map(|f| f.at.seq);
        }
    }
    assert_eq!((last, reader.corrupt()), (Some(5), 0));
}

#[test]
fn a_frame_of_a_size_no_frame_may_have_is_corrupt() {
    let mut small = picture("portrait.jpg");
    let sof = small.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    small[sof + 5..sof + 9].copy_from_slice(&[0, 16, 0, 16]);
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "x.mjpeg", &small);
    let (source, _token) = start(&SourceSettings::new(SourceKind::Mjpeg(path)));
    match source.unwrap().receive().unwrap() {
        Received::Corrupt { reason } => assert!(reason.contains("16x16") && reason.contains("32"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_plays_in_natural_order_and_passes_over_what_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder, "10.jpg", &picture("portrait.jpg"));
    file(&folder, "9.JPG", &picture("exif-6.jpg"));
    file(&folder, "2.png", b"not a picture");
    file(&folder, "1.jpeg", &picture("six-faces.jpg"));
    let mut settings = SourceSettings::new(SourceKind::Images(folder.path().into()));
    let (frames, corrupt, _) = read_all(&settings);
    let sizes: Vec<_> = frames.iter().map(|f| (f.at.seq, f.image.dimensions())).collect();
    assert_eq!(sizes, [(0, (660, 440)), (2, (160, 200)), (3, (220, 220))]);
    assert_eq!(corrupt, 1);

    settings.repeat = true;
    let (source, _token) = start(&settings);
    let mut source = source.unwrap();
    let mut reader = Reader::new(settings.name.clone());
    let seen: Vec<u64> = (0..7).map(|_| reader.next(&mut *source).unwrap().unwrap().at.seq).collect();
    assert_eq!(seen, [0, 2, 3, 4, 6, 7, 8]);
}

#[test]
fn a_folder_without_one_good_picture_is_not_repeated_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    file(&folder, "1.jpg", b"not a picture");
    let mut settings = SourceSettings::new(SourceKind::Images(folder.path().into()));
    settings.repeat = true;
    let (frames, corrupt, _) = read_all(&settings);
    assert_eq!((frames.len(), corrupt), (0, 1));
}

#[test]
fn what_cannot_be_replayed_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(SourceKind::Images(folder.path().into())).to_string();
    assert!(said.contains("no pictures found") && said.contains(folder.path().to_str().unwrap()), "{said}");
    for kind in [SourceKind::Mjpeg("nowhere.mjpeg".into()), SourceKind::Y4m("nowhere.y4m".into())] {
        let said = refusal(kind).to_string();
        assert!(said.contains("nowhere") && said.contains("No such file"), "{said}");
    }
    for bytes in [b"".as_slice(), b"a letter, not a film"] {
        let path = file(&folder, "letter.mjpeg", bytes);
        let (frames, _, error) = read_all(&SourceSettings::new(SourceKind::Mjpeg(path)));
        let said = error.unwrap().to_string();
        assert!(frames.is_empty() && said.contains("letter.mjpeg") && said.contains("MJPEG"), "{said}");
    }
    let (_, _, error) = read_all(&SourceSettings::new(SourceKind::Mjpeg(folder.path().into())));
    assert!(error.unwrap().to_string().contains("directory"));
}

#[test]
fn realtime_takes_as_long_as_it_was_recorded() {
    let mut settings = SourceSettings::new(SourceKind::Mjpeg(DOOR.into()));
    (settings.pace, settings.fps) = (Pace::Realtime, 20.0);
    let (source, token) = start(&settings);
    let mut source = source.unwrap();
    assert_eq!(source.pacing(), Pacing::Live);
    let started = Instant::now();
    for _ in 0..5 {
        assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
    }
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());

    settings.fps = 0.1;
    let (source, slow) = start(&settings);
    let mut source = source.unwrap();
    assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
    let stopper = stop_after(slow, Duration::from_millis(100));
    let started = Instant::now();
    assert!(matches!(source.receive().unwrap(), Received::End));
    assert!(started.elapsed() < Duration::from_secs(1));
    stopper.join().unwrap();
    drop(token);
}

fn stop_after(token: StopToken, pause: Duration) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        thread::sleep(pause);
        drop(token);
    })
}

#[test]
fn a_fifo_without_a_writer_does_not_hold_up_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("camera.mjpeg");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (source, token) = start(&SourceSettings::new(SourceKind::Mjpeg(path.clone())));
    let mut source = source.unwrap();
    let writer = thread::spawn(move || {
        let mut fifo = fs::OpenOptions::new().write(true).open(path).unwrap();
        fifo.write_all(&picture("portrait.jpg")).unwrap();
        fifo
    });
    assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
    let _fifo = writer.join().unwrap();
    let stopper = stop_after(token, Duration::from_millis(100));
    let started = Instant::now();
    assert!(matches!(source.receive().unwrap(), Received::End));
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    stopper.join().unwrap();
}

// YUV4MPEG2, written by another's encoder

/// Two frames of one colour; studio swing unless `full`.
fn y4m(width: usize, height: usize, kind: y4m::Colorspace, full: bool, yuv: [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = y4m::encode(width, height, y4m::Ratio::new(30, 1)).with_colorspace(kind);
    if full {
        encoder =
            encoder.append_vendor_extension(y4m::VendorExtensionString::new(b"COLORRANGE=FULL".to_vec()).unwrap());
    }
    let mut encoder = encoder.write_header(&mut bytes).unwrap();
    let chroma = match kind {
        y4m::Colorspace::Cmono => 0,
        y4m::Colorspace::C444 => width * height,
        y4m::Colorspace::C422 => width.div_ceil(2) * height,
        _ => width.div_ceil(2) * height.div_ceil(2),
    };
    let planes = [vec![yuv[0]; width * height], vec![yuv[1]; chroma], vec![yuv[2]; chroma]];
    for _ in 0..2 {
        encoder.write_frame(&y4m::Frame::new([&planes[0], &planes[1], &planes[2]], None)).unwrap();
    }
    bytes
}

fn all_close(image: &RgbImage, colour: [u8; 3]) -> bool {
    image.pixels().all(|p| p.0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) <= 3))
}

#[test]
fn y4m_of_every_sampling_and_of_odd_size() {
    use y4m::Colorspace::{C420, C420jpeg, C420mpeg2, C420paldv, C422, C444, Cmono};
    let folder = tempfile::tempdir().unwrap();
    // Pure red in BT.601: studio swing, then full.
    for (full, red) in [(false, [81, 90, 240]), (true, [76, 85, 255])] {
        for kind in [C420, C420jpeg, C420mpeg2, C420paldv, C422, C444, Cmono] {
            for (width, height) in [(64, 48), (65, 47), (33, 32)] {
                let path = file(&folder, "red.y4m", &y4m(width, height, kind, full, red));
                let (frames, corrupt, error) = read_all(&SourceSettings::new(SourceKind::Y4m(path)));
                assert!(error.is_none() && corrupt == 0 && frames.len() == 2, "{kind:?} {error:?}");
                let image = &frames[1].image;
                assert_eq!(image.dimensions(), (width as u32, height as u32));
                let colour = if matches!(kind, Cmono) { [76; 3] } else { [255, 0, 0] };
                assert!(all_close(image, colour), "{kind:?} {width}x{height} {full}: {:?}", image[(0, 0)]);
            }
        }
    }
}

#[test]
fn y4m_that_is_cut_deep_or_huge() {
    let folder = tempfile::tempdir().unwrap();
    let whole = y4m(64, 48, y4m::Colorspace::C420, false, [81, 90, 240]);
    let path = file(&folder, "cut.y4m", &whole[..whole.len() - 100]);
    let (frames, corrupt, error) = read_all(&SourceSettings::new(SourceKind::Y4m(path)));
    assert_eq!((frames.len(), corrupt, error.is_none()), (1, 1, true));
    for (header, says) in [
        (b"YUV4MPEG2 W64 H48 C420p10\n".as_slice(), "420p10"),
        (b"YUV4MPEG2 W99999999 H99999999\n", "4096"),
        (b"YUV4MPEG2 W16 H16\n", "16x16"),
        (b"RIFF....AVI ", "no YUV4MPEG2 header"),
        (b"YUV4", "not one frame"),
    ] {
        let said = refusal(SourceKind::Y4m(file(&folder, "bad.y4m", header))).to_string();
        assert!(said.contains("bad.y4m") && said.contains(says), "{said}");
    }
    let path = file(&folder, "lost.y4m", b"YUV4MPEG2 W64 H48\nFRAMES\n");
    let said = read_all(&SourceSettings::new(SourceKind::Y4m(path))).2.unwrap().to_string();
    assert!(said.contains("no FRAME line"), "{said}");
}

#[test]
fn y4m_keeps_its_own_pace() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = SourceSettings::new(SourceKind::Y4m(file(
        &folder,
        "red.y4m",
        &y4m(64, 48, y4m::Colorspace::C420, false, [81, 90, 240]),
    )));
    // 30 a second in the file: two frames and the end are two pauses, whatever `fps` says.
    (settings.pace, settings.fps) = (Pace::Realtime, 0.5);
    let started = Instant::now();
    assert_eq!(read_all(&settings).0.len(), 2);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(66) && took < Duration::from_millis(1500), "{took:?}");
}

// A program's output

fn command(words: &[&str]) -> SourceSettings {
    let mut settings = SourceSettings::new(SourceKind::Command(words.iter().map(|&w| w.into()).collect()));
    settings.stall_timeout = Duration::from_secs(20);
    settings
}

#[test]
fn a_program_gives_its_frames_and_its_end_is_an_error() {
    let (frames, corrupt, error) = read_all(&command(&["cat", DOOR]));
    assert_eq!((frames.len(), corrupt), (DOOR_FRAMES, 0));
    let said = error.unwrap().to_string();
    assert!(said.contains("program cat") && said.contains("exit status: 0"), "{said}");
}

#[test]
fn a_program_that_fails_is_named_with_its_status() {
    let (_, _, error) = read_all(&command(&["sh", "-c", "exit 3"]));
    let said = error.unwrap().to_string();
    assert!(said.contains("program sh") && said.contains("exit status: 3"), "{said}");
    let said = refusal(SourceKind::Command(vec!["no-such-camera-program".into(), "--password=x".into()])).to_string();
    assert!(said.contains("no-such-camera-program") && said.contains("No such file"), "{said}");
    assert!(!said.contains("password"));
}

#[test]
fn a_program_that_is_missing_or_no_program_is_told_with_its_package() {
    let error = refusal(SourceKind::Command(vec!["/nowhere/rpicam-vid".into(), "--codec".into(), "mjpeg".into()]));
    assert!(error.is_usage() && !error.is_transient(), "{error}");
    assert!(error.to_string().contains("install the package rpicam-apps"), "{error}");
    let error = refusal(SourceKind::Command(vec!["tests/pictures/portrait.jpg".into()]));
    assert!(error.to_string().contains("executable"), "{error}");
}

#[test]
fn a_program_that_is_killed_leaves_no_zombie() {
    let (mut source, _token, group) = start_script("echo $$ > \"$0\"; kill -9 $$");
    let said = source.receive().unwrap_err().to_string();
    assert!(said.contains("signal: 9"), "{said}");
    // Not even as a zombie, while the source is still there.
    assert!(!Path::new("/proc").join(&group).exists());
}

#[test]
fn a_program_that_hangs_is_stalled_and_ends_with_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("group");
    let script = "trap '' TERM; echo $$ > \"$0\"; cat demo/door.mjpeg; while :; do sleep 1; done";
    let mut settings = command(&["sh", "-c", script, told.to_str().unwrap()]);
    settings.stall_timeout = Duration::from_millis(1000);
    let (frames, _, error) = read_all(&settings);
    assert!(matches!(error, Some(CaptureError::Stalled { .. })), "{error:?}");
    assert!(frames.len() >= DOOR_FRAMES - 1, "{}", frames.len());
    assert_group_dies(fs::read_to_string(&told).unwrap().trim());
}

/// Whether any process of this group is left that is no zombie.
fn group_lives(group: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
        let mut fields = fields.split(' ');
        let state = fields.next();
        state != Some("Z") && fields.nth(1) == Some(group)
    })
}

/// Starts a shell script that writes its process group into the file `$0`.
fn start_script(script: &str) -> (Box<dyn FrameSource>, StopToken, String) {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("group");
    let (source, token) = start(&command(&["sh", "-c", script, told.to_str().unwrap()]));
    let source = source.unwrap();
    let waited = Instant::now();
    let group = loop {
        match fs::read_to_string(&told) {
            Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
            _ => assert!(waited.elapsed() < Duration::from_secs(10), "the script does not run"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    (source, token, group)
}

fn assert_group_dies(group: &str) {
    let started = Instant::now();
    while group_lives(group) {
        assert!(started.elapsed() < Duration::from_secs(1), "a process of the program is left");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_stop_ends_a_silent_program_and_what_it_started() {
    let (mut source, token, group) =
        start_script("trap '' TERM; sleep 60 & echo $$ > \"$0\"; while :; do sleep 1; done");
    assert!(group_lives(&group));
    let stopper = stop_after(token, Duration::from_millis(50));
    let started = Instant::now();
    assert!(matches!(source.receive().unwrap(), Received::End));
    drop(source);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    stopper.join().unwrap();
    assert_group_dies(&group);
}

#[test]
fn what_outlives_the_program_that_started_it_ends_with_the_source() {
    let (source, _token, group) = start_script("sleep 60 & echo $$ > \"$0\"");
    assert!(group_lives(&group));
    drop(source);
    assert_group_dies(&group);
}

#[test]
fn a_program_without_frames_is_stalled() {
    let mut settings = command(&["sh", "-c", "while :; do echo garbage; sleep 0.02; done"]);
    settings.stall_timeout = Duration::from_millis(300);
    let (source, _token) = start(&settings);
    // It does send bytes: only frames count.
    let error = source.unwrap().receive().unwrap_err();
    assert!(matches!(error, CaptureError::Stalled { .. }) && error.to_string().contains("300 ms"), "{error}");
}

// A server

/// Serves one connection with `serve`, and gives its address.
fn server(serve: impl FnOnce(TcpStream, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        serve(stream, request);
    });
    address.to_string()
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

fn at(address: String) -> SourceKind {
    SourceKind::Http(HttpSettings::new(address))
}

fn http(address: &str) -> SourceSettings {
    let mut settings = SourceSettings::new(at(format!("http://{address}/video?token=secret")));
    settings.stall_timeout = Duration::from_secs(20);
    settings
}

const MULTIPART: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=\"--cut\"\r\n\r\n";

fn part(jpeg: &[u8], sized: bool) -> Vec<u8> {
    let length = if sized { format!("Content-Length: {}\r\n", jpeg.len()) } else { String::new() };
    [format!("--cut\r\nContent-Type: image/jpeg\r\n{length}\r\n").as_bytes(), jpeg, b"\r\n"].concat()
}

#[test]
fn multipart_over_http_with_and_without_length() {
    for sized in [true, false] {
        let address = server(move |mut stream, _| {
            let (good, other) = (picture("portrait.jpg"), picture("exif-1.jpg"));
            stream.write_all(MULTIPART.as_bytes()).unwrap();
            for jpeg in [&good[..], &other, &good[..5000], &good] {
                for piece in part(jpeg, sized).chunks(1777) {
                    stream.write_all(piece).unwrap();
                }
            }
            stream.write_all(&part(&other, sized)[..3000]).unwrap();
        });
        let (frames, corrupt, error) = read_all(&http(&address));
        assert_eq!((sequence(&frames), corrupt), (vec![0, 1, 3], 2), "sized: {sized}");
        assert_eq!(frames[1].image.dimensions(), (160, 200));
        let said = error.unwrap().to_string();
        assert!(said.contains(&address) && said.contains("closed") && !said.contains("secret"), "{said}");
    }
}

#[test]
fn a_stream_longer_than_any_limit_of_the_client_goes_on() {
    // Its default for a whole body would be 10 MB.
    let address = server(|mut stream, _| {
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n").unwrap();
        let door = fs::read(DOOR).unwrap();
        for _ in 0..4 {
            stream.write_all(&door).unwrap();
        }
    });
    let (frames, corrupt, _) = read_all(&http(&address));
    assert_eq!((frames.len(), corrupt), (4 * DOOR_FRAMES, 0));
}

#[test]
fn a_server_that_refuses_is_named_without_its_secrets() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = elsewhere.local_addr().unwrap();
    let redirect = format!("HTTP/1.1 302 Found\r\nLocation: https://{to}/secret\r\nContent-Length: 0\r\n\r\n");
    for (answer, says) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "how to log in"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "user and a password"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "text/html"),
        ("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 0\r\n\r\n", "single picture"),
        (&redirect, "write the https:// address"),
        ("SSH-2.0-OpenSSH\r\n", "HTTP"),
    ] {
        let answer = answer.to_owned();
        let address = server(move |mut stream, _| stream.write_all(answer.as_bytes()).unwrap());
        let said = refusal(at(format!("http://door:secret@{address}/video?token=secret"))).to_string();
        assert!(said.contains(&address) && said.contains(says) && !said.contains("secret"), "{says}: {said}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refusal(http(&nobody.to_string()).kind).to_string();
    assert!(said.contains("refused") && said.contains(&nobody.to_string()), "{said}");
}

#[test]
fn the_user_in_the_address_is_sent_to_a_server_that_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let answers = [
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\nContent-Length: 0\r\n\r\n".to_vec(),
            [MULTIPART.as_bytes(), &part(&picture("portrait.jpg"), true)].concat(),
        ];
        answers.map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let request = read_request(&mut stream);
            stream.write_all(&answer).unwrap();
            request
        })
    });
    let (frames, _, _) = read_all(&SourceSettings::new(at(format!("http://door:open%21@{address}/video?channel=1"))));
    assert_eq!(frames.len(), 1);
    let [first, second] = asked.join().unwrap().map(|request| request.to_ascii_lowercase());
    assert!(!first.contains("authorization"), "{first}");
    assert!(second.starts_with("get /video?channel=1 http/1.1\r\n"), "{second}");
    // "door:open!" in base 64.
    assert!(second.contains("authorization: basic zg9vcjpvcgvuiq=="), "{second}");
}

#[test]
fn a_server_that_falls_silent_is_stalled_or_stopped() {
    let silent_after = |sent: Vec<u8>| {
        server(move |mut stream, _| {
            stream.write_all(&sent).unwrap();
            // Until the client goes away.
            let _ = stream.read(&mut [0]);
        })
    };
    let begun = [MULTIPART.as_bytes(), &part(&picture("portrait.jpg"), true), b"--cut\r\n"].concat();

    let mut settings = http(&silent_after(begun.clone()));
    settings.stall_timeout = Duration::from_millis(300);
    let (frames, _, error) = read_all(&settings);
    assert_eq!(frames.len(), 1);
    assert!(matches!(error, Some(CaptureError::Stalled { .. })), "{error:?}");

    let mut settings = http(&silent_after(Vec::new()));
    settings.stall_timeout = Duration::from_millis(300);
    let said = start(&settings).0.err().unwrap().to_string();
    assert!(said.contains("no answer") && !said.contains("secret"), "{said}");

    let (source, token) = start(&http(&silent_after(begun)));
    let mut source = source.unwrap();
    assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
    let stopper = stop_after(token, Duration::from_millis(100));
    let started = Instant::now();
    assert!(matches!(source.receive().unwrap(), Received::End));
    drop(source);
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
    stopper.join().unwrap();

    let settings = http(&silent_after(Vec::new()));
    let (token, stop) = stop_token();
    let stopper = stop_after(token, Duration::from_millis(100));
    let started = Instant::now();
    let error = open(&settings, Arc::new(SystemClock), stop).err().unwrap();
    assert!(matches!(error, CaptureError::Stopped { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
    stopper.join().unwrap();
}

#[cfg(not(feature = "camera"))]
#[test]
fn a_camera_without_the_feature_says_how_to_get_it() {
    use doorward::config::CameraSettings;
    let camera = CameraSettings { device: "/dev/video0".into(), width_px: 640, height_px: 480, fps: 15 };
    let said = refusal(SourceKind::Camera(camera)).to_string();
    assert!(said.contains("/dev/video0") && said.contains("--features camera") && said.contains("libclang"), "{said}");
}
