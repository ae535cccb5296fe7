//! What a TLS library says of a handshake, in our words: each word stands for what went wrong and for nothing else.

use everyhop_record::order::ORDER;
use everyhop_record::refusal::{REFUSALS, Refusal, all_refusals};
use rustls::{
    AlertDescription as A, CertRevocationListError as L, CertificateError as C, Error as E, InvalidMessage,
    PeerIncompatible as P,
};
use std::collections::HashSet;

#[test]
fn a_clients_handshake_is_refused_for_what_went_wrong() {
    let told = [
        (E::NoCertificatesPresented, Refusal::HandshakeNoClientCertificate),
        (E::InvalidCertificate(C::Expired), Refusal::HandshakeClientExpired),
        (E::InvalidCertificate(C::NotValidYet), Refusal::HandshakeClientExpired),
        (E::InvalidCertificate(C::UnknownIssuer), Refusal::HandshakeClientUntrusted),
        (E::InvalidCertificate(C::BadSignature), Refusal::HandshakeClientUntrusted),
        (E::InvalidCertificate(C::InvalidPurpose), Refusal::HandshakeClientWrongUse),
        (E::InvalidCertificate(C::Revoked), Refusal::HandshakeClientRevoked),
        (E::InvalidCertificate(C::ExpiredRevocationList), Refusal::HandshakeListOverdue),
        (E::InvalidCertificate(C::UnknownRevocationStatus), Refusal::HandshakeRevocationUnknown),
        (E::InvalidCertRevocationList(L::BadSignature), Refusal::HandshakeRevocationUnknown),
        (E::InvalidCertificate(C::BadEncoding), Refusal::HandshakeClientCertificate),
        (E::NoApplicationProtocol, Refusal::HandshakeNoProtocol),
        (E::AlertReceived(A::UnknownCA), Refusal::HandshakeAlert),
        (E::PeerIncompatible(P::Tls12NotOffered), Refusal::HandshakeNoVersion),
        (E::PeerIncompatible(P::SupportedVersionsExtensionRequired), Refusal::HandshakeNoVersion),
        (E::PeerIncompatible(P::NoCipherSuitesInCommon), Refusal::HandshakeNoSuite),
        (E::DecryptError, Refusal::HandshakeFailed),
    ];
    for (error, refusal) in told {
        assert_eq!(Refusal::of_client(&error, None, false), refusal, "{error}");
        assert!(Refusal::is_of_handshake(refusal.slug()));
    }
    assert!(!Refusal::is_of_handshake(Refusal::HopHandshake.slug()), "that one is a backend's");
}

#[test]
fn a_backends_handshake_is_refused_for_what_went_wrong() {
    let told = [
        (E::InvalidCertificate(C::NotValidForName), Refusal::HopNameMismatch),
        (E::InvalidCertificate(C::Expired), Refusal::HopExpired),
        (E::InvalidCertificate(C::NotValidYet), Refusal::HopExpired),
        (E::InvalidCertificate(C::UnknownIssuer), Refusal::HopUntrusted),
        (E::InvalidCertificate(C::BadSignature), Refusal::HopUntrusted),
        (E::InvalidCertificate(C::Revoked), Refusal::HopRevoked),
        (E::InvalidCertificate(C::ExpiredRevocationList), Refusal::HopListOverdue),
        (E::InvalidCertificate(C::UnknownRevocationStatus), Refusal::HopRevocationUnknown),
        (E::InvalidCertRevocationList(L::IssuerInvalidForCrl), Refusal::HopRevocationUnknown),
        (E::InvalidCertificate(C::InvalidPurpose), Refusal::HopWrongUse),
        (E::InvalidCertificate(C::ApplicationVerificationFailure), Refusal::HopPinMismatch),
        (E::InvalidCertificate(C::BadEncoding), Refusal::HopBadCertificate),
        (E::AlertReceived(A::CertificateRequired), Refusal::HopIdentityRefused),
        (E::AlertReceived(A::AccessDenied), Refusal::HopIdentityRefused),
        (E::NoApplicationProtocol, Refusal::HopNoHttp2),
        (E::AlertReceived(A::NoApplicationProtocol), Refusal::HopNoHttp2),
        (E::InvalidMessage(InvalidMessage::InvalidContentType), Refusal::HopNotTls),
        (E::AlertReceived(A::InternalError), Refusal::HopHandshake),
        (E::DecryptError, Refusal::HopHandshake),
    ];
    for (error, refusal) in told {
        assert_eq!(Refusal::of_backend(&error, None, false), refusal, "{error}");
    }
}

#[test]
fn a_signature_that_nobody_believes_for_the_length_of_a_key_is_told_as_that() {
    let error = E::InvalidCertificate(C::BadSignature);
    assert_eq!(Refusal::of_backend(&error, None, true), Refusal::HopWeakKey);
    assert_eq!(Refusal::of_client(&error, None, true), Refusal::HandshakeClientWeakKey);
}

#[test]
fn a_backend_that_asked_for_our_certificate_and_ends_the_handshake_refused_it() {
    for alert in [A::HandshakeFailure, A::NoCertificate] {
        let error = E::AlertReceived(alert);
        assert_eq!(Refusal::of_asking_backend(&error, None, false), Refusal::HopIdentityRefused, "{error}");
        assert_eq!(
            Refusal::of_backend(&error, None, false),
            Refusal::HopHandshake,
            "one that did not ask means something else"
        );
    }
    for error in [E::AlertReceived(A::InternalError), E::InvalidCertificate(C::Expired), E::DecryptError] {
        assert_eq!(
            Refusal::of_asking_backend(&error, None, false),
            Refusal::of_backend(&error, None, false),
            "{error}"
        );
    }
}

#[test]
fn a_session_that_ends_with_a_word_about_our_certificate_was_refused_for_it_and_any_other_just_broke() {
    for alert in [A::CertificateRequired, A::UnknownCA, A::CertificateExpired, A::CertificateRevoked, A::AccessDenied] {
        assert_eq!(Refusal::of_session(&E::AlertReceived(alert)), Refusal::HopIdentityRefused, "{alert:?}");
    }
    for error in [E::AlertReceived(A::InternalError), E::AlertReceived(A::HandshakeFailure), E::DecryptError] {
        assert_eq!(Refusal::of_session(&error), Refusal::BackendTls, "{error}");
    }
}

#[test]
fn every_reason_has_a_slug_of_its_own_and_the_codecs_are_among_them() {
    let all = all_refusals();
    let slugs: HashSet<_> = all.iter().map(|(slug, ..)| *slug).collect();
    assert_eq!(slugs.len(), all.len());
    assert!(all.len() > REFUSALS.len() && all.starts_with(REFUSALS));
    for (slug, status, sentence) in all {
        // Who is sent on, and an authority that gets what it asked for, are no failure of anybody.
        let fine = [("plain/redirected", 308), ("plain/challenge-answered", 200)].contains(&(slug, status));
        let told = status == 0 || (400..600).contains(&status) || fine;
        assert!(slug.contains('/') && told && !sentence.is_empty(), "{slug}");
    }
}

#[test]
fn a_refused_token_is_told_apart_and_another_is_asked_for_unless_nobody_can_tell_which_are_good() {
    for why in [Refusal::TokenMissing, Refusal::TokenExpired, Refusal::TokenClaims, Refusal::TokenKey] {
        assert!(why.is_of_token() && why.asks_for_token(), "{why:?}");
    }
    assert!(Refusal::TokenKeysUnavailable.is_of_token() && !Refusal::TokenKeysUnavailable.asks_for_token());
    for why in [Refusal::NotFound, Refusal::ClientNotAllowed, Refusal::BadTarget] {
        assert!(!why.is_of_token() && !why.asks_for_token(), "{why:?}");
    }
}

/// What is no check on a request's way to its backend: what befalls a body, a connection or an answer that is under way.
const UNDER_WAY: &[&str] = &[
    "request/body-too-slow",
    "request/body-truncated",
    "request/body-malformed",
    "request/trailers-too-long",
    "request/client-gone",
    "request/http2-flood",
    "request/http2-broken",
    "http1/chunk-size",
    "http1/chunk-extension",
    "http1/chunk-end",
    "http1/trailer",
    "http1/trailer-too-long",
    "http1/status-line",
];

#[test]
fn each_reason_for_which_a_request_is_refused_is_that_of_a_check_or_of_what_is_under_way() {
    let by_checks: HashSet<_> = ORDER.iter().flat_map(|it| it.slugs()).collect();
    let elsewhere = ["hello/", "proxy/", "connection/", "handshake/", "splice/", "tunnel/", "hop/", "plain/"];
    for (slug, ..) in all_refusals() {
        let is_checked = by_checks.contains(slug);
        let is_under_way = UNDER_WAY.contains(&slug);
        assert!(!(is_checked && is_under_way), "{slug} is of both");
        if !elsewhere.iter().any(|it| slug.starts_with(it)) {
            assert!(is_checked || is_under_way, "{slug} is of no check");
        }
    }
}

#[test]
fn each_check_has_a_name_of_its_own_a_sentence_and_a_reason() {
    let names: HashSet<_> = ORDER.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), ORDER.len());
    for it in ORDER {
        let once: HashSet<_> = it.slugs().into_iter().collect();
        assert!(!it.asks.is_empty() && !it.asks.ends_with('.') && !once.is_empty(), "{}", it.name);
        assert_eq!(once.len(), it.slugs().len(), "{} names a reason twice", it.name);
    }
}

#[test]
fn where_post_quantum_key_exchange_is_all_that_is_taken_a_handshake_without_it_is_told_as_that_and_any_other_as_before()
{
    let no_group = E::PeerIncompatible(P::NoKxGroupsInCommon);
    let client = |e: &E| Refusal::of_client(e, None, false).where_post_quantum(e);
    assert_eq!(client(&no_group), Refusal::HandshakeNoPostQuantum);
    assert_eq!(client(&E::PeerIncompatible(P::NoCipherSuitesInCommon)), Refusal::HandshakeNoSuite);
    assert_eq!(client(&E::InvalidCertificate(C::Expired)), Refusal::HandshakeClientExpired);
    let hop = |e: &E| Refusal::of_backend(e, None, false).where_post_quantum(e);
    for alert in [A::HandshakeFailure, A::ProtocolVersion, A::InsufficientSecurity] {
        assert_eq!(hop(&E::AlertReceived(alert)), Refusal::HopNoPostQuantum, "{alert:?}");
    }
    assert_eq!(hop(&E::AlertReceived(A::UnknownCA)), Refusal::HopIdentityRefused);
    assert_eq!(hop(&E::AlertReceived(A::InternalError)), Refusal::HopHandshake);
    assert_eq!(hop(&E::InvalidCertificate(C::Expired)), Refusal::HopExpired);
}
