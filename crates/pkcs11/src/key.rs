//! A key of a token as rustls signs by it. The digest is made here, so that all that a token is asked for is the bare operation, which
//! each of them has.

use crate::der;
use crate::module::Token;
use crate::wrong::said;
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use rustls::SignatureScheme;
use std::sync::Arc;

/// A private key that stays where it is.
#[derive(Clone)]
pub struct Key {
    token: Arc<Token>,
    object: ObjectHandle,
}

impl Key {
    pub(crate) fn new(token: Arc<Token>, object: ObjectHandle) -> Key {
        Key { token, object }
    }

    /// The signature of `message`, as TLS has it; or what the token said instead.
    pub fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, String> {
        use SignatureScheme as S;
        let number = self.token.module.begins();
        let signed = match scheme {
            S::ECDSA_NISTP256_SHA256 => self.ecdsa(&SHA256, message),
            S::ECDSA_NISTP384_SHA384 => self.ecdsa(&SHA384, message),
            S::RSA_PSS_SHA256 => self.pss(&SHA256, MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, message),
            S::RSA_PSS_SHA384 => self.pss(&SHA384, MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, message),
            S::RSA_PSS_SHA512 => self.pss(&SHA512, MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, message),
            S::RSA_PKCS1_SHA256 => self.pkcs1(&SHA256, message),
            S::RSA_PKCS1_SHA384 => self.pkcs1(&SHA384, message),
            S::RSA_PKCS1_SHA512 => self.pkcs1(&SHA512, message),
            _ => Err("no token is asked for that".to_owned()),
        };
        self.token.module.ends(number);
        signed
    }

    fn ecdsa(&self, hash: &'static Algorithm, message: &[u8]) -> Result<Vec<u8>, String> {
        let both = self.ask(&Mechanism::Ecdsa, digest(hash, message).as_ref())?;
        der::sequence(&both).ok_or_else(|| "its signature is no pair of numbers".to_owned())
    }

    fn pss(
        &self,
        hash: &'static Algorithm,
        hash_alg: MechanismType,
        mgf: PkcsMgfType,
        message: &[u8],
    ) -> Result<Vec<u8>, String> {
        let digest = digest(hash, message);
        // RFC 8446 §4.2.3: the salt is as long as the digest.
        let salt = u64::try_from(digest.as_ref().len()).unwrap_or_default();
        let params = PkcsPssParams { hash_alg, mgf, s_len: salt.into() };
        self.ask(&Mechanism::RsaPkcsPss(params), digest.as_ref())
    }

    fn pkcs1(&self, hash: &'static Algorithm, message: &[u8]) -> Result<Vec<u8>, String> {
        let named = der::named(digest(hash, message).as_ref()).ok_or("a hash has no name")?;
        self.ask(&Mechanism::RsaPkcs, &named)
    }

    fn ask(&self, by: &Mechanism<'_>, data: &[u8]) -> Result<Vec<u8>, String> {
        self.token.signs(by, self.object, data).map_err(|e| said(&e))
    }
}
