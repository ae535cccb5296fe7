//! Ended: the last word about a session that ended otherwise than behind a request: before the first one, or because
//! the client broke the protocol below them. Requests leave lines of their own. Read next: `../exchange/observed.rs`.

use crate::client::conn::Conn;
use everyhop_record::line::Line;
use everyhop_record::refusal::Refusal;

/// Counts and observes it, as what reached no route.
pub(super) fn ended(conn: &Conn, why: Refusal, bytes_in: u64, bytes_out: u64) {
    let arrived = &conn.opened.arrived;
    let core = &arrived.core;
    let Some(running) = core.running() else { return };
    let stats = running.elsewhere.of(core.index);
    stats.refuse(why);
    let (micros, us) = core.clock().unix_micros(arrived.started);
    let line = Line {
        conn: conn.opened.line(),
        id: None,
        lines: &running.lines,
        hop: None,
        failed: &[],
        protocol: None,
        method: None,
        host: None,
        path: None,
        status: 0,
        grpc: None,
        bytes_in,
        bytes_out,
        duration_us: us,
        end: why.slug(),
        detail: None,
        told_id: None,
        kept: None,
        trace: None,
        token: None,
        user: None,
        beside: None,
    };
    stats.saw(micros, &line, &mut core.log.borrow_mut());
}
