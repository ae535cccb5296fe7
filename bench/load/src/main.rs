//! What `make bench` measures with: loads that h2load has not, and the floor. One word, then `key=value` pairs.
//!
//! Loads are plain blocking threads: what they cost does not count, only what they make the subject do.

mod floor;
mod handshakes;
mod idle;
mod rate;
mod tls;
mod websocket;

use std::collections::HashMap;
use std::process::ExitCode;

pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The `key=value` pairs.
#[derive(Clone)]
pub(crate) struct Given(HashMap<String, String>);

impl Given {
    pub(crate) fn text(&self, key: &str) -> Result<&str, Failed> {
        self.0.get(key).map(String::as_str).ok_or_else(|| format!("{key}= is missing").into())
    }

    pub(crate) fn maybe(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(crate) fn number(&self, key: &str) -> Result<u64, Failed> {
        Ok(self.text(key)?.parse()?)
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_default();
    let pairs = arguments.filter_map(|a| a.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())));
    let given = Given(pairs.collect());
    let done = match word.as_str() {
        "floor" => floor::run(&given),
        "handshakes" => handshakes::run(&given),
        "idle" => idle::run(&given),
        "rate" => rate::run(&given),
        "echo" => websocket::echo(&given),
        "websocket" => websocket::run(&given),
        _ => Err("usage: everyhop-load floor|handshakes|idle|rate|echo|websocket key=value...".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("everyhop-load {word}: {why}");
            ExitCode::FAILURE
        }
    }
}
