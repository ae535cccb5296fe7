//! Connections that did one request each and wait: what they cost is read from outside while this waits for its input
//! to end.

use crate::{Failed, Given, tls};
use std::io::Read;

/// `to= name= ca= count= [path=]`. Prints `ready` once all are open.
pub(crate) fn run(given: &Given) -> Result<(), Failed> {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
    let config = tls::client(given)?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", given.maybe("path").unwrap_or("/"), given.text("name")?);
    let mut held = Vec::new();
    let mut answer = Vec::new();
    for _ in 0..given.number("count")? {
        let mut tls = tls::open(given, &config)?;
        tls::get(&mut tls, request.as_bytes(), &mut answer)?;
        held.push(tls);
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut answer)?;
    Ok(())
}
