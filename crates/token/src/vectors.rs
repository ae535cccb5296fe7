//! Project Wycheproof's signatures in the forms that tokens have (RFC 7518 §3.3 to §3.5, RFC 8037), each key read from a JWK as an
//! issuer would publish it. What it calls valid passes, and what it calls invalid does not, nor what it would let pass (`acceptable`:
//! a digest without its NULL, BER): each signature has one form. What is otherwise stands below by name, with the reason.

use crate::No;
use crate::algorithm::Algorithm;
use crate::form::Token;
use crate::keys::KeySet;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Of a coordinate, in its whole length.
fn padded(bytes: &[u8], length: usize) -> String {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    let number = &bytes[zeros..];
    b64(&[&vec![0; length - number.len()], number].concat())
}

fn keys(jwk: &Value) -> KeySet {
    KeySet::read(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a set")
}

/// What becomes of a message that is signed so.
fn judged(keys: &KeySet, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), No> {
    let signature = signature.to_vec();
    let it = Token { signed: message, signature, algorithm, kid: None, typ: None, claims: Map::new() };
    it.is_signed(keys)
}

/// What passes is valid, and what does not is not: the numbers of tests for which that is not so, and how many there were.
fn otherwise<'a>(
    keys: &KeySet,
    algorithm: Algorithm,
    tests: impl Iterator<Item = (usize, &'a [u8], &'a [u8], TestResult)>,
) -> (Vec<usize>, usize) {
    let mut count = 0;
    let wrong = tests.filter_map(|(id, message, signature, result)| {
        count += 1;
        let passes = judged(keys, algorithm, message, signature).is_ok();
        (passes != (result == TestResult::Valid)).then_some(id)
    });
    (wrong.collect(), count)
}

#[test]
fn signatures_of_ecdsa_pass_where_they_are_valid_and_nowhere_else() {
    for (name, algorithm, crv, length) in [
        (ecdsa::TestName::EcdsaSecp256r1Webcrypto, Algorithm::Es256, "P-256", 32),
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, Algorithm::Es256, "P-256", 32),
        (ecdsa::TestName::EcdsaSecp384r1Webcrypto, Algorithm::Es384, "P-384", 48),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, Algorithm::Es384, "P-384", 48),
        (ecdsa::TestName::EcdsaSecp521r1Webcrypto, Algorithm::Es512, "P-521", 66),
        (ecdsa::TestName::EcdsaSecp521r1Sha512P1363, Algorithm::Es512, "P-521", 66),
    ] {
        let set = ecdsa::TestSet::load(name).expect("its tests");
        let mut all = 0;
        for group in &set.test_groups {
            let (x, y) = (&group.key.affine_x, &group.key.affine_y);
            let keys = keys(&json!({ "kty": "EC", "crv": crv, "x": padded(x, length), "y": padded(y, length) }));
            let tests = group.tests.iter().map(|t| (t.tc_id, &t.msg[..], &t.sig[..], t.result));
            let (wrong, count) = otherwise(&keys, algorithm, tests);
            assert_eq!(wrong, [0; 0], "{name:?}");
            all += count;
        }
        assert!(all > 100, "{name:?}: {all}");
    }
}

#[test]
fn signatures_of_ed25519_pass_where_they_are_valid_and_nowhere_else() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("its tests");
    let mut all = 0;
    for group in &set.test_groups {
        let keys = keys(&json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(&group.key.pk) }));
        let tests = group.tests.iter().map(|t| (t.tc_id, &t.msg[..], &t.sig[..], t.result));
        let (wrong, count) = otherwise(&keys, Algorithm::EdDsa, tests);
        assert_eq!(wrong, [0; 0]);
        all += count;
    }
    assert!(all > 100, "{all}");
}

fn rsa(n: &[u8], e: &[u8]) -> KeySet {
    keys(&json!({ "kty": "RSA", "n": b64(n), "e": b64(e) }))
}

#[test]
fn signatures_of_rsa_in_pkcs1_pass_where_they_are_valid_and_nowhere_else() {
    use pkcs1::TestName as N;
    for (name, algorithm) in [
        (N::Rsa2048Sha256, Algorithm::Rs256),
        (N::Rsa3072Sha256, Algorithm::Rs256),
        (N::Rsa4096Sha256, Algorithm::Rs256),
        (N::Rsa8192Sha256, Algorithm::Rs256),
        (N::Rsa2048Sha384, Algorithm::Rs384),
        (N::Rsa3072Sha384, Algorithm::Rs384),
        (N::Rsa2048Sha512, Algorithm::Rs512),
        (N::Rsa4096Sha512, Algorithm::Rs512),
    ] {
        let set = pkcs1::TestSet::load(name).expect("its tests");
        let mut all = 0;
        for group in &set.test_groups {
            let keys = rsa(&group.key.n, &group.key.e);
            let tests = group.tests.iter().map(|t| (t.tc_id, &t.msg[..], &t.sig[..], t.result));
            let (wrong, count) = otherwise(&keys, algorithm, tests);
            assert_eq!(wrong, [0; 0], "{name:?}");
            all += count;
        }
        assert!(all > 100, "{name:?}: {all}");
    }
}

#[test]
fn signatures_of_rsa_in_pss_pass_where_they_are_valid_and_nowhere_else() {
    use pss::TestName as N;
    for (name, algorithm) in [
        (N::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (N::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (N::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Ps256),
        (N::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384),
        (N::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::Ps384),
        (N::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512),
    ] {
        let set = pss::TestSet::load(name).expect("its tests");
        let mut all = 0;
        for group in &set.test_groups {
            let keys = rsa(&group.key.n, &group.key.e);
            let tests = group.tests.iter().map(|t| (t.tc_id, &t.msg[..], &t.sig[..], t.result));
            let (wrong, count) = otherwise(&keys, algorithm, tests);
            assert_eq!(wrong, [0; 0], "{name:?}");
            all += count;
        }
        assert!(all > 50, "{name:?}: {all}");
    }
}

/// Valid as signatures, and as tokens not: a salt is as long as the hash (RFC 7518 §3.5), and its mask is of the same one.
#[test]
fn signatures_in_pss_with_other_parameters_than_tokens_have_do_not_pass() {
    use pss::TestName as N;
    for (name, algorithm) in [
        (N::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::Ps256),
        (N::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256),
        (N::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::Ps512),
    ] {
        let set = pss::TestSet::load(name).expect("its tests");
        let valid = set.test_groups.iter().flat_map(|g| g.tests.iter().map(move |t| (g, t)));
        let valid: Vec<_> = valid.filter(|(_, t)| t.result == TestResult::Valid).collect();
        assert!(!valid.is_empty(), "{name:?}");
        for (group, test) in valid {
            let keys = rsa(&group.key.n, &group.key.e);
            assert_eq!(judged(&keys, algorithm, &test.msg, &test.sig), Err(No::Signature), "{name:?} {}", test.tc_id);
        }
    }
}

/// A signature by one key, and a token that says another algorithm: it is nobody's.
#[test]
fn a_valid_signature_passes_by_its_own_algorithm_alone() {
    let set = pkcs1::TestSet::load(pkcs1::TestName::Rsa2048Sha256).expect("its tests");
    let group = &set.test_groups[0];
    let test = group.tests.iter().find(|t| t.result == TestResult::Valid).expect("one that is valid");
    let keys = rsa(&group.key.n, &group.key.e);
    for algorithm in Algorithm::ALL {
        let expected = match algorithm {
            Algorithm::Rs256 => Ok(()),
            Algorithm::Rs384 | Algorithm::Rs512 | Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => {
                Err(No::Signature)
            }
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 | Algorithm::EdDsa => Err(No::UnknownKey),
        };
        assert_eq!(judged(&keys, algorithm, &test.msg, &test.sig), expected, "{algorithm:?}");
    }
}
