//! What is told of a peer: the names and the key of its certificate, until when it is one, and no more names than fit.

use everyhop_record::facts::{IdentityUse, Peer, TlsFacts, not_after_s};
use rustls::pki_types::CertificateDer;

/// Of `A.Test` and `spiffe://Test/One`, until 2031-01-02 03:04:05 UTC; its key was thrown away.
const LEAF: &[u8] = include_bytes!("leaf.der");
const UNTIL: i64 = 1_925_089_445;
const KEY: &str = "141988c95fbd4ea1597675953c6ef0a76510e4b2d96899ecbeaeeacf61521254";

#[test]
fn a_certificate_is_over_after_its_last_second_and_what_is_none_has_been_over_forever() {
    assert_eq!(not_after_s(&CertificateDer::from(LEAF)), UNTIL);
    for broken in [&b""[..], b"\x30", LEAF.get(..LEAF.len() - 1).unwrap_or_default()] {
        assert_eq!(not_after_s(&CertificateDer::from(broken)), i64::MIN);
    }
}

#[test]
fn a_peer_is_told_by_the_names_and_the_key_that_its_certificate_proves() {
    let peer = Peer::of(&CertificateDer::from(LEAF)).expect("a certificate");
    assert_eq!(peer.names, ["a.test", "spiffe://Test/One"]);
    assert_eq!(peer.key_sha256, KEY);
    assert_eq!(peer.not_after_s, UNTIL);
    assert_eq!(Peer::of(&CertificateDer::from(&b"\x30"[..])), None);
}

fn written(peer: Option<Peer>, resumed: bool) -> serde_json::Value {
    let facts = TlsFacts { version: Some("1.3"), suite: Some("s"), group: None, resumed, peer, ..TlsFacts::default() };
    let mut out = b"{\"hop\":1".to_vec();
    facts.write(&mut out);
    out.push(b'}');
    serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
}

#[test]
fn what_was_agreed_is_written_with_its_version_and_whether_it_was_resumed() {
    let facts = written(None, false);
    let expected =
        serde_json::json!({"hop": 1, "version": "1.3", "suite": "s", "group": null, "resumed": false, "peer": null});
    assert_eq!(facts, expected);
    assert_eq!(written(None, true)["resumed"], true);
}

#[test]
fn of_a_peers_names_the_first_sixteen_are_written_and_that_there_are_more() {
    for count in [0, 1, 2, 16, 17, 3000] {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let peer = Peer { names: names.clone(), key_sha256: "k".into(), not_after_s: 0 };
        let mut shown: Vec<&str> = names.iter().map(String::as_str).take(16).collect();
        shown.extend((count > 16).then_some("..."));
        assert_eq!(
            written(Some(peer), false)["peer"],
            serde_json::json!({"names": shown, "key_sha256": "k"}),
            "{count}"
        );
    }
}

#[test]
fn each_way_in_which_our_identity_was_used_has_a_word_of_its_own() {
    use IdentityUse::{Demanded, NotDemanded, NotPresented, Refused, Unknown};
    let words = [Demanded, NotDemanded, NotPresented, Refused, Unknown].map(IdentityUse::name);
    assert_eq!(words, ["demanded", "not_demanded", "not_presented", "refused", "unknown"]);
}
