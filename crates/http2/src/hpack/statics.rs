//! The static table of HPACK (RFC 7541 appendix A), and where a name stands in it.

/// Index 1 is the first.
pub(crate) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Places in the static table that the code names.
pub(crate) mod at {
    pub(crate) const AUTHORITY: u8 = 1;
    pub(crate) const METHOD: u8 = 2;
    pub(crate) const PATH: u8 = 4;
    pub(crate) const PATH_INDEX: u8 = 5;
    pub(crate) const SCHEME: u8 = 6;
    pub(crate) const SCHEME_HTTPS: u8 = 7;
    pub(crate) const STATUS: u8 = 8;
    pub(crate) const STATUS_500: u8 = 14;
    /// The last of those that have a value.
    pub(crate) const ACCEPT_ENCODING: u8 = 16;
    pub(crate) const AGE: u8 = 21;
    pub(crate) const AUTHORIZATION: u8 = 23;
    pub(crate) const CONTENT_LENGTH: u8 = 28;
    pub(crate) const COOKIE: u8 = 32;
    pub(crate) const ETAG: u8 = 34;
    pub(crate) const IF_MODIFIED_SINCE: u8 = 40;
    pub(crate) const IF_NONE_MATCH: u8 = 41;
    pub(crate) const LOCATION: u8 = 46;
    pub(crate) const SET_COOKIE: u8 = 55;
    pub(crate) const TRANSFER_ENCODING: u8 = 57;
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

const fn word(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(SEED).rotate_left(26)
}

/// Goes on over `bytes`. What is sent is our own to choose, so nobody gains from names that meet.
#[inline]
pub(super) const fn hashed(mut hash: u64, bytes: &[u8]) -> u64 {
    hash = word(hash, bytes.len() as u64);
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        hash = word(hash, u64::from_le_bytes(*eight));
        rest = behind;
    }
    if let Some((four, behind)) = rest.split_first_chunk::<4>() {
        hash = word(hash, u32::from_le_bytes(*four) as u64);
        rest = behind;
    }
    let mut last = 0;
    while let [first, behind @ ..] = rest {
        last = last << 8 | *first as u64;
        rest = behind;
    }
    word(hash, last)
}

/// Which of so many a hash goes to, a power of two.
pub(super) const fn bucket(hash: u64, of: usize) -> usize {
    (hash.wrapping_mul(SEED) >> 40) as usize & (of - 1)
}

/// Open addressing; the first place of each name.
static NAMES: [u8; 256] = {
    let mut names = [0u8; 256];
    let mut i = STATIC.len();
    while i > 0 {
        let name = STATIC[i - 1].0.as_bytes();
        let mut b = bucket(hashed(0, name), 256);
        while names[b] != 0 && !same(STATIC[names[b] as usize - 1].0.as_bytes(), name) {
            b = (b + 1) & 255;
        }
        names[b] = i as u8;
        i -= 1;
    }
    names
};

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// The first place of a name, whose hash from 0 this is; 0 where it has none.
#[inline]
pub(super) fn place(name: &[u8], hash: u64) -> u8 {
    let mut b = bucket(hash, 256);
    while let Some((it, _)) = usize::from(NAMES[b]).checked_sub(1).and_then(|i| STATIC.get(i)) {
        if it.as_bytes() == name {
            return NAMES[b];
        }
        b = (b + 1) & 255;
    }
    0
}
