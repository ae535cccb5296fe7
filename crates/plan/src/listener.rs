//! A listener: an address where connections arrive, and whose word about the client is believed there.
//! Read next: `site.rs`.

use crate::{Reach, present};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    pub name: String,
    /// Socket addresses, `[::]:443`. The supervisor binds them.
    pub bind: Vec<String>,
    pub speaks: Speaks,
    pub no_sni: Unnamed,
    pub unknown_sni: Unnamed,
    /// Peers (CIDR) that must send a PROXY header; all others must not.
    pub accept_proxy: Vec<String>,
    /// Peers (CIDR) that are believed; where clients are named too, if they are one of those.
    pub trusted_proxies: Vec<String>,
    /// By which of these names a peer must have proved itself to be believed; wherever it is, where no networks are named.
    pub trusted_clients: Vec<String>,
    /// In what, sorted; of nobody else is any of it believed.
    pub believe: Vec<Believe>,
    /// At most this many connections at once, over all threads.
    pub connections: u32,
    /// By which protocol's words clients may ask for TLS here, before their hello. `null`: TLS is the first thing said.
    #[serde(deserialize_with = "present")]
    pub starttls: Option<StartTls>,
}

/// A field that a trusted proxy is believed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Believe {
    /// X-Forwarded-For.
    Address,
    /// Client-Cert and Client-Cert-Chain (RFC 9440): what the client showed the proxy, which verified it.
    ClientCert,
    /// Forwarded (RFC 7239): addresses, scheme and host.
    Forwarded,
    /// X-Forwarded-Host. What the client asked the proxy for; no route is chosen by it.
    Host,
    /// X-Forwarded-Port.
    Port,
    /// X-Forwarded-Prefix.
    Prefix,
    /// X-Forwarded-Proto.
    Proto,
    /// X-Request-Id.
    RequestId,
    /// traceparent and tracestate (W3C Trace Context).
    TraceContext,
}

/// What is spoken from the first byte on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Speaks {
    Tls {},
    /// HTTP in the clear. Nothing goes on from there: requests are sent to https, at this port of the host that they name.
    Redirect {
        https_port: std::num::NonZeroU16,
    },
    /// HTTP in the clear, served: somebody else ended TLS, or nobody did. `reach` says why that is bearable.
    Serve {
        reach: Reach,
    },
}

impl Speaks {
    pub fn is_plain(&self) -> bool {
        !matches!(self, Speaks::Tls {})
    }

    /// What comes in the clear goes on from here.
    pub fn serves_plain(&self) -> bool {
        matches!(self, Speaks::Serve { .. })
    }

    /// Unix time at which an accepted listener takes nothing more; `i64::MAX` where nothing expires.
    pub fn closes_at_s(&self) -> i64 {
        match self {
            Speaks::Serve { reach: Reach::Accepted { acceptance } } => acceptance.closes_at_s,
            _ => i64::MAX,
        }
    }
}

impl Listener {
    /// Whether something that names these listeners is reached by it.
    pub fn answers(&self, named: Option<&[String]>) -> bool {
        named.is_none_or(|all| all.contains(&self.name))
    }

    /// What comes here comes in the clear.
    pub fn is_plain(&self) -> bool {
        self.speaks.is_plain()
    }

    /// Requests go on from here.
    pub fn goes_on(&self) -> bool {
        !self.is_plain() || self.speaks.serves_plain()
    }
}

/// A protocol that begins in the clear, with a request for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartTls {
    /// SSLRequest (PostgreSQL, "Message Flow", "SSL Session Encryption").
    Postgres,
    /// STARTTLS (RFC 3207).
    Smtp,
    /// STARTTLS (RFC 9051 §6.2.1).
    Imap,
    /// StartTLS (RFC 4511 §4.14).
    Ldap,
}

impl StartTls {
    /// Its servers speak first, once: before TLS where that is asked for, else within it.
    pub fn greets(self) -> bool {
        matches!(self, StartTls::Smtp | StartTls::Imap)
    }
}

/// The answer to a hello that names nothing of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Unnamed {
    /// Fatal unrecognized_name before any certificate is shown.
    Refuse {},
    Site {
        site: String,
    },
    /// A passthrough route.
    Route {
        route: String,
    },
}
