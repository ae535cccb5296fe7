//! What the edge asks of stores, on a thread of its own: threads of requests leave their questions with the store
//! (`everyhop-running`'s `store.rs`), and here they go out over a hop that is opened as one to a backend. A store that is slow
//! or gone holds no request: what is not answered in time is answered here. Read next: `open.rs`.

mod line;
mod open;
mod service;

use crate::worker::shared::Shared;
use everyhop_running::store::{Questions, StoreRun};
use everyhop_transport::deadlines::Watches;
use everyhop_transport::thread;
use everyhop_transport::ticker::Ticker;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

/// The pause behind a store that could not be reached; each is twice the one before, up to the last.
const PAUSE_MS: u64 = 100;
const LONGEST_PAUSE_MS: u64 = 2_000;

/// Asks until the process ends.
pub fn run(shared: &Arc<Shared>) -> std::io::Result<()> {
    let shared = shared.clone();
    thread::run(Box::pin(async move {
        let watches: Rc<Watches> = Rc::default();
        let (ticker, began) = (Ticker::new()?, Instant::now());
        watches.clock.tick(began);
        let mut asking: Vec<(Arc<Questions>, JoinHandle<()>)> = Vec::new();
        loop {
            // One for each store of the plan; after a panic, which was counted, the next begins.
            asking.retain(|(_, it)| !it.is_finished());
            for store in shared.running.load().iter().flat_map(|r| &r.stores) {
                if asking.iter().all(|(of, _)| !Arc::ptr_eq(of, &store.questions)) {
                    let asks = ask(shared.clone(), watches.clone(), store.questions.clone());
                    asking.push((store.questions.clone(), tokio::task::spawn_local(asks)));
                }
            }
            ticker.tick().await?;
            if watches.clock.tick(began) {
                watches.wake_all().await;
            }
            watches.tick().await;
        }
    }))
}

/// The store of these questions, in the plan that runs now.
fn store_of(shared: &Shared, questions: &Arc<Questions>) -> Option<Arc<StoreRun>> {
    let running = shared.running.load();
    running.as_ref()?.stores.iter().find(|it| Arc::ptr_eq(&it.questions, questions)).cloned()
}

/// As long as a plan has it.
async fn ask(shared: Arc<Shared>, watches: Rc<Watches>, questions: Arc<Questions>) {
    let mut pause_ms = PAUSE_MS;
    let mut turn = 0;
    while let Some(store) = store_of(&shared, &questions) {
        let why = match open::open(&watches, &store, &mut turn).await {
            Ok(mut it) => {
                let since_ms = watches.clock.now_ms.get();
                let goes_on = || store_of(&shared, &questions).is_some_and(|now| now.is_the_same(&store));
                let why = it.talk(goes_on).await.inspect(|_| turn += 1);
                // One that takes connections and then fails at once is no better than one that takes none.
                if watches.clock.now_ms.get().saturating_sub(since_ms) > LONGEST_PAUSE_MS {
                    pause_ms = PAUSE_MS;
                }
                why
            }
            Err(why) => Some(why),
        };
        // Another plan has it otherwise: it is opened anew at once.
        let Some(why) = why else { continue };
        questions.now_down(&why);
        let watch = watches.watch();
        watch.at_ms(watches.clock.now_ms.get() + pause_ms);
        poll_fn(|cx| watch.poll_late(cx)).await;
        pause_ms = (pause_ms * 2).min(LONGEST_PAUSE_MS);
    }
    questions.now_down("no plan has it");
}
