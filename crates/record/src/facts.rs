//! What TLS came to on one hop: version, suite, group, and who proved to be whom. Facts of the session, never of the plan.
//! Read next: `line.rs`, which writes them down.

use crate::der;
use crate::digest::sha256_hex;
use crate::json::{field, text};
use everyhop_canon::{client, spiffe};
use everyhop_hello as hello;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CommonState, HandshakeKind};
use std::time::Duration;

/// Most names of a certificate that get into a line; the rest is left out and marked. A chain may bring thousands, and
/// each request would write them again.
const FIELD_NAMES: usize = 16;

/// Who proved to be whom, from a verified leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// In the forms of `canon::client`, which are also those that are told: its certificate first, then its names.
    known_by: Vec<String>,
    pub key_sha256: String,
    /// The last second of its certificate, in Unix time.
    pub not_after_s: i64,
}

/// The last second of a certificate, in Unix time. Whatever cannot be read is over.
pub fn not_after_s(leaf: &CertificateDer<'_>) -> i64 {
    let Ok(cert) = webpki::EndEntityCert::try_from(leaf) else { return i64::MIN };
    // webpki tells the end only of what is over, before it looks at anything else: so it is asked at the end of time.
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    match cert.verify_for_usage(&[], &[], &[], at, webpki::KeyUsage::client_auth(), None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX),
        _ => i64::MIN,
    }
}

impl Peer {
    /// Takes: `sha256` of its certificate and `key_sha256` of its key, in hexadecimal digits.
    pub fn new(names: impl IntoIterator<Item = String>, sha256: &str, key_sha256: String, not_after_s: i64) -> Peer {
        let known_by = std::iter::once(client::certificate(sha256)).chain(names).collect();
        Peer { known_by, key_sha256, not_after_s }
    }

    pub fn of(leaf: &CertificateDer<'_>) -> Option<Peer> {
        let cert = webpki::EndEntityCert::try_from(leaf).ok()?;
        let key_sha256 = sha256_hex(cert.subject_public_key_info().as_ref());
        Some(Peer::new(names(&cert, leaf), &sha256_hex(leaf), key_sha256, not_after_s(leaf)))
    }

    /// All by which an allow-list may name it.
    pub fn known_by(&self) -> &[String] {
        &self.known_by
    }

    pub fn names(&self) -> &[String] {
        self.known_by.get(1..).unwrap_or_default()
    }

    /// Of its certificate, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        self.known_by.first().and_then(|it| it.split(':').nth(1)).unwrap_or_default()
    }
}

/// The names of a certificate: DNS, then URI, then e-mail. What is not in the form of its kind is none: it could pass for a
/// name of another.
pub(crate) fn names(cert: &webpki::EndEntityCert<'_>, leaf: &[u8]) -> Vec<String> {
    // Two URIs make nobody of a SPIFFE ID (X509-SVID §2), also where one of them is in no form.
    let is_one = der::uris(leaf).len() == 1;
    let uris =
        cert.valid_uri_names().filter_map(client::uri).filter(|uri| is_one || spiffe::trust_domain(uri).is_none());
    let emails = der::emails(leaf).into_iter().filter_map(client::email);
    cert.valid_dns_names().map(client::dns).chain(uris).chain(emails).collect()
}

/// What TLS came to on one hop.
#[derive(Debug, Clone, Default)]
pub struct TlsFacts {
    pub version: Option<&'static str>,
    pub suite: Option<&'static str>,
    pub group: Option<&'static str>,
    pub alpn: Option<Box<str>>,
    pub resumed: bool,
    /// In a box, since most have none.
    pub peer: Option<Box<Peer>>,
}

impl TlsFacts {
    pub fn of(conn: &CommonState) -> TlsFacts {
        TlsFacts {
            version: conn.protocol_version().map(|v| hello::version_name(u16::from(v))),
            suite: conn.negotiated_cipher_suite().map(|s| hello::suite_name(u16::from(s.suite()))),
            group: conn.negotiated_key_exchange_group().map(|g| hello::group_name(u16::from(g.name()))),
            alpn: conn.alpn_protocol().map(|p| String::from_utf8_lossy(p).into()),
            resumed: matches!(conn.handshake_kind(), Some(HandshakeKind::Resumed)),
            peer: conn.peer_certificates().and_then(|c| c.first()).and_then(Peer::of).map(Box::new),
        }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        field(out, "version", self.version);
        field(out, "suite", self.suite);
        field(out, "group", self.group);
        out.extend_from_slice(if self.resumed {
            b",\"resumed\":true,\"peer\":"
        } else {
            b",\"resumed\":false,\"peer\":"
        });
        match &self.peer {
            None => out.extend_from_slice(b"null"),
            Some(peer) => {
                out.extend_from_slice(b"{\"names\":[");
                for (i, name) in peer.names().iter().take(FIELD_NAMES).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    text(out, name.as_bytes());
                }
                if peer.names().len() > FIELD_NAMES {
                    out.extend_from_slice(b",\"...\"");
                }
                out.push(b']');
                field(out, "sha256", Some(peer.sha256()));
                field(out, "key_sha256", Some(&peer.key_sha256));
                out.push(b'}');
            }
        }
    }
}

/// Whether the backend wanted to know who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityUse {
    Demanded,
    /// We would have presented one; it was not asked for. Mutual in name only.
    NotDemanded,
    /// The hop presents none.
    NotPresented,
    /// It ended our session for our certificate's sake.
    Refused,
    /// A resumed session of which no full handshake was seen, a session that is not ours, or one in which the backend asked
    /// and has not answered yet: in TLS 1.3 it judges what we show after our handshake is over.
    Unknown,
}

impl IdentityUse {
    pub fn name(self) -> &'static str {
        match self {
            IdentityUse::Demanded => "demanded",
            IdentityUse::NotDemanded => "not_demanded",
            IdentityUse::NotPresented => "not_presented",
            IdentityUse::Refused => "refused",
            IdentityUse::Unknown => "unknown",
        }
    }
}
