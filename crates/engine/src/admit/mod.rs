//! Admit: may this request pass, and by which route? Pure, and the only judge there is: the data path and `where` ask it.
//! It judges by the plan that runs now, not by the one at accept, so that a tightened rule holds from the next request on.
//!
//! A request passes the checks in the order of [`checks`], one file each. A check sees the whole [`Case`], writes down what
//! it found, and refuses with one reason; a refusal of what a route asks is that route's. Read next: `site.rs`.

mod jwt;
mod plain;
mod route;
mod site;
mod stream;

pub use plain::{admit_plain, admit_served};
pub use stream::admit_stream;

use crate::exchange::asked::Asked;
use everyhop_decide::{Denied, Headers, Who};
use everyhop_record::refusal::Refusal;
use everyhop_running::running::Running;
use everyhop_running::token::Verified;
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

/// A request that may pass.
#[derive(Debug)]
pub struct Admitted {
    /// The index of its route.
    pub route: usize,
    /// The token that its route asked for; `None` where it asks for none.
    pub token: Option<Arc<Verified>>,
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
            Denied::ClientNotAllowed => Refusal::ClientNotAllowed,
            Denied::UpgradeRefused => Refusal::UpgradeRefused,
        };
        Refused { route: by.route, why }
    }
}

/// What is asked before a token is looked at, where a route wants one, by the index of the route: whoever tries tokens has
/// only so many tries. It may count, which admitting itself never does.
pub type First<'a> = &'a mut dyn FnMut(usize) -> Result<(), Refusal>;

/// All that a check may look at, and what the checks before it found.
struct Case<'a> {
    running: &'a Running,
    proved: &'a Proved<'a>,
    asked: &'a Asked,
    headers: &'a dyn Headers,
    now_s: i64,
    first: First<'a>,
    route: Option<usize>,
    token: Option<Arc<Verified>>,
}

/// A tunnel's token, verified when it was opened, is what its route wants of one now. `None` where there is none.
pub(crate) fn still_shows(running: &Running, route: usize, token: Option<&Verified>, now_s: i64) -> bool {
    match (running.route(route).and_then(|r| r.jwt.as_deref()), token) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(jwt), Some(token)) => {
            jwt.issuers.iter().any(|it| it.rules == token.issuer.rules) && jwt::stands(jwt, token, now_s).is_ok()
        }
    }
}

/// What one check comes to.
type Checked = Result<(), Refused>;

/// The order. Whatever a route asks of a request beyond its rule stands behind the rule.
#[inline]
fn checks(case: &mut Case<'_>) -> Checked {
    site::check(case)?;
    route::check(case)?;
    jwt::check(case)
}

/// Judges a request. `now_s` is Unix time.
pub fn admit(
    running: &Running,
    proved: &Proved<'_>,
    asked: &Asked,
    (headers, first): (&dyn Headers, First<'_>),
    now_s: i64,
) -> Result<Admitted, Refused> {
    let mut case = Case { running, proved, asked, headers, now_s, first, route: None, token: None };
    checks(&mut case)?;
    let route = case.route.ok_or(Refusal::NotFound)?;
    Ok(Admitted { route, token: case.token })
}
