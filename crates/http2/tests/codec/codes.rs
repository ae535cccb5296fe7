//! What a peer is told of its faults, and what each side allows the other by itself.

use crate::kit::*;
use everyhop_http2::{Config, Connection, Fault};

#[test]
fn each_fault_is_told_by_the_number_that_the_rfc_has_for_it() {
    // RFC 9113 §7.
    let (protocol, flow_control, closed, frame_size, refused, compression, calm) = (1, 3, 5, 6, 7, 9, 11);
    let all = [
        (Fault::Preface, protocol),
        (Fault::NoSettings, protocol),
        (Fault::FrameSize, frame_size),
        (Fault::Padding, protocol),
        (Fault::Place, protocol),
        (Fault::Idle, protocol),
        (Fault::Closed, closed),
        (Fault::Interleaved, protocol),
        (Fault::Compression, compression),
        (Fault::Setting, protocol),
        (Fault::Acknowledged, protocol),
        (Fault::Window, flow_control),
        (Fault::NoIncrement, protocol),
        (Fault::Itself, protocol),
        (Fault::Push, protocol),
        (Fault::GoAway, protocol),
        (Fault::Flood, calm),
        (Fault::EndlessHead, calm),
        (Fault::Unread, calm),
        (Fault::Refused, refused),
        (Fault::FieldName, protocol),
        (Fault::FieldValue, protocol),
        (Fault::ConnectionField, protocol),
        (Fault::PseudoField, protocol),
        (Fault::Missing, protocol),
        (Fault::Target, protocol),
        (Fault::Status, protocol),
        (Fault::ContentLength, protocol),
        (Fault::BodyLength, protocol),
        (Fault::NoHead, protocol),
        (Fault::HeadAgain, protocol),
        (Fault::HeadTooLong, protocol),
    ];
    for (fault, number) in all {
        assert_eq!(fault.code().0, number, "{fault:?}");
    }
}

#[test]
fn a_server_may_ask_back_twenty_thousand_times_and_ten_thousand_times_a_second_more() {
    let mut it = Peer::client();
    let ping = frame(PING, 0, 0, &[0; 8]);
    let asks = |it: &mut Peer, times: usize| {
        for _ in 0..times {
            it.hear(&ping);
            it.says();
        }
    };
    // Two frames were its greeting.
    asks(&mut it, 19_998);
    it.conn.at_ms(1000);
    asks(&mut it, 10_000);
    assert_eq!(it.fails(&ping), Fault::Flood);
}

#[test]
fn a_server_alone_says_that_it_takes_tunnels_for_a_protocol() {
    let says = |conn: Connection| {
        let hello = frames(conn.output());
        let names: Vec<_> = hello[0].payload.chunks(6).map(|it| u16::from_be_bytes([it[0], it[1]])).collect();
        assert_eq!(hello[0].kind, SETTINGS);
        // SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 §3).
        names.contains(&8)
    };
    assert!(says(Connection::server(Config::server())));
    assert!(!says(Connection::client(Config::client())));
}
