//! Networks: `10.0.0.0/8`, `2001:db8::/32`, or one address. IPv4-mapped IPv6 is IPv4 before anything is compared.

use std::net::IpAddr;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    addr: IpAddr,
    len: u8,
}

/// The text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCidr;

/// `::ffff:1.2.3.4` is 1.2.3.4.
pub fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

impl FromStr for Cidr {
    type Err = NoCidr;

    fn from_str(text: &str) -> Result<Cidr, NoCidr> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| NoCidr)?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let len: u8 = match len {
            None => most,
            Some(len) if len.bytes().all(|b| b.is_ascii_digit()) => len.parse().map_err(|_| NoCidr)?,
            Some(_) => return Err(NoCidr),
        };
        match (addr, unmapped(addr)) {
            _ if len > most => Err(NoCidr),
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) => {
                // A mapped network is the IPv4 network that it is written for; a wider one would be none of either kind.
                len.checked_sub(96).map(|len| Cidr { addr: v4, len }).ok_or(NoCidr)
            }
            _ => Ok(Cidr { addr, len }),
        }
    }
}

impl std::fmt::Display for Cidr {
    /// With the bits below the prefix cleared.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = |bits: u32| u128::MAX.checked_shl(bits - u32::from(self.len)).unwrap_or(0);
        match self.addr {
            IpAddr::V4(v4) => {
                let mask = u32::try_from(kept(32) & u128::from(u32::MAX)).unwrap_or(0);
                write!(f, "{}/{}", std::net::Ipv4Addr::from_bits(v4.to_bits() & mask), self.len)
            }
            IpAddr::V6(v6) => write!(f, "{}/{}", std::net::Ipv6Addr::from_bits(v6.to_bits() & kept(128)), self.len),
        }
    }
}

impl Cidr {
    /// The address that it is written with, and how many of its bits count.
    pub(crate) fn parts(&self) -> (IpAddr, u8) {
        (self.addr, self.len)
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, unmapped(ip)) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(self.len)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(self.len)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}
