//! What a line says in each of its forms, and that what was written for one place comes there, whole, whatever another does.

use everyhop_plan::{LogForm, OnFull};
use everyhop_record::counters::PerThread;
use everyhop_record::facts::{IdentityUse, TlsFacts};
use everyhop_record::failure::Failure;
use everyhop_record::kept::Kept;
use everyhop_record::line::{ConnFacts, ConnFragment, ConnLine, DONE, HopFragment, Line};
use everyhop_record::lines::{Labels, Lines};
use everyhop_record::log::{Logs, ThreadLog, Writer};
use everyhop_record::refusal::Refusal;
use std::cell::OnceCell;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const MICROS: u64 = 971_186_136_000_042;
const WHOLE: [&str; 31] = [
    "time",
    "conn",
    "listener",
    "peer",
    "client",
    "sni",
    "client_hop",
    "id",
    "route",
    "pattern",
    "plan",
    "material",
    "backend_hop",
    "protocol",
    "method",
    "host",
    "path",
    "status",
    "grpc_status",
    "bytes_in",
    "bytes_out",
    "duration_us",
    "end",
    "detail",
    "told_id",
    "trace_id",
    "token",
    "user",
    "ask",
    "waf",
    "failed_hops",
];

fn labels() -> Labels<'static> {
    Labels { route: Some("a \"b\""), pattern: Some("mutual"), plan: "11", material: "22" }
}

fn facts<'a>(listener: &'a str, sni: Option<&'a str>, facts: &'a TlsFacts) -> ConnFacts<'a> {
    ConnFacts {
        id: 7,
        listener,
        peer: "[2001:db8::1]:1234".parse().expect("an address"),
        client: "192.0.2.7".parse().expect("an address"),
        sni,
        tls: "ended",
        facts,
        refused: None,
    }
}

fn conn(listener: &str, sni: Option<&str>) -> ConnFragment {
    ConnFragment::of(&facts(listener, sni, &TlsFacts::default()))
}

fn kept(values: &[Option<&[u8]>]) -> Kept {
    let mut it = Kept::default();
    for value in values {
        it.next();
        value.iter().for_each(|v| it.add(v));
    }
    it
}

fn line<'a>(conn: &'a ConnFragment, lines: &'a Lines, kept: Option<&'a Kept>) -> Line<'a> {
    Line {
        conn: ConnLine::Written(conn),
        id: Some(9),
        lines,
        hop: None,
        failed: &[],
        protocol: Some("h2"),
        method: Some(b"GET"),
        host: Some(b"a.test"),
        path: Some(b"/a \"b\\\xff"),
        status: 200,
        grpc: None,
        bytes_in: 1,
        bytes_out: 2326,
        duration_us: 3,
        end: DONE,
        detail: None,
        told_id: None,
        kept,
        trace: None,
        token: None,
        user: None,
        beside: None,
    }
}

/// A place with its reader.
struct Place {
    logs: Logs,
    writer: Arc<Writer>,
    reader: UnixStream,
}

impl Place {
    fn new() -> Place {
        let (logs, (reader, writes)) = (Logs::default(), UnixStream::pair().expect("a pair"));
        let writer = logs.writer("one");
        logs.open("one", OwnedFd::from(writes));
        Place { logs, writer, reader }
    }

    fn lines(&self, form: &LogForm) -> Lines {
        Lines::new(Some(self.writer.clone()), form, &labels()).expect("a form")
    }

    /// What was written, once nobody writes any more.
    fn told(self) -> String {
        let Place { logs, writer, mut reader } = self;
        drop(writer);
        assert!(logs.all().is_empty(), "a writer ends with whoever names its place");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("lines");
        text
    }
}

/// One line in `form`.
fn told(form: &LogForm, make: impl FnOnce(&Lines, &mut dyn FnMut(&Line<'_>))) -> String {
    let place = Place::new();
    let (mut log, stats) = (ThreadLog::default(), PerThread::default());
    make(&place.lines(form), &mut |line| stats.saw(MICROS, line, &mut log));
    log.flush();
    drop(log);
    place.told()
}

fn json(fields: Option<&[&str]>) -> LogForm {
    LogForm::Json { fields: fields.map(|f| f.iter().map(|it| (*it).to_owned()).collect()) }
}

#[test]
fn all_fields_picked_in_the_order_of_a_whole_line_are_that_line() {
    let all: Vec<&str> = WHOLE.into_iter().chain(["alarms"]).collect();
    let failure = Failure {
        at: "b:1".into(),
        address: None,
        tls: "mutual",
        why: Refusal::ConnectFailed,
        identity: IdentityUse::Unknown,
        expected: None,
        certificate: None,
        alert: None,
        detail: None,
        duration_us: 4,
        ended_us: 5,
        span: None,
    };
    let hop = HopFragment::of("b:1", None, "mutual", TlsFacts::default(), IdentityUse::NotDemanded);
    for (listener, sni) in [("public", Some("a.test")), ("a:b,\"c\"", None), ("", Some("x:\",\"y"))] {
        for full in [false, true] {
            let [whole, picked] = [json(None), json(Some(&all))].map(|form| {
                told(&form, |lines, saw| {
                    let conn = conn(listener, sni);
                    let mut it = line(&conn, lines, None);
                    if full {
                        (it.hop, it.grpc, it.status) = (Some((&hop, true)), Some(14), 0);
                        it.failed = std::slice::from_ref(&failure);
                        (it.detail, it.told_id, it.id) = (Some("why"), Some("told"), None);
                        it.trace = Some([0xab; 16]);
                    }
                    saw(&it);
                })
            });
            assert_eq!(whole, picked);
            let read: serde_json::Value = serde_json::from_str(&picked).expect("JSON");
            assert_eq!(read.as_object().map(serde_json::Map::len), Some(all.len()));
        }
    }
}

#[test]
fn what_is_picked_comes_in_its_order_with_fields_of_the_request_by_their_names() {
    let form = json(Some(&["status", "header:user-agent", "route", "client", "header:x-none", "end"]));
    let kept = kept(&[Some(b"a\"\n\xff"), None]);
    let text = told(&form, |lines, saw| {
        assert_eq!(lines.headers.iter().map(|h| &**h).collect::<Vec<_>>(), ["user-agent", "x-none"]);
        saw(&line(&conn("l", None), lines, Some(&kept)));
    });
    let expected = concat!(
        r#"{"status":200,"header:user-agent":"a\"\u000a\u00ff","route":"a \"b\"","client":"192.0.2.7","#,
        r#""header:x-none":null,"end":"done"}"#,
        "\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_connection_without_a_log_keeps_nothing_of_its_lines_and_what_is_told_of_it_is_the_same() {
    let tls = TlsFacts { version: Some("TLSv1.3"), alpn: Some("h2".into()), ..TlsFacts::default() };
    let facts = facts("a:b,\"c\"", Some("x:\",\"y"), &tls);
    let written = ConnFragment::of(&facts);
    for form in
        [json(None), json(Some(&["conn", "listener", "peer", "client", "sni", "client_hop"])), LogForm::Combined {}]
    {
        let by_facts = told(&form, |lines, saw| {
            let fragment = OnceCell::new();
            let it = Line { conn: ConnLine::Known(facts, &fragment), ..line(&written, lines, None) };
            saw(&it);
            assert!(fragment.get().is_some(), "the next line finds it");
            saw(&it);
        });
        let by_fragment = told(&form, |lines, saw| [(); 2].iter().for_each(|()| saw(&line(&written, lines, None))));
        assert_eq!(by_facts, by_fragment);
    }
    let lines = Lines::new(None, &json(None), &labels()).expect("a form");
    let fragment = OnceCell::new();
    let it = Line { conn: ConnLine::Known(facts, &fragment), ..line(&written, &lines, None) };
    let [mut shown, mut whole] = [b"before".to_vec(), b"before".to_vec()];
    PerThread::default().saw(MICROS, &it, &mut ThreadLog::default());
    it.write(&mut shown, MICROS);
    assert!(fragment.get().is_none());
    line(&written, &lines, None).write(&mut whole, MICROS);
    assert_eq!(shown, whole);
}

#[test]
fn a_field_that_no_line_has_is_refused() {
    for name in ["login", "", "Time", "header"] {
        assert!(Lines::new(None, &json(Some(&["time", name])), &labels()).is_err_and(|why| why.contains(name)));
    }
}

#[test]
fn a_line_in_the_combined_format_is_one_as_nginx_writes_it() {
    let kept = kept(&[Some(b"https://a.test/"), Some(b"curl/8 \"x\"\\")]);
    let text = told(&LogForm::Combined {}, |lines, saw| {
        saw(&line(&conn("l", None), lines, Some(&kept)));
        let other = conn("l", None);
        let mut none = Line {
            id: None,
            protocol: None,
            method: None,
            host: None,
            path: None,
            status: 0,
            ..line(&other, lines, None)
        };
        none.end = "tls/none";
        saw(&none);
    });
    let expected = concat!(
        r#"192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a \x22b\x5C\xFF HTTP/2.0" 200 2326 "#,
        r#""https://a.test/" "curl/8 \x22x\x22\x5C""#,
        "\n",
        r#"192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "-" 000 2326 "-" "-""#,
        "\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_quiet_route_leaves_lines_only_of_what_did_not_go_as_decided() {
    let place = Place::new();
    let (mut log, stats) = (ThreadLog::default(), PerThread::default());
    {
        let lines = place.lines(&json(Some(&["end"]))).quiet();
        let conn = conn("l", None);
        stats.saw(MICROS, &line(&conn, &lines, None), &mut log);
        let mut refused = line(&conn, &lines, None);
        refused.end = "request/client-not-allowed";
        stats.saw(MICROS, &refused, &mut log);
    }
    log.flush();
    drop(log);
    assert_eq!(place.told(), "{\"end\":\"request/client-not-allowed\"}\n");
}

#[test]
fn lines_of_two_routes_with_one_place_come_there_whole() {
    let place = Place::new();
    assert!(Arc::ptr_eq(&place.writer, &place.logs.writer("one")), "one place, one writer");
    let threads = (0..4).map(|_| {
        let lines = [place.lines(&json(Some(&["route", "end"]))), place.lines(&json(Some(&["end", "path"])))];
        std::thread::spawn(move || {
            let (mut log, stats) = (ThreadLog::default(), PerThread::default());
            for i in 0..20_000 {
                stats.saw(MICROS, &line(&conn("l", None), &lines[i % 2], None), &mut log);
            }
            log.flush();
        })
    });
    let threads: Vec<_> = threads.collect();
    let mut reader = place.reader.try_clone().expect("a copy");
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    threads.into_iter().for_each(|it| it.join().expect("a thread"));
    let dropped = place.logs.dropped.clone();
    drop(place);
    let text = reading.join().expect("a thread").expect("text");
    assert_eq!((text.lines().count(), dropped.load(Ordering::Relaxed)), (80_000, 0));
    assert!(text.lines().all(|it| serde_json::from_str::<serde_json::Value>(it).is_ok()));
}

#[test]
fn a_place_that_takes_nothing_costs_another_nothing_and_its_lost_lines_are_counted() {
    let logs = Logs::default();
    let (stuck, mut reader) = (UnixStream::pair().expect("a pair"), UnixStream::pair().expect("a pair"));
    let (slow, fast) = (logs.writer("slow"), logs.writer("fast"));
    logs.configure(OnFull::Refuse);
    logs.open("slow", OwnedFd::from(stuck.1));
    logs.open("fast", OwnedFd::from(reader.1));
    let lines = [slow.clone(), fast.clone()].map(|to| Lines::new(Some(to), &json(None), &labels()).expect("a form"));
    let (mut log, stats, conn) = (ThreadLog::default(), PerThread::default(), conn("l", None));
    let mut written = 0u64;
    // Until no more can wait.
    while logs.dropped.load(Ordering::Relaxed) == 0 {
        stats.saw(MICROS, &line(&conn, &lines[0], None), &mut log);
        written += 1;
        assert!(written < 1_000_000, "the queue has no bound");
    }
    stats.saw(MICROS, &line(&conn, &lines[1], None), &mut log);
    log.flush();
    assert_eq!((slow.must_refuse(), fast.must_refuse()), (true, false));
    drop((log, lines, fast));
    let mut text = String::new();
    reader.0.read_to_string(&mut text).expect("lines");
    assert_eq!(text.lines().count(), 1);
    // What waits comes once it is taken.
    let mut left = stuck.0;
    drop(slow);
    text.clear();
    left.read_to_string(&mut text).expect("lines");
    let all = text.lines().count() as u64;
    assert!(all <= written && text.lines().all(|it| serde_json::from_str::<serde_json::Value>(it).is_ok()));
    assert_eq!(all + logs.dropped.load(Ordering::Relaxed), written);
}

#[test]
fn another_file_takes_over_behind_what_was_written_to_the_one_before() {
    let place = Place::new();
    let (mut log, stats, conn) = (ThreadLog::default(), PerThread::default(), conn("l", None));
    let lines = place.lines(&json(Some(&["status"])));
    let mut texts = Vec::new();
    let mut reader = place.reader.try_clone().expect("a copy");
    for _ in 0..5 {
        for _ in 0..100 {
            stats.saw(MICROS, &line(&conn, &lines, None), &mut log);
        }
        log.flush();
        let (next, writes) = UnixStream::pair().expect("a pair");
        place.logs.open("one", OwnedFd::from(writes));
        let mut text = String::new();
        // The one before is closed behind its last line.
        reader.read_to_string(&mut text).expect("lines");
        texts.push(text.lines().count());
        reader = next;
    }
    assert_eq!(texts, [100; 5]);
}

#[test]
fn a_place_that_was_never_opened_counts_what_it_loses() {
    let logs = Logs::default();
    let lines = Lines::new(Some(logs.writer("one")), &json(None), &labels()).expect("a form");
    logs.configure(OnFull::Refuse);
    let (mut log, stats) = (ThreadLog::default(), PerThread::default());
    assert!(!lines.must_refuse());
    stats.saw(MICROS, &line(&conn("l", None), &lines, None), &mut log);
    log.flush();
    assert_eq!((logs.dropped.load(Ordering::Relaxed), lines.must_refuse()), (1, true));
}
