//! What the keyholder signs and what it refuses: by the key that was asked for, for its side of a handshake, and by none that it
//! was not given. Each of its answers is counted once.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use everyhop_keyholder::{Counted, Given, Holder};
use everyhop_running::apart::id_of;
use everyhop_signing::{Answer, Ask, Content, KeyId, LONGEST_BYTES, No, Role};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const ECDSA_P256: u16 = 0x0403;
const ECDSA_P384: u16 = 0x0503;
const HASH: [u8; 32] = [5; 32];
const OF_SERVER: Content<'static> = Content::Tls13(Role::Server, &HASH);
const OF_CLIENT: Content<'static> = Content::Tls13(Role::Client, &HASH);
/// What stands before the point of a public key of P-256 (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 3,
    0x42, 0,
];

/// A key that was made for this test alone, in PKCS#8, and a certificate of it.
const CERTIFIED_KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgk1b5GMNCvu/K/OvPOdg5NR6iwdmxezBoxO3rfLqFKT2hRANCAAReu5uatk++ca\
    Ax+oYMeXmefhTY/Smk+frauzJmc3TfNKg6R0/uo4C+6o9LAIs7+6X33RNlof2sEAy/32/VtXxB";
const CERTIFICATE: &str = "MIIBdTCCARugAwIBAgIUOZJrhB5blDCdQeyj3ifQFlAWZu0wCgYIKoZIzj0EAwIwDzENMAsGA1UEAwwEc2l0ZTAgFw0yNjExMjgxNjI3MzBaGA\
    8yMTI2MTEwNDE2MjczMFowDzENMAsGA1UEAwwEc2l0ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABF67m5q2T75xoDH6hgx5eZ5+FNj9KaT5\
    +tq7MmZzdN80qDpHT+6jgL7qj0sAizv7pffdE2Wh/awQDL/fb9W1fEGjUzBRMB0GA1UdDgQWBBROp2dQzNeFvMpwmP1x9dqzfnQqBzAfBgNVHS\
    MEGDAWgBROp2dQzNeFvMpwmP1x9dqzfnQqBzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQC006EaBLwTb7iSWM9uxSZrmmI7\
    HKsw3jUPgacv2FJtoAIgKFH44kv6ZlJkx28lkhLpv4x4wBouSLrcFYGh0edYqZw=";

struct Key {
    pem: String,
    id: KeyId,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).expect("a key");
        Key::of(pkcs8.as_ref())
    }

    fn of(pkcs8: &[u8]) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).expect("a key");
        let public = pair.public_key().as_ref().to_vec();
        let id = id_of(&SubjectPublicKeyInfoDer::from([&P256[..], &public].concat()));
        let body = STANDARD.encode(pkcs8);
        Key { pem: format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"), id, public }
    }

    fn signed(&self, content: Content<'_>, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public).verify(&content.signed(), signature).is_ok()
    }
}

fn given(keys: &[(&str, &str, &str)]) -> Given {
    let keys = keys
        .iter()
        .map(|(id, role, pem)| format!(r#"{{"id": "{id}", "role": "{role}", "key": "{}"}}"#, pem.replace('\n', "\\n")));
    let text = format!(r#"{{"keys": [{}]}}"#, keys.collect::<Vec<_>>().join(", "));
    serde_json::from_str(&text).expect("keys")
}

fn holding(keys: &[(&str, &str, &str)]) -> Holder {
    let it = Holder::default();
    it.hold(&given(keys)).expect("keys");
    it
}

fn asked(holder: &Holder, key: KeyId, scheme: u16, content: Content<'_>) -> Result<Vec<u8>, No> {
    let answer = holder.answer(&Ask { number: 7, key, scheme, content }.write(), Instant::now());
    assert_eq!(answer.number, 7);
    answer.signed
}

fn refused(holder: &Holder) -> HashMap<&'static str, u64> {
    holder.counted().1.into_iter().filter(|(_, n)| *n > 0).collect()
}

fn count(id: &str, signed: u64) -> Counted {
    Counted { id: id.into(), signed }
}

#[test]
fn a_key_signs_the_handshakes_of_its_side_and_no_other_key_signs_for_it() {
    let (site, identity) = (Key::new(), Key::new());
    let holder = holding(&[("site", "server", &site.pem), ("identity", "client", &identity.pem)]);
    for (key, other, content) in [(&site, &identity, OF_SERVER), (&identity, &site, OF_CLIENT)] {
        let signature = asked(&holder, key.id, ECDSA_P256, content).expect("a signature");
        assert!(key.signed(content, &signature) && !other.signed(content, &signature));
        assert_eq!(asked(&holder, other.id, ECDSA_P256, content), Err(No::Key));
    }
    assert_eq!(holder.counted().0, [count("identity", 1), count("site", 1)]);
    assert_eq!(refused(&holder), [("no-key", 2)].into());
}

#[test]
fn one_key_that_is_given_for_both_sides_is_counted_for_each() {
    let key = Key::new();
    let holder = holding(&[("b", "server", &key.pem), ("a", "client", &key.pem)]);
    for content in [OF_SERVER, OF_CLIENT, OF_SERVER] {
        assert!(key.signed(content, &asked(&holder, key.id, ECDSA_P256, content).expect("a signature")));
    }
    assert_eq!(holder.counted().0, [count("a", 1), count("b", 2)]);
}

#[test]
fn each_refusal_is_counted_by_its_reason() {
    let key = Key::new();
    let holder = holding(&[("site", "server", &key.pem)]);
    assert_eq!(holder.counted().1.len(), No::ALL.len(), "a reason that never was is told as well");
    assert_eq!(asked(&holder, [0; 32], ECDSA_P256, OF_SERVER), Err(No::Key));
    for _ in 0..2 {
        assert_eq!(asked(&holder, key.id, ECDSA_P384, OF_SERVER), Err(No::Scheme));
    }
    for _ in 0..3 {
        assert_eq!(asked(&holder, key.id, ECDSA_P256, Content::Tls13(Role::Server, b"x")), Err(No::Handshake));
    }
    assert_eq!(holder.answer(b"none", Instant::now()), Answer { number: 0, signed: Err(No::Malformed) });
    let all = [("no-key", 1), ("no-scheme", 2), ("no-handshake", 3), ("malformed", 1)];
    assert_eq!(refused(&holder), all.into());
    assert_eq!(holder.counted().0, [count("site", 0)], "what is refused is not signed");
}

#[test]
fn a_key_whose_second_is_used_up_signs_nothing_until_the_next() {
    let key = Key::new();
    let holder = holding(&[("site", "server", &key.pem)]);
    let ask = Ask { number: 1, key: key.id, scheme: ECDSA_P256, content: OF_SERVER }.write();
    let now = Instant::now();
    let signed = (0..200_000).take_while(|_| holder.answer(&ask, now).signed.is_ok()).count();
    assert_eq!(holder.counted().0, [count("site", signed as u64)]);
    assert_eq!(refused(&holder), [("too-many", 1)].into());
    assert!(holder.answer(&ask, now + Duration::from_secs(1)).signed.is_ok());
}

#[test]
fn what_is_given_next_takes_the_place_of_what_was_held_and_a_key_that_stays_keeps_its_count() {
    let (old, stays, new) = (Key::new(), Key::new(), Key::new());
    let holder = holding(&[("old", "server", &old.pem), ("stays", "server", &stays.pem)]);
    for key in [&old, &stays] {
        asked(&holder, key.id, ECDSA_P256, OF_SERVER).expect("a signature");
    }
    holder.hold(&given(&[("stays", "server", &stays.pem), ("new", "server", &new.pem)])).expect("keys");
    assert_eq!(asked(&holder, old.id, ECDSA_P256, OF_SERVER), Err(No::Key));
    assert_eq!(holder.counted().0, [count("new", 0), count("stays", 1)]);
}

#[test]
fn where_one_of_those_that_are_given_is_no_key_what_was_held_is_kept() {
    let (held, other) = (Key::new(), Key::new());
    let holder = holding(&[("held", "server", &held.pem)]);
    let odd = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    for (text, why) in [("", r#""bad" is no private key in PEM"#), (odd, r#""bad" is of no kind that TLS uses here"#)] {
        let found = holder.hold(&given(&[("other", "server", &other.pem), ("bad", "server", text)]));
        assert_eq!(found, Err(why.into()));
    }
    assert!(asked(&holder, held.id, ECDSA_P256, OF_SERVER).is_ok());
    assert_eq!(asked(&holder, other.id, ECDSA_P256, OF_SERVER), Err(No::Key));
}

#[test]
fn a_line_is_answered_ask_by_ask_until_its_other_end_is_gone() {
    let key = Key::new();
    let holder = holding(&[("site", "server", &key.pem)]);
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a line");
    std::thread::scope(|scope| {
        let served = scope.spawn(|| {
            holder.serve(&theirs);
            drop(theirs);
        });
        let mut room = vec![0; LONGEST_BYTES];
        let mut say = |message: &[u8]| {
            send(&ours, message, SendFlags::NOSIGNAL).expect("sent");
            let (_, len) = recv(&ours, &mut *room, RecvFlags::empty()).expect("read");
            Answer::read(&room[..len]).expect("an answer")
        };
        let ask = Ask { number: 3, key: key.id, scheme: ECDSA_P256, content: OF_SERVER }.write();
        let signature = say(&ask).signed.expect("a signature");
        assert!(key.signed(OF_SERVER, &signature));
        // What is longer than any ask is not taken for its beginning.
        let long = [&ask[..], &vec![0; LONGEST_BYTES]].concat();
        assert_eq!(say(&long), Answer { number: 3, signed: Err(No::Malformed) });
        assert!(say(&ask).signed.is_ok());
        drop(ours);
        served.join().expect("it ended");
    });
}

fn given_elsewhere(certificate: &str) -> Given {
    let token = format!(r#"{{"module": "m.so", "certificate": "{certificate}"}}"#);
    serde_json::from_str(&format!(r#"{{"keys": [{{"id": "site", "role": "server", "token": {token}}}]}}"#))
        .expect("keys")
}

#[test]
fn a_key_that_another_process_has_is_asked_of_that_and_whether_it_may_come_back_is_told() {
    let key = Key::of(&STANDARD.decode(CERTIFIED_KEY).expect("base64"));
    let far = holding(&[("there", "server", &key.pem)]);
    let near = Holder::default();
    assert_eq!(near.hold(&given_elsewhere("MAA=")), Err(r#""site" is of no kind that TLS uses here"#.into()));
    near.hold(&given_elsewhere(CERTIFICATE)).expect("a key");
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a line");
    near.open("m.so", vec![ours]);
    std::thread::scope(|scope| {
        let served = scope.spawn(|| far.serve(&theirs));
        let signature = asked(&near, key.id, ECDSA_P256, OF_SERVER).expect("a signature");
        assert!(key.signed(OF_SERVER, &signature));
        assert_eq!((near.counted().0, far.counted().0), (vec![count("site", 1)], vec![count("there", 1)]));
        assert_eq!(asked(&near, key.id, ECDSA_P256, OF_CLIENT), Err(No::Key), "it is for sites, here as there");
        // It is there, and has no such key any more.
        far.hold(&given(&[])).expect("none");
        assert_eq!(asked(&near, key.id, ECDSA_P256, OF_SERVER), Err(No::Token));
        // It is gone, and another one may come.
        near.open("m.so", Vec::new());
        assert_eq!(asked(&near, key.id, ECDSA_P256, OF_SERVER), Err(No::Away));
        served.join().expect("it ended");
    });
    assert_eq!(refused(&near), [("no-key", 1), ("no-token", 1), ("token-away", 1)].into());
}
