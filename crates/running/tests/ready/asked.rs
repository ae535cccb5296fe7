//! What the edge calls a backend that it asks something by itself, and when one counts as come back.

use crate::kit::plan::*;
use everyhop_running::running::Running;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

fn built(backends: &[Value]) -> Running {
    let mut plan = plan();
    *way(&mut plan, 0, "backends") = json!(backends);
    let mut material = Material::new();
    material.names.insert("srv:_https._tcp.b.test".into(), Vec::new());
    material.built(&plan, None).expect("a plan")
}

#[test]
fn a_backend_is_asked_by_its_name_and_port_or_by_the_name_that_it_must_prove_or_as_this_host() {
    let tls = || reencrypt(verify(roots(None)));
    let service = json!({"kind": "service", "service": "_https._tcp.b.test"});
    let backends = [
        hop(literal(), same_host()),
        hop(literal(), tls()),
        hop(name(), tls()),
        hop(service, tls()),
        hop(unix(), tls()),
        hop(unix(), same_host()),
    ];
    let running = built(&backends);
    let hosts: Vec<_> = running.routes[0].backends.iter().map(|it| it.host().into_owned()).collect();
    assert_eq!(hosts, ["10.0.0.9:2", "10.0.0.9:2", "b.test:1", "b.test", "b.test", "localhost"]);
}

/// By that it begins slowly.
#[test]
fn a_backend_whose_ejection_ended_by_itself_counts_as_come_back() {
    let running = built(&[hop(literal(), same_host())]);
    let it = &running.routes[0].backends[0];
    let until = |ms| {
        it.addresses.load()[0].fares.ejected_until_ms.store(ms, Ordering::Relaxed);
        it.sum_up();
        (it.health.rests(), it.health.back_ms.load(Ordering::Relaxed) > 0)
    };
    assert_eq!(until(0), (false, false), "it was never away");
    assert_eq!(until(u64::MAX - 1), (true, false));
    assert_eq!(until(1), (false, true), "its time is over");
}
