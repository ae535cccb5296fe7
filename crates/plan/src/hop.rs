//! A backend and the hop to it: where it is, what protects the way, and on whose word plaintext may cross a network.
//! The contradiction cannot be written here: a plaintext hop carries its reason, a mutual hop its identity.
//! Read next: `route.rs`.

use crate::present;
use crate::site::StaleCrl;
use serde::{Deserialize, Serialize};

/// One server of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    pub at: Place,
    pub hop: BackendHop,
}

/// Where a backend listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Place {
    Ip {
        ip: std::net::IpAddr,
        port: u16,
    },
    /// Resolved by the supervisor; the engine resolves no name.
    Name {
        name: String,
        port: u16,
    },
    /// `_https._tcp.api.internal`: the supervisor asks DNS where it is (RFC 2782), and nobody whom to expect there.
    Service {
        service: String,
    },
    Unix {
        path: String,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Ip { ip, port } => write!(f, "{}", std::net::SocketAddr::new(*ip, *port)),
            Place::Name { name, port } => write!(f, "{name}:{port}"),
            Place::Service { service } => write!(f, "srv:{service}"),
            Place::Unix { path } => write!(f, "unix:{path}"),
        }
    }
}

/// What protects the hop to one backend of a terminating route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "tls", rename_all = "snake_case", deny_unknown_fields)]
pub enum BackendHop {
    Mutual {
        verify: Verify,
        present: String,
        /// A backend that does not ask for our certificate gets no request.
        demand_asks: bool,
        policy: TlsPolicy,
    },
    Reencrypt {
        verify: Verify,
        policy: TlsPolicy,
    },
    Plaintext {
        reach: Reach,
    },
}

/// Whom we expect there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    pub by: Proof,
    /// The DNS name or IP address that the backend's certificate must carry, unless `by` says that a pin alone does; also
    /// the SNI when it is a name.
    pub name: String,
}

/// By what a backend proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// Its certificate chains to a root, or is itself one of them and signed by its own key; and carries the name, always
    /// both. `ca` is a material id, `ca/...`; `crl` is one, `crl/...`, of lists that speak of every authority of a chain.
    Roots {
        ca: String,
        #[serde(deserialize_with = "present")]
        crl: Option<String>,
        stale_crl: StaleCrl,
    },
    /// The SHA-256 of its certificate, or of its public key (SubjectPublicKeyInfo), is one of these, in hexadecimal digits.
    Pins {
        sha256: Vec<String>,
        /// It must carry the name as well.
        name_too: bool,
    },
    /// Its certificate chains to a root and is that of a workload (X509-SVID): its one URI is `id`, or one of the trust domain
    /// for `spiffe://TD/*`.
    Spiffe {
        ca: String,
        #[serde(deserialize_with = "present")]
        crl: Option<String>,
        stale_crl: StaleCrl,
        id: String,
        /// It must carry the name as well.
        name_too: bool,
    },
}

/// Why plaintext is bearable here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reach {
    /// A literal loopback address or a Unix socket.
    SameHost {},
    /// It crosses a network and someone signed for it.
    Accepted { acceptance: Acceptance },
}

/// A person's dated, reasoned, expiring agreement to a plaintext hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    pub owner: String,
    pub why: String,
    pub context: Context,
    /// ISO dates, for people.
    pub since: String,
    pub until: String,
    /// Unix time at which the hop closes: the end of `until`, 24:00 UTC.
    pub closes_at_s: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    SameHost,
    IsolatedNetwork,
    VendorAppliance,
    Legacy,
}

/// Versions, suites and groups spelt out, so that a preset that ages changes the plan's digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsPolicy {
    /// `"1.2"`, `"1.3"`.
    pub versions: Vec<String>,
    /// IANA names, in order of preference.
    pub suites: Vec<String>,
    /// IANA names of key exchange groups, in order of preference.
    pub groups: Vec<String>,
}

impl TlsPolicy {
    /// Nothing but post-quantum key exchange is offered and taken.
    pub fn is_post_quantum(&self) -> bool {
        !self.groups.is_empty() && self.groups.iter().all(|it| it.contains("MLKEM"))
    }
}
