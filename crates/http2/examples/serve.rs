//! Serves HTTP/2 in the clear on a port, by threads: `serve PORT`. What `h2spec` is run against; each request is answered 200
//! with a body of 256 bytes, once it is whole.

use everyhop_http2::{Config, Connection, Event, Ready};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

const BODY: [u8; 256] = [b'x'; 256];

struct Talk {
    conn: Connection,
    /// What of each stream's answer is still to be sent.
    left: HashMap<u32, usize>,
}

impl Talk {
    fn answer(&mut self, stream: u32, status: u16) {
        let fine = self.conn.answer(stream, status, false, |fields| {
            fields.put(b"content-length", b"256");
            fields.put(b"content-type", b"text/plain");
        });
        self.left.insert(stream, BODY.len());
        if fine.is_ok() {
            self.go_on(stream);
        }
    }

    fn go_on(&mut self, stream: u32) {
        let Some(left) = self.left.get_mut(&stream) else { return };
        let rest = BODY.get(BODY.len() - *left..).unwrap_or_default();
        *left -= self.conn.body(stream, rest, true).unwrap_or(*left);
        if *left == 0 {
            self.left.remove(&stream);
            self.conn.done(stream);
        }
    }

    fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Head { stream, last: true } | Event::Trailers { stream } => self.answer(stream, 200),
            Event::TooLong { stream, .. } | Event::TrailersTooLong { stream } => self.answer(stream, 431),
            Event::Data { stream, bytes, last } => {
                self.conn.release(stream, bytes.len());
                if last {
                    self.answer(stream, 200);
                }
            }
            Event::Reset { stream, .. } | Event::Broken { stream, .. } => {
                self.left.remove(&stream);
                self.conn.done(stream);
            }
            _ => {}
        }
    }

    fn take_turns(&mut self) {
        while let Some(Ready::Body(stream)) = self.conn.pop_ready() {
            self.go_on(stream);
        }
    }
}

fn talk(mut sock: TcpStream) -> std::io::Result<()> {
    let mut it = Talk { conn: Connection::server(Config::server()), left: HashMap::new() };
    let (mut input, mut at) = (Vec::new(), 0);
    loop {
        while let Ok(Some(event)) = it.conn.next(&input, &mut at) {
            it.hear(event);
        }
        it.take_turns();
        input.drain(..std::mem::take(&mut at));
        while !it.conn.output().is_empty() {
            let n = sock.write(it.conn.output())?;
            it.conn.sent(n);
            it.take_turns();
        }
        if it.conn.is_over() {
            // What still comes would reset the connection, and with it what was said last.
            sock.shutdown(Shutdown::Write)?;
            return std::io::copy(&mut sock, &mut std::io::sink()).map(drop);
        }
        let before = input.len();
        input.resize(before + 65_536, 0);
        let n = sock.read(&mut input[before..])?;
        input.truncate(before + n);
        if n == 0 {
            return Ok(());
        }
    }
}

fn main() {
    let port = std::env::args().nth(1).and_then(|it| it.parse::<u16>().ok()).expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("bound");
    println!("{}", listener.local_addr().expect("an address"));
    for sock in listener.incoming().flatten() {
        // A peer that breaks off is gone.
        std::thread::spawn(move || drop(talk(sock)));
    }
}
