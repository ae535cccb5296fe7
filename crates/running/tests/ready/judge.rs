//! What is said of a certificate, a key, roots or a list that cannot be used: which of them it is, and what is wrong with it.

use crate::kit::{Cert, Key, Says, UNTIL, extension, pem, tlv};
use everyhop_running::judge::{Wrong, chain_elsewhere, lists, pair, revocation, roots};
use everyhop_running::secret::SecretPem;

fn key(text: &str) -> SecretPem {
    SecretPem::new(text.as_bytes())
}

/// Why a chain and a key cannot be used, as a person reads it.
fn wrong(chain: &str, key_pem: &str) -> String {
    pair(chain, &key(key_pem)).map_or_else(|e| e.to_string(), |_| "nothing".into())
}

fn unknown_and_critical() -> Option<Vec<u8>> {
    Some(extension(99, true, &[5, 0]))
}

#[test]
fn a_chain_is_used_as_it_came_with_the_key_that_belongs_to_it() {
    let root = Says::authority("Root").by(None);
    let leaf = Says::leaf("a.test").by(Some(&root));
    let used = pair(&(leaf.pem() + &root.pem()), &key(&leaf.key.pem())).expect("a pair");
    assert_eq!(used.cert, [leaf.der.clone(), root.der]);
}

#[test]
fn of_a_pair_that_cannot_be_used_is_said_which_half_it_is_and_why() {
    let leaf = Says::leaf("a.test").by(None);
    let (chain, its_key) = (leaf.pem(), leaf.key.pem());
    let old = Says { version: 1, ..Says::leaf("a.test") }.by(None);
    let odd = Says { extension: unknown_and_critical(), ..Says::leaf("a.test") }.by(None);
    for (chain, key, why) in [
        (chain.as_str(), its_key.as_str(), "nothing"),
        ("-----BEGIN CERTIFICATE-----\n*", &its_key, "the certificate is not PEM"),
        ("", &its_key, "the certificate is not there"),
        (&pem("CERTIFICATE", b"\x30\x00"), &its_key, "the certificate cannot be read (BadDer)"),
        (&old.pem(), &old.key.pem(), "the certificate is of X.509 version 1 or 2; TLS needs version 3"),
        (&odd.pem(), &odd.key.pem(), "the certificate has a critical extension that nothing here knows"),
        (&chain, "", "the key is not a PEM private key"),
        (&chain, &pem("PRIVATE KEY", b"\x30\x00"), "the key is of no kind that TLS uses here"),
        (&chain, &Key::new().pem(), "key and certificate do not match"),
    ] {
        assert_eq!(wrong(chain, key), why);
    }
    assert_eq!(pair(&chain, &key(&Key::new().pem())).expect_err("another's key"), Wrong::Mismatch);
}

#[test]
fn a_chain_whose_key_is_elsewhere_is_judged_by_itself() {
    let leaf = Says::leaf("a.test").by(None);
    let old = Says { version: 1, ..Says::leaf("a.test") }.by(None);
    let short = Says { rsa_bits: Some(1024), ..Says::leaf("a.test") }.by(Some(&Says::authority("Root").by(None)));
    for (chain, why) in [
        (leaf.pem(), Ok(())),
        (String::new(), Err("is not there")),
        ("-----BEGIN CERTIFICATE-----\n*".into(), Err("is not PEM")),
        (old.pem(), Err("is of X.509 version 1 or 2; TLS needs version 3")),
        (short.pem(), Ok(())),
    ] {
        assert_eq!(chain_elsewhere(&chain), why.map_err(str::to_owned));
    }
}

#[test]
fn of_a_bundle_what_can_be_used_is_kept_and_of_the_rest_is_said_which_it_is() {
    let good = Says::authority("Root").by(None);
    let broken = pem("CERTIFICATE", b"\x30\x00");
    let (found, unusable) = roots(&(good.pem() + &broken + &good.pem() + &broken)).expect("roots");
    assert_eq!(found.len(), 2);
    assert_eq!(unusable, [1, 3].map(|i| (i, "cannot be read (BadDer)".to_owned())));
    assert_eq!(roots("-----BEGIN CERTIFICATE-----\n*").map(|_| ()), Err("it is not PEM".into()));
}

#[test]
fn a_file_without_a_list_is_not_one_by_which_nobody_is_revoked() {
    let root = Says::authority("Root").by(None);
    let list = root.list(&[7], UNTIL);
    assert_eq!(lists(&(list.clone() + &list)).expect("lists").len(), 2);
    for none in ["", &root.pem()] {
        assert_eq!(lists(none), Err("it holds no revocation list".into()));
    }
    assert_eq!(lists("-----BEGIN X509 CRL-----\n*"), Err("it is not PEM".into()));
}

fn of_lists(root: &Cert, list: &str) -> String {
    revocation(&root.pem(), list).map_or_else(|why| why, |()| "nothing".into())
}

#[test]
fn of_a_list_that_cannot_be_used_is_said_what_is_wrong_with_it() {
    let root = Says::authority("Root").by(None);
    let delta = extension(27, true, &tlv(2, &[&[1]]));
    let unknown = extension(99, true, &[5, 0]);
    let of_others = Some(extension(29, true, &tlv(0x30, &[])));
    let reason = Some(extension(21, false, &tlv(0x0a, &[&[7]])));
    for (list, why) in [
        (root.list(&[7], UNTIL), "nothing"),
        (root.list(&[], UNTIL), "nothing"),
        (root.odd_list(0, &[7], UNTIL, &[]), "it is of version 1; version 2 is needed"),
        (root.odd_list(1, &[7], UNTIL, &delta), "it is a delta, and the whole list is needed"),
        (
            root.list_of(1, &[(7, of_others)], UNTIL, &[]),
            "it speaks for other authorities, and one of the authority's own is needed",
        ),
        (root.odd_list(1, &[7], UNTIL, &unknown), "it has a critical extension that nothing here knows"),
        (root.list_of(1, &[(7, reason)], UNTIL, &[]), "it revokes for a reason that nothing here knows"),
        (pem("X509 CRL", b"\x30\x00"), "it cannot be read (ParseError)"),
        (String::new(), "it holds no revocation list"),
    ] {
        assert_eq!(of_lists(&root, &list), why);
    }
    assert_eq!(revocation("", &root.list(&[7], UNTIL)), Err("no root trust anchors were provided".into()));
    assert_eq!(revocation("-----BEGIN CERTIFICATE-----\n*", ""), Err("it is not PEM".into()));
}
