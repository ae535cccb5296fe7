//! What the pieces of a plan answer about themselves, whoever asks.

use everyhop_plan::{
    AccessLog, Coding, Edits, Hsts, Limits, Listener, Most, PathMatch, Plan, Route, RouteLimits, RouteLog, SameSite,
    Speaks, StartTls, Target, UpstreamProtocol, Way,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn golden() -> Plan {
    everyhop_plan::read(include_str!("../../../schema/golden/everything.json").trim_end()).expect("the golden plan")
}

fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is one")
}

const CLOSES_S: i64 = 1_800_000_000;

/// TLS, a redirect, served on this host, served by an acceptance.
fn spoken() -> [Speaks; 4] {
    let acceptance = json!({
        "owner": "test@example.com", "why": "to see it end", "context": "legacy",
        "since": "2026-01-01", "until": "2027-01-14", "closes_at_s": CLOSES_S,
    });
    [
        json!({"kind": "tls"}),
        json!({"kind": "redirect", "https_port": 443}),
        json!({"kind": "serve", "reach": {"kind": "same_host"}}),
        json!({"kind": "serve", "reach": {"kind": "accepted", "acceptance": acceptance}}),
    ]
    .map(of)
}

fn listener(name: &str, speaks: Speaks) -> Listener {
    Listener { name: name.into(), speaks, ..golden().listeners.remove(0) }
}

#[test]
fn a_listener_is_plain_without_tls_and_requests_go_on_from_where_they_are_opened_or_served() {
    let told = spoken().map(|speaks| {
        let (is_plain, serves, closes_at_s) = (speaks.is_plain(), speaks.serves_plain(), speaks.closes_at_s());
        let it = listener("a", speaks);
        (is_plain, it.is_plain(), serves, it.goes_on(), closes_at_s)
    });
    let never = i64::MAX;
    assert_eq!(
        told,
        [
            (false, false, false, true, never),
            (true, true, false, false, never),
            (true, true, true, true, never),
            (true, true, true, true, CLOSES_S),
        ]
    );
}

#[test]
fn a_question_that_names_no_listener_means_the_first_that_speaks_tls() {
    let [tls, redirect, served, _] = spoken();
    let mut plan = golden();
    let first = |plan: &Plan| plan.first_of_tls().map(|l| l.name.clone());
    plan.listeners = vec![listener("served", served), listener("redirect", redirect)];
    assert_eq!(first(&plan), None);
    plan.listeners.extend([listener("one", tls.clone()), listener("two", tls)]);
    assert_eq!(first(&plan).as_deref(), Some("one"));
}

#[test]
fn what_names_its_listeners_is_reached_by_those_and_what_names_none_by_all() {
    let [tls, ..] = spoken();
    let it = listener("a", tls);
    let named = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert!(it.answers(None) && it.answers(Some(&named(&["b", "a"]))));
    assert!(!it.answers(Some(&named(&["b"]))) && !it.answers(Some(&[])));
}

#[test]
fn only_mail_servers_speak_first() {
    let all = [StartTls::Postgres, StartTls::Smtp, StartTls::Imap, StartTls::Ldap];
    assert_eq!(all.map(StartTls::greets), [false, true, true, false]);
}

#[test]
fn edits_are_none_only_where_nothing_is_removed_set_or_added() {
    let edit = json!({"name": "x", "value": []});
    for (edits, is_empty) in [
        (json!({"remove": [], "set": [], "add": []}), true),
        (json!({"remove": ["x"], "set": [], "add": []}), false),
        (json!({"remove": [], "set": [edit], "add": []}), false),
        (json!({"remove": [], "set": [], "add": [edit]}), false),
    ] {
        assert_eq!(of::<Edits>(edits.clone()).is_empty(), is_empty, "{edits}");
    }
}

#[test]
fn a_bound_is_another_where_other_numbers_are_under_way_or_wait_and_not_for_its_connections() {
    let it = Most { connections: None, requests: Some(2), waiting: 1, wait_s: 5 };
    assert!(it.lets_as_many(&it) && it.lets_as_many(&Most { connections: Some(9), ..it }));
    for other in [Most { requests: None, ..it }, Most { waiting: 2, ..it }, Most { wait_s: 6, ..it }] {
        assert!(!it.lets_as_many(&other), "{other:?}");
    }
}

#[test]
fn a_route_has_limits_of_its_own_where_it_names_others_than_the_file_and_the_files_in_all_else() {
    let file = golden().limits;
    let keys =
        ["connect_s", "first_byte_s", "body_progress_s", "body_bytes", "answer_silence_s", "total_s", "tunnel_idle_s"];
    let silent: Value =
        keys.iter().map(|key| ((*key).to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(of::<RouteLimits>(silent.clone()).over(&file), None);
    let whole = serde_json::to_value(&file).expect("JSON");
    for key in keys {
        let mut same = silent.clone();
        same[key] = whole[key].clone();
        assert_eq!(of::<RouteLimits>(same).over(&file), None, "{key} as the file has it");
        let mut own = silent.clone();
        own[key] = json!(77_777);
        let mut expected = whole.clone();
        expected[key] = json!(77_777);
        assert_eq!(of::<RouteLimits>(own).over(&file), Some(of::<Limits>(expected)), "{key}");
    }
}

fn route(change: impl Fn(&mut Way)) -> Route {
    let mut it = golden().routes.into_iter().find(|r| matches!(r.way, Way::AtEdge { .. })).expect("a route");
    if let Way::AtEdge { path, methods, headers, upstream_protocol, .. } = &mut it.way {
        (*path, *upstream_protocol) = (PathMatch::Any {}, UpstreamProtocol::Http1);
        methods.clear();
        headers.clear();
    }
    change(&mut it.way);
    it
}

#[test]
fn a_route_takes_whatever_comes_by_its_name_unless_it_asks_for_a_path_a_method_or_a_field() {
    assert!(route(|_| ()).matches_by_name_alone());
    let changes: [fn(&mut Way); 3] = [
        |way| {
            let Way::AtEdge { path, .. } = way else { unreachable!() };
            *path = PathMatch::Prefix { path: "/v1".into() };
        },
        |way| {
            let Way::AtEdge { methods, .. } = way else { unreachable!() };
            methods.push("GET".into());
        },
        |way| {
            let Way::AtEdge { headers, .. } = way else { unreachable!() };
            headers.push(of(json!({"of": "field", "name": "x", "equals": "1"})));
        },
    ];
    for change in changes {
        let it = route(change);
        assert!(!it.matches_by_name_alone());
        let asks = it.asks().expect("it is asked for requests");
        let count = usize::from(*asks.path != PathMatch::Any {}) + asks.methods.len() + asks.headers.len();
        assert_eq!(count, 1);
    }
    let passed = golden().routes.into_iter().find(|r| matches!(r.way, Way::AtBackend { .. })).expect("a route");
    assert!(passed.asks().is_none() && passed.matches_by_name_alone() && !passed.is_stream());
}

#[test]
fn a_route_is_a_stream_where_its_tls_ends_here_and_nothing_in_it_is_read() {
    for (protocol, is_stream) in [
        (UpstreamProtocol::Tcp, true),
        (UpstreamProtocol::Http1, false),
        (UpstreamProtocol::Http2, false),
        (UpstreamProtocol::Auto, false),
    ] {
        let it = route(|way| {
            let Way::AtEdge { upstream_protocol, .. } = way else { unreachable!() };
            *upstream_protocol = protocol;
        });
        assert_eq!(it.is_stream(), is_stream, "{protocol:?}");
    }
}

#[test]
fn words_for_others_are_as_they_read_them() {
    assert_eq!([Coding::Zstd, Coding::Br, Coding::Gzip].map(Coding::name), ["zstd", "br", "gzip"]);
    assert_eq!([SameSite::Strict, SameSite::Lax, SameSite::None].map(SameSite::name), ["Strict", "Lax", "None"]);
    for (subdomains, preload, told) in [
        (false, false, "max-age=60"),
        (true, false, "max-age=60; includeSubDomains"),
        (true, true, "max-age=60; includeSubDomains; preload"),
    ] {
        assert_eq!(Hsts { max_age_s: 60, subdomains, preload }.to_string(), told);
    }
    assert!(Target::AsItCame {}.is_as_it_came());
    assert!(!Target::Fixed { path: "/x".into() }.is_as_it_came());
}

#[test]
fn each_place_that_lines_go_to_is_named_once_the_files_own_first() {
    let file = |path: &str| AccessLog::File { path: path.into() };
    assert_eq!(
        [AccessLog::Off {}, AccessLog::Stdout {}].map(|it| it.place().map(str::to_owned)),
        [None, Some("stdout".into())]
    );
    assert_eq!(file("/var/log/a").place(), Some("/var/log/a"));
    let places = |whole: AccessLog, own: &[AccessLog]| {
        let mut plan = golden();
        plan.log.access = whole;
        plan.routes.iter_mut().for_each(|route| route.log = Some(RouteLog::Quiet {}));
        for (route, access) in plan.routes.iter_mut().zip(own) {
            let form = plan.log.form.clone();
            route.log = Some(RouteLog::Own { access: access.clone(), form });
        }
        plan.log_places().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(places(AccessLog::Off {}, &[]), Vec::<String>::new());
    assert_eq!(places(AccessLog::Off {}, &[file("/b"), AccessLog::Off {}, file("/a")]), ["/b", "/a"]);
    assert_eq!(places(file("/a"), &[file("/b"), file("/a"), AccessLog::Stdout {}, file("/b")]), ["/a", "/b", "stdout"]);
}
