//! Observed: what was done with a request, counted at its route and written as one line. Every request comes through here
//! once, whatever became of it. Read next: `line.rs` of `everyhop-record`.

use crate::exchange::asked::Asked;
use everyhop_record::failure::Failure;
use everyhop_record::grpc;
use everyhop_record::line::{ConnFragment, DONE, HopFragment, Line};
use everyhop_record::log::ThreadLog;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::{RouteRun, Running};
use everyhop_transport::clock::Clock;
use std::cell::RefCell;
use std::time::Instant;

/// Whose request it is, and where its thread counts and writes.
pub(crate) struct Observer<'a> {
    pub(crate) conn: &'a ConnFragment,
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
        detail: seen.detail,
        told_id: asked.told_id(),
        kept: asked.kept.as_deref(),
        token: asked.token.as_ref().map(|it| (&*it.issuer.name, it.claims.subject())),
    };
    stats.saw(micros, &line, &mut by.log.borrow_mut());
}
