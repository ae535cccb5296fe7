//! /metrics, /livez and /readyz on the status address: read-only, one answer a connection, by the same codec as the rest.

use crate::metrics_text::metrics;
use crate::trouble;
use everyhop_engine::worker::core::Core;
use everyhop_record::trouble::Trouble;
use everyhop_transport::deadlines::in_time;
use std::net::TcpListener;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A scraper's request is small and quick.
const HEAD_BYTES: usize = 8 * 1024;
const HEAD_S: u32 = 5;
/// Scrapers at once; each holds a descriptor that clients' connections were not counted for.
const SCRAPERS: usize = 32;

pub(crate) fn listen(core: &Rc<Core>, socket: TcpListener) -> Option<JoinHandle<()>> {
    let socket = tokio::net::TcpListener::from_std(socket).ok()?;
    let core = core.clone();
    Some(tokio::task::spawn_local(async move {
        let here = Rc::new(());
        loop {
            match socket.accept().await {
                // Closed at once: who is late leaves soon, and a scraper comes again.
                Ok(_) if Rc::strong_count(&here) > SCRAPERS => {}
                Ok((sock, _)) => {
                    let (core, here) = (core.clone(), here.clone());
                    tokio::task::spawn_local(async move {
                        // A scraper that is late or gone gets nothing; it comes again.
                        let watch = core.watch();
                        watch.within_s(HEAD_S);
                        let _ = in_time(&watch, answer(&core, sock)).await;
                        drop(here);
                    });
                }
                Err(_) => core.pause().await,
            }
        }
    }))
}

async fn answer(core: &Core, mut sock: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(512);
    while memchr::memmem::find(&head, b"\r\n\r\n").is_none() {
        if head.len() >= HEAD_BYTES || sock.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let troubles = trouble::all(&core.shared);
    let ready = core.running().is_some() && !core.hurries() && !troubles.iter().any(Trouble::is_unready);
    let (status, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics(&core.shared, &troubles, ready))
        }
        (b"GET" | b"HEAD", b"/livez") => ("200 OK", "text/plain", "ok\n".to_owned()),
        (b"GET" | b"HEAD", b"/readyz") if ready => {
            ("200 OK", "text/plain", format!("ok\n{}", trouble::lines(&troubles)))
        }
        (b"GET" | b"HEAD", b"/readyz") => {
            let why = if core.hurries() {
                "draining"
            } else if core.running().is_none() {
                "no plan"
            } else {
                "not ready"
            };
            ("503 Service Unavailable", "text/plain", format!("{why}\n{}", trouble::lines(&troubles)))
        }
        (b"GET" | b"HEAD", _) => ("404 Not Found", "text/plain", "here are /metrics /livez /readyz\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "read-only\n".to_owned()),
    };
    let mut out = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != b"HEAD" {
        out.push_str(&body);
    }
    sock.write_all(out.as_bytes()).await?;
    sock.shutdown().await
}
