//! Reaching a backend for a connection whose bytes go on as they come: always over a connection of its own. A failed
//! connect or handshake goes on to the next backend: nothing was sent yet. Read next: `reach.rs`, `connect.rs`.

use crate::backend::connect::Opened;
use crate::backend::preface::Preface;
use crate::backend::reach::Backends;
use crate::backend::{choose, greeting};
use crate::exchange::tries::Tries;
use everyhop_record::refusal::Refusal;
use everyhop_running::running::RouteRun;

impl Backends {
    /// As [`Backends::reach`], where no request is read. `preface` is said before anything of the client's.
    pub(crate) async fn reach_stream(
        &self,
        generation: u64,
        route: &RouteRun,
        tries: &mut Tries,
        preface: &Preface<'_>,
    ) -> Result<Opened, Refusal> {
        loop {
            let chosen = choose::choose(self.watches.clock.unix_s.get(), route, tries);
            let backend = match (chosen, tries.failures.last()) {
                (Ok(backend), _) => backend,
                // What was tried says more than that nothing is left.
                (Err(_), Some(last)) => return Err(last.why),
                (Err(why), None) => return Err(why),
            };
            let ready = async |it: Opened| {
                let asked = preface.takes_greeting(it.link.backend.secured.is_some());
                let Some(words) = preface.greeted.filter(|_| !asked) else { return Ok(it) };
                let watch = self.watches.watch();
                watch.within_s(route.limits.connect_s);
                greeting::take(it, words, &watch).await
            };
            match Box::pin(self.open(generation, route, &backend, tries, preface, ready)).await {
                Ok(opened) => return Ok(opened),
                Err(Refusal::HopDescriptors) => return Err(Refusal::HopDescriptors),
                Err(why) => {
                    tries.leave_out(backend.hop_id);
                    if tries.hops() >= route.takers() {
                        return Err(why);
                    }
                }
            }
        }
    }
}
