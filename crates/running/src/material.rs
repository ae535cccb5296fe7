//! Keys, certificates and roots as they come from the supervisor, and the TLS configurations made of them.
//! Private keys live in `secret.rs` for a moment and in rustls, nowhere else; nothing is printed. rustls' `SigningKey` is
//! the one seam through which a key in another process would sign. Read next: `build.rs`.

use crate::judge;
use crate::judged::{By, Judge};
use crate::known::Noting;
use crate::noted::was_asked;
use crate::pinned::signing_for_themselves;
use crate::resumption::Resumption;
use crate::secret::{Seal, SecretPem, SecretText};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use everyhop_canon::spiffe;
use everyhop_plan::{Cert, ClientDemand, Identity, Proof, Site, StaleCrl, TlsPolicy, UpstreamProtocol, Verify};
use everyhop_signing::Role;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// The blob of the control protocol. `Debug` is not derived: it holds keys.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    pub certs: HashMap<String, Pair>,
    pub cas: HashMap<String, String>,
    #[serde(default)]
    pub crls: HashMap<String, String>,
    /// What answers of the edge's own have as their bodies, in base64: a page need not be text.
    #[serde(default)]
    pub pages: HashMap<String, String>,
    /// Key sets of issuers of tokens, as text of JSON.
    #[serde(default)]
    pub issuers: HashMap<String, String>,
    /// Those that were fetched.
    #[serde(default)]
    pub fetched: HashMap<String, String>,
    /// Files of users, each with the hashes of their passwords.
    #[serde(default)]
    pub users: HashMap<String, SecretText>,
    /// Passwords of stores.
    #[serde(default)]
    pub stores: HashMap<String, SecretText>,
    /// What sticky cookies are signed with, where some route has one.
    #[serde(default)]
    pub sticky: Option<Seal>,
    /// Secrets that ticket keys are made of, in the plan's order.
    #[serde(default)]
    pub tickets: Vec<SecretText>,
    /// What was read of it so far: whoever asks for it again gets the same, in memory once.
    #[serde(skip)]
    read: Read,
}

#[derive(Default)]
struct Read {
    pairs: RefCell<HashMap<(String, Role), Arc<CertifiedKey>>>,
    roots: RefCell<HashMap<String, Roots>>,
    pages: RefCell<HashMap<String, Bytes>>,
}

/// A CA bundle: the roots, and those of its certificates that sign for themselves, whole.
#[derive(Clone)]
pub struct Roots {
    pub store: Arc<RootCertStore>,
    pub own: Arc<Vec<CertificateDer<'static>>>,
}

/// The machine's own bundle: no backend shows what stands there.
const SYSTEM: &str = "ca/system";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    chain: String,
    /// Nothing: another process holds it, and signs.
    #[serde(deserialize_with = "everyhop_plan::present")]
    key: Option<SecretPem>,
}

/// A line of the material list: what evidence may know of a piece of material.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub id: String,
    pub chain_sha256: String,
    #[serde(deserialize_with = "everyhop_plan::present")]
    pub key_sha256: Option<String>,
    #[serde(deserialize_with = "everyhop_plan::present")]
    pub not_after_s: Option<i64>,
}

/// Why material or policy cannot be used; the compiler checks all of this first.
#[derive(Debug)]
pub struct Unusable(pub String);

impl Blob {
    /// `role`: what it is shown as, for which its key signs and no more where another process holds it.
    pub fn pair(&self, id: &str, role: Role) -> Result<Arc<CertifiedKey>, Unusable> {
        let name = (id.to_owned(), role);
        if let Some(known) = self.read.pairs.borrow().get(&name) {
            return Ok(known.clone());
        }
        let pair = self.certs.get(id).ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?;
        let certified = match &pair.key {
            Some(key) => judge::pair(&pair.chain, key),
            None => judge::chain(&pair.chain, role),
        };
        let certified = certified.map_err(|wrong| Unusable(format!("{id:?}: {wrong}")))?;
        self.read.pairs.borrow_mut().insert(name, certified.clone());
        Ok(certified)
    }

    pub fn roots(&self, id: &str) -> Result<Roots, Unusable> {
        if let Some(known) = self.read.roots.borrow().get(id) {
            return Ok(known.clone());
        }
        let pem = self.cas.get(id).ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?;
        // A bundle of the system may hold a root that webpki cannot use; a bundle without any is refused below.
        let (roots, _) = judge::roots(pem).map_err(|why| Unusable(format!("{id:?}: {why}")))?;
        let certs = CertificateDer::pem_slice_iter(pem.as_bytes()).filter(|_| id != SYSTEM);
        let certs = certs.collect::<Result<Vec<_>, _>>().map_err(|_| Unusable(format!("{id:?} is not PEM")))?;
        // Never the system's roots instead, never "no client authentication" (threat T12).
        if roots.is_empty() {
            return Err(Unusable(format!("{id:?} holds no usable root")));
        }
        let roots = Roots { store: Arc::new(roots), own: Arc::new(signing_for_themselves(certs)) };
        self.read.roots.borrow_mut().insert(id.to_owned(), roots.clone());
        Ok(roots)
    }

    /// A page's bytes.
    pub fn page(&self, id: &str) -> Result<Bytes, Unusable> {
        if let Some(known) = self.read.pages.borrow().get(id) {
            return Ok(known.clone());
        }
        let sent = self.pages.get(id).ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?;
        let page = STANDARD.decode(sent).map_err(|_| Unusable(format!("{id:?} is not base64")))?;
        let page = Bytes::from(page);
        self.read.pages.borrow_mut().insert(id.to_owned(), page.clone());
        Ok(page)
    }

    fn crls(&self, id: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, Unusable> {
        let pem = self.crls.get(id).ok_or_else(|| Unusable(format!("material {id:?} was not sent")))?;
        judge::lists(pem).map_err(|why| Unusable(format!("{id:?}: {why}")))
    }
}

/// The provider cut down to what a policy spells out, in its order.
pub fn crypto(policy: &TlsPolicy) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), Unusable> {
    let all = provider::default_provider();
    let mut suites = Vec::new();
    for name in &policy.suites {
        let found = all.cipher_suites.iter().find(|s| everyhop_hello::suite_name(u16::from(s.suite())) == name);
        suites.push(*found.ok_or_else(|| Unusable(format!("cipher suite {name:?} is not known")))?);
    }
    let mut groups = Vec::new();
    for name in &policy.groups {
        let found = provider::ALL_KX_GROUPS.iter().find(|g| everyhop_hello::group_name(u16::from(g.name())) == name);
        groups.push(*found.ok_or_else(|| Unusable(format!("key exchange group {name:?} is not known")))?);
    }
    let mut versions: Vec<&'static SupportedProtocolVersion> = Vec::new();
    for name in &policy.versions {
        versions.push(match name.as_str() {
            "1.2" => &rustls::version::TLS12,
            "1.3" => &rustls::version::TLS13,
            _ => return Err(Unusable(format!("TLS version {name:?} is not known"))),
        });
    }
    Ok((Arc::new(CryptoProvider { cipher_suites: suites, kx_groups: groups, ..all }), versions))
}

/// Certificates of a site, ECDSA and RSA side by side, each with its end: the first whose key the client can verify, and
/// of those one that is not over, if there is one. Where it can verify none, the first all the same: the handshake then
/// fails for what is wrong, with the alert that RFC 8446 §6.2 has for it, while rustls tells a client without a
/// certificate to offer that its access was denied.
#[derive(Debug)]
struct SiteCerts(Vec<(Arc<CertifiedKey>, i64)>);

impl ResolvesServerCert for SiteCerts {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whatever the client verifies and the clock says, there is no other.
        if let [(only, _)] = &self.0[..] {
            return Some(only.clone());
        }
        let fits = |c: &&(Arc<CertifiedKey>, i64)| c.0.key.choose_scheme(hello.signature_schemes()).is_some();
        let now_s = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        let fitting = self.0.iter().filter(fits);
        let shown = fitting.clone().find(|(_, not_after_s)| now_s < *not_after_s);
        shown.or_else(|| fitting.clone().next()).or(self.0.first()).map(|(cert, _)| cert.clone())
    }
}

/// Where the key is kept of what comes by itself.
fn comes(key: &str) -> bool {
    key == "acme" || key.starts_with("ca:") || key.starts_with("spiffe:")
}

/// Roots and lists that come with an identity, and lists that are fetched from a URL, as the plan names them.
fn comes_later(id: &str) -> bool {
    ["ca/identity:", "crl/identity:", "crl/https://", "crl/http://"].iter().any(|it| id.starts_with(it))
}

impl Blob {
    /// Whether all of it is there that a hop takes and that comes by itself: what has not come yet is in the plan all the same,
    /// and in no material. What is anything else is asked for where it is used, and refused there.
    pub(crate) fn has_come(&self, verify: &Verify, shown: Option<&Identity>) -> bool {
        let by = match &verify.by {
            Proof::Roots { ca, crl, .. } | Proof::Spiffe { ca, crl, .. } => self.have_come(ca, crl.as_deref()),
            Proof::Pins { .. } => true,
        };
        by && shown.is_none_or(|it| !comes(&it.key) || self.certs.contains_key(&it.material))
    }

    fn have_come(&self, ca: &str, crl: Option<&str>) -> bool {
        let there = |id: &str| !comes_later(id) || self.cas.contains_key(id) || self.crls.contains_key(id);
        there(ca) && crl.is_none_or(there)
    }

    /// The same of what a site knows its clients by.
    fn knows_clients(&self, site: &Site) -> bool {
        match &site.clients {
            ClientDemand::Nothing {} => true,
            ClientDemand::Ask { ca, crl, .. } | ClientDemand::Require { ca, crl, .. } => {
                self.have_come(ca, crl.as_deref())
            }
        }
    }
}

/// Its certificates: one that has not come yet is in the plan all the same, and in no material. None where it could not tell its
/// clients yet: without a certificate no handshake comes about.
pub(crate) fn shown<'a>(site: &'a Site, blob: &Blob) -> Vec<&'a Cert> {
    let knows = blob.knows_clients(site);
    site.certs.iter().filter(|c| knows && (!comes(&c.key) || blob.certs.contains_key(&c.material))).collect()
}

/// The server side of a site. `end_of` tells when a piece of material is over, in Unix time.
pub fn server(
    site: &Site,
    blob: &Blob,
    keep: &Resumption,
    end_of: impl Fn(&str) -> i64,
) -> Result<Arc<ServerConfig>, Unusable> {
    let (crypto, versions) = crypto(&site.policy)?;
    let certs = shown(site, blob).into_iter().map(|c| {
        let pair = blob.pair(&c.material, Role::Server)?;
        Ok((pair, end_of(&c.material)))
    });
    let certs = certs.collect::<Result<Vec<_>, Unusable>>()?;
    let builder = ServerConfig::builder_with_provider(crypto.clone())
        .with_protocol_versions(&versions)
        .map_err(|e| Unusable(format!("policy of site {:?}: {e}", site.name)))?;
    let verifier = |ca: &str, crl: Option<&str>, stale: StaleCrl| {
        let roots = blob.roots(ca)?.store;
        let mut it = WebPkiClientVerifier::builder_with_provider(roots.clone(), crypto.clone());
        if let Some(crl) = crl {
            // For every certificate of the chain; one that no list speaks of does not pass (threat T11).
            it = it.with_crls(blob.crls(crl)?);
            if stale == StaleCrl::Refuse {
                it = it.enforce_revocation_expiration();
            }
        }
        Ok::<_, Unusable>((it, roots))
    };
    let unusable = |e| Unusable(format!("client roots of site {:?}: {e}", site.name));
    let builder = match &site.clients {
        // It shows no certificate either: see `shown`.
        _ if !blob.knows_clients(site) => builder.with_no_client_auth(),
        ClientDemand::Nothing {} => builder.with_no_client_auth(),
        ClientDemand::Ask { ca, crl, stale_crl } => {
            let (it, roots) = verifier(ca, crl.as_deref(), *stale_crl)?;
            let judge = it.allow_unauthenticated().build().map_err(unusable)?;
            builder.with_client_cert_verifier(Arc::new(Noting { judge, roots }))
        }
        ClientDemand::Require { ca, crl, stale_crl } => {
            let (it, roots) = verifier(ca, crl.as_deref(), *stale_crl)?;
            let judge = it.build().map_err(unusable)?;
            builder.with_client_cert_verifier(Arc::new(Noting { judge, roots }))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SiteCerts(certs)));
    config.alpn_protocols = site.alpn.iter().map(|p| p.clone().into_bytes()).collect();
    config.session_storage = keep.sessions.clone();
    config.ticketer = keep.tickets.clone();
    // One ticket a handshake: each costs a record, and a ticket of ours may be used more than once.
    config.send_tls13_tickets = 1;
    // No 0-RTT: what comes early can be replayed (threat T08).
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// What we show to backends, and a note that it was asked for: mutual without being asked is mutual in name only.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _roots: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        was_asked();
        self.0.as_ref().filter(|c| c.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        // Also without an identity: that the backend asks is worth knowing.
        true
    }
}

/// Whether a backend is whom `verify` expects.
pub fn judge_of(verify: &Verify, crypto: &Arc<CryptoProvider>, blob: &Blob) -> Result<Judge, Unusable> {
    let known = crypto.signature_verification_algorithms;
    let by = match &verify.by {
        Proof::Roots { ca, crl, stale_crl } => {
            let Roots { store: roots, own } = blob.roots(ca)?;
            let judge = chains(&roots, crl.as_deref(), *stale_crl, &verify.name, crypto, blob)?;
            By::Roots { judge, roots, own, listed: crl.is_some() }
        }
        Proof::Spiffe { id, .. } if spiffe::trust_domain(id).or(spiffe::whole_domain(id)).is_none() => {
            return Err(Unusable(format!("{id:?} is no SPIFFE ID")));
        }
        Proof::Spiffe { ca, crl, stale_crl, id, name_too } => {
            let roots = blob.roots(ca)?.store;
            let judge = chains(&roots, crl.as_deref(), *stale_crl, &verify.name, crypto, blob)?;
            By::Spiffe { judge, roots, listed: crl.is_some(), id: id.clone(), name_too: *name_too }
        }
        Proof::Pins { sha256, .. } if sha256.is_empty() => {
            return Err(Unusable(format!("the hop to {:?} pins nothing", verify.name)));
        }
        Proof::Pins { sha256, name_too } => By::Pins { sha256: sha256.clone(), name_too: *name_too },
    };
    Ok(Judge { by, known })
}

/// rustls' own judge, by roots and lists.
fn chains(
    roots: &Arc<RootCertStore>,
    crl: Option<&str>,
    stale_crl: StaleCrl,
    name: &str,
    crypto: &Arc<CryptoProvider>,
    blob: &Blob,
) -> Result<Arc<WebPkiServerVerifier>, Unusable> {
    let mut it = WebPkiServerVerifier::builder_with_provider(roots.clone(), crypto.clone());
    if let Some(crl) = crl {
        // As for clients: every certificate of the chain, and what no list speaks of does not pass (threat T11).
        it = it.with_crls(blob.crls(crl)?);
        if stale_crl == StaleCrl::Refuse {
            it = it.enforce_revocation_expiration();
        }
    }
    it.build().map_err(|e| Unusable(format!("roots of the hop to {name:?}: {e}")))
}

/// HTTP/1.1, as ALPN has it (RFC 7301 §6).
pub const HTTP1: &[u8] = b"http/1.1";

/// The client side of a hop. Who is there is verified; there is no switch.
pub fn client(
    verify: &Verify,
    present: Option<&str>,
    policy: &TlsPolicy,
    protocol: UpstreamProtocol,
    blob: &Blob,
) -> Result<ClientConfig, Unusable> {
    let (crypto, versions) = crypto(policy)?;
    let shown = present.map(|id| blob.pair(id, Role::Client)).transpose()?;
    let judge = judge_of(verify, &crypto, blob)?;
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_protocol_versions(&versions)
        .map_err(|e| Unusable(format!("policy of the hop to {:?}: {e}", verify.name)))?
        // rustls' own judge, or one of pins; see there.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judge))
        .with_client_cert_resolver(Arc::new(Shown(shown)));
    config.alpn_protocols = match protocol {
        UpstreamProtocol::Http1 => vec![HTTP1.to_vec()],
        UpstreamProtocol::Http2 => vec![b"h2".to_vec()],
        UpstreamProtocol::Auto => vec![b"h2".to_vec(), HTTP1.to_vec()],
        UpstreamProtocol::Tcp => Vec::new(),
    };
    Ok(config)
}
