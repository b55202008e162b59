//! MJPEG over HTTP, as IP cameras serve it (`multipart/x-mixed-replace`).
//!
//! Resolving, connecting and reading block without an end that could be relied on. They run on a
//! thread of their own, which hands chunks over a short channel; the source waits on that channel
//! together with the stop. Dropping the source shuts the connection down, which wakes the thread.

use std::{
    io::Read,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use image::RgbImage;
use ureq::{
    Agent, Body, ResponseExt,
    http::{
        HeaderValue, Response, StatusCode, Uri,
        header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    unversioned::{
        resolver::DefaultResolver,
        transport::{Connector, TcpConnector},
    },
};

use super::{
    CaptureError,
    address::{Address, place_of},
    authorization::{Credentials, hex},
    framing::{Framing, Part},
    mjpeg_split::MjpegSplitter,
    multipart::MultipartSplitter,
    parts::Parts,
    source::FrameSource,
    stop::StopSignal,
    stream::{ByteStream, Chunk},
    tls::TlsConnector,
};
use crate::config::{HttpSettings, Login, Password};

const CHUNK_BYTES: usize = 64 << 10;
/// Chunks on their way from the thread; more would only make frames older.
const CHUNKS: usize = 2;
const EXPECTED: &str = "an address that serves MJPEG (multipart/x-mixed-replace)";

/// Connects, checks the answer, and leaves the stream running.
pub(super) fn open(settings: &HttpSettings, parts: &Parts) -> Result<Box<dyn FrameSource>, CaptureError> {
    let mut address = Address::parse(&settings.address)?;
    let place = address.place.clone();
    let http = |why: String| CaptureError::Http { place: place.clone(), why };
    if let Some(login) = &settings.login {
        address.credentials = Some(credentials(login).map_err(http)?);
    }
    let tls = if address.is_tls() {
        TlsConnector::new(&settings.trust, address.server()).map_err(http)?
    } else {
        TlsConnector::none()
    };
    let timeout = parts.stall_timeout.unwrap_or(Duration::from_secs(5));
    let config = Agent::config_builder()
        // A camera is on the local net; a proxy set for the web would only be in the way.
        .proxy(None)
        .max_redirects(3)
        .https_only(address.is_tls())
        // What a refusal asks for stands in its head.
        .http_status_as_error(false)
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .build();
    let agent = Agent::with_parts(config, ().chain(TcpConnector::default()).chain(tls), DefaultResolver::default());
    let (head_to, head) = bounded(1);
    let (chunks_to, chunks) = bounded(CHUNKS);
    let bytes = HttpBytes {
        place: place.clone(),
        agent: Some(agent.clone()),
        chunks,
        current: Vec::new(),
        stop: parts.stop.clone(),
    };
    thread::Builder::new()
        .name("capture-http".into())
        .spawn(move || pump(&agent, &address, &head_to, &chunks_to))
        .map_err(|source| CaptureError::Open { place: place.clone(), source })?;
    let content_type = select! {
        recv(head) -> answer => answer.map_err(|_| http("the connection was lost".into()))??,
        recv(parts.stop.receiver()) -> _ => return Err(CaptureError::Stopped { place: place.clone() }),
        default(timeout) => {
            return Err(http(format!("no answer within {} ms; is it the camera's address?", timeout.as_millis())));
        }
    };
    let framing = HttpFraming::of(&content_type).map_err(http)?;
    Ok(Box::new(parts.stream(place, bytes, framing, EXPECTED)))
}

fn credentials(login: &Login) -> Result<Credentials, String> {
    match &login.password {
        Password::Known(password) => Ok(Credentials { user: login.user.clone(), password: password.clone() }),
        Password::File(_) | Password::Credential => Err("its password was not read".into()),
    }
}

type Answer = Result<String, CaptureError>;
type Piece = Result<Vec<u8>, std::io::Error>;

/// Runs on its own thread until the server or the source ends the stream.
fn pump(agent: &Agent, address: &Address, head: &Sender<Answer>, chunks: &Sender<Piece>) {
    // A failed send means that the source is gone: nobody is left to tell.
    let response = match ask(agent, address) {
        Ok(response) => response,
        Err(e) => {
            let _ = head.send(Err(e));
            return;
        }
    };
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if head.send(Ok(content_type.to_owned())).is_err() {
        return;
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let piece = match body.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                chunk.truncate(n);
                Ok(chunk)
            }
            Err(e) => Err(e),
        };
        let last = piece.is_err();
        if chunks.send(piece).is_err() || last {
            return;
        }
    }
}

/// Asks for the stream, and logs in when the camera wants that.
fn ask(agent: &Agent, address: &Address) -> Result<Response<Body>, CaptureError> {
    let place = || address.place.clone();
    let http = |why: String| CaptureError::Http { place: place(), why };
    let refused = |why: String| CaptureError::Refused { place: place(), why };
    let get = |uri: &Uri, authorization: Option<HeaderValue>| {
        let request = agent.get(uri);
        let request = match authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        request.call().map_err(|e| http(explain(&e)))
    };
    let mut response = get(&address.uri, None)?;
    let mut advice = "it wants a user and a password; set user and password_file in [source]";
    if let (StatusCode::UNAUTHORIZED, Some(credentials)) = (response.status(), &address.credentials) {
        let uri = response.get_uri().clone();
        if !address.is_same_server(&uri) {
            let to = place_of(&uri);
            return Err(http(format!(
                "redirects to {to}, which asks for a password; write that address if it is the camera's"
            )));
        }
        let offered = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let client_nonce = random_nonce().map_err(|e| http(format!("no random numbers: {e}")))?;
        let answer = credentials.answer(offered, target, &client_nonce).map_err(refused)?;
        let mut answer = HeaderValue::from_bytes(answer.as_bytes())
            .map_err(|_| http("its user or realm cannot be sent by HTTP: there is a control character in it".into()))?;
        answer.set_sensitive(true);
        // Some cameras serve one connection at a time.
        drop(response);
        response = get(&uri, Some(answer))?;
        advice = "check user and password; many cameras lock an account after a few wrong ones";
    }
    match response.status() {
        status if status.is_success() => Ok(response),
        // The last two: locked, and asked too often.
        status @ (StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::LOCKED
        | StatusCode::TOO_MANY_REQUESTS) => Err(refused(format!("refused with status {}; {advice}", status.as_u16()))),
        status => Err(http(format!("answered status {}; check the path of the address", status.as_u16()))),
    }
}

fn random_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

/// What went wrong, in words that cannot hold the address.
fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "no such host; check the name, or give the IP address".into(),
        ureq::Error::Timeout(_) => "no answer in time; is it the camera's address?".into(),
        ureq::Error::Io(e) => format!("cannot connect: {e}; is the camera on, and is it its address?"),
        ureq::Error::TlsRequired => "it redirects to https; write the https:// address it is reached at".into(),
        ureq::Error::RequireHttpsOnly(_) => "it redirects from https to http, which is not followed".into(),
        ureq::Error::TooManyRedirects => "it redirects again and again".into(),
        ureq::Error::Protocol(e) => format!("it does not speak HTTP as it should: {e}"),
        ureq::Error::Tls(why) => (*why).into(),
        // The words of tls.rs.
        ureq::Error::Other(why) => why.to_string(),
        _ => "the request failed".into(),
    }
}

struct HttpBytes {
    place: String,
    /// Until the drop, which consumes it.
    agent: Option<Agent>,
    chunks: Receiver<Piece>,
    current: Vec<u8>,
    stop: StopSignal,
}

impl ByteStream for HttpBytes {
    fn next_chunk(&mut self, deadline: Option<Instant>) -> Result<Chunk<'_>, CaptureError> {
        // Not left to select!, which picks at random when both are ready.
        if self.stop.is_stopped() {
            return Ok(Chunk::Stopped);
        }
        let wait = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
        let piece = select! {
            recv(self.chunks) -> piece => piece.map_err(|_| RecvTimeoutError::Disconnected),
            recv(self.stop.receiver()) -> _ => return Ok(Chunk::Stopped),
            default(wait) => Err(RecvTimeoutError::Timeout),
        };
        match piece {
            Ok(Ok(bytes)) => {
                self.current = bytes;
                Ok(Chunk::Bytes(&self.current))
            }
            Ok(Err(source)) => Err(CaptureError::Read { place: self.place.clone(), source }),
            Err(RecvTimeoutError::Timeout) => Ok(Chunk::Late),
            Err(RecvTimeoutError::Disconnected) => Ok(Chunk::End),
        }
    }

    fn ended(&mut self) -> Result<(), CaptureError> {
        Err(CaptureError::Ended { place: self.place.clone(), how: "the server closed the stream".into() })
    }
}

impl Drop for HttpBytes {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown();
        }
    }
}

/// Parts where the server names a boundary, bare JPEGs where it forgot to.
enum HttpFraming {
    Parts(MultipartSplitter),
    Bare(MjpegSplitter),
}

impl HttpFraming {
    fn of(content_type: &str) -> Result<Self, String> {
        let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if !kind.starts_with("multipart/") {
            let hint = if kind.starts_with("image/") { "a single picture" } else { "no stream of pictures" };
            return Err(format!("serves {hint} ({kind:?}); give {EXPECTED}"));
        }
        Ok(match MultipartSplitter::boundary(content_type).and_then(MultipartSplitter::new) {
            Some(parts) => Self::Parts(parts),
            None => Self::Bare(MjpegSplitter::new()),
        })
    }

    fn either(&mut self) -> &mut dyn Framing {
        match self {
            Self::Parts(parts) => parts,
            Self::Bare(bare) => bare,
        }
    }
}

impl Framing for HttpFraming {
    fn push(&mut self, bytes: &[u8]) {
        self.either().push(bytes);
    }

    fn next_part(&mut self) -> Result<Option<Part>, String> {
        self.either().next_part()
    }

    fn finish(&mut self) -> Option<Part> {
        self.either().finish()
    }

    fn decode(&self, frame: &[u8]) -> Result<RgbImage, String> {
        match self {
            Self::Parts(parts) => parts.decode(frame),
            Self::Bare(bare) => bare.decode(frame),
        }
    }
}
