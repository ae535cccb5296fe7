//! The connection of a health check that is kept for the checks after it, where the backend lets it: a handshake is most of
//! what a check costs. It is asked over for less than a minute, while all that it was opened by holds and nothing speaks
//! against the address; where anything does, a check opens one of its own, on which the backend proves again who it is.
//! Read next: `check_asks.rs`, which asks over it.

use crate::backend::h1::H1Up;
use crate::backend::h2::H2Conn;
use crate::backend::link::Link;
use crate::backend::spread::part;
use crate::exchange::words::Got;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::Address;
use everyhop_transport::buf::Buf;
use everyhop_transport::clock::Clock;
use everyhop_transport::shares::BACKENDS;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

/// How long one is asked over; the docs say so.
const KEPT_S: u32 = 60;
/// What of an answer's body is read, so that the next answer may come behind it.
pub(crate) const BODY_BYTES: usize = 16 * 1024;

pub(crate) enum Spoken {
    Http1(Box<H1Up>),
    Http2(Rc<H2Conn>),
}

/// A connection over which checks ask, one after the other.
pub(crate) struct Kept {
    pub(crate) spoken: Spoken,
    until_ms: u64,
    /// What of the last answer's body was read.
    read: usize,
    body_ended: bool,
}

impl Kept {
    /// Those that were opened together do not end together.
    pub(crate) fn new(spoken: Spoken, clock: &Clock) -> Kept {
        let most_ms = u64::from(KEPT_S) * 1000;
        let until_ms = clock.now_ms.get() + most_ms * 3 / 4 + part(most_ms / 4);
        Kept { spoken, until_ms, read: 0, body_ended: true }
    }

    fn link(&self) -> &Link {
        match &self.spoken {
            Spoken::Http1(up) => &up.link,
            Spoken::Http2(conn) => &conn.link,
        }
    }

    /// It leads there, and to nowhere that had the same address before.
    pub(crate) fn is_to(&self, address: &Address) -> bool {
        Arc::ptr_eq(&self.link().address.fares, &address.fares)
    }

    /// It is to be there for a check that comes then. Requests come first: where connections to backends have taken half of
    /// what the process may open, none is kept.
    pub(crate) fn lasts(&self, next_ms: u64) -> bool {
        next_ms < self.until_ms && !BACKENDS.is_half_used()
    }

    /// One more check may be asked over it.
    pub(crate) async fn holds(&mut self, clock: &Clock) -> bool {
        let link = self.link();
        let fares = &link.address.fares;
        // A request that failed to reach it, or saw another's certificate, is not answered by an old handshake.
        let is_doubted =
            fares.rests() || fares.impostor.load(Ordering::Relaxed) || fares.failures.load(Ordering::Relaxed) > 0;
        let is_over = clock.now_ms.get() >= self.until_ms || clock.unix_s.get() >= link.ends().0;
        if is_doubted || is_over || !self.reads_on().await {
            return false;
        }
        match &self.spoken {
            Spoken::Http1(up) => self.body_ended && up.is_reusable() && up.is_quiet(),
            Spoken::Http2(conn) => conn.is_open(),
        }
    }

    /// The head of an answer was read, and its body follows.
    pub(crate) fn at_body(&mut self, clock: &Clock) {
        if let Spoken::Http1(up) = &mut self.spoken {
            self.until_ms = self.until_ms.min(clock.now_ms.get() + up.idle_ms(KEPT_S));
            up.pass_over();
            (self.read, self.body_ended) = (0, false);
        }
    }

    /// More of the body of an answer by HTTP/1.1; it is waited for.
    pub(crate) async fn some_of_body(&mut self, some: &mut Buf) -> Result<Got, Box<Failure>> {
        let Kept { spoken: Spoken::Http1(up), read, body_ended, .. } = self else { return Ok(Got::End) };
        let got = poll_fn(|cx| up.poll_data(cx, some)).await;
        let got = got.map_err(|why| Box::new(up.link.failure(why, up.rule(), 0)))?;
        *read += some.len();
        *body_ended = got == Got::End;
        Ok(got)
    }

    /// The check passed, and the next one comes at `next_ms` at the latest. Nothing where there is no other answer to come.
    pub(crate) async fn after(mut self, next_ms: u64) -> Option<Kept> {
        let lasts = self.lasts(next_ms) && self.reads_on().await;
        let says_so = match &self.spoken {
            Spoken::Http1(up) => !self.body_ended || up.is_reusable(),
            Spoken::Http2(conn) => conn.is_open(),
        };
        (lasts && says_so).then_some(self)
    }

    /// Reads of the body what came by now, and waits for nothing. False where it is longer than is read, or broke.
    async fn reads_on(&mut self) -> bool {
        let Kept { spoken: Spoken::Http1(up), read, body_ended, .. } = self else { return true };
        poll_fn(|cx| {
            while !*body_ended {
                let mut some = Buf::default();
                match up.poll_data(cx, &mut some) {
                    Poll::Ready(Ok(Got::End)) => *body_ended = true,
                    Poll::Ready(Ok(Got::Some)) => *read += some.len(),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => break,
                }
                if *read > BODY_BYTES {
                    return Poll::Ready(false);
                }
            }
            Poll::Ready(true)
        })
        .await
    }
}

/// What says of a kept connection that it is over, and of the backend nothing: it may have closed it as the question came.
pub(crate) fn died(why: Refusal) -> bool {
    use Refusal::{BackendClosed, BackendReset, BackendTls, HopRenegotiation};
    matches!(why, BackendClosed | BackendReset | BackendTls | HopRenegotiation)
}
