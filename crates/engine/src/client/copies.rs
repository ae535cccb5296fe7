//! Copies of requests for their route's mirror: which are made, with what head, and what becomes of them. A copy goes once the
//! request is all there, by a task of its own: no request waits for it, and nobody is told what the mirror says.
//! Read next: `../exchange/copied.rs`, `../backend/reach.rs`.

use crate::backend::spread::chance;
use crate::client::conn::Conn;
use crate::exchange::asked::Asked;
use crate::exchange::both_ways::{Exchange, Terms};
use crate::exchange::carry::Reached;
use crate::exchange::copied::{Copied, Goes};
use crate::exchange::edits::{Edited, Editing, NO_EDITS};
use crate::exchange::methods::is_idempotent;
use crate::exchange::sides::{Backend, Client};
use crate::exchange::tries::Tries;
use crate::exchange::unstuck::Unstuck;
use crate::exchange::words::{BodyLen, Built, Fields, Gone, Got, Meta, Needs};
use crate::head::request as head;
use crate::worker::core::Core;
use everyhop_http1::FieldId;
use everyhop_record::refusal::Refusal;
use everyhop_running::mirror::{Copying, MirrorRun, Outcome};
use everyhop_running::running::RouteRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watch, in_time};
use everyhop_transport::shares::BACKENDS;
use http::HeaderMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// What of an answer is read, so that its connection may be used again; a longer one ends it.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Begins the copy of a request, if chance chooses it and it can be copied. `to`: the request, and whom its own backend is
/// asked for.
#[cold]
#[inline(never)]
pub(super) fn begin<V: Fields>(
    conn: &Conn,
    to: (&Asked, &str),
    view: &V,
    (route, mirror): (&RouteRun, &Arc<MirrorRun>),
    generation: u64,
) -> Option<Box<Copied>> {
    if !is_chosen(mirror.by.share_per_million, chance()) {
        return None;
    }
    let (asked, _) = to;
    if asked.opens || asked.grpc {
        mirror.count(Outcome::Unfit);
        return None;
    }
    if matches!(asked.body, BodyLen::Known(n) if n > u64::from(mirror.by.body_bytes)) {
        mirror.count(Outcome::TooLong);
        return None;
    }
    // Requests come first: a copy takes nothing of what they may need.
    if BACKENDS.is_half_used() {
        mirror.count(Outcome::Busy);
        return None;
    }
    let copying = mirror.begin()?;
    let binds = asked.binds.get();
    let built = built(conn, to, view, route, mirror);
    let Some(built) = built.filter(|_| !asked.binds.replace(binds)) else {
        asked.binds.set(binds);
        let mut copying = copying;
        copying.is(Outcome::Unfit);
        return None;
    };
    let by = Copy {
        core: conn.opened.arrived.core.clone(),
        mirror: mirror.clone(),
        generation,
        asked: asked.to_copy(),
        built,
        copying,
    };
    Some(Box::new(Copied::new(usize::try_from(mirror.by.body_bytes).unwrap_or(0), Box::new(by))))
}

/// `chance`: anything, one as likely as another.
fn is_chosen(share_per_million: u32, chance: u64) -> bool {
    (u128::from(chance) * 1_000_000) >> 64 < u128::from(share_per_million)
}

/// The copy's head: as the request's own, with what is changed for the mirror alone. Nothing is expected of a mirror
/// (RFC 9110 §10.1.1): the copy's body is there.
fn built<V: Fields>(conn: &Conn, to: (&Asked, &str), view: &V, route: &RouteRun, mirror: &MirrorRun) -> Option<Built> {
    let (asked, knows) = (to.0, conn);
    let protocol = mirror.to.backends.first()?.protocol;
    let by = |edits| Editing { edits, asked, knows };
    let (own, more) =
        (by(route.request.as_ref().unwrap_or(&NO_EDITS)), by(mirror.request.as_ref().unwrap_or(&NO_EDITS)));
    let view = Unexpecting(view);
    let built = match route.spread.as_ref().and_then(|it| it.sticky.as_ref()) {
        Some(sticky) => {
            let fields = Edited { fields: Unstuck { fields: view, sticky }, by: own };
            head::build(&conn.said, to, &Edited { fields, by: more }, protocol, Vec::new())
        }
        None => {
            let fields = Edited { fields: view, by: own };
            head::build(&conn.said, to, &Edited { fields, by: more }, protocol, Vec::new())
        }
    };
    built.ok()
}

/// A request's fields without its expectation.
struct Unexpecting<'a, F>(&'a F);

impl<F: Fields> Fields for Unexpecting<'_, F> {
    fn has_secrets(&self) -> bool {
        self.0.has_secrets()
    }

    fn each(&self, mut f: impl FnMut(FieldId, &[u8], &[u8])) {
        self.0.each(|id, name, value| {
            if id != FieldId::Expect {
                f(id, name, value);
            }
        });
    }
}

/// A copy that waits for its body.
struct Copy {
    core: Rc<Core>,
    mirror: Arc<MirrorRun>,
    /// Of the plan by which it was begun.
    generation: u64,
    asked: Asked,
    built: Built,
    copying: Copying,
}

impl Goes for Copy {
    fn goes(self: Box<Self>, body: Buf, trailers: Option<HeaderMap>) {
        // A body may take its time: where the plan that runs now has the mirror no more, nothing goes there.
        let stands = self.core.running().is_some_and(|now| {
            now.generation == self.generation || self.mirror.to.used().all(|b| now.uses_hop(b.hop_id))
        });
        if stands {
            tokio::task::spawn_local(Box::pin(self.send(body, trailers)));
        }
    }

    fn is_too_long(mut self: Box<Self>, _: Buf) {
        self.copying.is(Outcome::TooLong);
    }
}

impl Copy {
    async fn send(self: Box<Self>, body: Buf, trailers: Option<HeaderMap>) {
        let mut it = *self;
        it.copying.is(Outcome::Failed);
        let whole = it.core.watch();
        whole.within_s(it.mirror.by.timeout_s);
        let mut client = Thrown { body, trailers, given: false, status: 0, read: 0 };
        let watch = it.core.watch();
        let late = in_time(&whole, it.exchanged(&mut client, &watch)).await.is_err();
        it.copying.is(match (client.status, late) {
            (0, true) => Outcome::Late,
            (0, false) => Outcome::Failed,
            (500.., _) => Outcome::Error,
            _ => Outcome::Answered,
        });
    }

    /// As `carry`, where nobody waits for an answer. What came to nothing is told where the hop is told of.
    async fn exchanged(&self, client: &mut Thrown, watch: &Watch) {
        let (route, backends, began) = (&self.mirror.to, &self.core.backends, Instant::now());
        let limits = &*route.limits;
        let mut tries = Tries::default();
        let mut again = false;
        loop {
            let reached = backends.reach(self.generation, route, Needs::Either, &mut tries, again, client).await;
            let Ok(Reached { backend, mut up, reused }) = reached else { return };
            let _ = route.sends_to(&backend);
            up.start(&self.built, &self.asked);
            watch.within_s(limits.body_progress_s);
            let terms = Terms { limits, upgrade: false, request: None, again: None, shaping: None };
            let mut exchange = Exchange::new(self.asked.body, false);
            let ended = poll_fn(|cx| exchange.poll(cx, client, &mut up, watch, &terms)).await;
            let Err(why) = ended else {
                backends.answered(route, &up, client.status);
                if let Some(running) = self.core.running() {
                    backends.take_back(&running, route, up, exchange.sent_all());
                }
                return;
            };
            backends.broke(route, (&up, reused), why, began, &mut tries);
            // As for a request: a kept connection may have died of age, and twice must be as good as once.
            let died = reused && !up.answered() && is_idempotent(&self.asked.method);
            if again || client.status != 0 || !(died || up.was_unprocessed()) {
                return;
            }
            again = true;
            client.given = false;
        }
    }
}

/// The side of a client that has sent all and throws away what it is answered.
struct Thrown {
    body: Buf,
    trailers: Option<HeaderMap>,
    /// The body was.
    given: bool,
    /// What it was answered with; 0 before that.
    status: u16,
    read: usize,
}

impl Client for Thrown {
    fn poll_body(&mut self, _: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        if self.given || self.body.is_empty() {
            return Poll::Ready(Ok(Got::End));
        }
        self.given = true;
        into.push(self.body.bytes());
        Poll::Ready(Ok(Got::Some))
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.clone()
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn informational(&mut self, _: u16, _: &impl Fields) {}

    fn head(&mut self, meta: &Meta, _: &impl Fields) {
        self.status = meta.status;
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, _: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Gone>> {
        self.read = self.read.saturating_add(from.len());
        from.consume(from.len());
        Poll::Ready(if self.read > ANSWER_BYTES { Err(Gone) } else { Ok(()) })
    }

    fn finish(&mut self, _: Option<HeaderMap>) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_is_each_request_and_of_none_no_request() {
        for chance in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(is_chosen(1_000_000, chance) && !is_chosen(0, chance));
        }
        let chosen =
            |share| (0..10_000).filter(|i| is_chosen(share, u64::MAX / 10_000 * i + u64::MAX / 20_000)).count();
        assert_eq!((chosen(100_000), chosen(500_000), chosen(100)), (1000, 5000, 1));
    }
}
