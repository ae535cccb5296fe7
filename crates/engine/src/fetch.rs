//! One document from a server, by HTTP/1.1 over a hop that is opened as one to a backend: what a supervisor fetches for an edge,
//! in its own process. Nothing is followed, nothing is kept open, and whatever answers costs no more than the time and the bytes
//! that it was given. Read next: `backend/connect.rs`, which opens it.

use crate::backend::connect;
use crate::backend::h1::H1Up;
use crate::backend::preface::Preface;
use crate::exchange::words::Got;
use everyhop_plan::Limits;
use everyhop_record::failure::Failure;
use everyhop_record::refusal::Refusal;
use everyhop_running::backend::BackendRun;
use everyhop_transport::buf::Buf;
use everyhop_transport::deadlines::{Watches, in_time};
use everyhop_transport::thread;
use everyhop_transport::ticker::Ticker;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INTERIM: u32 = 16;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What the request names as its host.
    pub authority: String,
    /// With its query.
    pub path: String,
    pub limits: Limits,
    /// For everything.
    pub within: Duration,
    /// Of the document.
    pub most_bytes: usize,
}

/// What was answered.
#[derive(Debug)]
pub struct Fetched {
    pub status: u16,
    pub cache_control: Vec<Vec<u8>>,
    pub age: Vec<Vec<u8>>,
    pub body: Vec<u8>,
    /// What TLS came to, as an observation has it.
    pub hop: String,
}

/// Why nothing was: a reason of the list, what more is known of it, and at which address.
#[derive(Debug)]
pub struct Unfetched {
    pub why: Refusal,
    pub detail: String,
}

/// Asks at each of the server's addresses until one answers.
pub fn fetch(backend: &Arc<BackendRun>, ask: &Ask) -> Result<Fetched, Unfetched> {
    let outcome: Rc<RefCell<Option<Result<Fetched, Unfetched>>>> = Rc::default();
    let (backend, ask, told) = (backend.clone(), ask.clone(), outcome.clone());
    let ran = thread::run(Box::pin(async move {
        let watches: Rc<Watches> = Rc::default();
        let (ticker, began) = (Ticker::new()?, Instant::now());
        watches.clock.tick(began);
        let asking = tokio::task::spawn_local(asked(watches.clone(), backend, ask));
        while !asking.is_finished() {
            ticker.tick().await?;
            watches.clock.tick(began);
            watches.tick().await;
        }
        *told.borrow_mut() = Some(asking.await.map_err(std::io::Error::other)?);
        Ok(())
    }));
    let found = outcome.borrow_mut().take();
    found.unwrap_or_else(|| {
        let detail = ran.err().map(|e| e.to_string()).unwrap_or_default();
        Err(Unfetched { why: Refusal::ConnectFailed, detail })
    })
}

async fn asked(watches: Rc<Watches>, backend: Arc<BackendRun>, ask: Ask) -> Result<Fetched, Unfetched> {
    let until_ms = watches.clock.now_ms.get() + u64::try_from(ask.within.as_millis()).unwrap_or(u64::MAX);
    let addresses = backend.addresses.load_full();
    let mut failed = Unfetched { why: Refusal::Unresolved, detail: String::new() };
    let count = addresses.len() as u64;
    for (i, address) in addresses.iter().enumerate() {
        let now_ms = watches.clock.now_ms.get();
        let share_ms = until_ms.saturating_sub(now_ms) / (count - i as u64).max(1);
        let opened = connect::open(&watches, 0, &backend, address, now_ms + share_ms, &Preface::NONE, &mut None).await;
        let heard = match opened {
            Ok(opened) => {
                opened.link.is_our_own();
                let mut up = H1Up::new(opened, &ask.limits);
                let watch = watches.watch();
                watch.at_ms(until_ms);
                match in_time(&watch, exchange(&mut up, &ask)).await {
                    Ok(Ok(fetched)) => return Ok(fetched),
                    Ok(Err(why)) => Box::new(up.link.failure(why, up.rule(), 0)),
                    Err(_) => Box::new(up.link.failure(Refusal::BackendFirstByte, None, 0)),
                }
            }
            Err(it) => it,
        };
        failed = unfetched(&heard);
    }
    Err(failed)
}

fn unfetched(it: &Failure) -> Unfetched {
    let at = it.address.map_or_else(|| it.at.clone(), |a| a.to_string());
    let more = [it.alert.as_deref(), it.detail.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    Unfetched { why: it.why, detail: if more.is_empty() { at } else { format!("{at}: {more}") } }
}

async fn exchange(up: &mut H1Up, ask: &Ask) -> Result<Fetched, Refusal> {
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: everyhop/{}\r\naccept: application/jwk-set+json, application/json\r\n\
         connection: close\r\n\r\n",
        ask.path,
        ask.authority,
        env!("CARGO_PKG_VERSION"),
    );
    up.ask(head.as_bytes());
    poll_fn(|cx| up.poll_flush(cx)).await?;
    let mut status = 0;
    for _ in 0..=INTERIM {
        status = poll_fn(|cx| up.poll_head(cx, &ask.limits)).await?.status;
        if status >= 200 {
            break;
        }
        up.pass_over();
    }
    if status < 200 {
        return Err(Refusal::BackendInformational);
    }
    let (cache_control, age) = (up.says(b"cache-control"), up.says(b"age"));
    let hop = up.facts().told();
    up.pass_over();
    let mut body = Buf::default();
    while poll_fn(|cx| up.poll_data(cx, &mut body)).await? == Got::Some {
        // One byte more says that there were more.
        if body.len() > ask.most_bytes {
            break;
        }
    }
    Ok(Fetched { status, cache_control, age, body: body.bytes().to_vec(), hop })
}
