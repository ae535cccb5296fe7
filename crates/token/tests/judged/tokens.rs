use crate::kit::{
    ED, ISSUER, NOW, P256, P384, P521, RSA, Signer, b64, fine, judged, rules, set, token, token_of, with,
};
use everyhop_token::{Algorithm, KeySet, Kind, LONGEST, No, Rules, read};
use serde_json::{Value, json};

/// Every kind of key, by its name.
fn everybody() -> KeySet {
    set(&[
        RSA.jwk(Some("rsa"), json!({})),
        P256.jwk(Some("p256"), json!({})),
        P384.jwk(Some("p384"), json!({})),
        P521.jwk(Some("p521"), json!({})),
        ED.jwk(Some("ed"), json!({})),
    ])
}

fn es256(claims: Value) -> String {
    token(&P256, json!({"alg": "ES256", "kid": "p256"}), claims)
}

fn why(text: &str) -> Option<No> {
    judged(text, &rules(), &everybody()).err()
}

#[test]
fn a_token_by_each_algorithm_passes_by_its_own_key_and_by_no_other() {
    let all: [(&str, &str, &Signer); 11] = [
        ("RS256", "rsa", &RSA),
        ("RS384", "rsa", &RSA),
        ("RS512", "rsa", &RSA),
        ("PS256", "rsa", &RSA),
        ("PS384", "rsa", &RSA),
        ("PS512", "rsa", &RSA),
        ("ES256", "p256", &P256),
        ("ES384", "p384", &P384),
        ("ES512", "p521", &P521),
        ("EdDSA", "ed", &ED),
        ("Ed25519", "ed", &ED),
    ];
    for (alg, kid, signer) in all {
        let header = json!({"alg": alg, "kid": kid});
        let it = judged(&token(signer, header, fine()), &rules(), &everybody());
        assert_eq!(it.map(|c| c.subject().map(str::to_owned)).expect(alg).as_deref(), Some("alice"));
        assert_eq!(why(&token(signer, json!({"alg": alg}), fine())), None, "{alg} without a name of a key");
        for (_, other, _) in all.iter().filter(|(_, other, _)| *other != kid) {
            let it = token(signer, json!({"alg": alg, "kid": other}), fine());
            assert_eq!(why(&it), Some(No::UnknownKey), "{alg} by {other}");
        }
        let others = Algorithm::ALL.into_iter().filter(|it| Algorithm::named(alg) != Some(*it)).collect();
        let narrow = Rules { algorithms: others, ..rules() };
        let it = token(signer, json!({"alg": alg, "kid": kid}), fine());
        assert_eq!(judged(&it, &narrow, &everybody()).err(), Some(No::Algorithm), "{alg} where it is not used");
    }
}

#[test]
fn a_token_that_is_signed_by_nobody_or_by_a_secret_does_not_pass() {
    let header = |alg: &str| b64(json!({"alg": alg, "kid": "rsa"}).to_string());
    let claims = b64(fine().to_string());
    for alg in [
        "none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "es256", "RS1", "ES256K", "A128KW", "dir",
        "EdDSA ",
    ] {
        for signature in ["", "AAAA", &b64([0; 64])] {
            let it = format!("{}.{claims}.{signature}", header(alg));
            assert_eq!(why(&it), Some(No::Algorithm), "{alg:?} {signature}");
        }
    }
    // The public key as it is written anywhere, taken for a secret.
    let signed = format!("{}.{claims}", header("HS256"));
    for secret in [RSA.jwk(None, json!({})).to_string(), RSA.jwk(None, json!({}))["n"].to_string()] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let it = format!("{signed}.{}", b64(aws_lc_rs::hmac::sign(&key, signed.as_bytes())));
        assert_eq!(why(&it), Some(No::Algorithm));
    }
    for header in [json!({"kid": "p256"}), json!({"alg": 1}), json!({"alg": null}), json!({"alg": ["ES256"]})] {
        assert_eq!(why(&token(&P256, header.clone(), fine())), Some(No::Malformed), "{header}");
    }
}

#[test]
fn a_signature_of_another_message_or_key_or_of_zeros_does_not_pass() {
    let it = es256(fine());
    let (signed, signature) = it.rsplit_once('.').expect("parts");
    for zeros in [64, 0, 63, 65, 128] {
        assert_eq!(why(&format!("{signed}.{}", b64(vec![0; zeros]))), Some(No::Signature), "{zeros}");
    }
    let (header, _) = signed.split_once('.').expect("parts");
    let other = b64(with(json!({"sub": "root"})).to_string());
    assert_eq!(why(&format!("{header}.{other}.{signature}")), Some(No::Signature));
    let stranger = Signer::Ed(aws_lc_rs::signature::Ed25519KeyPair::generate().expect("a key"));
    assert_eq!(why(&token(&stranger, json!({"alg": "EdDSA", "kid": "ed"}), fine())), Some(No::Signature));
    // One curve's signature under another's name, and PKCS#1 under PSS's.
    let mixed = token(&P256, json!({"alg": "ES384", "kid": "p384"}), fine());
    assert_eq!(why(&mixed), Some(No::Signature));
    let signed = format!("{}.{}", b64(r#"{"alg":"PS256","kid":"rsa"}"#), b64(fine().to_string()));
    let it = format!("{signed}.{}", b64(RSA.sign("RS256", signed.as_bytes())));
    assert_eq!(why(&it), Some(No::Signature));
}

#[test]
fn what_a_header_says_of_its_own_key_is_not_looked_at_and_what_must_be_understood_is_refused() {
    let stranger = Signer::Ed(aws_lc_rs::signature::Ed25519KeyPair::generate().expect("a key"));
    for more in ["jwk", "jku", "x5u", "x5c"] {
        let mut header = json!({"alg": "EdDSA", "kid": "ed"});
        header[more] =
            if more == "jwk" { stranger.jwk(Some("ed"), json!({})) } else { "https://evil.test/keys".into() };
        assert_eq!(why(&token(&stranger, header.clone(), fine())), Some(No::Signature), "{more}");
        assert_eq!(why(&token(&ED, header, fine())), None, "{more} of an honest token");
    }
    for header in [
        json!({"alg": "EdDSA", "crit": ["exp"]}),
        json!({"alg": "EdDSA", "crit": ["b64"], "b64": false}),
        json!({"alg": "EdDSA", "crit": []}),
        json!({"alg": "EdDSA", "crit": null}),
        json!({"alg": "EdDSA", "b64": false}),
        json!({"alg": "EdDSA", "b64": "true"}),
    ] {
        assert_eq!(why(&token(&ED, header.clone(), fine())), Some(No::Critical), "{header}");
    }
    assert_eq!(why(&token(&ED, json!({"alg": "EdDSA", "b64": true}), fine())), None);
}

#[test]
fn a_name_of_a_key_is_a_name_and_nothing_else() {
    let long = "k".repeat(64 * 1024);
    for (kid, no) in [
        (json!("../../../../dev/null"), No::UnknownKey),
        (json!("' OR 1=1 --"), No::UnknownKey),
        (json!(""), No::UnknownKey),
        (json!("ED"), No::UnknownKey),
        (json!("k".repeat(513)), No::Malformed),
        (json!(long), No::TooLong),
        (json!(1), No::Malformed),
        (json!(null), No::Malformed),
        (json!({"kid": "ed"}), No::Malformed),
    ] {
        let it = token(&ED, json!({"alg": "EdDSA", "kid": kid}), fine());
        assert_eq!(why(&it), Some(no), "{}", &kid.to_string()[..kid.to_string().len().min(40)]);
    }
}

#[test]
fn a_token_that_names_no_key_is_tried_by_four_of_its_kind_at_most() {
    let ed = || Signer::Ed(aws_lc_rs::signature::Ed25519KeyPair::generate().expect("a key"));
    let many: Vec<Signer> = (0..5).map(|_| ed()).collect();
    let own: Vec<Value> = many.iter().map(|it| it.jwk(None, json!({}))).collect();
    let nameless = |it: &Signer| token(it, json!({"alg": "EdDSA"}), fine());
    let keys = set(&own);
    assert!(judged(&nameless(&many[3]), &rules(), &keys).is_ok());
    assert_eq!(judged(&nameless(&many[4]), &rules(), &keys).err(), Some(No::UnknownKey));
    // Keys of other kinds are none of the four.
    let mut mixed = vec![RSA.jwk(None, json!({})), P256.jwk(None, json!({})), P384.jwk(None, json!({}))];
    mixed.extend(own.into_iter().take(4));
    assert!(judged(&nameless(&many[3]), &rules(), &set(&mixed)).is_ok());
    // A key without a name is none that a token names, and two of one name are both tried.
    let named = token(&many[0], json!({"alg": "EdDSA", "kid": "a"}), fine());
    assert_eq!(judged(&named, &rules(), &keys).err(), Some(No::UnknownKey));
    let twice = set(&[many[1].jwk(Some("a"), json!({})), many[0].jwk(Some("a"), json!({}))]);
    assert!(judged(&named, &rules(), &twice).is_ok());
}

#[test]
fn a_token_has_three_parts_each_in_its_one_form() {
    let it = es256(fine());
    assert_eq!(why(&it), None);
    let parts: Vec<&str> = it.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("parts") };
    for wrong in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.into(),
        format!("{header}.{claims}"),
        format!("{it}."),
        format!(".{it}"),
        format!("{it}.{signature}"),
        format!("{it}.{claims}.{signature}"),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}=.{signature}"),
        format!("{header}.{claims}.{signature}="),
        format!("{header}.{claims}.{signature}=="),
        format!(" {it}"),
        format!("{it} "),
        format!("{it}\n"),
        format!("{header}.\n{claims}.{signature}"),
        format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")) + "+",
        format!("{}.{claims}.{signature}", b64("[]")),
        format!("{}.{claims}.{signature}", b64("null")),
        format!("{}.{claims}.{signature}", b64("")),
        format!("{header}.{}.{signature}", b64("\"text\"")),
        format!("{header}.{}.{signature}", b64("[1]")),
        format!("{header}.{}.{signature}", b64(b"\xff")),
        "\u{e9}.\u{e9}.\u{e9}".into(),
    ] {
        assert_eq!(why(&wrong), Some(No::Malformed), "{wrong}");
    }
    // The last sign of a signature has bits that mean nothing; only zeros are the one form.
    let last = signature.chars().last().expect("a sign");
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().filter(|c| *c != last) {
        let changed = format!("{header}.{claims}.{}{other}", &signature[..signature.len() - 1]);
        assert!(why(&changed).is_some(), "{other}");
    }
}

#[test]
fn what_is_said_twice_or_is_no_object_is_malformed() {
    let claims = fine().to_string();
    let doubled = |name: &str, value: &str| claims.replacen('{', &format!("{{\"{name}\":{value},"), 1);
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    for claims in [
        doubled("sub", "\"root\""),
        doubled("exp", "1"),
        doubled("iss", "\"x\""),
        doubled("\\u0073ub", "\"root\""),
        claims.replacen('{', r#"{"realm":{"a":1,"a":2},"#, 1),
        claims.clone() + "{}",
        claims.replace('}', ",}"),
        format!("{{\"a\":{}{},{}", "[".repeat(4000), "]".repeat(4000), &claims[1..]),
    ] {
        assert_eq!(why(&token_of(&ED, header, &claims)), Some(No::Malformed), "{claims:.80}");
    }
    for header in [
        r#"{"alg":"none","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","kid":"ed","kid":"rsa"}"#,
        r#"{"alg":"EdDSA","\u0061lg":"none"}"#,
        r#"{"alg":"EdDSA","enc":"A128GCM"}"#,
        r#"{"alg":"EdDSA","zip":"DEF"}"#,
        r#"{"alg":"EdDSA","typ":1}"#,
        r#"{"alg":"EdDSA","cty":1}"#,
    ] {
        assert_eq!(why(&token_of(&ED, header, &claims)), Some(No::Malformed), "{header}");
    }
}

#[test]
fn a_token_around_a_token_is_none_and_types_are_told_apart() {
    let of = |typ: Value| {
        let mut header = json!({"alg": "EdDSA", "kid": "ed"});
        if !typ.is_null() {
            header["typ"] = typ;
        }
        token(&ED, header, fine())
    };
    let passes = |kind: Kind, typ: Value| match judged(&of(typ), &Rules { kind, ..rules() }, &everybody()) {
        Ok(_) => true,
        Err(no) => {
            assert_eq!(no, No::Type);
            false
        }
    };
    let by = |typ: Value| [Kind::Either, Kind::Jwt, Kind::Access].map(|kind| passes(kind, typ.clone()));
    assert_eq!(by(json!(null)), [true, true, false]);
    for typ in ["JWT", "jwt", "application/jwt"] {
        assert_eq!(by(json!(typ)), [true, true, false], "{typ}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/at+JWT"] {
        assert_eq!(by(json!(typ)), [true, false, true], "{typ}");
    }
    for typ in ["", "JOSE", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "text/jwt", "at+jwt ", "application/"] {
        assert_eq!(by(json!(typ)), [false; 3], "{typ}");
    }
    for cty in ["JWT", "jwt", "application/jwt"] {
        assert_eq!(why(&token(&ED, json!({"alg": "EdDSA", "cty": cty}), fine())), Some(No::Type));
    }
}

#[test]
fn a_token_is_of_one_issuer_and_for_one_of_us_to_the_letter() {
    for iss in [
        json!(format!("{ISSUER}/")),
        json!("HTTPS://login.test"),
        json!("login.test"),
        json!(""),
        json!([ISSUER]),
        json!(1),
        json!(null),
    ] {
        assert_eq!(why(&es256(with(json!({"iss": iss})))), Some(No::Issuer), "{iss}");
    }
    let none = token_of(&P256, r#"{"alg":"ES256"}"#, &format!("{{\"iss\":null,{}", &fine().to_string()[1..]));
    assert_eq!(why(&none), Some(No::Malformed), "twice");
    for (aud, passes) in [
        (json!("api"), true),
        (json!("other"), true),
        (json!(["api"]), true),
        (json!(["x", "other"]), true),
        (json!("ap"), false),
        (json!("api/"), false),
        (json!("API"), false),
        (json!("api other"), false),
        (json!([]), false),
        (json!(["x"]), false),
        (json!(1), false),
        (json!({"api": 1}), false),
        (json!(true), false),
        (json!(null), false),
    ] {
        let no = if passes { None } else { Some(No::Audience) };
        assert_eq!(why(&es256(with(json!({"aud": aud})))), no, "{aud}");
    }
    assert_eq!(why(&es256(with(json!({"aud": ["api", 1]})))), Some(No::Malformed));
}

#[test]
fn a_token_is_valid_from_its_beginning_to_its_end_and_clocks_may_be_thirty_seconds_apart() {
    for (claims, no) in [
        (json!({"exp": NOW + 1}), None),
        (json!({"exp": NOW - 29}), None),
        (json!({"exp": NOW - 30}), Some(No::Expired)),
        (json!({"exp": 0}), Some(No::Expired)),
        (json!({"exp": (NOW - 29) as f64 + 0.5}), None),
        (json!({"exp": (NOW - 30) as f64 + 0.999}), Some(No::Expired)),
        (json!({"exp": null}), Some(No::NoEnd)),
        (json!({"exp": (NOW + 600).to_string()}), Some(No::Malformed)),
        (json!({"exp": -1}), Some(No::Malformed)),
        (json!({"exp": 1e300}), Some(No::Malformed)),
        (json!({"exp": 253_402_300_800_i64}), Some(No::Malformed)),
        (json!({"exp": 253_402_300_799_i64}), None),
        (json!({"exp": u64::MAX}), Some(No::Malformed)),
        (json!({"exp": true}), Some(No::Malformed)),
        (json!({"exp": [NOW + 600]}), Some(No::Malformed)),
        (json!({"nbf": NOW + 30}), None),
        (json!({"nbf": NOW + 31}), Some(No::NotYet)),
        (json!({"nbf": NOW as f64 + 30.1}), Some(No::NotYet)),
        (json!({"nbf": NOW.to_string()}), Some(No::Malformed)),
        (json!({"iat": NOW + 30}), None),
        (json!({"iat": NOW + 31}), Some(No::NotYet)),
        (json!({"iat": "now"}), Some(No::Malformed)),
        (json!({"iat": null}), None),
    ] {
        assert_eq!(why(&es256(with(claims.clone()))), no, "{claims}");
    }
    let strict = Rules { leeway_s: 0, ..rules() };
    for (claims, no) in [
        (json!({"exp": NOW + 1, "nbf": NOW}), None),
        (json!({"exp": NOW}), Some(No::Expired)),
        (json!({"nbf": NOW + 1}), Some(No::NotYet)),
    ] {
        assert_eq!(judged(&es256(with(claims.clone())), &strict, &everybody()).err(), no, "{claims}");
    }
}

#[test]
fn a_long_token_is_read_and_a_longer_one_is_not() {
    let of = |n: usize| es256(with(json!({"groups": "g".repeat(n)})));
    let most = (1..).map(|n| 11_000 + n * 100).take_while(|n| of(*n).len() <= LONGEST).last().expect("one fits");
    assert_eq!(why(&of(most)), None);
    assert_eq!(why(&of(most + 100)), Some(No::TooLong));
    assert_eq!(read(&vec![b'.'; LONGEST + 1]).err(), Some(No::TooLong));
}
