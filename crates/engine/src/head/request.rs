//! The head that goes to the backend, written afresh: hop-by-hop fields and everything that says who the client is are
//! gone first, then the edge says it itself (threats X01, X02, H10). Read next: `identity.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::websocket::KEY;
use crate::exchange::words::{BodyLen, Built, Fields};
use crate::head::identity::{Said, identity};
use everyhop_http1::{FieldId, binds_the_connection, write};
use everyhop_plan::UpstreamProtocol;
use everyhop_record::refusal::Refusal;
use everyhop_transport::h2::Asking;

/// Writes the head in the backend's protocol. `host` is whom the backend is asked for, `scratch` memory to use again.
pub(crate) fn build(
    said: &Said,
    (asked, host): (&Asked, &str),
    fields: &impl Fields,
    protocol: UpstreamProtocol,
    scratch: Vec<u8>,
) -> Result<Built, Refusal> {
    match protocol {
        // What cannot stand in both is refused, whichever the backend would choose this time. An expectation is met here in
        // both: nobody else can say in time who does.
        UpstreamProtocol::Auto if !asked.opens => {
            let request = h2(said, (asked, host), fields, Vec::new())?;
            Ok(Built::Either(h1(said, (asked, host), fields, scratch, |id| id != FieldId::Expect), Box::new(request)))
        }
        // A tunnel is opened on a connection that offers HTTP/1.1 alone, as browsers do it: any server takes that.
        UpstreamProtocol::Http1 | UpstreamProtocol::Auto => {
            Ok(Built::H1(h1(said, (asked, host), fields, scratch, |_| true)))
        }
        UpstreamProtocol::Http2 => h2(said, (asked, host), fields, scratch).map(Built::H2),
        // The matcher gives no request to such a route.
        UpstreamProtocol::Tcp => Err(Refusal::Misdirected),
    }
}

/// `traced`: which trace it is part of the edge says itself.
fn goes_on(id: FieldId, traced: bool) -> bool {
    let is_said_anew = matches!(id, FieldId::Host | FieldId::ContentLength | FieldId::EarlyData | FieldId::Proxy);
    let stays = id.is_identity() || is_said_anew || (traced && id.is_of_trace());
    !stays
}

fn h1(
    said: &Said,
    (asked, host): (&Asked, &str),
    fields: &impl Fields,
    mut out: Vec<u8>,
    goes_in_h1: impl Fn(FieldId) -> bool,
) -> Vec<u8> {
    out.clear();
    asked.binds.set(false);
    for part in [asked.method.as_str(), " ", asked.onward(), " HTTP/1.1\r\nhost: ", host, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let key = asked.key.as_ref().filter(|_| asked.websocket && asked.protocol == "h2");
    let traced = asked.trace.is_some();
    // Several Cookie fields of HTTP/2 become one (RFC 9113 §8.2.3).
    let mut cookies: Vec<u8> = Vec::new();
    fields.each(|id, name, value| {
        if asked.protocol == "h2" && name == b"cookie" {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
        } else if key.is_some() && name.eq_ignore_ascii_case(KEY) {
            // A client of HTTP/2 has none to send.
        } else if goes_on(id, traced) && goes_in_h1(id) {
            if id == FieldId::Authorization && binds_the_connection(value) {
                asked.binds.set(true);
            }
            write::field(&mut out, name, value);
        }
    });
    if !cookies.is_empty() {
        write::field(&mut out, b"cookie", &cookies);
    }
    identity(said, asked, |name, value| write::field(&mut out, name.as_bytes(), value));
    if let Some(trace) = &asked.trace {
        trace.tell(|name, value| write::field(&mut out, name.as_bytes(), value));
    }
    if asked.te_trailers {
        out.extend_from_slice(b"te: trailers\r\nconnection: TE\r\n");
    }
    if let Some(to) = asked.upgrade() {
        write::field(&mut out, b"upgrade", to.as_bytes());
        out.extend_from_slice(b"connection: Upgrade\r\n");
        if let Some(key) = key {
            write::field(&mut out, KEY, key.bytes());
        }
    }
    match asked.body {
        // RFC 9110 §8.6: no Content-Length where the method gives no meaning to content.
        BodyLen::None if matches!(asked.method.as_str(), "POST" | "PUT" | "PATCH") => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        BodyLen::None => {}
        BodyLen::Known(n) if !asked.announces => {
            out.extend_from_slice(b"content-length: ");
            write::number(&mut out, n);
            out.extend_from_slice(b"\r\n");
        }
        // In chunks, which alone have room for trailers.
        BodyLen::Known(_) | BodyLen::Unknown => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Refuses: a target that cannot stand in HTTP/2 (`<` in its query).
fn h2(said: &Said, (asked, host): (&Asked, &str), fields: &impl Fields, memory: Vec<u8>) -> Result<Asking, Refusal> {
    // HTTP/2 has no Upgrade (RFC 9113 §8.6).
    if asked.switches.is_some() {
        return Err(Refusal::UpgradeRefused);
    }
    let mut it = Asking::new(memory, &asked.method, host, asked.onward());
    if asked.websocket {
        // What a client of HTTP/1.1 is to be answered comes of its key.
        asked.key.ok_or(Refusal::BadFields)?;
        it = it.opens_websocket();
    }
    if !it.is_sayable() {
        return Err(Refusal::BadTarget);
    }
    if fields.has_secrets() {
        it = it.secret();
    }
    let traced = asked.trace.is_some();
    fields.each(|id, name, value| {
        if goes_on(id, traced) && id != FieldId::Expect && !(asked.websocket && name.eq_ignore_ascii_case(KEY)) {
            it.put(name, value);
        }
    });
    identity(said, asked, |name, value| it.put(name.as_bytes(), value));
    if let Some(trace) = &asked.trace {
        trace.tell(|name, value| it.put(name.as_bytes(), value));
    }
    if asked.te_trailers {
        it.put(b"te", b"trailers");
    }
    if let BodyLen::Known(n) = asked.body {
        let mut text = Vec::new();
        write::number(&mut text, n);
        it.put(b"content-length", &text);
    }
    Ok(it)
}
