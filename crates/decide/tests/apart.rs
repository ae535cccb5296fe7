//! No request is treated in a way that `apart` does not tell of: random plans over a small world, asked everything.

use everyhop_decide::{Ask, At, Denied, Matcher, Outcome, Refused, Who, apart};
use everyhop_plan::{HeaderMatch, Listener, MatchOf, PathMatch, Plan, Site, Target, Unnamed, Way};
use std::collections::HashSet;

const HOSTS: [&str; 7] = ["a.test", "b.test", "*.test", "*.w.test", "x.w.test", "any.test", "*"];
const PATHS: [&str; 7] = ["", "/any", "/a", "/a/b", "/A", "/a/b/c", "/any1"];
/// By their lengths they have addresses of their own.
const LISTENERS: [&str; 3] = ["in", "out", "else"];
const METHODS: [&str; 3] = ["GET", "PUT", "ANY"];

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.get(self.roll(from.len())).copied().unwrap_or_default()
    }
}

/// Some of the hosts in two sites or passed through, and routes over them, as a plan that a matcher takes.
fn random(dice: &mut Dice) -> Plan {
    let golden = include_str!("../../../schema/golden/everything.json");
    let mut plan = everyhop_plan::read(golden.trim_end()).expect("the golden plan");
    let listener = plan.listeners.first().expect("a listener").clone();
    plan.listeners = LISTENERS
        .map(|name| Listener {
            name: name.to_owned(),
            bind: vec![format!("127.0.0.1:{}", 8443 + name.len())],
            no_sni: Unnamed::Refuse {},
            unknown_sni: Unnamed::Refuse {},
            ..listener.clone()
        })
        .to_vec();
    // Half of the plans name listeners.
    let sides = if dice.roll(2) == 0 { 4 } else { 1 };
    let named = |dice: &mut Dice| match dice.roll(sides) {
        0 | 1 => None,
        n => Some(vec![LISTENERS[n - 2].to_owned()]),
    };
    let site = plan.sites.first().expect("a site").clone();
    let passed = plan.routes.iter().find(|r| matches!(r.way, Way::AtBackend { .. })).expect("a route").clone();
    let ended = plan.routes.iter().find(|r| matches!(r.way, Way::AtEdge { .. })).expect("a route").clone();
    plan.routes.clear();
    let mut owned = [Vec::new(), Vec::new()];
    for host in HOSTS {
        match dice.roll(4) {
            0 => {}
            // Nobody passes through what nobody named.
            1 if host == "*" => {}
            1 => {
                let listeners = named(dice);
                plan.routes.push(everyhop_plan::Route { hosts: vec![host.to_owned()], listeners, ..passed.clone() });
            }
            n => owned[n - 2].push(host.to_owned()),
        }
    }
    plan.sites = owned.map(|hosts| Site { hosts, listeners: named(dice), ..site.clone() }).to_vec();
    for _ in 0..dice.roll(6) {
        let mut route = ended.clone();
        route.hosts = vec![dice.pick(&HOSTS).to_owned()];
        route.priority = i32::try_from(dice.roll(2)).expect("small");
        route.listeners = named(dice);
        let Way::AtEdge { path, methods, headers, target, .. } = &mut route.way else { unreachable!("it ends TLS") };
        **target = Target::AsItCame {};
        let text = dice.pick(&PATHS).to_owned();
        *path = match dice.roll(3) {
            0 if !text.is_empty() => PathMatch::Exact { path: text },
            1 if !text.is_empty() => PathMatch::Prefix { path: text },
            _ => PathMatch::Any {},
        };
        *methods = if dice.roll(2) == 0 { vec![dice.pick(&METHODS).to_owned()] } else { Vec::new() };
        headers.clear();
        for name in ["x", "y"] {
            if dice.roll(3) == 0 {
                let of = if dice.roll(2) == 0 { MatchOf::Field } else { MatchOf::Cookie };
                headers.push(HeaderMatch { of, name: name.to_owned(), equals: dice.pick(&["1", "2"]).to_owned() });
            }
        }
        plan.routes.push(route);
    }
    plan
}

const COOKIES: [&str; 3] = ["", "x=1", "y=2; x=1; x=1"];

fn everything(mut each: impl FnMut(&Ask<'_>)) {
    for host in ["a.test", "b.test", "any.test", "z.test", "x.w.test", "z.w.test", "z.x.w.test", "w.test", "other"] {
        for path in [
            "/", "/any", "/any/z", "/a", "/a/", "/a/z", "/a/b", "/a/b/z", "/a/b/c", "/a/bz", "/A", "/A/z", "/any1/q",
            "/z/y",
        ] {
            for method in ["GET", "PUT", "ANY", "POST"] {
                for (fields, cookie) in (0..9u8).flat_map(|n| COOKIES.map(|cookie| (n, cookie))) {
                    let value = |n: u8| (n > 0).then(|| n.to_string());
                    let cookie = (!cookie.is_empty()).then(|| cookie.to_owned());
                    let all = [("x", value(fields % 3)), ("y", value(fields / 3)), ("cookie", cookie)];
                    let headers: Vec<(String, String)> =
                        all.into_iter().filter_map(|(n, v)| Some((n.to_owned(), v?))).collect();
                    each(&Ask { host, path, sent: path, method, headers: &headers });
                }
            }
        }
    }
}

#[test]
fn what_any_request_gets_under_two_plans_is_told_of() {
    let mut dice = Dice(7);
    for _ in 0..60 {
        let matchers = [random(&mut dice), random(&mut dice)].map(|p| Matcher::build(&p).expect("tables"));
        let [old, new] = &matchers;
        let told: HashSet<(Outcome, Outcome)> = apart(old, new).iter().map(|a| (a.old, a.new)).collect();
        let mut got = HashSet::new();
        for listener in LISTENERS {
            everything(|ask| {
                let pair = [old, new].map(|m| m.judge(listener, Some(ask.host), Who::ANYBODY, ask, None));
                // A lenient reading of the path is refused: it reaches nothing that is not told of.
                let ambiguous = |o: &Outcome| matches!(o, Outcome::Deny { why: Denied::Ambiguous, .. });
                let nobodys = pair.iter().all(|o| matches!(o, Outcome::Refuse { .. }));
                if !nobodys && !pair.iter().any(ambiguous) && got.insert((pair[0], pair[1])) {
                    assert!(told.contains(&(pair[0], pair[1])), "{} {}{}: {pair:?}", ask.method, ask.host, ask.path);
                }
            });
        }
    }
}

#[test]
fn each_pair_of_answers_is_told_once_and_the_question_gets_it() {
    let mut dice = Dice(11);
    for _ in 0..100 {
        let matchers = [random(&mut dice), random(&mut dice)].map(|p| Matcher::build(&p).expect("tables"));
        let [old, new] = &matchers;
        let mut pairs = HashSet::new();
        for it in apart(old, new) {
            assert!(!it.host.contains('*'), "no client asks for a pattern: {it:?}");
            let ask = Ask { host: &it.host, path: &it.path, sent: &it.path, method: &it.method, headers: &it.headers };
            let again = [old, new].map(|m| m.judge(&it.listener, Some(ask.host), Who::ANYBODY, &ask, None));
            assert_eq!(again, [it.old, it.new]);
            assert!(pairs.insert((it.listener.clone(), again)), "told twice: {it:?}");
        }
    }
}

#[test]
fn a_refused_request_names_the_route_that_refused_it() {
    let golden = include_str!("../../../schema/golden/everything.json");
    let mut plan = everyhop_plan::read(golden.trim_end()).expect("the golden plan");
    let api = plan.routes.iter().position(|r| r.name == "api").expect("the route");
    let Way::AtEdge { allow_clients, upgrades, .. } = &mut plan.routes[api].way else { panic!("it ends TLS") };
    *allow_clients = Some(vec!["one".to_owned()]);
    upgrades.clear();
    let matcher = Matcher::build(&plan).expect("tables");
    let ask =
        Ask { host: "api.example.com", path: "/v1", sent: "/v1", method: "GET", headers: &everyhop_decide::NoHeaders };
    let (one, two) = (["one".to_owned()], ["two".to_owned()]);
    assert_eq!(matcher.admit("", 0, Who::proved(&one, At::Anywhere), &ask, None), Ok(api));
    assert_eq!(matcher.admit("", 0, Who::ANYBODY, &ask, None), Ok(api));
    for nobody in [&two[..], &[]] {
        let refused = Refused { route: Some(api), why: Denied::ClientNotAllowed };
        assert_eq!(matcher.admit("", 0, Who::proved(nobody, At::Anywhere), &ask, None), Err(refused));
    }
    let refused = Refused { route: Some(api), why: Denied::UpgradeRefused };
    assert_eq!(matcher.admit("", 0, Who::proved(&one, At::Anywhere), &ask, Some("websocket")), Err(refused));
    let elsewhere = Ask { host: "pay.example.com", ..ask };
    let refused = Refused { route: None, why: Denied::Misdirected };
    assert_eq!(matcher.admit("", 0, Who::proved(&one, At::Anywhere), &elsewhere, None), Err(refused));
}

#[test]
fn two_routes_tie_where_only_their_order_decides_which_of_them_a_request_gets() {
    let golden = include_str!("../../../schema/golden/everything.json");
    let plan = everyhop_plan::read(golden.trim_end()).expect("the golden plan");
    assert_eq!(Matcher::build(&plan).expect("tables").ties(), []);
    let api = plan.routes.iter().position(|r| r.name == "api").expect("the route");
    let with = |change: &dyn Fn(&mut everyhop_plan::Route)| {
        let mut plan = plan.clone();
        let mut other = plan.routes[api].clone();
        change(&mut other);
        plan.routes.push(other);
        Matcher::build(&plan).expect("tables").ties().iter().map(|t| (t.first, t.late)).collect::<Vec<_>>()
    };
    fn edge(route: &mut everyhop_plan::Route) -> (&mut PathMatch, &mut Vec<String>, &mut Vec<HeaderMatch>) {
        let Way::AtEdge { path, methods, headers, .. } = &mut route.way else { unreachable!("it ends TLS") };
        (path, methods, headers)
    }
    assert_eq!(with(&|_| {}), [(api, plan.routes.len())]);
    assert_eq!(with(&|r| r.priority = 1), []);
    assert_eq!(with(&|r| *edge(r).0 = PathMatch::Any {}), []);
    assert_eq!(with(&|r| edge(r).1.push("GET".into())), []);
    assert_eq!(with(&|r| edge(r).2.push(HeaderMatch { of: MatchOf::Field, name: "x".into(), equals: "1".into() })), []);
}
