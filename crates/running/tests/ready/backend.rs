//! A backend as threads share it: where it is now, until when it may be used, and what is counted of it.

use super::kit::plan::{Material, plan, way};
use arc_swap::ArcSwap;
use everyhop_plan::{Place, UpstreamProtocol};
use everyhop_record::refusal::Refusal;
use everyhop_running::address::{Address, Found, Rank, resolved};
use everyhop_running::backend::{BackendRun, Health};
use everyhop_transport::clock::steady_ms;
use serde_json::json;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn addr(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an address"))
}

fn backend(place: Place, addresses: &[&str], closes_at_s: i64) -> BackendRun {
    BackendRun {
        hop_id: 1,
        kin_id: 1,
        check: None,
        at: "b".into(),
        place,
        addresses: ArcSwap::from_pointee(addresses.iter().map(|a| Address::new(addr(a))).collect()),
        tls: "plaintext",
        secured: None,
        is_uncertified: false,
        protocol: UpstreamProtocol::Http1,
        lenient_answers: false,
        closes_at_s,
        health: Health::default(),
        open: Arc::default(),
        turn: AtomicUsize::new(0),
    }
}

fn name() -> Place {
    Place::Name { name: "b.test".into(), port: 1 }
}

#[test]
fn failed_tries_are_counted_by_slug() {
    let it = Health::default();
    assert_eq!(it.failed(), []);
    for slug in ["hop/refused", "hop/expired", "hop/refused", "hop/refused"] {
        it.count(slug);
    }
    assert_eq!(it.failed(), [("hop/refused", 3), ("hop/expired", 1)]);
}

#[test]
fn a_connection_is_to_a_name_as_long_as_its_address_is_one_of_it() {
    let it = backend(name(), &["10.0.0.1:1", "10.0.0.2:1"], i64::MAX);
    assert!(it.is_at(addr("10.0.0.1:1")) && it.is_at(addr("10.0.0.2:1")));
    assert!(!it.is_at(addr("10.0.0.3:1")) && !it.is_at(addr("10.0.0.1:2")) && !it.is_at(None));
    it.addresses.store(Arc::new(vec![Address::new(addr("10.0.0.3:1"))]));
    assert!(it.is_at(addr("10.0.0.3:1")) && !it.is_at(addr("10.0.0.1:1")), "the name moved");
    let fixed = Place::Ip { ip: [10, 0, 0, 1].into(), port: 1 };
    assert!(backend(fixed, &[], i64::MAX).is_at(addr("10.0.0.1:1")), "what is no name does not move");
}

#[test]
fn a_connection_to_a_service_serves_until_addresses_of_a_lower_priority_are_back() {
    let it = backend(Place::Service { service: "_https._tcp.b.test".into() }, &[], i64::MAX);
    assert_eq!(it.at, "b");
    assert_eq!(it.closed(0), Some(Refusal::Unresolved));
    let ranked = |at: &str, priority| Address::ranked(addr(at), Rank { priority, weight: 0 });
    let all = vec![ranked("10.0.0.1:1", 10), ranked("10.0.0.1:2", 10), ranked("10.0.0.2:1", 20)];
    it.addresses.store(Arc::new(all.clone()));
    let serves = |it: &BackendRun| ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"].map(|at| it.is_at(addr(at)));
    assert_eq!(serves(&it), [true, true, false]);
    all[0].fares.eject(u64::MAX, 0, 1);
    assert_eq!(serves(&it), [true, true, false], "one of the lowest is left");
    all[1].fares.eject(u64::MAX, 0, 1);
    assert_eq!(serves(&it), [true, true, true]);
    all[1].fares.back();
    assert_eq!(serves(&it), [true, true, false]);
    assert!(!it.is_at(addr("10.0.0.9:1")));
}

#[test]
fn what_a_name_leads_to_is_read_as_the_supervisor_says_it() {
    let names = serde_json::from_str(
        r#"{"b.test": ["10.0.0.1", "2001:db8::1"], "srv:_x._tcp.b.test": [["10.0.0.1:5", 10, 60], "10.0.0.2"]}"#,
    );
    let names: HashMap<String, Vec<Found>> = names.expect("names");
    let at = |text| addr(text).expect("one");
    let service = |name: &str| Place::Service { service: name.into() };
    assert_eq!(
        resolved(&service("_x._tcp.b.test"), &names),
        Some(vec![(at("10.0.0.1:5"), Rank { priority: 10, weight: 60 })])
    );
    let plain = vec![(at("10.0.0.1:1"), Rank::default()), (at("[2001:db8::1]:1"), Rank::default())];
    assert_eq!(resolved(&name(), &names), Some(plain));
    assert_eq!(resolved(&service("_y._tcp.b.test"), &names), None);
    assert_eq!(resolved(&Place::Unix { path: "/run/b".into() }, &names), None);
}

#[test]
fn a_backend_takes_nothing_from_the_second_on_at_which_it_closes_nor_while_its_name_leads_nowhere() {
    let it = backend(name(), &["10.0.0.1:1"], 2000);
    assert!(it.closed(1999).is_none());
    assert_eq!(it.closed(2000), Some(Refusal::AcceptanceExpired));
    it.addresses.store(Arc::default());
    assert_eq!(it.closed(1999), Some(Refusal::Unresolved));
    let unix = backend(Place::Unix { path: "/run/b".into() }, &[], 2000);
    assert!(unix.closed(1999).is_none());
}

#[test]
fn a_backend_is_left_alone_only_if_each_of_its_addresses_is() {
    let it = backend(name(), &["10.0.0.1:1", "10.0.0.2:1"], i64::MAX);
    let eject = |at: usize, until| {
        it.addresses.load()[at].fares.ejected_until_ms.store(until, Ordering::Relaxed);
        it.sum_up();
        it.health.rests()
    };
    assert!(!eject(0, u64::MAX) && eject(1, u64::MAX));
    assert!(!eject(0, 0), "one healed");
    assert!(!eject(0, 1), "its time is over");
    let soon = steady_ms() + 20;
    eject(0, soon);
    let began = Instant::now();
    while it.health.rests() {
        assert!(began.elapsed() < Duration::from_secs(30), "its time is over, and nobody had to say so");
        std::thread::yield_now();
    }
    assert!(steady_ms() >= soon);
}

#[test]
fn as_many_connections_are_open_as_may_be_and_one_more_when_one_has_ended() {
    let (it, other) = (Material::new(), Material::new());
    let mut plan = plan();
    *way(&mut plan, 0, "most") = json!({"connections": 5, "requests": null, "waiting": 0, "wait_s": 5});
    let running = it.built(&plan, None).expect("a plan");
    let route = &running.routes[0];
    let backend = &route.backends[0];
    let held: Vec<_> = (0..5).map(|_| route.room(backend).expect("room").expect("it is counted")).collect();
    assert_eq!(route.room(backend).err(), Some(Refusal::HopFull));
    drop(held);
    let most = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let _room = route.room(backend);
                    most.fetch_max(backend.open.load(Ordering::Relaxed), Ordering::Relaxed);
                }
            });
        }
    });
    assert!((1..=5).contains(&most.into_inner()) && backend.open.load(Ordering::Relaxed) == 0);
    let free = other.built(&super::kit::plan::plan(), None).expect("a plan");
    assert!(free.routes[0].room(&free.routes[0].backends[0]).is_ok_and(|it| it.is_none()), "nobody counts");
}
