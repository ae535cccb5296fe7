//! Whether certificates, keys, roots and revocation lists can be used: the one judge of it. The engine asks it as it makes
//! a plan ready, `check` asks it through the door, so what one takes the other takes, for the same reasons. Nothing is
//! kept and no key is told. Read next: `material.rs`.

use crate::apart;
use crate::secret::SecretPem;
use everyhop_signing::Role;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertRevocationListError, Error, InconsistentKeys, RootCertStore};
use std::fmt;
use std::sync::Arc;

/// Why a chain and its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Of the chain.
    Chain(String),
    /// Of the key.
    Key(&'static str),
    /// Each can be used, and they do not belong together.
    Mismatch,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Chain(why) => write!(f, "the certificate {why}"),
            Wrong::Key(why) => write!(f, "the key {why}"),
            Wrong::Mismatch => f.write_str("key and certificate do not match"),
        }
    }
}

/// A chain and its key as rustls shows and uses them.
pub fn pair(chain: &str, key: &SecretPem) -> Result<Arc<CertifiedKey>, Wrong> {
    let chain = certificates(chain)?;
    let key = key.key().ok_or(Wrong::Key("is not a PEM private key"))?;
    let key = provider::sign::any_supported_type(&key).map_err(|_| Wrong::Key("is of no kind that TLS uses here"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(Wrong::Mismatch),
        Err(e) => Err(Wrong::Chain(format!("cannot be compared with the key: {e}"))),
    }
}

/// A chain whose key another process holds, for that side of handshakes.
pub fn chain(chain: &str, role: Role) -> Result<Arc<CertifiedKey>, Wrong> {
    let certified = apart::certified(certificates(chain)?, role);
    certified.map(Arc::new).ok_or_else(|| Wrong::Chain("has a key of no kind that TLS uses here".into()))
}

/// Whether a chain can be shown by a key that is elsewhere; why not, as the end of a sentence about its certificate.
pub fn chain_elsewhere(pem: &str) -> Result<(), String> {
    match chain(pem, Role::Server) {
        Ok(_) => Ok(()),
        Err(Wrong::Chain(why)) => Err(why),
        Err(other) => Err(other.to_string()),
    }
}

/// Of which the first can be shown.
fn certificates(chain: &str) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Wrong::Chain("is not PEM".into()))?;
    let leaf = chain.first().ok_or_else(|| Wrong::Chain("is not there".into()))?;
    webpki::EndEntityCert::try_from(leaf).map_err(|e| Wrong::Chain(certificate(&e)))?;
    Ok(chain)
}

/// The roots of a bundle, and which of its certificates, counted from 0, are none that can be used, with the reason.
pub fn roots(pem: &str) -> Result<(RootCertStore, Vec<(usize, String)>), String> {
    let mut found = RootCertStore::empty();
    let mut unusable = Vec::new();
    for (i, cert) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let cert = cert.map_err(|_| "it is not PEM".to_owned())?;
        if let Err(e) = webpki::anchor_from_trusted_cert(&cert) {
            unusable.push((i, certificate(&e)));
        } else if let Err(e) = found.add(cert) {
            unusable.push((i, format!("cannot be used: {e}")));
        }
    }
    Ok((found, unusable))
}

/// The lists in a file; never "no list, so nobody is revoked".
pub fn lists(pem: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let lists = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "it is not PEM".to_owned())?;
    if lists.is_empty() { Err("it holds no revocation list".into()) } else { Ok(lists) }
}

/// Whether clients can be judged by these roots and lists.
pub fn revocation(roots_pem: &str, lists_pem: &str) -> Result<(), String> {
    let (roots, _) = roots(roots_pem)?;
    let crypto = Arc::new(provider::default_provider());
    let it = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto).with_crls(lists(lists_pem)?);
    match it.build() {
        Ok(_) => Ok(()),
        Err(VerifierBuilderError::InvalidCrl(e)) => Err(list(&e)),
        Err(e) => Err(e.to_string()),
    }
}

/// What is wrong with a certificate, as the end of a sentence about it.
fn certificate(e: &webpki::Error) -> String {
    match e {
        webpki::Error::UnsupportedCertVersion => "is of X.509 version 1 or 2; TLS needs version 3".into(),
        webpki::Error::UnsupportedCriticalExtension => "has a critical extension that nothing here knows".into(),
        other => format!("cannot be read ({other:?})"),
    }
}

/// What is wrong with a revocation list, as a sentence about it.
fn list(e: &CertRevocationListError) -> String {
    match e {
        CertRevocationListError::UnsupportedCrlVersion => "it is of version 1; version 2 is needed".into(),
        CertRevocationListError::UnsupportedDeltaCrl => "it is a delta, and the whole list is needed".into(),
        CertRevocationListError::UnsupportedIndirectCrl => {
            "it speaks for other authorities, and one of the authority's own is needed".into()
        }
        CertRevocationListError::UnsupportedCriticalExtension => {
            "it has a critical extension that nothing here knows".into()
        }
        CertRevocationListError::UnsupportedRevocationReason => {
            "it revokes for a reason that nothing here knows".into()
        }
        other => format!("it cannot be read ({other:?})"),
    }
}
