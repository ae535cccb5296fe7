//! Whoever takes what it is sent slowly and steadily is served to the end; whoever takes nothing is let go.

use crate::plan::Plan;
use crate::stage::{GET, Stage};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

const BODY: usize = 2_000_000;

/// Takes as much as that, or what there is; how much it was, `None` at the end.
fn takes(client: &mut UnixStream, most: usize) -> Option<usize> {
    let mut room = vec![0; most];
    let mut took = 0;
    while took < most {
        match client.read(&mut room[took..]) {
            Ok(0) => return None,
            Ok(n) => took += n,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(_) => return None,
        }
    }
    Some(took)
}

/// A client that asked for it, before it took any.
fn begun(it: &Stage) -> UnixStream {
    let mut client = it.slow();
    client.write_all(GET).expect("room for a request");
    it.settle();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
    it.sends(&it.only(0), [head.as_bytes(), &[b'x'; BODY]].concat());
    client
}

#[test]
fn a_client_that_takes_its_answer_slowly_and_never_stops_gets_all_of_it() {
    let it = Stage::open(&Plan::new().limit("body_progress_s", 30));
    let mut client = begun(&it);
    let mut took = 0;
    for _ in 0..400 {
        // Far less than what the kernel holds, and says no word of before most of it is gone.
        took += takes(&mut client, 50_000).expect("it is not let go");
        it.pass_s(20);
        if took > BODY {
            break;
        }
    }
    assert!(took > BODY, "the answer with its head, of which {took} bytes came");
}

#[test]
fn a_client_that_takes_nothing_more_is_let_go_after_body_progress_s() {
    let it = Stage::open(&Plan::new().limit("body_progress_s", 30));
    let mut client = begun(&it);
    for _ in 0..4 {
        takes(&mut client, 50_000).expect("it is not let go");
        it.pass_s(20);
    }
    // What it took last may be found out once more.
    it.pass_s(30);
    it.pass_s(30);
    let mut left = 0;
    while let Some(n) = takes(&mut client, BODY) {
        left += n;
        assert!(n > 0, "it was let go: its end comes behind what the kernel holds");
    }
    assert!(left < BODY / 2, "{left} bytes were on their way");
}
