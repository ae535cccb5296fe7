//! Certificates that are believed for being known themselves: one that signs for itself and stands among a route's roots,
//! and one that a route pins. webpki judges chains, and takes none of whose leaf is an authority; what is left of its
//! judgement is asked of it here all the same: the dates, the purpose, the name. That the peer holds the key is proven by
//! the handshake's signature, which `judged.rs` has verified as that of any other. Read next: `judged.rs`.

use everyhop_record::der;
use everyhop_record::digest::sha256_hex;
use rustls::client::verify_server_name;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};

fn refused(why: CertificateError) -> Error {
    Error::InvalidCertificate(why)
}

/// Refuses: one that is not valid now, not for servers, or in a form that cannot be read.
fn in_force(leaf: &CertificateDer<'_>, now: UnixTime, known: &WebPkiSupportedAlgorithms) -> Result<(), Error> {
    use webpki::Error as E;
    let cert = webpki::EndEntityCert::try_from(leaf).map_err(|_| refused(CertificateError::BadEncoding))?;
    let usage = webpki::KeyUsage::server_auth();
    // Without an anchor it comes to `UnknownIssuer` once dates, constraints and purpose are as they should be.
    match cert.verify_for_usage(known.all, &[], &[], now, usage, None, None) {
        Err(E::UnknownIssuer) => Ok(()),
        // That comes after the dates and before the purpose.
        Err(E::CaUsedAsEndEntity) if der::is_for_servers(leaf) => Ok(()),
        Err(E::CaUsedAsEndEntity | E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension) => {
            Err(refused(CertificateError::InvalidPurpose))
        }
        Err(E::CertExpired { time, not_after }) => Err(refused(CertificateError::ExpiredContext { time, not_after })),
        Err(E::CertNotValidYet { time, not_before }) => {
            Err(refused(CertificateError::NotValidYetContext { time, not_before }))
        }
        Err(_) | Ok(_) => Err(refused(CertificateError::BadEncoding)),
    }
}

/// Judges a certificate that stands among the roots itself.
pub(crate) fn own(
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
    known: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    in_force(leaf, now, known)?;
    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)
}

/// Judges a certificate by pins: itself or its key, in hexadecimal digits. `name`: what it must carry as well.
pub(crate) fn pinned(
    leaf: &CertificateDer<'_>,
    pins: &[String],
    name: Option<&ServerName<'_>>,
    now: UnixTime,
    known: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let is_pinned = |bytes: &[u8]| {
        let digest = sha256_hex(bytes);
        pins.contains(&digest)
    };
    let key = webpki::EndEntityCert::try_from(leaf).map(|cert| cert.subject_public_key_info());
    if !is_pinned(leaf) && !key.is_ok_and(|key| is_pinned(&key)) {
        return Err(refused(CertificateError::ApplicationVerificationFailure));
    }
    in_force(leaf, now, known)?;
    match name {
        Some(name) => verify_server_name(&ParsedCertificate::try_from(leaf)?, name),
        None => Ok(()),
    }
}

/// Those of `certs` that sign for themselves, and so may be what a backend shows.
pub(crate) fn signing_for_themselves(certs: Vec<CertificateDer<'static>>) -> Vec<CertificateDer<'static>> {
    certs.into_iter().filter(|c| der::is_self_issued(c)).collect()
}
