//! What a peer may make us do and hold (threats P01 to P03): each flood is cut where it is read, and what is none is not.

use crate::kit::*;
use everyhop_http2::{Config, Connection, Fault};

const BURST: usize = 2_000;

/// As a socket would take it.
fn flooded_by(it: &mut Peer, frames: impl Iterator<Item = Vec<u8>>) -> (usize, Option<Fault>) {
    for (n, frame) in frames.enumerate() {
        if let Err(fault) = it.hears(&frame) {
            return (n, Some(fault));
        }
        it.says();
    }
    (usize::MAX, None)
}

#[test]
fn frames_that_carry_nothing_use_the_budget_up() {
    let open = frame(HEADERS, OPEN, 1, &post(&[]));
    for (what, it) in [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("an answer to PING", frame(PING, ACK, 0, &[0; 8])),
        ("SETTINGS", settings(&[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0; 5])),
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("padded DATA without any", frame(DATA, PADDED, 1, &[0])),
        ("an unknown type", frame(0xbb, 0, 0, b"grease")),
        ("GOAWAY", frame(GOAWAY, 0, 0, &[0; 8])),
    ] {
        let mut peer = Peer::server();
        peer.hear(&open);
        let (n, fault) = flooded_by(&mut peer, std::iter::repeat_n(it.clone(), 60_000));
        // What we answer earns a little, which is for windows and resets.
        assert_eq!((fault, n), (Some(Fault::Flood), BURST - 2), "{what}");
        let mut patient = Peer::server();
        patient.hear(&open);
        for second in 0..60 {
            patient.conn.at_ms(second * 1000);
            assert_eq!(flooded_by(&mut patient, std::iter::repeat_n(it.clone(), 150)).1, None, "{what}");
        }
    }
}

#[test]
fn many_settings_at_once_count_as_many_frames() {
    let many: Vec<_> = (0..2_700).map(|i| (4, 65_535 - i % 2)).collect();
    let (n, fault) = flooded_by(&mut Peer::server(), std::iter::repeat_n(settings(&many), 60_000));
    assert!(fault == Some(Fault::Flood) && n < 20, "{n}");
}

#[test]
fn requests_and_bodies_use_nothing_up() {
    let mut it = Peer::server();
    for i in 0..20_000 {
        let stream = 2 * i + 1;
        it.hear(&frame(HEADERS, OPEN, stream, &post(&[])));
        it.hear(&frame(DATA, 0, stream, b"x"));
        it.hear(&frame(DATA, END_STREAM, stream, b""));
        it.conn.answer(stream, 200, true, |_| ()).expect("open");
        it.conn.done(stream);
        it.says();
    }
}

fn call(it: &mut Peer, stream: u32, answer: usize) -> Result<(), Fault> {
    it.hears(&frame(HEADERS, ALL, stream, &get(&[])))?;
    it.conn.answer(stream, 200, answer == 0, |_| ()).expect("open");
    if answer > 0 {
        it.conn.body(stream, &vec![0; answer], true).expect("open");
    }
    it.says();
    Ok(())
}

#[test]
fn a_request_pays_for_the_crumbs_of_its_own_answer_and_for_no_more() {
    let calls = |crumbs: usize, by: u32| {
        let mut it = Peer::server();
        (0..20_000u32).find_map(|i| {
            let called = call(&mut it, 2 * i + 1, 0).and_then(|()| it.hears(&update(0, by).repeat(crumbs)).map(drop));
            it.conn.done(2 * i + 1);
            called.err()
        })
    };
    assert_eq!(calls(2, 8), None);
    assert_eq!(calls(4, 8), Some(Fault::Flood));
    assert_eq!(calls(4, 255), Some(Fault::Flood));
    assert_eq!(calls(4, 256), None);
    let mut it = Peer::server();
    // What one answer is made of, byte by byte.
    assert_eq!(flooded_by(&mut it, std::iter::repeat_n(update(0, 1), 60_000)), (BURST - 2, Some(Fault::Flood)));
}

#[test]
fn windows_are_opened_again_as_answers_use_them_up() {
    let mut it = Peer::server();
    for i in 0..20_000 {
        let stream = 2 * i + 1;
        call(&mut it, stream, 1024).expect("fine");
        // Twice as many as the request alone pays for.
        it.hear(&update(0, 256).repeat(8));
        it.conn.done(stream);
    }
}

#[test]
fn rapid_resets_are_cut() {
    let mut it = Peer::server();
    let mut cut = None;
    for i in 0..60_000u32 {
        let stream = 2 * i + 1;
        let both = [frame(HEADERS, ALL, stream, &get(&[])), reset(stream, 8)].concat();
        if let Err(fault) = it.hears(&both) {
            cut = Some((i, fault));
            break;
        }
        it.conn.done(stream);
        it.says();
    }
    // Each second is paid by what two requests earned.
    assert!(matches!(cut, Some((150..=205, Fault::Flood))), "{cut:?}");
}

#[test]
fn resets_that_a_client_makes_us_send_count_as_its_own() {
    let head = |stream, more: &[(&str, &str)]| frame(HEADERS, ALL, stream, &get(more));
    type Kind = (&'static str, fn(u32) -> Vec<u8>);
    let kinds: [Kind; 3] = [
        ("a window opened by nothing", |stream| update(stream, 0)),
        ("DATA behind the end", |stream| frame(DATA, 0, stream, b"x")),
        ("PRIORITY on itself", |stream| frame(PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat())),
    ];
    for (what, kind) in kinds {
        let mut it = Peer::server();
        let cut = (0..60_000u32).find_map(|i| {
            let stream = 2 * i + 1;
            let heard = it.hears(&[head(stream, &[]), kind(stream)].concat());
            it.conn.done(stream);
            it.says();
            heard.err().map(|fault| (i, fault))
        });
        assert!(matches!(cut, Some((100..=205, Fault::Flood))), "{what}: {cut:?}");
    }
    let mut it = Peer::server();
    let cut = (0..60_000u32).find_map(|i| {
        let heard = it.hears(&head(2 * i + 1, &[("connection", "x")]));
        it.says();
        heard.err().map(|fault| (i, fault))
    });
    assert!(matches!(cut, Some((100..=205, Fault::Flood))), "{cut:?}");
}

#[test]
fn a_client_may_take_back_what_it_asked_for_now_and_then() {
    let mut it = Peer::server();
    let mut stream = 1;
    for _ in 0..2_000 {
        // Three answers of 1 KiB pay for one reset.
        for _ in 0..3 {
            call(&mut it, stream, 1024).expect("fine");
            it.conn.done(stream);
            stream += 2;
        }
        it.hear(&[frame(HEADERS, ALL, stream, &get(&[])), reset(stream, 8)].concat());
        it.conn.done(stream);
        stream += 2;
        it.hear(&update(0, 4096));
    }
}

#[test]
fn a_head_in_more_than_eight_more_frames_is_none() {
    let whole = get(&[("a", &"v".repeat(100))]);
    let parts = |n: usize| {
        let mut all = frame(HEADERS, END_STREAM, 1, &whole[..1]);
        for i in 1..=n {
            let flags = if i == n { END_HEADERS } else { 0 };
            let part = if i == n { &whole[i..] } else { &whole[i..=i] };
            all.extend(frame(CONTINUATION, flags, 1, part));
        }
        all
    };
    assert_eq!(Peer::server().hear(&parts(8)).len(), 1);
    assert_eq!(Peer::server().fails(&parts(9)), Fault::EndlessHead);
    let endless = [frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, 0, 1, &[]).repeat(9)].concat();
    assert_eq!(Peer::server().fails(&endless), Fault::EndlessHead);
    // Nor one that is longer in its compressed form than it may be read.
    let most = Config { head_bytes: 4096, ..Config::server() };
    let piece = literal("a", "v".repeat(16_000));
    let long = |n| [frame(HEADERS, END_STREAM, 1, &piece), frame(CONTINUATION, 0, 1, &piece).repeat(n)].concat();
    assert_eq!(Peer::server_of(most.clone()).hear(&long(1)), []);
    assert_eq!(Peer::server_of(most).fails(&long(2)), Fault::EndlessHead);
}

#[test]
fn a_peer_that_reads_no_answers_is_not_answered_for_ever() {
    let mut it = Peer::server();
    let mut fault = None;
    for second in 0..10_000 {
        it.conn.at_ms(second * 1000);
        if let Err(why) = it.hears(&frame(PING, 0, 0, &[0; 8]).repeat(100)) {
            fault = Some(why);
            break;
        }
        assert!(it.conn.output().len() < 80_000);
    }
    assert_eq!(fault, Some(Fault::Unread));
}

#[test]
fn a_peer_that_asks_on_and_reads_no_answer_is_cut_however_short_answers_are() {
    type Ends = fn(&mut Peer, u32);
    let whole: Ends = |it, stream| it.conn.answer(stream, 404, true, |_| ()).expect("open");
    let and_late: Ends = |it, stream| it.conn.answer(stream, 404, false, |_| ()).expect("open");
    let broken_off: Ends = |it, stream| it.conn.reset(stream, everyhop_http2::Code::CANCEL).expect("open");
    for (ends, fault) in [(whole, Fault::Flood), (and_late, Fault::Flood), (broken_off, Fault::Unread)] {
        let mut it = Peer::server();
        let cut = (0..100_000).find_map(|i| {
            let heard = it.hears(&frame(HEADERS, ALL, 2 * i + 1, &get(&[])));
            if heard.as_ref().is_ok_and(|said| !said.is_empty()) {
                ends(&mut it, 2 * i + 1);
                it.conn.done(2 * i + 1);
            }
            heard.err()
        });
        assert_eq!(cut, Some(fault));
        assert!(it.conn.output().len() < 80_000);
    }
}

#[test]
fn a_peer_that_reads_slowly_may_ask_and_open_windows_for_ever() {
    let mut it = Peer::server();
    let hello = [settings(&[(4, 1 << 30)]), update(0, 1 << 30)].concat();
    it.hear(&hello);
    // What waits never gets short, and is read all the time.
    for i in 0..20_000 {
        let stream = 2 * i + 1;
        it.hear(&frame(HEADERS, OPEN, stream, &post(&[])));
        it.conn
            .answer(stream, 200, false, |fields| assert!(fields.put_secret(b"x-long", &[b'v'; 1500])))
            .expect("open");
        it.hear(&frame(DATA, END_STREAM, stream, &[0; 2000]));
        it.conn.release(stream, 2000);
        it.conn.body(stream, b"", true).expect("open");
        it.conn.done(stream);
        let waits = it.conn.output().len();
        if waits > 90_000 {
            it.conn.sent(waits - 85_000);
        }
    }
}

#[test]
fn resets_are_forgiven_as_time_goes_by_however_lively_a_client_is() {
    let mut it = Peer::server();
    for tick in 0..20_000u32 {
        it.conn.at_ms(u64::from(tick) * 50);
        it.hear(&frame(PING, 0, 0, &[0; 8]));
        // Two a second, of which none is paid for whole.
        if tick % 10 == 0 {
            let stream = 2 * tick + 1;
            it.hear(&[frame(HEADERS, ALL, stream, &get(&[])), reset(stream, 8)].concat());
            it.conn.done(stream);
        }
        let n = it.conn.output().len();
        it.conn.sent(n.min(17));
    }
}

#[test]
fn a_peer_that_sends_on_and_reads_no_window_is_not_made_room_for_for_ever() {
    let mut it = Peer::server_of(Config { window_bytes: 1000, ..Config::server() });
    it.hear(&frame(HEADERS, OPEN, 1, &post(&[])));
    let fault = (0..100_000).find_map(|_| {
        let heard = it.hears(&frame(DATA, 0, 1, &[0; 500]));
        it.conn.release(1, 500);
        assert!(it.conn.output().len() < 80_000);
        heard.err()
    });
    assert_eq!(fault, Some(Fault::Unread));
}

#[test]
fn a_bomb_of_fields_is_told_and_holds_nothing() {
    let mut it = Peer::server();
    let mut kept = literal("a", "v".repeat(1000));
    kept[0] = 0x40;
    for i in 0..100 {
        let first = if i == 0 { kept.clone() } else { Vec::new() };
        let block = [get(&[]), first, vec![0xbe; 15_000]].concat();
        let stream = 2 * i + 1;
        assert_eq!(it.hear(&frame(HEADERS, ALL, stream, &block)), [Said::TooLong { stream, last: true }]);
        assert!(it.conn.holds_bytes() < 300_000, "{}", it.conn.holds_bytes());
    }
}

#[test]
fn refused_streams_are_a_clients_fault_once_it_knows_how_many_there_may_be() {
    let early = Config { streams: 1, ..Config::server() };
    let mut it = Peer::new(Connection::server(early));
    it.hear(&[&everyhop_http2::PREFACE[..], &settings(&[])].concat());
    let ask = |it: &mut Peer, i: u32| it.hears(&frame(HEADERS, ALL, 2 * i + 1, &get(&[])));
    assert!((0..1_000).all(|i| ask(&mut it, i).is_ok()));
    it.says();
    it.hear(&frame(SETTINGS, ACK, 0, &[]));
    let cut = (1_000..60_000).find_map(|i| ask(&mut it, i).err());
    assert_eq!(cut, Some(Fault::Flood));
}
