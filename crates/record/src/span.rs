//! What a span says: the request, and each try at a backend with what its hop came to, by the names of OpenTelemetry's semantic
//! conventions (HTTP, TLS, network) where there is one, else under `everyhop.`. Written from what the line is written from, so
//! that both say the same. No header, no body, no key; a query where that was asked for. Read next: `otlp.rs`, `line.rs`.

use crate::facts::TlsFacts;
use crate::failure::Failure;
use crate::inspected::{InspectedBy, rules_in_words};
use crate::line::{DONE, HopFragment};
use crate::otlp::{Value, attribute, bytes, fixed32, fixed64, message, number, string};
use crate::refusal::Refusal;
use crate::spans::Written;
use std::net::{IpAddr, SocketAddr};

/// `Span.SpanKind`.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `Status.StatusCode`.
const ERROR: u64 = 2;
/// Bit 8 of `Span.flags` says that bit 9 is known, which says that the parent is another process's.
const PARENT_KNOWN: u32 = 1 << 8;
const PARENT_REMOTE: u32 = 1 << 9;
/// What is told of a path; a target may be longer than any page shows.
const PATH_BYTES: usize = 2048;
/// As in a line.
const NAMES: usize = 16;
const TRIES: usize = 8;

/// Methods that there are; of others none is a name (semantic conventions, "HTTP", `http.request.method`).
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "QUERY"];

/// Which trace it is part of.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub trace: [u8; 16],
    /// Of the request.
    pub span: [u8; 8],
    /// Of whoever sent it, where that is believed.
    pub parent: Option<[u8; 8]>,
    pub state: &'a str,
    /// Those who are told of it keep their own spans.
    pub sampled: bool,
    /// What a client said that is not believed in it.
    pub told: Option<&'a str>,
}

/// The request, as it came and as it ended. Times in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub began_us: u64,
    pub ended_us: u64,
    /// As client and backend are told.
    pub id: &'a str,
    pub listener: &'a str,
    pub peer: SocketAddr,
    pub client: IpAddr,
    pub facts: &'a TlsFacts,
    pub plan: &'a str,
    pub route: Option<&'a str>,
    pub pattern: Option<&'a str>,
    pub protocol: &'a str,
    pub method: &'a str,
    /// With a port, where one was named.
    pub authority: &'a str,
    pub path: &'a str,
    /// With its question mark; empty where none is told.
    pub query: &'a str,
    /// What the backend is asked for, without its query.
    pub onward: &'a str,
    pub status: u16,
    pub grpc: Option<u8>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub end: Result<(), Refusal>,
    pub detail: Option<&'a str>,
    /// Who was asked about it.
    pub ask: Option<AskedOf<'a>>,
    /// What it was inspected by.
    pub waf: Option<InspectedBy<'a>>,
}

/// The question whether it may pass, to somebody else.
#[derive(Debug, Clone, Copy)]
pub struct AskedOf<'a> {
    pub by: &'a str,
    pub verdict: &'a str,
    /// 0 where nothing was answered.
    pub status: u16,
    pub ended_us: u64,
    pub duration_us: u64,
    /// What that one was told.
    pub span: Option<[u8; 8]>,
    pub detail: Option<&'a str>,
    /// There was a verdict, whichever.
    pub is_decided: bool,
}

/// The try at a backend that the answer came of, or that was the last.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    pub hop: &'a HopFragment,
    /// Of the span: what the backend was told.
    pub span: [u8; 8],
    pub reused: bool,
}

/// The spans of a request: its own, and one for each try. `fresh` gives numbers for tries that no backend was told of.
pub fn written(
    of: Context<'_>,
    it: &Request<'_>,
    failed: &[Failure],
    answered: Option<Answered<'_>>,
    mut fresh: impl FnMut() -> [u8; 8],
) -> Written {
    let mut out = Vec::with_capacity(1536);
    message(&mut out, 2, |out| server(out, of, it));
    let mut spans = 1;
    let mut from_us = it.began_us;
    if let Some(ask) = &it.ask {
        let span = ask.span.unwrap_or_else(&mut fresh);
        message(&mut out, 2, |out| question(out, of, it, ask, span));
        spans += 1;
        from_us = ask.ended_us.clamp(from_us, it.ended_us.max(from_us));
    }
    for (n, failure) in failed.iter().take(TRIES).enumerate() {
        let ended_us = failure.ended_us.clamp(from_us, it.ended_us.max(from_us));
        let began_us = ended_us.saturating_sub(failure.duration_us).max(from_us);
        let span = failure.span.unwrap_or_else(&mut fresh);
        message(&mut out, 2, |out| {
            begin(out, of, span, Some((of.span, false)), (it, CLIENT), (began_us, ended_us));
            hop(out, it, (&failure.at, failure.address, failure.tls), n);
            said(out, "everyhop.hop.identity", failure.identity.name());
            let names = [("everyhop.hop.expected", &failure.expected), ("everyhop.hop.alert", &failure.alert)];
            names.iter().for_each(|(name, value)| value.iter().for_each(|v| said(out, name, v)));
            failure.detail.iter().for_each(|v| said(out, "everyhop.detail", v));
            failed_with(out, failure.why.slug(), failure.why.sentence());
        });
        spans += 1;
        from_us = ended_us;
    }
    if let Some(Answered { hop: by, span, reused }) = answered {
        message(&mut out, 2, |out| {
            begin(out, of, span, Some((of.span, false)), (it, CLIENT), (from_us, it.ended_us.max(from_us)));
            hop(out, it, (&by.at(), by.address(), by.tls()), failed.len());
            said(out, "everyhop.hop.identity", by.identity().name());
            attribute(out, 9, "everyhop.hop.reused", Value::Bool(reused));
            tls(out, by.facts(), "server");
            by.alarm().iter().for_each(|v| said(out, "everyhop.alarm", v));
            if it.status != 0 && it.end.err().is_none_or(|why| why.status() != it.status) {
                counted(out, "http.response.status_code", it.status.into());
            }
            match it.end {
                Err(why) => failed_with(out, why.slug(), why.sentence()),
                Ok(()) if it.status >= 400 => failed_with(out, &it.status.to_string(), ""),
                Ok(()) => {}
            }
        });
        spans += 1;
    }
    Written { bytes: out, spans }
}

fn question(out: &mut Vec<u8>, of: Context<'_>, it: &Request<'_>, ask: &AskedOf<'_>, span: [u8; 8]) {
    let ended_us = ask.ended_us.clamp(it.began_us, it.ended_us.max(it.began_us));
    let began_us = ended_us.saturating_sub(ask.duration_us).max(it.began_us);
    begin(out, of, span, Some((of.span, false)), (it, CLIENT), (began_us, ended_us));
    said(out, "http.request.method", "GET");
    said(out, "everyhop.authorizer", ask.by);
    said(out, "everyhop.verdict", ask.verdict);
    if ask.status != 0 {
        counted(out, "http.response.status_code", ask.status.into());
    }
    ask.detail.iter().for_each(|v| said(out, "everyhop.detail", v));
    if !ask.is_decided {
        failed_with(out, ask.verdict, "");
    }
}

fn server(out: &mut Vec<u8>, of: Context<'_>, it: &Request<'_>) {
    begin(out, of, of.span, of.parent.map(|p| (p, true)), (it, SERVER), (it.began_us, it.ended_us));
    method(out, it);
    let scheme = if it.facts.version.is_some() { "https" } else { "http" };
    said(out, "url.scheme", scheme);
    if !it.path.is_empty() {
        said(out, "url.path", cut(it.path));
    }
    if let Some(query) = it.query.strip_prefix('?') {
        said(out, "url.query", cut(query));
    }
    let (host, port) = host_and_port(it.authority);
    if !host.is_empty() {
        said(out, "server.address", host);
    }
    if let Some(port) = port {
        counted(out, "server.port", port.into());
    }
    said(out, "client.address", &it.client.to_string());
    peer(out, it.peer);
    version(out, it.protocol);
    if it.status != 0 {
        counted(out, "http.response.status_code", it.status.into());
    }
    if let Some(code) = it.grpc {
        said(out, "rpc.system", "grpc");
        counted(out, "rpc.grpc.status_code", code.into());
    }
    counted(out, "http.request.body.size", it.bytes_in);
    counted(out, "http.response.body.size", it.bytes_out);
    tls(out, it.facts, "client");
    said(out, "everyhop.request.id", it.id);
    said(out, "everyhop.listener", it.listener);
    let optional = [("everyhop.route", it.route), ("everyhop.pattern", it.pattern), ("everyhop.detail", it.detail)];
    for (name, value) in optional.into_iter().chain([("everyhop.client.traceparent", of.told)]) {
        value.iter().for_each(|v| said(out, name, v));
    }
    if let Some(waf) = &it.waf {
        inspected(out, waf);
    }
    said(out, "everyhop.plan", it.plan);
    said(out, "everyhop.end", it.end.map_or_else(Refusal::slug, |()| DONE));
    let is_ours = it.grpc.is_some_and(|code| matches!(code, 2 | 4 | 12 | 13 | 14 | 15));
    match it.end {
        Err(why) if !(400..500).contains(&it.status) => failed_with(out, why.slug(), why.sentence()),
        _ if it.status >= 500 => failed_with(out, &it.status.to_string(), ""),
        _ if is_ours => failed_with(out, &it.grpc.unwrap_or_default().to_string(), ""),
        _ => {}
    }
}

fn inspected(out: &mut Vec<u8>, it: &InspectedBy<'_>) {
    said(out, "everyhop.waf", it.by);
    said(out, "everyhop.waf.verdict", it.verdict);
    if let Some(score) = it.score {
        counted(out, "everyhop.waf.score", score.into());
    }
    if !it.rules.is_empty() {
        said(out, "everyhop.waf.rules", &rules_in_words(it));
    }
    counted(out, "everyhop.waf.duration_us", it.duration_us);
}

/// What all spans begin with.
fn begin(
    out: &mut Vec<u8>,
    of: Context<'_>,
    span: [u8; 8],
    parent: Option<([u8; 8], bool)>,
    (it, kind): (&Request<'_>, u64),
    (began_us, ended_us): (u64, u64),
) {
    bytes(out, 1, &of.trace);
    bytes(out, 2, &span);
    if !of.state.is_empty() {
        bytes(out, 3, of.state.as_bytes());
    }
    let mut flags = PARENT_KNOWN | u32::from(of.sampled);
    if let Some((parent, remote)) = parent {
        bytes(out, 4, &parent);
        flags |= if remote { PARENT_REMOTE } else { 0 };
    }
    let method = if METHODS.contains(&it.method) { it.method } else { "HTTP" };
    match it.route {
        Some(route) => string(out, 5, format!("{method} {route}").as_bytes()),
        None => string(out, 5, method.as_bytes()),
    }
    number(out, 6, kind);
    fixed64(out, 7, began_us.saturating_mul(1000));
    fixed64(out, 8, ended_us.saturating_mul(1000));
    fixed32(out, 16, flags);
}

/// The `n`th try: where it went.
fn hop(out: &mut Vec<u8>, it: &Request<'_>, (at, address, pattern): (&str, Option<SocketAddr>, &str), n: usize) {
    method(out, it);
    let (host, port) = host_and_port(at);
    said(out, "server.address", host);
    if let Some(port) = port {
        counted(out, "server.port", port.into());
    }
    let scheme = if pattern == "plaintext" { "http" } else { "https" };
    said(out, "url.full", &format!("{scheme}://{}{}", it.authority, cut(it.onward)));
    if let Some(address) = address {
        peer(out, address);
    }
    if n > 0 {
        counted(out, "http.request.resend_count", n as u64);
    }
    said(out, "everyhop.hop.tls", pattern);
}

fn tls(out: &mut Vec<u8>, facts: &TlsFacts, whose: &str) {
    let Some(version) = facts.version else { return };
    said(out, "tls.protocol.name", "tls");
    said(out, "tls.protocol.version", version);
    let optional =
        [("tls.cipher", facts.suite), ("tls.curve", facts.group), ("tls.next_protocol", facts.alpn.as_deref())];
    for (name, value) in optional {
        value.iter().for_each(|v| said(out, name, v));
    }
    attribute(out, 9, "tls.resumed", Value::Bool(facts.resumed));
    if let Some(peer) = &facts.peer {
        said(out, &format!("tls.{whose}.hash.sha256"), &peer.sha256().to_uppercase());
        let names = peer.names().get(..NAMES).unwrap_or(peer.names());
        attribute(out, 9, &format!("everyhop.{whose}.names"), Value::Texts(names));
    }
}

fn method(out: &mut Vec<u8>, it: &Request<'_>) {
    if METHODS.contains(&it.method) {
        said(out, "http.request.method", it.method);
    } else {
        said(out, "http.request.method", "_OTHER");
        said(out, "http.request.method_original", it.method.get(..64).unwrap_or(it.method));
    }
}

fn version(out: &mut Vec<u8>, protocol: &str) {
    said(out, "network.protocol.version", if protocol == "h2" { "2" } else { "1.1" });
}

fn peer(out: &mut Vec<u8>, at: SocketAddr) {
    said(out, "network.peer.address", &at.ip().to_string());
    counted(out, "network.peer.port", at.port().into());
}

fn said(out: &mut Vec<u8>, name: &str, value: &str) {
    attribute(out, 9, name, Value::Text(value.as_bytes()));
}

fn counted(out: &mut Vec<u8>, name: &str, n: u64) {
    attribute(out, 9, name, Value::Number(n));
}

fn failed_with(out: &mut Vec<u8>, kind: &str, sentence: &str) {
    said(out, "error.type", kind);
    message(out, 15, |out| {
        if !sentence.is_empty() {
            bytes(out, 2, sentence.as_bytes());
        }
        number(out, 3, ERROR);
    });
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(PATH_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// `name:port` in its parts, an IPv6 address without its brackets; of a socket its path, of a service its name.
fn host_and_port(at: &str) -> (&str, Option<u16>) {
    if let Some(it) = at.strip_prefix("unix:").or_else(|| at.strip_prefix("srv:")) {
        return (it, None);
    }
    let (host, port) = match at.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse().ok())
        }
        _ => (at, None),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_in_its_parts() {
        for (at, parts) in [
            ("10.0.0.1:443", ("10.0.0.1", Some(443))),
            ("[2001:db8::7]:8443", ("2001:db8::7", Some(8443))),
            ("[2001:db8::7]", ("2001:db8::7", None)),
            ("api.internal:1", ("api.internal", Some(1))),
            ("api.internal", ("api.internal", None)),
            ("unix:/run/x:1.sock", ("/run/x:1.sock", None)),
            ("srv:_https._tcp.api.internal", ("_https._tcp.api.internal", None)),
            ("", ("", None)),
        ] {
            assert_eq!(host_and_port(at), parts, "{at}");
        }
    }

    #[test]
    fn a_long_path_is_cut_between_two_letters() {
        let long = "é".repeat(PATH_BYTES);
        assert_eq!(cut(&long).len(), PATH_BYTES);
        assert_eq!(cut(&format!("x{long}")).len(), PATH_BYTES - 1);
    }
}
