//! One canonical form for everything that names something: host, path, network, forwarded address, PROXY header.
//! Matching, authorising, logging and forwarding all use what comes out of here, so that no two of them can disagree;
//! what has no unambiguous form is refused. No I/O, no plan. Read next: `path.rs`, where most of the attacks are.

#![forbid(unsafe_code)]

pub mod check_response;
pub mod cidr;
pub mod client;
pub mod cookie;
pub mod forwarded;
pub mod host;
pub mod networks;
pub mod onward;
pub mod path;
pub mod protobuf;
pub mod proxy;
pub mod rate_limit_response;
pub mod readings;
pub mod resp;
pub mod returned;
pub mod rewrite;
pub mod spiffe;
pub mod told;
pub mod trace;
