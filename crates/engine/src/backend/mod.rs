//! The way to a backend: choose one, take an open connection or make a new one, and speak HTTP over it.
//! Upstream TLS verifies chain and name before a byte of the request is sent; nothing falls back to plaintext.
//! Read next: `choose.rs`, `connect.rs`, `pool.rs`, then `h1.rs` and `h2.rs`.

pub(crate) mod choose;
pub(crate) mod connect;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod pool;

use crate::buf::Buf;
use crate::exchange::asked::Asked;
use crate::exchange::words::{Backend, Built, Client, Got, Meta};
use crate::line::HopFragment;
use crate::refusal::Refusal;
use crate::running::{BackendRun, RouteRun};
use crate::worker::core::Core;
use everyhop_plan::{Limits, UpstreamProtocol};
use http::HeaderMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The backend's side of one request, in its protocol.
pub(crate) enum Up {
    H1(Box<h1::H1Up>),
    H2(Box<h2::H2Up>),
}

pub(crate) struct Reached {
    pub(crate) backend: Arc<BackendRun>,
    pub(crate) up: Up,
    /// The connection has served before.
    pub(crate) reused: bool,
}

/// Finds a backend that takes the request. A failed connect or handshake goes on to the next: nothing was sent yet.
pub(crate) async fn reach(
    core: &Rc<Core>,
    route: &RouteRun,
    limits: &Limits,
    tried: &mut Vec<u64>,
    fresh: bool,
) -> Result<Reached, Refusal> {
    let mut spared = false;
    loop {
        let backend = choose::choose(core, route, tried)?;
        if !fresh && let Some(up) = core.pools.take(core, &backend) {
            return Ok(Reached { backend, up, reused: true });
        }
        // Boxed: most requests find an open connection, and every waiting one would hold the room.
        match Box::pin(connect::open(core, &backend, limits.connect_s)).await {
            Ok(opened) => {
                choose::healed(&backend);
                let up = match backend.protocol {
                    UpstreamProtocol::Http1 => Some(Up::H1(Box::new(h1::H1Up::new(opened, limits)))),
                    UpstreamProtocol::Http2 => {
                        Box::pin(h2::H2Up::open(core, opened, limits)).await.map(|up| Up::H2(Box::new(up)))
                    }
                };
                if let Some(up) = up {
                    return Ok(Reached { backend, up, reused: false });
                }
                tried.push(backend.hop_id);
            }
            // What waits for its next request makes room for one that is there.
            Err(Refusal::HopDescriptors) if !spared => {
                spared = true;
                core.pools.forget_idle();
            }
            Err(why @ Refusal::HopDescriptors) => return Err(why),
            Err(why) => {
                choose::failed(core, route, &backend);
                tried.push(backend.hop_id);
                if tried.len() >= route.backends.len() {
                    return Err(why);
                }
            }
        }
    }
}

macro_rules! either {
    ($self:ident, $up:ident => $do:expr) => {
        match $self {
            Up::H1($up) => $do,
            Up::H2($up) => $do,
        }
    };
}

impl Backend for Up {
    fn start(&mut self, built: &Built, asked: &Asked) {
        match (self, built) {
            (Up::H1(up), Built::H1(head)) => up.start(head, asked),
            (Up::H2(up), Built::H2(request)) => up.start(request, asked),
            // A route has one protocol; a mismatch leaves the side without a request, which reads as closed.
            _ => {}
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

    fn poll_head(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Result<Meta, Refusal>> {
        either!(self, up => up.poll_head(cx, limits))
    }

    fn give_head(&mut self, meta: &Meta, client: &mut impl Client) {
        either!(self, up => up.give_head(meta, client));
    }

    fn give_informational(&mut self, status: u16, client: &mut impl Client) {
        either!(self, up => up.give_informational(status, client));
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, into: &mut Buf) -> Poll<Result<Got, Refusal>> {
        either!(self, up => up.poll_data(cx, into))
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        either!(self, up => up.trailers())
    }
}

impl Up {
    /// Gives the connection back if its next byte belongs to the next response.
    pub(crate) fn recycle(self, core: &Rc<Core>, sent_all: bool) {
        if let Up::H1(up) = self
            && sent_all
            && up.is_reusable()
        {
            core.pools.give(core, up);
        }
    }
}
