//! HTTP/1.1 with a client: heads in, responses out, in order, as long as both sides want to go on.
//! After anything that leaves doubt about where the next request begins, the connection closes. Read next: `h1_turn.rs`.

use crate::client::answer::answer;
use crate::client::conn::Conn;
use crate::client::ended::ended;
use crate::client::h1_conn::{H1, Next};
use crate::client::h1_turn::{Turned, turn};
use crate::client::request::refused;
use crate::client::tunnel;
use crate::client::wants::Wants;
use crate::client::work::Work;
use crate::exchange::ends::End;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use everyhop_transport::side::Wire;
use std::rc::Rc;
use std::time::Instant;

/// Serves a connection to its end; `first` is what was read of it before. Its state is made before the future is: an
/// `async fn` keeps room for each of its arguments as long as it runs.
pub(crate) fn serve(conn: Rc<Conn>, wire: Wire, first: Buf) -> impl Future<Output = ()> {
    let mut it = H1::new(conn, wire, first);
    async move {
        let conn = it.conn.clone();
        let mut asked_any = false;
        while it.keep {
            let mut work = None;
            let next = it.next_head(&conn, &mut work).await;
            if matches!(next, Next::Over | Next::Broken) {
                let why = if matches!(next, Next::Broken) { Refusal::ConnectionBroken } else { Refusal::NoRequest };
                if !asked_any || why != Refusal::NoRequest {
                    ended(&conn, why, it.wire.bytes_in, it.wire.bytes_out);
                }
                Work::give(work);
                break;
            }
            let began = Instant::now();
            let lent = work.get_or_insert_with(Work::take);
            lent.asked.id = conn.opened.arrived.core.next_id();
            let len = match next {
                // Left above.
                Next::Over | Next::Broken => break,
                Next::Refused(why) => {
                    (it.keep, it.version_10) = (false, false);
                    lent.asked.of_refused(it.inb.bytes());
                    refused(&conn, &lent.asked, why.into(), began);
                    it.queue(&answer(why, lent.asked.shown_id(), false, Wants::Plain, |_| None));
                    break;
                }
                Next::Head(len) => len,
            };
            asked_any = true;
            let Work { head, asked, scratch, room } = &mut **lent;
            // What an idle connection needs none of has its room where only those have one that are at work.
            let turn = turn(&conn, &mut it, (head, asked, scratch, room), len, began);
            match bumpalo::boxed::Box::pin_in(turn, room).await {
                Turned::Over => {}
                Turned::Gone => return,
                Turned::Switched(both) => {
                    let (ready, switched) = *both;
                    let client = (End::Wire(it.wire), it.inb);
                    let watch = &conn.opened.arrived.watch;
                    return Box::pin(tunnel::run(&conn, asked, ready, client, switched, watch)).await;
                }
            }
            Work::give(work);
        }
        Box::pin(it.close()).await;
    }
}
