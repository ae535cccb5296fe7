//! A request in the clear. At a listener from which nothing goes on it is always refused, and this says in which way; at one
//! that serves it is judged as inside the site whose name it asks for, by somebody who proved nothing.
//! Read next: `everyhop-decide`, `plain.rs`.

use crate::admit::{Proved, Refused, shows_token};
use crate::exchange::asked::Asked;
use everyhop_decide::{Ask, Headers, Matcher, Plain};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;

/// What a request in the clear is answered by the listener of that name.
pub fn admit_plain(matcher: &Matcher, listener: &str, asked: &Asked) -> Refusal {
    match matcher.plain(listener, &asked.host, asked.path()) {
        // Sent to https it would come back the same: who ended TLS before this port keeps it, or goes to another one.
        Plain::Redirect if asked.secure => Refusal::PlainHttps,
        Plain::Redirect => Refusal::PlainRedirected,
        Plain::Challenge => Refusal::PlainChallenge,
        Plain::Unknown => Refusal::PlainUnknown,
    }
}

/// Judges a request at a listener that serves what comes in the clear, as it is in the plan that runs now, as far as it can be
/// without its token. No certificate stands for it, so none can be over; its acceptance can.
pub(crate) fn admit_served_to_route(
    running: &Running,
    proved: &Proved<'_>,
    asked: &Asked,
    headers: &dyn Headers,
    now_s: i64,
) -> Result<usize, Refused> {
    let listener = proved.listener;
    let at = running.listeners.iter().find(|l| l.name == listener && l.speaks.serves_plain());
    let at = at.ok_or(Refusal::Misdirected)?;
    if now_s >= at.speaks.closes_at_s() {
        return Err(Refusal::PlainExpired.into());
    }
    let site = running.matcher.named_site(listener, &asked.host).ok_or(Refusal::PlainUnknown)?;
    let ask = Ask { host: &asked.host, path: asked.path(), sent: asked.sent(), method: &asked.method, headers };
    Ok(running.matcher.admit(listener, site, proved.who.in_the_clear(), &ask, asked.upgrade())?)
}

/// The same, whole.
pub fn admit_served(
    running: &Running,
    proved: &Proved<'_>,
    asked: &Asked,
    headers: &dyn Headers,
    now_s: i64,
) -> Result<usize, Refused> {
    let route = admit_served_to_route(running, proved, asked, headers, now_s)?;
    shows_token(running, route, (proved.shows, headers), now_s)?;
    Ok(route)
}
