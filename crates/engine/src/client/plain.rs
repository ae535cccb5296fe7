//! The answer to a request that came in the clear: sent to https, or told why not. Read next: `../admit/plain.rs`.

use crate::client::answer::{Answer, answer, call};
use crate::client::conn::Conn;
use crate::client::wants::Wants;
use crate::exchange::asked::Asked;
use crate::exchange::words::{Behind, BodyLen, Meta};
use everyhop_http1::write;
use everyhop_record::refusal::Refusal;
use std::fmt::Write;

/// How long a redirect may be remembered: long enough not to be asked for each time, short enough to be undone.
const REMEMBERED: &[u8] = b"max-age=3600";

/// The refusal as an answer, on whichever connection; one to https where that is what it says.
pub(crate) fn refusal(conn: &Conn, why: Refusal, asked: &Asked, wants: Wants) -> Answer {
    match (why, conn.https_port()) {
        (Refusal::PlainRedirected, Some(port)) => redirect(why, &location(asked, port), asked),
        (Refusal::PlainChallenged, _) => challenged(conn, asked),
        _ => {
            let page = |status| conn.opened.arrived.core.running()?.pages.as_ref()?.page(status);
            let mut it = answer(why, asked.shown_id(), asked.is_head(), wants, page);
            if why.asks_for_token() || why.asks_for_password() {
                it.fields.push(("www-authenticate".into(), challenge(why, asked)));
            }
            if let Some(cors) = &asked.cors {
                cors.each(|name, value| it.fields.push((name.into(), value.to_vec())));
            }
            if let Some(limited) = &asked.limited {
                limited.each(|name, value| it.fields.push((name.into(), value.to_vec())));
            }
            it
        }
    }
}

/// Which token is asked for, and what is wrong with the one that came (RFC 6750 §3). Who showed none is told no error. Of a
/// password nothing is told but that one is asked for (RFC 7617 §2).
#[cold]
pub(crate) fn challenge(why: Refusal, asked: &Asked) -> Vec<u8> {
    if why.is_of_password() {
        let realm = asked.realm.as_deref().unwrap_or(&asked.host);
        return format!("Basic realm=\"{realm}\", charset=\"UTF-8\"").into_bytes();
    }
    let mut it = format!("Bearer realm=\"{}\"", asked.host);
    let error = match why.status() {
        _ if why == Refusal::TokenMissing => return it.into_bytes(),
        400 => "invalid_request",
        403 => "insufficient_scope",
        _ => "invalid_token",
    };
    let _ = write!(it, ", error=\"{error}\", error_description=\"{} ({})\"", why.sentence(), why.slug());
    it.into_bytes()
}

/// The same to a call of gRPC.
pub(crate) fn called(why: Refusal, asked: &Asked) -> Answer {
    let mut it = call(why, asked.shown_id());
    if why.asks_for_token() || why.asks_for_password() {
        it.fields.push(("www-authenticate".into(), challenge(why, asked)));
    }
    if let Some(limited) = &asked.limited {
        limited.each_of_call(|name, value| it.fields.push((name.into(), value.to_vec())));
    }
    it
}

/// What the authority asked for, and nothing else (RFC 8555 §8.3).
fn challenged(conn: &Conn, asked: &Asked) -> Answer {
    let text = conn.opened.arrived.core.shared.challenges.http(&asked.host, asked.path()).unwrap_or_default();
    let body = text.as_bytes().to_vec();
    let fields = vec![("content-type".into(), b"application/octet-stream".to_vec())];
    let meta = Meta { status: 200, body: BodyLen::Known(body.len() as u64), behind: Behind::Nothing };
    let mut it = Answer { meta, fields, body: body.into() };
    if asked.is_head() {
        it.without_body();
    }
    it
}

fn redirect(why: Refusal, location: &str, asked: &Asked) -> Answer {
    let status = why.status();
    let body = format!("{status} {}\n\n{}: {location}\n", write::reason(status), why.sentence()).into_bytes();
    let fields = vec![
        ("location".into(), location.as_bytes().to_vec()),
        ("content-type".into(), b"text/plain; charset=utf-8".to_vec()),
        ("cache-control".into(), REMEMBERED.to_vec()),
        ("x-request-id".into(), asked.shown_id().to_string().into_bytes()),
    ];
    let meta = Meta { status, body: BodyLen::Known(body.len() as u64), behind: Behind::Nothing };
    let mut it = Answer { meta, fields, body: body.into() };
    if asked.is_head() {
        it.without_body();
    }
    it
}

/// What was asked for, with https: the host in its canonical form, path and query as they came, but for what stands in no
/// URI (RFC 3986 §2). `OPTIONS *` asks for no path (RFC 9112 §3.2.4).
fn location(asked: &Asked, port: u16) -> String {
    let mut it = format!("https://{}", asked.host);
    if port != 443 {
        let _ = write!(it, ":{port}");
    }
    for b in asked.target.bytes().filter(|_| asked.sent() != "*") {
        match b {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                let _ = write!(it, "%{b:02X}");
            }
            _ => it.push(char::from(b)),
        }
    }
    it
}
