//! What a handshake shows beside its end: whether the peer asked for our certificate, and which certificate of its own was
//! not believed, and whether for the length of a key. rustls judges; this only remembers for the one who asks, on the same
//! thread. Read next: `judged.rs`, which notes of backends, and `known.rs`, which notes of clients.

use everyhop_record::der;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, RootCertStore};
use std::cell::{Cell, RefCell};

thread_local! {
    static DEMANDED: Cell<bool> = const { Cell::new(false) };
    static DISBELIEVED: RefCell<Option<Disbelieved>> = const { RefCell::new(None) };
}

/// A certificate that was not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disbelieved {
    /// The leaf, as it came.
    pub leaf: Vec<u8>,
    /// The key that is too short, where that is why.
    pub weakness: Option<String>,
}

/// What a handshake showed so far.
#[derive(Debug, Default)]
pub struct Noted {
    /// The peer asked for a certificate.
    pub demanded: bool,
    pub disbelieved: Option<Disbelieved>,
}

/// Runs `f`, part of a handshake, and adds what it showed.
pub fn noting<T>(noted: &mut Noted, f: impl FnOnce() -> T) -> T {
    DEMANDED.set(false);
    DISBELIEVED.take();
    let it = f();
    noted.demanded |= DEMANDED.get();
    if let Some(disbelieved) = DISBELIEVED.take() {
        noted.disbelieved = Some(disbelieved);
    }
    it
}

pub(crate) fn was_asked() {
    DEMANDED.set(true);
}

/// The peer's chain was judged. rustls gives a signature by a key that is too short for one that does not fit: here is told
/// which it is, by the keys that could have signed.
pub(crate) fn chain<T>(
    judged: Result<T, Error>,
    leaf: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    roots: Option<&RootCertStore>,
) -> Result<T, Error> {
    judged.inspect_err(|e| {
        disbelieve(e, leaf, || {
            let weak = between.iter().find_map(|c| der::weakness(c));
            weak.or_else(|| {
                let issuers: Vec<&[u8]> =
                    std::iter::once(leaf).chain(between).filter_map(|c| der::issuer(c.as_ref())).collect();
                let mut above = roots.into_iter().flat_map(|r| &r.roots);
                let signer = above.find(|r| issuers.contains(&r.subject.as_ref()))?;
                der::weak_key(signer.subject_public_key_info.as_ref())
            })
        });
    })
}

/// The handshake's signature was judged, which the key of the leaf made.
pub(crate) fn signature<T>(judged: Result<T, Error>, leaf: &CertificateDer<'_>) -> Result<T, Error> {
    judged.inspect_err(|e| disbelieve(e, leaf, || der::weakness(leaf)))
}

fn disbelieve(why: &Error, leaf: &CertificateDer<'_>, weakness: impl FnOnce() -> Option<String>) {
    let bad_signature = matches!(why, Error::InvalidCertificate(CertificateError::BadSignature));
    let weakness = if bad_signature { weakness() } else { None };
    DISBELIEVED.set(Some(Disbelieved { leaf: leaf.to_vec(), weakness }));
}
