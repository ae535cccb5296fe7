//! Ended: the last word about a session that ended otherwise than behind a request: before the first one, or because
//! the client broke the protocol below them; and of requests of HTTP/2 that nobody could take. Others leave lines of their own.
//! Read next: `../exchange/observed.rs`.

use crate::client::conn::Conn;
use everyhop_http2::Fault;
use everyhop_record::line::Line;
use everyhop_record::refusal::Refusal;
use everyhop_transport::h2::Untaken;
use std::time::Instant;

/// What there is to be said of one.
struct Last {
    why: Refusal,
    detail: Option<&'static str>,
    protocol: Option<&'static str>,
    status: u16,
    began: Instant,
    bytes: (u64, u64),
}

/// Counts and observes it, as what reached no route.
pub(super) fn ended(conn: &Conn, why: Refusal, bytes_in: u64, bytes_out: u64) {
    let began = conn.opened.arrived.started;
    observe(conn, &Last { why, detail: None, protocol: None, status: 0, began, bytes: (bytes_in, bytes_out) });
}

/// The same of a request of HTTP/2 of which its client alone was told, by a reset or by 431 (RFC 9113 §8.1.1, RFC 6585 §5).
#[cold]
pub(super) fn untaken(conn: &Conn, it: Untaken) {
    let (why, detail, status) = match it {
        Untaken::TooLong => (Refusal::TooManyFields, "its head is longer than limits.h2_header_list_bytes", 431),
        Untaken::Broken(fault) => match fault {
            Fault::FieldName => (Refusal::BadFields, "a field's name is empty, no token, or has upper case", 0),
            Fault::FieldValue => {
                (Refusal::BadFields, "a field's value has a control character, or white space around it", 0)
            }
            Fault::ConnectionField => {
                (Refusal::BadFields, "it has a field of HTTP/1.1's connections, or TE is not \"trailers\"", 0)
            }
            Fault::ContentLength => (Refusal::BadFields, "Content-Length is no number, or two that differ", 0),
            Fault::Target => (Refusal::BadTarget, "its method, scheme, authority or path is none", 0),
            Fault::PseudoField => {
                (Refusal::Http2Broken, "a pseudo-field is unknown, twice, behind a field, or none of requests", 0)
            }
            Fault::Missing => (Refusal::Http2Broken, "a pseudo-field is missing", 0),
            Fault::BodyLength => (Refusal::Http2Broken, "its body is not as long as it was declared", 0),
            _ => (Refusal::Http2Broken, "its frames are none of a request", 0),
        },
    };
    let (protocol, began) = (Some("h2"), Instant::now());
    observe(conn, &Last { why, detail: Some(detail), protocol, status, began, bytes: (0, 0) });
}

fn observe(conn: &Conn, it: &Last) {
    let core = &conn.opened.arrived.core;
    let Some(running) = core.running() else { return };
    let stats = running.elsewhere.of(core.index);
    stats.refuse(it.why);
    let (micros, us) = core.clock().unix_micros(it.began);
    let line = Line {
        conn: conn.opened.line(),
        id: None,
        lines: &running.lines,
        hop: None,
        failed: &[],
        protocol: it.protocol,
        method: None,
        host: None,
        path: None,
        status: it.status,
        grpc: None,
        bytes_in: it.bytes.0,
        bytes_out: it.bytes.1,
        duration_us: us,
        end: it.why.slug(),
        detail: it.detail,
        told_id: None,
        kept: None,
        trace: None,
        token: None,
        user: None,
        beside: None,
    };
    stats.saw(micros, &line, &mut core.log.borrow_mut());
}
