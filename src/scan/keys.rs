//! The keys of one JSON object, to find one that is there twice.
//!
//! Nothing is allocated for the usual object: keys that are known are bits, and a few others fit
//! in place. An object may have a million keys, so further ones go to a set, as hashes, which ends
//! at some MiB: of the keys beyond that, one that is there twice is not found.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many keys that are not known are compared one by one.
const FEW: usize = 8;

/// How many more are held: a table of 2^18 places, full.
const MOST: usize = (1 << 18) / 8 * 7;

/// The keys that were met so far; see the module.
#[derive(Debug, Default)]
pub struct Keys {
    /// Bits for those that are known.
    known: u32,
    /// The hashes of the first others, this many.
    few: [u64; FEW],
    others: usize,
    /// The hashes of those behind.
    many: HashSet<u64, std::hash::BuildHasherDefault<DefaultHasher>>,
}

impl Keys {
    /// Takes one more key; returns whether it is new. Known ones have a number below 32.
    #[inline]
    pub fn insert(&mut self, known: Option<u8>, key: &[u8]) -> bool {
        let Some(number) = known else { return self.insert_other(key) };
        let bit = 1_u32 << (number & 31);
        let is_new = self.known & bit == 0;
        self.known |= bit;
        is_new
    }

    #[cold]
    fn insert_other(&mut self, key: &[u8]) -> bool {
        // Of a million keys, two have the same hash once in tens of millions of objects.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        if self.few.iter().take(self.others).any(|&other| other == hash) {
            return false;
        }
        if let Some(free) = self.few.get_mut(self.others) {
            *free = hash;
            self.others += 1;
            return true;
        }
        if self.many.len() == MOST {
            return !self.many.contains(&hash);
        }
        self.many.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_key_that_is_there_twice_among_known_few_and_many() {
        let mut keys = Keys::default();
        let others: Vec<_> = (0..100).map(|number| format!("key {number}")).collect();
        let known = [(Some(0), "name"), (Some(31), "result")].into_iter();
        let all: Vec<_> = known.chain(others.iter().map(|key| (None, key.as_str()))).collect();
        let all: Vec<_> = all.into_iter().map(|(number, key)| (number, key.as_bytes())).collect();
        for (number, key) in &all {
            assert!(keys.insert(*number, key), "{key:?}");
            assert!(!keys.insert(*number, key), "{key:?} again");
        }
        for (number, key) in &all {
            assert!(!keys.insert(*number, key), "{key:?} at last");
        }
    }

    #[test]
    fn holds_so_many_and_no_more() {
        let mut keys = Keys::default();
        for number in 0..FEW + 2 * MOST {
            assert!(keys.insert(None, number.to_string().as_bytes()), "{number}");
        }
        assert_eq!(keys.many.capacity(), MOST);
        assert!(!keys.insert(None, b"20"), "one that is held");
    }
}
