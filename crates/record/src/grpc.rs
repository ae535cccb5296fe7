//! How a call of gRPC ended, which HTTP's status does not tell: it is 200 whatever came of the call.

use crate::refusal::Refusal;

pub const CANCELLED: u8 = 1;
pub const UNKNOWN: u8 = 2;
pub const UNAVAILABLE: u8 = 14;
/// Codes that there are: 0 to 16.
pub const CODES: usize = 17;

/// The status that a refusal's of HTTP stands for.
pub fn code(why: Refusal) -> u8 {
    match why.status() {
        400 | 417 => 13,
        401 => 16,
        403 => 7,
        404 | 405 | 421 => 12,
        408 | 413 | 414 | 429 | 431 => 8,
        499 => CANCELLED,
        _ => UNAVAILABLE,
    }
}

/// What a status of HTTP without one of gRPC's stands for, as clients read it (gRPC's http-grpc-status-mapping).
pub fn of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// A status as a field has it.
pub fn read(value: &[u8]) -> u8 {
    let text = std::str::from_utf8(value).ok();
    text.and_then(|it| it.parse().ok()).filter(|it| usize::from(*it) < CODES).unwrap_or(UNKNOWN)
}

/// The class of HTTP that it counts to: a call that failed is no success.
pub fn class(code: u8) -> u16 {
    match code {
        0 => 2,
        // What the caller asked, and how it left, and not what the backend is.
        1 | 3 | 5..=11 | 16 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_is_a_success_and_what_is_no_status_is_unknown() {
        assert_eq!((0..17).filter(|it| class(*it) == 2).collect::<Vec<_>>(), [0]);
        assert_eq!((read(b"0"), read(b"16"), read(b"17"), read(b"300"), read(b"ok"), read(b"")), (0, 16, 2, 2, 2, 2));
    }
}
