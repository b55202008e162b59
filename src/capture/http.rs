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

use base64::{Engine, prelude::BASE64_STANDARD};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use image::RgbImage;
use ureq::{Agent, http::Uri};

use super::{
    CaptureError,
    framing::{Framing, Part},
    mjpeg_split::MjpegSplitter,
    multipart::MultipartSplitter,
    parts::Parts,
    source::FrameSource,
    stop::StopSignal,
    stream::{ByteStream, Chunk},
};

const CHUNK_BYTES: usize = 64 << 10;
/// Chunks on their way from the thread; more would only make frames older.
const CHUNKS: usize = 2;
const EXPECTED: &str = "an address that serves MJPEG (multipart/x-mixed-replace)";

/// Connects, checks the answer, and leaves the stream running.
pub(super) fn open(url: &str, parts: &Parts) -> Result<Box<dyn FrameSource>, CaptureError> {
    let address = Address::parse(url)?;
    let place = address.place.clone();
    let timeout = parts.stall_timeout.unwrap_or(Duration::from_secs(5));
    let agent = Agent::config_builder()
        // A camera is on the local net; a proxy set for the web would only be in the way.
        .proxy(None)
        .max_redirects(3)
        .timeout_resolve(Some(timeout))
        .timeout_connect(Some(timeout))
        .build()
        .new_agent();
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
        recv(head) -> answer => match answer {
            Ok(Ok(content_type)) => content_type,
            Ok(Err(why)) => return Err(CaptureError::Http { place, why }),
            Err(_) => return Err(CaptureError::Http { place, why: "the connection was lost".into() }),
        },
        recv(parts.stop.receiver()) -> _ => return Err(CaptureError::Stopped { place }),
        default(timeout) => {
            let why = format!("no answer within {} ms; is it the camera's address?", timeout.as_millis());
            return Err(CaptureError::Http { place, why });
        }
    };
    let framing = HttpFraming::of(&content_type).map_err(|why| CaptureError::Http { place: place.clone(), why })?;
    Ok(Box::new(parts.stream(place, bytes, framing, EXPECTED)))
}

/// An address taken apart, so that no message can show the secrets in it.
struct Address {
    uri: Uri,
    authorization: Option<String>,
    /// The address without user, password and query.
    place: String,
}

impl Address {
    fn parse(url: &str) -> Result<Self, CaptureError> {
        let refuse = |place: &str, why: &str| CaptureError::Format { place: place.into(), why: why.into() };
        let malformed = || refuse("http", "not an address; write http://host:port/path");
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(malformed()) };
        let (user, host) = match authority.as_str().rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority.as_str()),
        };
        let place = format!("{scheme}://{host}{}", uri.path());
        if scheme != "http" {
            return Err(refuse(
                &place,
                "TLS is not built in yet; use the camera's http:// address on a net of its own",
            ));
        }
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let bare = Uri::builder().scheme("http").authority(host).path_and_query(path).build();
        // The user and the password are percent-encoded apart: either may hold a colon.
        let decoded = |s: &str| percent_encoding::percent_decode_str(s).collect::<Vec<u8>>();
        let authorization = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let pair = [decoded(name), b":".to_vec(), decoded(password)].concat();
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        });
        Ok(Self { uri: bare.map_err(|_| malformed())?, authorization, place })
    }
}

type Answer = Result<String, String>;
type Piece = Result<Vec<u8>, std::io::Error>;

/// Runs on its own thread until the server or the source ends the stream.
fn pump(agent: &Agent, address: &Address, head: &Sender<Answer>, chunks: &Sender<Piece>) {
    let mut request = agent.get(&address.uri);
    if let Some(authorization) = &address.authorization {
        request = request.header("Authorization", authorization);
    }
    // A failed send means that the source is gone: nobody is left to tell.
    let response = match request.call() {
        Ok(response) => response,
        Err(e) => {
            let _ = head.send(Err(explain(&e)));
            return;
        }
    };
    let content_type = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("");
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

/// What went wrong, in words that cannot hold the address.
fn explain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status @ (401 | 403)) => {
            format!("refused with status {status}; check user and password: http://user:password@host/path")
        }
        ureq::Error::StatusCode(status) => format!("answered status {status}; check the path of the address"),
        ureq::Error::HostNotFound => "no such host; check the name, or give the IP address".into(),
        ureq::Error::Timeout(_) => "no answer in time; is it the camera's address?".into(),
        ureq::Error::Io(e) => format!("cannot connect: {e}; is the camera on, and is it its address?"),
        ureq::Error::TlsRequired | ureq::Error::Tls(_) => "it redirects to https, and TLS is not built in yet".into(),
        ureq::Error::TooManyRedirects => "it redirects again and again".into(),
        ureq::Error::Protocol(e) => format!("it does not speak HTTP as it should: {e}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_its_secrets_stay_out_of_its_name() {
        let address = Address::parse("http://door:p%40ss%3A1@cam.local:8080/video?token=abc").unwrap();
        assert_eq!(address.place, "http://cam.local:8080/video");
        assert_eq!(address.uri.to_string(), "http://cam.local:8080/video?token=abc");
        assert_eq!(address.authorization.unwrap(), format!("Basic {}", BASE64_STANDARD.encode("door:p@ss:1")));
        for bad in ["http://door:secret@/x", "http://a b:secret@c/", "secret", "https://door:secret@cam/?secret"] {
            let said = Address::parse(bad).map(|a| a.place).unwrap_err().to_string();
            assert!(!said.contains("secret"), "{said}");
        }
        assert!(Address::parse("https://cam/").map(|a| a.place).unwrap_err().to_string().contains("TLS"));
    }
}
