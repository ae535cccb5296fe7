//! Which backend gets a request, when it is asked once more, and what becomes of a connection that waits for the next.

use crate::plan::Plan;
use crate::stage::{End, GET, OK, Stage};

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

fn get(it: &Stage, client: &End) -> String {
    it.says(client, GET);
    client.took()
}

#[test]
fn a_connection_is_kept_for_upstream_idle_s_and_then_closed() {
    let it = Stage::open(&Plan::new().limit("upstream_idle_s", 30));
    let client = it.h1();
    it.served(&client, 0);
    it.pass_ms(29_999);
    it.served(&client, 0);
    assert_eq!(it.came(0).len(), 1, "the same one, to its last millisecond");
    it.pass_ms(29_999);
    assert!(!it.only(0).is_over());
    it.pass_ms(1);
    assert!(it.only(0).is_over(), "nobody uses it again, so nobody holds it");
    it.served(&client, 0);
    assert_eq!(it.came(0).len(), 2);
}

#[test]
fn a_connection_that_its_backend_keeps_for_less_is_left_before_that_so_that_no_request_meets_its_end() {
    for (said, kept_ms) in [("timeout=2", 1000), ("max=100, timeout=3", 2000), ("timeout=1", 500), ("timeout=60", 4000)]
    {
        let it = Stage::open(&Plan::new().limit("upstream_idle_s", 4));
        let client = it.h1();
        let kept = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {said}\r\nContent-Length: 2\r\n\r\nok");
        it.says(&client, GET);
        it.says(&it.only(0), &kept);
        it.pass_ms(kept_ms - 1);
        it.says(&client, GET);
        it.says(&it.only(0), &kept);
        assert!(!client.took().to_lowercase().contains("keep-alive"), "it is of that connection alone");
        it.pass_ms(kept_ms);
        assert!(it.only(0).is_over(), "{said}");
        it.served(&client, 0);
        assert_eq!(it.came(0).len(), 2, "{said}");
    }
}

#[test]
fn no_more_connections_wait_than_upstream_idle_connections() {
    let it = Stage::open(&Plan::new().limit("upstream_idle_connections", 2));
    let clients: Vec<_> = (0..4).map(|_| it.h1()).collect();
    for client in &clients {
        it.says(client, GET);
    }
    for peer in it.came(0) {
        it.says(&peer, OK);
    }
    assert_eq!(it.came(0).iter().filter(|e| !e.is_over()).count(), 2);
}

#[test]
fn a_connection_that_said_something_while_it_waited_is_used_by_nobody() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.served(&client, 0);
    it.says(&it.only(0), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    let answer = it.served(&client, 0);
    assert!(!answer.contains("poison") && answer.ends_with("ok"), "{answer}");
    assert_eq!(it.came(0).len(), 2);
}

#[test]
fn what_a_backend_says_behind_its_answer_ends_the_connection() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.says(&client, GET);
    it.says(&it.only(0), [OK, OK].concat());
    assert_eq!(client.took().matches("HTTP/1.1 200").count(), 1);
    it.served(&client, 0);
    assert_eq!(it.came(0).len(), 2);
}

#[test]
fn a_get_whose_kept_connection_dies_goes_once_more_and_only_once() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.served(&client, 0);
    it.says(&client, GET);
    it.closes(&it.only(0));
    assert_eq!(client.took(), "", "it is under way again");
    let again = it.came(0).last().unwrap().clone();
    assert!(again.took().starts_with("GET /x "));
    it.closes(&again);
    let answer = client.took();
    assert_eq!(status(&answer), "502");
    assert!(answer.contains("hop/closed"), "{answer}");
    assert_eq!(it.came(0).len(), 2);
}

#[test]
fn a_get_whose_first_connection_dies_is_not_sent_to_a_lone_backend_again() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    it.says(&client, GET);
    it.closes(&it.only(0));
    assert_eq!(status(&client.took()), "502");
    assert_eq!(it.came(0).len(), 1);
}

#[test]
fn a_get_whose_backend_dies_goes_to_another_one() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]));
    let client = it.h1();
    it.says(&client, GET);
    let first = usize::from(it.came(0).is_empty());
    it.closes(&it.only(first));
    it.says(&it.only(1 - first), OK);
    assert_eq!(status(&client.took()), "200");
}

#[test]
fn a_get_is_sent_twice_at_most_however_many_backends_there_are() {
    let it = Stage::open(&Plan::new().backends(&[0, 1, 2]));
    let client = it.h1();
    it.says(&client, GET);
    for _ in 0..3 {
        (0..3).flat_map(|i| it.came(i)).filter(|e| !e.took().is_empty()).for_each(|e| it.closes(&e));
    }
    assert_eq!(status(&client.took()), "502");
    assert_eq!((0..3).map(|i| it.came(i).len()).sum::<usize>(), 2);
}

#[test]
fn a_post_is_sent_once_whatever_becomes_of_it() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]));
    let client = it.h1();
    for _ in 0..2 {
        // So that there is a kept connection to each.
        it.says(&client, GET);
        for i in 0..2 {
            it.came(i).iter().filter(|e| !e.took().is_empty()).for_each(|e| it.says(e, OK));
        }
        assert_eq!(status(&client.took()), "200");
    }
    it.says(&client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    let asked = (0..2).flat_map(|i| it.came(i)).find(|e| e.took().starts_with("POST / ")).expect("it came");
    it.closes(&asked);
    assert_eq!(status(&client.took()), "502");
    assert!((0..2).flat_map(|i| it.came(i)).all(|e| e.took().is_empty()), "nobody else got it");
}

#[test]
fn a_get_that_was_answered_in_part_is_not_sent_again() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]));
    let client = it.h1();
    it.says(&client, GET);
    let first = usize::from(it.came(0).is_empty());
    it.says(&it.only(first), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha");
    it.closes(&it.only(first));
    assert!(client.took().ends_with("ha") && client.is_over(), "cut, not completed");
    assert!(it.came(1 - first).is_empty());
}

#[test]
fn a_backend_that_takes_no_connection_costs_no_request_while_another_does() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]));
    it.fall(0);
    let client = it.h1();
    for _ in 0..6 {
        assert_eq!(status(&it.served(&client, 1)), "200");
    }
}

/// Requests that each need a connection, so that every turn is a try. A backend that fails passes its turn on, which makes
/// the next request's turn its own again.
fn tries(it: &Stage, count: usize, serving: &[usize]) {
    let client = it.h1();
    for _ in 0..count {
        it.says(&client, GET);
        for i in serving {
            for end in it.came(*i).iter().filter(|e| !e.is_over()) {
                it.says(end, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
                it.closes(end);
            }
        }
        assert_eq!(status(&client.took()), "200");
    }
}

#[test]
fn a_backend_is_left_alone_for_eject_s_after_eject_after_failures_in_a_row() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]).limit("eject_after", 3).limit("eject_s", 10));
    it.fall(0);
    tries(&it, 2, &[1]);
    assert_eq!(it.ejected(), [false, false], "two failures are not three");
    tries(&it, 1, &[1]);
    assert_eq!(it.ejected(), [true, false]);
    it.rise(0);
    it.pass_s(9);
    tries(&it, 4, &[1]);
    assert!(it.came(0).is_empty(), "left alone");
    it.pass_s(1);
    assert_eq!(it.ejected(), [false, false]);
    assert!(it.only(0).is_over() && it.only(0).took().is_empty(), "the edge asked by itself, without a request");
    tries(&it, 2, &[0, 1]);
    assert_eq!(it.came(0).len(), 2, "its turn is its turn again");
}

#[test]
fn one_that_is_still_down_is_found_out_by_no_request() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]).limit("eject_after", 1).limit("eject_s", 10));
    it.fall(0);
    tries(&it, 2, &[1]);
    for _ in 0..5 {
        it.pass_s(11);
        assert_eq!(it.ejected(), [true, false], "probed, and not back");
        tries(&it, 2, &[1]);
    }
    it.rise(0);
    it.pass_s(11);
    assert_eq!(it.ejected(), [false, false]);
    it.fall(0);
    tries(&it, 2, &[1]);
    assert_eq!(it.ejected(), [true, false], "and is left alone again by its next failure");
}

#[test]
fn a_probe_ends_with_the_backend_that_it_is_for() {
    let pair = Plan::new().backends(&[0, 1]).limit("eject_after", 1).limit("eject_s", 10);
    let it = Stage::open(&pair);
    it.fall(0);
    tries(&it, 2, &[1]);
    it.reload(&Plan::new().backends(&[1]).limit("eject_s", 10));
    it.rise(0);
    it.pass_s(60);
    assert!(it.came(0).is_empty(), "nobody has it any more");
}

/// Requests of which those that come to backend 0 are answered so, or not at all; statuses in order.
fn turns(it: &Stage, count: usize, answer: Option<&str>) -> Vec<String> {
    let client = it.h1();
    let one = |_| {
        let before = it.came(0).len();
        it.says(&client, GET);
        match (it.came(0).len() > before, answer) {
            (true, None) => it.pass_s(2),
            (true, Some(answer)) => it.says(it.came(0).last().expect("it came"), answer),
            _ => {
                for end in it.came(1).iter().filter(|e| !e.is_over()) {
                    it.says(end, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
                    it.closes(end);
                }
            }
        }
        status(&client.took()).to_owned()
    };
    (0..count).map(one).collect()
}

const BAD: &str = "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn pair() -> Plan {
    let it = Plan::new().backends(&[0, 1]).limit("eject_after", 3).limit("eject_s", 10);
    it.limit("first_byte_s", 2).limit("upstream_idle_s", 1)
}

#[test]
fn one_that_takes_requests_and_never_answers_is_left_alone_and_one_request_finds_out_again() {
    let it = Stage::open(&pair().eject_on(&["timeouts"]));
    let got = turns(&it, 20, None);
    assert_eq!(got.iter().filter(|s| *s == "504").count(), 3, "{got:?}");
    assert!(got[10..].iter().all(|s| s == "200"), "{got:?}");
    assert_eq!(it.ejected(), [true, false]);
    it.pass_s(10);
    assert_eq!(it.ejected(), [false, false], "it takes connections");
    let got = turns(&it, 10, None);
    assert_eq!(got.iter().filter(|s| *s == "504").count(), 1, "{got:?}");
    assert_eq!(it.ejected(), [true, false]);
}

#[test]
fn one_that_answers_5xx_to_everything_is_left_alone_where_its_route_counts_them() {
    for (what, errors) in [(&["5xx"][..], 3), (&["timeouts"], 10), (&[], 10)] {
        let it = Stage::open(&pair().eject_on(what));
        let got = turns(&it, 20, Some(BAD));
        assert_eq!(got.iter().filter(|s| *s == "503").count(), errors, "{what:?} {got:?}");
    }
}

#[test]
fn an_answer_that_is_none_of_them_ends_a_row() {
    let it = Stage::open(&pair().eject_on(&["5xx", "timeouts"]));
    for _ in 0..3 {
        turns(&it, 2, Some(BAD));
        turns(&it, 2, None);
        turns(&it, 2, Some("HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        assert_eq!(it.ejected(), [false, false]);
    }
}

#[test]
fn a_lone_one_is_asked_whatever_it_answers() {
    let it = Stage::open(&Plan::new().limit("eject_after", 1).eject_on(&["5xx"]));
    assert_eq!(turns(&it, 4, Some(BAD)), ["503"; 4]);
    assert_eq!(it.ejected(), [false]);
}

#[test]
fn a_connection_that_is_taken_ends_a_row_of_failures() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]).limit("eject_after", 3));
    for _ in 0..3 {
        it.fall(0);
        tries(&it, 2, &[1]);
        it.rise(0);
        tries(&it, 2, &[0, 1]);
        assert_eq!(it.ejected(), [false, false]);
    }
}

#[test]
fn at_most_half_of_the_backends_are_left_alone_so_one_that_heals_is_found_at_once() {
    let it = Stage::open(&Plan::new().backends(&[0, 1, 2]).limit("eject_after", 1).limit("eject_s", 10));
    it.fall(0);
    it.fall(1);
    tries(&it, 6, &[2]);
    let ejected = it.ejected();
    assert_eq!(ejected.iter().filter(|e| **e).count(), 1, "one of three, {ejected:?}");
    assert!(!ejected[2]);
    let still_tried = usize::from(ejected[0]);
    it.rise(still_tried);
    tries(&it, 3, &[still_tried, 2]);
    assert!(!it.came(still_tried).is_empty(), "no time has passed, and it serves");
}

#[test]
fn one_of_two_may_be_left_alone_and_a_lone_one_never() {
    let pair = Stage::open(&Plan::new().backends(&[0, 1]).limit("eject_after", 1));
    pair.fall(0);
    tries(&pair, 2, &[1]);
    assert_eq!(pair.ejected(), [true, false]);
    let lone = Stage::open(&Plan::new().limit("eject_after", 1));
    lone.fall(0);
    let client = lone.h1();
    for _ in 0..3 {
        assert_eq!(status(&get(&lone, &client)), "502");
    }
    assert_eq!(lone.ejected(), [false]);
    lone.rise(0);
    assert_eq!(status(&lone.served(&client, 0)), "200", "at once");
}

#[test]
fn one_that_is_left_alone_is_asked_all_the_same_where_no_other_takes_the_request() {
    let it = Stage::open(&Plan::new().backends(&[0, 1]).limit("eject_after", 1).limit("eject_s", 10));
    it.fall(0);
    tries(&it, 2, &[1]);
    assert_eq!(it.ejected(), [true, false]);
    it.fall(1);
    it.rise(0);
    tries(&it, 1, &[0]);
    assert_eq!(it.came(0).len(), 1, "better one that may have healed than none");
    assert!(!it.ejected()[0], "and it has");
}
