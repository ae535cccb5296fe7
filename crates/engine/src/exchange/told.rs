//! What a trusted proxy told of the request that it took, where a listener believes it: in place of what the edge knows
//! itself, each for itself. No route is chosen by it, nobody is let in by it. Read next: `../client/believed.rs`.

use everyhop_canon::told::{Named, Scheme};
use everyhop_record::json::hex16;
use std::fmt::{self, Display, Formatter};

/// In full, so that all fields to the backend are written of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) scheme: Scheme,
    /// The client's own, with its port where that is not the scheme's.
    pub(crate) authority: String,
    pub(crate) port: Option<u16>,
    pub(crate) id: Option<String>,
    /// What its client proved, where that is believed: whoever brings the request proved something else, of itself.
    pub(crate) proved: Option<Proved>,
}

/// The certificate that a client showed a proxy, and the chain behind it, as RFC 9440 writes them; nothing where it showed none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Proved {
    pub(crate) cert: Option<Vec<u8>>,
    pub(crate) chain: Option<Vec<u8>>,
}

impl Told {
    /// `own`: host and authority of the request as it came here, for what nobody told.
    pub(crate) fn of(
        scheme: Option<Scheme>,
        named: Option<Named>,
        port: Option<u16>,
        id: Option<String>,
        own: (&str, &str),
    ) -> Told {
        let scheme = scheme.unwrap_or(Scheme::Https);
        // A host that names another port than the one that is told: neither is true.
        let apart = matches!((&named, port), (Some(Named { port: Some(own), .. }), Some(told)) if *own != told);
        let (named, port) = if apart { (None, None) } else { (named, port) };
        let away = port.filter(|p| *p != scheme.default_port());
        let authority = match (named, port) {
            (None, None) => own.1.to_owned(),
            (Some(Named { host, port: Some(its) }), _) => with_port(host, its),
            (named, _) => {
                let host = named.map_or_else(|| own.0.to_owned(), |it| it.host);
                match away {
                    Some(port) => with_port(host, port),
                    None => host,
                }
            }
        };
        Told { scheme, authority, port, id, proved: None }
    }
}

fn with_port(mut host: String, port: u16) -> String {
    host.push(':');
    host.push_str(&port.to_string());
    host
}

/// By which a request is known to client, backend and log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Id<'a> {
    Own(u64),
    Told(&'a str),
}

impl Id<'_> {
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Id::Own(id) => hex16(out, id),
            Id::Told(id) => out.extend_from_slice(id.as_bytes()),
        }
    }
}

impl Display for Id<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Id::Own(id) => write!(f, "{id:016x}"),
            Id::Told(id) => f.write_str(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_go_on_as_one_or_not_at_all() {
        let (http, https) = (Some(Scheme::Http), Some(Scheme::Https));
        let named = |host: &str, port| Some(Named { host: host.to_owned(), port });
        let own = ("own.test", "own.test:9443");
        for (scheme, name, port, authority, told) in [
            (None, None, None, "own.test:9443", None),
            (None, None, Some(443), "own.test", Some(443)),
            (None, None, Some(8443), "own.test:8443", Some(8443)),
            (http, None, Some(80), "own.test", Some(80)),
            (http, None, Some(443), "own.test:443", Some(443)),
            (https, named("a.test", None), None, "a.test", None),
            (https, named("a.test", None), Some(443), "a.test", Some(443)),
            (https, named("a.test", None), Some(80), "a.test:80", Some(80)),
            (https, named("a.test", Some(443)), Some(443), "a.test:443", Some(443)),
            (https, named("a.test", Some(8443)), None, "a.test:8443", None),
            (https, named("a.test", Some(8443)), Some(443), "own.test:9443", None),
        ] {
            let it = Told::of(scheme, name.clone(), port, None, own);
            assert_eq!((it.authority.as_str(), it.port), (authority, told), "{scheme:?} {name:?} {port:?}");
        }
    }
}
