//! A WebSocket: what ends it, and when exactly.

use crate::plan::Plan;
use crate::stage::{End, GET, OK, Stage};
use everyhop_engine::fuzzing::Speaks;
use std::rc::Rc;

const UPGRADE: &str = "GET /x HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn tunnel(it: &Stage) -> (Rc<End>, Rc<End>) {
    let client = it.h1();
    it.says(&client, UPGRADE);
    let peer = it.came(0).last().expect("a connection").clone();
    assert!(peer.took().to_lowercase().contains("upgrade: websocket"));
    it.says(&peer, SWITCH);
    assert!(client.took().starts_with("HTTP/1.1 101 "));
    (client, peer)
}

fn carries(it: &Stage, (client, peer): &(Rc<End>, Rc<End>)) {
    it.says(client, "there");
    it.says(peer, "back");
    assert_eq!((peer.took().as_str(), client.took().as_str()), ("there", "back"));
}

fn over((client, peer): &(Rc<End>, Rc<End>)) -> bool {
    assert_eq!(client.is_over(), peer.is_over(), "both ends or none");
    client.is_over()
}

#[test]
fn a_plan_is_let_go_when_nothing_is_asked_by_it_any_more_whatever_stays_open() {
    let plan = Plan::new().websocket().limit("idle_s", 6000).limit("tunnel_idle_s", 6000).limit("first_byte_s", 600);
    let it = Stage::open(&plan);
    let mut kept = Vec::new();
    for round in 0..20 {
        let served = it.h1();
        it.says(&served, GET);
        it.says(it.came(0).last().expect("a connection"), OK);
        assert!(served.took().ends_with("ok"));
        kept.push((it.h1(), it.client(Speaks::Http2), served, tunnel(&it)));
        for _ in 0..50 {
            it.reload(&plan.clone().limit("eject_s", 11 + round));
        }
        assert_eq!(it.plans_held(), 1, "the one that runs");
    }
    assert!(
        kept.iter().all(|(one, two, three, both)| !(one.is_over() || two.is_over() || three.is_over() || over(both)))
    );
    let waiting = it.h1();
    it.says(&waiting, GET);
    it.reload(&plan);
    assert_eq!(it.plans_held(), 2, "a request under way is carried by the plan that admitted it");
    it.says(it.came(0).last().expect("a connection"), OK);
    assert!(waiting.took().ends_with("ok"));
    assert_eq!(it.plans_held(), 1);
}

#[test]
fn a_tunnel_without_a_byte_ends_at_tunnel_idle_s() {
    let it = Stage::open(&Plan::new().websocket().limit("tunnel_idle_s", 600));
    let both = tunnel(&it);
    for _ in 0..3 {
        it.pass_ms(599_999);
        carries(&it, &both);
    }
    it.pass_ms(599_999);
    assert!(!over(&both));
    it.pass_ms(1);
    assert!(over(&both));
}

#[test]
fn a_tunnel_ends_at_max_age_s_however_much_it_carries() {
    let it = Stage::open(&Plan::new().websocket().limit("tunnel_idle_s", 600).limit("max_age_s", 1000));
    let both = tunnel(&it);
    it.pass_ms(500_000);
    carries(&it, &both);
    it.pass_ms(499_999);
    carries(&it, &both);
    it.pass_ms(1);
    assert!(over(&both));
}

#[test]
fn a_tunnel_over_an_accepted_hop_ends_a_drain_after_the_acceptance_to_the_second() {
    let it = Stage::open(&Plan::new().websocket().accepted(2000, 30));
    it.set_unix_s(1000);
    let both = tunnel(&it);
    it.set_unix_s(2029);
    carries(&it, &both);
    it.set_unix_s(2030);
    assert!(over(&both), "whether anything moves or not");
}

#[test]
fn a_tunnel_over_an_accepted_hop_ends_by_its_date_when_nobody_sets_a_clock_too() {
    let it = Stage::open(&Plan::new().websocket().accepted(2000, 30));
    it.set_unix_s(1990);
    let both = tunnel(&it);
    it.pass_s(39);
    assert!(!over(&both));
    it.pass_s(1);
    assert!(over(&both));
}

#[test]
fn an_answer_over_an_accepted_hop_ends_a_drain_after_the_acceptance_however_much_it_carries() {
    let plan = Plan::new().accepted(2000, 30).limit("answer_silence_s", 600).limit("first_byte_s", 600);
    for (silent, chunked) in [(false, true), (true, true), (true, false)] {
        let it = Stage::open(&plan);
        it.set_unix_s(1990);
        let client = it.h1();
        it.says(&client, GET);
        let peer = it.came(0).last().expect("a connection").clone();
        if chunked {
            it.says(&peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        }
        for _ in 0..39 {
            it.pass_s(1);
            if !silent {
                it.says(&peer, "2\r\nok\r\n");
            }
        }
        assert!(!client.is_over() && !peer.is_over(), "silent: {silent}, chunked: {chunked}");
        it.pass_s(1);
        assert!(peer.is_over(), "silent: {silent}, chunked: {chunked}");
        match chunked {
            true => assert!(
                client.is_over() && !client.took().ends_with("0\r\n\r\n"),
                "an answer that is cut is never whole"
            ),
            false => assert!(client.took().contains("hop/acceptance-expired")),
        }
    }
}

#[test]
fn an_accepted_hop_takes_requests_to_its_last_second() {
    let it = Stage::open(&Plan::new().accepted(2000, 30));
    let client = it.h1();
    it.set_unix_s(1999);
    it.served(&client, 0);
    it.set_unix_s(2000);
    it.says(&client, crate::stage::GET);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("hop/acceptance-expired"), "{answer}");
    assert_eq!(it.only(0).took(), "");
    it.set_unix_s(1999);
    it.served(&client, 0);
}

#[test]
fn a_tunnel_goes_on_over_a_plan_that_promises_it_the_same_and_ends_with_its_promise() {
    let plan = Plan::new().websocket();
    let it = Stage::open(&plan);
    let both = tunnel(&it);
    it.reload(&plan.clone().limit("idle_s", 61));
    carries(&it, &both);
    it.reload(&Plan::new());
    assert!(over(&both), "the route allows no tunnel any more");
}

#[test]
fn a_tunnel_outlasts_a_drain_by_nothing() {
    let it = Stage::open(&Plan::new().websocket());
    let both = tunnel(&it);
    it.drain(30);
    carries(&it, &both);
    it.pass_s(29);
    assert!(!over(&both));
    it.pass_s(2);
    assert!(over(&both));
    assert_eq!(it.open_connections(), 0);
}

#[test]
fn a_switch_that_the_route_does_not_allow_makes_no_tunnel() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.says(&client, UPGRADE);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("request/upgrade-refused"), "{answer}");
    assert!(it.came(0).is_empty());
}
