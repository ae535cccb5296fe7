//! Session tickets that edges share: what is opened was sealed by the secret, for that site, and is whole; whatever else comes is
//! no ticket, wherever it was cut.

use crate::{cuts, shown};
use everyhop_ticket::{Keys, Tickets};
use std::sync::{Arc, LazyLock};

/// 2027-01-01, when the tickets of the corpus were sealed.
const NOW_S: u64 = 1_798_761_600;
const HOUR_S: u32 = 3600;

static SITES: LazyLock<[Tickets; 3]> = LazyLock::new(|| {
    let secret: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap_or_default());
    let keys = |secret: &[u8]| Arc::new(Keys::new([secret], HOUR_S).expect("keys"));
    let (ours, theirs) = (keys(&secret), keys(&[7; 32]));
    [ours.of(b"a site"), ours.of(b"another site"), theirs.of(b"a site")]
});

/// A ticket; and what is sealed as one.
pub fn ticket(data: &[u8]) {
    let [site, others @ ..] = &*SITES;
    if site.open(data, NOW_S).is_some() {
        is_one_ticket(site, others, data, NOW_S);
        let over_s = NOW_S + u64::from(HOUR_S);
        assert!(site.open(data, over_s + u64::from(HOUR_S)).is_none(), "it is over: {}", shown(data));
    }
    let sealed = site.seal(data, NOW_S).expect("randomness");
    assert_eq!(site.open(&sealed, NOW_S).as_deref(), Some(data));
    is_one_ticket(site, others, &sealed, NOW_S);
    assert!(site.open(&sealed, NOW_S + u64::from(HOUR_S)).is_none());
}

fn is_one_ticket(site: &Tickets, others: &[Tickets], ticket: &[u8], now_s: u64) {
    for other in others {
        assert!(other.open(ticket, now_s).is_none(), "{}", shown(ticket));
    }
    for at in cuts(ticket.len()) {
        assert!(site.open(&ticket[..at], now_s).is_none(), "cut at {at}: {}", shown(ticket));
        let mut changed = ticket.to_vec();
        changed[at] ^= 1;
        assert!(site.open(&changed, now_s).is_none(), "changed at {at}: {}", shown(ticket));
    }
}
