//! Huffman coding of HPACK's strings (RFC 7541 §5.2): read by tables that give up to two bytes a look of twelve bits, since
//! the codes of what heads are made of are five to eight bits long. Read next: `codes.rs`.

use super::codes::{CODES, LENGTHS};

const BITS: usize = 12;
/// What the next twelve bits begin with: one or two bytes, how many, and the bits that they took; 0 where the code is longer.
static FAST: [u32; 1 << BITS] = fast();

const fn fast() -> [u32; 1 << BITS] {
    let mut table = [0u32; 1 << BITS];
    let mut a = 0;
    while a < 256 {
        let first = LENGTHS[a] as usize;
        if first <= BITS {
            let rest = BITS - first;
            let base = (CODES[a] as usize) << rest;
            let mut i = 0;
            while i < 1 << rest {
                table[base + i] = (first as u32) << 24 | 1 << 16 | a as u32;
                i += 1;
            }
            let mut b = 0;
            while b < 256 {
                let second = LENGTHS[b] as usize;
                if second <= rest {
                    let base = base | (CODES[b] as usize) << (rest - second);
                    let mut i = 0;
                    while i < 1 << (rest - second) {
                        table[base + i] = ((first + second) as u32) << 24 | 2 << 16 | (b as u32) << 8 | a as u32;
                        i += 1;
                    }
                }
                b += 1;
            }
        }
        a += 1;
    }
    table
}

/// The longest code (RFC 7541 appendix B), that of the end of string left out.
const LONGEST: usize = 30;

/// The code is canonical: of one length, codes follow each other as their bytes do. So of each length the first code, and
/// where its byte stands among all of them in that order, say the rest.
struct Long {
    first: [u32; LONGEST + 2],
    at: [usize; LONGEST + 2],
    bytes: [u8; 256],
}

static LONG: Long = {
    let mut it = Long { first: [0; LONGEST + 2], at: [0; LONGEST + 2], bytes: [0; 256] };
    let (mut n, mut length) = (0, 0);
    while length <= LONGEST {
        it.at[length] = n;
        let mut b = 0;
        while b < 256 {
            if LENGTHS[b] as usize == length {
                if it.at[length] == n {
                    it.first[length] = CODES[b];
                }
                it.bytes[n] = b as u8;
                n += 1;
            }
            b += 1;
        }
        length += 1;
    }
    it.at[LONGEST + 1] = n;
    it
};

/// A code that is longer than a look: they stand for bytes that heads hardly have.
#[cold]
#[inline(never)]
fn slow(acc: u64, have: u32) -> Option<(u8, u32)> {
    // A short one can be meant as well, of which not all is there: then nothing is.
    for length in 5..=LONGEST.min(have as usize) {
        let (from, to) = (LONG.at[length], LONG.at[length + 1]);
        let i = ((acc >> (64 - length)) as u32).wrapping_sub(LONG.first[length]) as usize;
        if i < to - from {
            return Some((LONG.bytes[from + i], length as u32));
        }
    }
    None
}

/// Appends what `src` says. None where that is no such code, or its padding is longer than seven bits or none of EOS's.
pub(crate) fn decode(src: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    // The shortest codes are five bits long, and each look may write two bytes.
    out.resize(start + src.len() * 8 / 5 + 2, 0);
    let into = out.get_mut(start..)?;
    let (mut acc, mut have, mut n, mut at) = (0u64, 0u32, 0usize, 0usize);
    loop {
        if have < 32 {
            if let Some(word) = src.get(at..).and_then(|it| it.first_chunk::<4>()) {
                acc |= u64::from(u32::from_be_bytes(*word)) << (32 - have);
                have += 32;
                at += 4;
            } else {
                while have <= 56
                    && let Some(b) = src.get(at)
                {
                    acc |= u64::from(*b) << (56 - have);
                    have += 8;
                    at += 1;
                }
            }
        }
        if have == 0 {
            break;
        }
        let found = FAST[(acc >> (64 - BITS)) as usize];
        let [used, bytes, second, first] = found.to_be_bytes();
        let used = u32::from(used);
        if bytes == 2 && used <= have {
            into[n] = first;
            into[n + 1] = second;
            n += 2;
            acc <<= used;
            have -= used;
            continue;
        }
        if bytes > 0 {
            let length = u32::from(LENGTHS[usize::from(first)]);
            if length <= have {
                into[n] = first;
                n += 1;
                acc <<= length;
                have -= length;
                continue;
            }
        }
        if have < 8 && acc >> (64 - have) == (1 << have) - 1 {
            break;
        }
        let (byte, length) = slow(acc, have)?;
        into[n] = byte;
        n += 1;
        acc <<= length;
        have -= length;
    }
    out.truncate(start + n);
    Some(())
}

/// Appends the code of `src`.
pub(crate) fn encode(src: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut n) = (0u64, 0u32);
    for b in src {
        let length = u32::from(LENGTHS[usize::from(*b)]);
        bits = bits << length | u64::from(CODES[usize::from(*b)]);
        n += length;
        if n >= 32 {
            n -= 32;
            out.extend_from_slice(&((bits >> n) as u32).to_be_bytes());
            bits &= (1 << n) - 1;
        }
    }
    let pad = (8 - n % 8) % 8;
    bits = bits << pad | ((1 << pad) - 1);
    n += pad;
    while n > 0 {
        n -= 8;
        out.push((bits >> n) as u8);
    }
}
