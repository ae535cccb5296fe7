//! Asking somebody else whether a request may pass, where its route says so: between the checks that need nobody and everything that
//! is done with the request. Stores of its limits come first: nobody is asked about what a limit refuses. It waits, and nothing of its body is asked for meanwhile; who has no such route never comes here. The
//! verdict is the request's alone, by the plan that runs when it is there. Read next: `../backend/ask.rs`, which puts the question,
//! then `denied.rs`.

use crate::backend::ask::Failed;
use crate::backend::heard::Heard;
use crate::client::conn::Conn;
use crate::client::denied::denied;
use crate::client::given::{Own, Says, Stays};
use crate::client::held::Held;
use crate::client::inspected::inspected;
use crate::client::keys::{self, Waited};
use crate::client::question::Question;
use crate::client::request::{prepare, resumed};
use crate::exchange::agreed::agreed;
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carrier, Ready};
use crate::exchange::sides::Client;
use crate::exchange::tries::Tries;
use crate::exchange::unstuck::{Unstuck, Untold};
use crate::exchange::verdict::Verdict;
use crate::exchange::words::{self, Fields};
use crate::head::question;
use crate::head::shown::{Asks, From};
use everyhop_decide::Headers;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::asks::{AsksRun, Outcome};
use everyhop_running::backend::BackendRun;
use everyhop_running::passwords::{Mark, Try, Verdict as Proven};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

/// How often a request is asked about anew, where plans come faster than verdicts.
const ANEW: usize = 4;
/// Beyond its time somebody is still waited for so long who is about to be given up: two ticks.
const MOMENT_MS: u64 = 200;
/// How long a password waits to be verified, behind those of others.
const VERIFIES_S: u32 = 30;

/// Asks, and goes on with what came of it. `view`: the request's fields, which nobody has any more once they were read over.
pub(crate) async fn settled<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    mut it: Box<Question>,
    (client, held): (&mut impl Client, &mut Option<Box<Held>>),
) -> Result<Ready, Stays> {
    let (core, began, mut waited) = (&conn.opened.arrived.core, it.began, Waited::Not);
    for _ in 0..ANEW {
        within_limits(conn, asked, &mut it, client).await.map_err(|why| refused(&it, why))?;
        if let Some(password) = it.password.take() {
            let tried = tried(conn, password, client).await.map_err(|why| refused(&it, why))?;
            asked.tried = Some(Box::new(tried));
        }
        if let Some(by) = &it.by {
            let (verdict, heard) = verdict(conn, asked, view, (&it, by), client).await;
            by.came(verdict.outcome, verdict.took_us);
            let (passes, why) = (verdict.outcome.passes(), verdict.why());
            asked.others.get_or_insert_default().verdict = Some(verdict);
            if !passes {
                let Some(heard) = heard.filter(|_| why == Refusal::AskDenied) else { return Err(refused(&it, why)) };
                let says = Says::Denied(Box::new(denied(asked, heard)));
                return Err(Stays::Given(Own { running: it.running, route: it.route, says }));
            }
        }
        if let Some(by) = it.waf.take()
            && let Some(why) = inspected(conn, asked, view, &by, (client, held)).await
        {
            return Err(refused(&it, why));
        }
        let mut ready = resumed(conn, asked, view, *it);
        loop {
            match ready {
                // The plan that came meanwhile has somebody else asked, or only now it is known whose request it is.
                Err(Stays::Asks(anew)) => break it = anew,
                Err(stays) if asked.lacks.is_some() => {
                    keys::again(core, asked, stays, &mut waited).await?;
                    ready = prepare(conn, asked, view, Vec::new(), began);
                }
                settled => return settled,
            }
        }
    }
    Err(Refusal::AskLate.into())
}

fn refused(it: &Question, why: Refusal) -> Stays {
    Stays::Refused(crate::admit::Refused { route: Some(it.route), why })
}

/// Waits for the stores that were asked, if any were. What they refuse is told as what this edge refuses by itself.
async fn within_limits(
    conn: &Conn,
    asked: &mut Asked,
    it: &mut Question,
    client: &mut impl Client,
) -> Result<(), Refusal> {
    let Some(within) = it.within.as_mut().filter(|it| !it.waits.is_empty()) else { return Ok(()) };
    let Some(route) = it.running.route(it.route) else { return Ok(()) };
    let watch = conn.opened.arrived.core.watch();
    if let Some(told) = asked.limited.take() {
        within.told = Some(told);
    }
    let agreed = agreed(route, within, client, &watch, || conn.is_overdue()).await;
    // What is told of those that were asked before its token stays with them until the others were asked.
    if agreed.is_err() || !it.is_early {
        asked.limited = within.told.take();
    }
    agreed
}

/// Waits until somebody has verified the password.
async fn tried(conn: &Conn, it: Box<Try>, client: &mut impl Client) -> Result<(Mark, Proven), Refusal> {
    let (core, mark) = (&conn.opened.arrived.core, it.mark);
    let Some(mut told) = core.shared.passwords.ask(it) else { return Ok((mark, Proven::Busy)) };
    let watch = core.watch();
    watch.within_s(VERIFIES_S);
    let is_right = poll_fn(|cx| {
        if let Poll::Ready(is_right) = Pin::new(&mut told).poll(cx) {
            return Poll::Ready(Ok(is_right.ok()));
        }
        if client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Refusal::ClientGone));
        }
        if conn.is_overdue() {
            return Poll::Ready(Err(Refusal::Draining));
        }
        watch.poll_late(cx).map(|_| Ok(None))
    });
    Ok((
        mark,
        match is_right.await? {
            Some(true) => {
                core.shared.passwords.remember(mark, core.clock().unix_s.get());
                Proven::Right
            }
            Some(false) => Proven::Wrong,
            None => {
                core.shared.passwords.counts.busy.fetch_add(1, Ordering::Relaxed);
                Proven::Busy
            }
        },
    ))
}

/// What came of it; the answer where there was one.
async fn verdict<V: Fields + Headers>(
    conn: &Conn,
    asked: &Asked,
    view: &V,
    (it, by): (&Question, &Arc<AsksRun>),
    client: &mut impl Client,
) -> (Verdict, Option<Heard>) {
    let core = &conn.opened.arrived.core;
    let (began, span) = (Instant::now(), asked.trace.as_ref().map(|_| crate::exchange::trace::fresh()));
    let mut tries = Tries::default();
    let answered = match by.begin() {
        None => Err(Outcome::Busy),
        Some(_asking) => {
            let until_ms = core.clock().now_ms.get() + u64::from(by.by.deadline_ms);
            let head = |backend: &BackendRun| question_to(conn, asked, view, (it, by), (backend, span, until_ms));
            let whole = core.watch();
            whole.at_ms(until_ms + MOMENT_MS);
            let put = core.backends.ask((it.running.generation, by), head, until_ms, &mut tries);
            let mut put = pin!(put);
            poll_fn(|cx| {
                if client.poll_gone(cx).is_ready() {
                    return Poll::Ready(Err(Outcome::Left));
                }
                match put.as_mut().poll(cx) {
                    Poll::Ready(Ok(heard)) => Poll::Ready(Ok(heard)),
                    Poll::Ready(Err(why)) => Poll::Ready(Err(outcome_of(why))),
                    Poll::Pending if conn.is_overdue() => Poll::Ready(Err(Outcome::Late)),
                    Poll::Pending => whole.poll_late(cx).map(|_| Err(Outcome::Late)),
                }
            })
            .await
        }
    };
    let mut outcome = match &answered {
        Ok(heard) => outcome(heard),
        Err(outcome) => *outcome,
    };
    // Somebody's word is for who cannot be reached or does not answer: a request that makes whoever is asked fail passes on
    // nobody's.
    let is_down = matches!(outcome, Outcome::Unreached | Outcome::Late);
    if is_down && !conn.is_overdue() && by.passes_unasked(core.clock().unix_s.get()) {
        outcome = Outcome::Unasked;
    }
    let mut heard = answered.ok();
    if let (Some(up), Some(now)) = (heard.as_mut().and_then(|it| it.up.take()), core.running()) {
        core.backends.take_back(&now, &by.to, up, true);
    }
    let (ended_us, took_us) = core.clock().unix_micros(began);
    let mut verdict = Verdict {
        by: by.clone(),
        outcome,
        status: heard.as_ref().map_or(0, |heard| heard.status),
        took_us,
        ended_us,
        span,
        detail: detail(outcome, heard.as_ref(), tries.failures.last()),
        fields: Vec::new(),
        cookies: Vec::new(),
    };
    if let Some(heard) = heard.as_ref().filter(|_| outcome == Outcome::Passed) {
        taken(&mut verdict, heard);
    }
    (verdict, heard)
}

/// What the backend and the client are told of an answer by which a request passes.
fn taken(verdict: &mut Verdict, heard: &Heard) {
    let takes = &verdict.by.by.takes;
    for (name, value) in &heard.fields {
        let name = name.to_ascii_lowercase();
        if name == "set-cookie" {
            verdict.cookies.push(value.clone());
        } else if takes.contains(&name) {
            verdict.fields.push((name, value.clone()));
        }
    }
}

fn outcome(heard: &Heard) -> Outcome {
    match heard.status {
        _ if heard.unfit.is_some() => Outcome::Unfit,
        200..=299 => Outcome::Passed,
        // Whoever is told no is told it whole.
        _ if !heard.is_whole => Outcome::Unfit,
        401 | 403 => Outcome::Denied,
        301..=303 | 307 | 308 if heard.field("location").is_some() => Outcome::Led,
        _ => Outcome::Unfit,
    }
}

fn outcome_of(why: Failed) -> Outcome {
    match why {
        Failed::Unreached => Outcome::Unreached,
        Failed::Late => Outcome::Late,
        Failed::Broke => Outcome::Unfit,
    }
}

#[cold]
fn detail(outcome: Outcome, heard: Option<&Heard>, failed: Option<&Failure>) -> Option<String> {
    match (outcome, heard, failed) {
        (Outcome::Unfit, Some(Heard { unfit: Some(why), .. }), _) => Some(why.clone()),
        (Outcome::Unfit, Some(heard), _) if !heard.is_whole => {
            Some(format!("answered {}, with too long a body", heard.status))
        }
        (Outcome::Unfit, Some(heard), _) => Some(format!("answered {}", heard.status)),
        (Outcome::Passed | Outcome::Denied | Outcome::Led | Outcome::Left | Outcome::Busy, _, _) => None,
        (_, _, Some(it)) => {
            let more = it.detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default();
            Some(format!("{} at {}{more}", it.why.slug(), it.at))
        }
        (_, _, None) => None,
    }
}

/// The question. What goes no further than the edge does not go there, either: its own cookie, and one with a token in it.
fn question_to<V: Fields>(
    conn: &Conn,
    asked: &Asked,
    view: &V,
    (it, by): (&Question, &AsksRun),
    (to, span, until_ms): (&BackendRun, Option<[u8; 8]>, u64),
) -> Option<words::Question> {
    let route = it.running.route(it.route);
    let sticky = route.and_then(|r| r.spread.as_ref()?.sticky.as_ref());
    let token = route.and_then(|r| r.jwt.as_ref()?.kept_cookie());
    let arrived = &conn.opened.arrived;
    let from = From { peer: arrived.client, proved: conn.opened.facts.peer.as_deref() };
    let within_ms = until_ms.saturating_sub(arrived.core.clock().now_ms.get());
    let asks = Asks { by: &by.by, host: &to.host(), span, from, within_ms };
    match (sticky, token) {
        (None, None) => question::write(&conn.said, asked, view, &asks),
        (Some(sticky), None) => question::write(&conn.said, asked, &Unstuck { fields: view, sticky }, &asks),
        (None, Some(cookie)) => question::write(&conn.said, asked, &Untold { fields: view, cookie }, &asks),
        (Some(sticky), Some(cookie)) => {
            let fields = Untold { fields: view, cookie };
            question::write(&conn.said, asked, &Unstuck { fields, sticky }, &asks)
        }
    }
}
