//! Whom a hop believes: by roots, by a certificate among them that signs for itself, or by pins; and that nobody else is.

use crate::kit::{CLIENTS, Cert, FROM, NOW_S, SERVERS, Says, UNTIL, blob, extension, now, tlv};
use everyhop_plan::{Proof, StaleCrl, TlsPolicy, Verify};
use everyhop_record::digest::sha256_hex;
use everyhop_running::judged::Judge;
use everyhop_running::material::{Blob, crypto, judge_of};
use everyhop_running::noted::{Noted, noting};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, Error, SignatureScheme};
use std::time::Duration;

const BOTH: [&str; 2] = ["1.2", "1.3"];

fn policy() -> TlsPolicy {
    TlsPolicy {
        versions: BOTH.map(str::to_owned).to_vec(),
        suites: vec!["TLS_AES_128_GCM_SHA256".into(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".into()],
        groups: vec!["X25519".into()],
    }
}

fn judge(by: Proof, blob: &Blob) -> Judge {
    let (crypto, _) = crypto(&policy()).expect("a policy");
    judge_of(&Verify { by, name: "b.test".into() }, &crypto, blob).expect("a judge")
}

fn by_roots(pem: String) -> Judge {
    let proof = Proof::Roots { ca: "ca/one".into(), crl: None, stale_crl: StaleCrl::Refuse };
    judge(proof, &blob(&[], &[("ca/one", pem)], &[]))
}

fn by_lists(pem: String, lists: String, stale_crl: StaleCrl) -> Judge {
    let proof = Proof::Roots { ca: "ca/one".into(), crl: Some("crl/one".into()), stale_crl };
    judge(proof, &blob(&[], &[("ca/one", pem)], &[("crl/one", lists)]))
}

fn by_pins(sha256: &[String], name_too: bool) -> Judge {
    judge(Proof::Pins { sha256: sha256.to_vec(), name_too }, &Blob::default())
}

fn spiffe(id: &str, crl: bool, name_too: bool) -> Proof {
    let crl = crl.then(|| "crl/one".into());
    Proof::Spiffe { ca: "ca/one".into(), crl, stale_crl: StaleCrl::Refuse, id: id.into(), name_too }
}

/// A certificate of that workload, which has no name of a host.
fn workload(id: &str, serial: u8) -> Says {
    let names = tlv(0x30, &[&tlv(0x86, &[id.as_bytes()])]);
    Says { serial, names: Vec::new(), extension: Some(extension(17, false, &names)), ..Says::leaf("workload") }
}

fn judged_at(judge: &Judge, leaf: &Cert, name: &'static str, now: UnixTime) -> Result<(), Error> {
    let name = ServerName::try_from(name).expect("a name");
    judge.verify_server_cert(&leaf.der, &[], &name, &[], now).map(|_| ())
}

fn judged(judge: &Judge, leaf: &Cert, name: &'static str) -> Result<(), Error> {
    judged_at(judge, leaf, name, now())
}

/// In one word, without what it is told with.
fn word(judged: &Result<(), Error>) -> &'static str {
    use CertificateError as E;
    match judged {
        Ok(()) => "believed",
        Err(Error::InvalidCertificate(why)) => match why {
            E::UnknownIssuer => "unknown issuer",
            E::NotValidForName | E::NotValidForNameContext { .. } => "name",
            E::Expired | E::ExpiredContext { .. } => "expired",
            E::NotValidYet | E::NotValidYetContext { .. } => "not yet",
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => "purpose",
            E::BadEncoding => "encoding",
            E::BadSignature => "signature",
            E::Revoked => "revoked",
            E::UnknownRevocationStatus => "not in any list",
            E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => "list is overdue",
            E::ApplicationVerificationFailure => "pin",
            E::Other(_) => "an authority",
            _ => "something else",
        },
        Err(_) => "no certificate",
    }
}

/// Whether it is an authority or not, and says so or not.
fn own(says: Says, authority: bool) -> Cert {
    Says { authority, ..says }.by(None)
}

#[test]
fn a_backend_is_believed_by_its_root_and_its_name_together() {
    let (root, other) = (Says::authority("Root").by(None), Says::authority("Other").by(None));
    let leaf = Says::leaf("b.test").by(Some(&root));
    assert_eq!(word(&judged(&by_roots(root.pem()), &leaf, "b.test")), "believed");
    assert_eq!(word(&judged(&by_roots(other.pem() + &root.pem()), &leaf, "b.test")), "believed");
    assert_eq!(word(&judged(&by_roots(root.pem()), &leaf, "c.test")), "name");
    assert_eq!(word(&judged(&by_roots(other.pem()), &leaf, "b.test")), "unknown issuer");
}

#[test]
fn a_certificate_among_the_roots_that_signs_for_itself_is_believed_as_what_it_is() {
    for authority in [true, false] {
        let leaf = own(Says::leaf("b.test"), authority);
        let judge = by_roots(leaf.pem());
        assert_eq!(word(&judged(&judge, &leaf, "b.test")), "believed", "{authority}");
        assert_eq!(word(&judged(&judge, &leaf, "c.test")), "name", "{authority}");
        let another = own(Says::leaf("b.test"), authority);
        let expected = if authority { "unknown issuer" } else { "signature" };
        assert_eq!(word(&judged(&judge, &another, "b.test")), expected, "one of the same name, {authority}");
    }
}

#[test]
fn what_signs_for_itself_is_held_to_its_dates_and_its_purpose_as_any_other() {
    for authority in [true, false] {
        for (says, expected) in [
            (Says { until: "20261231235959Z", ..Says::leaf("b.test") }, "expired"),
            (Says { from: "20270102000000Z", ..Says::leaf("b.test") }, "not yet"),
            (Says { purpose: Some(CLIENTS), ..Says::leaf("b.test") }, "purpose"),
            (Says { purpose: Some(SERVERS), ..Says::leaf("b.test") }, "believed"),
        ] {
            let leaf = own(says, authority);
            assert_eq!(word(&judged(&by_roots(leaf.pem()), &leaf, "b.test")), expected, "{authority}");
        }
    }
}

#[test]
fn what_signs_for_itself_is_not_believed_where_lists_are_asked_since_nobody_could_revoke_it() {
    for authority in [true, false] {
        let leaf = own(Says::leaf("b.test"), authority);
        let root = Says::authority("Root").by(None);
        let judge = by_lists(leaf.pem() + &root.pem(), root.list(&[9], UNTIL), StaleCrl::Refuse);
        assert_eq!(word(&judged(&judge, &leaf, "b.test")), "not in any list", "{authority}");
    }
}

#[test]
fn an_authority_is_no_backend_whoever_signed_for_it() {
    let root = Says::authority("Root").by(None);
    let between = Says::authority("b.test").by(Some(&root));
    assert_eq!(word(&judged(&by_roots(root.pem()), &between, "b.test")), "an authority");
    let foreign = Says::authority("Foreign").by(None);
    assert_eq!(word(&judged(&by_roots(root.pem()), &foreign, "b.test")), "unknown issuer", "it vouches for itself");
}

#[test]
fn whom_a_list_revokes_and_of_whom_none_speaks_is_not_believed_and_a_list_that_is_overdue_means_nobody() {
    let root = Says::authority("Root").by(None);
    let leaf = Says { serial: 5, ..Says::leaf("b.test") }.by(Some(&root));
    let other = Says::authority("Other").by(None);
    for (list, stale, expected) in [
        (root.list(&[6], UNTIL), StaleCrl::Refuse, "believed"),
        (root.list(&[5], UNTIL), StaleCrl::Refuse, "revoked"),
        (root.list(&[6], "20261231000000Z"), StaleCrl::Refuse, "list is overdue"),
        (root.list(&[6], "20261231000000Z"), StaleCrl::Allow, "believed"),
        (root.list(&[5], "20261231000000Z"), StaleCrl::Allow, "revoked"),
        (other.list(&[6], UNTIL), StaleCrl::Refuse, "not in any list"),
    ] {
        assert_eq!(word(&judged(&by_lists(root.pem(), list, stale), &leaf, "b.test")), expected);
    }
}

#[test]
fn a_workload_that_a_list_revokes_is_not_believed_and_one_that_it_does_not_needs_no_name() {
    let root = Says::authority("Root").by(None);
    let (other, id) = (Says::authority("Other").by(None), "spiffe://corp.example/wiki");
    let leaf = workload(id, 5).by(Some(&root));
    for (list, listed, expected) in [
        (root.list(&[5], UNTIL), false, "believed"),
        (root.list(&[6], UNTIL), true, "believed"),
        (root.list(&[5], UNTIL), true, "revoked"),
        (root.list(&[6], "20261231000000Z"), true, "list is overdue"),
        (other.list(&[6], UNTIL), true, "not in any list"),
    ] {
        let material = blob(&[], &[("ca/one", root.pem())], &[("crl/one", list)]);
        for id in [id, "spiffe://corp.example/*"] {
            let judge = judge(spiffe(id, listed, false), &material);
            assert_eq!(word(&judged(&judge, &leaf, "b.test")), expected, "{id}");
        }
        let foreign = judge(spiffe("spiffe://corp.example/mail", listed, false), &material);
        let expected = if expected == "believed" { "name" } else { expected };
        assert_eq!(word(&judged(&foreign, &leaf, "b.test")), expected, "another workload");
        let named = judge(spiffe(id, listed, true), &material);
        assert_eq!(word(&judged(&named, &leaf, "b.test")), expected, "it has no name of a host");
    }
}

#[test]
fn whoever_is_to_prove_what_is_no_id_of_a_workload_has_no_judge() {
    let root = Says::authority("Root").by(None);
    let material = blob(&[], &[("ca/one", root.pem())], &[]);
    for id in ["b.test", "https://corp.example/wiki", "spiffe://", "spiffe://Corp.example/*"] {
        let (crypto, _) = crypto(&policy()).expect("a policy");
        let none = judge_of(&Verify { by: spiffe(id, false, false), name: "b.test".into() }, &crypto, &material);
        assert_eq!(none.expect_err("no ID").0, format!("{id:?} is no SPIFFE ID"));
    }
}

#[test]
fn a_pinned_certificate_is_believed_by_itself_or_by_its_key_whoever_signed_it_and_no_other_is() {
    let root = Says::authority("Root").by(None);
    for leaf in
        [Says::leaf("b.test").by(Some(&root)), own(Says::leaf("b.test"), true), own(Says::leaf("b.test"), false)]
    {
        let (whole, key) = (sha256_hex(&leaf.der), sha256_hex(&leaf.public()));
        for pin in [whole, key] {
            for name_too in [true, false] {
                let judge = by_pins(&["0".repeat(64), pin.clone()], name_too);
                assert_eq!(word(&judged(&judge, &leaf, "b.test")), "believed");
                let expected = if name_too { "name" } else { "believed" };
                assert_eq!(word(&judged(&judge, &leaf, "c.test")), expected);
                let another = Says::leaf("b.test").by(Some(&root));
                assert_eq!(word(&judged(&judge, &another, "b.test")), "pin");
            }
        }
    }
}

#[test]
fn a_pin_outlives_no_certificate_and_makes_no_server_of_a_client() {
    for authority in [true, false] {
        for (says, expected) in [
            (Says { until: "20261231235959Z", ..Says::leaf("b.test") }, "expired"),
            (Says { from: "20270102000000Z", ..Says::leaf("b.test") }, "not yet"),
            (Says { purpose: Some(CLIENTS), ..Says::leaf("b.test") }, "purpose"),
        ] {
            let leaf = own(says, authority);
            let judge = by_pins(&[sha256_hex(&leaf.der)], false);
            assert_eq!(word(&judged(&judge, &leaf, "b.test")), expected, "{authority}");
        }
        let leaf = own(Says { from: FROM, ..Says::leaf("b.test") }, authority);
        let judge = by_pins(&[sha256_hex(&leaf.der)], false);
        let end = UnixTime::since_unix_epoch(Duration::from_secs(NOW_S * 10));
        assert_eq!(word(&judged_at(&judge, &leaf, "b.test", end)), "expired");
    }
    let garbage = Cert { der: b"\x30\x00".to_vec().into(), ..Says::leaf("b.test").by(None) };
    let judge = by_pins(&[sha256_hex(&garbage.der)], false);
    assert_eq!(word(&judged(&judge, &garbage, "b.test")), "encoding");
    let old = Says { version: 1, ..Says::leaf("b.test") }.by(None);
    assert_eq!(word(&judged(&by_pins(&[sha256_hex(&old.der)], false), &old, "b.test")), "encoding");
}

#[test]
fn whoever_pins_nothing_has_no_judge() {
    let (crypto, _) = crypto(&policy()).expect("a policy");
    let by = Proof::Pins { sha256: Vec::new(), name_too: true };
    let none = judge_of(&Verify { by, name: "b.test".into() }, &crypto, &Blob::default());
    assert_eq!(none.expect_err("nothing").0, "the hop to \"b.test\" pins nothing");
}

#[test]
fn a_judge_takes_the_signatures_that_the_library_takes_and_hints_at_no_roots() {
    let root = Says::authority("Root").by(None);
    for judge in [by_roots(root.pem()), by_pins(&["0".repeat(64)], true)] {
        let all = judge.supported_verify_schemes();
        assert!(
            all.contains(&SignatureScheme::ECDSA_NISTP256_SHA256) && !all.contains(&SignatureScheme::RSA_PKCS1_SHA1)
        );
        assert!(judge.root_hint_subjects().is_none());
    }
}

#[test]
fn what_was_not_believed_is_noted_as_it_came_and_nothing_else_is() {
    let (root, other) = (Says::authority("Root").by(None), Says::authority("Other").by(None));
    let leaf = Says::leaf("b.test").by(Some(&root));
    let mut noted = Noted::default();
    noting(&mut noted, || judged(&by_roots(root.pem()), &leaf, "b.test")).expect("believed");
    assert!(noted.disbelieved.is_none() && !noted.demanded);
    noting(&mut noted, || judged(&by_roots(other.pem()), &leaf, "b.test")).expect_err("not believed");
    let disbelieved = noted.disbelieved.expect("noted");
    assert_eq!((disbelieved.leaf.as_slice(), disbelieved.weakness), (&leaf.der[..], None));
    let mut again = Noted::default();
    noting(&mut again, || ());
    assert_eq!(again.disbelieved, None, "each handshake by itself");
}

/// The weakness that is noted of `leaf`, which came with `between`.
fn weakness(judge: &Judge, leaf: &Cert, between: &[&Cert]) -> Option<String> {
    let name = ServerName::try_from("b.test").expect("a name");
    let between: Vec<_> = between.iter().map(|c| c.der.clone()).collect();
    let mut noted = Noted::default();
    noting(&mut noted, || judge.verify_server_cert(&leaf.der, &between, &name, &[], now())).expect_err("not believed");
    noted.disbelieved.expect("noted").weakness
}

#[test]
fn of_a_signature_that_nobody_believes_is_noted_which_key_above_it_is_too_short() {
    let short = Some("an RSA key of 1024 bits, where 2048 are the least".to_owned());
    for (bits, expected) in [(1024, &short), (2048, &None)] {
        let root = Says { rsa_bits: Some(bits), ..Says::authority("Root") }.by(None);
        let leaf = Says::leaf("b.test").by(Some(&root));
        assert_eq!(weakness(&by_roots(root.pem()), &leaf, &[]), *expected, "the root's");
        let other = Says::authority("Other").by(None);
        let both = by_roots(other.pem() + &root.pem());
        assert_eq!(weakness(&both, &leaf, &[]), *expected, "that of the root which signed, of two");

        let top = Says::authority("Top").by(None);
        let between = Says { rsa_bits: Some(bits), ..Says::authority("Between") }.by(Some(&top));
        let leaf = Says::leaf("b.test").by(Some(&between));
        assert_eq!(weakness(&by_roots(top.pem()), &leaf, &[&between]), *expected, "that of one between");
    }
    let (root, other) = (Says::authority("Root").by(None), Says::authority("Other").by(None));
    let weak = Says { rsa_bits: Some(1024), ..Says::authority("Weak") }.by(None);
    let leaf = Says::leaf("b.test").by(Some(&root));
    assert_eq!(weakness(&by_roots(weak.pem() + &other.pem()), &leaf, &[]), None, "one that signed nothing here");
    let forged =
        Says::leaf("b.test").by(Some(&Cert { key: crate::kit::Key::new(), ..Says::authority("Root").by(None) }));
    assert_eq!(weakness(&by_roots(weak.pem() + &root.pem()), &forged, &[]), None, "one that did not sign it");
}
