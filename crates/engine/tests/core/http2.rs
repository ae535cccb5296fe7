//! HTTP/2 on either side, spoken by hand: who is told to go, by which stream, and which request goes once more.

use crate::plan::Plan;
use crate::stage::{End, GET, OK, Stage};
use everyhop_engine::fuzzing::Speaks;
use std::rc::Rc;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    body: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

/// What came, but for what keeps a connection going.
fn frames(end: &End) -> Vec<Frame> {
    let mut found = all_frames(end);
    found.retain(|f| matches!(f.kind, DATA | HEADERS | RST_STREAM | GOAWAY));
    found
}

fn all_frames(end: &End) -> Vec<Frame> {
    let bytes = end.took_bytes();
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
    let mut found = Vec::new();
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let len = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (body, after) = behind.split_at(len);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        found.push(Frame { kind: head[3], flags: head[4], stream, body: body.to_vec() });
        rest = after;
    }
    assert!(rest.is_empty(), "half a frame");
    found
}

fn number(body: &[u8]) -> u32 {
    u32::from_be_bytes(body[..4].try_into().unwrap())
}

/// Streams that ended with this status; `0x88` is 200 in HPACK, any other is not told apart.
fn served(all: &[Frame]) -> Vec<u32> {
    all.iter().filter(|f| f.kind == HEADERS && f.body.first() == Some(&0x88)).map(|f| f.stream).collect()
}

/// Last stream and reason of each GOAWAY.
fn goaways(all: &[Frame]) -> Vec<(u32, u32)> {
    all.iter().filter(|f| f.kind == GOAWAY).map(|f| (number(&f.body), number(&f.body[4..]))).collect()
}

/// A request for `/` of `a.test`, whole in its head. HPACK (RFC 7541 §A, §6.2.2): 0x82 is GET, 0x83 POST.
fn request(stream: u32, method: u8) -> Vec<u8> {
    let block = [&[method, 0x87, 0x84, 0x01, 6][..], b"a.test"].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
}

fn client(it: &Stage) -> Rc<End> {
    let end = it.client(Speaks::Http2);
    it.says(&end, [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    assert_eq!(frames(&end), []);
    end
}

#[test]
fn requests_of_one_connection_wait_for_nobody() {
    let it = Stage::open(&Plan::new().limit("first_byte_s", 60));
    let client = client(&it);
    it.says(&client, [request(1, 0x82), request(3, 0x82)].concat());
    let [first, second] = &it.came(0)[..] else { panic!("a connection each") };
    it.says(second, OK);
    assert_eq!(served(&frames(&client)).len(), 1);
    it.pass_ms(59_999);
    assert_eq!(frames(&client), []);
    it.pass_ms(1);
    let late = frames(&client);
    assert!(served(&late).is_empty() && late.iter().any(|f| f.kind == HEADERS), "504 for the one that is late");
    assert!(first.is_over());
    it.says(&client, request(5, 0x82));
    it.says(it.came(0).last().unwrap(), OK);
    assert_eq!(served(&frames(&client)), [5], "and the connection goes on");
}

#[test]
fn a_client_that_asks_nothing_is_told_to_go_at_idle_s_and_is_let_go_a_moment_later() {
    let it = Stage::open(&Plan::new().limit("idle_s", 60));
    let client = client(&it);
    it.pass_ms(59_999);
    assert_eq!(frames(&client), []);
    it.pass_ms(1);
    assert_eq!(goaways(&frames(&client))[0].1, 0, "no error");
    assert!(!client.is_over(), "it may have asked meanwhile");
    it.pass_s(1);
    assert!(client.is_over());
    assert_eq!(it.open_connections(), 0);
}

#[test]
fn a_request_stops_the_idle_clock_and_its_end_starts_it_anew() {
    let it = Stage::open(&Plan::new().limit("idle_s", 60).limit("first_byte_s", 600));
    let client = client(&it);
    it.pass_s(30);
    it.says(&client, request(1, 0x82));
    it.pass_s(500);
    assert_eq!(frames(&client), []);
    it.says(&it.only(0), OK);
    assert_eq!(served(&frames(&client)), [1]);
    it.pass_ms(59_999);
    assert_eq!(frames(&client), []);
    it.pass_ms(1);
    assert_eq!(goaways(&frames(&client)).len(), 1);
}

/// F05.
#[test]
fn a_stream_may_be_silent_for_minutes_and_is_cut_alone_when_it_is_silent_for_longer() {
    let it = Stage::open(&Plan::new().limit("answer_silence_s", 300));
    let client = client(&it);
    it.says(&client, request(1, 0x82));
    let peer = it.only(0);
    it.says(&peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for silent_s in [35, 120, 290] {
        it.pass_s(silent_s);
        frames(&client);
        it.says(&peer, "2\r\nok\r\n");
        let data = frames(&client);
        assert_eq!(data.iter().map(|f| (f.kind, f.stream)).collect::<Vec<_>>(), [(DATA, 1)], "after {silent_s} s");
    }
    it.pass_s(301);
    let cut = frames(&client);
    assert_eq!(cut.iter().map(|f| (f.kind, f.stream)).collect::<Vec<_>>(), [(RST_STREAM, 1)], "and no end of a body");
    it.says(&client, request(3, 0x82));
    it.says(it.came(0).last().expect("a connection"), OK);
    assert_eq!(served(&frames(&client)), [3]);
}

#[test]
fn a_drain_tells_the_client_twice_and_ends_with_the_last_request_under_way() {
    let it = Stage::open(&Plan::new());
    let client = client(&it);
    it.says(&client, request(1, 0x82));
    it.drain(30);
    let said = all_frames(&client);
    assert_eq!(goaways(&said), [(0x7fff_ffff, 0)], "whatever is on its way still counts");
    let asks = said.iter().find(|f| f.kind == PING).expect("whether it heard that");
    it.says(&client, frame(PING, 1, 0, &asks.body));
    it.pass_s(20);
    it.says(&it.only(0), OK);
    let all = frames(&client);
    assert_eq!(served(&all), [1]);
    assert!(
        client.is_over() || {
            it.pass_s(11);
            client.is_over()
        }
    );
    assert_eq!(it.open_connections(), 0);
}

#[test]
fn a_connection_that_is_max_age_s_old_is_told_to_go_by_its_next_request_which_is_served() {
    let it = Stage::open(&Plan::new().limit("max_age_s", 100).limit("idle_s", 600));
    let client = client(&it);
    it.pass_ms(99_999);
    it.says(&client, request(1, 0x82));
    it.says(&it.only(0), OK);
    let all = frames(&client);
    assert_eq!((served(&all), goaways(&all)), (vec![1], vec![]));
    it.pass_ms(1);
    it.says(&client, request(3, 0x82));
    it.says(&it.only(0), OK);
    let all = frames(&client);
    assert_eq!(served(&all), [3]);
    assert_eq!(goaways(&all).first().map(|g| g.1), Some(0));
}

#[test]
fn a_connection_that_asks_on_long_after_it_was_told_to_go_ends_with_all_that_it_asked_for() {
    let it = Stage::open(&Plan::new().limit("max_age_s", 100).limit("idle_s", 600).limit("first_byte_s", 600));
    let client = client(&it);
    it.says(&client, request(1, 0x82));
    it.pass_s(100);
    it.says(&client, request(3, 0x82));
    assert_eq!(goaways(&frames(&client)).first().map(|g| g.1), Some(0));
    it.pass_s(300);
    it.says(&client, request(5, 0x82));
    assert!(client.is_over());
    assert_eq!(it.open_connections(), 0);
    let [first, second] = &it.came(0)[..] else { panic!("a connection each") };
    assert!(first.is_over() && second.is_over(), "nobody is there to have the answers");
}

#[test]
fn a_connection_to_a_site_that_makes_other_promises_now_is_told_to_go() {
    let it = Stage::open(&Plan::new());
    let client = client(&it);
    it.reload(&Plan::new().limit("eject_s", 11));
    assert_eq!(frames(&client), [], "a plan that promises the same");
    it.reload(&Plan::new().wider_site());
    assert_eq!(frames(&client), [], "another name of the site is nothing to it");
    it.reload(&Plan::new().stricter_site());
    assert_eq!(goaways(&frames(&client)).first().map(|g| g.1), Some(0));
}

#[test]
fn pings_without_end_use_up_a_budget_that_time_fills_again() {
    let pings = |n: usize| frame(PING, 0, 0, &[0; 8]).repeat(n);
    let it = Stage::open(&Plan::new().limit("idle_s", 600));
    let patient = client(&it);
    for _ in 0..60 {
        it.says(&patient, pings(150));
        it.pass_s(1);
    }
    assert_eq!(goaways(&frames(&patient)), [], "two a second are nobody's flood, nor are a hundred and fifty");
    let flooding = client(&it);
    for _ in 0..10 {
        it.says(&flooding, pings(150));
    }
    assert_eq!(goaways(&frames(&flooding)), [], "a burst is let be");
    for _ in 0..10 {
        it.says(&flooding, pings(150));
    }
    assert_eq!(goaways(&frames(&flooding)).last().map(|g| g.1), Some(ENHANCE_YOUR_CALM));
    it.pass_s(1);
    assert!(flooding.is_over() && !patient.is_over());
}

// The backend's side.

fn asked(end: &End) -> Vec<u32> {
    frames(end).iter().filter(|f| f.kind == HEADERS).map(|f| f.stream).collect()
}

fn answer(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0x88])
}

const POST: &[u8] = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";

fn with_h2_backend() -> (Stage, Rc<End>, Rc<End>) {
    let it = Stage::open(&Plan::new().h2());
    let client = it.h1();
    it.says(&client, POST);
    let backend = it.only(0);
    it.says(&backend, frame(SETTINGS, 0, 0, &[]));
    assert_eq!(asked(&backend), [1]);
    (it, client, backend)
}

#[test]
fn a_request_that_the_backend_refused_unseen_goes_once_more_whatever_its_method_and_only_once() {
    let (it, client, backend) = with_h2_backend();
    it.says(&backend, frame(RST_STREAM, 0, 1, &REFUSED_STREAM.to_be_bytes()));
    assert_eq!(client.took(), "");
    let again = it.came(0).last().unwrap().clone();
    if !Rc::ptr_eq(&again, &backend) {
        it.says(&again, frame(SETTINGS, 0, 0, &[]));
    }
    let streams = asked(&again);
    let [stream] = streams[..] else { panic!("once more: {streams:?}") };
    it.says(&again, frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()));
    assert!(client.took().starts_with("HTTP/1.1 502 "), "twice is enough");
}

#[test]
fn an_answer_without_a_body_keeps_the_trailers_behind_it_though_its_length_is_written() {
    let it = Stage::open(&Plan::new().h2());
    let client = client(&it);
    it.says(&client, request(1, 0x82));
    let backend = it.only(0);
    it.says(&backend, frame(SETTINGS, 0, 0, &[]));
    // 0x88 is 200, 0x5c content-length without an index.
    let head = frame(HEADERS, END_HEADERS, 1, &[0x88, 0x0f, 0x0d, 1, b'0']);
    let trailers = [&[0x00, 11][..], b"grpc-status", &[1], b"7"].concat();
    it.says(&backend, [head, frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers)].concat());
    let all = frames(&client);
    assert_eq!(served(&all), [1]);
    let [first, last] = &all[..] else { panic!("a head and trailers: {all:?}") };
    assert_eq!((first.flags & END_STREAM, last.kind, last.flags & END_STREAM), (0, HEADERS, END_STREAM));
}

#[test]
fn requests_that_are_taken_back_at_a_walking_pace_cost_few_connections_and_end_their_own() {
    let it = Stage::open(&Plan::new().limit("first_byte_s", 600).limit("idle_s", 600));
    let walking = client(&it);
    let mut asked = 0;
    while goaways(&frames(&walking)).is_empty() && asked < 2_000 {
        let stream = 2 * asked + 1;
        it.says(&walking, request(stream, 0x82));
        it.says(&walking, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
        it.pass_ms(20);
        asked += 1;
    }
    assert!(asked < 1_000, "it would go on for ever");
    let at_once = client(&it);
    let before = it.came(0).len();
    for n in 0..20 {
        let stream = 2 * n + 1;
        it.says(&at_once, [request(stream, 0x82), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat());
    }
    assert!(it.came(0).len() <= before + 1, "nobody is reached for a request that is taken back already");
    assert_eq!(goaways(&frames(&at_once)), [], "a few are a matter of course");
}

#[test]
fn requests_that_are_answered_pay_for_those_that_are_taken_back() {
    let it = Stage::open(&Plan::new().limit("first_byte_s", 600).limit("idle_s", 600));
    let client = client(&it);
    let body = vec![b'x'; 4096];
    let large = [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    for n in 0..600u32 {
        let (one, two) = (4 * n + 1, 4 * n + 3);
        it.says(&client, request(one, 0x82));
        it.says(it.came(0).last().unwrap(), &large);
        it.says(&client, [frame(8, 0, 0, &4096u32.to_be_bytes()), request(two, 0x82)].concat());
        it.says(&client, frame(RST_STREAM, 0, two, &8u32.to_be_bytes()));
    }
    assert_eq!(goaways(&frames(&client)), []);
}

#[test]
fn a_post_whose_stream_the_backend_reset_for_another_reason_is_not_sent_again() {
    let (it, client, backend) = with_h2_backend();
    it.says(&backend, frame(RST_STREAM, 0, 1, &2u32.to_be_bytes()));
    assert!(client.took().starts_with("HTTP/1.1 502 "));
    assert_eq!(it.came(0).len(), 1);
    assert!(asked(&backend).is_empty());
}

#[test]
fn a_request_above_the_backends_goaway_goes_over_another_connection() {
    let (it, client, backend) = with_h2_backend();
    it.says(&backend, frame(GOAWAY, 0, 0, &[0; 8]));
    let [_, again] = &it.came(0)[..] else { panic!("another connection") };
    it.says(again, frame(SETTINGS, 0, 0, &[]));
    assert_eq!(asked(again), [1]);
    it.says(again, answer(1));
    assert!(client.took().starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_request_below_the_backends_goaway_may_have_been_done_and_is_not_sent_again() {
    let (it, client, backend) = with_h2_backend();
    it.says(&backend, frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]));
    assert_eq!(client.took(), "", "its answer may still come");
    it.closes(&backend);
    assert!(client.took().starts_with("HTTP/1.1 502 "));
    assert_eq!(it.came(0).len(), 1);
}

#[test]
fn requests_share_the_connection_to_a_backend_until_it_says_to_go() {
    let (it, client, backend) = with_h2_backend();
    it.says(&backend, answer(1));
    assert!(client.took().starts_with("HTTP/1.1 200 "));
    let other = it.h1();
    it.says(&client, GET);
    it.says(&other, GET);
    assert_eq!(asked(&backend), [3, 5]);
    it.says(&backend, [frame(GOAWAY, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]), answer(3), answer(5)].concat());
    assert!(client.took().starts_with("HTTP/1.1 200 ") && other.took().starts_with("HTTP/1.1 200 "));
    it.says(&client, GET);
    assert_eq!(it.came(0).len(), 2, "what comes next goes elsewhere");
}
