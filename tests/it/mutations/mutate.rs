//! Seeded damage to a document: what the seed alone decides.

use std::ops::Range;

use fastrand::Rng;

/// A document to be damaged, and what it is in.
pub struct Base {
    /// Its path, and what was made of it.
    pub name: String,
    pub content: Vec<u8>,
    pub unit: Unit,
}

/// What a character of ASCII is in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Byte,
    Utf16Le,
    Utf16Be,
}

impl Unit {
    const fn length(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Utf16Le | Self::Utf16Be => 2,
        }
    }

    /// A text in it; what is no text, byte for byte.
    pub fn encode(self, text: &[u8]) -> Vec<u8> {
        match (self, std::str::from_utf8(text)) {
            (Self::Utf16Le, Ok(text)) => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            (Self::Utf16Be, Ok(text)) => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            _ => text.to_vec(),
        }
    }
}

/// A damaged document, and how it came about.
pub struct Mutant {
    /// Also says what to do to have it again.
    pub seed: u64,
    pub base: usize,
    pub operations: Vec<String>,
    pub content: Vec<u8>,
}

/// Damages one of the bases in one to three ways.
pub fn mutant(bases: &[&Base], tokens: &[Vec<u8>], seed: u64) -> Mutant {
    let mut rng = Rng::with_seed(seed);
    let base = rng.usize(..bases.len());
    let mut damage = Damage { content: bases[base].content.clone(), unit: bases[base].unit, rng };
    let count = [1, 1, 2, 3][damage.rng.usize(..4)];
    let operations = (0..count).map(|_| damage.operation(bases, tokens)).collect();
    Mutant { seed, base, operations, content: damage.content }
}

struct Damage {
    content: Vec<u8>,
    unit: Unit,
    rng: Rng,
}

impl Damage {
    /// Does one thing to the document, and says what.
    fn operation(&mut self, bases: &[&Base], tokens: &[Vec<u8>]) -> String {
        let at = self.place();
        match self.rng.u8(..16) {
            0 => {
                self.content.truncate(at);
                format!("cut at {at}")
            }
            1 => {
                let bit = self.rng.u8(..8);
                let Some(byte) = self.content.get_mut(at) else { return "nothing".into() };
                *byte ^= 1 << bit;
                format!("flip bit {bit} of byte {at}")
            }
            2 | 3 => {
                let byte = self.byte();
                let end = at + self.rng.usize(..2);
                self.replace(at..end, &[byte], &format!("byte 0x{byte:02X}"))
            }
            4..=7 => {
                let token = &tokens[self.rng.usize(..tokens.len())];
                let encoded = self.unit.encode(token);
                let end = at + self.rng.usize(..2) * encoded.len();
                self.replace(at..end, &encoded, &format!("\"{}\"", token.escape_ascii()))
            }
            8 | 9 => {
                let range = self.range();
                self.replace(range, b"", "nothing")
            }
            10 | 11 => {
                let range = self.range();
                let copy = self.content[range.clone()].to_vec();
                let to = if self.rng.bool() { range.end } else { at };
                self.replace(to..to, &copy, &format!("a copy of bytes {range:?}"))
            }
            12 | 13 => {
                let (one, other) = (self.range(), self.range());
                let mut ends = [one.start, one.end, other.start, other.end];
                ends.sort_unstable();
                let [a, b, c, d] = ends;
                let parts = [c..d, b..c, a..b].map(|part| &self.content[part]);
                let swapped = parts.concat();
                self.content.splice(a..d, swapped);
                format!("swap bytes {a}..{b} and {c}..{d}")
            }
            _ => {
                let other = bases[self.rng.usize(..bases.len())];
                let from = self.rng.usize(..=other.content.len());
                let to = (from + self.length()).min(other.content.len());
                let what = format!("bytes {from}..{to} of {}", other.name);
                let range = if self.rng.bool() { at..at } else { self.range() };
                self.replace(range, &other.content[from..to], &what)
            }
        }
    }

    fn replace(&mut self, range: Range<usize>, with: &[u8], what: &str) -> String {
        let range = range.start..range.end.min(self.content.len());
        self.content.splice(range.clone(), with.iter().copied());
        format!("put {what} in place of bytes {range:?}")
    }

    /// Any byte, or one that the document has.
    fn byte(&mut self) -> u8 {
        let any = self.rng.u8(..);
        if self.rng.bool() { any } else { *self.rng.choice(&self.content).unwrap_or(&any) }
    }

    /// A place in the document: often near its start or its end, or beside what gives it structure,
    /// and mostly between characters.
    fn place(&mut self) -> usize {
        let length = self.content.len();
        let anywhere = self.rng.usize(..=length);
        let at = match self.rng.u8(..8) {
            0 => self.rng.usize(..=length.min(160)),
            1 => length - self.rng.usize(..=length.min(40)),
            2..=4 => self.structure_from(anywhere),
            _ => anywhere,
        };
        let at = at.min(length);
        if self.rng.u8(..8) == 0 { at } else { at - at % self.unit.length() }
    }

    /// The place behind the next character that a value or an element may follow, or before or behind
    /// the next that may give a document structure.
    fn structure_from(&mut self, at: usize) -> usize {
        let (structure, is_behind): (&[u8], bool) = match self.rng.u8(..4) {
            0 | 1 => (b"{[,>", true),
            2 => (b"<>/=?!-\"'&;{}[],:", true),
            _ => (b"<>/=?!-\"'&;{}[],:", false),
        };
        let found = self.content[at..].iter().position(|byte| structure.contains(byte));
        let gap = if is_behind { self.unit.length() } else { 0 };
        found.map_or(at, |found| at + found + gap)
    }

    /// A part of the document: up to some hundred bytes from some place, or some whole lines.
    fn range(&mut self) -> Range<usize> {
        let start = self.place();
        let end = (start + self.length()).min(self.content.len());
        match self.rng.u8(..3) {
            0 => start..end,
            1 => start..self.structure_from(end).min(self.content.len()),
            _ => self.line_from(start)..self.line_from(end),
        }
    }

    /// Where the next line begins, or the end.
    fn line_from(&self, at: usize) -> usize {
        let feed = self.unit.encode(b"\n");
        let found = self.content[at..].windows(feed.len()).position(|two| two == feed);
        found.map_or(self.content.len(), |found| at + found + feed.len())
    }

    /// The length of a range: mostly short, at times some hundred bytes.
    fn length(&mut self) -> usize {
        let most = 1 << self.rng.u32(1..=9);
        self.rng.usize(1..=most) * self.unit.length()
    }
}

/// The entries of a dictionary in libFuzzer's format: in quotes, with `\xNN`, `\\` and `\"`.
pub fn dictionary(text: &str) -> Vec<Vec<u8>> {
    let entries = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    entries.map(unescaped).collect()
}

fn unescaped(entry: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = entry.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = &behind[3..];
            }
            (b'\\', [escaped, ..]) => {
                bytes.push(*escaped);
                rest = &behind[1..];
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

/// Leaves out of a document what is not needed for `keeps` to hold, in ever smaller pieces, in a
/// limited number of trials.
pub fn minimised(mut content: Vec<u8>, keeps: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut trials = 600;
    let mut piece = content.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < content.len() && trials > 0 {
            trials -= 1;
            let end = (at + piece).min(content.len());
            let without = [&content[..at], &content[end..]].concat();
            if keeps(&without) {
                content = without;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    content
}
