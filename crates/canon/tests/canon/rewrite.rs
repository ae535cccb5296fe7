//! A path is rewritten as its expression says, whatever comes out is a path within the root, and what cannot be is no rewrite.

use everyhop_canon::path::BadPath;
use everyhop_canon::rewrite::{NoRewrite, Rewrite};

fn of(regex: &str, to: &str, path: &str) -> Result<Option<String>, BadPath> {
    let mut out = String::new();
    let fits = Rewrite::of(regex, to).expect("a rewrite").apply(path, false, &mut out)?;
    Ok(fits.then_some(out))
}

fn why(regex: &str, to: &str) -> String {
    Rewrite::of(regex, to).expect_err("no rewrite").to_string()
}

#[test]
fn a_path_that_the_whole_expression_fits_becomes_what_its_groups_say() {
    for (regex, to, path, made) in [
        ("/users/(?<id>[0-9]+)(?<rest>/.*)?", "/u/{id}{rest}", "/users/7/posts", Some("/u/7/posts")),
        ("/users/(?<id>[0-9]+)(?<rest>/.*)?", "/u/{id}{rest}", "/users/7", Some("/u/7")),
        ("/users/(?P<id>\\d+)", "/u/{id}", "/users/7", Some("/u/7")),
        ("/users/(?<id>[0-9]+)", "/u/{id}", "/users/7/posts", None),
        ("/users/(?<id>[0-9]+)", "/u/{id}", "/x/users/7", None),
        ("^/(?<a>[^/]+)/(?<b>[^/]+)$", "/{b}/{a}/{b}", "/one/two", Some("/two/one/two")),
        ("/(?<name>[a-z-]+)\\.(?<hash>[0-9a-f]+)\\.js", "/{name}.js", "/app.9f3c.js", Some("/app.js")),
        ("(?i)/OLD(?<rest>/.*)", "/new{rest}", "/old/a%2Fb", Some("/new/a%2Fb")),
        ("/a|/a/b", "/fits", "/a/b", Some("/fits")),
        ("/x", "/{{x}}", "/x", Some("/{x}")),
        ("(?s)(?<all>.*)", "/v2{all}", "/", Some("/v2/")),
        ("/caf%C3%A9/(?<rest>.*)", "/cafe/{rest}", "/caf%C3%A9/x", Some("/cafe/x")),
    ] {
        assert_eq!(of(regex, to, path), Ok(made.map(str::to_owned)), "{regex} {path}");
    }
}

#[test]
fn what_comes_out_never_leaves_the_root_nor_names_a_server_nor_is_no_path() {
    for (regex, to, path) in [
        ("/old/(?<rest>.*)", "/{rest}", "/old//evil.test/x"),
        ("/old/(?<rest>.*)", "/{rest}", "/old/%2Fevil.test"),
        ("/old/(?<rest>.*)", "/{rest}", "/old/%5Cevil.test"),
        ("/old/(?<rest>.*)", "/{rest}", "/old/;a//evil.test"),
        ("/old/(?<rest>.*)", "/{rest}", "/old/../x"),
        ("/old/(?<rest>.*)", "/{rest}", "/old/..;/x"),
        ("/(?<a>[^/]*)/(?<b>.*)", "/{a}{b}", "/././x"),
        ("/(?<a>[^4]*)4(?<b>.*)", "/{a}{b}", "/%41"),
        ("/(?<a>%)2(?<b>.*)", "/{a}{b}", "/%200a"),
    ] {
        let mut out = String::new();
        let made = Rewrite::of(regex, to).expect("a rewrite").apply(path, false, &mut out);
        assert!(made.is_err(), "{regex} {path}: {made:?} {out}");
    }
}

#[test]
fn what_is_read_in_two_ways_goes_on_only_where_paths_need_not_be_strict() {
    let it = Rewrite::of("/old/(?<rest>.*)", "/new/{rest}").expect("a rewrite");
    for path in ["/old/a//b", "/old/a%2Fb", "/old/a/./b"] {
        assert_eq!(it.apply(path, false, &mut String::new()), Ok(true), "{path}");
        assert!(it.apply(path, true, &mut String::new()).is_err(), "{path}");
    }
}

#[test]
fn an_expression_that_is_none_says_why() {
    for (regex, said) in [
        ("/(?<a>x", "unclosed group"),
        ("/(?<a>x)(?<a>y)", "duplicate capture group name"),
        ("/[z-a]", "invalid character class range"),
        ("/(?=x)", "look-around"),
        (r"/(?<a>x)\1", "backreferences are not supported"),
        ("/caf\u{e9}", "beyond ASCII"),
        ("/a)|(?:b", "unopened group"),
        ("/((a{99}){99}){99}", "when it is compiled"),
    ] {
        let no = Rewrite::of(regex, "/x").expect_err(regex);
        assert!(no.is_of_regex() && no.to_string().contains(said), "{regex}: {no}");
        assert!(!no.to_string().contains('\n'), "{no}");
    }
    let long = |len: usize| Rewrite::of(&format!("/{}", "x".repeat(len - 1)), "/x").err();
    assert_eq!(long(1024), None);
    assert_eq!(long(1025), Some(NoRewrite::Regex("it is longer than 1024 bytes".into())));
}

#[test]
fn what_is_to_come_of_it_begins_with_a_slash_stays_in_the_root_and_names_groups_that_are_there() {
    let regex = "/(?<a>[^/]*)/(?<b>.*)";
    for (to, said) in [
        ("{a}/{b}", "does not begin with a slash"),
        ("x/{a}", "does not begin with a slash"),
        ("", "does not begin with a slash"),
        ("/../{a}", "leave the root"),
        ("/..{a}", "leave the root"),
        ("/{a}/../../{b}", "leave the root"),
        ("//{a}", "one form"),
        ("/a%2F{b}", "one form"),
        ("/a?b={b}", "one form"),
        ("/a b/{b}", "one form"),
        ("/%4{a}", "one form"),
        ("/{a", "a brace stands alone"),
        ("/a}", "a brace stands alone"),
    ] {
        let no = Rewrite::of(regex, to).expect_err(to);
        assert!(!no.is_of_regex() && no.to_string().contains(said), "{to}: {no}");
    }
    assert_eq!(why(regex, "/{c}"), "{c} is no group of the expression, which has {a}, {b}");
    assert_eq!(why("/x", "/{1}"), "{1} is no group of the expression, which names none");
    assert!(matches!(Rewrite::of(regex, "/{}"), Err(NoRewrite::Group(name, _)) if name.is_empty()));
}

#[test]
fn a_hostile_path_takes_no_longer_than_it_is_long() {
    // What backtracks takes longer than anybody waits for this.
    let it = Rewrite::of("/(?<a>(x+x+)+)y", "/{a}").expect("a rewrite");
    let path = format!("/{}", "x".repeat(8000));
    assert_eq!(it.apply(&path, false, &mut String::new()), Ok(false));
}
