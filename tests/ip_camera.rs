//! IP cameras as they are: certificates of every kind, logins, connections that break, over real TCP and TLS on this machine.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use doorward::{
    capture::{CaptureError, FrameSource, Received, open, stop_token},
    config::{Config, HttpSettings, Login, Password, SourceKind, SourceSettings, Trust},
    domain::SystemClock,
};
use md5::Md5;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

const USER: &str = "door";
const PASSWORD: &str = "s3cret/of:the door";

// ---------------------------------------------------------------- a camera on this machine

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

struct Camera {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Camera {
    /// Serves one connection after the other, in TLS where a certificate is named. `serve` is given the number of the request and its
    /// head, and closes the connection by returning.
    fn start(certificate: Option<&str>, serve: impl Fn(usize, &str, &mut dyn Wire) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, tls) = (requests.clone(), certificate.map(server_config));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut wire: Box<dyn Wire> = match &tls {
                    None => Box::new(stream),
                    Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)),
                };
                let Some(request) = read_head(&mut *wire) else { continue };
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                serve(number, &request, &mut *wire);
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn https(&self) -> String {
        format!("https://{}/video?token=t0ken", self.address)
    }

    fn http(&self) -> String {
        format!("http://{}/video?token=t0ken", self.address)
    }
}

/// The head of a request; `None` when the client goes away.
fn read_head(wire: &mut dyn Wire) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if wire.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn tls_file(name: &str) -> PathBuf {
    Path::new("tests/tls").join(name)
}

fn der(certificate: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(tls_file(&format!("{certificate}.pem"))).unwrap().to_vec()
}

fn server_config(certificate: &str) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(tls_file(&format!("{certificate}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let key = ring::sign::any_supported_type(&key).unwrap();
    // Not `with_single_cert`, which looks into the certificate and would not serve an old one.
    let certified = rustls::sign::CertifiedKey::new(vec![der(certificate).into()], key);
    Arc::new(config_of(config, certified))
}

fn config_of(
    builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    certified: rustls::sign::CertifiedKey,
) -> ServerConfig {
    builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut\r\n\r\n";

fn part() -> Vec<u8> {
    let jpeg = fs::read("tests/pictures/portrait.jpg").unwrap();
    let head = format!("--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    [head.as_bytes(), &jpeg, b"\r\n"].concat()
}

/// A failed write means that the client went away.
fn say(wire: &mut dyn Wire, bytes: impl AsRef<[u8]>) {
    let _ = wire.write_all(bytes.as_ref()).and_then(|()| wire.flush());
}

/// Two pictures, then nothing until the client goes away.
fn stream(wire: &mut dyn Wire) {
    say(wire, [STREAM.as_bytes(), &part(), &part(), b"--cut\r\n"].concat());
    hang(wire);
}

fn hang(wire: &mut dyn Wire) {
    while wire.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
}

fn unauthorized(wire: &mut dyn Wire, challenges: &[&str]) {
    let headers: String = challenges.iter().map(|c| format!("WWW-Authenticate: {c}\r\n")).collect();
    say(wire, format!("HTTP/1.1 401 Unauthorized\r\n{headers}Content-Length: 5\r\n\r\nno.\r\n"));
}

// ---------------------------------------------------------------- doorward at the other end

fn settings(address: String, trust: Trust, login: bool) -> SourceSettings {
    let mut http = HttpSettings::new(address);
    http.trust = trust;
    http.login = login.then(|| Login { user: USER.into(), password: Password::Known(PASSWORD.to_owned().into()) });
    let mut settings = SourceSettings::new(SourceKind::Http(http));
    settings.stall_timeout = Duration::from_secs(20);
    settings
}

fn trusted(certificate: &str) -> Trust {
    Trust::Certificates { path: tls_file(certificate), der: vec![der(certificate)] }
}

fn start(settings: &SourceSettings) -> Result<Box<dyn FrameSource>, CaptureError> {
    let (token, stop) = stop_token();
    // Nothing stops it here.
    std::mem::forget(token);
    open(settings, Arc::new(SystemClock), stop)
}

#[track_caller]
fn assert_two_pictures(settings: &SourceSettings) {
    let mut source = start(settings).unwrap_or_else(|e| panic!("{e}"));
    for _ in 0..2 {
        assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
    }
}

#[track_caller]
fn refusal(settings: &SourceSettings) -> CaptureError {
    let error = start(settings).err().expect("it should not open");
    let said = format!("{error} {error:?} {settings:?}");
    for secret in [PASSWORD, "t0ken"] {
        assert!(!said.contains(secret), "{said}");
    }
    error
}

// ---------------------------------------------------------------- certificates

#[test]
fn certificates_that_are_trusted() {
    let pin = |name| Trust::Fingerprint(Sha256::digest(der(name)).into());
    for (shown, trust) in [
        ("camera", trusted("authority")),
        ("camera", trusted("camera")),
        // Expired, and for no host at all: what matters is that it is this one.
        ("own", trusted("own")),
        ("own", pin("own")),
        ("elsewhere", pin("elsewhere")),
    ] {
        let camera = Camera::start(Some(shown), |_, _, wire| stream(wire));
        assert_two_pictures(&settings(camera.https(), trust, false));
    }
}

#[test]
fn certificates_that_are_not_trusted_see_no_request() {
    let other = Trust::Fingerprint([7; 32]);
    for (shown, trust, says) in [
        ("camera", Trust::System, "camera's"),
        ("own", Trust::System, "camera's"),
        ("own", trusted("authority"), "has expired"),
        ("camera", trusted("elsewhere"), "of no trusted authority"),
        ("elsewhere", trusted("authority"), "is for another host"),
        ("own", other, "another than certificate_sha256"),
        ("version-1", trusted("version-1"), "version 3"),
    ] {
        let camera = Camera::start(Some(shown), |_, _, wire| stream(wire));
        let error = refusal(&settings(camera.https(), trust, true));
        let said = error.to_string();
        assert!(said.contains(says) && said.contains(&camera.address.to_string()), "{shown}: {said}");
        assert!(error.is_transient() && !error.is_refusal(), "{said}");
        assert_eq!(camera.requests(), [""; 0], "{shown}: a password may have been in it");
    }
}

#[test]
fn what_was_shown_instead_can_be_compared() {
    let camera = Camera::start(Some("own"), |_, _, wire| stream(wire));
    let said = refusal(&settings(camera.https(), trusted("authority"), false)).to_string();
    let fingerprint: String = Sha256::digest(der("own")).iter().map(|byte| format!("{byte:02x}")).collect();
    let command = format!("openssl s_client -connect {}", camera.address);
    assert!(said.contains(&fingerprint) && said.contains(&command) && said.contains("certificate ="), "{said}");
}

#[test]
fn the_key_must_be_the_certificates() {
    // Shows the pinned certificate, which is public, and holds another key.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("camera.key")).unwrap();
    let certified =
        rustls::sign::CertifiedKey::new(vec![der("own").into()], ring::sign::any_supported_type(&key).unwrap());
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let config = Arc::new(config_of(builder, certified));
    thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        read_head(&mut StreamOwned::new(ServerConnection::new(config).unwrap(), stream))
    });
    let said = refusal(&settings(format!("https://{address}/"), trusted("own"), true)).to_string();
    assert!(said.contains("does not hold the key"), "{said}");
}

#[test]
fn a_port_without_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        hang(&mut stream);
    });
    let said = refusal(&settings(format!("https://{address}/?t0ken"), trusted("own"), true)).to_string();
    assert!(said.contains("does not speak TLS"), "{said}");
}

#[test]
fn a_handshake_that_hangs_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings(format!("https://{}/", listener.local_addr().unwrap()), trusted("own"), true);
    settings.stall_timeout = Duration::from_millis(300);
    let started = Instant::now();
    let said = refusal(&settings).to_string();
    assert!(said.contains("no answer") && started.elapsed() < Duration::from_secs(5), "{said}");
    drop(listener);
}

#[test]
fn a_redirect_never_leaves_tls_nor_takes_the_password_along() {
    let plain = Camera::start(None, |_, _, wire| unauthorized(wire, &["Basic realm=cam"]));
    let to = plain.http();
    let redirect = move |to: String| {
        move |_: usize, _: &str, wire: &mut dyn Wire| {
            say(wire, format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
        }
    };
    let from_tls = Camera::start(Some("own"), redirect(to.clone()));
    let said = refusal(&settings(from_tls.https(), trusted("own"), true)).to_string();
    assert!(said.contains("from https to http"), "{said}");
    assert_eq!(plain.requests(), [""; 0]);

    // To another server: it may be looked at, but is told no password.
    let from_plain = Camera::start(None, redirect(to));
    let said = refusal(&settings(from_plain.http(), Trust::System, true)).to_string();
    assert!(said.contains("redirects to") && said.contains("password"), "{said}");
    assert!(plain.requests().iter().all(|request| !request.to_ascii_lowercase().contains("authorization")));
}

// ---------------------------------------------------------------- logins

/// The parameters of an `Authorization: Digest`.
fn digest_of(request: &str) -> Option<impl Fn(&str) -> String> {
    let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: digest "))?;
    let line = line.to_owned();
    Some(move |name: &str| {
        let at = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 2;
        line[at..].split(", ").next().unwrap().trim_matches('"').to_owned()
    })
}

/// What the response must be, computed a second time.
fn expected(md5: bool, of: &impl Fn(&str) -> String) -> String {
    let hash = |text: String| -> String {
        let bytes = if md5 { Md5::digest(text).to_vec() } else { Sha256::digest(text).to_vec() };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let secret = hash(format!("{USER}:{}:{PASSWORD}", of("realm")));
    let request = hash(format!("GET:{}", of("uri")));
    hash(format!("{secret}:{}:{}:{}:auth:{request}", of("nonce"), of("nc"), of("cnonce")))
}

#[test]
fn digest_by_md5_and_sha_256_over_tls() {
    for (md5, algorithm) in [(true, ""), (true, "algorithm=MD5, "), (false, "algorithm=SHA-256, ")] {
        let challenge = format!("Digest realm=\"IP camera\", {algorithm}nonce=\"n0nce\", qop=\"auth\", opaque=\"x\"");
        let camera = Camera::start(Some("own"), move |_, request, wire| match digest_of(request) {
            Some(of) if of("response") == expected(md5, &of) && of("username") == USER => stream(wire),
            _ => unauthorized(wire, &["Basic realm=\"IP camera\"", &challenge]),
        });
        assert_two_pictures(&settings(camera.https(), trusted("own"), true));
        let requests = camera.requests();
        assert_eq!(requests.len(), 2, "{requests:?}");
        assert!(requests.iter().all(|r| r.starts_with("GET /video?token=t0ken HTTP/1.1\r\n")), "{requests:?}");
        assert!(!requests[0].to_ascii_lowercase().contains("authorization"), "before it was asked for: {requests:?}");
        assert!(!requests[1].contains(PASSWORD) && !requests[1].to_ascii_lowercase().contains("basic"), "{requests:?}");
    }
}

#[test]
fn basic_where_nothing_better_is_asked_for() {
    let camera = Camera::start(Some("own"), |_, request, wire| {
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
        if request.contains(&expected) { stream(wire) } else { unauthorized(wire, &["Basic realm=\"cam\""]) }
    });
    assert_two_pictures(&settings(camera.https(), trusted("own"), true));
}

#[test]
fn a_wrong_password_is_tried_once_and_is_told_apart() {
    for challenge in ["Basic realm=cam", "Digest realm=cam, nonce=1, qop=auth"] {
        let camera = Camera::start(None, move |_, _, wire| unauthorized(wire, &[challenge]));
        let error = refusal(&settings(camera.http(), Trust::System, true));
        let said = error.to_string();
        assert!(error.is_refusal() && error.is_transient() && said.contains("check user and password"), "{said}");
        assert_eq!(camera.requests().len(), 2);
    }
    // Without one it says which keys to set; where none is of use, which way of logging in to choose.
    let camera = Camera::start(None, |_, _, wire| unauthorized(wire, &["NTLM"]));
    let error = refusal(&settings(camera.http(), Trust::System, false));
    assert!(error.is_refusal() && error.to_string().contains("password_file"), "{error}");
    let error = refusal(&settings(camera.http(), Trust::System, true));
    assert!(
        error.is_refusal() && error.to_string().contains("NTLM") && error.to_string().contains("Digest"),
        "{error}"
    );
    for status in ["403 Forbidden", "423 Locked", "429 Too Many Requests"] {
        let camera = Camera::start(None, move |_, _, wire| {
            say(wire, format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        });
        assert!(refusal(&settings(camera.http(), Trust::System, true)).is_refusal(), "{status}");
    }
}

// ---------------------------------------------------------------- connections that break

#[test]
fn a_stream_that_breaks_off_is_an_error_that_passes() {
    let half = || [STREAM.as_bytes(), &part(), &part()[..3000]].concat();
    for tls in [None, Some("own")] {
        let camera = Camera::start(tls, move |_, _, wire| say(wire, half()));
        let address = if tls.is_some() { camera.https() } else { camera.http() };
        let trust = if tls.is_some() { trusted("own") } else { Trust::System };
        let mut source = start(&settings(address, trust, false)).unwrap_or_else(|e| panic!("{e}"));
        assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
        let error = loop {
            match source.receive() {
                Ok(Received::Corrupt { .. }) => {}
                Ok(other) => panic!("{other:?}"),
                Err(e) => break e,
            }
        };
        assert!(error.is_transient() && !error.is_refusal(), "{error}");
    }
}

#[test]
fn a_reset_in_the_middle_of_a_part_is_an_error_that_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream: TcpStream = listener.accept().unwrap().0;
        // What is not read when a socket is closed makes the close a reset.
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(&[STREAM.as_bytes(), &part()[..3000]].concat()).unwrap();
        thread::sleep(Duration::from_millis(100));
    });
    let mut source =
        start(&settings(format!("http://{address}/"), Trust::System, false)).unwrap_or_else(|e| panic!("{e}"));
    let error = loop {
        match source.receive() {
            Ok(Received::Corrupt { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(e) => break e,
        }
    };
    // Which of both is the client library's business.
    assert!(matches!(error, CaptureError::Read { .. } | CaptureError::Ended { .. }), "{error}");
}

#[test]
fn a_camera_that_falls_silent_in_tls_is_stalled() {
    let camera = Camera::start(Some("own"), |_, _, wire| stream(wire));
    let mut settings = settings(camera.https(), trusted("own"), false);
    settings.stall_timeout = Duration::from_millis(500);
    let mut source = start(&settings).unwrap_or_else(|e| panic!("{e}"));
    for _ in 0..2 {
        assert!(matches!(source.receive().unwrap(), Received::Picture { .. }));
    }
    assert!(matches!(source.receive(), Err(CaptureError::Stalled { .. })));
}

// ---------------------------------------------------------------- the program

/// Everything a password could be recognised by.
fn disguises() -> Vec<String> {
    let percent = "s3cret%2Fof%3Athe%20door".to_owned();
    let pair = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    vec![PASSWORD.into(), percent, pair, BASE64_STANDARD.encode(PASSWORD), "s3cret".into(), "t0ken".into()]
}

/// Runs `doorward run` with all its log until `done` says so of what it said.
fn run_until(folder: &Path, source: &str, done: impl Fn(&str) -> bool) -> String {
    let gallery = folder.join("gallery");
    let program = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.args(arguments).arg("--gallery").arg(&gallery).env_remove("STATE_DIRECTORY").env_remove("RUST_LOG");
        command
    };
    if !gallery.exists() {
        let photo = "demo/enrol/Barack Obama/2009.jpg";
        assert!(program(&["enrol", "Somebody", photo]).output().unwrap().status.success());
    }
    let config = folder.join("door.toml");
    fs::write(&config, format!("[source]\n{source}\n[supervision]\nmin_backoff_ms = 20\nmax_backoff_ms = 40\n"))
        .unwrap();
    let log = folder.join("log");
    let mut child = program(&["run", "--config", config.to_str().unwrap()])
        .env("CREDENTIALS_DIRECTORY", folder)
        .env("RUST_LOG", "trace")
        .stdout(fs::File::create(folder.join("events")).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) && !done(&fs::read_to_string(&log).unwrap()) {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    if child.try_wait().unwrap().is_none() {
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    }
    child.wait().unwrap();
    let said = fs::read_to_string(&log).unwrap() + &fs::read_to_string(folder.join("events")).unwrap();
    assert!(done(&said), "{said}");
    for secret in disguises() {
        assert!(!said.contains(&secret), "{secret} in {said}");
    }
    said
}

#[test]
fn the_program_reconnects_and_tells_no_secret_at_any_level() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("camera-password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();

    // Digest, Basic, a wrong password; each connection ends after a picture.
    let camera = Camera::start(Some("own"), |number, request, wire| {
        let login = request.to_ascii_lowercase().contains("authorization");
        match (number, login) {
            (0..=1, false) => unauthorized(wire, &["Digest realm=cam, nonce=1, qop=auth"]),
            (2..=3, false) => unauthorized(wire, &["Basic realm=cam"]),
            (0..=3, true) => say(wire, [STREAM.as_bytes(), &part()].concat()),
            _ => unauthorized(wire, &["Basic realm=cam"]),
        }
    });
    let own = fs::canonicalize("tests/tls/own.pem").unwrap();
    let source = |login: &str| format!("http = '{}'\ncertificate = '{}'\n{login}", camera.https(), own.display());
    let file = format!("user = '{USER}'\npassword_file = '{}'", password.display());
    let patient = |said: &str| said.contains("opening it again in 30000 ms");
    let said = run_until(folder.path(), &source(&file), patient);
    assert!(said.contains("check user and password") && said.contains("TRACE"), "{said}");
    assert_eq!(camera.requests().len(), 6, "two that work, and one that does not, are two requests each");

    // The credential, and a user in the address over http://, which is said once.
    let said = run_until(folder.path(), &source(&format!("user = '{USER}'")), patient);
    assert!(!said.contains("over http://"), "{said}");
    let plain = Camera::start(None, |_, request, wire| match request.to_ascii_lowercase().contains("authorization") {
        true => say(wire, [STREAM.as_bytes(), &part()].concat()),
        false => unauthorized(wire, &["Basic realm=cam"]),
    });
    let inside = plain.http().replace("http://", &format!("http://{USER}:s3cret%2Fof%3Athe%20door@"));
    let said =
        run_until(folder.path(), &format!("http = '{inside}'"), |said| said.matches("opening it again").count() > 2);
    assert_eq!(said.matches("over http://").count(), 1, "{said}");
    let pair = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    assert!(plain.requests().iter().any(|request| request.contains(&pair)), "else this tests nothing");
}

#[test]
fn the_program_refuses_a_password_or_certificate_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, PASSWORD).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let login = format!("http = 'https://cam/?t0ken'\nuser = '{USER}'\n");
    let file = format!("{login}password_file = '{}'", password.display());
    run_until(folder.path(), &file, |said| said.contains("chmod 640"));
    run_until(folder.path(), &login, |said| said.contains("source.password_file is missing"));
    let none = "http = 'https://cam/'\ncertificate = 'Cargo.toml'";
    run_until(folder.path(), none, |said| said.contains("holds no certificate"));
    let typo = format!("http = \"https://{USER}:{PASSWORD}@cam/");
    run_until(folder.path(), &typo, |said| said.contains("https://..."));
}

#[test]
fn no_setting_shows_its_secrets() {
    let inside = "[source]\nhttp = 'https://door:s3cret%2Fof%3Athe%20door@cam/video?token=t0ken'";
    let config = Config::parse(inside).unwrap();
    let known = settings("https://cam/?token=t0ken".into(), Trust::System, true);
    let said = format!("{config:?} {known:?}");
    for secret in disguises() {
        assert!(!said.contains(&secret), "{said}");
    }
    assert!(said.contains(USER), "else this tests nothing: {said}");
}
