//! Answers to the challenges of certificate authorities, for as long as orders are pending: by a certificate of its own for
//! `tls-alpn-01` (RFC 8737), by a text for `http-01` (RFC 8555 §8.3). The supervisor has the orders; here is only what is answered.
//! Who asks for anything else finds nothing here. Read next: the engine's `challenged.rs`.

use crate::material::Unusable;
use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::collections::HashMap;
use std::sync::Arc;

/// What an authority offers that wants to see the certificate of a challenge, and nothing beside it (RFC 8737 §3).
pub const ACME_TLS: &[u8] = b"acme-tls/1";
/// Below it the answers to challenges are asked for (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// One answer, as the supervisor gives it.
#[derive(serde::Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Given {
    #[serde(rename = "tls-alpn-01")]
    Tls { name: String, certificate: Shown },
    #[serde(rename = "http-01")]
    Http { name: String, token: String, text: String },
}

/// The certificate of a challenge in PEM, and its key, which is worth nothing anywhere else.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    chain: String,
    key: String,
}

/// All that are pending.
#[derive(Default)]
pub struct Challenges(ArcSwapOption<Pending>);

#[derive(Default)]
struct Pending {
    tls: HashMap<String, Arc<ServerConfig>>,
    /// By name and token.
    http: HashMap<(String, String), Arc<str>>,
}

impl Challenges {
    /// Those and no others are pending from now on.
    pub fn are(&self, given: Vec<Given>) -> Result<(), Unusable> {
        if given.is_empty() {
            self.0.store(None);
            return Ok(());
        }
        let mut pending = Pending::default();
        for it in given {
            match it {
                Given::Tls { name, certificate } => {
                    let config =
                        shows(&certificate).map_err(|why| Unusable(format!("challenge of {name:?}: {why}")))?;
                    pending.tls.insert(name, config);
                }
                Given::Http { name, token, text } => {
                    pending.http.insert((name, token), text.into());
                }
            }
        }
        self.0.store(Some(Arc::new(pending)));
        Ok(())
    }

    /// By what a hello that asks for the certificate of a challenge is answered.
    #[inline]
    pub fn tls(&self, name: Option<&str>, alpn: &[Vec<u8>]) -> Option<Arc<ServerConfig>> {
        match alpn {
            [only] if only == ACME_TLS => self.0.load().as_ref()?.tls.get(name?).cloned(),
            _ => None,
        }
    }

    /// The text of a challenge, where that path asks for one that is pending.
    #[inline]
    pub fn http(&self, host: &str, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(CHALLENGES)?;
        self.0.load().as_ref()?.http.get(&(host.to_owned(), token.to_owned())).cloned()
    }
}

/// A session that shows this certificate, speaks of nothing else, and remembers nothing. It is as it was given: that of a challenge is
/// none for servers, and nobody but its authority reads it.
fn shows(it: &Shown) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(it.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|it| !it.is_empty()).ok_or("its certificate is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(it.key.as_bytes()).map_err(|_| "its key is not PEM")?;
    let key = sign::any_supported_type(&key).map_err(|_| "its key is of no kind that TLS uses here")?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}
