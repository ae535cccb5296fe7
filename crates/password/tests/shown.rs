//! What Authorization shows, in one form and no other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everyhop_password::{LONGEST, NotShown, shown};

fn of(value: impl AsRef<[u8]>) -> Result<(String, String), NotShown> {
    let it = shown(value.as_ref())?;
    Ok((it.name().to_owned(), String::from_utf8(it.password().to_vec()).expect("text")))
}

fn basic(text: impl AsRef<[u8]>) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn pair(name: &str, password: &str) -> Result<(String, String), NotShown> {
    Ok((name.to_owned(), password.to_owned()))
}

#[test]
fn a_name_ends_at_the_first_colon_and_both_may_be_any_text() {
    for (text, name, password) in [
        ("Aladdin:open sesame", "Aladdin", "open sesame"),
        ("test:123\u{a3}", "test", "123\u{a3}"),
        ("a:b:c", "a", "b:c"),
        (":", "", ""),
        ("a:", "a", ""),
        (":b", "", "b"),
        ("\u{30a2}:\u{1f511}", "\u{30a2}", "\u{1f511}"),
    ] {
        assert_eq!(of(basic(text)), pair(name, password), "{text:?}");
    }
    // RFC 7617 §2 and §2.1.
    assert_eq!(of("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
    assert_eq!(of("Basic dGVzdDoxMjPCow=="), pair("test", "123\u{a3}"));
}

#[test]
fn a_scheme_has_no_case_and_may_stand_apart() {
    for scheme in ["basic", "BASIC", "bAsIc"] {
        assert_eq!(of(format!("{scheme} QTpC")), pair("A", "B"));
        assert_eq!(of(format!("{scheme}   QTpC ")), pair("A", "B"));
    }
}

#[test]
fn what_is_of_another_scheme_shows_nothing() {
    for value in ["", "Basic", "Basic ", "Basic   ", "Bearer QTpC", "BasicQTpC", "Basi QTpC", "Basic\tQTpC", "Digest x"]
    {
        assert_eq!(of(value), Err(NotShown::Otherwise), "{value:?}");
    }
}

#[test]
fn what_is_not_in_its_one_form_is_malformed() {
    for value in [
        "Basic !!!!",
        "Basic QTp",
        "Basic QTpC=",
        "Basic QTpD QTpC",
        "Basic QTpCRA",
        "Basic QTpCRB==",
        "Basic QTpC,",
        "Basic realm=x",
        "Basic \u{e4}",
    ] {
        assert_eq!(of(value), Err(NotShown::Malformed), "{value:?}");
    }
    for text in [&b"no colon"[..], b"", b"a:\xff", b"\xff:a", b"a:b\0", b"a\n:b", b"a:\x7f", "a:\u{85}".as_bytes()] {
        let value = basic(text);
        assert!(of(&value).is_err(), "{value:?}");
    }
}

#[test]
fn there_is_a_bound() {
    let longest = "a".repeat(LONGEST / 4 * 3 - 2);
    assert_eq!(of(basic(format!("n:{longest}"))), pair("n", &longest));
    assert_eq!(of(basic(format!("n:{longest}a"))), Err(NotShown::Malformed));
}

#[test]
fn a_value_that_is_cut_at_any_byte_shows_nothing_that_is_longer() {
    let value = basic("alice:correct horse");
    for end in 0..value.len() {
        if let Ok((name, password)) = of(&value[..end]) {
            assert!(name == "alice" && "correct horse".starts_with(&password) && password != "correct horse", "{end}");
        }
    }
}
