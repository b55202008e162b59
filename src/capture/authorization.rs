//! Logging in at a camera by what it asks for (RFC 7235): Digest (RFC 7616, and as RFC 2069 had it), else Basic (RFC 7617).
//!
//! Nothing is sent before the camera has asked: with Digest the password itself never crosses the network.

use std::fmt::Write as _;

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A user and the password, for as long as the source is open.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

/// One way to log in that a server offers.
#[derive(Debug, PartialEq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
}

impl Credentials {
    /// The value of `Authorization` for a GET of `target` (path and query), by the best of the ways offered in the values of
    /// `WWW-Authenticate`. `client_nonce` is random.
    ///
    /// # Errors
    /// Says what is asked for instead, and the remedy.
    pub(super) fn answer<'a>(
        &self,
        offered: impl Iterator<Item = &'a str>,
        target: &str,
        client_nonce: &str,
    ) -> Result<String, String> {
        let offered: Vec<Challenge> = offered.flat_map(Challenge::parse).collect();
        for hash in [Hash::Sha256, Hash::Md5] {
            if let Some(challenge) = offered.iter().find(|challenge| challenge.is_digest(hash)) {
                return Ok(self.digest(challenge, hash, target, client_nonce));
            }
        }
        if offered.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("basic")) {
            let pair = Zeroizing::new(format!("{}:{}", self.user, self.password.as_str()));
            return Ok(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        }
        let schemes: Vec<&str> = offered.iter().map(|challenge| challenge.scheme.as_str()).collect();
        let remedy = "choose Digest (MD5 or SHA-256) or Basic in the camera's settings";
        Err(match schemes.join(", ") {
            none if none.is_empty() => format!("wants a login and does not say how to log in; {remedy}"),
            asked => format!("wants a login by {asked:.80}, which is not known here; {remedy}"),
        })
    }

    fn digest(&self, challenge: &Challenge, hash: Hash, target: &str, client_nonce: &str) -> String {
        let of = |name: &str| challenge.parameter(name).unwrap_or("");
        let (realm, nonce) = (of("realm"), of("nonce"));
        let mut secret = hash.hex(&[&self.user, realm, &self.password]);
        if of("algorithm").to_ascii_lowercase().ends_with("-sess") {
            secret = hash.hex(&[&secret, nonce, client_nonce]);
        }
        let request = hash.hex(&["GET", target]);
        let has_qop = challenge.parameter("qop").is_some();
        let response = if has_qop {
            hash.hex(&[&secret, nonce, "00000001", client_nonce, "auth", &request])
        } else {
            hash.hex(&[&secret, nonce, &request])
        };
        let mut answer = "Digest ".to_owned();
        for (name, value) in [
            ("username", self.user.as_str()),
            ("realm", realm),
            ("nonce", nonce),
            ("uri", target),
            ("response", response.as_str()),
        ] {
            write_quoted(&mut answer, name, value);
        }
        if let Some(opaque) = challenge.parameter("opaque") {
            write_quoted(&mut answer, "opaque", opaque);
        }
        // Not quoted, unlike all others.
        if let Some(algorithm) = challenge.parameter("algorithm") {
            answer += &format!("algorithm={algorithm}, ");
        }
        if has_qop {
            answer += "qop=auth, nc=00000001, ";
        }
        if has_qop || of("algorithm").to_ascii_lowercase().ends_with("-sess") {
            write_quoted(&mut answer, "cnonce", client_nonce);
        }
        answer.truncate(answer.trim_end_matches(", ").len());
        answer
    }
}

fn write_quoted(answer: &mut String, name: &str, value: &str) {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    write!(answer, "{name}=\"{escaped}\", ").expect("writing to a string does not fail");
}

impl Hash {
    /// The hash of the parts with colons between them, as hexadecimal digits.
    fn hex(self, parts: &[&str]) -> Zeroizing<String> {
        let text = Zeroizing::new(parts.join(":"));
        match self {
            Self::Md5 => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
        .into()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

impl Challenge {
    /// All challenges of one header: `Digest realm="a", nonce="b", Basic realm="a"`. What is no challenge is passed over.
    fn parse(header: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let end = rest.find(|c: char| !is_of_token(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() {
                return challenges;
            }
            match (after.trim_start_matches([' ', '\t']).strip_prefix('='), challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    let (value, left) = take_value(value.trim_start_matches([' ', '\t']));
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                    rest = left;
                }
                (Some(_), None) => return challenges,
                (None, _) => {
                    challenges.push(Self { scheme: word.to_owned(), parameters: Vec::new() });
                    rest = after;
                }
            }
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is Digest by this hash, and asks for no more than the request's first line to be signed.
    fn is_digest(&self, hash: Hash) -> bool {
        let algorithm = self.parameter("algorithm").unwrap_or("MD5").to_ascii_uppercase();
        let by_hash = match hash {
            Hash::Md5 => matches!(&*algorithm, "MD5" | "MD5-SESS"),
            Hash::Sha256 => matches!(&*algorithm, "SHA-256" | "SHA-256-SESS"),
        };
        let qop = self.parameter("qop").unwrap_or("auth");
        self.scheme.eq_ignore_ascii_case("digest")
            && by_hash
            && self.parameter("nonce").is_some()
            && qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"))
    }
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A token or a quoted string, and what follows it.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: &str = "dcd98b7102dd2f0e8b11d0f600bfb0c093";

    fn answer(user: &str, password: &str, offered: &[&str], client_nonce: &str) -> Result<String, String> {
        let credentials = Credentials { user: user.into(), password: Zeroizing::new(password.into()) };
        credentials.answer(offered.iter().copied(), "/dir/index.html", client_nonce)
    }

    #[track_caller]
    fn assert_answers(answer: &str, expected: &[&str]) {
        let found = Challenge::parse(answer);
        assert_eq!(found.len(), 1, "{answer}");
        for pair in expected {
            let (name, value) = pair.split_once('=').unwrap();
            assert_eq!(found[0].parameter(name), Some(value), "{name} of {answer}");
        }
    }

    #[test]
    fn the_examples_of_rfc_7616() {
        let offer = |algorithm: &str| {
            format!(
                r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
            )
        };
        let (md5, sha) = (offer("MD5"), offer("SHA-256"));
        let client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let by_md5 = answer("Mufasa", "Circle of Life", &[&md5], client_nonce).unwrap();
        assert_answers(
            &by_md5,
            &[
                "response=8ca523f5e9506fed4657c9700eebdbec",
                "username=Mufasa",
                "uri=/dir/index.html",
                "algorithm=MD5",
                "qop=auth",
                "nc=00000001",
                "opaque=FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
            ],
        );
        assert!(by_md5.contains("algorithm=MD5, qop=auth, nc=00000001, ") && by_md5.ends_with('"'), "{by_md5}");
        // The stronger of both, whichever comes first and in however many headers.
        for both in [vec![md5.clone(), sha.clone()], vec![format!("{md5}, {sha}")], vec![sha, md5]] {
            let both: Vec<&str> = both.iter().map(String::as_str).collect();
            let by_sha = answer("Mufasa", "Circle of Life", &both, client_nonce).unwrap();
            assert_answers(
                &by_sha,
                &[
                    "response=753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
                    "algorithm=SHA-256",
                    "cnonce=f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
                ],
            );
        }
    }

    #[test]
    fn the_examples_of_rfc_2617_and_2069() {
        let offer = format!(r#"Digest realm="testrealm@host.com",qop="auth,auth-int",nonce="{NONCE}",opaque="5ccc""#);
        let newer = answer("Mufasa", "Circle Of Life", &[&offer], "0a4f113b").unwrap();
        assert_answers(&newer, &["response=6629fae49393a05397450978507c4ef1", "opaque=5ccc"]);
        assert!(!newer.contains("algorithm"), "{newer}");
        // The password and the response as in the errata of RFC 2069.
        let offer = format!(r#"Digest realm="testrealm@host.com", nonce="{NONCE}""#);
        let older = answer("Mufasa", "CircleOfLife", &[&offer], "0a4f113b").unwrap();
        assert_answers(&older, &["response=1949323746fe6a43ef61f9606e7febea"]);
        assert!(!older.contains("nc=") && !older.contains("cnonce") && !older.contains("qop"), "{older}");
    }

    #[test]
    fn a_session_key_is_made_of_both_nonces() {
        let offer = format!(r#"Digest realm="testrealm@host.com", nonce="{NONCE}", qop=auth, algorithm=MD5-sess"#);
        let said = answer("Mufasa", "Circle Of Life", &[&offer], "0a4f113b").unwrap();
        // By Python's hashlib.
        assert_answers(&said, &["response=8e3825c57e897f5a0dec6c2d4e5059d0", "algorithm=MD5-sess"]);
    }

    #[test]
    fn basic_is_the_last_resort() {
        let both = [r#"Basic realm="cam""#, r#"Digest realm="cam", nonce="1", qop="auth""#];
        assert!(answer("door", "open!", &both, "c").unwrap().starts_with("Digest "));
        assert_eq!(answer("door", "open!", &both[..1], "c").unwrap(), "Basic ZG9vcjpvcGVuIQ==");
        let other =
            [r#"Digest realm="cam", nonce="1", qop="auth-int", Digest realm="cam", nonce="2", algorithm=SHA-512-256"#];
        let said = answer("door", "s3cret", &other, "c").unwrap_err();
        assert!(said.contains("Digest") && !said.contains("s3cret"), "{said}");
        assert!(answer("door", "s3cret", &["NTLM"], "c").unwrap_err().contains("NTLM"));
        assert!(answer("door", "s3cret", &[], "c").unwrap_err().contains("how to log in"));
    }

    #[test]
    fn quotes_commas_and_nonsense_in_a_challenge() {
        let parsed = Challenge::parse(r#"Digest realm="a, \"b\" \\", nonce = xyz , stale=FALSE, Basic realm=plain"#);
        let pairs =
            |challenge: &Challenge| challenge.parameters.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
        assert_eq!(parsed.len(), 2);
        assert_eq!(pairs(&parsed[0]), [r#"realm=a, "b" \"#, "nonce=xyz", "stale=FALSE"]);
        assert_eq!((parsed[1].scheme.as_str(), pairs(&parsed[1])), ("Basic", vec!["realm=plain".to_owned()]));
        let said = answer(r#"d"oor"#, "x", &[r#"Digest realm="a\"b", nonce="1""#], "c").unwrap();
        assert!(said.contains(r#"username="d\"oor", realm="a\"b", "#), "{said}");
        for bad in [
            "",
            "=",
            ",,,",
            "\"",
            "a=b",
            "Digest realm=\"open",
            "Digest realm=\"a\\",
            "Digest =",
            "é",
            "Digest nonce=é\"",
        ] {
            let _ = Challenge::parse(bad);
        }
        assert_eq!(Challenge::parse("Negotiate YWJj=").len(), 1);
    }

    proptest! {
        #[test]
        fn whatever_a_server_asks_for_the_password_is_told_by_basic_alone(headers: Vec<String>, digest in "Digest [ -~]{0,80}") {
            let offered: Vec<&str> = headers.iter().map(String::as_str).chain([digest.as_str()]).collect();
            if let Ok(answer) = answer("ada", "open sesame 4711", &offered, NONCE) {
                prop_assert!(!answer.contains("sesame"));
                let asks_basic = offered.iter().flat_map(|o| Challenge::parse(o)).any(|c| c.scheme.eq_ignore_ascii_case("basic"));
                prop_assert!(answer.starts_with("Digest ") || asks_basic);
            }
        }
    }
}
