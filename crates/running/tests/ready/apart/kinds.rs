//! What kinds of keys there are, by their public halves, and what each says of itself.

use super::{ECDSA_P256, PATIENT, lines, public, signer, spki};
use crate::kit::{Says, tlv};
use everyhop_running::apart::{certified, id_of, schemes, through};
use everyhop_signing::Role;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::{SignatureAlgorithm as A, SignatureScheme as S};

const ECDSA_P384: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
const ECDSA_P521: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23];
const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const OF_RSA: [S; 6] = [
    S::RSA_PSS_SHA512,
    S::RSA_PSS_SHA384,
    S::RSA_PSS_SHA256,
    S::RSA_PKCS1_SHA512,
    S::RSA_PKCS1_SHA384,
    S::RSA_PKCS1_SHA256,
];

/// Each with the length of a usual key of it.
fn kinds() -> [(&'static [u8], usize, A, &'static [S]); 6] {
    [
        (ECDSA_P256, 65, A::ECDSA, &[S::ECDSA_NISTP256_SHA256]),
        (ECDSA_P384, 97, A::ECDSA, &[S::ECDSA_NISTP384_SHA384]),
        (ECDSA_P521, 133, A::ECDSA, &[S::ECDSA_NISTP521_SHA512]),
        (ED25519, 32, A::ED25519, &[S::ED25519]),
        (RSA, 270, A::RSA, &OF_RSA),
        (RSA, 2062, A::RSA, &OF_RSA),
    ]
}

#[test]
fn each_kind_of_key_has_its_schemes_in_their_order_and_another_has_none() {
    for (algorithm, len, kind, all) in kinds() {
        assert_eq!(schemes(&spki(algorithm, len)), Some((kind, all)));
    }
    let secp256k1: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x0a];
    let rsa_for_pss: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
    let ed448: &[u8] = &[6, 3, 0x2b, 0x65, 0x71];
    for other in [secp256k1, rsa_for_pss, ed448, &[], &RSA[..11]] {
        let public = spki(other, 57);
        assert_eq!(schemes(&public), None);
        assert!(through(lines(PATIENT), public, Role::Server).is_none());
    }
}

#[test]
fn a_key_is_read_by_lengths_of_one_two_and_three_bytes() {
    for (len, head) in [(32, &[0x30, 56][..]), (133, &[0x30, 0x81, 158]), (270, &[0x30, 0x82, 1, 40])] {
        let public = spki(ECDSA_P256, len);
        assert!(public.starts_with(head), "{:x?}", &public[..4]);
        assert_eq!(schemes(&public), Some((A::ECDSA, &[S::ECDSA_NISTP256_SHA256][..])));
        // Without its end it is none, nor below another tag or by a length of four bytes.
        assert_eq!(schemes(&public[..public.len() - 1].into()), None);
        assert_eq!(schemes(&[&[0x31], &public[1..]].concat().into()), None);
    }
    let inner = tlv(0x30, &[ECDSA_P256]);
    let long = [&[0x30, 0x83, 0, 0, 21][..], &inner].concat();
    assert_eq!((inner.len(), schemes(&long.into())), (21, None));
    for cut in [&[][..], &[0x30], &[0x30, 0x81], &[0x30, 0x82], &[0x30, 0x82, 0], &[0x30, 0]] {
        assert_eq!(schemes(&cut.into()), None);
    }
}

#[test]
fn of_the_schemes_that_are_offered_the_first_of_the_keys_own_is_taken() {
    for (algorithm, len, kind, all) in kinds() {
        let public = spki(algorithm, len);
        let key = through(lines(PATIENT), public.clone(), Role::Client).expect("a key");
        assert_eq!((key.algorithm(), key.public_key()), (kind, Some(public)));
        for (at, scheme) in all.iter().enumerate() {
            let offered: Vec<S> = [S::ED448].into_iter().chain(all[at..].iter().rev().copied()).collect();
            assert_eq!(key.choose_scheme(&offered).expect("a scheme").scheme(), *scheme);
        }
        assert!(key.choose_scheme(&[S::ED448, S::ECDSA_SHA1_Legacy]).is_none() && key.choose_scheme(&[]).is_none());
    }
}

#[test]
fn what_is_shown_of_a_key_says_its_side_and_its_schemes_and_no_key() {
    let key = through(lines(PATIENT), public(), Role::Client).expect("a key");
    assert_eq!(format!("{key:?}"), "Apart { role: Client, schemes: [ECDSA_NISTP256_SHA256], .. }");
    let signer = signer(lines(PATIENT), Role::Server);
    assert_eq!(format!("{signer:?}"), "Signing { role: Server, scheme: ECDSA_NISTP256_SHA256, .. }");
}

#[test]
fn keys_are_known_by_the_hash_of_their_public_halves() {
    // SHA-256 of nothing and of "abc" (FIPS 180-4).
    let of = |bytes: &'static [u8]| id_of(&SubjectPublicKeyInfoDer::from(bytes));
    assert_eq!(of(b"")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(of(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert_ne!(id_of(&spki(ECDSA_P256, 65)), id_of(&spki(ECDSA_P256, 64)));
}

#[test]
fn a_certificate_is_shown_with_the_key_that_is_in_it_where_that_is_of_a_kind_that_signs() {
    let plain = Says::leaf("a.test");
    let of = [plain.clone(), Says { ed25519: true, ..plain.clone() }, Says { rsa_bits: Some(2048), ..plain }];
    for (says, kind) in of.into_iter().zip([A::ECDSA, A::ED25519, A::RSA]) {
        let authority = Says::authority("authority").by(None);
        let cert = says.by(Some(&authority));
        let chain = vec![cert.der.clone(), authority.der.clone()];
        let it = certified(chain.clone(), Role::Server).expect("a certificate");
        assert_eq!(it.cert, chain);
        assert_eq!((it.key.algorithm(), it.key.public_key()), (kind, Some(cert.public().into())));
    }
    assert!(certified(Vec::new(), Role::Server).is_none());
    assert!(certified(vec![b"none".to_vec().into()], Role::Server).is_none());
}
