//! Whether a backend is whom a route expects, in one of two ways: rustls' own judge of chain and name, with a certificate
//! among the roots that signs for itself taken as what it is; or by pins. The handshake's signature is verified in either.
//! What was not believed is noted. There is no third way, and no switch. Read next: `pinned.rs`, `noted.rs`.

use crate::noted;
use crate::pinned::{own, pinned};
use everyhop_record::der;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Judges the certificates of one hop.
#[derive(Debug)]
pub struct Judge {
    pub(crate) by: By,
    pub(crate) known: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
pub(crate) enum By {
    Roots {
        judge: Arc<WebPkiServerVerifier>,
        roots: Arc<RootCertStore>,
        /// Certificates among the roots that sign for themselves.
        own: Arc<Vec<CertificateDer<'static>>>,
        /// Revocation lists are asked, and nobody could revoke those.
        listed: bool,
    },
    Pins {
        sha256: Vec<String>,
        name_too: bool,
    },
}

impl Judge {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        match &self.by {
            By::Roots { judge, own: owned, listed, .. } => {
                let judged = judge.verify_server_cert(leaf, between, name, ocsp, now);
                let Err(why) = judged else { return Ok(()) };
                match (owned.iter().any(|c| c == leaf), is_authority(&why)) {
                    (true, true) if *listed => {
                        Err(Error::InvalidCertificate(CertificateError::UnknownRevocationStatus))
                    }
                    (true, _) if !*listed => own(leaf, name, now, &self.known),
                    // It vouches for itself and is none of ours: that is what is wrong with it.
                    (false, true) if der::is_self_issued(leaf) => {
                        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
                    }
                    _ => Err(why),
                }
            }
            By::Pins { sha256, name_too } => pinned(leaf, sha256, name_too.then_some(name), now, &self.known),
        }
    }
}

/// webpki takes no leaf that is an authority.
fn is_authority(why: &Error) -> bool {
    match why {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = match &self.by {
            By::Roots { roots, .. } => Some(&**roots),
            By::Pins { .. } => None,
        };
        noted::chain(self.judge(leaf, between, name, ocsp, now), leaf, between, roots)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        noted::signature(verify_tls12_signature(message, cert, signed, &self.known), cert)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        noted::signature(verify_tls13_signature(message, cert, signed, &self.known), cert)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.known.supported_schemes()
    }
}
