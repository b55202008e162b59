//! TLS by rustls: which certificate a camera may show, and the connection as ureq wants it.
//!
//! Why a certificate that is named as it stands need not fit the address nor the date is told in ADR 16.

use std::{
    error::Error,
    fmt,
    io::{self, Read, Write},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme, StreamOwned,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest, Sha256};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::authorization::hex;
use crate::config::Trust;

/// Wraps connections to `https://` in TLS.
#[derive(Debug)]
pub(super) struct TlsConnector {
    /// `None` where the address is plain `http://`.
    config: Option<Arc<ClientConfig>>,
}

impl TlsConnector {
    /// For addresses without TLS.
    pub(super) fn none() -> Self {
        Self { config: None }
    }

    /// For a camera that shows a certificate to be trusted; `server` is its host and port.
    ///
    /// # Errors
    /// Says why nothing could be trusted, and the remedy.
    pub(super) fn new(trust: &Trust, server: String) -> Result<Self, String> {
        let provider = ring::default_provider();
        let verifier = Verifier::new(trust, server, provider.signature_verification_algorithms)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // One connection for as long as it lasts.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Some(Arc::new(config)) })
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport<In>>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        let Some(config) = self.config.as_ref().filter(|_| details.needs_tls()) else {
            return Ok(Some(Either::A(transport)));
        };
        let host = details.uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ureq::Error::Tls("no certificate can be for this host; write its name or its IP address"))?;
        let mut connection = ClientConnection::new(config.clone(), name).map_err(|e| in_words(&e))?;
        let mut socket = TransportAdapter::new(transport, details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket).map_err(|error| match error.downcast::<rustls::Error>() {
            Ok(error) => in_words(&error),
            Err(error) => error.into(),
        })?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned { conn: connection, sock: socket } })))
    }
}

/// Why no connection came about, and the remedy.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failed {}

fn in_words(error: &rustls::Error) -> ureq::Error {
    let why = match error {
        // The verifier's own words.
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why))) if why.is::<Failed>() => {
            why.to_string()
        }
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            "it does not hold the key of the certificate that it shows: is somebody in between?".into()
        }
        rustls::Error::InvalidCertificate(e) => format!(
            "its certificate cannot be used: {e}; let the camera make a new one (version 3, RSA of 2048 bits or P-256)"
        ),
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS at this port; check the port, or write http://".into()
        }
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) => {
            format!("no TLS 1.2 or 1.3 with it: {error}; update the camera's firmware")
        }
        _ => format!("TLS failed: {error}"),
    };
    ureq::Error::Other(Box::new(Failed(why)))
}

/// Trusts what the settings say and nothing else; there is no way to trust everything.
#[derive(Debug)]
struct Verifier {
    /// Host and port, for the remedy.
    server: String,
    /// SHA-256 of certificates that are trusted as they stand, whatever name and dates they hold.
    pinned: Vec<[u8; 32]>,
    /// Authorities, for the host's name and within their dates.
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn new(trust: &Trust, server: String, algorithms: WebPkiSupportedAlgorithms) -> Result<Self, String> {
        let mut verifier = Self { server, pinned: Vec::new(), roots: RootCertStore::empty(), algorithms };
        match trust {
            Trust::Fingerprint(sha256) => verifier.pinned.push(*sha256),
            Trust::Certificates { der, .. } => {
                verifier.pinned.extend(der.iter().map(|der| <[u8; 32]>::from(Sha256::digest(der))));
                // One that is no authority still counts as it stands.
                verifier.roots.add_parsable_certificates(der.iter().map(|der| CertificateDer::from_slice(der)));
            }
            Trust::System => {
                let system = rustls_native_certs::load_native_certs().certs;
                if verifier.roots.add_parsable_certificates(system).0 == 0 {
                    return Err("this system knows no authorities; install the package ca-certificates, or name \
                                the camera's certificate: certificate = \"FILE\" in [source]"
                        .into());
                }
            }
        }
        Ok(verifier)
    }

    fn verify_chain(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(shown)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all)?;
        verify_server_name(&parsed, name)
    }

    /// In words, with the fingerprint to compare.
    fn distrust(&self, shown: &CertificateDer<'_>, error: &rustls::Error) -> rustls::Error {
        let fingerprint = hex(&Sha256::digest(shown));
        let why = match error {
            _ if self.roots.is_empty() => "is another than certificate_sha256 in [source] names",
            rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                "has expired, or this machine's clock is ahead"
            }
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            ) => "is not valid yet: is this machine's clock right?",
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => "is for another host",
            _ => "is of no trusted authority",
        };
        let why = format!(
            "its certificate {why}. If it is the camera's own, get it over a cable or a network that you trust: openssl s_client \
             -connect {} </dev/null | openssl x509 > camera.pem, and name it in [source]: certificate = \
             \"/etc/doorward/camera.pem\". The SHA-256 of what was shown now is {fingerprint}",
            self.server
        );
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Failed(why)))))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = <[u8; 32]>::from(Sha256::digest(shown));
        if !self.pinned.contains(&fingerprint) {
            self.verify_chain(shown, intermediates, name, now).map_err(|e| self.distrust(shown, &e))?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // That the camera holds the certificate's key is proved by these, also for one that is trusted as it stands.

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, shown, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, shown, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// HTTP inside TLS.
pub(super) struct TlsTransport<In: Transport> {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter<In>>,
}

impl<In: Transport> Transport for TlsTransport<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let read = match self.stream.read(self.buffers.input_append_buf()) {
            // Many cameras close without TLS's goodbye. The framing knows what was cut.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl<In: Transport> fmt::Debug for TlsTransport<In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}
