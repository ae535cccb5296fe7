//! Observations: what a connection or request really did, as one JSON line that the log, `where` and `status` share.
//!
//! What a connection or an upstream connection fixed once (peers, TLS, identities) is written once, as a fragment; a
//! request only adds its own fields. Any byte in any field gives one valid JSON line (G01). No query, no header, no
//! body, no key ever gets in. Read next: `log.rs`, `metrics.rs`.

use crate::material::sha256_hex;
use everyhop_hello as hello;
use everyhop_http1::write::number;
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind};
use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Longest text of a peer's that gets into a field; the rest is cut and marked.
const FIELD_BYTES: usize = 1024;
/// Most names of a certificate that get into a line; the rest is left out and marked. A chain may bring thousands, and
/// each request would write them again.
const FIELD_NAMES: usize = 16;

/// Who proved to be whom, from a verified leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) names: Vec<String>,
    pub(crate) key_sha256: String,
}

impl Peer {
    pub(crate) fn of(leaf: &CertificateDer<'_>) -> Option<Peer> {
        let cert = webpki::EndEntityCert::try_from(leaf).ok()?;
        let names = cert.valid_dns_names().chain(cert.valid_uri_names()).map(str::to_owned).collect();
        let key_sha256 = sha256_hex(cert.subject_public_key_info().as_ref());
        Some(Peer { names, key_sha256 })
    }
}

/// What TLS came to on one hop.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFacts {
    pub(crate) version: Option<&'static str>,
    pub(crate) suite: Option<&'static str>,
    pub(crate) group: Option<&'static str>,
    pub(crate) alpn: Option<String>,
    pub(crate) resumed: bool,
    pub(crate) peer: Option<Peer>,
}

impl TlsFacts {
    pub(crate) fn of(conn: &CommonState) -> TlsFacts {
        TlsFacts {
            version: conn.protocol_version().map(|v| hello::version_name(u16::from(v))),
            suite: conn.negotiated_cipher_suite().map(|s| hello::suite_name(u16::from(s.suite()))),
            group: conn.negotiated_key_exchange_group().map(|g| hello::group_name(u16::from(g.name()))),
            alpn: conn.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
            resumed: matches!(conn.handshake_kind(), Some(HandshakeKind::Resumed)),
            peer: conn.peer_certificates().and_then(|c| c.first()).and_then(Peer::of),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
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
                for (i, name) in peer.names.iter().take(FIELD_NAMES).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    text(out, name.as_bytes());
                }
                if peer.names.len() > FIELD_NAMES {
                    out.extend_from_slice(b",\"...\"");
                }
                out.push(b']');
                field(out, "key_sha256", Some(&peer.key_sha256));
                out.push(b'}');
            }
        }
    }
}

/// What we know of a client connection, written once it is known.
pub(crate) struct ConnFragment(Vec<u8>);

pub(crate) struct ConnFacts<'a> {
    pub(crate) id: u64,
    pub(crate) listener: &'a str,
    pub(crate) peer: SocketAddr,
    pub(crate) client: IpAddr,
    pub(crate) sni: Option<&'a str>,
    /// `ended`, `passed`, `failed` or `none`.
    pub(crate) tls: &'static str,
    pub(crate) facts: TlsFacts,
}

impl ConnFragment {
    pub(crate) fn of(it: &ConnFacts<'_>) -> ConnFragment {
        let mut out = Vec::with_capacity(384);
        out.extend_from_slice(b"\"conn\":\"");
        hex16(&mut out, it.id);
        out.push(b'"');
        field(&mut out, "listener", Some(it.listener));
        out.extend_from_slice(b",\"peer\":\"");
        socket_address(&mut out, it.peer);
        out.extend_from_slice(b"\",\"client\":\"");
        address(&mut out, it.client);
        out.push(b'"');
        field(&mut out, "sni", it.sni);
        out.extend_from_slice(b",\"client_hop\":{\"tls\":");
        text(&mut out, it.tls.as_bytes());
        field(&mut out, "alpn", it.facts.alpn.as_deref());
        it.facts.write(&mut out);
        out.push(b'}');
        ConnFragment(out)
    }
}

/// Whether the backend wanted to know who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdentityUse {
    Demanded,
    /// We would have presented one; it was not asked for. Mutual in name only.
    NotDemanded,
    /// The hop presents none.
    NotPresented,
    /// A resumed session of which no full handshake was seen, or a session that is not ours.
    Unknown,
}

impl IdentityUse {
    pub(crate) fn name(self) -> &'static str {
        match self {
            IdentityUse::Demanded => "demanded",
            IdentityUse::NotDemanded => "not_demanded",
            IdentityUse::NotPresented => "not_presented",
            IdentityUse::Unknown => "unknown",
        }
    }
}

/// What we know of a backend connection, written once it is open. Without its closing brace: `reused` follows.
#[derive(Clone)]
pub(crate) struct HopFragment {
    text: Vec<u8>,
    pub(crate) alarm: Option<&'static str>,
}

impl HopFragment {
    pub(crate) fn of(at: &str, tls: &'static str, facts: &TlsFacts, identity: IdentityUse) -> HopFragment {
        let mut out = Vec::with_capacity(320);
        out.extend_from_slice(b"{\"at\":");
        text(&mut out, at.as_bytes());
        field(&mut out, "tls", Some(tls));
        field(&mut out, "alpn", facts.alpn.as_deref());
        facts.write(&mut out);
        field(&mut out, "identity", Some(identity.name()));
        let alarm = (identity == IdentityUse::NotDemanded).then_some("identity_not_demanded");
        HopFragment { text: out, alarm }
    }
}

/// The end of what went as decided.
pub(crate) const DONE: &str = "done";

/// One line's own part.
pub(crate) struct Line<'a> {
    pub(crate) conn: &'a ConnFragment,
    pub(crate) id: Option<u64>,
    /// Of the route, or of what reached none: [`labels`].
    pub(crate) labels: &'a [u8],
    pub(crate) hop: Option<(&'a HopFragment, bool)>,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) method: Option<&'a [u8]>,
    pub(crate) host: Option<&'a [u8]>,
    /// Without query.
    pub(crate) path: Option<&'a [u8]>,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) duration_us: u64,
    /// `done` or a slug.
    pub(crate) end: &'static str,
}

/// What all lines of a route under a plan share, written once.
pub(crate) fn labels(route: Option<&str>, pattern: Option<&str>, plan: &str, material: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(224);
    field(&mut out, "route", route);
    field(&mut out, "pattern", pattern);
    field(&mut out, "plan", Some(plan));
    field(&mut out, "material", Some(material));
    out
}

impl Line<'_> {
    /// It went as decided: whoever looks for the last one misses nothing if this is not kept.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.end == DONE && self.hop.is_none_or(|(hop, _)| hop.alarm.is_none())
    }

    /// `micros`: now, since 1970.
    pub(crate) fn write(&self, out: &mut Vec<u8>, micros: u64) {
        out.extend_from_slice(b"{\"time\":\"");
        stamp(out, micros);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(&self.conn.0);
        match self.id {
            Some(id) => {
                out.extend_from_slice(b",\"id\":\"");
                hex16(out, id);
                out.push(b'"');
            }
            None => out.extend_from_slice(b",\"id\":null"),
        }
        out.extend_from_slice(self.labels);
        out.extend_from_slice(b",\"backend_hop\":");
        match self.hop {
            None => out.extend_from_slice(b"null"),
            Some((hop, reused)) => {
                out.extend_from_slice(&hop.text);
                out.extend_from_slice(if reused { b",\"reused\":true}" } else { b",\"reused\":false}" });
            }
        }
        plain_field(out, b",\"protocol\":", self.protocol);
        bytes_field(out, "method", self.method);
        bytes_field(out, "host", self.host);
        bytes_field(out, "path", self.path);
        out.extend_from_slice(b",\"status\":");
        if self.status == 0 {
            out.extend_from_slice(b"null");
        } else {
            number(out, u64::from(self.status));
        }
        for (name, value) in [
            (&b",\"bytes_in\":"[..], self.bytes_in),
            (b",\"bytes_out\":", self.bytes_out),
            (b",\"duration_us\":", self.duration_us),
        ] {
            out.extend_from_slice(name);
            number(out, value);
        }
        plain_field(out, b",\"end\":", Some(self.end));
        out.extend_from_slice(b",\"alarms\":[");
        if let Some(alarm) = self.hop.and_then(|(h, _)| h.alarm) {
            text(out, alarm.as_bytes());
        }
        out.extend_from_slice(b"]}");
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    bytes_field(out, name, value.map(str::as_bytes));
}

/// A word of our own, in which nothing needs escaping.
fn plain_field(out: &mut Vec<u8>, label: &[u8], value: Option<&'static str>) {
    out.extend_from_slice(label);
    match value {
        Some(word) => {
            out.push(b'"');
            out.extend_from_slice(word.as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

fn bytes_field(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match value {
        Some(v) => text(out, v),
        None => out.extend_from_slice(b"null"),
    }
}

/// A JSON string of any bytes. What is not printable ASCII is written `\u00XX` byte for byte, so that it is reversible.
pub(crate) fn text(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let mut left = value.get(..value.len().min(FIELD_BYTES)).unwrap_or_default();
    // Nearly every text is plain from end to end: one look, one copy.
    while let Some(at) = left.iter().position(|b| !matches!(b, b' '..=b'!' | b'#'..=b'[' | b']'..=b'~')) {
        let (plain, rest) = left.split_at(at);
        out.extend_from_slice(plain);
        let Some((&b, rest)) = rest.split_first() else { break };
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            _ => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b)]),
        }
        left = rest;
    }
    out.extend_from_slice(left);
    if value.len() > FIELD_BYTES {
        out.extend_from_slice(b"...");
    }
    out.push(b'"');
}

fn socket_address(out: &mut Vec<u8>, of: SocketAddr) {
    match of.ip() {
        IpAddr::V4(_) => {
            address(out, of.ip());
            out.push(b':');
            number(out, u64::from(of.port()));
        }
        IpAddr::V6(_) => _ = write!(out, "{of}"),
    }
}

/// As `Display` writes it, without its machinery for the common kind.
fn address(out: &mut Vec<u8>, of: IpAddr) {
    match of {
        IpAddr::V4(v4) => {
            for (i, part) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                number(out, u64::from(part));
            }
        }
        IpAddr::V6(v6) => _ = write!(out, "{v6}"),
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(digit & 15)).copied().unwrap_or(b'0')
}

/// Sixteen hexadecimal digits.
pub(crate) fn hex16(out: &mut Vec<u8>, id: u64) {
    let mut text = [0u8; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair.copy_from_slice(&[hex(byte >> 4), hex(byte)]);
    }
    out.extend_from_slice(&text);
}

thread_local! {
    /// The second that was last written, to its point.
    static SECOND: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
}

/// `2026-11-23T17:20:00.123456Z`.
pub(crate) fn stamp(out: &mut Vec<u8>, micros: u64) {
    let (secs, sub) = (micros / 1_000_000, micros % 1_000_000);
    SECOND.with_borrow_mut(|(at, text)| {
        if *at != secs {
            *at = secs;
            text.clear();
            second(text, secs);
        }
        out.extend_from_slice(text);
    });
    padded(out, sub, 6);
    out.push(b'Z');
}

fn second(out: &mut Vec<u8>, secs: u64) {
    let (days, rest) = (secs / 86_400, secs % 86_400);
    let (y, m, d) = civil(days);
    for (value, width, after) in [
        (y, 4, b'-'),
        (m, 2, b'-'),
        (d, 2, b'T'),
        (rest / 3600, 2, b':'),
        (rest / 60 % 60, 2, b':'),
        (rest % 60, 2, b'.'),
    ] {
        padded(out, value, width);
        out.push(after);
    }
}

/// Civil date from days since 1970, by Howard Hinnant's `civil_from_days`.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(m <= 2), m, doy - (153 * mp + 2) / 5 + 1)
}

pub(crate) fn padded(out: &mut Vec<u8>, value: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10u64.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_utc_time() {
        let mut out = Vec::new();
        stamp(&mut out, 1_795_449_600_000_042);
        assert_eq!(String::from_utf8_lossy(&out), "2026-11-23T16:00:00.000042Z");
        out.clear();
        stamp(&mut out, 951_782_400_000_000);
        assert_eq!(String::from_utf8_lossy(&out), "2000-02-29T00:00:00.000000Z");
    }

    /// G01.
    #[test]
    fn any_byte_in_a_field_gives_one_valid_json_string_that_can_be_read_back() {
        let every: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        text(&mut out, &every);
        let back: String = serde_json::from_slice(&out).expect("valid JSON");
        let back: Vec<u8> = back.chars().map(|c| u8::try_from(u32::from(c)).expect("one byte a character")).collect();
        assert_eq!(back, every);
        assert!(!out.contains(&b'\n'));
    }

    #[test]
    fn addresses_are_written_as_the_library_writes_them() {
        for text in ["0.0.0.0:1", "255.10.9.100:65535", "[::]:0", "[2001:db8::1]:443", "[fe80::1%3]:80"] {
            let one: SocketAddr = text.parse().expect("an address");
            let (mut whole, mut ip) = (Vec::new(), Vec::new());
            socket_address(&mut whole, one);
            address(&mut ip, one.ip());
            assert_eq!((whole, ip), (one.to_string().into_bytes(), one.ip().to_string().into_bytes()));
        }
    }

    #[test]
    fn a_long_field_is_cut_and_marked() {
        let mut out = Vec::new();
        text(&mut out, &[b'a'; 5000]);
        assert_eq!(out.len(), FIELD_BYTES + 5);
    }
}
