//! Keys that a token has, in a process that holds nothing else: what is asked of it is judged as everything is that a keyholder signs,
//! and each key shows by signatures that it is its certificate's before it is used. A token that does not sign any more ends the
//! process, so that another one begins anew. Read next: `everyhop_pkcs11`.

use crate::GivenRole;
use everyhop_pkcs11::{Key, Module, Uri, Wrong};
use everyhop_running::apart::schemes;
use everyhop_running::secret::SecretText;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a process that has a module is to sign by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenTokens {
    /// The file of the module.
    pub(crate) module: String,
    /// A PIN is not tried where one was refused since the last that was right.
    pub(crate) careful: bool,
    pub(crate) keys: Vec<GivenToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenToken {
    pub(crate) id: String,
    pub(crate) role: GivenRole,
    /// The certificate, in base64, as the key's name and judge.
    pub(crate) certificate: SecretText,
    pub(crate) uri: String,
    pub(crate) pin: Option<SecretText>,
}

/// A key that cannot be signed by, and why.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Lacking {
    pub id: String,
    pub slug: &'static str,
    pub why: String,
}

/// The module of this process: one, and for ever.
#[derive(Default)]
pub(crate) struct Tokens(OnceLock<Arc<Module>>);

impl Tokens {
    /// For how long a signature has been waited for.
    pub(crate) fn waits(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, |it| it.waits())
    }

    pub(crate) fn module(&self, path: &str) -> Result<Arc<Module>, Wrong> {
        if let Some(it) = self.0.get() {
            return Ok(it.clone());
        }
        let loaded = Module::load(Path::new(path))?;
        Ok(self.0.get_or_init(|| loaded).clone())
    }

    /// The key, once it has shown that it is the certificate's.
    pub(crate) fn key(module: &Arc<Module>, given: &GivenToken, careful: bool) -> Result<Arc<dyn SigningKey>, Wrong> {
        let uri = Uri::read(&given.uri).map_err(|e| Wrong::Token(e.why))?;
        let certificate = CertificateDer::from(given.certificate.bytes());
        let leaf = webpki::EndEntityCert::try_from(&certificate)
            .map_err(|_| Wrong::Token("its certificate cannot be read".to_owned()))?;
        let public = leaf.subject_public_key_info().into_owned();
        let (algorithm, schemes) =
            schemes(&public).filter(|(_, it)| it.iter().all(|it| is_asked(*it))).ok_or_else(|| {
                Wrong::Token(
                    "its certificate is of a kind that no token is asked for: P-256, P-384 and RSA are".to_owned(),
                )
            })?;
        let token = module.token(&uri.token, given.pin.as_ref().map(SecretText::bytes), careful)?;
        let key = token.key(&uri)?;
        for scheme in schemes {
            let signature =
                key.sign(*scheme, PROOF).map_err(|why| Wrong::Token(format!("the key signs no {scheme:?}: {why}")))?;
            if !verifies(&leaf, *scheme, &signature) {
                return Err(Wrong::Mismatch("the key in the token is not the certificate's".to_owned()));
            }
        }
        Ok(Arc::new(Its { key, public, algorithm, schemes }))
    }
}

/// What a key signs to show whose it is: nothing that anybody could use.
const PROOF: &[u8] = b"everyhop: whose key is this?";

fn is_asked(scheme: SignatureScheme) -> bool {
    !matches!(scheme, SignatureScheme::ECDSA_NISTP521_SHA512 | SignatureScheme::ED25519)
}

fn verifies(leaf: &webpki::EndEntityCert<'_>, scheme: SignatureScheme, signature: &[u8]) -> bool {
    let all = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let by = all.mapping.iter().find(|(it, _)| *it == scheme).map(|(_, by)| *by).unwrap_or_default();
    by.iter().any(|it| leaf.verify_signature(*it, PROOF, signature).is_ok())
}

struct Its {
    key: Key,
    public: SubjectPublicKeyInfoDer<'static>,
    algorithm: SignatureAlgorithm,
    schemes: &'static [SignatureScheme],
}

impl fmt::Debug for Its {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Its").field("schemes", &self.schemes).finish_non_exhaustive()
    }
}

impl SigningKey for Its {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|it| offered.contains(it))?;
        Some(Box::new(Signing { key: self.key.clone(), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

struct Signing {
    key: Key,
    scheme: SignatureScheme,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Signer for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match self.key.sign(self.scheme, message) {
            Ok(signature) => Ok(signature),
            // It signed by that scheme before, so it is gone, or its session is: whoever asked hears that this process ended, and
            // asks the next one, which begins with the module.
            Err(why) => {
                eprintln!("everyhop: a token does not sign any more: {why}");
                // Without the module's own farewell, which may hang as well.
                std::process::abort();
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
