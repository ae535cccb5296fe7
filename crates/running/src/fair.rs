//! Addresses and what is fair between them: they take turns where something is done one by one, and none has more than a part of what
//! there is for all, so that who asks much leaves room for others. Who has such: `passwords.rs`, `waf.rs`.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Of what there is for all, one address has a part of this size at the most.
const PART: u64 = 4;

/// An address, or of IPv6 a network: whoever has one address of that has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Whose(u128);

impl From<IpAddr> for Whose {
    fn from(it: IpAddr) -> Whose {
        Whose(match it.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) | 0xffff_0000_0000,
            IpAddr::V6(v6) => v6.to_bits() >> 64 << 64,
        })
    }
}

/// What one address has at the most of `most`.
pub fn part(most: u64) -> u64 {
    most.div_ceil(PART)
}

/// What waits, by address, in its order.
#[derive(Debug)]
pub struct Fair<T> {
    of: HashMap<Whose, VecDeque<T>>,
    turns: VecDeque<Whose>,
    count: usize,
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Fair { of: HashMap::new(), turns: VecDeque::new(), count: 0 }
    }
}

impl<T> Fair<T> {
    /// Behind what waits of that address. `Err`: there is no room among `most`, or none for that address.
    pub fn put(&mut self, from: Whose, it: T, most: usize) -> Result<(), T> {
        let of_one = self.of.get(&from).map_or(0, VecDeque::len);
        if self.count >= most || of_one as u64 >= part(most as u64) {
            return Err(it);
        }
        let own = self.of.entry(from).or_default();
        if own.is_empty() {
            self.turns.push_back(from);
        }
        own.push_back(it);
        self.count += 1;
        Ok(())
    }

    /// The first of the address whose turn it is.
    pub fn take(&mut self) -> Option<T> {
        let from = self.turns.pop_front()?;
        let own = self.of.get_mut(&from)?;
        let it = own.pop_front();
        if own.is_empty() {
            self.of.remove(&from);
        } else {
            self.turns.push_back(from);
        }
        self.count -= 1;
        it
    }
}

/// How much of something is in use, and whose that is.
#[derive(Debug, Default)]
pub struct Shares {
    all: u64,
    of: HashMap<Whose, u64>,
}

impl Shares {
    /// So much more, if there is as much among `most`, and among `of_one` of that address.
    pub fn takes(&mut self, from: Whose, more: u64, (most, of_one): (u64, u64)) -> bool {
        let own = self.of.get(&from).copied().unwrap_or(0);
        if self.all + more > most || own + more > of_one {
            return false;
        }
        if more > 0 {
            self.all += more;
            self.of.insert(from, own + more);
        }
        true
    }

    /// So much less.
    pub fn gives(&mut self, from: Whose, less: u64) {
        self.all = self.all.saturating_sub(less);
        if let Some(own) = self.of.get_mut(&from) {
            *own = own.saturating_sub(less);
            if *own == 0 {
                self.of.remove(&from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Whose {
        Whose::from(text.parse::<IpAddr>().expect("an address"))
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_a_mapped_address_is_that_of_ipv4() {
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn addresses_take_turns_and_each_keeps_its_order() {
        let mut it = Fair::default();
        for n in 0..3 {
            assert_eq!(it.put(of("192.0.2.1"), n, 100), Ok(()));
        }
        assert_eq!(it.put(of("192.0.2.2"), 10, 100), Ok(()));
        assert_eq!(std::iter::from_fn(|| it.take()).collect::<Vec<_>>(), [0, 10, 1, 2]);
        assert!(it.count == 0 && it.of.is_empty() && it.turns.is_empty());
    }

    #[test]
    fn one_address_has_a_part_and_all_together_have_a_bound() {
        let mut it = Fair::default();
        assert!((0..2).all(|n| it.put(of("192.0.2.1"), n, 8).is_ok()));
        assert_eq!(it.put(of("192.0.2.1"), 9, 8), Err(9), "that address has its part");
        for address in ["192.0.2.2", "192.0.2.3", "192.0.2.4"] {
            assert!((0..2).all(|n| it.put(of(address), n, 8).is_ok()));
        }
        assert_eq!(it.put(of("192.0.2.5"), 9, 8), Err(9), "there are so many");
        let mut one = Fair::default();
        assert_eq!((one.put(of("::1"), 1, 1), one.put(of("::1"), 2, 1)), (Ok(()), Err(2)));
    }

    #[test]
    fn what_is_in_use_has_a_bound_together_and_by_address_and_is_let_go() {
        let (a, b) = (of("192.0.2.1"), of("192.0.2.2"));
        let mut it = Shares::default();
        assert!(it.takes(a, 3, (12, 3)) && !it.takes(a, 1, (12, 3)) && it.takes(a, 0, (12, 3)));
        assert!(it.takes(b, 3, (12, 3)) && !it.takes(of("::1"), 7, (12, 12)));
        it.gives(a, 2);
        assert!(it.takes(a, 2, (12, 3)) && !it.takes(a, 1, (12, 3)));
        it.gives(a, 3);
        it.gives(b, 3);
        assert!(it.all == 0 && it.of.is_empty());
    }

    #[test]
    fn nobody_is_remembered_for_nothing() {
        let mut it = Shares::default();
        assert!(it.takes(of("192.0.2.1"), 0, (12, 3)) && it.of.is_empty());
    }
}
