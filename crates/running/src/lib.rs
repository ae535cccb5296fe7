//! A plan made ready: sites, routes, backends with their health, material and secrets. Built all or nothing; no byte of a
//! connection is moved here. Read next: `running.rs`, then `build.rs`.

#![forbid(unsafe_code)]

pub mod address;
pub mod alone;
pub mod apart;
pub mod asks;
pub mod backend;
pub mod basic;
pub mod build;
mod carried;
pub mod challenges;
pub mod checked;
pub mod cors;
pub mod fair;
pub mod given;
mod hops;
pub mod judge;
pub mod judged;
pub mod key_server;
pub mod known;
pub mod limiter;
mod logging;
pub mod material;
pub mod mirror;
pub mod noted;
pub mod pages;
pub mod passwords;
mod pinned;
pub mod proven;
pub mod resumption;
pub mod retries;
pub mod returned;
pub mod running;
pub mod secret;
pub mod spread;
pub mod sticky;
pub mod store;
mod tally;
pub mod timed;
pub mod token;
pub mod traces;
pub mod turns;
pub mod waf;
mod workload;
pub mod zones;
