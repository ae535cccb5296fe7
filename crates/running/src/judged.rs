//! What a handshake with a backend shows beside its end: whether it asked for our certificate, and which certificate of its
//! own was not believed. rustls judges, by roots and name; this only remembers for the one who asks, on the same thread.
//! Read next: `material.rs`.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    static DEMANDED: Cell<bool> = const { Cell::new(false) };
    static DISBELIEVED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// What a part of a handshake showed.
#[derive(Debug, Default)]
pub struct Noted {
    /// The backend asked for a certificate.
    pub demanded: bool,
    /// The leaf that was not believed.
    pub disbelieved: Option<Vec<u8>>,
}

/// Runs `f`, part of a handshake with a backend, and tells what it showed.
pub fn noting<T>(f: impl FnOnce() -> T) -> (T, Noted) {
    DEMANDED.set(false);
    DISBELIEVED.take();
    let it = f();
    (it, Noted { demanded: DEMANDED.get(), disbelieved: DISBELIEVED.take() })
}

pub(crate) fn was_asked() {
    DEMANDED.set(true);
}

/// rustls' own judge of chain and name, with a note of what it did not believe.
#[derive(Debug)]
pub(crate) struct Judge(pub(crate) Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.0.verify_server_cert(leaf, between, name, ocsp, now);
        if judged.is_err() {
            DISBELIEVED.set(Some(leaf.to_vec()));
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}
