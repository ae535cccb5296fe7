//! A small mutator for the run without libFuzzer: flips, cuts, copies, tokens that matter, splices of two inputs. The same
//! seed gives the same inputs on every machine.

/// Marsaglia's xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % n.max(1)
    }
}

/// The tokens of a libFuzzer dictionary: a quoted string a line, with `\xNN`, `\\` and `\"`.
pub fn dictionary(text: &str) -> Vec<Vec<u8>> {
    text.lines().filter_map(|l| l.trim().strip_prefix('"')?.strip_suffix('"')).map(unescaped).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [b, tail @ ..] = rest {
        rest = tail;
        match (b, tail) {
            (b'\\', [b'x', hex @ ..]) => {
                let value = hex.get(..2).and_then(|h| std::str::from_utf8(h).ok());
                out.push(value.and_then(|h| u8::from_str_radix(h, 16).ok()).unwrap_or_default());
                rest = hex.get(2..).unwrap_or_default();
            }
            (b'\\', [other, after @ ..]) => {
                out.push(*other);
                rest = after;
            }
            _ => out.push(*b),
        }
    }
    out
}

/// One to five changes of one of `corpus`, at most `most` bytes.
pub fn mutated(random: &mut Random, corpus: &[Vec<u8>], tokens: &[Vec<u8>], most: usize) -> Vec<u8> {
    let mut it = corpus.get(random.below(corpus.len())).cloned().unwrap_or_default();
    for _ in 0..=random.below(5) {
        let at = random.below(it.len() + 1);
        let to = at + random.below((it.len() - at).min(32) + 1);
        match random.below(9) {
            0 if !it.is_empty() => {
                let at = random.below(it.len());
                it[at] ^= 1 << random.below(8);
            }
            1 if !it.is_empty() => {
                let at = random.below(it.len());
                it[at] = [0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b' ', b'%', b'/'][random.below(10)];
            }
            2 => it.insert(at, u8::try_from(random.below(256)).unwrap_or(0)),
            3 => drop(it.drain(at..to)),
            4 => {
                let copy = it[at..to].to_vec();
                let into = random.below(it.len() + 1);
                it.splice(into..into, copy);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                it.truncate(at);
                it.extend_from_slice(&other[from..]);
            }
            6 => it.truncate(at),
            _ => {
                let token = tokens.get(random.below(tokens.len())).cloned().unwrap_or_default();
                let over = if random.below(2) == 0 { to } else { at };
                it.splice(at..over, token);
            }
        }
    }
    it.truncate(most);
    it
}
