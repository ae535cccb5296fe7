//! By what a request finds the same backend again, where its route wants it to. Read next: `../backend/spread.rs`.

use crate::client::conn::Conn;
use crate::exchange::asked::Asked;
use crate::exchange::edits::Knows;
use crate::exchange::words::Fields;
use everyhop_canon::cookie::named;
use everyhop_plan::{Balance, Variable};
use everyhop_running::spread::{SpreadRun, key, key_on};
use everyhop_running::sticky::StickyRun;
use std::num::NonZeroU64;

/// `None` where the route's backends take turns, or the request has nothing that they could be told apart by.
#[cold]
#[inline(never)]
pub(crate) fn of(conn: &Conn, asked: &Asked, view: &impl Fields, spread: &SpreadRun) -> Option<NonZeroU64> {
    if let Some(sticky) = &spread.sticky {
        return sticking(view, spread, sticky);
    }
    match &spread.by {
        Balance::Turns {} | Balance::Least {} => None,
        Balance::Path {} => Some(key(asked.path().as_bytes())),
        Balance::ClientAddress {} => {
            let mut text = Vec::with_capacity(48);
            conn.tell(Variable::ClientAddress, asked, &mut text);
            Some(key(&text))
        }
        Balance::Header { name } => each(view, name, |value| Some(value)),
        Balance::Cookie { name } => each(view, "cookie", |value| cookie(value, name)),
    }
}

/// The backend that its cookie leads to: the first that is ours, of however many it sends.
fn sticking(view: &impl Fields, spread: &SpreadRun, sticky: &StickyRun) -> Option<NonZeroU64> {
    let mut found = None;
    view.each(|_, field, value| {
        if found.is_none() && field.eq_ignore_ascii_case(b"cookie") {
            found = sticky.leads_to(value);
        }
    });
    NonZeroU64::new(spread.shares.get(found?)?.id)
}

/// Of what counts in all fields of that name, one after the other.
fn each(view: &impl Fields, name: &str, part: impl for<'a> Fn(&'a [u8]) -> Option<&'a [u8]>) -> Option<NonZeroU64> {
    let mut found = None::<NonZeroU64>;
    view.each(|_, field, value| {
        if field.eq_ignore_ascii_case(name.as_bytes())
            && let Some(part) = part(value)
        {
            found = Some(found.map_or_else(|| key(part), |before| key_on(before.get(), part)));
        }
    });
    found
}

/// The value of that cookie in a `Cookie` field (RFC 6265 §4.2.1); of several of the name the first.
pub(crate) fn cookie<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    field.split(|b| *b == b';').find_map(|pair| named(pair, name))
}

#[cfg(test)]
mod tests {
    use super::cookie;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        for (field, found) in [
            (&b"id=1"[..], Some(&b"1"[..])),
            (b"a=2; id=1;b=3", Some(b"1")),
            (b"xid=2; id2=3", None),
            (b"id=; id=2", Some(b"")),
            (b"ID=1", None),
        ] {
            assert_eq!(cookie(field, "id"), found, "{field:?}");
        }
    }
}
