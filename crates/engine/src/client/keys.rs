//! A token that names a key which is not there: its issuer may have made another one since the keys were fetched. They are asked
//! for anew, and the request waits for the answer, so that nobody is refused for being the first to come with a new key.
//! Read next: `everyhop-running`'s `key_server.rs`, which says how often.

use crate::admit::Refused;
use crate::client::given::Stays;
use crate::exchange::asked::Asked;
use crate::worker::core::Core;
use everyhop_record::refusal::Refusal;
use everyhop_running::key_server::{KeyServer, Turn};
use everyhop_transport::clock::steady_ms;
use std::sync::Arc;

/// How long a request waits for keys: most servers of them answer within a second, and few clients are patient for long.
const PATIENCE_MS: u64 = 3000;

/// How a request has waited for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Not,
    /// Until they came as they are now.
    Heard,
    /// For nothing: nobody could say.
    Unheard,
}

/// Whether to judge the request once more; else why it is refused.
pub(crate) async fn again(core: &Core, asked: &mut Asked, stays: Stays, waited: &mut Waited) -> Result<(), Stays> {
    let (Some(issuer), Stays::Refused(by)) = (asked.lacks.take(), &stays) else { return Err(stays) };
    let Some(server) = &issuer.server else { return Err(stays) };
    let unheard = Stays::Refused(Refused { why: Refusal::TokenKeysUnavailable, ..*by });
    match *waited {
        Waited::Heard => Err(stays),
        Waited::Unheard => Err(unheard),
        Waited::Not => match server.lacks(steady_ms()) {
            Turn::Lately => Err(if server.has_failed() { unheard } else { stays }),
            Turn::UnderWay(question) => {
                *waited = heard(core, server, question).await;
                asked.again = true;
                Ok(())
            }
            Turn::Ask(question) => {
                core.shared.wanted.put(&issuer.name, question);
                *waited = heard(core, server, question).await;
                asked.again = true;
                Ok(())
            }
        },
    }
}

async fn heard(core: &Core, server: &Arc<KeyServer>, question: u64) -> Waited {
    let until_ms = core.clock().now_ms.get() + PATIENCE_MS;
    loop {
        // What was brought before that was said may not have come to this thread yet.
        if server.has_told(question) && core.is_current() {
            return if server.has_failed() { Waited::Unheard } else { Waited::Heard };
        }
        if core.clock().now_ms.get() >= until_ms {
            return Waited::Unheard;
        }
        core.pause().await;
    }
}
