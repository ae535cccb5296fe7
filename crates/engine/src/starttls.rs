//! A client's request for TLS in the words of its own protocol, before its hello: answered with a yes, since nothing is
//! served here without. Nothing that came in the clear gets into the session: whoever sends more than the request before it
//! has its answer is refused (the kind of CVE-2011-0411). What is said is `everyhop_hello::clear`'s; this carries it.
//! Read next: `peek.rs`, which reads the hello behind it.

use crate::arrived::{Arrived, Clear, unmapped};
use crate::backend::preface::protocol;
use everyhop_hello::clear::{Heard, Talk};
use everyhop_plan::StartTls;
use everyhop_record::refusal::Refusal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Greets, where that is the server's to do, and answers until TLS begins.
pub(crate) async fn answer(arrived: &mut Arrived, words: StartTls) -> Result<(), Refusal> {
    let mut talk = Talk::new(protocol(words), reached_at(arrived));
    say(arrived, &talk.greeting())?;
    loop {
        let ended = if talk.was_denied() { Refusal::TlsNotAsked } else { Refusal::HelloIncomplete };
        match talk.hear(arrived.bytes.bytes()) {
            Heard::NeedMore => arrived.fill(ended).await?,
            Heard::AtOnce => return Ok(()),
            Heard::Answer { consumed, says } => {
                arrived.bytes.consume_keep(consumed);
                arrived.clear = Clear::Spoken;
                say(arrived, &says)?;
            }
            Heard::Begins { says } => {
                arrived.bytes.consume_keep(arrived.bytes.len());
                arrived.clear = Clear::Spoken;
                return say(arrived, &says);
            }
            Heard::Leaves { says } => {
                arrived.bytes.consume_keep(arrived.bytes.len());
                arrived.clear = Clear::Left;
                say(arrived, &says)?;
                return Err(ended);
            }
            Heard::Early => return Err(Refusal::EarlyBytes),
            Heard::Refused { says } => {
                arrived.clear = Clear::Refused(says);
                return Err(Refusal::TlsNotAsked);
            }
        }
    }
}

/// A few bytes to a client that waits for them: they go at once, or nobody is there.
fn say(arrived: &Arrived, words: &[u8]) -> Result<(), Refusal> {
    let written = arrived.sock.as_ref().map(|sock| sock.try_write(words));
    match words.is_empty() || matches!(written, Some(Ok(n)) if n == words.len()) {
        true => Ok(()),
        false => Err(Refusal::HelloIncomplete),
    }
}

fn reached_at(arrived: &Arrived) -> IpAddr {
    let local = arrived.sock.as_ref().and_then(|s| s.local_addr().ok()).map(unmapped);
    local.as_ref().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip)
}
