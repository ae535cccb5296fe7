//! What names a key, and that nothing else does: each piece left out, said twice, cut or broken anywhere.

use everyhop_pkcs11::{Selector, Uri};

const WHOLE: &str = "pkcs11:token=My%20edge;serial=0a;object=shop;id=%01%ff;type=private?module-path=/usr/lib/x.so&pin-source=file:/etc/pin";

fn why(text: &str) -> String {
    Uri::read(text).expect_err(text).why
}

#[test]
fn a_key_is_read_with_all_that_is_said_of_it() {
    let it = Uri::read(WHOLE).expect("a URI");
    let token = Selector { label: Some("My edge".into()), serial: Some("0a".into()), ..Selector::default() };
    assert_eq!(it.token, token);
    assert_eq!((it.object.as_deref(), it.id.as_deref()), (Some("shop"), Some(&[1, 255][..])));
    assert_eq!((it.module.as_str(), it.pin.as_deref()), ("/usr/lib/x.so", Some("file:/etc/pin")));
    let least = Uri::read("pkcs11:slot-id=7;id=%00?module-path=/m").expect("a URI");
    assert_eq!((least.token.slot, least.object, least.id, least.pin), (Some(7), None, Some(vec![0]), None));
}

#[test]
fn a_pin_is_named_by_a_path_or_as_keys_are() {
    let pin = |source: &str| {
        Uri::read(&format!("pkcs11:token=a;object=b?module-path=/m&pin-source={source}"))
            .map(|it| it.pin.unwrap_or_default())
    };
    for (source, read) in
        [("/etc/pin", "file:/etc/pin"), ("file:pin", "file:pin"), ("env:PIN", "env:PIN"), ("cred:pin", "cred:pin")]
    {
        assert_eq!(pin(source).as_deref(), Ok(read));
    }
    for source in ["|/bin/cat", "pin", "https://a/pin", "%7c/bin/cat"] {
        assert!(pin(source).is_err(), "{source}");
    }
}

#[test]
fn a_pin_that_stands_in_it_is_told_as_that_and_never_said() {
    for text in [
        "pkcs11:token=a;object=b?module-path=/m&pin-value=hunter2",
        "pkcs11:?pin-value=hunter2",
        "pkcs11:token=a?pin-value=hunter2&x",
    ] {
        let wrong = Uri::read(text).expect_err("no URI");
        assert!(!wrong.why.contains("hunter2"));
        assert_eq!(wrong.has_pin, text.starts_with("pkcs11:token=a;object"), "{text}");
    }
}

#[test]
fn what_it_leaves_open_or_says_beside_is_refused() {
    for (text, says) in [
        ("", "begin with pkcs11:"),
        ("PKCS11:token=a;object=b?module-path=/m", "begin with pkcs11:"),
        ("pkcs11:object=b?module-path=/m", "no token"),
        ("pkcs11:token=a?module-path=/m", "no key"),
        ("pkcs11:token=a;object=b", "no module"),
        ("pkcs11:token=a;object=b?module-path=m.so", "no path from /"),
        ("pkcs11:token=a;object=b?module-name=m", "by module-path"),
        ("pkcs11:token=a;token=a;object=b?module-path=/m", "twice"),
        ("pkcs11:token=a;object=b?module-path=/m&module-path=/m", "twice"),
        ("pkcs11:token=a;object=b;type=public?module-path=/m", "type is private"),
        ("pkcs11:token=a;object=b;type=private;type=private?module-path=/m", "type is private"),
        ("pkcs11:token=a;object=b;library-version=1?module-path=/m", "library-version is not looked at"),
        ("pkcs11:token=a;object=b?module-path=/m&x-more=1", "x-more is not looked at"),
        ("pkcs11:token=a;object=b;hunter 2=1?module-path=/m", "has no name"),
        ("pkcs11:token=a;object=b;?module-path=/m", "no value"),
        ("pkcs11:token=;object=b?module-path=/m", "no value"),
        ("pkcs11:token=a;object=b?", "no value"),
        ("pkcs11:slot-id=+1;object=b?module-path=/m", "no number"),
        ("pkcs11:slot-id=99999999999999999999;object=b?module-path=/m", "no number"),
        ("pkcs11:token=a b;object=b?module-path=/m", "written as %XX"),
        ("pkcs11:token=a/b;object=b?module-path=/m", "written as %XX"),
        ("pkcs11:token=a%4;object=b?module-path=/m", "hexadecimal"),
        ("pkcs11:token=a%+1;object=b?module-path=/m", "hexadecimal"),
        ("pkcs11:token=a%ff;object=b?module-path=/m", "no UTF-8"),
        ("pkcs11:token=a%0a;object=b?module-path=/m", "control character"),
        ("pkcs11:token=a;object=b?module-path=/m%00", "control character"),
    ] {
        assert!(why(text).contains(says), "{text}: {}", why(text));
    }
}

#[test]
fn one_that_is_cut_anywhere_is_another_key_or_none_and_never_one_that_says_less_than_it_names() {
    let whole = Uri::read(WHOLE).expect("a URI");
    for len in 0..WHOLE.len() {
        let cut = &WHOLE[..len];
        match Uri::read(cut) {
            // What follows is part of a path, or the PIN, without which no key is shown.
            Ok(it) => {
                assert_eq!((it.token, it.object, it.id), (whole.token.clone(), whole.object.clone(), whole.id.clone()));
                assert!(cut.contains("?module-path=/"), "{cut}");
            }
            Err(it) => assert!(it.at <= len, "{cut}"),
        }
    }
}

#[test]
fn one_byte_that_is_another_is_told_or_read_and_nothing_panics() {
    for at in 0..WHOLE.len() {
        for byte in 0..=127u8 {
            let mut other = WHOLE.as_bytes().to_vec();
            other[at] = byte;
            let text = String::from_utf8(other).expect("ASCII");
            if let Err(it) = Uri::read(&text) {
                assert!(it.at <= text.len() && !it.why.is_empty());
            }
        }
    }
}
