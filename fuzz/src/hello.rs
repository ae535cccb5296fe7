//! The ClientHello that routes a connection, and the first record of a backend that proves it speaks TLS.

use crate::{cuts, oracle, shown};
use everyhop_hello::{Peeked, ServerFirst, Sni, Unreadable, first_server_record, host_name, read};

/// A small one, so that inputs of any length meet it, and the default of `limits.hello_bytes`.
const LIMITS: [usize; 2] = [256, 16 * 1024];

pub fn hello(data: &[u8]) {
    for limit in LIMITS {
        let whole = read(data, limit);
        for cut in cuts(data.len()) {
            let so_far = read(&data[..cut], limit);
            // Cut anywhere, the verdict is the same or not there yet (T01). Whether it looks like HTTP takes more bytes.
            let http = |it: &Peeked| matches!(it, Peeked::Unreadable(Unreadable::NotTls { .. }));
            assert!(
                so_far == Peeked::NeedMore || so_far == whole || http(&so_far) && http(&whole),
                "limit {limit}, cut at {cut}: {so_far:?}, but whole: {whole:?}"
            );
        }
        // A hello that never ends is given up at the limit (T03).
        assert!(whole != Peeked::NeedMore || data.len() < limit, "{} bytes and more are wanted", data.len());
        if let Peeked::Hello(it) = whole {
            assert!(it.len <= data.len() && it.len <= limit, "{} bytes of {}, limit {limit}", it.len, data.len());
            assert_eq!(read(&data[..it.len], limit), Peeked::Hello(it.clone()), "what follows is not of the hello");
            let named = oracle::server_name(data);
            match &it.sni {
                Sni::Absent => assert_eq!(named, None),
                Sni::Name(name) => {
                    assert_eq!(host_name(name.as_bytes()).as_ref(), Some(name), "canonical of canonical is itself");
                    assert_eq!(everyhop_canon::host::host(name.as_bytes()).as_ref(), Ok(name), "one rule for names");
                    let named = named.unwrap_or_default();
                    let plain = named.strip_suffix(b".").unwrap_or(&named).to_ascii_lowercase();
                    assert_eq!(shown(&plain), shown(name.as_bytes()), "the name that stands there");
                }
                Sni::IpLiteral(ip) => assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{ip:?}"),
                Sni::Invalid(_) => assert!(named.is_some(), "unreadable is not absent"),
            }
        }
    }
}

pub fn server_hello(data: &[u8]) {
    let whole = first_server_record(data);
    for cut in cuts(data.len()) {
        let so_far = first_server_record(&data[..cut]);
        assert!(so_far == ServerFirst::NeedMore || so_far == whole, "cut at {cut}: {so_far:?}, but whole: {whole:?}");
    }
    match whole {
        ServerFirst::NeedMore => assert!(data.len() < 5 + 16 * 1024 + 2048, "more than a record is wanted"),
        ServerFirst::ServerHello(_) => assert_eq!((data[0], data[1], data[5]), (22, 3, 2)),
        ServerFirst::Alert { level, description } => assert_eq!(data[..7], [21, 3, data[2], 0, 2, level, description]),
        ServerFirst::NotTls => assert!(!data.is_empty()),
    }
}
