//! How much goes to backends in the edge's own zone, and how much elsewhere: all of it stays while enough of the zone is up, then as
//! much goes elsewhere as is missing. Pure. Read next: the engine's `backend/spread.rs`, which chooses.

/// Of a zone's weight so much must be up for all to stay; Envoy's overprovisioning factor of 1.4 is the same number.
pub const ENOUGH_PERCENT: u64 = 70;
/// How fine the parts are: a weight of 1000 that begins slowly (times 100) stays within 32 bits with it. What a set gets is then
/// right to a forty-thousandth, times as often as one set weighs the other.
const FINE: u64 = 40_000;

/// By how much the weights of backends in the own zone count, and of all others: in parts, so that what the two sets get is as
/// it should be, whatever of each is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factors {
    pub near: u32,
    pub far: u32,
}

/// The weights in the own zone, and elsewhere; `up`: of those that take requests now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weights {
    pub near: u64,
    pub near_up: u64,
    pub far_up: u64,
}

impl Weights {
    /// How much of what comes stays in the own zone, in millionths.
    pub fn stays_ppm(self) -> u64 {
        if self.far_up == 0 {
            return 1_000_000;
        }
        (self.near_up * 100 * 1_000_000 / (self.near * ENOUGH_PERCENT).max(1)).min(1_000_000)
    }

    pub fn factors(self) -> Factors {
        let (stays, whole) = (self.near_up * 100, self.near * ENOUGH_PERCENT);
        if self.far_up == 0 {
            return Factors { near: 1, far: 0 };
        }
        if self.near_up == 0 {
            return Factors { near: 0, far: 1 };
        }
        if stays >= whole {
            return Factors { near: 1, far: 0 };
        }
        // What each set gets is its weight times its factor: near_up * near to far_up * far is stays to what is missing.
        let (near, far) = (stays * self.far_up, (whole - stays) * self.near_up);
        let most = near.max(far).max(1);
        let part = |it: u64| u32::try_from(it * FINE / most).unwrap_or(1).max(1);
        Factors { near: part(near), far: part(far) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(near: u64, near_up: u64, far_up: u64) -> Weights {
        Weights { near, near_up, far_up }
    }

    #[test]
    fn all_stays_while_seven_tenths_of_the_zone_are_up_and_then_as_much_as_is_up_of_them() {
        assert_eq!(of(10, 10, 5).factors(), Factors { near: 1, far: 0 });
        assert_eq!(of(10, 7, 5).factors(), Factors { near: 1, far: 0 });
        assert_eq!((of(10, 7, 5).stays_ppm(), of(3, 1, 6).stays_ppm()), (1_000_000, 476_190));
        assert_eq!(of(10, 0, 5).factors(), Factors { near: 0, far: 1 });
        assert_eq!(of(10, 0, 5).stays_ppm(), 0);
        assert_eq!((of(10, 1, 0).factors(), of(10, 1, 0).stays_ppm()), (Factors { near: 1, far: 0 }, 1_000_000));
        assert_eq!(of(10, 0, 0).factors(), Factors { near: 1, far: 0 }, "nobody is up anywhere");
    }

    /// For all small zones, and some that are as large as can be.
    #[test]
    fn what_the_own_zone_gets_is_what_is_said_of_it_and_it_never_gets_more_with_less_up() {
        let sizes = |upto: u64| (0..=upto).chain([999, 1_000_000]);
        for near in sizes(12).filter(|n| *n > 0) {
            for far_up in sizes(12) {
                let mut before = 0;
                for near_up in (0..=near.min(40)).chain([near]) {
                    let it = of(near, near_up, far_up);
                    let Factors { near: a, far: b } = it.factors();
                    let (here, there) = (near_up * u64::from(a), far_up * u64::from(b));
                    let said = it.stays_ppm();
                    if let Some(gets) = (here * 1_000_000).checked_div(here + there) {
                        let unlike = (far_up / near_up.max(1)).max(near_up / far_up.max(1)) + 1;
                        let off = 1_000_000 / FINE * unlike + 2;
                        assert!(gets.abs_diff(said) <= off, "{it:?} gets {gets} and {said} is said");
                    }
                    assert!(said >= before, "{it:?}");
                    before = said;
                    assert!(a > 0 || near_up == 0, "what is up in the own zone always gets something: {it:?}");
                    assert!(u64::from(a.max(b)) <= FINE);
                }
            }
        }
    }
}
