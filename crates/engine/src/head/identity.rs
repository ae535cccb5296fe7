//! Who the client is, as the edge says it to backends: in X-Forwarded-*, Forwarded (RFC 7239) and Client-Cert (RFC 9440),
//! never in what the client sent. Read next: `request.rs`, which leaves out what the client said of itself.

use crate::exchange::asked::Asked;
use base64::Engine;
use everyhop_canon::cidr::unmapped;
use everyhop_canon::forwarded::write_node;
use everyhop_http1::write::number;
use everyhop_record::json::address;
use rustls::pki_types::CertificateDer;
use std::cell::Cell;
use std::net::IpAddr;

/// RFC 9440 §2.3: a chain that is longer is not passed on.
const CHAIN_CERTS: usize = 8;

/// What all requests of a connection say of its client, written once.
pub(crate) struct Said {
    /// The client's address as X-Forwarded-For writes it.
    pub(crate) address: Box<[u8]>,
    /// The same as a node of Forwarded (RFC 7239 §6).
    node: Box<[u8]>,
    /// RFC 9440: `:base64:` of the verified leaf, and of its issuers.
    cert: Option<Vec<u8>>,
    chain: Option<Vec<u8>>,
}

impl Said {
    /// `proved`: the verified leaf and its issuers; empty where nobody proved anything.
    pub(crate) fn of(ip: IpAddr, proved: &[CertificateDer<'_>]) -> Said {
        let mut node = Vec::new();
        write_node(&mut node, ip);
        let (cert, rest) = match proved.split_first() {
            Some((leaf, issuers)) => (Some(byte_sequence(leaf)), issuers),
            None => (None, &[][..]),
        };
        let rest: Vec<Vec<u8>> = rest.iter().take(CHAIN_CERTS).map(|c| byte_sequence(c)).collect();
        let chain = (!rest.is_empty()).then(|| rest.join(&b", "[..]));
        Said { address: ip.to_string().into_bytes().into(), node: node.into(), cert, chain }
    }
}

/// A byte sequence of RFC 8941 §3.3.5.
fn byte_sequence(der: &[u8]) -> Vec<u8> {
    format!(":{}:", base64::engine::general_purpose::STANDARD.encode(der)).into_bytes()
}

/// What the edge says of the client. What it does not know it does not say.
pub(crate) fn identity(said: &Said, asked: &Asked, mut put: impl FnMut(&'static str, &[u8])) {
    let mut text = Text::default();
    let (scheme, authority) = match &asked.told {
        None => ("https", asked.authority.as_str()),
        Some(told) => (told.scheme.name(), told.authority.as_str()),
    };
    put("x-forwarded-proto", scheme.as_bytes());
    put("x-forwarded-host", authority.as_bytes());
    if let Some(port) = asked.told.as_ref().and_then(|it| it.port) {
        number(&mut text.0, u64::from(port));
        put("x-forwarded-port", &text.0);
        text.0.clear();
    }
    if !asked.prefix.is_empty() {
        put("x-forwarded-prefix", asked.prefix.as_bytes());
    }
    if asked.chain.is_empty() {
        put("x-forwarded-for", &said.address);
        put("x-real-ip", &said.address);
    } else {
        let mut first = 0;
        for ip in &asked.chain {
            address(&mut text.0, *ip);
            first = if first == 0 { text.0.len() } else { first };
            text.push(b", ");
        }
        text.push(&said.address);
        put("x-forwarded-for", &text.0);
        put("x-real-ip", text.0.get(..first).unwrap_or_default());
        text.0.clear();
    }
    for ip in &asked.chain {
        text.push(b"for=");
        match unmapped(*ip) {
            v4 @ IpAddr::V4(_) => address(&mut text.0, v4),
            v6 => write_node(&mut text.0, v6),
        }
        text.push(b", ");
    }
    let scheme = if scheme == "https" { &b";proto=https;host=\""[..] } else { b";proto=http;host=\"" };
    for part in [b"for=", &*said.node, scheme, authority.as_bytes(), b"\""] {
        text.push(part);
    }
    put("forwarded", &text.0);
    text.0.clear();
    asked.shown_id().write(&mut text.0);
    put("x-request-id", &text.0);
    let (cert, chain) = match asked.told.as_ref().and_then(|it| it.proved.as_ref()) {
        None => (&said.cert, &said.chain),
        Some(its) => (&its.cert, &its.chain),
    };
    if let Some(cert) = cert {
        put("client-cert", cert);
    }
    if let Some(chain) = chain {
        put("client-cert-chain", chain);
    }
}

thread_local! {
    static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The thread's memory for a value that is being put together.
struct Text(Vec<u8>);

impl Default for Text {
    fn default() -> Self {
        let mut memory = TEXT.take();
        memory.clear();
        Text(memory)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        TEXT.set(std::mem::take(&mut self.0));
    }
}

impl Text {
    fn push(&mut self, part: &[u8]) {
        self.0.extend_from_slice(part);
    }
}
