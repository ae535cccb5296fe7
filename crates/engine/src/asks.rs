//! The forms of the control protocol's questions. Unknown and dropped keys are refused; `schema/control.json` has the
//! same forms, from Python, and a contract test holds the two together. Read next: `control.rs`.

use crate::material::Listed;
use everyhop_plan::present;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::net::IpAddr;

const PROTOCOL: u64 = 1;

/// Why a message is no question: a refusal's slug, and what is wrong.
#[derive(Debug)]
pub(crate) struct Unread(pub(crate) &'static str, pub(crate) String);

impl Ask {
    /// The protocol's number stands beside the question's keys and is looked at first: another one may have others.
    pub(crate) fn read(message: &[u8]) -> Result<Ask, Unread> {
        let malformed = |e: serde_json::Error| Unread("control/malformed", e.to_string());
        let mut keys: Map<String, Value> = serde_json::from_slice(message).map_err(malformed)?;
        match keys.remove("protocol") {
            Some(it) if it.as_u64() == Some(PROTOCOL) => Ask::deserialize(Value::Object(keys)).map_err(malformed),
            Some(it) => Err(Unread("control/protocol", format!("protocol {it} is not {PROTOCOL}"))),
            None => Err(Unread("control/malformed", "missing field `protocol`".to_owned())),
        }
    }
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
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ask {
    Hello {},
    Listen {
        threads: usize,
        sockets: Vec<Socket>,
        #[serde(deserialize_with = "present")]
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
#[serde(deny_unknown_fields)]
pub struct Where {
    #[serde(deserialize_with = "present")]
    pub(crate) listener: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(crate) sni: Option<String>,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    #[serde(deserialize_with = "present")]
    pub(crate) client: Option<Vec<String>>,
}
