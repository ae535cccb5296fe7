//! Requests that come in the clear: at a listener from which nothing goes on, which of them are sent to https; at one that
//! serves, inside which site they are judged. Pure, and asked by the data path, `where` and the tests alike.
//! Read next: `admit.rs`, for those inside TLS.

use crate::{Matcher, Owner, under};

/// Where an authority looks for the answer to its challenge (RFC 8555 §8.3). It comes in the clear and must be answered there.
const CHALLENGES: &str = "/.well-known/acme-challenge";

/// What becomes of a request in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plain {
    /// 308: the same with https.
    Redirect,
    /// An authority asks, whose challenge nobody here has.
    Challenge,
    /// 421: the name is none of ours, or nobody speaks HTTP behind it.
    Unknown,
}

impl Plain {
    /// The slug, as the log and the reference have it.
    pub fn slug(self) -> &'static str {
        match self {
            Plain::Redirect => "plain/redirected",
            Plain::Challenge => "plain/no-challenge",
            Plain::Unknown => "plain/unknown-host",
        }
    }
}

impl Matcher {
    /// Whether what comes to the listener of that name comes in the clear.
    pub fn is_plain(&self, listener: &str) -> bool {
        self.plain.contains_key(listener)
    }

    /// Whether what comes there in the clear is served.
    pub fn serves_plain(&self, listener: &str) -> bool {
        self.plain.get(listener).copied().unwrap_or_default()
    }

    /// The site whose name a request in the clear asks for, at a listener that serves: it is judged as inside that site's TLS,
    /// by somebody who proved nothing.
    pub fn named_site(&self, listener: &str, host: &str) -> Option<usize> {
        self.view(listener).site(host)
    }

    /// Judges a request in the clear by the listener of that name; host and path are canonical.
    pub fn plain(&self, listener: &str, host: &str, path: &str) -> Plain {
        match self.view(listener).owners.get(host) {
            None => Plain::Unknown,
            Some(_) if under(path, CHALLENGES) => Plain::Challenge,
            // There is nothing that a browser could be sent to.
            Some(Owner::Streams(_)) => Plain::Unknown,
            Some(Owner::Site(_) | Owner::Splice(_)) => Plain::Redirect,
        }
    }
}
