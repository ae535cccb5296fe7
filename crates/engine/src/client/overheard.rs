//! Inspecting a request that goes on meanwhile, where its route's rules only detect: a copy of it is inspected, and what was
//! found is told beside its own line, by its id. Nothing waits for it. Read next: `inspected.rs`, which asks the same in the
//! same words.

use crate::client::conn::Conn;
use crate::client::copies;
use crate::client::inspected::{asking, found, frame};
use crate::exchange::asked::Asked;
use crate::exchange::copied::{Copied, Goes};
use crate::exchange::inspection::{Found, Inspection};
use crate::exchange::unstuck::Untold;
use crate::exchange::words::{BodyLen, Fields};
use crate::inspect::frames::Request;
use crate::worker::core::Core;
use everyhop_plan::OverBody;
use everyhop_record::line::{Beside, ConnFragment, ConnLine, Line, WOULD_DENY};
use everyhop_running::fair::Whose;
use everyhop_running::running::{RouteRun, Running};
use everyhop_running::waf::{HeldBytes, Inspected, WafRun};
use everyhop_transport::buf::Buf;
use http::HeaderMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// Who takes a copy of it.
#[cold]
#[inline(never)]
pub(super) fn copied<V: Fields>(
    conn: &Conn,
    to: (&Asked, &str),
    view: &V,
    (running, at, route): (&Arc<Running>, usize, &RouteRun),
) -> Option<Box<Copied>> {
    let mirrored =
        route.mirror.as_ref().and_then(|mirror| match route.jwt.as_ref().and_then(|jwt| jwt.kept_cookie()) {
            Some(cookie) => {
                copies::begin(conn, to, &Untold { fields: view, cookie }, (route, mirror), running.generation)
            }
            None => copies::begin(conn, to, view, (route, mirror), running.generation),
        });
    match route.waf.as_ref().filter(|waf| !waf.blocks()) {
        Some(by) => begin(conn, to.0, view, (running, at, by), mirrored),
        None => mirrored,
    }
}

/// Begins the copy of a request, beside that for its mirror, if there is one.
#[cold]
#[inline(never)]
fn begin<V: Fields>(
    conn: &Conn,
    asked: &Asked,
    view: &V,
    (running, route, by): (&Arc<Running>, usize, &Arc<WafRun>),
    other: Option<Box<Copied>>,
) -> Option<Box<Copied>> {
    let whose = Whose::from(asked.client(conn.opened.arrived.client.ip()));
    let mut held = by.holds(whose);
    let most = usize::try_from(by.by.body_bytes).unwrap_or(usize::MAX);
    let room = match asked.body {
        BodyLen::None => 0,
        BodyLen::Known(n) => usize::try_from(n).map_or(most, |n| n.min(most)),
        BodyLen::Unknown => most,
    };
    if !held.are(room, by.most_held()) {
        by.came(Inspected::Busy, 0);
        return other;
    }
    let it = Overheard {
        core: conn.opened.arrived.core.clone(),
        conn: conn.opened.fragment(),
        running: running.clone(),
        route,
        by: by.clone(),
        whose,
        id: asked.id,
        protocol: asked.protocol,
        method: asked.method.as_bytes().into(),
        host: asked.host.as_bytes().into(),
        path: asked.sent().as_bytes().into(),
        frame: Some(frame(conn, asked, view, by)),
        _held: held,
    };
    Some(Box::new(Copied::new(most, Box::new(it))).beside(other))
}

/// A copy that waits for its body.
struct Overheard {
    core: Rc<Core>,
    conn: Rc<ConnFragment>,
    running: Arc<Running>,
    /// The index of its route.
    route: usize,
    by: Arc<WafRun>,
    whose: Whose,
    id: u64,
    protocol: &'static str,
    method: Box<[u8]>,
    host: Box<[u8]>,
    path: Box<[u8]>,
    frame: Option<Request>,
    _held: HeldBytes,
}

impl Goes for Overheard {
    fn goes(mut self: Box<Self>, body: Buf, trailers: Option<HeaderMap>) {
        if let Some(frame) = &mut self.frame {
            frame.trailers(trailers.as_ref());
        }
        self.inspect(&body, true);
    }

    fn is_too_long(self: Box<Self>, beginning: Buf) {
        if self.by.by.over_body == OverBody::Refuse {
            self.by.came(Inspected::TooLong, 0);
            self.tell(
                Instant::now(),
                &Inspection { by: self.by.clone(), found: Inspected::TooLong.into(), took_us: 0 },
            );
        } else {
            self.inspect(&beginning, false);
        }
    }
}

impl Overheard {
    fn inspect(mut self: Box<Self>, body: &Buf, is_whole: bool) {
        let frame = self.frame.take().and_then(|it| it.end(body.bytes(), is_whole));
        tokio::task::spawn_local(Box::pin(async move {
            let began = Instant::now();
            let inspecting = self.by.begin(self.whose);
            let found = match inspecting {
                Some(_) => self.found(frame).await,
                None => Inspected::Busy.into(),
            };
            let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.by.came(found.what, took_us);
            if found.what != Inspected::Allowed {
                self.tell(began, &Inspection { by: self.by.clone(), found, took_us });
            }
        }));
    }

    async fn found(&self, frame: Option<Vec<u8>>) -> Found {
        let answered = match asking(&self.core, (&self.by, self.whose), frame) {
            Ok(it) => it,
            Err(found) => return found,
        };
        let watch = self.core.watch();
        watch.at_ms(self.core.clock().now_ms.get() + u64::from(self.by.by.deadline_ms));
        let mut answered = pin!(answered);
        let said = poll_fn(|cx| match answered.as_mut().poll(cx) {
            Poll::Ready(said) => Poll::Ready(said.map_err(|_| Inspected::Failed)),
            Poll::Pending => watch.poll_late(cx).map(|_| Err(Inspected::Late)),
        })
        .await;
        found(&self.by, said)
    }

    fn tell(&self, began: Instant, it: &Inspection) {
        let Some(route) = self.running.route(self.route) else { return };
        let (micros, us) = self.core.clock().unix_micros(began);
        let line = Line {
            conn: ConnLine::Written(&self.conn),
            id: Some(self.id),
            lines: &route.lines,
            hop: None,
            failed: &[],
            protocol: Some(self.protocol),
            method: Some(&self.method),
            host: Some(&self.host),
            path: Some(&self.path),
            status: 0,
            grpc: None,
            bytes_in: 0,
            bytes_out: 0,
            duration_us: us,
            end: WOULD_DENY,
            detail: None,
            told_id: None,
            kept: None,
            trace: None,
            token: None,
            user: None,
            beside: Some(&Beside { ask: None, waf: Some(it.told()) }),
        };
        route.lines.beside(&line, micros, &mut self.core.log.borrow_mut());
    }
}
