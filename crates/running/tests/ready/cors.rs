//! Which pages of other origins are told that they may read, and what their browsers are told.

use everyhop_plan::Cors;
use everyhop_running::cors::CorsRun;

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

fn of(origins: &[&str]) -> Cors {
    let (methods, headers, expose) = (Vec::new(), Vec::new(), Vec::new());
    Cors { origins: words(origins), methods, headers, expose, max_age_s: 600, credentials: false }
}

#[test]
fn an_origin_is_taken_as_browsers_write_it_and_no_other_passes_for_it() {
    let it = CorsRun::of(&of(&["https://app.test", "http://localhost:3000"]));
    for origin in ["https://app.test", "http://localhost:3000"] {
        assert!(it.takes(origin.as_bytes()), "{origin}");
    }
    for origin in
        ["https://app.test.evil.test", "https://app.test:443", "http://app.test", "https://APP.test", "null", ""]
    {
        assert!(!it.takes(origin.as_bytes()), "{origin}");
    }
    assert!(!it.anybody);
}

#[test]
fn of_names_below_a_host_each_is_taken_and_neither_the_host_nor_what_only_ends_like_one() {
    let it = CorsRun::of(&of(&["https://*.app.test:8443"]));
    for origin in ["https://a.app.test:8443", "https://a-1.b_2.app.test:8443"] {
        assert!(it.takes(origin.as_bytes()), "{origin}");
    }
    for origin in [
        "https://app.test:8443",
        "https://.app.test:8443",
        "https://a..app.test:8443",
        "https://.a.app.test:8443",
        "https://evilapp.test:8443",
        "https://evil.test/.app.test:8443",
        "https://evil.test#.app.test:8443",
        "https://u@a.app.test:8443",
        "https://a:1.app.test:8443",
        "https://A.app.test:8443",
        "https://\u{e9}.app.test:8443",
        "https://a.app.test",
        "http://a.app.test:8443",
        "a.app.test:8443",
    ] {
        assert!(!it.takes(origin.as_bytes()), "{origin}");
    }
}

#[test]
fn everybody_is_taken_by_a_star_alone() {
    let it = CorsRun::of(&of(&["https://app.test", "*"]));
    assert!(it.anybody && it.takes(b"https://app.test") && it.takes(b"null") && it.takes(b""));
}

#[test]
fn browsers_are_told_what_is_listed_and_nothing_of_what_is_not() {
    let silent = CorsRun::of(&of(&["*"]));
    assert_eq!(silent.preflight, [("access-control-max-age", "600".to_owned())]);
    assert_eq!(silent.always, []);
    let all = Cors {
        methods: words(&["GET", "PUT"]),
        headers: words(&["x-a", "x-b"]),
        expose: words(&["x-c", "x-d"]),
        credentials: true,
        ..of(&["https://app.test"])
    };
    let it = CorsRun::of(&all);
    let credentials = ("access-control-allow-credentials", "true".to_owned());
    assert_eq!(
        it.preflight,
        [
            ("access-control-allow-methods", "GET, PUT".to_owned()),
            ("access-control-allow-headers", "x-a, x-b".to_owned()),
            ("access-control-max-age", "600".to_owned()),
            credentials.clone(),
        ]
    );
    assert_eq!(it.always, [("access-control-expose-headers", "x-c, x-d".to_owned()), credentials]);
}
