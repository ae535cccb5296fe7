use crate::kit::{ED, P256, P384, RSA, b64, fine, judged, rules, token};
use everyhop_token::{Algorithm, KeySet, MOST_BYTES, No, NoSet, Why};
use serde_json::{Value, json};

fn read(keys: &[Value]) -> KeySet {
    KeySet::read(json!({"keys": keys}).to_string().as_bytes()).expect("a set")
}

/// Why the only key of a set is left out.
fn left_out(key: Value) -> Option<Why> {
    let set = read(&[key]);
    assert_eq!(set.is_empty(), !set.left_out.is_empty());
    set.left_out.first().map(|it| it.why)
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().expect("an object").remove(name);
    key
}

#[test]
fn what_is_no_set_of_keys_is_said_to_be_none() {
    for (text, no) in [
        ("", NoSet::NotJson),
        ("<html>", NoSet::NotJson),
        ("[]", NoSet::NotJson),
        ("{\"keys\":[],\"keys\":[]}", NoSet::NotJson),
        ("{}", NoSet::NoList),
        ("{\"keys\":{}}", NoSet::NoList),
        ("{\"keys\":null}", NoSet::NoList),
        (r#"{"kty":"RSA"}"#, NoSet::NoList),
    ] {
        assert_eq!(KeySet::read(text.as_bytes()).err(), Some(no), "{text}");
        assert!(!no.sentence().is_empty());
    }
    assert_eq!(KeySet::read(&vec![b' '; MOST_BYTES + 1]).err(), Some(NoSet::TooLong));
    let many = json!({"keys": vec![ED.jwk(None, json!({})); 101]}).to_string();
    assert_eq!(KeySet::read(many.as_bytes()).err(), Some(NoSet::TooMany));
    assert!(KeySet::read(b"{\"keys\":[]}").is_ok_and(|it| it.is_empty()));
    let doubled = format!("{{\"keys\":[{{\"kid\":\"a\",{}]}}", &ED.jwk(Some("b"), json!({})).to_string()[1..]);
    assert_eq!(KeySet::read(doubled.as_bytes()).err(), Some(NoSet::NotJson));
}

#[test]
fn secrets_private_halves_and_weak_keys_are_left_out_by_name() {
    assert_eq!(left_out(json!({"kty": "oct", "k": b64([7; 32]), "alg": "HS256"})), Some(Why::Symmetric));
    for (key, name) in [(&P256, "d"), (&ED, "d")] {
        assert_eq!(left_out(key.jwk(None, json!({name: "AAAA"}))), Some(Why::Private));
    }
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        assert_eq!(left_out(RSA.jwk(None, json!({name: "AAAA"}))), Some(Why::Private), "{name}");
    }
    let mut weak = vec![0xc5; 128];
    for (bytes, why) in
        [(128, Some(Why::Weak)), (255, Some(Why::Weak)), (256, None), (1024, None), (1025, Some(Why::Unreadable))]
    {
        weak.resize(bytes, 0xc5);
        let key = json!({"kty": "RSA", "n": b64(&weak), "e": "AQAB"});
        assert_eq!(left_out(key), why, "{bytes}");
    }
    // 2047 bits in as many bytes as 2048 take.
    let mut short = vec![0xc5; 256];
    short[0] = 0x45;
    assert_eq!(left_out(json!({"kty": "RSA", "n": b64(short), "e": "AQAB"})), Some(Why::Weak));
}

#[test]
fn a_key_for_something_else_verifies_no_token() {
    for more in [
        json!({"use": "enc"}),
        json!({"use": ""}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": []}),
        json!({"key_ops": ["encrypt", "wrapKey"]}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": "HS256"}),
        json!({"alg": "none"}),
    ] {
        assert_eq!(left_out(RSA.jwk(None, more.clone())), Some(Why::OtherUse), "{more}");
    }
    for more in
        [json!({"use": "sig"}), json!({"key_ops": ["verify"]}), json!({"key_ops": ["sign", "verify"], "x5c": [1]})]
    {
        assert_eq!(left_out(RSA.jwk(None, more.clone())), None, "{more}");
    }
    for key in [
        json!({"kty": "EC", "crv": "secp256k1", "x": b64([1; 32]), "y": b64([1; 32])}),
        json!({"kty": "OKP", "crv": "Ed448", "x": b64([1; 57])}),
        json!({"kty": "OKP", "crv": "X25519", "x": b64([1; 32])}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
        json!({"kty": "rsa", "n": "AQAB", "e": "AQAB"}),
    ] {
        assert_eq!(left_out(key.clone()), Some(Why::Unknown), "{key}");
    }
}

#[test]
fn what_is_no_key_is_left_out_and_the_others_stay() {
    let off_curve = P256.jwk(None, json!({"y": b64([1; 32])}));
    let big_endian = P256.jwk(None, json!({}));
    for key in [
        json!(null),
        json!("key"),
        json!({}),
        json!({"kty": 1}),
        without(RSA.jwk(None, json!({})), "n"),
        without(RSA.jwk(None, json!({})), "e"),
        RSA.jwk(None, json!({"e": b64([1])})),
        RSA.jwk(None, json!({"e": b64([2])})),
        RSA.jwk(None, json!({"e": b64([1, 0, 0])})),
        RSA.jwk(None, json!({"e": b64([255; 9])})),
        RSA.jwk(None, json!({"e": ""})),
        RSA.jwk(None, json!({"e": "AQAB="})),
        RSA.jwk(None, json!({"e": 65537})),
        RSA.jwk(None, json!({"alg": "ES256"})),
        RSA.jwk(None, json!({"alg": 5})),
        RSA.jwk(None, json!({"use": 5})),
        RSA.jwk(None, json!({"key_ops": "verify"})),
        RSA.jwk(None, json!({"kid": 5})),
        off_curve,
        P256.jwk(None, json!({"x": b64([0; 33])})),
        P256.jwk(None, json!({"crv": "P-384"})),
        P256.jwk(None, json!({"alg": "ES384"})),
        without(big_endian, "y"),
        ED.jwk(None, json!({"x": b64([1; 31])})),
        ED.jwk(None, json!({"alg": "ES256"})),
        without(ED.jwk(None, json!({})), "crv"),
    ] {
        let set = read(&[P384.jwk(Some("good"), json!({})), key.clone()]);
        assert_eq!((set.len(), set.left_out.len()), (1, 1), "{key}");
        assert_eq!((set.left_out[0].at, set.left_out[0].why), (1, Why::Unreadable), "{key}");
    }
}

#[test]
fn a_key_verifies_by_its_own_kind_alone_and_where_it_says_one_algorithm_by_that() {
    let of = |more: Value| read(&[RSA.jwk(Some("rsa"), more)]);
    let by = |set: &KeySet| set.algorithms().into_iter().map(Algorithm::name).collect::<Vec<_>>();
    assert_eq!(by(&of(json!({}))), ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]);
    assert_eq!(by(&of(json!({"alg": "PS256"}))), ["PS256"]);
    assert_eq!(by(&read(&[P384.jwk(None, json!({})), ED.jwk(None, json!({"alg": "Ed25519"}))])), ["ES384", "EdDSA"]);
    let it = token(&RSA, json!({"alg": "RS256", "kid": "rsa"}), fine());
    assert!(judged(&it, &rules(), &of(json!({"alg": "RS256"}))).is_ok());
    assert_eq!(judged(&it, &rules(), &of(json!({"alg": "PS256"}))).err(), Some(No::UnknownKey));
    assert_eq!(judged(&it, &rules(), &KeySet::empty()).err(), Some(No::UnknownKey));
}

#[test]
fn zeros_before_a_number_change_no_key() {
    let plain = RSA.jwk(Some("rsa"), json!({}));
    let n = plain["n"].as_str().expect("text");
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(n).expect("bytes");
    let padded = RSA.jwk(Some("rsa"), json!({"n": b64([&[0, 0][..], &bytes].concat()), "e": b64([0, 1, 0, 1])}));
    let it = token(&RSA, json!({"alg": "RS256", "kid": "rsa"}), fine());
    assert!(judged(&it, &rules(), &read(&[padded])).is_ok());
}
