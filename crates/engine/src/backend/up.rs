//! The backend's side of one request, whichever protocol its hop has. It says nothing itself.
//! Read next: `h1.rs` and `h2.rs`, which do.

use crate::backend::link::Link;
use crate::backend::{h1, h2};
use crate::exchange::asked::Asked;
use crate::exchange::edits::Shaping;
use crate::exchange::ends::End;
use crate::exchange::sides::{Backend, Client};
use crate::exchange::words::{Built, Got, Meta};
use everyhop_plan::{Coding, Limits};
use everyhop_record::line::HopFragment;
use everyhop_record::refusal::Refusal;
use everyhop_transport::buf::Buf;
use http::HeaderMap;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The backend's side of one request, in its protocol.
pub(crate) enum Up {
    H1(Box<h1::H1Up>),
    H2(Box<h2::H2Up>),
}

/// A backend's end of a tunnel.
pub(crate) struct UpEnd {
    pub(crate) end: End,
    /// What came behind its head.
    pub(crate) waiting: Buf,
    pub(crate) link: Rc<Link>,
    /// What its stream is one of.
    _shared: Option<Box<h2::H2Up>>,
}

macro_rules! either {
    ($self:ident, $up:ident => $do:expr) => {
        match $self {
            Up::H1($up) => $do,
            Up::H2($up) => $do,
        }
    };
}

impl Up {
    pub(crate) fn link(&self) -> &Link {
        match self {
            Up::H1(up) => &up.link,
            Up::H2(up) => up.link(),
        }
    }

    /// What became a tunnel; `None` where nothing did.
    pub(crate) fn into_end(self) -> Option<UpEnd> {
        match self {
            Up::H1(up) => {
                let h1::H1Up { wire, inb, link, .. } = *up;
                Some(UpEnd { end: End::Wire(wire), waiting: inb, link, _shared: None })
            }
            Up::H2(mut up) => {
                let (end, link) = (End::Stream(up.take_stream()?), up.shared_link());
                Some(UpEnd { end, waiting: Buf::default(), link, _shared: Some(up) })
            }
        }
    }

    /// The rule or limit that the answer broke.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        either!(self, up => up.rule())
    }
}

impl Backend for Up {
    fn start(&mut self, built: &Built, asked: &Asked) {
        match (self, built) {
            (Up::H1(up), Built::H1(head) | Built::Either(head, _)) => up.start(head, asked),
            // A backend has the protocol of its route; a mismatch leaves the side without a request, which reads as closed.
            (Up::H1(_), Built::H2(_)) => {}
            (Up::H2(up), built) => built.over_h2().into_iter().for_each(|it| up.start(it, asked)),
        }
    }

    fn facts(&self) -> Rc<HopFragment> {
        either!(self, up => up.facts())
    }

    fn answered(&self) -> bool {
        either!(self, up => up.answered())
    }

    fn was_unprocessed(&self) -> bool {
        match self {
            Up::H1(_) => false,
            Up::H2(up) => up.was_unprocessed(),
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, from: &mut Buf) -> Poll<Result<(), Refusal>> {
        either!(self, up => up.poll_send(cx, from))
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        either!(self, up => up.finish(trailers));
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        either!(self, up => up.poll_flush(cx))
    }

    fn sent(&self) -> u64 {
        match self {
            Up::H1(up) => up.wire.bytes_out,
            Up::H2(_) => 0,
        }
    }

    fn pushes(&mut self) -> bool {
        match self {
            Up::H1(up) => up.pushes(),
            Up::H2(_) => false,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<Meta, Refusal>> {
        either!(self, up => up.poll_head(cx, limits))
    }

    fn give_head(&mut self, meta: &Meta, client: &mut impl Client, by: Option<Shaping<'_>>) -> Option<Coding> {
        either!(self, up => up.give_head(meta, client, by))
    }

    fn give_informational(&mut self, status: u16, client: &mut impl Client) {
        either!(self, up => up.give_informational(status, client));
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, into: &mut Buf, limits: &Limits) -> Poll<Result<Got, Refusal>> {
        match self {
            Up::H1(up) => up.poll_data(cx, into),
            Up::H2(up) => up.poll_data(cx, into, limits),
        }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        either!(self, up => up.trailers())
    }
}
