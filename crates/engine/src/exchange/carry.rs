//! Carry: an admitted request goes to a backend and its answer comes back, perhaps at a second try, and is observed.
//! Sent again is only what no backend can have acted on. Read next: `both_ways.rs`, then `observed.rs`.

use crate::exchange::again::Again;
use crate::exchange::asked::Asked;
use crate::exchange::both_ways::{Exchange, Terms};
use crate::exchange::copied::Copied;
use crate::exchange::edits::{Knows, Shaping};
use crate::exchange::limited::Within;
use crate::exchange::methods::is_idempotent;
use crate::exchange::observed::{Observer, Seen, record};
use crate::exchange::sides::{Backend, Client, is_gone};
use crate::exchange::tries::Tries;
use crate::exchange::turn;
use crate::exchange::words::{Built, Needs};
use everyhop_record::failure::Failure;
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_running::backend::BackendRun;
use everyhop_running::running::{RouteRun, Running};
use everyhop_running::turns::{Turn, Turns};
use everyhop_transport::deadlines::Watch;
use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// What carrying needs of the connection that a request came by, and of its thread.
pub(crate) trait Carrier: Knows {
    type Up: Backend;
    /// Finds a backend that takes the request; see `backend/reach.rs`.
    fn reach(
        &self,
        generation: u64,
        route: &RouteRun,
        needs: Needs,
        tries: &mut Tries,
        fresh: bool,
        client: &mut impl Client,
    ) -> impl Future<Output = Result<Reached<Self::Up>, Refusal>>;
    /// An exchange over it ended so; the bool: over a connection that had served before.
    fn broke(&self, route: &RouteRun, up: (&Self::Up, bool), why: Refusal, began: Instant, tries: &mut Tries);
    /// Takes the backend's side of a finished request back, to be used again if it can be.
    fn give_back(&self, route: &RouteRun, up: Self::Up, sent_all: bool);
    /// An exchange over it ended well, with that status.
    fn answered(&self, route: &RouteRun, up: &Self::Up, status: u16);
    /// A backend began its answer late, or has not begun it while its client waited.
    fn slow(&self, route: &RouteRun, up: &Self::Up);
    /// A drain's time is over.
    fn is_overdue(&self) -> bool;
    /// Unix time at which the client's own hop closes, where it is open and was accepted; `i64::MAX` where nothing expires.
    fn closes_at_s(&self) -> i64;
    /// When what goes over an accepted plaintext hop must be over, in this thread's milliseconds and by the clock as it is
    /// now; `u64::MAX` where nothing expires. What began in time gets a drain's time.
    fn closes_ms(&self, closes_at_s: i64, drain_s: u32) -> u64;
    fn observer(&self) -> Observer<'_>;
}

/// A backend with the side that speaks to it.
pub(crate) struct Reached<U> {
    pub(crate) backend: Arc<BackendRun>,
    pub(crate) up: U,
    /// The connection has served before.
    pub(crate) reused: bool,
}

/// A request that may go, with its head for the backend.
pub(crate) struct Ready {
    pub(crate) running: Arc<Running>,
    /// The index of its route.
    pub(crate) route: usize,
    pub(crate) built: Built,
    /// Who takes a copy of it, where its route has a mirror and chance chose it, or it is inspected while it goes on.
    pub(crate) copied: Cell<Option<Box<Copied>>>,
    /// As what its limits count it while it is under way; nothing where its route has none.
    pub(crate) within: Option<Box<Within>>,
}

/// How carrying a request ended.
pub(crate) enum Carried<U> {
    /// The response is complete. `read_all`: so is the request.
    Done { read_all: bool },
    /// Nothing was answered yet; the client is owed this.
    Refused(Refusal),
    /// The response began and cannot be completed, or the client left.
    Cut,
    /// The connection now belongs to this tunnel.
    Switched(Switched<U>),
}

/// What a tunnel needs: the backend's connection and what its observation says.
pub(crate) struct Switched<U> {
    pub(crate) up: U,
    pub(crate) reused: bool,
    pub(crate) began: Instant,
    /// What was tried before, and that it is under way there as long as the tunnel is open.
    pub(crate) tries: Box<Tries>,
    /// It is under way as long as the tunnel is open.
    pub(crate) turn: Option<Turn>,
}

/// Carries an admitted request: a backend, the exchange, its observation.
pub(crate) async fn carry<C: Carrier>(
    carrier: &C,
    asked: &Asked,
    ready: &mut Ready,
    client: &mut impl Client,
    watch: &Watch,
    began: Instant,
) -> Carried<C::Up> {
    let Ready { running, route, built, copied, within: _ } = ready;
    let running = &*running;
    let Some(route) = running.route(*route) else { return Carried::Refused(Refusal::NotFound) };
    let limits = &*route.limits;
    let now_ms = || carrier.observer().clock.now_ms.get();
    let total_ms = if limits.total_s == 0 { u64::MAX } else { now_ms() + u64::from(limits.total_s) * 1000 };
    let _going = route.stats.of(carrier.observer().thread).going();
    let _under_way = route.retries.as_ref().map(|it| it.begin());
    let mut sent = 0;
    let mut tries = Tries::by(asked.returns_by);
    let turn = match &route.turns {
        None => None,
        Some(turns) => match take(turns, carrier, client, watch, &mut tries).await {
            Ok(turn) => Some(turn),
            Err(why) => {
                let seen = Seen { status: why.status(), end: Err(why), ..Seen::default() };
                record(&carrier.observer(), asked, running, Some(route), &seen, began);
                return if why == Refusal::ClientGone { Carried::Cut } else { Carried::Refused(why) };
            }
        },
    };
    let mut again = false;
    let mut exchange = Exchange::new(asked.body, built.may_be_h2());
    if let Some(copied) = copied.take() {
        exchange.copies(copied);
    }
    if route.slow.is_some() {
        exchange.times();
    }
    loop {
        let reached = match carrier.reach(running.generation, route, asked.needs(), &mut tries, again, client).await {
            // Whoever takes a request back before it was begun costs no backend a handshake each time: the new connection
            // is the next one's.
            Ok(Reached { up, reused: false, .. }) if is_gone(client).await => {
                carrier.give_back(route, up, true);
                Err(Refusal::ClientGone)
            }
            reached => reached,
        };
        let Reached { backend, mut up, reused } = match reached {
            Ok(reached) => reached,
            Err(why) => {
                let last = tries.failures.last().map(Failure::fragment);
                let hop = last.as_ref().map(|hop| (hop, false));
                let failed = &tries.failures;
                let seen =
                    Seen { hop, failed, status: why.status(), end: Err(why), unreached: true, ..Seen::default() };
                record(&carrier.observer(), asked, running, Some(route), &seen, began);
                return if why == Refusal::ClientGone { Carried::Cut } else { Carried::Refused(why) };
            }
        };
        tries.under_way = route.sends_to(&backend);
        up.start(built, asked);
        watch.within_s(limits.body_progress_s);
        let closes_at_s = backend.closes_at_s.min(carrier.closes_at_s());
        let closes_ms = || match closes_at_s {
            i64::MAX => u64::MAX,
            _ => carrier.closes_ms(closes_at_s, running.plan.engine.drain_s),
        };
        sent += 1;
        let next = match &route.retries {
            None => None,
            Some(_) => Again::after(route, asked, &tries, (sent, backend.hop_id), now_ms()),
        };
        let shaping = route.response.as_ref().map(|shape| Shaping {
            shape,
            asked,
            knows: carrier,
            sticks: route.sticks(&backend, asked.returns_by),
        });
        let terms =
            Terms { limits, upgrade: asked.opens, request: route.request.as_ref(), again: next.as_ref(), shaping };
        let bounded = closes_at_s != i64::MAX || total_ms != u64::MAX || next.is_some();
        let ended = poll_fn(|cx| {
            // Before the exchange looks at its own time, which may be shorter for it.
            if bounded && let Some(why) = over(now_ms(), closes_ms(), total_ms, &exchange, next.as_ref()) {
                return Poll::Ready(Err(expired(why, closes_at_s < backend.closes_at_s)));
            }
            let polled = exchange.poll(cx, client, &mut up, watch, &terms);
            if polled.is_ready() {
                return polled;
            }
            if carrier.is_overdue() {
                return Poll::Ready(Err(Refusal::Draining));
            }
            if bounded {
                let try_ms = next.as_ref().filter(|_| exchange.status == 0).map_or(u64::MAX, Again::until_ms);
                watch.at_ms(watch.deadline_ms().min(closes_ms()).min(total_ms).min(try_ms));
            }
            Poll::Pending
        })
        .await;
        let (granted, answered) = next.map_or((None, 0), |it| (it.granted(), it.status.get()));
        if let Some(granted) = granted {
            // Its own answer counts as any other, and what is left of it is nobody's.
            if answered != 0 {
                tries.heard(route.stats.of(carrier.observer().thread), answered, began, None);
                carrier.answered(route, &up, answered);
            }
            let before = tries.failures.len();
            carrier.broke(route, (&up, reused), ended.err().unwrap_or(Refusal::BackendUnwell), began, &mut tries);
            told_anew(asked, built, tries.failures.get_mut(before));
            tries.going_again = Some(granted);
            exchange.again();
            tries.under_way = None;
            tries.leave_out(backend.hop_id);
            tries.waited();
            continue;
        }
        let is_slow = route.slow.is_some_and(|most| exchange.waited().is_some_and(|took| took > most));
        if is_slow && ended == Err(Refusal::ClientGone) {
            carrier.slow(route, &up);
        }
        if let Err(why) = ended {
            let before = tries.failures.len();
            carrier.broke(route, (&up, reused), why, began, &mut tries);
            // A connection that dies before any answer says nothing of the request, which may go once more if twice is
            // as good as once (RFC 9110 §9.2.2): elsewhere if there is another backend, since this one just broke. A lone
            // backend is asked again only over a new connection where a kept one may have died of age.
            let unanswered = !up.answered() && exchange.may_go_again();
            let elsewhere = reused || route.takers() > 1 || tries.leaves(&backend);
            let retry =
                elsewhere && unanswered && exchange.untouched() && is_idempotent(&asked.method) && is_of_hop(why);
            if !again && (retry || (up.was_unprocessed() && unanswered)) {
                again = true;
                told_anew(asked, built, tries.failures.get_mut(before));
                tries.waited();
                exchange.again();
                tries.under_way = None;
                if route.takers() > tries.hops() + 1 {
                    tries.leave_out(backend.hop_id);
                }
                continue;
            }
        }
        if ended.is_ok() && exchange.switched {
            tries.heard(route.stats.of(carrier.observer().thread), exchange.status, began, None);
            // Observed when the tunnel ends.
            return Carried::Switched(Switched { up, reused, began, tries: Box::new(tries), turn });
        }
        let facts = up.facts();
        let status = match ended {
            Err(why) if exchange.status == 0 => why.status(),
            _ => exchange.status,
        };
        let grpc = match ended {
            Ok(()) => client.grpc(),
            Err(Refusal::ClientGone) => Some(grpc::CANCELLED),
            // What a call is told that had begun.
            Err(_) if exchange.status != 0 => Some(grpc::UNAVAILABLE),
            Err(_) => None,
        };
        let apart = tries.was_held_up() || exchange.head_at.is_some();
        if apart && exchange.status != 0 {
            tries.heard(route.stats.of(carrier.observer().thread), exchange.status, began, exchange.head_at);
        }
        let whole = !apart && exchange.status != 0;
        let seen = Seen {
            hop: Some((&facts, reused)),
            failed: &tries.failures,
            status,
            grpc,
            bytes_in: exchange.body_in,
            bytes_out: exchange.body_out,
            end: ended,
            whole,
            head_at: exchange.head_at,
            unreached: false,
            detail: None,
        };
        record(&carrier.observer(), asked, running, Some(route), &seen, began);
        return match ended {
            Ok(()) => {
                if is_slow {
                    carrier.slow(route, &up)
                } else {
                    carrier.answered(route, &up, exchange.status)
                }
                carrier.give_back(route, up, exchange.sent_all());
                Carried::Done { read_all: exchange.read_all() }
            }
            Err(why) if exchange.status == 0 && why != Refusal::ClientGone => Carried::Refused(why),
            Err(_) => Carried::Cut,
        };
    }
}

/// Whose acceptance it was that is over.
#[cold]
pub(crate) fn expired(why: Refusal, is_of_client: bool) -> Refusal {
    if is_of_client && why == Refusal::AcceptanceExpired { Refusal::PlainExpired } else { why }
}

/// What is over, if something is, before the exchange looks at its own time.
#[cold]
fn over(now_ms: u64, closes_ms: u64, total_ms: u64, exchange: &Exchange, next: Option<&Again<'_>>) -> Option<Refusal> {
    if now_ms >= closes_ms {
        return Some(Refusal::AcceptanceExpired);
    }
    if now_ms >= total_ms {
        return Some(Refusal::AnswerTooLong);
    }
    next.filter(|it| exchange.status == 0 && it.instead_of_waiting(now_ms)).map(|_| Refusal::BackendFirstByte)
}

/// It goes again, to a backend which is told of another try than the one that failed.
fn told_anew(asked: &Asked, built: &mut Built, failed: Option<&mut Failure>) {
    if let Some(trace) = &asked.trace {
        if let Some(failed) = failed {
            trace.failed(failed);
        }
        trace.retell(built);
    }
}

/// A turn of the route's: at once where one is free.
async fn take<C: Carrier>(
    turns: &Turns,
    carrier: &C,
    client: &mut impl Client,
    watch: &Watch,
    tries: &mut Tries,
) -> Result<Turn, Refusal> {
    if let Some(turn) = turns.take() {
        return Ok(turn);
    }
    // Apart, so that a request that need not wait keeps no room for waiting.
    let turn = Box::pin(turn::wait(turns, client, watch, || carrier.is_overdue())).await;
    tries.waited();
    turn
}

fn is_of_hop(why: Refusal) -> bool {
    matches!(
        why,
        Refusal::BackendClosed
            | Refusal::BackendReset
            | Refusal::BackendTls
            | Refusal::HopIdentityRefused
            | Refusal::HopRenegotiation
    )
}
