//! WebSocket messages: `echo` is a backend that agrees to an upgrade and sends back every byte; `websocket` is the load.
//! The tunnel does not look into frames, so that neither does this.

use crate::{Failed, Given, tls};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// RFC 6455 §1.3: the answer to that key.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// `listen=`: serves until it is killed.
pub(crate) fn echo(given: &Given) -> Result<(), Failed> {
    let listener = TcpListener::bind(given.text("listen")?)?;
    for sock in listener.incoming() {
        let sock = sock?;
        // A connection that breaks is the load's affair.
        std::thread::spawn(move || drop(echo_one(sock)));
    }
    Ok(())
}

fn head(from: &mut impl Read) -> Result<Vec<u8>, Failed> {
    let (mut head, mut byte) = (Vec::new(), [0u8]);
    while !head.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    Ok(head)
}

fn echo_one(mut sock: TcpStream) -> Result<(), Failed> {
    sock.set_nodelay(true)?;
    head(&mut sock)?;
    let switch = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    sock.write_all(switch.as_bytes())?;
    let mut piece = [0u8; 16 * 1024];
    loop {
        let n = sock.read(&mut piece)?;
        if n == 0 {
            return Ok(());
        }
        sock.write_all(piece.get(..n).unwrap_or_default())?;
    }
}

/// `to= name= ca= count= threads= size=`: messages there and back. Prints `done N`.
pub(crate) fn run(given: &Given) -> Result<(), Failed> {
    let config = tls::client(given)?;
    let threads = given.number("threads")?;
    let each = given.number("count")? / threads;
    let size = usize::try_from(given.number("size")?)?;
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
        given.text("name")?
    );
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (given, config, upgrade) = (given.clone(), config.clone(), upgrade.clone());
            std::thread::spawn(move || -> Result<(), Failed> {
                let mut tls = tls::open(&given, &config)?;
                tls.write_all(upgrade.as_bytes())?;
                if !head(&mut tls)?.starts_with(b"HTTP/1.1 101") {
                    return Err("no upgrade".into());
                }
                let (sent, mut got) = (vec![b'w'; size], vec![0u8; size]);
                for _ in 0..each {
                    tls.write_all(&sent)?;
                    tls.read_exact(&mut got)?;
                    if got != sent {
                        return Err("the echo differs".into());
                    }
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a thread panicked")??;
    }
    println!("done {}", each * threads);
    Ok(())
}
