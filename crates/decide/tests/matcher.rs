//! The matcher on the golden plan, and on many routes; and one rule for names on both sides of it.

use everyhop_decide::{
    Answer, Ask, At, Denied, HelloRefusal, Matcher, NoHeaders, Outcome, Plain, Refused, Verdict, Who, apart, named,
};
use everyhop_plan::{PathMatch, Plan, Way};

fn golden() -> Plan {
    let text = include_str!("../../../schema/golden/everything.json");
    everyhop_plan::read(text.trim_end()).expect("the golden plan")
}

fn route(plan: &Plan, name: &str) -> usize {
    plan.routes.iter().position(|r| r.name == name).expect("a route of that name")
}

#[test]
fn a_hello_is_judged_by_its_name_alone() {
    let plan = golden();
    let matcher = Matcher::build(&plan).expect("tables");
    assert_eq!(matcher.hello("public", Some("pay.example.com")), Verdict::Splice(route(&plan, "payments")));
    assert_eq!(matcher.hello("public", Some("api.example.com")), Verdict::Terminate(0));
    // The golden listener answers for the unnamed; one that is not in the plan refuses.
    assert_eq!(matcher.hello("public", None), Verdict::Terminate(0));
    assert_eq!(matcher.hello("public", Some("x.example.com")), Verdict::Splice(route(&plan, "payments")));
    assert_eq!(matcher.hello("other", None), Verdict::Refuse(HelloRefusal::NoSni));
    assert_eq!(matcher.hello("other", Some("x.example.com")), Verdict::Refuse(HelloRefusal::UnknownSni));
}

#[test]
fn a_stream_is_chosen_by_the_name_of_the_hello_and_without_one_only_where_there_is_one() {
    let mut plan = golden();
    let broker = route(&plan, "broker");
    let site = plan.sites.iter().position(|s| s.protocol == everyhop_plan::Protocol::Tcp).expect("a site of streams");
    let matcher = Matcher::build(&plan).expect("tables");
    let name = plan.routes[broker].hosts[0].clone();
    assert!(broker > 1 && matcher.is_streaming(site));
    assert_eq!(matcher.hello("public", Some(&name)), Verdict::Terminate(site));
    assert_eq!(matcher.stream("public", site, Some(&name)), Some(broker));
    assert_eq!(matcher.stream("public", site, None), Some(broker), "it can be meant for nobody else");
    assert_eq!(
        matcher.stream("public", site, Some("api.example.com")),
        Some(broker),
        "as can what no stream has a name for"
    );
    assert_eq!(matcher.stream("public", 0, Some(&name)), None, "of another site");

    let mut other = plan.routes[broker].clone();
    other.name = "other".into();
    other.hosts = vec!["other.example.com".into()];
    plan.routes.push(other);
    plan.sites[site].hosts.extend(["other.example.com".into(), "idle.example.com".into()]);
    let matcher = Matcher::build(&plan).expect("tables");
    for (sni, found) in [
        (Some(name.as_str()), Some(broker)),
        (Some("other.example.com"), Some(route(&plan, "other"))),
        (None, None),
        (Some("api.example.com"), None),
    ] {
        assert_eq!(matcher.stream("public", site, sni), found, "{sni:?}");
    }
    let nobody = Verdict::Refuse(HelloRefusal::UnknownSni);
    assert_eq!(matcher.hello("public", Some("idle.example.com")), nobody, "a name of the site that leads nowhere");
}

#[test]
fn a_stream_passes_for_whom_its_route_takes_and_nobody_else() {
    let mut plan = golden();
    let broker = route(&plan, "broker");
    let site = plan.sites.iter().position(|s| s.protocol == everyhop_plan::Protocol::Tcp).expect("a site of streams");
    let name = plan.routes[broker].hosts[0].clone();
    let Way::AtEdge { allow_clients, .. } = &mut plan.routes[broker].way else { panic!("it ends TLS") };
    *allow_clients = Some(vec!["dns:one".to_owned()]);
    plan.sites[site].hosts.push("idle.example.com".into());
    let matcher = Matcher::build(&plan).expect("tables");
    let (one, two) = (["dns:one".to_owned()], ["dns:two".to_owned()]);
    let sni = Some(name.as_str());
    assert_eq!(matcher.admit_stream("public", site, Who::proved(&one, At::Anywhere), sni), Ok(broker));
    for nobody in [&two[..], &[]] {
        let refused = Refused { route: Some(broker), why: Denied::ClientNotAllowed };
        assert_eq!(matcher.admit_stream("public", site, Who::proved(nobody, At::Anywhere), sni), Err(refused));
    }
    let none = Refused { route: None, why: Denied::NotFound };
    assert_eq!(matcher.admit_stream("public", 0, Who::proved(&one, At::Anywhere), sni), Err(none), "of another site");
    assert_eq!(
        matcher.admit_stream("public", site, Who::proved(&one, At::Anywhere), Some("idle.example.com")),
        Err(none)
    );
}

#[test]
fn what_comes_in_the_clear_is_sent_to_https_where_the_name_is_ours_and_http_is_behind_it() {
    let mut plan = golden();
    plan.sites.iter_mut().for_each(|site| site.listeners = None);
    plan.routes.iter_mut().for_each(|route| route.listeners = None);
    let matcher = Matcher::build(&plan).expect("tables");
    assert!(matcher.is_plain("web") && !matcher.is_plain("public") && !matcher.is_plain("other"));
    let challenge = "/.well-known/acme-challenge";
    for (host, path, what, slug) in [
        ("shop.example.com", "/x", Plain::Redirect, "plain/redirected"),
        ("pay.example.com", "/", Plain::Redirect, "plain/redirected"),
        ("shop.example.com", challenge, Plain::Challenge, "plain/no-challenge"),
        ("mq.example.com", "/.well-known/acme-challenge/x", Plain::Challenge, "plain/no-challenge"),
        ("shop.example.com", "/.well-known/acme-challenges", Plain::Redirect, "plain/redirected"),
        ("mq.example.com", "/", Plain::Unknown, "plain/unknown-host"),
        ("nobody.example.com", challenge, Plain::Unknown, "plain/unknown-host"),
    ] {
        assert_eq!((matcher.plain("web", host, path), what.slug()), (what, slug), "{host}{path}");
        let ask = Ask { host, path, sent: path, method: "GET", headers: &NoHeaders };
        assert_eq!(matcher.judge("web", None, Who::ANYBODY, &ask, None), Outcome::Plain { what });
    }
}

#[test]
fn what_comes_in_the_clear_to_a_listener_that_serves_is_judged_inside_the_site_that_it_names() {
    let mut plan = golden();
    plan.sites.iter_mut().for_each(|site| site.listeners = None);
    plan.routes.iter_mut().for_each(|route| route.listeners = None);
    let matcher = Matcher::build(&plan).expect("tables");
    assert!(matcher.is_plain("inner") && matcher.serves_plain("inner") && !matcher.serves_plain("web"));
    let judged = |host: &str, path: &str, who: Who<'_>| {
        matcher.judge("inner", None, who, &Ask { host, path, sent: path, method: "GET", headers: &NoHeaders }, None)
    };
    let shop = plan.sites.iter().position(|s| s.name == "shop").expect("the site");
    let found = Outcome::Pass { site: shop, route: route(&plan, "wiki") };
    assert_eq!(judged("wiki.example.com", "/x", Who::proved(&[], At::Anywhere)), found);
    // Whoever the question says it is: nobody proves anything without a handshake.
    let caller = ["spiffe://example.com/caller".to_owned()];
    let old = Ask {
        host: "api.example.com",
        path: "/old",
        sent: "/old",
        method: "GET",
        headers: &vec![("x-tenant".to_owned(), "red".to_owned())],
    };
    let why = Denied::ClientNotAllowed;
    let refused = Outcome::Deny { site: shop, route: Some(route(&plan, "old")), why };
    assert_eq!(matcher.judge("inner", None, Who::proved(&caller, At::Anywhere), &old, None), refused);
    assert_eq!(
        judged("shop.example.com", "/nothing", Who::ANYBODY),
        Outcome::Pass { site: shop, route: route(&plan, "shop") }
    );
    // What is passed through or not read owns its names, and is not there; nor is a challenge anybody's but its route's.
    for host in ["pay.example.com", "mq.example.com", "nobody.example.com"] {
        assert_eq!(judged(host, "/", Who::ANYBODY), Outcome::Plain { what: Plain::Unknown }, "{host}");
        assert_eq!(matcher.named_site("inner", host), None);
    }
    let challenge = "/.well-known/acme-challenge/x";
    assert_eq!(judged("wiki.example.com", challenge, Who::ANYBODY), found);
}

#[test]
fn what_is_carried_unread_is_told_apart_without_a_method_unless_a_plan_reads_it() {
    let old = golden();
    let broker = route(&old, "broker");
    let name = old.routes[broker].hosts[0].clone();
    let methods = |new: &Plan| {
        let [was, now] = [&old, new].map(|plan| Matcher::build(plan).expect("tables"));
        let told = apart(&was, &now).into_iter().filter(|it| it.host == name);
        told.map(|it| it.method).collect::<std::collections::BTreeSet<_>>()
    };
    let mut passed = old.clone();
    let pay = route(&old, "payments");
    passed.sites.retain(|s| s.protocol != everyhop_plan::Protocol::Tcp);
    passed.routes[broker].way = old.routes[pay].way.clone();
    assert_eq!(methods(&passed).into_iter().collect::<Vec<_>>(), [""], "neither reads it");
    let mut read = old.clone();
    read.sites.retain(|s| s.protocol != everyhop_plan::Protocol::Tcp);
    read.sites[0].hosts.push(name.clone());
    let api = route(&old, "wiki");
    read.routes[broker].way = old.routes[api].way.clone();
    assert!(methods(&read).contains("GET") && !methods(&read).contains(""), "one of them does");
}

#[test]
fn what_is_served_in_the_clear_is_told_apart_from_what_went_on_from_there_before_which_may_be_nothing() {
    let golden = golden();
    let inner = golden.listeners.iter().position(|l| l.name == "inner").expect("the listener");
    let mut gone = golden.clone();
    gone.listeners.remove(inner);
    gone.sites.retain(|s| s.name != "inner");
    gone.routes.retain(|r| r.name != "inner");
    let mut tls = golden.clone();
    tls.listeners[inner].speaks = tls.listeners[0].speaks.clone();
    let [served, gone, tls] = [&golden, &gone, &tls].map(|plan| Matcher::build(plan).expect("tables"));
    let outcomes = |old: &Matcher, new: &Matcher| {
        let told = apart(old, new).into_iter().filter(|it| it.listener == "inner");
        told.map(|it| (it.old, it.new)).unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let nothing = Outcome::Refuse { why: HelloRefusal::UnknownSni };
    let ((before, now), (was, after)) = (outcomes(&gone, &served), outcomes(&served, &gone));
    for (of_none, of_some) in [(before, now), (after, was)] {
        assert!(of_none.iter().all(|it| *it == nothing), "nothing went on from there: {of_none:?}");
        assert!(of_some.iter().any(|it| matches!(it, Outcome::Pass { .. })), "{of_some:?}");
    }
    let in_the_clear = |old: &Matcher, new: &Matcher| {
        let told = named(old, new).into_iter().filter(|it| it.is_plain);
        told.map(|it| it.pattern).collect::<std::collections::BTreeSet<_>>()
    };
    for (old, new) in [(&tls, &served), (&served, &tls), (&gone, &served), (&served, &gone), (&served, &served)] {
        assert!(in_the_clear(old, new).contains("wiki.example.com"));
    }
    assert!(in_the_clear(&gone, &gone).is_empty() && in_the_clear(&tls, &tls).is_empty());
    // What is only passed through owns its name there, and is not served.
    let pay = named(&served, &served).into_iter().find(|it| it.is_plain && it.pattern == "pay.example.com");
    let refused = Verdict::Refuse(HelloRefusal::UnknownSni);
    assert_eq!(pay.map(|it| (it.old, it.new)), Some((refused, refused)));
    // What begins to be reached by a listener of TLS was reached there by whoever came to any other.
    let (before, _) = outcomes(&gone, &tls);
    assert!(before.iter().any(|it| matches!(it, Outcome::Pass { .. })), "{before:?}");
}

fn ambiguous(plan: &Plan, own: &str, other: &str) -> Answer {
    Answer::Ambiguous { route: route(plan, own), other: Some(route(plan, other)) }
}

#[test]
fn a_request_finds_the_most_specific_route_of_its_host() {
    let plan = golden();
    let matcher = Matcher::build(&plan).expect("tables");
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let canary = || field("cookie", "a=b; canary=1");
    let tenant = vec![field("x-tenant", "blue"), canary()];
    let two = vec![field("x-tenant", "blue"), field("x-tenant", "red"), canary()];
    let crumbs = vec![field("x-tenant", "blue"), canary(), field("cookie", "canary=2")];
    let none: Vec<(String, String)> = Vec::new();
    for (host, path, method, headers, answer) in [
        ("api.example.com", "/v1", "GET", &none, Answer::Route(route(&plan, "api"))),
        ("api.example.com", "/v1/x", "GET", &none, Answer::Route(route(&plan, "api"))),
        ("api.example.com", "/v1x", "GET", &none, Answer::NotFound),
        ("api.example.com", "/v1x/y/z", "GET", &none, Answer::NotFound),
        ("api.example.com", "/v1/x/y/z//", "GET", &none, Answer::Route(route(&plan, "api"))),
        ("wiki.example.com", "*", "OPTIONS", &none, Answer::NotFound),
        ("api.example.com", "/pkg.Service/Call", "POST", &tenant, Answer::Route(route(&plan, "grpc"))),
        ("api.example.com", "/pkg.Service/Call", "GET", &tenant, Answer::NotFound),
        // R01: what a lenient backend would read as a path of another route.
        ("wiki.example.com", "/Local/x", "GET", &none, ambiguous(&plan, "wiki", "local")),
        ("wiki.example.com", "/local;v=1/x", "GET", &none, ambiguous(&plan, "wiki", "local")),
        ("wiki.example.com", "/x/..%3B/local/x", "GET", &none, ambiguous(&plan, "wiki", "local")),
        ("wiki.example.com", "/local/..%3B/x", "GET", &none, ambiguous(&plan, "local", "wiki")),
        ("wiki.example.com", "/local/X;v=1", "GET", &none, Answer::Route(route(&plan, "local"))),
        ("wiki.example.com", "/X/caf%C3%A9", "GET", &none, Answer::Route(route(&plan, "wiki"))),
        // R03: every value of a field is judged.
        ("api.example.com", "/pkg.Service/Call", "POST", &two, Answer::NotFound),
        ("api.example.com", "/pkg.Service/Call", "POST", &crumbs, Answer::NotFound),
        ("wiki.example.com", "/local/x", "GET", &none, Answer::Route(route(&plan, "local"))),
        ("wiki.example.com", "/", "GET", &none, Answer::Route(route(&plan, "wiki"))),
        ("pay.example.com", "/", "GET", &none, Answer::Misdirected),
        ("nobody.example.com", "/", "GET", &none, Answer::Misdirected),
    ] {
        let ask = Ask { host, path, sent: path, method, headers };
        assert_eq!(matcher.ask("public", 0, &ask), answer, "{method} {host}{path}");
    }
    let ask = Ask { host: "wiki.example.com", path: "/local/x", sent: "/local/x", method: "GET", headers: &NoHeaders };
    let lost = matcher.lost(&plan, "", &ask, Some(route(&plan, "local")));
    assert_eq!(lost.first().map(|l| l.route), Some(route(&plan, "wiki")), "{:?}", lost.first().map(|l| &l.why));
}

#[test]
fn capitals_that_the_configuration_tells_apart_are_told_apart() {
    let mut plan = golden();
    let model = plan.routes.iter().find(|r| r.name == "wiki").expect("a route").clone();
    for (name, at) in [
        ("lower", PathMatch::Prefix { path: "/docs".into() }),
        ("upper", PathMatch::Prefix { path: "/Docs".into() }),
        ("one", PathMatch::Exact { path: "/Health;v=1".into() }),
    ] {
        let mut route = model.clone();
        route.name = name.into();
        if let Way::AtEdge { path, .. } = &mut route.way {
            *path = at;
        }
        plan.routes.push(route);
    }
    let matcher = Matcher::build(&plan).expect("tables");
    for (path, answer) in [
        ("/docs/x", Answer::Route(route(&plan, "lower"))),
        ("/Docs/x", Answer::Route(route(&plan, "upper"))),
        ("/DOCS/x", ambiguous(&plan, "wiki", "lower")),
        ("/Health;v=1", Answer::Route(route(&plan, "one"))),
        ("/Health;v=2", ambiguous(&plan, "wiki", "one")),
        ("/health", ambiguous(&plan, "wiki", "one")),
        ("/healthy", Answer::Route(route(&plan, "wiki"))),
    ] {
        let ask = Ask { host: "wiki.example.com", path, sent: path, method: "GET", headers: &NoHeaders };
        assert_eq!(matcher.ask("", 0, &ask), answer, "{path}");
    }
}

#[test]
fn a_thousand_routes_each_find_their_own() {
    let mut plan = golden();
    let model = plan.routes.iter().find(|r| r.name == "wiki").expect("a route").clone();
    for i in 0..1000 {
        let mut route = model.clone();
        route.name = format!("r{i}");
        if let Way::AtEdge { path, .. } = &mut route.way {
            *path = PathMatch::Prefix { path: format!("/p{i}/deep") };
        }
        plan.routes.push(route);
    }
    let matcher = Matcher::build(&plan).expect("tables");
    for i in 0..1000 {
        let path = format!("/p{i}/deep/er");
        let ask = Ask { host: "wiki.example.com", path: &path, sent: &path, method: "GET", headers: &NoHeaders };
        assert_eq!(matcher.ask("", 0, &ask), Answer::Route(route(&plan, &format!("r{i}"))));
    }
}

/// T04: what a hello's name is compared as is what a request's host is compared as.
#[test]
fn names_have_one_form_on_both_sides() {
    for text in [
        "Shop.Example.COM.",
        "a_b.c",
        "a..b",
        "-a.b",
        "a-.b",
        "1.2.3",
        "a.1",
        "x",
        "",
        ".",
        "a b",
        "xn--bcher-kva.example",
    ] {
        let of_hello = everyhop_hello::host_name(text.as_bytes());
        let of_request = everyhop_canon::host::host(text.as_bytes()).ok();
        assert_eq!(of_hello, of_request, "{text:?}");
    }
}
