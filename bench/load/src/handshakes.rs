//! Connections of one request each: a full handshake, or with `resume=1` a resumed one; as fast as it goes, or at `rate=`
//! a second over all threads.

use crate::{Failed, Given, tls};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// `to= name= ca= count= threads= [path=] [rate=] [resume=1] [chain= key=]`. Prints `done N resumed M`.
pub(crate) fn run(given: &Given) -> Result<(), Failed> {
    let config = tls::client(given)?;
    let (count, threads) = (given.number("count")?, given.number("threads")?);
    let gap = match given.maybe("rate") {
        Some(rate) => Duration::from_nanos(1_000_000_000 * threads / rate.parse::<u64>()?.max(1)),
        None => Duration::ZERO,
    };
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", given.maybe("path").unwrap_or("/"), given.text("name")?);
    let (left, resumed) = (Arc::new(AtomicU64::new(count)), Arc::new(AtomicU64::new(0)));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (given, config, request) = (given.clone(), config.clone(), request.clone());
            let (left, resumed) = (left.clone(), resumed.clone());
            std::thread::spawn(move || -> Result<(), Failed> {
                let mut answer = Vec::new();
                let mut due = Instant::now();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += gap;
                    let mut tls = tls::open(&given, &config)?;
                    tls::get(&mut tls, request.as_bytes(), &mut answer)?;
                    let again = tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                    resumed.fetch_add(u64::from(again), Ordering::Relaxed);
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a thread panicked")??;
    }
    println!("done {count} resumed {}", resumed.load(Ordering::Relaxed));
    Ok(())
}
