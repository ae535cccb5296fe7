//! The client's side of a session that ended here: its requests in, their answers out. `h1.rs` and `h2.rs` speak with the
//! client; what becomes of one request is `request.rs`. No backend is spoken to here.
//! Read next: `request.rs`, then `h1.rs`.

pub(crate) mod answer;
mod asks;
pub(crate) mod believed;
pub(crate) mod conn;
mod copies;
mod denied;
mod ended;
mod given;
pub(crate) mod h1;
mod h1_conn;
mod h1_side;
mod h1_turn;
pub(crate) mod h2;
mod h2_side;
pub(crate) mod held;
mod inspected;
mod key;
mod keys;
pub(crate) mod known;
mod limited;
mod overheard;
mod owed;
mod plain;
mod question;
pub(crate) mod request;
pub(crate) mod tunnel;
mod wants;
mod windows;
mod work;

use crate::client::conn::Conn;
use crate::plain::Spoken;
use crate::terminate::Opened;
use everyhop_transport::buf::Buf;
use everyhop_transport::side::Wire;
use std::rc::Rc;

/// Serves the requests of a session that was opened, in a task of its own, and counts the handshake that went well.
pub(crate) fn serve(opened: Opened, wire: Wire) {
    let core = &opened.arrived.core;
    if let Some(running) = core.running() {
        running.elsewhere.of(core.index).handshakes.add(1);
    }
    let h2 = opened.facts.alpn.as_deref() == Some("h2");
    let chain = wire.session().and_then(|s| s.common().peer_certificates()).unwrap_or_default();
    begin(Conn::new(opened, chain), wire, Buf::default(), h2);
}

/// The same of a connection without TLS, whose first bytes were read already.
pub(crate) fn serve_plain(opened: Opened, wire: Wire, first: Buf, spoken: Spoken) {
    begin(Conn::new(opened, &[]), wire, first, spoken == Spoken::Http2);
}

fn begin(conn: Conn, wire: Wire, first: Buf, h2: bool) {
    let conn = Rc::new(conn);
    if h2 {
        tokio::task::spawn_local(h2::serve(conn, wire, first));
    } else {
        tokio::task::spawn_local(h1::serve(conn, wire, first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future<F: Future>(_: impl Fn(Rc<Conn>, Wire, Buf) -> F) -> usize {
        size_of::<F>()
    }

    /// The allocator has classes of 512, 640, 768, 896, 1024 and 1280 bytes; a task of the runtime is a multiple of 128, of which 104
    /// are its own; an `Rc` counts in 16.
    #[test]
    fn an_idle_connection_of_http1_holds_no_more_than_it_has_to() {
        assert!(size_of::<Conn>() <= 512 - 16, "{}", size_of::<Conn>());
        assert!(future(h1::serve) <= 512 - 104, "{}", future(h1::serve));
    }
}
