//! What a health check asks, over a new connection or one that a check before left, and what it saw: that there is a hop at
//! all, a GET, or a call of `grpc.health.v1`. Everything that comes is bounded in length, and ends with the check's own time.
//! Read next: `check_kept.rs`, then `check.rs`.

use crate::backend::check_kept::{BODY_BYTES, Kept, Spoken, died};
use crate::backend::check_text::Sought;
use crate::backend::connect::{self, Opened};
use crate::backend::h1::H1Up;
use crate::backend::h2::{self, H2Conn, H2Up};
use crate::backend::preface::{LOCAL, Preface};
use crate::exchange::words::Got;
use everyhop_plan::{HealthAsks, HealthCheck, Limits, StartTls, Statuses, UpstreamProtocol};
use everyhop_record::failure::Failure;
use everyhop_record::grpc;
use everyhop_record::refusal::Refusal;
use everyhop_running::address::Address;
use everyhop_running::backend::BackendRun;
use everyhop_running::running::RouteRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::clock::Clock;
use everyhop_transport::deadlines::{Watches, in_time};
use everyhop_transport::h2::Asking;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

/// Interim answers that one may send before its own.
const INTERIM: u32 = 16;
/// The answer to a call is a message of some bytes.
const MESSAGE_BYTES: usize = 1024;
/// Who asks.
const AGENT: &str = "everyhop-health";

/// What is asked, and how the hop begins.
pub(crate) struct Asks {
    pub(crate) check: HealthCheck,
    pub(crate) limits: Arc<Limits>,
    /// Said before anything else.
    pub(crate) first: &'static [u8],
    pub(crate) starttls: Option<StartTls>,
}

impl Asks {
    /// What the route asks its backends; `None` where it asks nothing.
    pub(crate) fn of(route: &RouteRun) -> Option<Asks> {
        let check = route.spread.as_ref()?.health.clone()?;
        // A PROXY header of nobody's is what checks have (its specification, §2.2), also where TLS passes through.
        let first = if route.send_proxy { LOCAL } else { b"" };
        Some(Asks { check, limits: route.limits.clone(), first, starttls: route.starttls })
    }
}

/// What a check saw that failed.
pub(crate) enum Saw {
    /// The hop did not come about, or broke.
    Failure(Box<Failure>),
    /// It answered, and not as it should.
    Answer(String),
    Late,
}

impl Saw {
    pub(crate) fn words(&self, timeout_s: u32) -> String {
        let it = match self {
            Saw::Late => return format!("no answer within {timeout_s} s"),
            Saw::Answer(words) => return words.clone(),
            Saw::Failure(it) => it,
        };
        match (it.why, &it.detail, &it.alert) {
            (Refusal::ConnectFailed, Some(detail), _) => detail.clone(),
            (Refusal::ConnectTimeout, None, _) => format!("no connection within {timeout_s} s"),
            (why, _, Some(alert)) => format!("{}: {alert}", why.sentence()),
            (why, Some(detail), _) => format!("{}: {detail}", why.sentence()),
            (why, None, None) => why.sentence().to_owned(),
        }
    }
}

/// A check that passed.
pub(crate) struct Passed {
    /// By a connection that was opened for it, so the backend proved just now who it is.
    pub(crate) fresh: bool,
    /// What the next may be asked over.
    pub(crate) kept: Option<Kept>,
}

/// Asks one address, within the check's time: over `kept`, where there is one and it holds, else over a new connection. One
/// that the backend had closed by then is no failure: it is asked afresh, once.
pub(crate) async fn ask(
    watches: &Rc<Watches>,
    asks: &Asks,
    backend: &Arc<BackendRun>,
    address: &Address,
    kept: Option<Kept>,
) -> Result<Passed, Saw> {
    let clock = &*watches.clock;
    let until_ms = clock.now_ms.get() + u64::from(asks.check.timeout_s) * 1000;
    let watch = watches.watch();
    watch.at_ms(until_ms);
    if let Some(mut kept) = kept
        && kept.holds(clock).await
    {
        match in_time(&watch, over(clock, asks, kept, true)).await {
            Ok(Err(Saw::Failure(it))) if died(it.why) => {}
            Ok(passed) => return passed.map(|kept| Passed { fresh: false, kept }),
            Err(_) => return Err(Saw::Late),
        }
    }
    let is_call = matches!(asks.check.asks, HealthAsks::Grpc { .. });
    let alone: Option<&[u8]> = if is_call && backend.protocol == UpstreamProtocol::Auto { Some(b"h2") } else { None };
    let preface = Preface { first: asks.first, starttls: asks.starttls, alone, whole: true, ..Preface::NONE };
    let opened =
        connect::open(watches, 0, backend, address, until_ms, &preface, &mut None).await.map_err(Saw::Failure)?;
    opened.link.is_our_own();
    let asked = async {
        if matches!(asks.check.asks, HealthAsks::Connect {}) {
            return Ok(None);
        }
        let kept = Kept::new(speak(watches, asks, opened).await?, clock);
        over(clock, asks, kept, false).await
    };
    in_time(&watch, asked).await.unwrap_or(Err(Saw::Late)).map(|kept| Passed { fresh: true, kept })
}

async fn speak(watches: &Rc<Watches>, asks: &Asks, opened: Opened) -> Result<Spoken, Saw> {
    let speaks_h2 = match opened.link.backend.protocol {
        UpstreamProtocol::Http2 => true,
        UpstreamProtocol::Auto => opened.agreed_on_h2(),
        UpstreamProtocol::Http1 | UpstreamProtocol::Tcp => false,
    };
    if speaks_h2 || matches!(asks.check.asks, HealthAsks::Grpc { .. }) {
        return h2::open(watches, opened, &asks.limits).await.map(Spoken::Http2).map_err(Saw::Failure);
    }
    Ok(Spoken::Http1(Box::new(H1Up::new(opened, &asks.limits))))
}

/// Asks over a connection that is open; what passed leaves it to the next check, where it lasts. `again`: it was asked over
/// before.
async fn over(clock: &Clock, asks: &Asks, mut kept: Kept, again: bool) -> Result<Option<Kept>, Saw> {
    let limits = &*asks.limits;
    // The next comes a tenth late at most.
    let next_ms = clock.now_ms.get() + u64::from(asks.check.every_s) * 1100;
    let lasts = kept.lasts(next_ms);
    match (&asks.check.asks, &mut kept.spoken) {
        (HealthAsks::Http { host, path, statuses, body }, spoken) => {
            let (status, stream) = match spoken {
                Spoken::Http1(up) => (get_h1(up, limits, (host, path), lasts).await?, None),
                Spoken::Http2(conn) => get_h2(conn, limits, (host, path)).await?,
            };
            // RFC 9110 §15.5.9: an idle connection may end so.
            if let (408, true, Spoken::Http1(up)) = (status, again, &*spoken) {
                return Err(Saw::Failure(Box::new(up.link.failure(Refusal::BackendClosed, None, 0))));
            }
            let is_well = |it: &Statuses| (it.first..=it.last).contains(&status);
            if !statuses.iter().any(is_well) {
                return Err(Saw::Answer(format!("answered {status}")));
            }
            kept.at_body(clock);
            if let Some(text) = body
                && !says(&mut kept, stream, limits, text).await?
            {
                return Err(Saw::Answer(format!("answered {status} without {text:?}")));
            }
        }
        (HealthAsks::Grpc { host, service }, Spoken::Http2(conn)) => call(conn, limits, (host, service)).await?,
        (HealthAsks::Grpc { .. } | HealthAsks::Connect {}, _) => return Ok(None),
    }
    Ok(if lasts { kept.after(next_ms).await } else { None })
}

async fn get_h1(up: &mut H1Up, limits: &Limits, (host, path): (&str, &str), lasts: bool) -> Result<u16, Saw> {
    let then = if lasts { "" } else { "connection: close\r\n" };
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {AGENT}\r\naccept: */*\r\nx-forwarded-proto: https\r\n{then}\r\n"
    );
    up.ask(head.as_bytes());
    let mut answered = async || {
        poll_fn(|cx| up.poll_flush(cx)).await?;
        for _ in 0..=INTERIM {
            let status = poll_fn(|cx| up.poll_head(cx, limits)).await?.status;
            if status >= 200 {
                return Ok(status);
            }
            up.pass_over();
        }
        Err(Refusal::BackendInformational)
    };
    let answered = answered().await;
    answered.map_err(|why| Saw::Failure(Box::new(up.link.failure(why, up.rule(), 0))))
}

async fn get_h2(conn: &Rc<H2Conn>, limits: &Limits, (host, path): (&str, &str)) -> Result<(u16, Option<H2Up>), Saw> {
    let mut up = H2Up::on(conn.clone());
    let asking = question("GET", host, path)?.with("accept", "*/*").with("x-forwarded-proto", "https");
    up.ask(asking, true);
    let status = head_h2(&mut up, limits).await?;
    Ok((status, Some(up)))
}

/// Whether the answer's body has that text, within what is read of one; no more of it is waited for than that takes.
async fn says(kept: &mut Kept, mut stream: Option<H2Up>, limits: &Limits, text: &str) -> Result<bool, Saw> {
    let mut sought = Sought::new(text);
    loop {
        let mut some = Buf::default();
        let got = match &mut stream {
            Some(up) => poll_fn(|cx| up.poll_data(cx, &mut some, limits)).await.map_err(|why| broke(up, why))?,
            None => kept.some_of_body(&mut some).await.map_err(Saw::Failure)?,
        };
        if sought.is_in(some.bytes()) {
            return Ok(true);
        }
        if got == Got::End || sought.read > BODY_BYTES {
            return Ok(false);
        }
    }
}

async fn call(conn: &Rc<H2Conn>, limits: &Limits, (host, service): (&str, &str)) -> Result<(), Saw> {
    let mut up = H2Up::on(conn.clone());
    let asking = question("POST", host, "/grpc.health.v1.Health/Check")?;
    up.ask(asking.with("content-type", "application/grpc").with("te", "trailers"), false);
    let mut body = Buf::default();
    body.push(&message(service));
    if let Err(why) = poll_fn(|cx| up.poll_send(cx, &mut body)).await {
        return Err(broke(&up, why));
    }
    up.finish(None);
    let status = head_h2(&mut up, limits).await?;
    if status != 200 {
        return Err(Saw::Answer(format!("answered {status}")));
    }
    let mut code = up.field("grpc-status").map(grpc::read);
    let mut said = Buf::default();
    loop {
        match poll_fn(|cx| up.poll_data(cx, &mut said, limits)).await {
            Ok(Got::End) => break,
            Ok(Got::Some) if said.len() > MESSAGE_BYTES => {
                return Err(Saw::Answer(format!("answered with more than {MESSAGE_BYTES} bytes")));
            }
            Ok(Got::Some) => {}
            Err(why) => return Err(broke(&up, why)),
        }
    }
    if let Some(trailers) = up.trailers() {
        code = trailers.get("grpc-status").map(|it| grpc::read(it.as_bytes())).or(code);
    }
    match (code, serving(said.bytes())) {
        (Some(0), Some(1)) => Ok(()),
        // grpc.health.v1.HealthCheckResponse.ServingStatus.
        (Some(0), Some(0)) => Err(Saw::Answer("answered UNKNOWN".to_owned())),
        (Some(0), Some(2)) => Err(Saw::Answer("answered NOT_SERVING".to_owned())),
        (Some(0), Some(3)) => Err(Saw::Answer("answered SERVICE_UNKNOWN".to_owned())),
        (Some(0), _) => Err(Saw::Answer("answered what is no HealthCheckResponse".to_owned())),
        (Some(5), _) => Err(Saw::Answer("answered gRPC status 5: it knows no such service".to_owned())),
        (Some(12), _) => Err(Saw::Answer("answered gRPC status 12: it has no grpc.health.v1".to_owned())),
        (Some(other), _) => Err(Saw::Answer(format!("answered gRPC status {other}"))),
        (None, _) => Err(Saw::Answer("answered without a status of gRPC".to_owned())),
    }
}

async fn head_h2(up: &mut H2Up, limits: &Limits) -> Result<u16, Saw> {
    for _ in 0..=INTERIM {
        match poll_fn(|cx| up.poll_head(cx, limits)).await {
            Ok(head) if head.status >= 200 => return Ok(head.status),
            Ok(_) => {}
            Err(why) => return Err(broke(up, why)),
        }
    }
    Err(broke(up, Refusal::BackendInformational))
}

fn broke(up: &H2Up, why: Refusal) -> Saw {
    Saw::Failure(Box::new(up.link().failure(why, up.rule(), 0)))
}

/// Refuses what a plan has that no request can say, which the file's judge refuses before.
fn question(method: &str, host: &str, path: &str) -> Result<Asking, Saw> {
    let asking = Asking::new(Vec::new(), method, host, path);
    if !asking.is_sayable() {
        return Err(Saw::Answer("the question cannot be written in HTTP/2".to_owned()));
    }
    Ok(asking.with("user-agent", AGENT))
}

/// A message of gRPC with a HealthCheckRequest: its one field is the service's name.
fn message(service: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(service.len() + 8);
    if !service.is_empty() {
        body.push(0x0a);
        length(&mut body, service.len());
        body.extend_from_slice(service.as_bytes());
    }
    let mut out = vec![0];
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

/// As protobuf writes numbers.
fn length(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(u8::try_from(n & 0x7f).unwrap_or(0) | 0x80);
        n >>= 7;
    }
    out.push(u8::try_from(n).unwrap_or(0));
}

/// The status of a HealthCheckResponse, which is one small number: 0 where it says none. Anything else is none.
fn serving(message: &[u8]) -> Option<u8> {
    match message {
        [0, 0, 0, 0, 0] => Some(0),
        [0, 0, 0, 0, 2, 0x08, status @ ..] => match status {
            [status] if *status < 0x80 => Some(*status),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_of_grpc_health_is_written_as_protobuf_has_it() {
        assert_eq!(message(""), [0, 0, 0, 0, 0]);
        assert_eq!(message("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = message(&"x".repeat(300));
        assert_eq!((long.len(), &long[..8]), (5 + 3 + 300, &[0, 0, 0, 1, 47, 0x0a, 0xac, 0x02][..]));
    }

    #[test]
    fn only_a_whole_response_that_says_a_status_says_one() {
        assert_eq!(serving(&[0, 0, 0, 0, 0]), Some(0), "a field that is 0 is left out");
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        for wrong in [&b""[..], &[0, 0, 0, 0, 2, 8], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 2, 8, 1, 1], b"<html>"] {
            assert_eq!(serving(wrong), None, "{wrong:?}");
        }
    }
}
