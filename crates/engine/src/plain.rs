//! Plain: a connection of a listener where HTTP comes in the clear. What it speaks is told by its first bytes, all of which
//! are kept; then it is opened without TLS. No request is judged here. Read next: `admit/plain.rs`.

use crate::arrived::Arrived;
use crate::peek;
use crate::terminate::Opened;
use everyhop_canon::proxy;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::side::Wire;
use everyhop_transport::sock::Sock;

/// What a client speaks in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    /// By prior knowledge (RFC 9113 §3.3).
    Http2,
}

/// What a client of HTTP/2 says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The type of a TLS record with a handshake message; no method begins with it.
const HANDSHAKE: u8 = 22;

/// For a client that begins TLS where HTTP comes in the clear: told once, in the words of the port.
pub(crate) const TLS_HERE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 66\r\n\
Connection: close\r\n\r\nthis port speaks plain HTTP: TLS is spoken at another one of its.\n";

/// Reads on until it is known what is spoken. Keeps: all bytes of it in `arrived.bytes`.
pub(crate) async fn peek(arrived: &mut Arrived) -> Result<Spoken, Refusal> {
    arrived.watch.within_s(arrived.running.limits().head_s);
    peek::unwrap(arrived).await?;
    loop {
        let bytes = arrived.bytes.bytes();
        match bytes.first() {
            Some(&HANDSHAKE) => return Err(Refusal::PlainTls),
            Some(_) if proxy::begins(bytes) => return Err(Refusal::ProxyUnexpected),
            Some(_) if bytes.starts_with(PREFACE) => return Ok(Spoken::Http2),
            Some(_) if !PREFACE.starts_with(bytes) => return Ok(Spoken::Http1),
            _ => {}
        }
        let begun = !arrived.bytes.is_empty();
        arrived.fill(Refusal::HelloIncomplete).await.map_err(|why| match why {
            Refusal::HelloTooSlow => Refusal::RequestTooSlow,
            _ if begun => Refusal::BodyTruncated,
            why => why,
        })?;
    }
}

/// The connection as it is served, with what was read of it; `None` where its socket is gone.
pub(crate) fn open(mut arrived: Arrived) -> Option<(Opened, Wire, Buf)> {
    let (sock, first) = (arrived.sock.take()?, std::mem::take(&mut arrived.bytes));
    Some((Opened::in_the_clear(arrived), Wire::plain(Sock::Tcp(sock)), first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_tls_is_as_long_as_it_says() {
        let text = String::from_utf8_lossy(TLS_HERE);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head} {}", body.len());
    }
}
