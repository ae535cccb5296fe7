//! Observed: what was done with a request, counted at its route, written as one line, and told of as spans. Every request comes through here
//! once, whatever became of it. Read next: `line.rs` of `everyhop-record`.

use crate::exchange::asked::Asked;
use crate::exchange::trace::{Trace, fresh};
use everyhop_record::facts::TlsFacts;
use everyhop_record::failure::Failure;
use everyhop_record::grpc;
use everyhop_record::line::{ConnLine, DONE, HopFragment, Line};
use everyhop_record::log::ThreadLog;
use everyhop_record::refusal::Refusal;
use everyhop_record::span::{self, Request};
use everyhop_record::spans::Spans;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::clock::Clock;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Of whom a span tells, and where it goes.
pub(crate) trait Whose {
    fn listener(&self) -> &str;
    fn peer(&self) -> SocketAddr;
    fn client(&self) -> IpAddr;
    fn facts(&self) -> &TlsFacts;
    fn spans(&self) -> &Spans;
}

/// Whose request it is, and where its thread counts and writes.
pub(crate) struct Observer<'a> {
    pub(crate) conn: ConnLine<'a>,
    pub(crate) whose: &'a dyn Whose,
    /// The number of the thread.
    pub(crate) thread: usize,
    pub(crate) clock: &'a Clock,
    pub(crate) log: &'a RefCell<ThreadLog>,
}

/// What happened to one request.
pub(crate) struct Seen<'a> {
    pub(crate) hop: Option<(&'a HopFragment, bool)>,
    pub(crate) failed: &'a [Failure],
    pub(crate) status: u16,
    /// What a call of gRPC was told, where that is known.
    pub(crate) grpc: Option<u8>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) end: Result<(), Refusal>,
    /// The backend took as long, as far as can be told: it had the request at once and answered in one turn.
    pub(crate) whole: bool,
    /// When the answer's head was there, where its end came later.
    pub(crate) head_at: Option<Instant>,
    /// No backend was reached: the hop is that of the last one which was tried.
    pub(crate) unreached: bool,
    /// What the end alone does not tell.
    pub(crate) detail: Option<&'a str>,
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Seen {
            hop: None,
            failed: &[],
            status: 0,
            grpc: None,
            bytes_in: 0,
            bytes_out: 0,
            end: Ok(()),
            whole: false,
            head_at: None,
            unreached: false,
            detail: None,
        }
    }
}

/// Counts a request and writes its observation.
pub(crate) fn record(
    by: &Observer<'_>,
    asked: &Asked,
    running: &Running,
    route: Option<&RouteRun>,
    seen: &Seen<'_>,
    began: Instant,
) {
    let stats = route.map_or(&running.elsewhere, |r| &r.stats).of(by.thread);
    let (micros, us) = by.clock.unix_micros(began);
    stats.took(seen.status, us, seen.whole);
    let mut grpc = None;
    if asked.grpc {
        grpc = seen.grpc.or_else(|| seen.end.err().map(grpc::code));
        stats.called(seen.status, grpc);
    }
    stats.bytes_in.add(seen.bytes_in);
    stats.bytes_out.add(seen.bytes_out);
    if let Err(why) = seen.end {
        stats.refuse(why);
    }
    let beside = asked.others.as_ref().map(|it| it.told());
    let line = Line {
        conn: by.conn,
        id: Some(asked.id),
        lines: route.map_or(&running.lines, |r| &r.lines),
        hop: seen.hop,
        failed: seen.failed,
        protocol: Some(asked.protocol),
        method: Some(asked.method.as_bytes()).filter(|m| !m.is_empty()),
        host: Some(asked.host.as_bytes()).filter(|h| !h.is_empty()),
        path: Some(asked.sent().as_bytes()).filter(|p| !p.is_empty()),
        status: seen.status,
        grpc,
        bytes_in: seen.bytes_in,
        bytes_out: seen.bytes_out,
        duration_us: us,
        end: seen.end.map_or_else(Refusal::slug, |()| DONE),
        detail: seen
            .detail
            .or_else(|| asked.limited.as_ref()?.detail.as_deref())
            .or_else(|| asked.inspected()?.found.detail)
            .or_else(|| asked.verdict()?.detail.as_deref()),
        told_id: asked.told_id(),
        kept: asked.kept.as_deref(),
        trace: asked.trace.as_ref().map(|it| it.id),
        token: asked.token.as_ref().map(|it| (&*it.issuer.name, it.claims.subject())),
        user: asked.user.as_ref().map(|it| &*it.name),
        beside: beside.as_ref(),
    };
    stats.saw(micros, &line, &mut by.log.borrow_mut());
    if running.traces.is_some() {
        tell(by, asked, running, route, seen, (began, micros, us), line.is_ordinary());
    }
}

/// Whether a request that is over is told of, and that. What went otherwise than it should is always kept: what failed, was
/// refused, was slow to begin its answer, or met an alarm. `ordinary`: nothing of that but slowness.
#[cold]
fn tell(
    by: &Observer<'_>,
    asked: &Asked,
    running: &Running,
    route: Option<&RouteRun>,
    seen: &Seen<'_>,
    (began, ended_us, us): (Instant, u64, u64),
    ordinary: bool,
) {
    let Some(traces) = running.traces.as_deref() else { return };
    // Nobody was refused who is sent on to https.
    if route.is_some_and(|r| r.traces.is_none()) || seen.end == Err(Refusal::PlainRedirected) {
        return;
    }
    let own;
    let it = match asked.trace.as_deref() {
        Some(it) => it,
        // It was refused before it was read.
        None => {
            own = Trace::new();
            &own
        }
    };
    let waited_us = seen.head_at.map_or(us, |at| u64::try_from((at - began).as_micros()).unwrap_or(u64::MAX));
    let slow = waited_us >= traces.slow_us && !asked.opens;
    if !(it.is_kept() || !ordinary || seen.status >= 500 || slow) {
        return;
    }
    let spans = by.whose.spans();
    // One for itself, for the question about it, and for each try.
    if !spans.has_room(
        1 + usize::from(asked.verdict().is_some())
            + seen.failed.len()
            + usize::from(seen.hop.is_some() && !seen.unreached),
    ) {
        return;
    }
    let mut failed = seen.failed;
    let mut detail = seen.detail;
    let answered = match seen.hop.filter(|_| !seen.unreached) {
        Some((hop, reused)) => {
            // What broke while it was under way is told once, with all that is known of the hop.
            if let (Err(why), Some((last, before))) = (seen.end, failed.split_last())
                && last.why == why
            {
                failed = before;
                detail = detail.or(last.detail.as_deref());
            }
            Some(it.answered(hop, reused))
        }
        None => None,
    };
    let onward = asked.onward();
    let request = Request {
        began_us: ended_us.saturating_sub(us),
        ended_us,
        id: &asked.shown_id().to_string(),
        listener: by.whose.listener(),
        peer: by.whose.peer(),
        client: by.whose.client(),
        facts: by.whose.facts(),
        plan: &running.digest,
        route: route.map(|r| &*r.name),
        pattern: route.map(|r| r.pattern),
        protocol: asked.protocol,
        method: &asked.method,
        authority: &asked.authority,
        path: asked.sent(),
        query: if traces.query { asked.query() } else { "" },
        onward: onward.split('?').next().unwrap_or(onward),
        status: seen.status,
        grpc: seen.grpc,
        bytes_in: seen.bytes_in,
        bytes_out: seen.bytes_out,
        end: seen.end,
        detail,
        ask: asked.verdict().map(|it| it.spanned()),
        waf: asked.inspected().map(|it| it.told()),
    };
    spans.put(span::written(it.context(), &request, failed, answered, fresh));
}
