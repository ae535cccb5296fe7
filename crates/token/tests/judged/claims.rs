use crate::kit::{P256, fine, judged, rules, set, token, with};
use everyhop_token::{Claims, NoText, Wanted};
use serde_json::{Value, json};

fn claims(more: Value) -> Claims {
    let it = token(&P256, json!({"alg": "ES256"}), with(more));
    judged(&it, &rules(), &set(&[P256.jwk(None, json!({}))])).expect("it passes")
}

fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_claim_is_what_is_wanted_or_a_list_with_it() {
    let it = claims(json!({
        "role": "admin", "roles": ["ops", "admin", 7], "level": 3, "verified": true, "rate": 1.5,
        "realm_access": {"roles": ["admin"], "deep": {"er": "x"}}, "https://a.test/b.c": "y", "none": [], "quoted": "true", "three": "3",
    }));
    let text = |it: &str| Wanted::Text(it.into());
    for (at, wanted, has) in [
        (&["role"][..], text("admin"), true),
        (&["role"], text("adm"), false),
        (&["role"], text("Admin"), false),
        (&["role"], text("admin ops"), false),
        (&["roles"], text("admin"), true),
        (&["roles"], text("ops admin"), false),
        (&["roles"], Wanted::Whole(7), true),
        (&["roles"], text("7"), false),
        (&["level"], Wanted::Whole(3), true),
        (&["level"], text("3"), false),
        (&["three"], Wanted::Whole(3), false),
        (&["rate"], Wanted::Whole(1), false),
        (&["verified"], Wanted::Truth(true), true),
        (&["verified"], Wanted::Truth(false), false),
        (&["verified"], text("true"), false),
        (&["quoted"], Wanted::Truth(true), false),
        (&["realm_access", "roles"], text("admin"), true),
        (&["realm_access", "deep", "er"], text("x"), true),
        (&["realm_access"], text("roles"), false),
        (&["realm_access.roles"], text("admin"), false),
        (&["role", "admin"], text("admin"), false),
        (&["https://a.test/b.c"], text("y"), true),
        (&["none"], text(""), false),
        (&["absent"], text(""), false),
        (&["absent"], Wanted::Truth(false), false),
        (&[], text("admin"), false),
    ] {
        assert_eq!(it.has(&path(at), &wanted), has, "{at:?} {wanted:?}");
    }
}

#[test]
fn of_a_scope_each_word_must_be_there() {
    for (scope, wanted, has) in [
        (json!("api.read api.write"), "api.read", true),
        (json!("api.read api.write"), "api.write api.read", true),
        (json!("api.read api.write"), "api", false),
        (json!("api.read"), "api.read api.write", false),
        (json!(["api.read", "x"]), "api.read", true),
        (json!(["api.read", "x"]), "x api.read", true),
        (json!(["api.read x"]), "x", false),
        (json!(1), "1", false),
        (json!(""), "api.read", false),
    ] {
        for name in ["scope", "scp"] {
            let it = claims(json!({name: scope}));
            assert_eq!(it.has(&path(&[name]), &Wanted::Text(wanted.into())), has, "{name} {scope} {wanted}");
        }
    }
}

#[test]
fn a_claim_that_a_field_cannot_say_as_it_is_is_not_said() {
    for (value, told) in [
        (json!("alice"), Ok(Some("alice"))),
        (json!("\u{e9}va"), Ok(Some("\u{e9}va"))),
        (json!("a b"), Ok(Some("a b"))),
        (json!(7), Ok(Some("7"))),
        (json!(true), Ok(Some("true"))),
        (json!(["a", "b", 3]), Ok(Some("a, b, 3"))),
        (json!([]), Ok(None)),
        (json!("a\r\nx-admin: 1"), Err(NoText)),
        (json!("a\u{0}"), Err(NoText)),
        (json!("a\tb"), Err(NoText)),
        (json!("\u{85}"), Err(NoText)),
        (json!(""), Err(NoText)),
        (json!(" alice"), Err(NoText)),
        (json!("alice\u{a0}"), Err(NoText)),
        (json!(["a,b"]), Err(NoText)),
        (json!(["a", ["b"]]), Err(NoText)),
        (json!({"a": 1}), Err(NoText)),
    ] {
        let it = claims(json!({"it": value}));
        assert_eq!(
            it.text(&path(&["it"])).map(|t| t.map(|t| t.into_owned())),
            told.map(|t| t.map(str::to_owned)),
            "{value}"
        );
    }
    let it = claims(json!({}));
    assert_eq!(it.text(&path(&["absent"])), Ok(None));
    assert_eq!((it.subject(), it.exp_s), (Some("alice"), fine()["exp"].as_i64().expect("a number")));
    assert_eq!(claims(json!({"sub": 1})).subject(), None);
}
