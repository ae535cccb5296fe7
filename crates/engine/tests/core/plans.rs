//! Another plan between two requests, within one, and while a connection waits; and the end of all plans, a drain.

use crate::plan::Plan;
use crate::stage::{GET, OK, Stage};

#[test]
fn the_next_request_of_an_open_connection_goes_where_the_new_plan_says() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.served(&client, 0);
    it.reload(&Plan::new().backends(&[1]));
    it.served(&client, 1);
    assert!(it.came(0).iter().all(|e| e.took().is_empty()));
    it.reload(&Plan::new().backends(&[1]).path("/elsewhere"));
    it.says(&client, GET);
    assert!(client.took().starts_with("HTTP/1.1 404"), "a plan without a route for it serves it no more");
}

#[test]
fn a_request_that_is_under_way_is_finished_by_the_plan_that_admitted_it() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.says(&client, GET);
    it.reload(&Plan::new().backends(&[1]));
    it.says(&it.only(0), OK);
    assert!(client.took().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_connection_to_a_backend_that_the_new_plan_does_not_have_does_not_wait_for_another_request() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.served(&client, 0);
    assert!(!it.only(0).is_over());
    it.reload(&Plan::new().backends(&[1]));
    assert!(it.only(0).is_over(), "at once");
}

#[test]
fn a_connection_that_comes_back_after_its_backend_left_the_plan_is_closed() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.says(&client, GET);
    it.reload(&Plan::new().backends(&[1]));
    it.says(&it.only(0), OK);
    assert!(client.took().ends_with("ok"));
    assert!(it.only(0).is_over(), "nobody may use it, so nobody keeps it");
    it.reload(&Plan::new());
    it.served(&client, 0);
    assert_eq!(it.came(0).len(), 2, "back in the plan, it begins anew");
}

#[test]
fn a_plan_that_changes_nothing_of_a_backend_keeps_its_connections_and_its_health() {
    let plan = Plan::new().backends(&[0, 1]).limit("eject_after", 1).limit("upstream_idle_s", 600);
    let it = Stage::open(&plan);
    it.fall(0);
    let client = it.h1();
    it.served(&client, 1);
    it.served(&client, 1);
    assert_eq!(it.ejected(), [true, false]);
    it.reload(&plan.limit("idle_s", 61));
    assert_eq!(it.ejected(), [true, false], "a reload heals nobody");
    it.served(&client, 1);
    assert_eq!(it.came(1).len(), 1);
}

#[test]
fn a_connection_to_a_site_that_makes_other_promises_now_ends_between_two_requests() {
    let it = Stage::open(&Plan::new());
    let (idle, busy) = (it.h1(), it.h1());
    it.says(&busy, GET);
    it.reload(&Plan::new().wider_site());
    assert!(!idle.is_over(), "another name of the site is nothing to it");
    it.reload(&Plan::new().stricter_site());
    assert!(idle.is_over(), "what its handshake proved is not what is asked for now");
    it.says(&it.only(0), OK);
    assert!(busy.took().starts_with("HTTP/1.1 200"), "its request was admitted");
    assert!(busy.is_over());
}

#[test]
fn a_drain_ends_who_waits_at_once_and_who_is_served_with_the_answer() {
    let it = Stage::open(&Plan::new());
    let (idle, busy) = (it.h1(), it.h1());
    it.says(&busy, GET);
    it.drain(30);
    assert!(idle.is_over() && !busy.is_over());
    it.pass_s(29);
    it.says(&it.only(0), OK);
    assert!(busy.took().starts_with("HTTP/1.1 200"));
    it.pass_s(1);
    assert!(busy.is_over());
    assert_eq!(it.open_connections(), 0);
}

#[test]
fn what_is_not_answered_by_the_end_of_a_drain_is_told_so() {
    let it = Stage::open(&Plan::new().limit("first_byte_s", 600));
    let client = it.h1();
    it.says(&client, GET);
    it.drain(30);
    it.pass_s(29);
    assert_eq!(client.took(), "");
    it.pass_s(2);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection/draining"), "{answer}");
    it.pass_s(1);
    assert_eq!(it.open_connections(), 0);
}

#[test]
fn a_site_serves_to_the_last_second_before_its_certificates_end_and_no_request_after() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    // On this stage no certificate ends before time does.
    it.set_unix_s(i64::MAX - 1);
    it.served(&client, 0);
    it.set_unix_s(i64::MAX);
    it.says(&client, GET);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("site/certificate-expired"), "{answer}");
    assert_eq!(it.only(0).took(), "");
}

#[test]
fn a_client_asks_to_the_last_second_of_its_certificate_and_not_after() {
    let it = Stage::open(&Plan::new());
    it.set_unix_s(1000);
    let client = it.h1_until(2000);
    it.set_unix_s(2000);
    it.served(&client, 0);
    let (first, rest) = GET.split_at(5);
    it.says(&client, first);
    it.set_unix_s(2001);
    it.says(&client, rest);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 421") && answer.contains("request/client-certificate-expired"), "{answer}");
    assert_eq!(it.only(0).took(), "");
}
