//! Challenged: an authority asks whether a name is ours, by a handshake that shows the certificate of its challenge and ends (RFC 8737).
//! Nothing is served inside it. Read next: `everyhop_running::challenges`, which has what is pending.

use crate::arrived::Arrived;
use crate::peek::Greeting;
use crate::refuse;
use everyhop_record::facts::TlsFacts;
use everyhop_record::refusal::Refusal;
use everyhop_transport::side::Wire;
use everyhop_transport::sock::Sock;
use everyhop_transport::tls::Session;
use rustls::ServerConfig;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Shakes hands, and says that it was done.
pub(crate) async fn answer(mut arrived: Arrived, hello: &Greeting, config: Arc<ServerConfig>) {
    let (Ok(session), Some(sock)) = (Session::server(config), arrived.sock.take()) else { return };
    let mut wire = Wire::secured(Sock::Tcp(sock), session, std::mem::take(&mut arrived.bytes));
    let shaken = poll_fn(|cx| match wire.poll_handshake(cx) {
        Poll::Ready(it) => Poll::Ready(it.map_err(|_| Refusal::HandshakeClosed)),
        Poll::Pending => arrived.watch.poll_late(cx).map(|_| Err(Refusal::HandshakeTooSlow)),
    })
    .await;
    let why = shaken.err().unwrap_or(Refusal::ChallengeShown);
    if why == Refusal::ChallengeShown {
        // Whether it waits for our goodbye is its own affair.
        poll_fn(|cx| match wire.poll_close(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => arrived.watch.poll_late(cx).map(|_| ()),
        })
        .await;
    }
    let facts = wire.session().map(|s| TlsFacts::of(s.common())).unwrap_or_default();
    let word = if why == Refusal::ChallengeShown { "ended" } else { "failed" };
    refuse::observe(&arrived, hello.host.as_deref(), refuse::Tls { word, facts, refused: None }, why, wire.bytes_out);
}
