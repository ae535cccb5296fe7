//! The path of a connection on one page: arrived, greeted, decided; then spliced, or terminated and served, or refused.
//! Each step is one function of the stage's own file. Read next, in this order: `peek.rs`, `splice.rs`, `terminate.rs`.

use crate::accept::Arrived;
use crate::line::{ConnFacts, ConnFragment, Line, TlsFacts};
use crate::refusal::Refusal;
use crate::{peek, splice, terminate};
use everyhop_decide::{HelloRefusal, Verdict};

/// RFC 8446 §6: a fatal alert in a record of its own; 112 is unrecognized_name (RFC 6066 §3).
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
/// 50 is decode_error.
const DECODE_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 50];
/// Someone speaks plain HTTP to a TLS port: told once, in their own language.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 42\r\n\
Connection: close\r\n\r\nthis port speaks TLS only: use https://...";

/// A whole hello and then some.
const WASTED_READS: usize = 16;

/// Serves one connection to its end.
pub(crate) async fn serve(mut arrived: Arrived) {
    arrived.watch.within_s(arrived.running.limits().handshake_s);
    let hello = match peek::peek(&mut arrived).await {
        Ok(hello) => hello,
        Err(why) => {
            let answer = match why {
                Refusal::NotTls if peek::is_http(&arrived) => PLAIN_HTTP,
                Refusal::HelloMalformed | Refusal::HelloTooLong | Refusal::HelloInvalidName => DECODE_ERROR,
                _ => b"",
            };
            return refuse(arrived, None, why, answer);
        }
    };
    let listener = arrived.listening().map_or("", |l| l.name.as_str());
    let verdict = arrived.running.matcher.hello(listener, hello.host.as_deref());
    // Before a key is used or a backend is asked.
    if arrived.held.is_some() && !arrived.core.shared.sources.may_shake(arrived.client.ip(), arrived.running.limits()) {
        return refuse(arrived, hello.host.as_deref(), Refusal::SourceHandshakes, b"");
    }
    match verdict {
        Verdict::Splice(route) => splice::splice(arrived, hello, route).await,
        Verdict::Terminate(site) => terminate::terminate(arrived, hello, site).await,
        Verdict::Refuse(why) => {
            let why = match why {
                HelloRefusal::NoSni => Refusal::NoSni,
                HelloRefusal::UnknownSni => Refusal::UnknownSni,
            };
            refuse(arrived, hello.host.as_deref(), why, UNRECOGNIZED_NAME);
        }
    }
}

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
    observe(&arrived, sni, "none", TlsFacts::default(), why, answer.len() as u64);
}

/// Writes the observation of a connection that reached no route.
pub(crate) fn observe(it: &Arrived, sni: Option<&str>, tls: &'static str, facts: TlsFacts, why: Refusal, out: u64) {
    let stats = it.running.elsewhere.of(it.core.index);
    stats.connections.add(1);
    stats.refuse(why);
    let conn = ConnFragment::of(&ConnFacts {
        id: it.id,
        listener: it.listening().map_or("", |l| l.name.as_str()),
        peer: it.peer,
        client: it.client.ip(),
        sni,
        tls,
        facts,
    });
    let (micros, us) = it.core.clock().unix_micros(it.started);
    let line = Line {
        conn: &conn,
        id: None,
        labels: &it.running.labels,
        hop: None,
        protocol: None,
        method: None,
        host: None,
        path: None,
        status: 0,
        bytes_in: it.bytes.len() as u64,
        bytes_out: out,
        duration_us: us,
        end: why.slug(),
    };
    stats.saw(micros, &line, &mut it.core.log.borrow_mut());
}
