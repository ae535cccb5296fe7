//! A site: host names whose TLS ends here, with certificates, the demand on clients and the TLS policy.
//! It names material by id and holds none. Read next: `listener.rs`.

use crate::hop::TlsPolicy;
use crate::present;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    pub name: String,
    /// Canonical names, exact or `*.` wildcard; each names this site alone.
    pub hosts: Vec<String>,
    /// The only listeners where it answers, sorted. `null`: every one.
    #[serde(deserialize_with = "present")]
    pub listeners: Option<Vec<String>>,
    /// One per key type; the first that the client can verify is shown.
    pub certs: Vec<Cert>,
    pub clients: ClientDemand,
    pub policy: TlsPolicy,
    /// What is spoken inside its TLS.
    pub protocol: Protocol,
    /// In order of preference; `h2` and `http/1.1` where HTTP is spoken. Empty: whatever a client offers, none is chosen.
    pub alpn: Vec<String>,
    /// What browsers are told about this name and https. `null`: nothing.
    #[serde(deserialize_with = "present")]
    pub hsts: Option<Hsts>,
}

/// Strict-Transport-Security (RFC 6797 §6.1), in answers over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    pub max_age_s: u32,
    pub subdomains: bool,
    /// Browsers may ship it.
    pub preload: bool,
}

impl std::fmt::Display for Hsts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "max-age={}", self.max_age_s)?;
        f.write_str(if self.subdomains { "; includeSubDomains" } else { "" })?;
        f.write_str(if self.preload { "; preload" } else { "" })
    }
}

/// What a site's clients speak inside TLS. All of a site is one of them: no client chooses by which it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Requests, each read and judged.
    Http,
    /// Whatever it is: bytes go on as they come.
    Tcp,
}

/// A certificate of a site: what it is called in the material, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cert {
    /// Material id, `site/NAME/0`...
    pub material: String,
    /// The chain's file, as the configuration names it.
    pub chain: String,
    /// Where the key is kept, as the configuration names it: `file:`, `env:` or `cred:`; never the key. `acme`,
    /// `ca:` and `spiffe:`: the certificate comes by itself, and may not have come yet.
    pub key: String,
}

/// What is demanded of clients. `ca` is a material id, `ca/...`; `crl` is one, `crl/...`, of lists that speak of every
/// authority of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientDemand {
    Nothing {},
    Ask {
        ca: String,
        #[serde(deserialize_with = "present")]
        crl: Option<String>,
        stale_crl: StaleCrl,
    },
    Require {
        ca: String,
        #[serde(deserialize_with = "present")]
        crl: Option<String>,
        stale_crl: StaleCrl,
    },
}

/// What a revocation list means whose next update is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleCrl {
    /// No client certificate passes.
    Refuse,
    /// It still holds.
    Allow,
}

/// A key with its certificate that we present to backends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub name: String,
    /// Material id, `identity/NAME`.
    pub material: String,
    /// As in [`Cert`].
    pub chain: String,
    /// As in [`Cert`].
    pub key: String,
}
