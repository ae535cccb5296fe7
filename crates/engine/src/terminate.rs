//! Terminate: TLS ends here and only here. A hello and a site become an open session with its protocol, or a refusal
//! with its reason. Read next: `http/mod.rs`.

use crate::accept::Arrived;
use crate::client;
use crate::connection;
use crate::deadlines::Late;
use crate::line::{ConnFacts, ConnFragment, TlsFacts};
use crate::peek::Greeting;
use crate::refusal::Refusal;
use crate::side::{Sock, Wire, WireError};
use crate::tls::Session;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

/// A client connection whose TLS ended here.
pub(crate) struct Opened {
    pub(crate) arrived: Arrived,
    pub(crate) site: usize,
    pub(crate) facts: TlsFacts,
    /// The verified leaf and its issuers, DER, as the client sent them; empty where nobody proved anything.
    pub(crate) client_chain: Vec<Vec<u8>>,
    pub(crate) fragment: Rc<ConnFragment>,
}

pub(crate) async fn terminate(mut arrived: Arrived, hello: Greeting, site: usize) {
    let Some(at) = arrived.running.sites.get(site) else { return };
    let config = at.config.clone();
    let session = match Session::server(config) {
        Ok(session) => session,
        Err(e) => return connection::refuse(arrived, hello.host.as_deref(), Refusal::of_client(&e), b""),
    };
    let Some(sock) = arrived.sock.take() else { return };
    let mut wire = Wire::secured(Sock::Tcp(sock), session, std::mem::take(&mut arrived.bytes));
    let shaken = poll_fn(|cx| match wire.poll_handshake(cx) {
        Poll::Ready(r) => Poll::Ready(Ok(r)),
        Poll::Pending => arrived.watch.poll_late(cx).map(Err),
    })
    .await;
    let why = match shaken {
        Ok(Ok(())) => {
            wire.small_first();
            return serve(arrived, &hello, site, wire);
        }
        Ok(Err(WireError::Tls(e))) => Refusal::of_client(&e),
        Ok(Err(WireError::Io | WireError::Eof)) => Refusal::HandshakeClosed,
        Err(Late) => Refusal::HandshakeTooSlow,
    };
    let facts = wire.session().map(|s| TlsFacts::of(s.common())).unwrap_or_default();
    connection::observe(&arrived, hello.host.as_deref(), "failed", facts, why, wire.bytes_out);
}

/// Goes on in a task of its own: what the handshake needed is not held for the life of the connection.
fn serve(arrived: Arrived, hello: &Greeting, site: usize, wire: Wire) {
    let common = wire.session().map(Session::common);
    let facts = common.map(TlsFacts::of).unwrap_or_default();
    let chain = common.and_then(|c| c.peer_certificates()).unwrap_or_default();
    let client_chain = chain.iter().map(|c| c.as_ref().to_vec()).collect();
    let h2 = facts.alpn.as_deref() == Some("h2");
    let opened = opened(arrived, hello.host.as_deref(), site, facts, client_chain);
    if h2 {
        tokio::task::spawn_local(client::h2::serve(opened, wire));
    } else {
        tokio::task::spawn_local(client::h1::serve(opened, wire));
    }
}

/// The session with what each of its observations says.
pub(crate) fn opened(
    arrived: Arrived,
    sni: Option<&str>,
    site: usize,
    facts: TlsFacts,
    client_chain: Vec<Vec<u8>>,
) -> Opened {
    let fragment = Rc::new(ConnFragment::of(&ConnFacts {
        id: arrived.id,
        listener: arrived.listening().map_or("", |l| l.name.as_str()),
        peer: arrived.peer,
        client: arrived.client.ip(),
        sni,
        tls: "ended",
        facts: facts.clone(),
    }));
    Opened { arrived, site, facts, client_chain, fragment }
}
