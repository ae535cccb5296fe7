//! Whether a certificate is that of a workload (X509-SVID §2 to §5.2), and of the one that is expected: its one URI is a SPIFFE ID,
//! and its key signs no certificates. The chain is judged before. Read next: `judged.rs`.

use everyhop_canon::spiffe;
use everyhop_record::der;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};

/// Refuses: another workload, and a certificate that is of none, or of several. `expected` is an ID or `spiffe://TD/*`.
pub(crate) fn workload(leaf: &CertificateDer<'_>, expected: &str) -> Result<(), Error> {
    if der::signs_certificates(leaf) {
        return Err(Error::InvalidCertificate(CertificateError::InvalidPurpose));
    }
    let is_it = match der::uris(leaf).as_slice() {
        [only] => std::str::from_utf8(only).is_ok_and(|id| fits(id, expected)),
        _ => false,
    };
    if is_it { Ok(()) } else { Err(Error::InvalidCertificate(CertificateError::NotValidForName)) }
}

fn fits(id: &str, expected: &str) -> bool {
    let Some(domain) = spiffe::trust_domain(id) else { return false };
    id == expected || spiffe::whole_domain(expected) == Some(domain)
}
