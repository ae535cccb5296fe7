//! Admit: may this request pass, and by which route? Pure, and the only judge there is: the data path and `where` ask it.
//! It judges by the plan that runs now, not by the one at accept, so that a tightened rule holds from the next request on.
//!
//! A request passes the checks in the order of [`checks`], one file each. A check sees the whole [`Case`], writes down what
//! it found, and refuses with one reason; a refusal of what a route asks is that route's. Read next: `site.rs`.

mod basic;
mod jwt;
mod plain;
mod route;
mod site;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use basic::{Signed, password};
pub(crate) use jwt::token;
pub(crate) use plain::admit_served_to_route;
pub use plain::{admit_plain, admit_served};
pub use stream::admit_stream;

use crate::exchange::asked::Asked;
use everyhop_decide::{Denied, Headers, Who};
use everyhop_password::User;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;
use everyhop_running::token::{IssuerRun, Verified};
use std::sync::Arc;

/// What the handshake proved.
pub struct Proved<'a> {
    /// The name of the listener by which it came.
    pub listener: &'a str,
    /// The index of the site where TLS ended, in the plan that runs now; `None` where that plan does not have it, or
    /// promises something else there.
    pub site: Option<usize>,
    pub who: Who<'a>,
    /// The last second of what it was proved by, in Unix time; `i64::MAX` where nothing was.
    pub client_not_after_s: i64,
    /// The token that a route may ask for.
    pub shows: Shows<'a>,
}

/// Where a token is that a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows<'a> {
    /// Wherever in the request the route looks for it.
    InRequest,
    /// This one, wherever the route would look: of a question about one.
    Token(&'a str),
    /// Whatever is asked for: of a question that says nothing about it.
    Anything,
}

/// A request that may not pass: whose it would have been, where a route was found, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub route: Option<usize>,
    pub why: Refusal,
}

impl From<Refusal> for Refused {
    /// Refused before any route was looked for.
    fn from(why: Refusal) -> Refused {
        Refused { route: None, why }
    }
}

impl From<everyhop_decide::Refused> for Refused {
    fn from(by: everyhop_decide::Refused) -> Refused {
        let why = match by.why {
            Denied::NotFound => Refusal::NotFound,
            Denied::Misdirected => Refusal::Misdirected,
            Denied::Ambiguous => Refusal::BadTarget,
            Denied::AddressNotAllowed => Refusal::AddressNotAllowed,
            Denied::ClientNotAllowed => Refusal::ClientNotAllowed,
            Denied::UpgradeRefused => Refusal::UpgradeRefused,
        };
        Refused { route: by.route, why }
    }
}

/// All that a check may look at, and what the checks before it found.
struct Case<'a> {
    running: &'a Running,
    proved: &'a Proved<'a>,
    asked: &'a Asked,
    headers: &'a dyn Headers,
    now_s: i64,
    route: Option<usize>,
}

/// A tunnel's token or password, verified when it was opened, is what its route wants of one now. `None` where there is none.
pub(crate) fn still_shows(
    running: &Running,
    route: usize,
    (token, user): (Option<&Verified>, Option<&User>),
    now_s: i64,
) -> bool {
    if let Some(basic) = running.route(route).and_then(|r| r.basic.as_deref())
        && !user.is_some_and(|user| basic.still_has(user))
    {
        return false;
    }
    match (running.route(route).and_then(|r| r.jwt.as_deref()), token) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(jwt), Some(token)) => {
            jwt.issuers.iter().any(|it| it.rules == token.issuer.rules) && jwt::stands(jwt, token, now_s).is_ok()
        }
    }
}

/// Whose keys are to be asked for anew before a request is refused for that: those of its token, which names one that is not there.
#[cold]
pub(crate) fn lacking(running: &Running, by: Refused, headers: &dyn Headers) -> Option<Arc<IssuerRun>> {
    if !matches!(by.why, Refusal::TokenKey | Refusal::TokenKeysUnavailable) {
        return None;
    }
    let jwt = running.route(by.route?)?.jwt.as_deref()?;
    jwt::lacking(jwt, headers)
}

/// What one check comes to.
type Checked = Result<(), Refused>;

/// The order, up to what a route asks for beyond its rule: that stands behind it, in [`token`].
#[inline]
fn checks(case: &mut Case<'_>) -> Checked {
    site::check(case)?;
    route::check(case)
}

/// Judges a request as far as it can be without its token: which route's it is. Whoever tries tokens is to have only so many
/// tries, so that limits by address are asked between this and [`token`]. `now_s` is Unix time.
#[inline]
pub(crate) fn admit_to_route(
    running: &Running,
    proved: &Proved<'_>,
    asked: &Asked,
    headers: &dyn Headers,
    now_s: i64,
) -> Result<usize, Refused> {
    let mut case = Case { running, proved, asked, headers, now_s, route: None };
    checks(&mut case)?;
    case.route.ok_or(Refusal::NotFound.into())
}

/// Judges a request, whole.
pub fn admit(
    running: &Running,
    proved: &Proved<'_>,
    asked: &Asked,
    headers: &dyn Headers,
    now_s: i64,
) -> Result<usize, Refused> {
    let route = admit_to_route(running, proved, asked, headers, now_s)?;
    shows_token(running, route, (proved.shows, headers), now_s)?;
    Ok(route)
}

/// It has the token or password that its route asks for, if that asks for one. Asked without a password it is taken as shown.
fn shows_token(
    running: &Running,
    route: usize,
    (shows, headers): (Shows<'_>, &dyn Headers),
    now_s: i64,
) -> Result<(), Refused> {
    if let Some(jwt) = running.route(route).and_then(|r| r.jwt.as_deref()) {
        token(jwt, (shows, headers), now_s).map_err(|why| Refused { route: Some(route), why })?;
    }
    if let Some(basic) = running.route(route).and_then(|r| r.basic.as_deref()) {
        basic::tried(basic, headers).map_err(|why| Refused { route: Some(route), why })?;
    }
    Ok(())
}
