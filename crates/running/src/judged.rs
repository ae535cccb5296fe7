//! Whether a backend is whom a route expects, in one of three ways: rustls' own judge of chain and name, with a certificate
//! among the roots that signs for itself taken as what it is; by chain and SPIFFE ID; or by pins. The handshake's signature is
//! verified in each. What was not believed is noted. There is no other way, and no switch. Read next: `pinned.rs`,
//! `workload.rs`, `noted.rs`.

use crate::noted;
use crate::pinned::{own, pinned};
use crate::workload::workload;
use everyhop_record::der;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
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
    Spiffe {
        judge: Arc<WebPkiServerVerifier>,
        roots: Arc<RootCertStore>,
        listed: bool,
        id: String,
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
            By::Spiffe { judge, roots, listed, id, name_too } => {
                let cert = ParsedCertificate::try_from(leaf)?;
                verify_server_cert_signed_by_trust_anchor(&cert, roots, between, now, self.known.all)?;
                if *listed {
                    // It judges the name last, and that is another here: what is left of its word is who was revoked.
                    match judge.verify_server_cert(leaf, between, name, ocsp, now) {
                        Err(why) if !is_name(&why) => return Err(why),
                        _ => {}
                    }
                }
                if *name_too {
                    verify_server_name(&cert, name)?;
                }
                workload(leaf, id)
            }
            By::Pins { sha256, name_too } => pinned(leaf, sha256, name_too.then_some(name), now, &self.known),
        }
    }
}

fn is_name(why: &Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(why, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
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
            By::Roots { roots, .. } | By::Spiffe { roots, .. } => Some(&**roots),
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
