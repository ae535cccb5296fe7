//! Each deadline at its last millisecond and the one after.

use crate::plan::Plan;
use crate::stage::{GET, OK, Stage};
use everyhop_engine::fuzzing::Speaks;

const BEFORE: &str = "it goes on to the last millisecond";

#[test]
fn a_client_that_says_nothing_is_let_go_at_idle_s_and_not_before() {
    let it = Stage::open(&Plan::new().limit("idle_s", 60));
    let client = it.h1();
    it.pass_ms(59_999);
    assert!(!client.is_over(), "{BEFORE}");
    it.pass_ms(1);
    assert!(client.is_over());
    assert_eq!(client.took(), "", "nobody asked anything, so nobody is answered");
}

#[test]
fn a_kept_connection_has_idle_s_anew_after_each_answer() {
    let it = Stage::open(&Plan::new().limit("idle_s", 60));
    let client = it.h1();
    for _ in 0..3 {
        it.pass_ms(59_999);
        assert!(it.served(&client, 0).starts_with("HTTP/1.1 200"), "{BEFORE}");
    }
    it.pass_ms(60_000);
    assert!(client.is_over());
}

#[test]
fn a_head_has_head_s_from_its_first_byte_however_often_another_byte_comes() {
    let it = Stage::open(&Plan::new().limit("idle_s", 60).limit("head_s", 15));
    let client = it.h1();
    it.pass_ms(30_000);
    it.says(&client, "GET / HTTP/1.1\r\nHost: a.test\r\n");
    for _ in 0..14 {
        it.pass_ms(1000);
        it.says(&client, "x: y\r\n");
    }
    it.pass_ms(999);
    assert_eq!(client.took(), "", "{BEFORE}");
    it.pass_ms(1);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request/head-too-slow"), "{answer}");
    assert!(it.came(0).is_empty());
}

#[test]
fn a_request_that_is_behind_another_has_head_s_from_when_its_turn_comes() {
    let it = Stage::open(&Plan::new().limit("head_s", 15).limit("first_byte_s", 60));
    let client = it.h1();
    it.says(&client, [GET, b"GET /y HTTP/1.1\r\nHo"].concat());
    it.pass_s(50);
    it.says(&it.only(0), OK);
    assert!(client.took().starts_with("HTTP/1.1 200"));
    it.pass_ms(14_999);
    assert_eq!(client.took(), "", "{BEFORE}");
    it.pass_ms(1);
    assert!(client.took().starts_with("HTTP/1.1 408 "));
}

#[test]
fn requests_that_come_at_once_are_answered_in_order_and_go_one_after_the_other() {
    let it = Stage::open(&Plan::new());
    let client = it.h1();
    let second = b"GET /y HTTP/1.1\r\nHost: a.test\r\n\r\n";
    it.says(&client, [GET, second].concat());
    let peer = it.only(0);
    let first = peer.took();
    assert!(first.starts_with("GET /x ") && !first.contains("GET /y"), "the second waits for its turn");
    it.says(&peer, OK);
    assert!(peer.took().starts_with("GET /y "), "over the same connection");
    it.says(&peer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let answers = client.took();
    let at = |what| answers.find(what).expect("both answers");
    assert!(at("HTTP/1.1 200") < at("HTTP/1.1 404"), "{answers}");
}

#[test]
fn a_body_may_stand_still_for_body_progress_s_and_not_a_moment_longer() {
    let it = Stage::open(&Plan::new().limit("body_progress_s", 30));
    let client = it.h1();
    it.says(&client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n1");
    for piece in ["2", "3"] {
        it.pass_ms(29_999);
        it.says(&client, piece);
    }
    it.pass_ms(29_999);
    assert!(!it.only(0).is_over(), "{BEFORE}");
    it.pass_ms(1);
    assert!(it.only(0).is_over(), "half a request is no request");
    assert!(it.only(0).took().ends_with("\r\n\r\n123"));
    // It listens for the rest for a moment, so that its answer is not reset away.
    it.pass_s(1);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request/body-too-slow"), "{answer}");
}

#[test]
fn a_backend_has_first_byte_s_from_the_end_of_the_request() {
    let it = Stage::open(&Plan::new().limit("first_byte_s", 60).limit("body_progress_s", 30));
    let client = it.h1();
    it.says(&client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n1");
    it.pass_s(29);
    it.says(&client, "2");
    it.pass_ms(59_999);
    assert_eq!(client.took(), "", "{BEFORE}");
    it.pass_ms(1);
    let answer = client.took();
    assert!(answer.starts_with("HTTP/1.1 504 ") && answer.contains("hop/first-byte-timeout"), "{answer}");
}

#[test]
fn an_answer_that_stands_still_for_answer_silence_s_is_cut_and_never_completed() {
    let it = Stage::open(&Plan::new().limit("answer_silence_s", 30));
    let client = it.h1();
    it.says(&client, GET);
    it.says(&it.only(0), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    assert!(client.took().ends_with("2\r\nok\r\n"));
    it.pass_ms(29_999);
    assert!(!client.is_over(), "{BEFORE}");
    it.pass_ms(1);
    assert!(client.is_over());
    assert!(!client.took().contains("0\r\n"), "a cut body does not look complete");
    assert!(it.only(0).is_over());
}

/// F05, with the limits as they are by default.
#[test]
fn an_answer_may_be_silent_for_minutes_and_goes_on() {
    for silent_s in [35, 120, 290] {
        let it = Stage::open(&Plan::new());
        let client = it.h1();
        it.says(&client, GET);
        let peer = it.only(0);
        it.says(&peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in ["2\r\na\n\r\n", "2\r\nb\n\r\n", "0\r\n\r\n"] {
            it.pass_s(silent_s);
            client.took();
            it.says(&peer, piece);
            assert!(client.took().ends_with(piece), "after {silent_s} s, at once");
        }
        assert!(it.served(&client, 0).starts_with("HTTP/1.1 200"), "the connection goes on");
    }
}

#[test]
fn a_long_poll_that_its_route_is_patient_with_is_answered_after_minutes() {
    let it = Stage::open(&Plan::new().limit("first_byte_s", 300));
    let client = it.h1();
    for silent_s in [35, 120, 290] {
        it.says(&client, GET);
        it.pass_s(silent_s);
        it.says(it.came(0).last().expect("a connection"), OK);
        assert!(client.took().starts_with("HTTP/1.1 200"), "after {silent_s} s");
    }
}

#[test]
fn an_upload_that_moves_on_may_take_as_long_as_it_takes() {
    let it = Stage::open(&Plan::new().limit("body_progress_s", 30));
    let client = it.h1();
    it.says(&client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 40\r\n\r\n");
    for _ in 0..40 {
        it.pass_s(29);
        it.says(&client, "x");
    }
    assert!(it.only(0).took().ends_with(&"x".repeat(40)));
    it.says(&it.only(0), OK);
    assert!(client.took().starts_with("HTTP/1.1 200"), "after 19 minutes");
}

/// RFC 9112 §9.6: what the client still sends is thrown away, with a bound.
#[test]
fn an_early_answer_is_sent_at_once_and_its_client_is_listened_to_until_it_is_silent_or_linger_s_is_over() {
    let it = Stage::open(&Plan::new().limit("linger_s", 30));
    let begins = || {
        let client = it.h1();
        it.says(&client, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9000000\r\n\r\nx");
        it.says(it.came(0).last().expect("a connection"), "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
        let answer = client.took();
        assert!(answer.starts_with("HTTP/1.1 413 No\r\n") && answer.contains("connection: close"), "{answer}");
        assert!(it.came(0).last().expect("a connection").is_over(), "the backend is let go");
        client
    };
    let silent = begins();
    it.pass_ms(4_999);
    assert!(!silent.is_over(), "{BEFORE}");
    it.pass_s(1);
    it.pass_s(1);
    assert!(silent.is_over());
    let sends = begins();
    for _ in 0..29 {
        it.pass_s(1);
        it.says(&sends, "x");
        assert!(!sends.is_over());
    }
    it.pass_s(2);
    it.pass_s(2);
    assert!(sends.is_over(), "whatever it sends");
    assert_eq!(it.open_connections(), 0);
}

#[test]
fn a_connection_that_is_max_age_s_old_is_told_to_close_with_its_next_answer() {
    let it = Stage::open(&Plan::new().limit("max_age_s", 100).limit("idle_s", 60));
    let client = it.h1();
    it.pass_ms(59_000);
    assert!(!it.served(&client, 0).to_lowercase().contains("connection: close"));
    it.pass_ms(40_999);
    assert!(!it.served(&client, 0).to_lowercase().contains("connection: close"), "{BEFORE}");
    assert!(!client.is_over());
    it.pass_ms(1);
    let last = it.served(&client, 0);
    assert!(last.starts_with("HTTP/1.1 200") && last.to_lowercase().contains("connection: close"), "{last}");
    it.pass_s(1);
    assert!(client.is_over());
}

#[test]
fn an_http2_client_that_says_nothing_is_let_go_at_its_limit() {
    let it = Stage::open(&Plan::new().limit("head_s", 15).limit("idle_s", 60));
    let client = it.client(Speaks::Http2);
    it.pass_s(14);
    assert!(!client.is_over());
    it.pass_s(60);
    it.pass_s(60);
    assert!(client.is_over());
    assert_eq!(it.open_connections(), 0);
}
