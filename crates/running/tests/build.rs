//! A plan made ready, all or nothing: what is carried over from the plan before, what is new, and what is refused.

mod kit;

use everyhop_plan::{Place, UpstreamProtocol};
use everyhop_record::digest::sha256_hex;
use everyhop_running::backend::BackendRun;
use everyhop_running::build::Brought;
use everyhop_running::material::{Blob, Listed};
use everyhop_running::running::Running;
use kit::{Says, blob};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the supervisor brings beside a plan.
struct Material {
    blob: Blob,
    listed: Vec<Listed>,
    names: HashMap<String, Vec<IpAddr>>,
}

impl Material {
    fn new() -> Material {
        let root = Says::authority("Root").by(None);
        let site = Says::leaf("a.test").by(Some(&root));
        let lists = [("crl/one", root.list(&[9], kit::UNTIL))];
        let blob = blob(&[("site/edge/0", &site), ("identity/me", &site)], &[("ca/one", root.pem())], &lists);
        let listed = ["site/edge/0", "identity/me", "ca/one", "crl/one"].map(|id| listed(id, "a", None)).to_vec();
        let names = HashMap::from([("b.test".into(), vec![ip("10.0.0.1"), ip("10.0.0.2")])]);
        Material { blob, listed, names }
    }

    /// The hash of one of them is another.
    fn with(&self, id: &str, hash: &str) -> Vec<Listed> {
        let other = self.listed.iter().map(|l| if l.id == id { listed(id, hash, None) } else { l.clone() });
        other.collect()
    }

    fn built(&self, plan: &Value, before: Option<&Running>) -> Result<Running, String> {
        self.built_by(plan, before, self.listed.clone())
    }

    fn built_by(&self, plan: &Value, before: Option<&Running>, listed: Vec<Listed>) -> Result<Running, String> {
        let text = plan.to_string();
        let digest = sha256_hex(text.as_bytes());
        self.brought(text, digest, before, listed)
    }

    fn brought(
        &self,
        text: String,
        digest: String,
        before: Option<&Running>,
        material: Vec<Listed>,
    ) -> Result<Running, String> {
        let brought = Brought {
            text,
            digest,
            material,
            material_digest: "material".into(),
            blob: &self.blob,
            names: &self.names,
            threads: 2,
        };
        Running::build(brought, before, |_| Arc::new(AtomicU32::new(7))).map_err(|e| e.0)
    }
}

fn listed(id: &str, hash: &str, not_after_s: Option<i64>) -> Listed {
    Listed { id: id.into(), chain_sha256: hash.into(), key_sha256: None, not_after_s }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn at(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an address"))
}

/// The routes `one` and `two` of `fuzz/`, with a certificate, an identity, and a hop of each kind.
fn plan() -> Value {
    let mut plan: Value = serde_json::from_str(include_str!("../../../fuzz/plan.json")).expect("a plan");
    let source = json!({"chain": "c", "key": "file:k"});
    let named = |material: &str| {
        let mut it = source.clone();
        it["material"] = json!(material);
        it
    };
    plan["sites"][0]["certs"] = json!([named("site/edge/0")]);
    plan["identities"] = json!([named("identity/me")]);
    plan["identities"][0]["name"] = json!("me");
    *way(&mut plan, 0, "pattern") = json!("plaintext");
    *way(&mut plan, 0, "backends") = json!([hop(unix(), same_host()), hop(name(), mutual(verify(roots(None)), false))]);
    *way(&mut plan, 1, "backends") = json!([hop(literal(), reencrypt(verify(roots(None))))]);
    plan
}

fn way<'a>(plan: &'a mut Value, route: usize, key: &str) -> &'a mut Value {
    &mut plan["routes"][route]["way"][key]
}

fn hop(at: Value, hop: Value) -> Value {
    json!({"at": at, "hop": hop})
}

fn unix() -> Value {
    json!({"kind": "unix", "path": "/run/b"})
}

fn name() -> Value {
    json!({"kind": "name", "name": "b.test", "port": 1})
}

fn literal() -> Value {
    json!({"kind": "ip", "ip": "10.0.0.9", "port": 2})
}

fn same_host() -> Value {
    json!({"tls": "plaintext", "reach": {"kind": "same_host"}})
}

fn accepted(closes_at_s: i64) -> Value {
    let acceptance = json!({
        "owner": "test@example.com", "why": "to see it end", "context": "legacy",
        "since": "2026-01-01", "until": "2026-01-02", "closes_at_s": closes_at_s,
    });
    json!({"tls": "plaintext", "reach": {"kind": "accepted", "acceptance": acceptance}})
}

fn roots(crl: Option<&str>) -> Value {
    json!({"kind": "roots", "ca": "ca/one", "crl": crl, "stale_crl": "refuse"})
}

fn verify(by: Value) -> Value {
    json!({"by": by, "name": "b.test"})
}

fn policy() -> Value {
    json!({"versions": ["1.3"], "suites": ["TLS_AES_128_GCM_SHA256"], "groups": ["X25519"]})
}

fn reencrypt(verify: Value) -> Value {
    json!({"tls": "reencrypt", "verify": verify, "policy": policy()})
}

fn mutual(verify: Value, demand_asks: bool) -> Value {
    json!({"tls": "mutual", "verify": verify, "present": "me", "demand_asks": demand_asks, "policy": policy()})
}

fn backends(running: &Running) -> Vec<&Arc<BackendRun>> {
    running.routes.iter().flat_map(|r| &r.backends).collect()
}

fn places(backend: &BackendRun) -> Vec<Option<SocketAddr>> {
    backend.addresses.load().iter().map(|a| a.at).collect()
}

#[test]
fn a_plan_is_made_ready_with_everything_that_it_names() {
    let it = Material::new();
    let mut plan = plan();
    plan["listeners"][0]["accept_proxy"] = json!(["192.0.2.0/24"]);
    plan["routes"][1]["limits"]["connect_s"] = json!(2);
    *way(&mut plan, 1, "paths") = json!("strict");
    let running = it.built(&plan, None).expect("a plan");
    assert_eq!((running.generation, running.text.clone()), (1, plan.to_string()));
    assert_eq!(
        (running.digest.clone(), &*running.material_digest),
        (sha256_hex(plan.to_string().as_bytes()), "material")
    );
    assert_eq!(running.material, it.listed);
    let listener = &running.listeners[0];
    assert_eq!((&*listener.name, listener.limit, listener.count.load(Ordering::Relaxed)), ("public", 20_000, 7));
    assert_eq!((listener.accept_proxy.len(), listener.trusted.len()), (1, 1));
    assert!(listener.accept_proxy[0].contains(ip("192.0.2.7")) && listener.trusted[0].contains(ip("10.9.9.9")));
    let routes: Vec<_> = running.routes.iter().map(|r| (&*r.name, r.pattern, r.strict_paths, r.send_proxy)).collect();
    assert_eq!(routes, [("one", "plaintext", false, false), ("two", "plaintext", true, false)]);
    let connect: Vec<_> = running.routes.iter().map(|r| r.limits.connect_s).collect();
    assert_eq!((connect, running.limits().connect_s), (vec![5, 2], 5));
    let told: Vec<_> = running.routes.iter().map(|r| String::from_utf8_lossy(&r.labels).into_owned()).collect();
    assert!(told[0].contains("\"one\"") && told[1].contains("\"two\"") && told[0].contains(&running.digest));
    assert!(!running.labels.is_empty() && !String::from_utf8_lossy(&running.labels).contains("\"one\""));
    let hops: Vec<_> = backends(&running)
        .iter()
        .map(|b| (b.tls, b.at.as_str(), b.protocol, places(b), b.secured.as_ref().map(|s| (s.presents, s.demand_asks))))
        .collect();
    let (b1, b2) = (at("10.0.0.1:1"), at("10.0.0.2:1"));
    let h1 = UpstreamProtocol::Http1;
    assert_eq!(
        hops,
        [
            ("plaintext", "unix:/run/b", h1, vec![None], None),
            ("mutual", "b.test:1", h1, vec![b1, b2], Some((true, false))),
            ("reencrypt", "10.0.0.9:2", UpstreamProtocol::Http2, vec![at("10.0.0.9:2")], Some((false, false))),
        ]
    );
    assert!(backends(&running).iter().all(|b| b.closes_at_s == i64::MAX && running.has_hop(b.hop_id)));
    assert!(!running.has_hop(1) && running.route(1).is_some() && running.route(2).is_none());
}

#[test]
fn the_words_of_each_pattern_and_of_where_tls_ends_are_those_of_the_plan() {
    let it = Material::new();
    for pattern in ["plaintext", "reencrypt", "mutual"] {
        let mut plan = plan();
        *way(&mut plan, 0, "pattern") = json!(pattern);
        assert_eq!(it.built(&plan, None).expect("a plan").routes[0].pattern, pattern);
    }
    for (word, send_proxy) in [("off", false), ("v2", true)] {
        let mut plan = plan();
        plan["routes"][1]["hosts"] = json!(["c.test"]);
        plan["routes"][1]["way"] = json!({"ends": "at_backend", "send_proxy": word, "backends": [name(), literal()]});
        let running = it.built(&plan, None).expect("a plan");
        let route = &running.routes[1];
        assert_eq!((route.pattern, route.send_proxy, route.strict_paths), ("passthrough", send_proxy, false));
        let hops: Vec<_> = route.backends.iter().map(|b| (b.tls, b.at.as_str(), b.secured.is_none())).collect();
        assert_eq!(hops, [("passthrough", "b.test:1", true), ("passthrough", "10.0.0.9:2", true)]);
    }
}

#[test]
fn a_plan_that_is_not_what_was_named_or_cannot_be_made_ready_changes_nothing() {
    let it = Material::new();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut plan = plan();
        change(&mut plan);
        it.built(&plan, None).err().expect("a refusal")
    };
    let text = plan().to_string();
    let other = it.brought(text, sha256_hex(b"another"), None, it.listed.clone());
    assert_eq!(other.err().expect("a refusal"), "the plan's digest is not that of its text");
    assert!(refused(&|plan| plan["plan"] = json!(2)).contains("plan form 2"));
    assert_eq!(
        refused(&|p| p["listeners"][0]["accept_proxy"] = json!(["10.0.0.0/33"])),
        "\"10.0.0.0/33\" is not a network"
    );
    assert_eq!(refused(&|p| p["listeners"][0]["trusted_proxies"] = json!(["x"])), "\"x\" is not a network");
    assert_eq!(refused(&|p| p["identities"] = json!([])), "identity \"me\" is not there");
    assert_eq!(
        refused(&|p| p["sites"][0]["certs"][0]["material"] = json!("site/9")),
        "material \"site/9\" was not sent"
    );
    let nameless = |p: &mut Value| {
        let mut odd = verify(roots(None));
        odd["name"] = json!("-");
        *way(p, 1, "backends") = json!([hop(literal(), reencrypt(odd))]);
    };
    assert_eq!(refused(&nameless), "\"-\" is no name of a server");
}

#[test]
fn what_did_not_change_is_carried_over_and_what_is_new_begins_anew() {
    let it = Material::new();
    let before = it.built(&plan(), None).expect("a plan");
    let mut changed = plan();
    changed["routes"][1]["name"] = json!("three");
    let after = it.built(&changed, Some(&before)).expect("a plan");
    assert_eq!((before.generation, after.generation), (1, 2));
    let same: Vec<_> = backends(&before).iter().zip(backends(&after)).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(same, [true; 3], "hops are those of no route");
    assert!(Arc::ptr_eq(&before.routes[0].stats, &after.routes[0].stats));
    assert!(!Arc::ptr_eq(&before.routes[1].stats, &after.routes[1].stats), "a route is known by its name");
    assert!(Arc::ptr_eq(&before.elsewhere, &after.elsewhere));
    let sent = |a: usize, b: usize| {
        let pairs = before.routes[a].sent.iter().zip(&after.routes[b].sent);
        pairs.map(|(x, y)| Arc::ptr_eq(x, y)).collect::<Vec<_>>()
    };
    assert_eq!((sent(0, 0), sent(1, 1)), (vec![true; 2], vec![false]));
    let mut turned = plan();
    way(&mut turned, 0, "backends").as_array_mut().expect("backends").reverse();
    let turned = it.built(&turned, Some(&before)).expect("a plan");
    for (from, to) in [(0, 1), (1, 0)] {
        assert!(Arc::ptr_eq(&before.routes[0].sent[from], &turned.routes[0].sent[to]), "each hop its own count");
    }
}

/// Which of two hops are one: those of the first plan and those of the second.
fn is_one_hop(it: &Material, plans: [&Value; 2], listed: Vec<Listed>) -> bool {
    let before = it.built(plans[0], None).expect("a plan");
    let after = it.built_by(plans[1], Some(&before), listed).expect("a plan");
    let (a, b) = (&before.routes[1].backends[0], &after.routes[1].backends[0]);
    assert_eq!(a.hop_id == b.hop_id, Arc::ptr_eq(a, b));
    Arc::ptr_eq(a, b)
}

#[test]
fn a_hop_is_another_as_soon_as_anything_that_its_connections_depend_on_is() {
    let it = Material::new();
    let of = |at: Value, how: Value| {
        let mut plan = plan();
        *way(&mut plan, 1, "backends") = json!([hop(at, how)]);
        plan
    };
    let pins = |digit: &str| json!({"kind": "pins", "sha256": [digit.repeat(64)], "name_too": true});
    let mut other_name = verify(roots(None));
    other_name["name"] = json!("c.test");
    let mut other_policy = reencrypt(verify(roots(None)));
    other_policy["policy"]["groups"] = json!(["secp256r1"]);
    let listed_roots = reencrypt(verify(roots(Some("crl/one"))));
    let ours = reencrypt(verify(roots(None)));
    let shown = mutual(verify(roots(None)), false);
    let same =
        |a: (Value, Value), b: (Value, Value)| is_one_hop(&it, [&of(a.0, a.1), &of(b.0, b.1)], it.listed.clone());
    for how in [&ours, &shown, &listed_roots, &same_host(), &accepted(2_000_000_000), &reencrypt(verify(pins("a")))] {
        assert!(same((literal(), how.clone()), (literal(), how.clone())), "{how}");
        assert!(!same((literal(), how.clone()), (name(), how.clone())), "another place: {how}");
        let mut h1 = of(literal(), how.clone());
        *way(&mut h1, 1, "upstream_protocol") = json!("http/1.1");
        assert!(!is_one_hop(&it, [&of(literal(), how.clone()), &h1], it.listed.clone()), "another protocol: {how}");
    }
    for (a, b) in [
        (&ours, &other_policy),
        (&ours, &reencrypt(other_name)),
        (&ours, &shown),
        (&ours, &listed_roots),
        (&ours, &same_host()),
        (&ours, &reencrypt(verify(pins("a")))),
        (&reencrypt(verify(pins("a"))), &reencrypt(verify(pins("b")))),
        (&shown, &mutual(verify(roots(None)), true)),
        (&same_host(), &accepted(2_000_000_000)),
        (&accepted(2_000_000_000), &accepted(2_000_000_001)),
    ] {
        assert!(!same((literal(), a.clone()), (literal(), b.clone())), "{a} {b}");
    }
    for (how, id, one) in [
        (&ours, "ca/one", false),
        (&ours, "identity/me", true),
        (&shown, "identity/me", false),
        (&listed_roots, "crl/one", false),
        (&ours, "crl/one", true),
        (&same_host(), "ca/one", true),
    ] {
        let plan = of(literal(), how.clone());
        assert_eq!(is_one_hop(&it, [&plan, &plan], it.with(id, "b")), one, "other bytes of {id}: {how}");
    }
}

#[test]
fn an_accepted_hop_closes_with_its_acceptance() {
    let it = Material::new();
    let mut plan = plan();
    *way(&mut plan, 1, "backends") = json!([hop(literal(), accepted(1_893_456_000))]);
    assert_eq!(it.built(&plan, None).expect("a plan").routes[1].backends[0].closes_at_s, 1_893_456_000);
}

#[test]
fn a_hop_that_several_routes_have_is_one() {
    let it = Material::new();
    let mut plan = plan();
    let shared = mutual(verify(roots(None)), true);
    *way(&mut plan, 0, "backends") = json!([hop(unix(), same_host()), hop(name(), shared.clone())]);
    *way(&mut plan, 1, "backends") = json!([hop(name(), shared)]);
    *way(&mut plan, 1, "upstream_protocol") = json!("http/1.1");
    let running = it.built(&plan, None).expect("a plan");
    let all = backends(&running);
    assert!(Arc::ptr_eq(all[1], all[2]) && !Arc::ptr_eq(all[0], all[1]));
    assert!(all[2].secured.as_ref().is_some_and(|s| s.demand_asks));
    running.routes[0].sends_to(all[1]);
    running.routes[0].sends_to(all[1]);
    running.routes[1].sends_to(all[2]);
    running.routes[1].sends_to(all[0]);
    let sent: Vec<Vec<_>> =
        running.routes.iter().map(|r| r.sent.iter().map(|n| n.load(Ordering::Relaxed)).collect()).collect();
    assert_eq!(sent, [vec![0, 2], vec![1]], "each route counts what went from it, to what it has");
}

#[test]
fn a_site_is_over_when_the_last_of_its_certificates_is_and_never_where_no_end_is_known() {
    let it = Material::new();
    let mut plan = plan();
    let cert = json!({"material": "identity/me", "chain": "c", "key": "file:k"});
    plan["sites"][0]["certs"].as_array_mut().expect("certs").push(cert);
    for (ends, expected) in
        [([Some(5), Some(9)], 9), ([Some(9), Some(5)], 9), ([Some(5), None], i64::MAX), ([None, None], i64::MAX)]
    {
        let [one, two] = ends;
        let all = vec![listed("site/edge/0", "a", one), listed("identity/me", "a", two)];
        let running = it.built_by(&plan, None, all).expect("a plan");
        assert_eq!(running.sites[0].not_after_s, expected);
    }
    plan["sites"][0]["certs"] = json!([]);
    assert_eq!(it.built(&plan, None).expect("a plan").sites[0].not_after_s, i64::MAX);
}

/// Whether sessions of the first are taken up in the second.
fn is_one_promise(it: &Material, plans: [&Value; 2], listed: Vec<Listed>) -> bool {
    let before = it.built(plans[0], None).expect("a plan");
    let after = it.built_by(plans[1], Some(&before), listed).expect("a plan");
    let (a, b) = (&before.sites[0], &after.sites[0]);
    assert_eq!(a.promise == b.promise, a.resume_key == b.resume_key);
    let kept = Arc::ptr_eq(&a.config.ticketer, &b.config.ticketer);
    assert_eq!(
        (kept, Arc::ptr_eq(&a.config.session_storage, &b.config.session_storage)),
        (a.promise == b.promise, kept)
    );
    kept
}

#[test]
fn who_may_come_back_to_a_site_comes_back_over_a_reload_unless_what_was_asked_of_clients_changed() {
    let it = Material::new();
    let of = |clients: Value| {
        let mut plan = plan();
        plan["sites"][0]["clients"] = clients;
        plan
    };
    let demand = |mode: &str, crl: Option<&str>, stale: &str| json!({"mode": mode, "ca": "ca/one", "crl": crl, "stale_crl": stale});
    let nothing = of(json!({"mode": "nothing"}));
    let ask = of(demand("ask", None, "refuse"));
    let require = of(demand("require", Some("crl/one"), "refuse"));
    let allow = of(demand("require", Some("crl/one"), "allow"));
    let mut strict = nothing.clone();
    strict["sites"][0]["policy"]["versions"] = json!(["1.3"]);
    let mut renamed = nothing.clone();
    renamed["sites"][0]["name"] = json!("other");
    let mut wider = require.clone();
    wider["sites"][0]["hosts"] = json!(["a.test", "b.test", "c.test"]);
    let all = [&nothing, &ask, &require, &allow, &strict, &renamed];
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            assert_eq!(is_one_promise(&it, [a, b], it.listed.clone()), i == j, "{i} {j}");
        }
    }
    assert!(is_one_promise(&it, [&require, &wider], it.listed.clone()), "names alone change nothing of it");
    for (plan, id, same) in [
        (&require, "ca/one", false),
        (&require, "crl/one", false),
        (&require, "site/edge/0", true),
        (&ask, "ca/one", false),
        (&ask, "crl/one", true),
        (&nothing, "ca/one", true),
    ] {
        assert_eq!(is_one_promise(&it, [plan, plan], it.with(id, "b")), same, "other bytes of {id}");
    }
    let knows: Vec<_> =
        [&nothing, &ask, &require].map(|p| it.built(p, None).expect("a plan").sites[0].knows_clients).to_vec();
    assert_eq!(knows, [false, true, true]);
}

#[test]
fn a_list_that_is_overdue_ends_what_a_backend_proved_unless_it_holds_all_the_same() {
    use everyhop_record::facts::{Peer, TlsFacts};
    let it = Material::new();
    let all = vec![listed("crl/one", "a", Some(2_000_000_000)), listed("ca/one", "a", Some(1))];
    for (crl, stale, ends_s) in [
        (Some("crl/one"), "refuse", 2_000_000_000),
        (Some("crl/one"), "allow", 3_000_000_000),
        (None, "refuse", 3_000_000_000),
    ] {
        let mut by = roots(crl);
        by["stale_crl"] = json!(stale);
        let mut plan = plan();
        *way(&mut plan, 1, "backends") = json!([hop(literal(), reencrypt(verify(by)))]);
        let running = it.built_by(&plan, None, all.clone()).expect("a plan");
        let secured = running.routes[1].backends[0].secured.as_ref().expect("TLS");
        let peer = Peer { names: Vec::new(), key_sha256: String::new(), not_after_s: 3_000_000_000 };
        let facts = TlsFacts { peer: Some(peer), ..TlsFacts::default() };
        assert_eq!(secured.proven(&facts, true, &secured.begin().1).ends_s, ends_s);
        assert_eq!(
            secured.proven(&TlsFacts::default(), true, &secured.begin().1).ends_s,
            i64::MIN,
            "whom nobody knows"
        );
    }
}

#[test]
fn names_of_backends_move_with_what_is_known_of_the_addresses_that_stay() {
    let it = Material::new();
    let running = it.built(&plan(), None).expect("a plan");
    let backend = &running.routes[0].backends[1];
    assert!(matches!(backend.place, Place::Name { .. }));
    let first = backend.addresses.load()[0].fares.clone();
    for address in backend.addresses.load().iter() {
        address.fares.ejected_until_ms.store(u64::MAX, Ordering::Relaxed);
    }
    backend.sum_up();
    assert!(backend.health.is_ejected());
    running.resolve(&HashMap::from([("c.test".into(), vec![ip("10.0.0.7")])]));
    assert_eq!(places(backend), [at("10.0.0.1:1"), at("10.0.0.2:1")], "another's name");
    running.resolve(&HashMap::from([("b.test".into(), vec![ip("10.0.0.3"), ip("10.0.0.1")])]));
    assert_eq!(places(backend), [at("10.0.0.3:1"), at("10.0.0.1:1")]);
    assert!(!backend.health.is_ejected(), "an address that nobody tried");
    let kept = backend.addresses.load();
    assert!(Arc::ptr_eq(&kept[1].fares, &first) && !kept[0].fares.is_ejected());
    running.resolve(&HashMap::from([("b.test".into(), Vec::new())]));
    assert_eq!(places(backend), []);
    assert_eq!(places(&running.routes[1].backends[0]), [at("10.0.0.9:2")], "what is no name does not move");
}
