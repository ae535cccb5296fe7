//! An open loop: requests begin when they are due, whether or not those before are answered, and their time counts from
//! when they were due. So a subject that stalls cannot hide it.

use crate::{Failed, Given, tls};
use std::time::{Duration, Instant};

/// `to= name= ca= rate= seconds= threads= [path=]`. Prints `p50 p99 p99.9 max` in microseconds and how many there were.
pub(crate) fn run(given: &Given) -> Result<(), Failed> {
    let config = tls::client(given)?;
    let (rate, seconds, threads) = (given.number("rate")?, given.number("seconds")?, given.number("threads")?);
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", given.maybe("path").unwrap_or("/"), given.text("name")?);
    let gap = Duration::from_nanos(1_000_000_000 * threads / rate);
    let began = Instant::now() + Duration::from_millis(200);
    let workers: Vec<_> = (0..threads)
        .map(|i| {
            let (given, config, request) = (given.clone(), config.clone(), request.clone());
            std::thread::spawn(move || -> Result<Vec<u64>, Failed> {
                // Sleeps end when they should, not some 50 us later.
                let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
                let mut tls = tls::open(&given, &config)?;
                let (mut answer, mut took) = (Vec::new(), Vec::new());
                tls::get(&mut tls, request.as_bytes(), &mut answer)?;
                let mut due = began + gap * u32::try_from(i)? / u32::try_from(threads)?;
                while due < began + Duration::from_secs(seconds) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    tls::get(&mut tls, request.as_bytes(), &mut answer)?;
                    took.push(u64::try_from(due.elapsed().as_micros())?);
                    due += gap;
                }
                Ok(took)
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.join().map_err(|_| "a thread panicked")??);
    }
    all.sort_unstable();
    let at = |per_mille: usize| all.get((all.len() * per_mille / 1000).min(all.len() - 1)).copied().unwrap_or(0);
    println!("p50 {} p99 {} p99.9 {} max {} of {}", at(500), at(990), at(999), at(1000), all.len());
    Ok(())
}
