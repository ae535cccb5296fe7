//! One request of HTTP/1.1 from its head to the end of its answer, and whether another may follow. Read next: `request.rs`.

use crate::backend::up::Up;
use crate::client::asks::settled;
use crate::client::conn::Conn;
use crate::client::given::Stays;
use crate::client::h1_conn::H1;
use crate::client::held::Holding;
use crate::client::keys::{self, Waited};
use crate::client::plain::refusal;
use crate::client::request::{prepare, refused};
use crate::client::wants::Wants;
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carried, Ready, Switched, carry};
use crate::exchange::views::View;
use bumpalo::Bump;
use everyhop_http1::RequestHead;
use everyhop_record::refusal::Refusal;
use std::time::Instant;

/// What a request came to: as [`Carried`], where nothing was handed over.
enum Came {
    Done { read_all: bool },
    Refused(Refusal),
    Cut,
}

/// What the connection comes to by a request.
pub(super) enum Turned {
    /// It was answered; [`H1::keep`] says whether another may come.
    Over,
    /// Nobody is there any more, or is to be.
    Gone,
    /// Its bytes are a tunnel's now.
    Switched(Box<(Ready, Switched<Up>)>),
}

/// `len`: of its head, which is at the front of what came.
pub(super) async fn turn(
    conn: &Conn,
    it: &mut H1,
    (head, asked, scratch, room): (&mut RequestHead, &mut Asked, &mut Vec<u8>, &Bump),
    len: usize,
    began: Instant,
) -> Turned {
    let mut waited = Waited::Not;
    let mut wants = Wants::Plain;
    let mut ready = loop {
        let view = View { head, buf: it.inb.bytes() };
        let unnamed = if head.version_10 { conn.only_host() } else { None };
        let ready = match asked.of_h1(head, view.buf, unnamed.as_deref()) {
            Ok(()) => prepare(conn, asked, &view, std::mem::take(scratch), began),
            Err(why) => Err(why.into()),
        };
        let Err(stays) = ready else { break ready };
        wants = Wants::of_fields(&view);
        if asked.lacks.is_none() {
            break Err(stays);
        }
        if let Err(stays) = Box::pin(keys::again(&conn.opened.arrived.core, asked, stays, &mut waited)).await {
            break Err(stays);
        }
    };
    // While somebody else is asked about it, whether its client is still there is looked at behind its head.
    let mut held = None;
    if let Err(Stays::Asks(question)) = ready {
        let kept = it.inb.bytes().get(..len).unwrap_or_default().to_vec();
        it.take_head(head, len, asked.switches.as_deref());
        let view = View { head, buf: &kept };
        ready = Box::pin(settled(conn, asked, &view, question, (it, &mut held))).await;
    } else {
        it.take_head(head, len, asked.switches.as_deref());
    }
    // Of few words, since it is kept for as long as the rest of a body is read.
    let came = match ready {
        Ok(mut ready) => {
            it.owes_continue = head.expects_continue && ready.built.may_be_h2();
            let carried = match held {
                None => {
                    let watch = &conn.opened.arrived.watch;
                    let carrying = carry(conn, asked, &mut ready, it, watch, began);
                    bumpalo::boxed::Box::pin_in(carrying, room).await
                }
                Some(held) => {
                    it.owes_continue = false;
                    let mut client = Holding { client: it, held };
                    let watch = &conn.opened.arrived.watch;
                    Box::pin(carry(conn, asked, &mut ready, &mut client, watch, began)).await
                }
            };
            let came = match carried {
                Carried::Switched(switched) => return Turned::Switched(Box::new((ready, switched))),
                Carried::Refused(why) => {
                    wants = Wants::of_built(&ready.built);
                    Came::Refused(why)
                }
                Carried::Done { read_all } => Came::Done { read_all },
                Carried::Cut => Came::Cut,
            };
            *scratch = ready.built.scratch().unwrap_or_default();
            came
        }
        Err(Stays::Refused(by)) => {
            refused(conn, asked, by, began);
            if by.why == Refusal::ClientGone { Came::Cut } else { Came::Refused(by.why) }
        }
        // It was settled above.
        Err(Stays::Asks(_)) => Came::Cut,
        Err(Stays::Given(own)) => {
            it.give(own.answer(conn, asked, began));
            if it.flush().await.is_err() {
                return Turned::Gone;
            }
            Came::Done { read_all: false }
        }
    };
    match came {
        Came::Done { read_all } => {
            it.keep = it.keep && (read_all || it.drain().await);
        }
        Came::Refused(why) => {
            // Errors of the client's own making end the connection: its idea of where requests begin may differ. Behind
            // CONNECT it may send what is for somebody else.
            it.keep &= !matches!(why.status(), 400 | 408) && why != Refusal::ConnectMethod;
            it.queue(&refusal(conn, why, asked, wants));
            if it.flush().await.is_err() {
                return Turned::Gone;
            }
            if why == Refusal::BodyMalformed {
                it.body.leave();
            }
            // What is short is read all the same: nobody is waited for who has sent it.
            let read_all = why.status() != 408 && it.drain().await;
            it.keep &= read_all;
        }
        Came::Cut => {
            it.wire.sock_mut().reset_on_close();
            return Turned::Gone;
        }
    }
    Turned::Over
}
