//! The forms of the control protocol's messages. Unknown keys are refused. Read next: `control.rs`.

use crate::material::Listed;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;

#[derive(Deserialize)]
pub(crate) struct Envelope {
    pub(crate) protocol: u32,
    #[serde(flatten)]
    pub(crate) ask: Ask,
}

/// A listening socket: whose it is and which thread accepts from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Socket {
    pub(crate) listener: String,
    pub(crate) bind: String,
    pub(crate) thread: usize,
}

#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    Hello {},
    Listen {
        threads: usize,
        sockets: Vec<Socket>,
        status: Option<String>,
    },
    Apply {
        plan: String,
        plan_digest: String,
        material: Vec<Listed>,
        material_digest: String,
        names: HashMap<String, Vec<IpAddr>>,
        log: bool,
    },
    Names {
        names: HashMap<String, Vec<IpAddr>>,
    },
    Log {},
    Adopt {},
    Status {},
    Plan {},
    Where(Where),
    Drain {
        drain_s: u64,
    },
    Stop {},
}

/// A question to the matcher.
#[derive(Deserialize)]
pub struct Where {
    pub(crate) listener: Option<String>,
    pub(crate) sni: Option<String>,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) client: Option<Vec<String>>,
}
