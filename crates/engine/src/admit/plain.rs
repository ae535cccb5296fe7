//! A request in the clear, at a listener from which nothing goes on: always refused, and this says in which way.
//! Read next: `everyhop-decide`, `plain.rs`.

use crate::exchange::asked::Asked;
use everyhop_decide::{Matcher, Plain};
use everyhop_record::refusal::Refusal;

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
