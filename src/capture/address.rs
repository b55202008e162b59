//! An address taken apart, so that no message can show the secrets in it.

use ureq::http::Uri;
use zeroize::Zeroizing;

use super::{CaptureError, authorization::Credentials};

pub(super) struct Address {
    /// Without user and password.
    pub(super) uri: Uri,
    /// The user and the password in it.
    pub(super) credentials: Option<Credentials>,
    /// The address without user, password and query.
    pub(super) place: String,
}

impl Address {
    pub(super) fn parse(address: &str) -> Result<Self, CaptureError> {
        let malformed = || CaptureError::Format {
            place: "http".into(),
            why: "not an address; write http://host:port/path or https://".into(),
        };
        let uri: Uri = address.parse().map_err(|_| malformed())?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(malformed());
        };
        let (login, host) = match authority.as_str().rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority.as_str()),
        };
        let path = uri.path_and_query().map_or("/", |p| p.as_str());
        let bare = Uri::builder().scheme(scheme).authority(host).path_and_query(path).build();
        let place = format!("{scheme}://{host}{}", uri.path());
        let credentials = match login {
            None => None,
            Some(login) => {
                // Encoded apart: either may hold a colon.
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let (user, password) = decode(user).zip(decode(password)).ok_or_else(malformed)?;
                Some(Credentials { user, password: Zeroizing::new(password) })
            }
        };
        Ok(Self { uri: bare.map_err(|_| malformed())?, credentials, place })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Host and port.
    pub(super) fn server(&self) -> String {
        let port = self.uri.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 });
        format!("{}:{port}", self.uri.host().unwrap_or(""))
    }

    /// Whether a password for this address may go to that one.
    pub(super) fn is_same_server(&self, other: &Uri) -> bool {
        (self.uri.scheme(), self.uri.authority()) == (other.scheme(), other.authority())
    }
}

fn decode(encoded: &str) -> Option<String> {
    percent_encoding::percent_decode_str(encoded).decode_utf8().ok().map(Into::into)
}

/// What messages call the target of a redirect.
pub(super) fn place_of(uri: &Uri) -> String {
    let host = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next()).unwrap_or("");
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_apart_and_its_secrets_stay_out_of_its_name() {
        for scheme in ["http", "https"] {
            let address =
                Address::parse(&format!("{scheme}://door:p%40ss%3A1@cam.local:8080/video?token=abc")).unwrap();
            assert_eq!(address.place, format!("{scheme}://cam.local:8080/video"));
            assert_eq!(address.uri.to_string(), format!("{scheme}://cam.local:8080/video?token=abc"));
            assert_eq!((address.is_tls(), address.server().as_str()), (scheme == "https", "cam.local:8080"));
            let credentials = address.credentials.unwrap();
            assert_eq!((&*credentials.user, credentials.password.as_str()), ("door", "p@ss:1"));
        }
        for bad in [
            "http://door:secret@/x",
            "http://a b:secret@c/",
            "secret",
            "ftp://door:secret@cam/",
            "http://%FF:secret@c/",
        ] {
            let said = Address::parse(bad).map(|a| a.place).unwrap_err().to_string();
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn a_password_goes_to_its_own_server_alone() {
        let address = Address::parse("https://door:x@cam/video").unwrap();
        let same = |other: &str| address.is_same_server(&other.parse().unwrap());
        assert!(same("https://cam/other?x=1"));
        for other in ["http://cam/video", "https://cam:8443/video", "https://elsewhere/video", "https://cam.evil/video"]
        {
            assert!(!same(other), "{other}");
        }
    }
}
