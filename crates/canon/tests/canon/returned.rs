//! What a backend says of itself is turned into what its clients know, and nothing else is touched.

use everyhop_canon::onward::without;
use everyhop_canon::returned::{Guards, Known, cookie, location, path};

const KNOWN: Known<'static> =
    Known { scheme: "https", authority: "shop.test", host: "api.internal", strip: "/v1", under: "" };

fn of(value: &str, it: Known<'_>) -> Option<String> {
    location(value.as_bytes(), it, |host, port| host.is_none_or(|it| it == "10.0.1.7") && port == 8080)
}

#[test]
fn a_backend_that_names_itself_is_named_as_its_client_knows_it() {
    for (said, told) in [
        ("http://10.0.1.7:8080/x", "https://shop.test/v1/x"),
        ("https://10.0.1.7:8080/x?a=/b#c", "https://shop.test/v1/x?a=/b#c"),
        ("http://api.internal/x", "https://shop.test/v1/x"),
        ("http://API.internal.:80/x", "https://shop.test/v1/x"),
        ("https://api.internal", "https://shop.test/v1/"),
        ("http://api.internal?q", "https://shop.test/v1/?q"),
        ("http://api.internal:8080/x", "https://shop.test/v1/x"),
        ("//api.internal/x", "https://shop.test/v1/x"),
        ("http://shop.test/v1/x", "https://shop.test/v1/x"),
        ("https://shop.test/x", "https://shop.test/v1/x"),
        ("https://shop.test:8080/x", "https://shop.test/v1/x"),
        ("/x", "/v1/x"),
        ("/", "/v1/"),
        ("/v1x/?q=/v1", "/v1/v1x/?q=/v1"),
        ("//api.internal//evil.test", "https://shop.test/v1//evil.test"),
    ] {
        assert_eq!(of(said, KNOWN).as_deref(), Some(told), "{said}");
        assert_eq!(of(told, KNOWN), None, "{told} is what a client knows");
    }
}

#[test]
fn what_names_somebody_else_or_is_no_url_in_one_reading_goes_on_as_it_came() {
    for said in [
        "https://elsewhere.test/x",
        "http://10.0.1.8:8080/x",
        "http://10.0.1.7/x",
        "http://10.0.1.7:8081/x",
        "https://shop.test:9443/x",
        "http://user@10.0.1.7:8080/x",
        "http://shop.test@evil.test/",
        "//evil.test/x",
        "/v1",
        "/v1/x",
        "x/y",
        "../x",
        "?q",
        "#f",
        "",
        "/\\evil.test",
        "/a\\b",
        "\\\\evil.test",
        "mailto:a@api.internal",
        "ftp://10.0.1.7:8080/x",
        "http:/10.0.1.7:8080/x",
        "http:10.0.1.7:8080/x",
        "javascript://10.0.1.7:8080/%0aalert(1)",
        "/../x",
        "/./x",
        "/%2e%2E/x",
        "/a\tb",
    ] {
        assert_eq!(of(said, KNOWN), None, "{said}");
    }
    assert_eq!(location(b"/\xff", KNOWN, |_, _| true), None);
}

#[test]
fn who_leads_from_http_to_https_is_not_led_back() {
    let it = Known { scheme: "http", host: "shop.test", strip: "", ..KNOWN };
    assert_eq!(of("https://shop.test/x", it), None);
    assert_eq!(of("http://shop.test/x", it), None);
    assert_eq!(of("http://10.0.1.7:8080/x", it).as_deref(), Some("http://shop.test/x"));
}

#[test]
fn a_port_that_the_client_named_is_named_again() {
    let it = Known { authority: "shop.test:8443", host: "shop.test:8443", strip: "", ..KNOWN };
    assert_eq!(of("http://shop.test:8443/x", it).as_deref(), Some("https://shop.test:8443/x"));
    assert_eq!(of("http://10.0.1.7:8080/x", it).as_deref(), Some("https://shop.test:8443/x"));
    assert_eq!(of("https://shop.test/x", it), None, "another server of the same name");
}

#[test]
fn an_address_without_a_port_has_that_of_its_scheme_or_of_the_clients() {
    let at = |port: u16| move |host: Option<&str>, its: u16| host == Some("10.0.1.7") && its == port;
    for (said, scheme, port) in [
        ("http://10.0.1.7/x", "https", 80),
        ("https://10.0.1.7/x", "http", 443),
        ("//10.0.1.7/x", "http", 80),
        ("//10.0.1.7/x", "https", 443),
    ] {
        let it = Known { scheme, ..KNOWN };
        let told = format!("{scheme}://shop.test/v1/x");
        assert_eq!(location(said.as_bytes(), it, at(port)), Some(told), "{said} {scheme}");
        assert_eq!(location(said.as_bytes(), it, at(523 - port)), None, "{said} {scheme}");
    }
}

#[test]
fn a_path_comes_back_the_way_that_it_went() {
    for (said, strip, under, told) in [
        ("/internal/x", "/v1", "/internal", Some("/v1/x")),
        ("/internal", "/v1", "/internal", Some("/v1")),
        ("/internal", "", "/internal", Some("/")),
        ("/internal/", "", "/internal", Some("/")),
        ("/internals/x", "/v1", "/internal", None),
        ("/login", "/v1", "/internal", None),
        ("/internal//evil.test", "", "/internal", None),
        ("/internal/../x", "/v1", "/internal", None),
        ("/internal\\x", "/v1", "/internal", None),
        ("/x\\..\\y", "/v1", "", None),
        ("/v1/app/x", "/v1", "/v1/app", Some("/v1/x")),
        ("/x", "", "", None),
    ] {
        assert_eq!(path(said, strip, under).as_deref(), told, "{said} {strip} {under}");
    }
}

#[test]
fn whatever_path_goes_there_comes_back_or_stays() {
    let segments = ["a", "v1", "internal", "a.b", "%2F", "", "x;y", "~"];
    for (strip, under) in [("/v1", ""), ("/v1", "/internal"), ("", "/internal"), ("/v1/v1", "/v1"), ("/a", "/a/b")] {
        for one in segments {
            for two in segments {
                for three in segments {
                    let sent = format!("{strip}/{one}/{two}/{three}");
                    let Some(rest) = without(&sent, strip, under.is_empty()) else { continue };
                    let onward = format!("{under}{rest}");
                    let back = path(&onward, strip, under).unwrap_or_else(|| onward.clone());
                    let knows = under.is_empty() && onward.starts_with(&format!("{strip}/"));
                    let names = strip.is_empty() && rest.starts_with("//");
                    assert!(back == sent || knows || names, "{sent} went as {onward} and came as {back}");
                }
            }
        }
    }
}

fn guarded(value: &str, guards: Guards<'_>) -> String {
    let is_its_name = |it: &str| it.eq_ignore_ascii_case("api.internal");
    let found = cookie(value.as_bytes(), guards, |it| path(it, "/v1", ""), is_its_name);
    found.map_or_else(|| value.to_owned(), |it| String::from_utf8(it).expect("it is there"))
}

const ALL: Guards<'static> = Guards { secure: true, http_only: true, same_site: Some("Lax"), path: None };

#[test]
fn a_cookie_gets_what_it_lacks_and_keeps_what_it_has() {
    for (said, told) in [
        ("a=1", "a=1; Secure; HttpOnly; SameSite=Lax"),
        ("a=", "a=; Secure; HttpOnly; SameSite=Lax"),
        ("a=b=c; secure;HTTPONLY ; samesite=None", "a=b=c; secure;HTTPONLY ; samesite=None"),
        ("a=1; SameSite", "a=1; SameSite; Secure; HttpOnly"),
        ("a=1; Max-Age=0", "a=1; Max-Age=0; Secure; HttpOnly; SameSite=Lax"),
        ("a=secure", "a=secure; Secure; HttpOnly; SameSite=Lax"),
        (
            "a=1; secure; Secure; httponly; HttpOnly; samesite=None; SameSite=Lax",
            "a=1; secure; Secure; httponly; HttpOnly; samesite=None; SameSite=Lax",
        ),
    ] {
        assert_eq!(guarded(said, ALL), told);
        assert_eq!(guarded(told, ALL), told, "once is enough");
    }
    for odd in ["", "a", "=1", " =1", ";", "; Path=/x", "a\0=1", "a=1\n; Path=/x"] {
        assert_eq!(guarded(odd, ALL), odd, "odd ones pass untouched");
    }
    let not_text = b"a=\xff\xfe; Path=/\xff";
    let told = cookie(not_text, ALL, |_| None, |_| false).expect("it is there");
    assert_eq!(told, [&not_text[..], b"; Secure; HttpOnly; SameSite=Lax"].concat());
}

#[test]
fn the_path_of_a_cookie_comes_back_as_a_location_does_and_that_for_all_stays() {
    let none = Guards::default();
    for (said, told) in [
        ("a=1; Path=/x", "a=1; Path=/v1/x"),
        ("a=1;path = /x/ ; Secure", "a=1; Path=/v1/x/; Secure"),
        ("a=1; Path=/", "a=1; Path=/"),
        ("a=1; Path=/v1/x", "a=1; Path=/v1/x"),
        ("a=1; Path", "a=1; Path"),
        ("a=1; Path=x", "a=1; Path=x"),
        ("__Host-a=1; Path=/x; Secure", "__Host-a=1; Path=/x; Secure"),
        ("a=1; Domain=.API.internal; Path=/x", "a=1; Path=/v1/x"),
        ("a=1; Domain=elsewhere.test", "a=1; Domain=elsewhere.test"),
    ] {
        assert_eq!(guarded(said, none), told);
    }
    let back = |it: &str| path(it, "/v1;a", "");
    assert_eq!(
        cookie(b"a=1; Path=/x", none, back, |_| false),
        None,
        "what no path of a cookie can be does not become one"
    );
    let path = Guards { path: Some("/only"), ..none };
    assert_eq!(guarded("a=1", path), "a=1; Path=/only");
    assert_eq!(guarded("a=1; Path=/x; Path=/; Secure", path), "a=1; Secure; Path=/only");
    assert_eq!(guarded("__host-a=1; Path=/", path), "__host-a=1; Path=/");
}

/// Whatever bytes come, a cookie's own name and value stay, no field is ended early, and doing it twice changes no more.
#[test]
fn nothing_that_a_backend_says_breaks_out_of_its_field() {
    let alphabet: &[&[u8]] = &[
        b"a",
        b"=",
        b";",
        b" ",
        b"/",
        b"//",
        b"http://",
        b"https://",
        b"10.0.1.7:8080",
        b"api.internal",
        b"Path",
        b"\\",
        b"Secure",
        b"SameSite",
        b"Domain",
        b"\r\n",
        b"\0",
        b"\t",
        b"%2e",
        b"..",
        b"?",
        b"#",
        b"@",
        b":",
        b"\xff",
        b"/v1",
        b"shop.test",
        b"__Host-",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("it is there") % below
    };
    let is_its_name = |it: &str| it == "api.internal";
    for _ in 0..20_000 {
        let value: Vec<u8> = (0..next(9)).flat_map(|_| alphabet[next(alphabet.len())].to_vec()).collect();
        let guards = Guards { path: Some("/p").filter(|_| next(3) == 0), ..ALL };
        let shown = String::from_utf8_lossy(&value).into_owned();
        if let Some(told) = cookie(&value, guards, |it| path(it, "/v1", ""), is_its_name) {
            assert!(!told.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{shown}");
            let pair = |it: &[u8]| it.split(|b| *b == b';').next().expect("it is there").to_vec();
            assert_eq!(pair(&told), pair(&value), "{shown}");
            let is_secure = |part: &[u8]| part.trim_ascii().to_ascii_lowercase().starts_with(b"secure");
            assert!(told.split(|b| *b == b';').any(is_secure), "{shown}");
        }
        let is_backend = |host: Option<&str>, port| host.is_none_or(|it| it == "10.0.1.7") && port == 8080;
        if let Some(told) = location(&value, KNOWN, is_backend) {
            assert!(!told.bytes().any(|b| b.is_ascii_control() || b == b'\\'), "{shown}");
            // It leads to nobody but whom the client asked.
            assert!(
                told.starts_with("https://shop.test/") || (told.starts_with('/') && !told.starts_with("//")),
                "{shown}"
            );
        }
    }
}
