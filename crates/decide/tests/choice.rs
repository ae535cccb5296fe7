//! Which of several routes gets a request, each rule alone against the next one; who owns a name; and what is said of those
//! that did not get it.

use everyhop_decide::{
    Answer, Ask, At, Denied, Headers, HelloRefusal, Matcher, NoHeaders, Outcome, Proof, Refused, Unmatchable, Verdict,
    Who, apart, meeting, named,
};
use everyhop_plan::{HeaderMatch, MatchOf, PathMatch, Paths, Plan, Route, Target, Unnamed, Way};

type Fields = Vec<(String, String)>;

/// The golden plan's site for `a.test` and `*.w.test`, without its routes.
fn plan(routes: Vec<Route>) -> Plan {
    let mut plan = golden();
    plan.sites.truncate(1);
    plan.sites[0].hosts = vec!["a.test".into(), "*.w.test".into()];
    plan.routes = routes;
    plan.listeners.clear();
    plan
}

fn golden() -> Plan {
    everyhop_plan::read(include_str!("../../../schema/golden/everything.json").trim_end()).expect("the golden plan")
}

struct Made(Route);

fn route(name: &str, at: PathMatch) -> Made {
    let mut it = golden().routes.into_iter().find(|r| r.name == "wiki").expect("a route");
    (it.name, it.hosts, it.priority) = (name.into(), vec!["a.test".into()], 0);
    if let Way::AtEdge { path, methods, headers, allow_clients, upgrades, .. } = &mut it.way {
        (*path, *allow_clients) = (at, None);
        upgrades.clear();
        methods.clear();
        headers.clear();
    }
    Made(it)
}

fn any(name: &str) -> Made {
    route(name, PathMatch::Any {})
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact { path: path.into() }
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix { path: path.into() }
}

impl Made {
    fn methods(mut self, all: &[&str]) -> Made {
        let Way::AtEdge { methods, .. } = &mut self.0.way else { unreachable!() };
        *methods = all.iter().map(|m| (*m).to_owned()).collect();
        self
    }

    fn header(mut self, name: &str, equals: &str) -> Made {
        let Way::AtEdge { headers, .. } = &mut self.0.way else { unreachable!() };
        headers.push(HeaderMatch { of: MatchOf::Field, name: name.into(), equals: equals.into() });
        self
    }

    fn priority(mut self, priority: i32) -> Made {
        self.0.priority = priority;
        self
    }

    fn hosts(mut self, all: &[&str]) -> Made {
        self.0.hosts = all.iter().map(|h| (*h).to_owned()).collect();
        self
    }

    fn strict(mut self) -> Made {
        let Way::AtEdge { paths, .. } = &mut self.0.way else { unreachable!() };
        *paths = Paths::Strict;
        self
    }

    fn allow(mut self, name: &str) -> Made {
        let Way::AtEdge { allow_clients, .. } = &mut self.0.way else { unreachable!() };
        *allow_clients = Some(vec![name.to_owned()]);
        self
    }

    fn upgrades(mut self, to: &str) -> Made {
        let Way::AtEdge { upgrades, .. } = &mut self.0.way else { unreachable!() };
        upgrades.push(to.to_owned());
        self
    }
}

fn passed(name: &str, host: &str) -> Route {
    let golden = golden().routes.into_iter().find(|r| r.name == "payments").expect("a route");
    Route { name: name.into(), hosts: vec![host.into()], ..golden }
}

fn matcher(plan: &Plan) -> Matcher {
    Matcher::build(plan).expect("tables")
}

fn fields(all: &[(&str, &str)]) -> Fields {
    all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// The name of the route that gets `method path` at `a.test`; empty where none does.
fn winner(routes: &[Made], method: &str, path: &str, all: &[(&str, &str)]) -> String {
    let plan = plan(routes.iter().map(|m| m.0.clone()).collect());
    let headers = fields(all);
    match matcher(&plan).ask("", 0, &Ask { host: "a.test", path, sent: path, method, headers: &headers }) {
        Answer::Route(i) => plan.routes[i].name.clone(),
        _ => String::new(),
    }
}

/// Both ways round: the order in the file decides nothing but ties.
fn beats(better: fn() -> Made, worse: fn() -> Made, method: &str, path: &str, all: &[(&str, &str)]) {
    let names = [better().0.name, worse().0.name];
    assert_eq!(winner(&[better(), worse()], method, path, all), names[0]);
    assert_eq!(winner(&[worse(), better()], method, path, all), names[0]);
    assert_eq!(winner(&[worse()], method, path, all), names[1], "alone it gets it: {path}");
}

#[test]
fn the_more_specific_route_wins_by_path_then_method_then_fields_then_priority_then_place() {
    beats(|| route("exact", exact("/a")), || route("prefix", prefix("/a")).methods(&["GET"]), "GET", "/a", &[]);
    beats(|| route("longer", prefix("/a/b")), || route("shorter", prefix("/a")).priority(9), "GET", "/a/b/c", &[]);
    beats(|| route("prefix", prefix("/a")), || any("any").methods(&["GET"]).priority(9), "GET", "/a/b", &[]);
    beats(|| any("method").methods(&["PUT", "GET"]), || any("fields").header("x", "1"), "GET", "/", &[("x", "1")]);
    let both = [("x", "1"), ("y", "2")];
    beats(
        || any("two").header("x", "1").header("y", "2"),
        || any("one").header("x", "1").priority(9),
        "GET",
        "/",
        &both,
    );
    beats(|| any("high").priority(1), || any("low"), "GET", "/", &[]);
    beats(|| any("low"), || any("lower").priority(-1), "GET", "/", &[]);
    assert_eq!(winner(&[any("first"), any("second")], "GET", "/", &[]), "first");
}

#[test]
fn a_route_gets_only_what_fits_all_that_it_names() {
    let demanding = || any("it").methods(&["GET", "PUT"]).header("x", "1").header("y", "2");
    let both: &[(&str, &str)] = &[("X", "1"), ("y", "2")];
    for (method, all, gets) in [
        ("GET", both, true),
        ("PUT", both, true),
        ("POST", both, false),
        ("get", both, false),
        ("GET", &both[..1], false),
        ("GET", &both[1..], false),
        ("GET", &[], false),
        ("GET", &[("x", "1"), ("y", "3")], false),
        ("GET", &[("x", "1"), ("x", "1"), ("y", "2")], true),
        ("GET", &[("x", "1"), ("x", "2"), ("y", "2")], false),
        ("GET", &[("x", "2"), ("x", "1"), ("y", "2")], false),
        ("GET", &[("x", "1"), ("y", "2"), ("z", "3")], true),
    ] {
        assert_eq!(!winner(&[demanding()], method, "/", all).is_empty(), gets, "{method} {all:?}");
    }
    let plan = plan(vec![demanding().0]);
    let ask = Ask { host: "a.test", path: "/", sent: "/", method: "GET", headers: &NoHeaders };
    assert_eq!(matcher(&plan).ask("", 0, &ask), Answer::NotFound, "no fields are not any fields");
}

#[test]
fn what_does_not_fit_a_longer_path_falls_to_a_shorter_one() {
    let routes = || {
        [
            route("exact", exact("/a/b")).methods(&["PUT"]),
            route("deep", prefix("/a/b")).header("x", "1"),
            route("shallow", prefix("/a/")).methods(&["GET", "PUT"]),
            any("any"),
        ]
    };
    for (method, path, all, name) in [
        ("PUT", "/a/b", &[][..], "exact"),
        ("GET", "/a/b", &[("x", "1")], "deep"),
        ("GET", "/a/b", &[], "shallow"),
        ("GET", "/a/b/", &[], "shallow"),
        ("GET", "/a/", &[], "shallow"),
        ("GET", "/a", &[], "shallow"),
        ("POST", "/a/b", &[], "any"),
        ("GET", "/ab", &[], "any"),
        ("GET", "/a/b/c/d/e/f/g", &[("x", "1")], "deep"),
        ("GET", "/a/bc", &[("x", "1")], "shallow"),
        ("GET", "/", &[], "any"),
    ] {
        assert_eq!(winner(&routes(), method, path, all), name, "{method} {path}");
    }
    let alone = [route("deep", prefix("/a/b"))];
    for path in ["/", "/a", "/a/", "/a/x", "/a/bc", "/x/a/b", "/abc/def/ghi"] {
        assert_eq!(winner(&alone, "GET", path, &[]), "", "{path}");
    }
}

#[test]
fn names_belong_to_one_site_or_passthrough_route_and_everybody_else_is_told_so() {
    let plan = plan(vec![any("it").hosts(&["a.test", "*.w.test"]).0, passed("pass", "p.test")]);
    let it = matcher(&plan);
    let ask = |host| Ask { host, path: "/", sent: "/", method: "GET", headers: &NoHeaders };
    for (host, hello, answer) in [
        ("a.test", Verdict::Terminate(0), Answer::Route(0)),
        ("x.w.test", Verdict::Terminate(0), Answer::Route(0)),
        ("y.x.w.test", Verdict::Terminate(0), Answer::Route(0)),
        ("w.test", Verdict::Refuse(HelloRefusal::UnknownSni), Answer::Misdirected),
        ("xw.test", Verdict::Refuse(HelloRefusal::UnknownSni), Answer::Misdirected),
        ("b.test", Verdict::Refuse(HelloRefusal::UnknownSni), Answer::Misdirected),
        ("p.test", Verdict::Splice(1), Answer::Misdirected),
    ] {
        assert_eq!((it.hello("", Some(host)), it.ask("", 0, &ask(host))), (hello, answer), "{host}");
        assert_eq!(it.ask("", 1, &ask(host)), Answer::Misdirected, "of another site: {host}");
    }
    let pass = it.judge("", Some("p.test"), Who::ANYBODY, &ask("p.test"), None);
    assert_eq!(pass, Outcome::Splice { route: 1 });
    let nobody = it.judge("", None, Who::ANYBODY, &ask("a.test"), None);
    assert_eq!(nobody, Outcome::Refuse { why: HelloRefusal::NoSni });
    assert_eq!(it.judge("", Some("a.test"), Who::ANYBODY, &ask("a.test"), None), Outcome::Pass { site: 0, route: 0 });
    let other = it.judge("", Some("a.test"), Who::ANYBODY, &ask("b.test"), None);
    assert_eq!(other, Outcome::Deny { site: 0, route: None, why: Denied::Misdirected });
}

#[test]
fn an_upgrade_passes_where_the_route_has_it_and_nowhere_else() {
    let plan = plan(vec![any("plain").0, route("ws", prefix("/ws")).upgrades("websocket").0, passed("pass", "p.test")]);
    let it = matcher(&plan);
    let at = |path| Ask { host: "a.test", path, sent: path, method: "GET", headers: &NoHeaders };
    assert_eq!(it.admit("", 0, Who::ANYBODY, &at("/ws"), Some("WebSocket")), Ok(1));
    assert_eq!(it.admit("", 0, Who::ANYBODY, &at("/ws"), None), Ok(1));
    assert_eq!(it.admit("", 0, Who::ANYBODY, &at("/"), None), Ok(0));
    let refused = Refused { route: Some(0), why: Denied::UpgradeRefused };
    assert_eq!(it.admit("", 0, Who::ANYBODY, &at("/"), Some("websocket")), Err(refused));
}

#[test]
fn what_is_left_of_a_path_is_judged_where_a_prefix_is_taken_away_and_goes_on_alone() {
    let moved = |strip: &str, under: &str| Target::Moved { strip: strip.into(), under: under.into() };
    for (target, plain, odd) in [
        (moved("/v1", ""), true, false),
        (moved("/v1", "/in"), true, true),
        (moved("", "/in"), true, true),
        (Target::Fixed { path: "/in".into() }, true, true),
        (Target::AsItCame {}, true, true),
    ] {
        let mut one = route("it", prefix("/v1")).0;
        let Way::AtEdge { target: to, .. } = &mut one.way else { unreachable!() };
        **to = target.clone();
        let it = matcher(&plan(vec![one]));
        for (sent, passes) in [("/v1", plain), ("/v1/x", plain), ("/v1//evil.test", odd)] {
            let ask = Ask { host: "a.test", path: sent, sent, method: "GET", headers: &NoHeaders };
            let refused = Err(Refused { route: Some(0), why: Denied::Ambiguous });
            let expected = if passes { Ok(0) } else { refused };
            assert_eq!(it.admit("", 0, Who::ANYBODY, &ask, None), expected, "{sent} by {target:?}");
        }
    }
}

#[test]
fn a_protocol_to_switch_to_is_listed_as_it_is_named_with_its_version_and_in_any_case() {
    let it = matcher(&plan(vec![route("exec", prefix("/exec")).upgrades("spdy/3.1").upgrades("tcp").0]));
    let ask = Ask { host: "a.test", path: "/exec", sent: "/exec", method: "POST", headers: &NoHeaders };
    for listed in ["SPDY/3.1", "spdy/3.1", "tcp", "TCP"] {
        assert_eq!(it.admit("", 0, Who::ANYBODY, &ask, Some(listed)), Ok(0), "{listed}");
    }
    for other in ["spdy", "SPDY/3", "SPDY/3.10", "tcp/1", "websocket", "", "tcp,spdy/3.1"] {
        let refused = Refused { route: Some(0), why: Denied::UpgradeRefused };
        assert_eq!(it.admit("", 0, Who::ANYBODY, &ask, Some(other)), Err(refused), "{other}");
    }
}

#[test]
fn each_refusal_has_the_slug_that_the_reference_has() {
    for (why, slug) in [
        (Denied::NotFound, "request/not-found"),
        (Denied::Misdirected, "request/misdirected"),
        (Denied::Ambiguous, "request/bad-target"),
        (Denied::ClientNotAllowed, "request/client-not-allowed"),
        (Denied::UpgradeRefused, "request/upgrade-refused"),
    ] {
        assert_eq!(why.slug(), slug);
    }
    assert_eq!(HelloRefusal::NoSni.slug(), "hello/no-sni");
    assert_eq!(HelloRefusal::UnknownSni.slug(), "hello/unknown-sni");
}

#[test]
fn a_plan_that_names_what_is_not_there_or_a_name_twice_has_no_tables() {
    let build = |change: fn(&mut Plan)| {
        let mut it = plan(vec![any("it").0, passed("pass", "p.test")]);
        it.listeners = golden().listeners;
        (it.listeners[0].no_sni, it.listeners[0].unknown_sni) = (Unnamed::Refuse {}, Unnamed::Refuse {});
        change(&mut it);
        Matcher::build(&it).map(|m| (m.hello("public", None), m.hello("public", Some("nobody.test"))))
    };
    let refuse = (Verdict::Refuse(HelloRefusal::NoSni), Verdict::Refuse(HelloRefusal::UnknownSni));
    assert_eq!(build(|_| {}), Ok(refuse), "a good one");
    let named = build(|p| {
        p.listeners[0].no_sni = Unnamed::Site { site: p.sites[0].name.clone() };
        p.listeners[0].unknown_sni = Unnamed::Route { route: "pass".into() };
    });
    assert_eq!(named, Ok((Verdict::Terminate(0), Verdict::Splice(1))));
    let because = |found: Result<_, Unmatchable>, what: &str| {
        let Err(Unmatchable(why)) = found else { panic!("it has tables: {what}") };
        assert!(why.contains(what), "{why}");
    };
    because(build(|p| p.listeners[0].no_sni = Unnamed::Site { site: "x".into() }), "site \"x\", which is not there");
    because(build(|p| p.listeners[0].unknown_sni = Unnamed::Route { route: "x".into() }), "route \"x\"");
    because(build(|p| p.listeners[0].unknown_sni = Unnamed::Route { route: "it".into() }), "route \"it\"");
    because(build(|p| p.sites[0].hosts.push("p.test".into())), "\"p.test\" has two owners");
    because(build(|p| p.sites[0].hosts.push("a.test".into())), "\"a.test\" has two owners");
    because(build(|p| p.sites[0].hosts.push("*.".into())), "\"*.\" is no name");
    because(build(|p| p.routes[1].hosts.push("*".into())), "\"*\" of route \"pass\" is no name");
    because(build(|p| p.routes[0].hosts.push("*.".into())), "\"*.\" of route \"it\" is no name");
    because(build(|p| p.routes[1].hosts.push(String::new())), "is no name");
}

#[test]
fn a_site_of_every_name_takes_what_no_other_has_and_hellos_without_one() {
    let every = |hosts: &[&str], no_sni: Unnamed| {
        let mut plan = plan(vec![any("it").0, any("every").hosts(hosts).0, passed("pass", "p.test")]);
        let mut site = plan.sites[0].clone();
        (site.name, site.hosts) = ("every".into(), vec!["*".into()]);
        plan.sites.push(site);
        plan.listeners = golden().listeners;
        (plan.listeners[0].no_sni, plan.listeners[0].unknown_sni) = (no_sni, Unnamed::Refuse {});
        (matcher(&plan), plan.listeners[0].name.clone())
    };
    let (it, at) = every(&["*"], Unnamed::Refuse {});
    for (sni, is) in [
        (Some("a.test"), Verdict::Terminate(0)),
        (Some("x.w.test"), Verdict::Terminate(0)),
        (Some("p.test"), Verdict::Splice(2)),
        (Some("other.test"), Verdict::Terminate(1)),
        (Some("one"), Verdict::Terminate(1)),
        (None, Verdict::Terminate(1)),
    ] {
        assert_eq!(it.hello(&at, sni), is, "{sni:?}");
    }
    // A listener's own word on hellos without a name goes first.
    let (it, at) = every(&["*"], Unnamed::Route { route: "pass".into() });
    assert_eq!((it.hello(&at, None), it.hello(&at, Some("other.test"))), (Verdict::Splice(2), Verdict::Terminate(1)));
    let asked = |it: &Matcher, site, host| {
        it.ask(&at, site, &Ask { host, path: "/", sent: "/", method: "GET", headers: &NoHeaders })
    };
    for host in ["other.test", "one", "127.0.0.1", "[::1]"] {
        assert_eq!(asked(&it, 1, host), Answer::Route(1), "{host}");
        assert_eq!(asked(&it, 0, host), Answer::Misdirected, "{host}");
    }
    // Its route takes names of another site that have none there, as any wildcard of a route does.
    assert_eq!((asked(&it, 0, "a.test"), asked(&it, 0, "x.w.test")), (Answer::Route(0), Answer::Route(1)));
    assert_eq!((asked(&it, 1, "a.test"), asked(&it, 1, "p.test")), (Answer::Misdirected, Answer::Misdirected));
    let (it, _) = every(&["named.test"], Unnamed::Refuse {});
    assert_eq!((asked(&it, 1, "named.test"), asked(&it, 1, "other.test")), (Answer::Route(1), Answer::NotFound));
}

#[test]
fn routes_tie_where_some_request_fits_both_and_only_their_place_decides() {
    let ties = |routes: Vec<Made>| {
        let plan = plan(routes.into_iter().map(|m| m.0).collect());
        let found: Vec<_> = matcher(&plan).ties().into_iter().map(|t| (t.host, t.path)).collect();
        found
    };
    let root = |host: &str| vec![(host.to_owned(), "/".to_owned())];
    assert_eq!(ties(vec![any("a"), any("b")]), root("a.test"));
    assert_eq!(ties(vec![any("a").hosts(&["*.w.test"]), any("b").hosts(&["*.w.test"])]), root("*.w.test"));
    assert_eq!(ties(vec![any("a").methods(&["GET", "PUT"]), any("b").methods(&["PUT"])]), root("a.test"));
    assert_eq!(ties(vec![any("a").header("x", "1"), any("b").header("y", "1")]), root("a.test"));
    assert_eq!(ties(vec![any("a").header("x", "1"), any("b").header("x", "1")]), root("a.test"));
    let at = vec![("a.test".to_owned(), "/a".to_owned())];
    assert_eq!(ties(vec![route("a", prefix("/a")), route("b", prefix("/a/"))]), at, "the same prefix");
    assert_eq!(ties(vec![route("a", exact("/a")), route("b", exact("/a"))]), at);
    for apart in [
        vec![any("a"), any("b").priority(1)],
        vec![any("a"), any("b").methods(&["GET"])],
        vec![any("a"), any("b").header("x", "1")],
        vec![any("a"), any("b").hosts(&["x.w.test"])],
        vec![any("a").methods(&["GET"]), any("b").methods(&["PUT"])],
        vec![any("a").header("x", "1"), any("b").header("x", "2")],
        vec![route("a", prefix("/a")), route("b", prefix("/b"))],
        vec![route("a", prefix("/a")), route("b", exact("/a"))],
    ] {
        assert_eq!(ties(apart), []);
    }
}

#[test]
fn each_loser_is_told_why_the_nearest_first_and_five_at_most() {
    let mut plan = plan(vec![
        any("winner").0,
        any("beaten").priority(-1).0,
        any("wild").hosts(&["*.test"]).0,
        any("method").methods(&["PUT", "POST"]).0,
        any("field").header("x", "1").0,
        route("exact", exact("/b")).0,
        route("under", prefix("/c")).0,
        any("elsewhere").hosts(&["b.test", "*.a.test", "*.est"]).0,
        passed("pass", "a.test"),
    ]);
    let ask = Ask { host: "a.test", path: "/", sent: "/", method: "GET", headers: &NoHeaders };
    let told = |plan: &Plan, won| -> Vec<(String, String)> {
        let it = Matcher::default();
        it.lost(plan, "", &ask, won).into_iter().map(|l| (plan.routes[l.route].name.clone(), l.why)).collect()
    };
    let said = |all: &[(&str, &str)]| fields(all);
    assert_eq!(
        told(&plan, Some(0)),
        said(&[
            ("beaten", "it fits too, but winner is more specific"),
            ("wild", "it fits too, but winner names the host more exactly"),
            ("method", "it wants PUT or POST"),
            ("field", "it wants the header x: 1"),
            ("pass", "it passes TLS through and cannot see requests"),
        ])
    );
    plan.routes.drain(1..5);
    plan.routes.remove(0);
    assert_eq!(
        told(&plan, None),
        said(&[
            ("pass", "it passes TLS through and cannot see requests"),
            ("exact", "it wants exactly /b"),
            ("under", "it wants a path under /c"),
        ])
    );
}

#[test]
fn each_name_of_either_plan_is_told_with_what_both_make_of_it() {
    let old = plan(vec![any("it").0, passed("pass", "p.test")]);
    let mut new = plan(vec![passed("moved", "a.test")]);
    new.sites[0].hosts = vec!["*.w.test".into(), "p.test".into()];
    let told: Vec<_> = named(&matcher(&old), &matcher(&new)).into_iter().map(|n| (n.pattern, n.old, n.new)).collect();
    let (site, gone) = (Verdict::Terminate(0), Verdict::Refuse(HelloRefusal::UnknownSni));
    assert_eq!(
        told,
        [
            ("a.test".to_owned(), site, Verdict::Splice(0)),
            ("p.test".to_owned(), Verdict::Splice(1), site),
            ("*.w.test".to_owned(), site, site),
        ]
    );
    let none = named(&matcher(&old), &Matcher::default());
    assert_eq!(none.iter().map(|n| n.new).collect::<Vec<_>>(), [gone; 3]);
}

#[test]
fn a_name_that_stands_for_a_wildcard_is_none_that_somebody_configured() {
    let all = ["any.w.test", "any1.w.test", "any2.w.test", "*.w.test"];
    let mut old = plan(all.iter().map(|host| any(host).hosts(&[host]).0).collect());
    old.sites[0].hosts = all.iter().map(|h| (*h).to_owned()).collect();
    let mut new = old.clone();
    new.routes.pop();
    let asked = apart(&matcher(&old), &matcher(&new));
    let lost = asked.iter().find(|a| a.old != a.new).expect("the wildcard's route is gone");
    assert_eq!((lost.pattern.as_str(), lost.host.as_str()), ("*.w.test", "any3.w.test"));
    assert_eq!(lost.old, Outcome::Pass { site: 0, route: 3 });
}

#[test]
fn what_names_its_listeners_is_nobodys_by_any_other_and_a_listener_that_is_not_there_has_no_tables() {
    let mut it = plan(vec![any("inner").0, any("outer").0, passed("pass", "p.test")]);
    it.listeners = golden().listeners;
    it.listeners.truncate(1);
    (it.listeners[0].no_sni, it.listeners[0].unknown_sni) = (Unnamed::Refuse {}, Unnamed::Refuse {});
    it.listeners.push(it.listeners[0].clone());
    it.listeners[1].name = "internal".into();
    let only = |listener: &str| Some(vec![listener.to_owned()]);
    (it.routes[0].listeners, it.routes[1].listeners) = (only("internal"), only("public"));
    it.routes[2].listeners = only("internal");
    let built = Matcher::build(&it).expect("tables");
    assert_eq!(built.ask("public", 0, &get("/x")), Answer::Route(1));
    assert_eq!(built.ask("internal", 0, &get("/x")), Answer::Route(0));
    assert_eq!(built.hello("internal", Some("p.test")), Verdict::Splice(2));
    assert_eq!(built.hello("public", Some("p.test")), Verdict::Refuse(HelloRefusal::UnknownSni));
    // A listener that the plan does not have, as one that nobody names.
    assert_eq!(built.ask("other", 0, &get("/x")), Answer::NotFound);
    it.routes[2].listeners = only("gone");
    let Err(Unmatchable(why)) = Matcher::build(&it) else { panic!("it has tables") };
    assert_eq!(why, r#""pass" names the listener "gone", which is not there"#);
}

#[test]
fn a_loser_is_told_by_which_listeners_it_is_reached_and_that_a_stream_sees_no_requests() {
    let mut inner = any("inner").0;
    inner.listeners = Some(vec!["in".into(), "far".into()]);
    let plan = plan(vec![any("won").0, inner]);
    let ask = Ask { host: "a.test", path: "/", sent: "/", method: "GET", headers: &NoHeaders };
    let why = |plan: &Plan, listener: &str| {
        let told = Matcher::default().lost(plan, listener, &ask, Some(0));
        told.into_iter().map(|l| (l.route, l.why)).collect::<Vec<_>>()
    };
    assert_eq!(why(&plan, "out"), [(1, "it is reached by in and far alone".to_owned())]);
    for listener in ["in", "far"] {
        assert_eq!(why(&plan, listener), [(1, "it fits too, but won is more specific".to_owned())], "{listener}");
    }
    let mut plan = golden();
    let broker = plan.routes.iter().position(|r| r.name == "broker").expect("a stream");
    let host = plan.routes[broker].hosts[0].clone();
    let ask = Ask { host: &host, ..ask };
    let told = |plan: &Plan, won: Option<usize>| {
        let all = Matcher::default().lost(plan, "public", &ask, won);
        all.into_iter().find(|l| l.route == broker).map(|l| l.why)
    };
    assert_eq!(told(&plan, None).as_deref(), Some("it carries what is not read, and sees no requests"));
    let mut other = plan.routes[broker].clone();
    other.name = "won".into();
    plan.routes.push(other);
    let won = plan.routes.len() - 1;
    assert_eq!(told(&plan, Some(won)).as_deref(), Some("it fits too, but won is more specific"));
}

#[test]
fn a_loser_whose_path_fits_is_not_told_that_it_wants_another() {
    let plan = plan(vec![route("longer", prefix("/b/c")).0, route("shorter", prefix("/b")).0]);
    let ask = Ask { host: "a.test", path: "/b/c", sent: "/b/c", method: "GET", headers: &NoHeaders };
    let told = Matcher::default().lost(&plan, "", &ask, Some(0));
    assert_eq!(told.iter().map(|l| l.why.as_str()).collect::<Vec<_>>(), ["it fits too, but longer is more specific"]);
}

/// R01. A path in which nothing can be read twice may still be what some backend takes another route's key for.
#[test]
fn a_plain_path_that_some_backend_takes_for_another_routes_key_is_refused() {
    let all = |key: PathMatch| [any("open"), route("own", key)];
    for (key, path, wins) in [
        (prefix("/Adm"), "/Adm/x", "own"),
        (prefix("/Adm"), "/adm/x", ""),
        (prefix("/Adm"), "/pub", "open"),
        (prefix("/adm%20x"), "/pub", "open"),
        (exact("/adm;v=1"), "/adm", ""),
        (exact("/adm."), "/adm", ""),
        // Many frameworks do not tell `/x` from `/x/`.
        (exact("/adm"), "/adm/", ""),
        (exact("/adm"), "/adm/x", "open"),
        (exact("/adm/"), "/adm", ""),
        (exact("/adm/"), "/ADM", ""),
        (exact("/adm/"), "/adm/", "own"),
        (exact("/"), "/", "own"),
        (exact("/"), "/x", "open"),
        // Beyond ASCII two letters are capitals of ASCII's.
        (prefix("/task"), "/tas%E2%84%AA", ""),
        (prefix("/task"), "/ta%C5%BFk/x", ""),
        (prefix("/task"), "/ta%C5%BE", "open"),
    ] {
        assert_eq!(winner(&all(key.clone()), "GET", path, &[]), wins, "{key:?} {path}");
    }
    // However much deeper than any key.
    let deep = |start: &str| start.to_owned() + &"/a".repeat(3000);
    for (start, wins) in [("/X", "open"), ("/adm", "own"), ("/ADM", ""), ("/x/..%2fadm", ""), ("/x/..%2fadmx", "open")]
    {
        assert_eq!(winner(&all(prefix("/adm")), "GET", &deep(start), &[]), wins, "{start}");
    }
    // A configuration that has a rule for each tells them apart.
    let v2 = || [any("open"), route("own", exact("/v2/")), route("below", prefix("/v2")), route("Odd", prefix("/Odd"))];
    for (path, wins) in [("/v2/", "own"), ("/v2", "below"), ("/v2/x/", "below"), ("/V2", "")] {
        assert_eq!(winner(&v2(), "GET", path, &[]), wins, "{path}");
    }
}

fn get(path: &str) -> Ask<'_> {
    Ask { host: "a.test", path, sent: path, method: "GET", headers: &NoHeaders }
}

/// R01.
#[test]
fn a_strict_route_takes_what_every_backend_reads_alike_and_another_takes_more() {
    let plan = plan(vec![route("strict", prefix("/s")).strict().0, route("free", prefix("/f")).0]);
    let it = matcher(&plan);
    let refused = Refused { route: Some(0), why: Denied::Ambiguous };
    for (path, found) in [
        ("/s/x", Ok(0)),
        ("/s/Mixed;a=b", Ok(0)),
        ("/s/a%2Fb", Err(refused)),
        ("/s//a", Err(refused)),
        ("/f/a%2Fb", Ok(1)),
        ("/f//a", Ok(1)),
    ] {
        assert_eq!(it.admit("", 0, Who::ANYBODY, &get(path), None), found, "{path}");
    }
}

/// R01. The only route of a host may be left by a reading too: then nothing takes it.
#[test]
fn a_path_that_some_backend_reads_out_of_its_only_route_is_taken_for_none() {
    let alone = matcher(&plan(vec![route("api", prefix("/api")).0]));
    assert_eq!(alone.ask("", 0, &get("/api/..%2Fx")), Answer::Ambiguous { route: 0, other: None });
    assert_eq!(alone.ask("", 0, &get("/api/a%2Fx")), Answer::Route(0));
    // Plain letters that are encoded: to a backend that decodes nothing it is no path under `/api`.
    let encoded = Ask { sent: "/%61pi/x", ..get("/api/x") };
    assert_eq!(alone.ask("", 0, &encoded), Answer::Ambiguous { route: 0, other: None });
    let by_case = matcher(&plan(vec![any("all").0, route("adm", prefix("/Adm")).0]));
    assert_eq!(by_case.ask("", 0, &get("/adm/x")), Answer::Ambiguous { route: 0, other: Some(1) });
}

/// R01. Encoded again and again: nobody needs it, and a host where nothing can be confused does not look.
#[test]
fn a_path_with_more_readings_than_are_looked_at_is_taken_for_none() {
    let path = format!("/x%{}41", "25".repeat(70));
    let two = plan(vec![any("all").0, route("adm", prefix("/adm")).0]);
    let it = matcher(&two);
    assert_eq!(it.ask("", 0, &get(&path)), Answer::Ambiguous { route: 0, other: None });
    let told = it.told(&two, "", &get(&path), 0);
    assert_eq!(told, r#"it fits route "all", and can be read in more ways than are looked at; ask for it plainly"#);
    for alike in [vec![any("all").0], vec![any("gets").methods(&["GET"]).0, any("all").0]] {
        assert_eq!(matcher(&plan(alike)).ask("", 0, &get(&path)), Answer::Route(0));
    }
}

/// R01.
#[test]
fn why_a_path_is_taken_for_none_names_both_routes_and_what_mends_it() {
    let plan = plan(vec![any("all").0, route("adm", prefix("/adm")).0, route("s", prefix("/s")).strict().0]);
    let it = matcher(&plan);
    let told = |path: &str, route: usize| it.told(&plan, "", &get(path), route);
    assert_eq!(
        told("/x%2F..%2F..%2Fadm", 0),
        r#"it fits route "all", but some backends read it as "/adm", which fits route "adm"; ask for it plainly, or let one route take both"#
    );
    assert_eq!(
        told("/s/a%2Fb", 2),
        r#"route "s" takes only paths that every backend reads alike (paths = "strict"); ask for it plainly"#
    );
    assert!(told("/plain", 0).starts_with(r#"it fits route "all", but not every backend"#));
    let mut moved = plan.clone();
    if let Way::AtEdge { target, path, .. } = &mut moved.routes[1].way {
        (**target, *path) = (Target::Moved { strip: "/adm".into(), under: String::new() }, prefix("/adm"));
    }
    let of_a_server = matcher(&moved).told(&moved, "", &get("/adm//internal/x"), 1);
    assert_eq!(
        of_a_server,
        r#"it fits route "adm", but what is left of it without "/adm" is read by some backends as the name of a server, or as a way out of their root; ask for it plainly"#
    );
    assert!(matcher(&moved).told(&moved, "", &get("/adm/x"), 1).starts_with(r#"it fits route "adm", but not every"#));
    let alone = only_api();
    let nowhere = matcher(&alone).told(&alone, "", &get("/api/..%2Fx"), 0);
    assert!(nowhere.contains("which fits no route"), "{nowhere}");
    assert_eq!(it.reading("", &get("/plain"), 0), None);
}

/// R01. Who decodes a path decodes the rule that it is held against as often: until then they are two.
#[test]
fn a_rule_is_read_as_the_path_is() {
    for key in [exact("/a%2Fb"), prefix("/a%2Fb")] {
        let plan = plan(vec![any("all").0, route("ab", key).0]);
        let reading = matcher(&plan).reading("", &get("/a%252Fb"), 0).expect("a reading");
        assert_eq!((reading.path.as_str(), reading.route), ("/a/b", Some(1)));
    }
}

fn only_api() -> Plan {
    plan(vec![route("api", prefix("/api")).0])
}

#[test]
fn a_route_is_chosen_by_a_cookie_wherever_it_stands_and_by_every_value_of_it() {
    let mut canary = any("canary");
    let Way::AtEdge { headers, .. } = &mut canary.0.way else { unreachable!() };
    headers.push(HeaderMatch { of: MatchOf::Cookie, name: "canary".into(), equals: "1".into() });
    let plan = plan(vec![any("all").0, canary.0]);
    let it = matcher(&plan);
    for (sent, route) in [
        (&[("cookie", "canary=1")][..], 1),
        (&[("cookie", "a=2; canary=1")], 1),
        (&[("cookie", "a=2"), ("cookie", "canary=1")], 1),
        (&[("cookie", "canary=1; canary=2")], 0),
        (&[("cookie", "canary=2")], 0),
        (&[("x-cookie", "canary=1"), ("canary", "1")], 0),
        (&[], 0),
    ] {
        let headers = fields(sent);
        let ask = Ask { headers: &headers, ..get("/p") };
        let judged = it.judge("", Some(ask.host), Who::ANYBODY, &ask, None);
        assert!(matches!(judged, Outcome::Pass { route: r, .. } if r == route), "{sent:?}: {judged:?}");
    }
    let lost = it.lost(&plan, "", &get("/p"), Some(0));
    assert_eq!(lost.iter().map(|l| l.why.as_str()).collect::<Vec<_>>(), ["it wants the cookie canary=1"]);
}

#[test]
fn what_an_expression_makes_of_a_path_is_judged_before_it_goes_on() {
    let mut one = route("it", PathMatch::Any {}).0;
    let Way::AtEdge { target, .. } = &mut one.way else { unreachable!() };
    **target = Target::Rewritten { regex: "/old/(?<rest>.*)".into(), to: "/{rest}".into() };
    let it = matcher(&plan(vec![one, any("plain").hosts(&["b.test"]).0]));
    for (sent, passes) in [("/old/x", true), ("/new", true), ("*", true), ("/oldx", true), ("/old//evil.test", false)] {
        let path = if sent == "*" { "/" } else { sent };
        let method = if sent == "*" { "OPTIONS" } else { "GET" };
        let ask = Ask { host: "a.test", path, sent, method, headers: &NoHeaders };
        let refused = Err(Refused { route: Some(0), why: Denied::Ambiguous });
        assert_eq!(it.admit("", 0, Who::ANYBODY, &ask, None), if passes { Ok(0) } else { refused }, "{sent}");
    }
    let mut onward = String::new();
    let by = it.rewrite(0).expect("an expression");
    assert!(by.apply("/old/x", false, &mut onward).is_ok() && onward == "/x");
    assert!(it.rewrite(1).is_none() && it.rewrite(2).is_none());
}

#[test]
fn fields_that_meet_all_demands_meet_them_and_there_are_none_where_two_contradict_each_other() {
    let field = |name: &str, value: &str| ((MatchOf::Field, name.to_owned()), value.to_owned());
    let cookie = |name: &str, value: &str| ((MatchOf::Cookie, name.to_owned()), value.to_owned());
    for (demands, met_by) in [
        (vec![], Some(fields(&[]))),
        (vec![field("b", "2"), field("a", "1"), field("b", "2")], Some(fields(&[("a", "1"), ("b", "2")]))),
        (
            vec![cookie("y", "2"), field("a", "1"), cookie("x", "1")],
            Some(fields(&[("a", "1"), ("cookie", "x=1; y=2")])),
        ),
        (vec![field("cookie", "x=1; y=2"), cookie("y", "2")], Some(fields(&[("cookie", "x=1; y=2")]))),
        (vec![field("a", "1"), field("a", "2")], None),
        (vec![cookie("x", "1"), cookie("x", "2")], None),
        (vec![field("cookie", "x=1"), cookie("y", "2")], None),
        (vec![field("cookie", "x=1"), cookie("x", "2")], None),
    ] {
        assert_eq!(meeting(&demands), met_by, "{demands:?}");
    }
}

#[test]
fn each_value_of_a_field_is_given_in_its_order_whatever_the_case_of_its_name() {
    let all = fields(&[("A", "1"), ("b", "x"), ("a", "2")]);
    let values = |headers: &dyn Headers, name: &str| {
        let mut out = Vec::new();
        headers.each_value(name, &mut |value| out.push(value.to_vec()));
        out
    };
    assert_eq!(values(&all, "a"), [b"1", b"2"]);
    assert!(values(&all, "c").is_empty() && values(&NoHeaders, "a").is_empty());
}

#[test]
fn what_is_demanded_of_fields_on_the_way_to_a_route_is_told_in_order() {
    let plan = plan(vec![any("red").header("x-team", "red").0, any("all").0, any("late").priority(-1).0]);
    let it = matcher(&plan);
    let red = vec![((MatchOf::Field, "x-team".to_owned()), "red".to_owned())];
    assert_eq!(it.demanded("", &get("/p"), 0), Some(vec![red.clone()]));
    assert_eq!(it.demanded("", &get("/p"), 1), Some(vec![red, Vec::new()]));
    assert_eq!(it.demanded("", &get("/p"), 2), None, "whatever the fields are, it comes to `all` before");
    assert_eq!(it.demanded("", &Ask { host: "nobody.test", ..get("/p") }, 0), None);
}

fn from(net: &str, mut it: Route) -> Route {
    let (Way::AtBackend { allow_networks, .. } | Way::AtEdge { allow_networks, .. } | Way::Here { allow_networks, .. }) =
        &mut it.way;
    *allow_networks = Some(vec![net.into()]);
    it
}

fn at(ip: &str) -> At {
    At::Address(ip.parse().expect(ip))
}

#[test]
fn a_route_takes_whoever_is_in_its_networks_by_any_name_and_nobody_else_by_one() {
    let named = any("r").allow("one").0;
    let it = matcher(&plan(vec![from("10.0.0.0/8", named)]));
    let (one, two) = (["one".to_owned()], ["two".to_owned()]);
    let told = |names, ip| it.admit("", 0, Who::proved(names, at(ip)), &get("/"), None).map_err(|by| by.why);
    assert_eq!(told(&one, "10.1.2.3"), Ok(0));
    assert_eq!(told(&one, "::ffff:10.1.2.3"), Ok(0));
    assert_eq!(told(&two, "10.1.2.3"), Err(Denied::ClientNotAllowed));
    // Where it is comes first: whoever is elsewhere is not told that it was the wrong name.
    for names in [&one[..], &two, &[]] {
        assert_eq!(told(names, "11.1.2.3"), Err(Denied::AddressNotAllowed));
        assert_eq!(told(names, "::1"), Err(Denied::AddressNotAllowed));
    }
    let asked = Who { proof: Proof::Any, at: at("11.1.2.3") };
    let refused = Refused { route: Some(0), why: Denied::AddressNotAllowed };
    assert_eq!(it.admit("", 0, asked, &get("/"), None), Err(refused));
    assert_eq!(it.admit("", 0, Who::ANYBODY, &get("/"), None), Ok(0));
}

#[test]
fn a_hello_is_passed_on_from_the_networks_of_its_route_alone() {
    let it = matcher(&plan(vec![any("r").0, from("10.0.0.0/8", passed("p", "p.test"))]));
    assert_eq!(it.admit_passed(1, at("10.1.2.3")), Ok(()));
    assert_eq!(it.admit_passed(1, At::Anywhere), Ok(()));
    assert_eq!(it.admit_passed(1, at("11.1.2.3")), Err(Denied::AddressNotAllowed));
    assert_eq!(it.admit_passed(0, at("11.1.2.3")), Ok(()), "it names none");
    let judged = |ip| it.judge("", Some("p.test"), Who::proved(&[], at(ip)), &get("/"), None);
    assert_eq!(judged("10.1.2.3"), Outcome::Splice { route: 1 });
    assert_eq!(judged("11.1.2.3"), Outcome::Shut { route: 1, why: Denied::AddressNotAllowed });
}

#[test]
fn a_plan_with_what_is_no_network_is_none() {
    let why = Matcher::build(&plan(vec![from("office", any("r").0)])).expect_err("no network");
    assert_eq!(why.0, "route \"r\" allows \"office\", which is no network");
}
