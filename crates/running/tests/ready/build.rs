//! A plan made ready, all or nothing: with what it names, until when each of it holds, and what is refused.

use crate::kit::plan::*;
use everyhop_plan::UpstreamProtocol;
use everyhop_record::digest::sha256_hex;
use everyhop_record::facts::{Peer, TlsFacts};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

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
    let told: Vec<_> = running.routes.iter().map(|r| String::from_utf8_lossy(&r.lines.labels).into_owned()).collect();
    assert!(told[0].contains("\"one\"") && told[1].contains("\"two\"") && told[0].contains(&running.digest));
    assert!(!running.lines.labels.is_empty() && !String::from_utf8_lossy(&running.lines.labels).contains("\"one\""));
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
    assert!(backends(&running).iter().all(|b| b.closes_at_s == i64::MAX && running.uses_hop(b.hop_id)));
    assert!(!running.uses_hop(1) && running.route(1).is_some() && running.route(2).is_none());
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
        plan["routes"][1]["hosts"] = json!(["p.test"]);
        plan["routes"][1]["way"] = json!({"ends": "at_backend", "allow_networks": null, "send_proxy": word, "starttls": null, "spread": null, "backends": [name(), literal()]});
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
fn an_accepted_hop_closes_with_its_acceptance() {
    let it = Material::new();
    let mut plan = plan();
    *way(&mut plan, 1, "backends") = json!([hop(literal(), accepted(1_893_456_000))]);
    assert_eq!(it.built(&plan, None).expect("a plan").routes[1].backends[0].closes_at_s, 1_893_456_000);
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

#[test]
fn a_list_that_is_overdue_ends_what_a_backend_proved_unless_it_holds_all_the_same() {
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
        let peer = Peer::new([], "", String::new(), 3_000_000_000);
        let facts = TlsFacts { peer: Some(Box::new(peer)), ..TlsFacts::default() };
        assert_eq!(secured.proven(&facts, true, &secured.begin(None, false).1).ends_s, ends_s);
        assert_eq!(
            secured.proven(&TlsFacts::default(), true, &secured.begin(None, false).1).ends_s,
            i64::MIN,
            "whom nobody knows"
        );
    }
}

#[test]
fn a_route_has_edits_only_where_it_names_some() {
    let it = Material::new();
    let mut plan = plan();
    *way(&mut plan, 0, "request") = json!({"remove": ["x-one"], "set": [], "add": []});
    *way(&mut plan, 1, "response") = json!({"remove": ["x-two"], "set": [], "add": []});
    let running = it.built(&plan, None).expect("a plan");
    let removed = |edits: Option<&everyhop_plan::Edits>| edits.map(|e| e.remove.clone());
    let all: Vec<_> = running
        .routes
        .iter()
        .map(|r| (removed(r.request.as_ref()), removed(r.response.as_ref().map(|it| &it.edits))))
        .collect();
    assert_eq!(all, [(Some(vec!["x-one".into()]), None), (None, Some(vec!["x-two".into()]))]);
}

#[test]
fn what_waits_for_a_list_is_closed_until_it_is_there_and_a_list_in_a_file_is_not_waited_for() {
    let mut it = Material::new();
    let asks = |crl: &str| {
        let mut plan = plan();
        plan["sites"][0]["clients"] = json!({"mode": "require", "ca": "ca/one", "crl": crl, "stale_crl": "refuse"});
        *way(&mut plan, 1, "backends") = json!([hop(literal(), reencrypt(verify(roots(Some(crl)))))]);
        plan
    };
    for crl in ["crl/https://lists.test/ca.crl", "crl/http://lists.test/ca.crl", "crl/identity:me"] {
        let waits = it.built(&asks(crl), None).expect("it is yet to come");
        assert!(waits.sites[0].is_uncertified && waits.routes[1].backends[0].is_uncertified, "{crl}");
        let list = it.blob.crls["crl/one"].clone();
        it.blob.crls.insert(crl.to_owned(), list);
        it.listed.push(listed(crl, "a", None));
        let there = it.built(&asks(crl), Some(&waits)).expect("it is there");
        assert!(!there.sites[0].is_uncertified && !there.routes[1].backends[0].is_uncertified, "{crl}");
    }
    assert!(it.built(&asks("crl/https.pem"), None).is_err_and(|why| why.contains("was not sent")));
}
