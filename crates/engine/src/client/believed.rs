//! What is believed of a trusted proxy's fields, each for itself, as its listener names them (X01). What cannot be read or
//! contradicts another is not believed, and the edge says what it knows itself: nothing here refuses a request, since
//! what goes on is written afresh and two readers cannot disagree about it. Read next: `../head/identity.rs`.

use crate::exchange::asked::Asked;
use crate::exchange::told::{Proved, Told};
use crate::exchange::words::Fields;
use everyhop_canon::forwarded;
use everyhop_canon::told::{self, Hop, Said, Scheme};
use everyhop_http1::FieldId;
use everyhop_plan::Believe;
use everyhop_running::running::Listening;

/// Takes over what the listener's trusted proxies vouch for; the peer is one of them.
pub(crate) fn believe(at: &Listening, asked: &mut Asked, view: &impl Fields) {
    let mut said = false;
    if at.believe.contains(&Believe::Address) {
        let mut whole = true;
        view.each(|id, _, value| {
            if id == FieldId::XForwardedFor {
                said = true;
                whole &= forwarded::addresses(value, &mut asked.chain);
            }
        });
        match forwarded::client_in(&asked.chain, &at.trusted).filter(|_| whole) {
            Some(at) => drop(asked.chain.drain(..at)),
            // What cannot be read is not believed in part.
            None => asked.chain.clear(),
        }
    }
    if at.believe.iter().any(|b| !matches!(b, Believe::Address | Believe::TraceContext)) {
        believe_more(at, asked, view, said);
    }
}

/// `named`: X-Forwarded-For was there; whom it named is in the chain, if that could be read.
#[inline(never)]
fn believe_more(at: &Listening, asked: &mut Asked, view: &impl Fields, named: bool) {
    let (mut scheme, mut host, mut port, mut id) = (Said::Nothing, Said::Nothing, Said::Nothing, Said::Nothing);
    let (mut hops, mut whole) = (Vec::new(), true);
    let (mut prefix, mut cert, mut chain) = (Said::Nothing, Said::Nothing, Said::Nothing);
    view.each(|field, name, value| {
        if field != FieldId::Identity {
            return;
        }
        let is = |what: Believe, full: &str| name.eq_ignore_ascii_case(full.as_bytes()) && at.believe.contains(&what);
        if is(Believe::Proto, "x-forwarded-proto") {
            scheme.also(told::list(value, told::scheme));
        } else if is(Believe::Host, "x-forwarded-host") {
            host.also(told::list(value, told::named));
        } else if is(Believe::Port, "x-forwarded-port") {
            port.also(told::list(value, told::port));
        } else if is(Believe::Prefix, "x-forwarded-prefix") {
            prefix.also(told::prefix(value).map(str::to_owned).into());
        } else if is(Believe::ClientCert, "client-cert") {
            cert.also(told::certificate(value).map(<[u8]>::to_vec).into());
        } else if is(Believe::ClientCert, "client-cert-chain") {
            chain.also(told::certificates(value).map(<[u8]>::to_vec).into());
        } else if is(Believe::RequestId, "x-request-id") {
            id.also(told::request_id(value).into());
        } else if is(Believe::Forwarded, "forwarded") {
            whole &= told::hops(value, &mut hops);
        }
    });
    if whole {
        let first = told::of_client(&hops, &at.trusted).unwrap_or(0);
        let of_client: Vec<Hop> = hops.drain(first..).collect();
        let chain: Option<Vec<_>> = of_client.iter().map(|hop| hop.from).collect();
        if let Some(chain) = chain.filter(|chain| !chain.is_empty()) {
            if !named {
                asked.chain = chain;
            } else if asked.chain != chain {
                asked.chain.clear();
            }
        }
        if let Some(Hop { scheme: by, host: name, .. }) = of_client.into_iter().next() {
            scheme.also(by);
            host.also(name);
        }
    } else {
        // It might have contradicted any of them.
        asked.chain.clear();
        (scheme, host) = (Said::Apart, Said::Apart);
    }
    let scheme = scheme.this();
    asked.secure |= scheme == Some(Scheme::Https);
    // What came in the clear did not come with https because nobody said so.
    let scheme = scheme.or_else(|| at.speaks.is_plain().then_some(Scheme::Http));
    asked.prefix.push_str(&prefix.this().unwrap_or_default());
    let mut told = Told::of(scheme, host.this(), port.this(), id.this(), (&asked.host, &asked.authority));
    if at.believe.contains(&Believe::ClientCert) {
        let cert = cert.this();
        // A chain without a certificate at its end proves nothing of anybody.
        let chain = chain.this().filter(|_| cert.is_some());
        told.proved = Some(Proved { cert, chain });
    }
    asked.told = Some(Box::new(told));
}
