//! Refuse: the end of a connection that reached no route: an answer that goes at once or not at all, an observation, a count.
//! Nothing is decided here. Read next: `connection.rs`, which says when.

use crate::arrived::Arrived;
use everyhop_record::certificate::Refused;
use everyhop_record::facts::TlsFacts;
use everyhop_record::line::{ConnFacts, ConnLine, Line};
use everyhop_record::refusal::Refusal;
use std::cell::OnceCell;

/// A fatal alert in a record of its own (RFC 8446 §6); 112 is unrecognized_name (RFC 6066 §3).
pub(crate) const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
/// The same with decode_error, which is 50.
pub(crate) const DECODE_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 50];
/// For a client that speaks plain HTTP to a TLS port: told once, in its own language.
pub(crate) const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 42\r\n\
Connection: close\r\n\r\nthis port speaks TLS only: use https://...";

/// As many as a whole hello takes, and then some.
const WASTED_READS: usize = 16;

/// Ends a connection before TLS: an answer that goes at once or not at all, an observation, a count.
pub(crate) fn refuse(arrived: Arrived, sni: Option<&str>, why: Refusal, answer: &[u8]) {
    if let (Some(sock), false) = (&arrived.sock, answer.is_empty()) {
        // What was already received is thrown away first: closing over unread bytes would reset the answer away. Bounded,
        // since whoever sends faster than we read would hold the thread here.
        let mut waste = [0u8; 4096];
        let mut reads = 0..WASTED_READS;
        while reads.next().is_some() && matches!(sock.try_read(&mut waste), Ok(n) if n > 0) {}
        let _ = sock.try_write(answer);
    }
    let tls = Tls { word: "none", facts: TlsFacts::default(), refused: None };
    observe(&arrived, sni, tls, why, answer.len() as u64);
}

/// What became of TLS on a connection that reached no route.
pub(crate) struct Tls {
    /// `failed` or `none`.
    pub(crate) word: &'static str,
    pub(crate) facts: TlsFacts,
    pub(crate) refused: Option<Refused>,
}

/// Nobody was refused: it is counted, and has no line, since some ask every second.
pub(crate) fn probed(it: &Arrived) {
    it.running.elsewhere.of(it.core.index).probes.add(1);
}

/// Writes the observation of a connection that reached no route.
pub(crate) fn observe(it: &Arrived, sni: Option<&str>, tls: Tls, why: Refusal, out: u64) {
    let stats = it.running.elsewhere.of(it.core.index);
    stats.connections.add(1);
    stats.refuse(why);
    let fragment = OnceCell::new();
    let conn = ConnFacts {
        id: it.id,
        listener: &it.listening.name,
        peer: it.peer,
        client: it.client.ip(),
        sni,
        tls: tls.word,
        facts: &tls.facts,
        refused: tls.refused.as_ref(),
    };
    let (micros, us) = it.core.clock().unix_micros(it.started);
    let line = Line {
        conn: ConnLine::Known(conn, &fragment),
        id: None,
        lines: &it.running.lines,
        hop: None,
        failed: &[],
        protocol: None,
        method: None,
        host: None,
        path: None,
        status: 0,
        grpc: None,
        bytes_in: it.bytes.len() as u64,
        bytes_out: out,
        duration_us: us,
        end: why.slug(),
        detail: None,
        told_id: None,
        kept: None,
        trace: None,
        token: None,
        user: None,
        beside: None,
    };
    stats.saw(micros, &line, &mut it.core.log.borrow_mut());
}
