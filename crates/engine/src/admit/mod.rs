//! Admit: may this request pass, and by which route? One canonical request in, a route or a refusal out. It asks the
//! plan that runs now, not the one at accept, so that a tightened rule holds from the next request on.
//! Read next: `http/mod.rs`, which carries what is admitted.

use crate::client::Conn;
use crate::exchange::asked::Asked;
use crate::refusal::Refusal;
use crate::running::Running;
use everyhop_decide::{Answer, Ask, Headers};

/// The index of the route.
pub(crate) fn admit(running: &Running, conn: &Conn, asked: &Asked, headers: &dyn Headers) -> Result<usize, Refusal> {
    let core = &conn.opened.arrived.core;
    if core.shared.log.must_refuse() {
        return Err(Refusal::LogFull);
    }
    let site = conn.site_in(running).ok_or(Refusal::Misdirected)?;
    if running.sites.get(site).is_none_or(|s| core.clock().unix_s.get() >= s.not_after_s) {
        return Err(Refusal::SiteExpired);
    }
    let ask = Ask { host: &asked.host, path: asked.path(), method: &asked.method, headers };
    let route = match running.matcher.ask(site, &ask) {
        Answer::Route(route) => route,
        Answer::NotFound => return Err(Refusal::NotFound),
        Answer::Misdirected => return Err(Refusal::Misdirected),
        Answer::Ambiguous => return Err(Refusal::BadTarget),
    };
    let Some(at) = running.routes.get(route) else { return Err(Refusal::NotFound) };
    if let Some(allow) = &at.allow
        && !conn.client_names().iter().any(|name| allow.contains(name))
    {
        return Err(Refusal::ClientNotAllowed);
    }
    if asked.websocket && !at.websocket {
        return Err(Refusal::UpgradeRefused);
    }
    Ok(route)
}
