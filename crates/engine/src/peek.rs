//! Peek: read the ClientHello, and the PROXY header before it where this peer must send one, and keep every byte.
//! Where the listener has a protocol that asks for TLS in the clear, that is answered in between. Bounded in bytes and time. Unreadable is not "no TLS": it is refused. Read next: `everyhop-hello`, which parses.

use crate::arrived::{Arrived, Clear, unmapped};
use crate::starttls;
use everyhop_canon::proxy::{self, ProxyRead};
use everyhop_hello::{self as hello, Peeked, Sni, Unreadable};
use everyhop_record::refusal::Refusal;

/// What the client said, as much as deciding needs.
pub(crate) struct Greeting {
    /// Canonical; `None` for no SNI or an IP literal.
    pub(crate) host: Option<String>,
    pub(crate) alpn: Vec<Vec<u8>>,
}

/// A PROXY v2 header with its TLVs is far smaller.
const PROXY_BYTES: usize = 4096;

/// Reads on until the hello is whole. Keeps: all bytes of the hello in `arrived.bytes`.
pub(crate) async fn peek(arrived: &mut Arrived) -> Result<Greeting, Refusal> {
    unwrap(arrived).await?;
    if let Some(words) = arrived.listening.starttls {
        starttls::answer(arrived, words).await?;
    }
    let limit = usize::try_from(arrived.running.limits().hello_bytes).unwrap_or(usize::MAX);
    loop {
        if !arrived.bytes.is_empty() {
            match hello::read(arrived.bytes.bytes(), limit) {
                Peeked::NeedMore => {}
                Peeked::Hello(said) => return greeting(said),
                Peeked::Unreadable(Unreadable::NotTls { .. }) if proxy::begins(arrived.bytes.bytes()) => {
                    return Err(Refusal::ProxyUnexpected);
                }
                Peeked::Unreadable(why) => return Err(unreadable(why)),
            }
        }
        arrived.fill(Refusal::HelloIncomplete).await?;
    }
}

/// Takes off the PROXY header, where this peer must send one, and counts the connection for whom it names.
pub(crate) async fn unwrap(arrived: &mut Arrived) -> Result<(), Refusal> {
    if must_send_proxy(arrived) {
        unwrap_proxy(arrived).await?;
        arrived.hold_source()?;
    }
    Ok(())
}

fn greeting(said: hello::Hello) -> Result<Greeting, Refusal> {
    let host = match said.sni {
        Sni::Absent | Sni::IpLiteral(_) => None,
        Sni::Name(name) => Some(name),
        Sni::Invalid(_) => return Err(Refusal::HelloInvalidName),
    };
    Ok(Greeting { host, alpn: said.alpn })
}

fn unreadable(why: Unreadable) -> Refusal {
    match why {
        Unreadable::NotTls { .. } => Refusal::NotTls,
        Unreadable::TooLong => Refusal::HelloTooLong,
        _ => Refusal::HelloMalformed,
    }
}

fn must_send_proxy(arrived: &Arrived) -> bool {
    let ip = arrived.peer.ip();
    arrived.listening.accept_proxy.iter().any(|c| c.contains(ip))
}

/// Takes the header off; the bytes after it stay.
async fn unwrap_proxy(arrived: &mut Arrived) -> Result<(), Refusal> {
    loop {
        match proxy::read(arrived.bytes.bytes()) {
            ProxyRead::Header(header) => {
                if let Some(said) = header.source() {
                    arrived.client = unmapped(said);
                }
                arrived.bytes.consume_keep(header.consumed);
                return Ok(());
            }
            ProxyRead::NeedMore if arrived.bytes.len() < PROXY_BYTES => {}
            ProxyRead::NeedMore | ProxyRead::Malformed(_) => return Err(Refusal::ProxyMalformed),
        }
        arrived.fill(Refusal::ProxyMalformed).await?;
    }
}

/// True if the client left without a byte, or with a goodbye alone, as health checks of load balancers and of clusters do: it
/// asked only whether somebody listens. A PROXY header speaks for such a check as well.
pub(crate) fn is_probe(arrived: &Arrived, why: Refusal) -> bool {
    let spoke = matches!(arrived.clear, Clear::Spoken | Clear::Refused(_));
    arrived.bytes.is_empty() && !spoke && matches!(why, Refusal::HelloIncomplete | Refusal::ProxyMalformed)
}

/// True if what came looks like the start of an HTTP/1 request.
pub(crate) fn is_http(arrived: &Arrived) -> bool {
    matches!(hello::read(arrived.bytes.bytes(), usize::MAX), Peeked::Unreadable(why) if why.is_http())
}
