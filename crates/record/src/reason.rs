//! From what rustls says of a handshake or a session to our reason: each stands for what went wrong and for nothing else.
//! Nothing is decided here. Read next: `refusal.rs`, which lists them.

use crate::der;
use crate::refusal::Refusal;
use rustls::{AlertDescription as A, CertificateError as C, Error as E, PeerIncompatible as P};

/// Why a certificate was not believed, whoever showed it.
enum Certificate {
    Untrusted,
    NotNow,
    OtherName,
    WrongUse,
    Revoked,
    ListOverdue,
    RevocationUnknown,
    WeakKey,
    OldForm,
    NotPinned,
    Else,
}

/// `leaf`: the certificate that was not believed, if it is known; `weak`: it was for the length of a key.
fn certificate(error: &E, leaf: Option<&[u8]>, weak: bool) -> Option<Certificate> {
    let why = match error {
        E::InvalidCertificate(why) => why,
        E::InvalidCertRevocationList(_) => return Some(Certificate::RevocationUnknown),
        _ => return None,
    };
    Some(match why {
        C::BadSignature if weak => Certificate::WeakKey,
        C::UnknownIssuer | C::BadSignature => Certificate::Untrusted,
        C::NotValidForName | C::NotValidForNameContext { .. } => Certificate::OtherName,
        C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => Certificate::NotNow,
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => Certificate::WrongUse,
        C::Revoked => Certificate::Revoked,
        C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => Certificate::ListOverdue,
        C::UnknownRevocationStatus => Certificate::RevocationUnknown,
        C::ApplicationVerificationFailure => Certificate::NotPinned,
        C::Other(other) if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) => {
            Certificate::WrongUse
        }
        _ if leaf.is_some_and(der::is_of_old_form) => Certificate::OldForm,
        _ => Certificate::Else,
    })
}

/// What is said to rustls where a key that another process holds signed nothing, and what it then says.
pub const UNSIGNED: &str = "not signed";

impl Refusal {
    /// What rustls says of a client's handshake. `leaf`: the certificate that was not believed, if one was shown; `weak`: it
    /// was for the length of a key.
    pub fn of_client(error: &E, leaf: Option<&[u8]>, weak: bool) -> Refusal {
        if let Some(why) = certificate(error, leaf, weak) {
            return match why {
                Certificate::Untrusted => Refusal::HandshakeClientUntrusted,
                Certificate::NotNow => Refusal::HandshakeClientExpired,
                Certificate::WrongUse => Refusal::HandshakeClientWrongUse,
                Certificate::Revoked => Refusal::HandshakeClientRevoked,
                Certificate::ListOverdue => Refusal::HandshakeListOverdue,
                Certificate::RevocationUnknown => Refusal::HandshakeRevocationUnknown,
                Certificate::WeakKey => Refusal::HandshakeClientWeakKey,
                Certificate::OldForm => Refusal::HandshakeClientOldForm,
                Certificate::OtherName | Certificate::NotPinned | Certificate::Else => {
                    Refusal::HandshakeClientCertificate
                }
            };
        }
        match error {
            E::NoCertificatesPresented => Refusal::HandshakeNoClientCertificate,
            E::NoApplicationProtocol => Refusal::HandshakeNoProtocol,
            E::AlertReceived(_) => Refusal::HandshakeAlert,
            E::PeerIncompatible(
                P::Tls12NotOffered
                | P::Tls12NotOfferedOrEnabled
                | P::Tls13RequiredForQuic
                | P::SupportedVersionsExtensionRequired,
            ) => Refusal::HandshakeNoVersion,
            E::PeerIncompatible(_) => Refusal::HandshakeNoSuite,
            E::General(why) if why == UNSIGNED => Refusal::HandshakeUnsigned,
            _ => Refusal::HandshakeFailed,
        }
    }

    /// What rustls says of a backend's handshake; `leaf` and `weak` as in [`Refusal::of_client`].
    pub fn of_backend(error: &E, leaf: Option<&[u8]>, weak: bool) -> Refusal {
        if let Some(why) = certificate(error, leaf, weak) {
            return match why {
                Certificate::Untrusted => Refusal::HopUntrusted,
                Certificate::NotNow => Refusal::HopExpired,
                Certificate::OtherName => Refusal::HopNameMismatch,
                Certificate::WrongUse => Refusal::HopWrongUse,
                Certificate::Revoked => Refusal::HopRevoked,
                Certificate::ListOverdue => Refusal::HopListOverdue,
                Certificate::RevocationUnknown => Refusal::HopRevocationUnknown,
                Certificate::WeakKey => Refusal::HopWeakKey,
                Certificate::OldForm => Refusal::HopOldForm,
                Certificate::NotPinned => Refusal::HopPinMismatch,
                Certificate::Else => Refusal::HopBadCertificate,
            };
        }
        match error {
            E::AlertReceived(alert) if is_of_certificate(*alert) => Refusal::HopIdentityRefused,
            E::NoApplicationProtocol | E::AlertReceived(A::NoApplicationProtocol) => Refusal::HopNoHttp2,
            E::InvalidMessage(_) => Refusal::HopNotTls,
            E::General(why) if why == UNSIGNED => Refusal::HopUnsigned,
            _ => Refusal::HopHandshake,
        }
    }

    /// What rustls says of the handshake of a backend that had asked for our certificate: one that shows none to a backend of
    /// TLS 1.2 is told no more than that the handshake failed (RFC 5246 §7.4.6).
    pub fn of_asking_backend(error: &E, leaf: Option<&[u8]>, weak: bool) -> Refusal {
        match error {
            E::AlertReceived(A::HandshakeFailure | A::NoCertificate) => Refusal::HopIdentityRefused,
            _ => Refusal::of_backend(error, leaf, weak),
        }
    }

    /// The same of a handshake in which nothing but post-quantum key exchange was to be had from us.
    pub fn where_post_quantum(self, error: &E) -> Refusal {
        match (self, error) {
            (Refusal::HandshakeNoSuite, E::PeerIncompatible(P::NoKxGroupsInCommon)) => Refusal::HandshakeNoPostQuantum,
            (
                Refusal::HopHandshake,
                E::AlertReceived(A::HandshakeFailure | A::ProtocolVersion | A::InsufficientSecurity)
                | E::PeerIncompatible(_),
            ) => Refusal::HopNoPostQuantum,
            (why, _) => why,
        }
    }

    /// What rustls says of a backend's session after our handshake is over, before any answer.
    pub fn of_session(error: &E) -> Refusal {
        match error {
            E::AlertReceived(alert) if is_of_certificate(*alert) => Refusal::HopIdentityRefused,
            _ => Refusal::BackendTls,
        }
    }
}

/// An alert that speaks of the certificate that we showed, or did not show.
fn is_of_certificate(alert: A) -> bool {
    matches!(
        alert,
        A::CertificateRequired
            | A::BadCertificate
            | A::UnknownCA
            | A::CertificateUnknown
            | A::CertificateExpired
            | A::CertificateRevoked
            | A::UnsupportedCertificate
            | A::AccessDenied
    )
}
