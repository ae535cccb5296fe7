//! The way of a request on one page: asked, admitted, its head written for the backend; then it is carried, or answered here
//! where its route has nothing behind it. Nothing is connected here. Read next, in this order: `../exchange/asked.rs`,
//! `../admit/mod.rs`, `limited.rs`, `../head/request.rs`, `../exchange/carry.rs`, `given.rs`.

use crate::admit::{
    Refused, Shows, Signed, admit_plain, admit_served_to_route, admit_to_route, lacking, password, token,
};
use crate::client::believed::believe;
use crate::client::conn::Conn;
use crate::client::given::{Own, Says, Stays};
use crate::client::key;
use crate::client::limited;
use crate::client::overheard;
use crate::client::question::{self, Question};
use crate::exchange::asked::Asked;
use crate::exchange::carry::{Carrier, Ready};
use crate::exchange::coding::Codes;
use crate::exchange::cors::Granted;
use crate::exchange::edits::{Edited, Editing, NO_EDITS};
use crate::exchange::limited::Within;
use crate::exchange::observed::{Seen, record};
use crate::exchange::shape::lists;
use crate::exchange::told::Told;
use crate::exchange::trace;
use crate::exchange::unstuck::{Unstuck, Untold};
use crate::exchange::words::{BodyLen, Built, Fields};
use crate::head::identity::Said;
use crate::head::request as head;
use crate::head::target::{self, Rewriting};
use everyhop_canon::host;
use everyhop_canon::told::Scheme;
use everyhop_decide::{Ask, Headers, NoHeaders};
use everyhop_http1::FieldId;
use everyhop_plan::{Believe, Compress, Limits, UpstreamProtocol};
use everyhop_record::refusal::Refusal;
use everyhop_running::basic::BasicRun;
use everyhop_running::passwords::Try;
use everyhop_running::running::{RouteRun, Running};
use everyhop_running::sticky::StickyRun;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Admits a request, within its route's limits, and writes its head for the backend. `scratch` is memory to use again.
pub(crate) fn prepare<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    scratch: Vec<u8>,
    began: Instant,
) -> Result<Ready, Stays> {
    let core = &conn.opened.arrived.core;
    let running = core.running().ok_or(Refusal::Draining)?;
    if running.lines.must_refuse() {
        return Err(Refusal::LogFull.into());
    }
    (asked.trace, asked.others) = (None, None);
    judged(conn, asked, view, (scratch, began, None), running)
}

/// Goes on with a request about which somebody else was asked: as it was admitted, or where a plan came meanwhile, by that one.
#[cold]
pub(crate) fn resumed<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    it: Question,
) -> Result<Ready, Stays> {
    let Question { running, route, scratch, began, within, is_early, .. } = it;
    let now = conn.opened.arrived.core.running().ok_or(Refusal::Draining)?;
    let is_same = now.generation == running.generation;
    if is_same && !is_early {
        return onward(conn, asked, view, scratch, (running, route, within));
    }
    // What is counted of its address was counted then.
    asked.again = true;
    judged(conn, asked, view, (scratch, began, within.filter(|_| is_same)), now)
}

/// Admits it, and asks for nobody else's word where there is none to be had or it was had.
#[inline(always)]
fn judged<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    (scratch, began, counted): (Vec<u8>, Instant, Option<Box<Within>>),
    running: Arc<Running>,
) -> Result<Ready, Stays> {
    let core = &conn.opened.arrived.core;
    asked.chain.clear();
    asked.told = None;
    asked.onward.clear();
    asked.prefix.clear();
    asked.forget_kept();
    (asked.token, asked.user) = (None, None);
    if let Some(at) = conn.believes() {
        believe(at, asked, view);
    }
    if let Some(traces) = running.traces.as_ref().filter(|_| asked.trace.is_none()) {
        let believed = conn.believes().is_some_and(|at| at.believe.contains(&Believe::TraceContext));
        asked.trace = Some(trace::begin(believed, view, traces.share));
    }
    let now_s = core.clock().unix_s.get();
    let index = match admit_to_route(&running, &conn.proved(&running, asked), asked, view, now_s) {
        Ok(index) => index,
        Err(by) => in_the_clear(conn, &running, asked, view, by)?,
    };
    let refused = |why| Refused { route: Some(index), why };
    let route = running.route(index);
    let mut within = match route.filter(|r| r.jwt.is_some() || r.basic.is_some()) {
        None => None,
        Some(route) => {
            let mut within = counted;
            match tried(conn, asked, view, route, (began, now_s), &mut within) {
                Ok(Tried::Passed) => within,
                Ok(Tried::Waits(password)) => {
                    let route = index;
                    let (by, waf) = (None, None);
                    let it = Question { running, route, by, waf, password, scratch, began, within, is_early: true };
                    return Err(Stays::Asks(Box::new(it)));
                }
                Err(why) => return Err(stays_refused(conn, &running, asked, view, refused(why))),
            }
        }
    };
    if asked.trace.is_some() {
        traced(asked, route);
    }
    if let Some(lines) = route.map(|r| &r.lines) {
        if !lines.headers.is_empty() {
            asked.keep(&lines.headers, view);
        }
        if lines.is_own && lines.must_refuse() {
            return Err(refused(Refusal::LogFull).into());
        }
    }
    if let (BodyLen::Known(bytes), Some(route)) = (asked.body, route)
        && is_too_long(bytes, &route.limits)
    {
        return Err(refused(Refusal::BodyTooLong).into());
    }
    if route.is_none_or(|r| r.backends.is_empty()) {
        let own = route.is_some_and(|r| r.given.is_some());
        let it = Own { running: running.clone(), route: index, says: Says::Given };
        return Err(if own { Stays::Given(it) } else { refused(Refusal::Unresolved).into() });
    }
    if let Some(shape) = route.and_then(|r| r.response.as_ref()) {
        if let Some(cors) = &shape.cors {
            let granted = asked.cors.insert(Box::new(Granted::of(cors, &asked.method, view)));
            if granted.is_preflight {
                return Err(preflight(&running, granted, index));
            }
        }
        if let Some(compress) = shape.compress.as_ref().filter(|_| !asked.grpc) {
            asked.codes = Some(codes(compress, conn, view));
        }
    }
    if let Some(by) = route.and_then(|r| Some((&*r.name, r.limited.as_deref()?))) {
        limited::rest(conn, asked, view, by, began, &mut within).map_err(refused)?;
    }
    let waits = within.as_ref().is_some_and(|it| !it.waits.is_empty());
    let (by, waf) = match route {
        Some(route) if route.asks_others => question::others(asked, route),
        _ => (None, None),
    };
    if waits || by.is_some() || waf.is_some() {
        let it = Question { running, route: index, by, waf, password: None, scratch, began, within, is_early: false };
        return Err(Stays::Asks(Box::new(it)));
    }
    onward(conn, asked, view, scratch, (running, index, within))
}

/// Writes the head of a request for its backend that passed everything.
// Always in one piece with what comes before: what is known of the route by then is not looked up anew.
#[inline(always)]
fn onward<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    scratch: Vec<u8>,
    (running, at, within): (Arc<Running>, usize, Option<Box<Within>>),
) -> Result<Ready, Stays> {
    let refused = |why| Refused { route: Some(at), why };
    let route = running.route(at);
    let Some(backend) = route.and_then(|r| r.backends.first()) else {
        return Err(refused(Refusal::Unresolved).into());
    };
    if route.is_some_and(|r| r.strict_paths) {
        asked.send_canonical();
    }
    let spread = route.and_then(|r| r.spread.as_ref());
    asked.returns_by = spread.and_then(|spread| key::of(conn, asked, view, spread));
    if let Some((route, to)) = route.and_then(|r| Some((r, r.target.as_ref()?))) {
        let by = Rewriting { rewrite: running.matcher.rewrite(at), strict: route.strict_paths };
        target::moves(asked, to, by).map_err(refused)?;
    }
    let to = (&*asked, route.and_then(|r| r.host_header.as_deref()).unwrap_or(&asked.authority));
    let sticky = spread.and_then(|it| it.sticky.as_ref());
    let edits = route.and_then(|r| r.request.as_ref());
    let by = |edits| Editing { edits, asked: &*asked, knows: conn };
    let built = if let Some(cookie) = route.and_then(|r| r.jwt.as_ref()?.kept_cookie()) {
        let view = Untold { fields: view, cookie };
        built(&conn.said, to, (&view, sticky, by(edits.unwrap_or(&NO_EDITS))), backend.protocol, scratch)
    } else {
        match (edits, sticky) {
            (None, None) => head::build(&conn.said, to, view, backend.protocol, scratch),
            (edits, _) => {
                built(&conn.said, to, (view, sticky, by(edits.unwrap_or(&NO_EDITS))), backend.protocol, scratch)
            }
        }
    };
    let built = built.map_err(refused)?;
    let copied = match route {
        Some(route) if route.is_copied => overheard::copied(conn, to, view, (&running, at, route)),
        _ => None,
    };
    Ok(Ready { route: at, running, built, copied: Cell::new(copied), within })
}

/// How far a request came with its token or password.
enum Tried {
    Passed,
    /// For a store, which says first whether there are too many of its address: nothing of it was looked at. Or until its
    /// password was verified.
    Waits(Option<Box<Try>>),
}

/// The token or password that its route asks for, which is looked at only where the limits by address let it be.
#[inline(never)]
fn tried<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    route: &RouteRun,
    (began, now_s): (Instant, i64),
    within: &mut Option<Box<Within>>,
) -> Result<Tried, Refusal> {
    let first = limited::first(conn, asked, view, route, began, within);
    if first.is_ok() && within.as_ref().is_some_and(|it| !it.waits.is_empty()) {
        return Ok(Tried::Waits(None));
    }
    let shown = first.and_then(|()| match (route.jwt.as_deref(), route.basic.as_deref()) {
        (Some(jwt), _) => {
            asked.token = token(jwt, (Shows::InRequest, view), now_s)?;
            Ok(Tried::Passed)
        }
        (None, Some(basic)) => signs_in(conn, asked, view, basic, now_s),
        (None, None) => Ok(Tried::Passed),
    });
    if shown.is_err() {
        asked.limited = within.take().and_then(|it| it.told);
    }
    shown
}

/// The name and password that its route asks for.
fn signs_in<V: Fields + Headers>(
    conn: &Conn,
    asked: &mut Asked,
    view: &V,
    basic: &BasicRun,
    now_s: i64,
) -> Result<Tried, Refusal> {
    let by = (basic, &*conn.opened.arrived.core.shared.passwords);
    let from = asked.client(conn.client_ip());
    match password(by, asked, view, (from, now_s)) {
        Ok(Signed::In(user)) => {
            asked.user = Some(user);
            Ok(Tried::Passed)
        }
        Ok(Signed::Asks(it)) => Ok(Tried::Waits(Some(it))),
        Err(why) => {
            asked.realm.clone_from(&basic.realm);
            Err(why)
        }
    }
}

/// A route may be traced otherwise than others, or not at all.
#[cold]
fn traced(asked: &mut Asked, route: Option<&RouteRun>) {
    match (route.and_then(|r| r.traces), &mut asked.trace) {
        (Some(share), Some(trace)) => trace.decide(share),
        _ => asked.trace = None,
    }
}

/// The head as its route edits it, without the edge's own cookie where it has one.
fn built<V: Fields>(
    said: &Said,
    to: (&Asked, &str),
    (view, sticky, by): (&V, Option<&StickyRun>, Editing<'_>),
    protocol: UpstreamProtocol,
    scratch: Vec<u8>,
) -> Result<Built, Refusal> {
    match sticky {
        None => head::build(said, to, &Edited { fields: view, by }, protocol, scratch),
        Some(sticky) => {
            let edited = Edited { fields: Unstuck { fields: view, sticky }, by };
            head::build(said, to, &edited, protocol, scratch)
        }
    }
}

/// Its declared length is more than its route takes.
fn is_too_long(bytes: u64, limits: &Limits) -> bool {
    limits.body_bytes != 0 && bytes > limits.body_bytes
}

/// In which coding its answer may come. What is compressed together with something that a stranger may choose tells by its
/// length what it holds (BREACH): of an answer to somebody who is known, that may be a secret.
fn codes(compress: &Compress, conn: &Conn, view: &impl Fields) -> Codes {
    let (mut accept, mut known, mut stays) = (Vec::new(), conn.opened.facts.peer.is_some(), false);
    view.each(|id, name, value| {
        let is = |it: &str| name.eq_ignore_ascii_case(it.as_bytes());
        if is("accept-encoding") {
            accept.extend_from_slice(value);
            accept.push(b',');
        }
        known |= id == FieldId::Authorization || is("cookie");
        stays |= is("cache-control") && lists(value, "no-transform");
    });
    let mut it = Codes::of(&accept, &compress.codings, compress.with_credentials);
    if stays || (known && !compress.with_credentials) {
        it.with = None;
    }
    it
}

/// A preflight is answered here, and goes to no backend, whoever it asks for.
#[cold]
fn preflight(running: &Arc<Running>, granted: &Granted, route: usize) -> Stays {
    if granted.takes() {
        Stays::Given(Own { running: running.clone(), route, says: Says::Preflight })
    } else {
        Stays::Refused(Refused { route: Some(route), why: Refusal::OriginNotAllowed })
    }
}

/// What came in the clear was inside no site's TLS, and so is not admitted as others are: where its listener serves, it is
/// judged there. That it came so is what the backend is told, unless somebody who is believed said otherwise.
#[cold]
fn in_the_clear<V: Fields + Headers>(
    conn: &Conn,
    running: &Arc<Running>,
    asked: &mut Asked,
    view: &V,
    by: Refused,
) -> Result<usize, Stays> {
    if !conn.serves_plain() {
        return Err(stays_refused(conn, running, asked, view, by));
    }
    if asked.told.is_none() {
        let told = Told::of(Some(Scheme::Http), None, None, None, (&asked.host, &asked.authority));
        asked.told = Some(Box::new(told));
    }
    if is_challenge(conn, asked) {
        return Err(Refused::from(Refusal::PlainChallenged).into());
    }
    let now_s = conn.opened.arrived.core.clock().unix_s.get();
    admit_served_to_route(running, &conn.proved(running, asked), asked, view, now_s)
        .map_err(|by| stays_refused(conn, running, asked, view, by))
}

/// What is not admitted. Browsers prove nothing in a preflight (Fetch, "CORS protocol and credentials"), so that one is
/// answered before its route asks who the client is: what it tells is the route's CORS and no more. A page that may read
/// answers may read why it was refused.
#[cold]
fn stays_refused<V: Fields + Headers>(
    conn: &Conn,
    running: &Arc<Running>,
    asked: &mut Asked,
    view: &V,
    by: Refused,
) -> Stays {
    asked.lacks = lacking(running, by, view);
    if let Some(route) = by.route
        && let Some(cors) = running.route(route).and_then(RouteRun::cors)
    {
        let granted = asked.cors.insert(Box::new(Granted::of(cors, &asked.method, view)));
        if granted.is_preflight
            && (by.why == Refusal::ClientNotAllowed || by.why.is_of_token() || by.why.is_of_password())
        {
            return preflight(running, granted, route);
        }
    }
    let lines = by.route.and_then(|r| running.route(r)).map_or(&running.lines, |r| &r.lines);
    if !lines.headers.is_empty() {
        asked.keep(&lines.headers, view);
    }
    sent_to_https(conn, running, asked, view).unwrap_or(by).into()
}

/// What is answered where nothing goes on, since it came in the clear. The target's host counts (RFC 9112 §3.2.2): who names
/// another beside it is read by others as asking for that.
#[cold]
fn sent_to_https(conn: &Conn, running: &Running, asked: &Asked, view: &impl Fields) -> Option<Refused> {
    conn.https_port()?;
    let mut other = String::new();
    let mut contradicts = false;
    view.each(|id, _, value| {
        contradicts |= id == FieldId::Host && (host::host_into(value, &mut other).is_err() || other != asked.host);
    });
    let why = match () {
        () if contradicts => Refusal::HostContradicted,
        () if is_challenge(conn, asked) => Refusal::PlainChallenged,
        () => admit_plain(&running.matcher, conn.listener(), asked),
    };
    if why == Refusal::PlainRedirected {
        conn.opened.arrived.listening.redirected.fetch_add(1, Ordering::Relaxed);
    }
    Some(why.into())
}

/// An authority asks for the answer to a challenge of ours.
fn is_challenge(conn: &Conn, asked: &Asked) -> bool {
    conn.opened.arrived.core.shared.challenges.http(&asked.host, asked.path()).is_some()
}

/// Why the path is taken for none of that route.
#[cold]
fn read_otherwise(conn: &Conn, running: &Running, asked: &Asked, route: usize) -> String {
    let ask =
        Ask { host: &asked.host, path: asked.path(), sent: asked.sent(), method: &asked.method, headers: &NoHeaders };
    running.matcher.told(&running.plan, conn.listener(), &ask, route)
}

/// Counts and observes a request that goes to no backend; where a route refused it, at that route.
pub(crate) fn refused(conn: &Conn, asked: &Asked, by: Refused, began: Instant) {
    if let Some(running) = conn.opened.arrived.core.running() {
        let route = by.route.and_then(|r| running.route(r));
        let detail =
            by.route.filter(|_| by.why == Refusal::BadTarget).map(|r| read_otherwise(conn, &running, asked, r));
        let seen = Seen { status: by.why.status(), end: Err(by.why), detail: detail.as_deref(), ..Seen::default() };
        record(&conn.observer(), asked, &running, route, &seen, began);
    }
}
