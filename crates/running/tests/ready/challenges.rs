//! What authorities are answered that want to see whether a name is ours: for as long as that is pending, and nobody else.

use crate::kit::shake::{easy_client, shake};
use crate::kit::{Cert, Key, Says};
use everyhop_running::challenges::{ACME_TLS, Challenges, Given};
use rustls::{HandshakeKind, SignatureScheme};
use serde_json::{Value, json};
use std::sync::Arc;

const PATH: &str = "/.well-known/acme-challenge/";

fn given(all: &[Value]) -> Vec<Given> {
    serde_json::from_str(&json!(all).to_string()).expect("answers")
}

/// What is pending once that was given.
fn pending(all: &[Value]) -> Challenges {
    let it = Challenges::default();
    it.are(given(all)).unwrap_or_else(|why| panic!("{}", why.0));
    it
}

fn text(name: &str, token: &str, text: &str) -> Value {
    json!({"kind": "http-01", "name": name, "token": token, "text": text})
}

fn shown(name: &str, chain: &str, key: &str) -> Value {
    json!({"kind": "tls-alpn-01", "name": name, "certificate": {"chain": chain, "key": key}})
}

fn of(name: &str, cert: &Cert) -> Value {
    shown(name, &cert.pem(), &cert.key.pem())
}

fn offers(all: &[&[u8]]) -> Vec<Vec<u8>> {
    all.iter().map(|it| it.to_vec()).collect()
}

#[test]
fn the_text_of_a_challenge_is_told_at_its_path_of_its_host_and_nowhere_else() {
    let it = pending(&[text("a.test", "one", "text of one"), text("b.test", "two", "text of two")]);
    let told = |host: &str, path: &str| it.http(host, path).map(|it| it.to_string());
    assert_eq!(told("a.test", &format!("{PATH}one")).as_deref(), Some("text of one"));
    assert_eq!(told("b.test", &format!("{PATH}two")).as_deref(), Some("text of two"));
    for (host, path) in [
        ("b.test", format!("{PATH}one")),
        ("c.test", format!("{PATH}one")),
        ("a.test", format!("{PATH}One")),
        ("a.test", format!("{PATH}one/")),
        ("a.test", format!("/x{PATH}one")),
        ("a.test", PATH.to_owned()),
        ("a.test", "one".to_owned()),
        ("a.test", "/one".to_owned()),
    ] {
        assert_eq!(told(host, &path), None, "{host} {path}");
    }
}

#[test]
fn the_certificate_of_a_challenge_is_shown_to_who_asks_for_its_name_and_offers_nothing_beside_it() {
    let [one, two] = ["a.test", "b.test"].map(|name| Says::leaf(name).by(None));
    let it = pending(&[of("a.test", &one), of("b.test", &two)]);
    let mut client = easy_client(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
    client.alpn_protocols = offers(&[ACME_TLS]);
    let client = Arc::new(client);
    for (name, cert) in [("a.test", &one), ("b.test", &two)] {
        let server = it.tls(Some(name), &client.alpn_protocols).expect("it is pending");
        for _ in 0..2 {
            let (seen, served) = shake(&client, &server, name).map_err(|(_, e)| e).expect("a handshake");
            assert_eq!(seen.peer_certificates().map(|it| &it[0]), Some(&cert.der));
            assert_eq!(seen.alpn_protocol(), Some(ACME_TLS));
            assert_ne!(served.handshake_kind(), Some(HandshakeKind::Resumed), "nothing is remembered");
        }
    }
    for (name, alpn) in [
        (Some("c.test"), &[ACME_TLS][..]),
        (None, &[ACME_TLS]),
        (Some("a.test"), &[]),
        (Some("a.test"), &[b"h2"]),
        (Some("a.test"), &[b"acme-tls/2"]),
        (Some("a.test"), &[ACME_TLS, b"h2"]),
        (Some("a.test"), &[b"h2", ACME_TLS]),
    ] {
        assert!(it.tls(name, &offers(alpn)).is_none(), "{name:?} {alpn:?}");
    }
}

/// By which of two names it is answered now: by a text, by a certificate.
fn answered(it: &Challenges) -> ([bool; 2], [bool; 2]) {
    let names = ["a.test", "b.test"];
    let http = names.map(|name| it.http(name, &format!("{PATH}one")).is_some());
    (http, names.map(|name| it.tls(Some(name), &offers(&[ACME_TLS])).is_some()))
}

#[test]
fn what_was_given_last_is_pending_and_nothing_of_before() {
    let cert = Says::leaf("a.test").by(None);
    let it = Challenges::default();
    assert_eq!(answered(&it), ([false; 2], [false; 2]));
    let are = |all: &[Value]| assert!(it.are(given(all)).is_ok());
    are(&[text("a.test", "one", "text"), of("b.test", &cert)]);
    assert_eq!(answered(&it), ([true, false], [false, true]));
    are(&[of("a.test", &cert), text("b.test", "one", "text")]);
    assert_eq!(answered(&it), ([false, true], [true, false]));
    are(&[]);
    assert_eq!(answered(&it), ([false; 2], [false; 2]));
}

#[test]
fn of_what_cannot_be_shown_is_said_why_and_what_was_pending_stays() {
    let cert = Says::leaf("b.test").by(None);
    let it = pending(&[text("a.test", "one", "text"), of("b.test", &cert)]);
    let (chain, key) = (cert.pem(), cert.key.pem());
    let cut = "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n";
    let none = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (chain, key, why) in [
        ("", &*key, "its certificate is not PEM"),
        (&*key, &key, "its certificate is not PEM"),
        (cut, &key, "its certificate is not PEM"),
        (&chain, "", "its key is not PEM"),
        (&chain, &chain, "its key is not PEM"),
        (&chain, none, "its key is of no kind that TLS uses here"),
    ] {
        let done = it.are(given(&[text("b.test", "one", "text"), shown("a.test", chain, key)]));
        assert_eq!(done.err().map(|it| it.0), Some(format!("challenge of \"a.test\": {why}")));
        assert_eq!(answered(&it), ([true, false], [false, true]));
    }
    assert!(it.are(given(&[shown("a.test", &chain, &Key::ed25519().pem())])).is_ok(), "it is as it was given");
}
