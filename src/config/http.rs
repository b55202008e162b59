//! An IP camera: its address, who asks, and which certificates are trusted.

use std::{
    fmt,
    fs::File,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use zeroize::Zeroizing;

use super::ConfigError;

/// Name of the credential that holds the password.
const CREDENTIAL: &str = "camera-password";
/// More than any password, and than any certificate with its chain.
const MAX_PASSWORD_BYTES: u64 = 1 << 10;
const MAX_CERTIFICATE_BYTES: u64 = 1 << 20;

/// Where an IP camera is, and how it is spoken to.
#[derive(Clone, PartialEq)]
pub struct HttpSettings {
    /// An `http://` or `https://` address. It may hold a user and a password, percent-encoded.
    pub address: String,
    /// Who asks; `None` for those in the address, or nobody.
    pub login: Option<Login>,
    /// Which certificates are trusted over https.
    pub trust: Trust,
}

/// A user of the camera.
#[derive(Clone, PartialEq)]
pub struct Login {
    /// Name.
    pub user: String,
    /// Password, or where it is.
    pub password: Password,
}

/// A password, or where it is.
#[derive(Clone, PartialEq)]
pub enum Password {
    /// In this file, nothing else in it but a newline at the end.
    File(PathBuf),
    /// In the credential `camera-password` of the service manager.
    Credential,
    /// Read.
    Known(Zeroizing<String>),
}

/// Which certificate a camera may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// One that the system's authorities vouch for, for the host of the address.
    System,
    /// One of these as it stands, or one that one of these vouches for, for the host of the address.
    Certificates {
        /// Where they are: PEM, or one in DER.
        path: PathBuf,
        /// In DER; none before they are read.
        der: Vec<Vec<u8>>,
    },
    /// The one with this SHA-256, as it stands.
    Fingerprint([u8; 32]),
}

/// The keys of `[source]` that go with `http`.
pub(super) struct Demanded {
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) certificate_sha256: Option<String>,
}

impl Demanded {
    /// The first key that was set.
    pub(super) fn first_key(&self) -> Option<&'static str> {
        let set = [
            (self.user.is_some(), "source.user"),
            (self.password_file.is_some(), "source.password_file"),
            (self.certificate.is_some(), "source.certificate"),
            (self.certificate_sha256.is_some(), "source.certificate_sha256"),
        ];
        set.into_iter().find_map(|(set, key)| set.then_some(key))
    }
}

impl HttpSettings {
    /// An address, with nothing said beside it.
    pub fn new(address: String) -> Self {
        Self { address, login: None, trust: Trust::System }
    }

    /// Whether a user and a password cross the network without TLS.
    pub fn exposes_login(&self) -> bool {
        self.address.starts_with("http://") && (self.login.is_some() || self.has_login_inside())
    }

    fn has_login_inside(&self) -> bool {
        let after = self.address.split_once("://").map_or("", |(_, after)| after);
        after.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
    }

    pub(super) fn from_raw(address: String, demanded: Demanded) -> Result<Self, ConfigError> {
        let surplus = |key: &str, why: &str| Err(ConfigError::Surplus { key: key.into(), why: why.into() });
        let is_tls = address.starts_with("https://");
        if !is_tls && !address.starts_with("http://") {
            // No more of it than its scheme: the rest may hold a password.
            let shown = address.split_once("://").map_or("...".to_owned(), |(scheme, _)| format!("{scheme}://..."));
            return Err(ConfigError::value("source.http", shown, "an address that starts with http:// or https://"));
        }
        let mut http = Self::new(address);
        let Demanded { user, password_file, certificate, certificate_sha256 } = demanded;
        http.login = match (user, password_file) {
            (Some(_), _) if http.has_login_inside() => {
                return surplus("source.user", "the address names a user already; take it out there");
            }
            (Some(user), _) if user.is_empty() || user.chars().any(|c| c == ':' || c.is_control()) => {
                return Err(ConfigError::value("source.user", format!("{user:?}"), "a name without colon"));
            }
            (Some(user), Some(path)) => Some(Login { user, password: Password::File(path) }),
            (Some(user), None) => Some(Login { user, password: Password::Credential }),
            (None, Some(_)) => {
                let remedy = "say whose password it is".into();
                return Err(ConfigError::Missing { key: "source.user".into(), remedy });
            }
            (None, None) => None,
        };
        let plain = "http:// knows no certificates; write https://";
        http.trust = match (certificate, certificate_sha256) {
            (Some(_), _) if !is_tls => return surplus("source.certificate", plain),
            (_, Some(_)) if !is_tls => return surplus("source.certificate_sha256", plain),
            (Some(_), Some(_)) => {
                return surplus("source.certificate_sha256", "source.certificate says what is trusted");
            }
            (Some(path), None) => Trust::Certificates { path, der: Vec::new() },
            (None, Some(digits)) => Trust::Fingerprint(fingerprint(&digits).ok_or_else(|| {
                let allowed = "64 hexadecimal digits, with or without colons";
                ConfigError::value("source.certificate_sha256", format!("{digits:?}"), allowed)
            })?),
            (None, None) => Trust::System,
        };
        Ok(http)
    }

    pub(super) fn read_files(&mut self, credentials: Option<&Path>) -> Result<(), ConfigError> {
        if let Some(login) = &mut self.login {
            login.password.read(credentials)?;
        }
        if let Trust::Certificates { path, der } = &mut self.trust {
            *der = read_certificates(path)?;
        }
        Ok(())
    }
}

impl Password {
    fn read(&mut self, credentials: Option<&Path>) -> Result<(), ConfigError> {
        let key = "source.password_file";
        let path = match self {
            Self::Known(_) => return Ok(()),
            Self::File(path) => path.clone(),
            Self::Credential => {
                credentials.map(|dir| dir.join(CREDENTIAL)).filter(|path| path.exists()).ok_or_else(|| {
                    let remedy =
                        format!("name the file with the user's password, or hand over the credential {CREDENTIAL}");
                    ConfigError::Missing { key: key.into(), remedy }
                })?
            }
        };
        let refuse = |why: String| ConfigError::File { key: key.into(), path: path.clone(), why };
        let file = File::open(&path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
        let mode = file.metadata().map_err(|e| refuse(format!("cannot be read: {e}")))?.permissions().mode() & 0o7777;
        // The group may read: the service's, where root keeps the file, and the access list of a credential shows as one.
        if mode & 0o027 != 0 {
            return Err(refuse(format!("others may read or change it (mode {mode:o}); chmod 640 it, or 600")));
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_PASSWORD_BYTES as usize + 1));
        file.take(MAX_PASSWORD_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|e| refuse(format!("is no password: {e}")))?;
        let password = text.strip_suffix('\n').unwrap_or(&text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        if text.len() as u64 > MAX_PASSWORD_BYTES || password.contains(char::is_control) {
            return Err(refuse("is no password: it must be one line, with nothing else in the file".into()));
        }
        *self = Self::Known(Zeroizing::new(password.to_owned()));
        Ok(())
    }
}

fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, ConfigError> {
    let refuse = |why: String| ConfigError::File { key: "source.certificate".into(), path: path.into(), why };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CERTIFICATE_BYTES).read_to_end(&mut bytes))
        .map_err(|e| refuse(format!("cannot be read: {e}")))?;
    // DER begins with a sequence; PEM is text.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![bytes]);
    }
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&bytes).map(|one| one.map(|der| der.to_vec())).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(refuse("holds no certificate; write one in PEM (-----BEGIN CERTIFICATE-----)".into())),
    }
}

/// As openssl and cameras' own pages print it.
fn fingerprint(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        digits.chars().filter(|&c| c != ':').map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

impl fmt::Debug for HttpSettings {
    /// Without the address, which may hold a password and a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("login", &self.login).field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("password", &self.password).finish()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Credential => f.write_str("Credential"),
            Self::Known(_) => f.write_str("Known(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn parse(address: &str, keys: [Option<&str>; 4]) -> Result<HttpSettings, ConfigError> {
        let [user, password_file, certificate, certificate_sha256] = keys.map(|key| key.map(str::to_owned));
        let (password_file, certificate) = (password_file.map(PathBuf::from), certificate.map(PathBuf::from));
        HttpSettings::from_raw(address.into(), Demanded { user, password_file, certificate, certificate_sha256 })
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_its_key() {
        let digits = "ab".repeat(32);
        for (address, keys, says) in [
            ("http://a:b@cam/", [Some("door"), None, None, None], "source.user has no meaning"),
            ("http://cam/", [Some("do:or"), None, None, None], "source.user"),
            ("http://cam/", [None, Some("file"), None, None], "source.user is missing"),
            ("http://cam/", [None, None, Some("cam.pem"), None], "https://"),
            ("http://cam/", [None, None, None, Some(digits.as_str())], "https://"),
            ("https://cam/", [None, None, Some("cam.pem"), Some(digits.as_str())], "source.certificate says"),
            ("https://cam/", [None, None, None, Some("ab:cd")], "64 hexadecimal"),
            ("htps://door:secret@cam/", [None; 4], "htps://..."),
            ("door:secret@cam", [None; 4], "source.http = ..."),
        ] {
            let said = parse(address, keys).unwrap_err().to_string();
            assert!(said.contains(says) && !said.contains("secret"), "{said}");
        }
        assert!(parse("https://cam/?at=a@b", [Some("door"), None, None, None]).is_ok());
    }

    #[test]
    fn a_login_is_exposed_without_tls_only() {
        let says = |address, user| parse(address, [user, None, None, None]).unwrap().exposes_login();
        assert!(says("http://cam/", Some("door")) && says("http://door:x@cam/", None));
        assert!(!says("https://cam/", Some("door")) && !says("http://cam/?mail=a@b", None));
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_printed() {
        let bytes: Vec<u8> = (0..32).map(|n| n * 8 + 1).collect();
        let printed: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        for digits in [printed.join(":"), printed.concat().to_lowercase()] {
            assert_eq!(fingerprint(&digits).map(Vec::from), Some(bytes.clone()));
        }
        let long = "0".repeat(66);
        for bad in ["", "0", &long, &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_is_one_line_of_a_file_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CREDENTIAL);
        let read = |text: &[u8], mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let mut http = parse("https://cam/", [Some("door"), path.to_str(), None, None]).unwrap();
            http.read_files(None).map(|()| match http.login.unwrap().password {
                Password::Known(password) => password.to_string(),
                other => panic!("{other:?}"),
            })
        };
        for (text, password) in [("s3:cret", "s3:cret"), ("s3cret\n", "s3cret"), (" a b \r\n", " a b "), ("", "")] {
            assert_eq!(read(text.as_bytes(), 0o640).unwrap(), password);
        }
        for mode in [0o644, 0o660, 0o602] {
            let said = read(b"s3cret", mode).unwrap_err().to_string();
            assert!(said.contains("chmod") && said.contains(CREDENTIAL) && !said.contains("s3cret"), "{said}");
        }
        for text in [b"s3cret\nmore\n".as_slice(), &[b'x'; 2000], b"\xffs3cret", b"s3cret\0"] {
            let said = read(text, 0o600).unwrap_err().to_string();
            assert!(said.contains("no password") && !said.contains("s3cret"), "{said}");
        }

        // Without a file named it is the credential.
        fs::write(&path, "from above").unwrap();
        let mut http = parse("https://cam/", [Some("door"), None, None, None]).unwrap();
        let said = http.read_files(Some(Path::new("/nowhere"))).unwrap_err().to_string();
        assert!(said.contains("source.password_file is missing") && said.contains(CREDENTIAL), "{said}");
        http.read_files(Some(folder.path())).unwrap();
        assert!(http.login.as_ref().is_some_and(|l| l.password == Password::Known("from above".to_owned().into())));
        assert!(!format!("{http:?}").contains("from above"));
    }

    #[test]
    fn a_file_without_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cam.pem");
        for text in ["", "a letter", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            fs::write(&path, text).unwrap();
            let said = read_certificates(&path).unwrap_err().to_string();
            assert!(said.contains("source.certificate") && said.contains("cam.pem") && said.contains("PEM"), "{said}");
        }
        fs::write(&path, [0x30, 0x01, 0x00]).unwrap();
        assert_eq!(read_certificates(&path).unwrap(), [[0x30, 0x01, 0x00]]);
        assert!(read_certificates(Path::new("nowhere.pem")).unwrap_err().to_string().contains("No such file"));
    }
}
