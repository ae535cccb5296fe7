//! A set of networks, made ready to be asked whether an address is in one of them: however many there are and however they
//! overlap, that is one search. Read next: `cidr.rs`.

use crate::cidr::{Cidr, unmapped};
use std::net::IpAddr;

/// First and last addresses of what the networks come to, in order, none of which touch. IPv4 and IPv6 are apart: an address of
/// one is in no network of the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl FromIterator<Cidr> for Networks {
    fn from_iter<T: IntoIterator<Item = Cidr>>(them: T) -> Networks {
        let mut it = Networks::default();
        for net in them {
            let (addr, len) = net.parts();
            match addr {
                IpAddr::V4(addr) => {
                    let below = u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
                    it.v4.push((addr.to_bits() & !below, addr.to_bits() | below));
                }
                IpAddr::V6(addr) => {
                    let below = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
                    it.v6.push((addr.to_bits() & !below, addr.to_bits() | below));
                }
            }
        }
        merge(&mut it.v4, |last| last.checked_add(1));
        merge(&mut it.v6, |last| last.checked_add(1));
        it
    }
}

/// Makes one of those that overlap or touch. `after`: the address behind one, where there is any.
fn merge<T: Copy + Ord>(them: &mut Vec<(T, T)>, after: impl Fn(T) -> Option<T>) {
    them.sort_unstable();
    them.dedup_by(|next, kept| {
        let joins = after(kept.1).is_none_or(|behind| next.0 <= behind);
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
}

impl Networks {
    /// An IPv4-mapped IPv6 address is the IPv4 address that it stands for.
    pub fn contain(&self, ip: IpAddr) -> bool {
        match unmapped(ip) {
            IpAddr::V4(ip) => is_in(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => is_in(&self.v6, ip.to_bits()),
        }
    }
}

fn is_in<T: Copy + Ord>(them: &[(T, T)], at: T) -> bool {
    let behind = them.partition_point(|(first, _)| *first <= at);
    behind.checked_sub(1).and_then(|it| them.get(it)).is_some_and(|(_, last)| at <= *last)
}
