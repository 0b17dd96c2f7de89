//! Fixed-size bit sets over flag indices: filters, needs and closures are a few ANDs.

/// A set of small integers. Its capacity is fixed by [`BitSet::reset`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    /// An empty set that can hold `0..capacity`.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            words: vec![0; capacity.div_ceil(64)],
        }
    }

    /// Empties the set and makes room for `0..capacity`; keeps the memory.
    pub fn reset(&mut self, capacity: usize) {
        self.words.clear();
        self.words.resize(capacity.div_ceil(64), 0);
    }

    /// Adds `index`; returns whether it was new.
    pub fn insert(&mut self, index: usize) -> bool {
        let bit = 1 << (index % 64);
        let word = &mut self.words[index / 64];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Removes `index`.
    pub fn remove(&mut self, index: usize) {
        self.words[index / 64] &= !(1 << (index % 64));
    }

    /// Whether `index` is in the set; false beyond the capacity.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        self.words
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether both sets share a member.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words
            .iter()
            .zip(&other.words)
            .any(|(left, right)| left & right != 0)
    }

    /// Whether every member is in `other` too.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words
            .iter()
            .zip(others)
            .all(|(word, other)| word & !other == 0)
    }

    /// Adds every member of `other`.
    pub fn union_with(&mut self, other: &Self) {
        for (word, extra) in self.words.iter_mut().zip(&other.words) {
            *word |= extra;
        }
    }

    /// Keeps only members of `other`.
    pub fn intersect_with(&mut self, other: &Self) {
        for (word, keep) in self.words.iter_mut().zip(&other.words) {
            *word &= keep;
        }
    }

    /// Removes every member of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (word, drop) in self.words.iter_mut().zip(&other.words) {
            *word &= !drop;
        }
    }

    /// Becomes a copy of `other`; keeps the memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }

    /// Members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }

    /// Heap bytes held.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_in_order() {
        let mut set = BitSet::new(200);
        for index in [199, 0, 64, 63] {
            assert!(set.insert(index));
        }
        assert!(!set.insert(64));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 199]);
        assert_eq!(set.len(), 4);
        set.remove(63);
        assert!(!set.contains(63) && !set.contains(5_000));
    }

    #[test]
    fn a_subset_has_no_member_of_its_own() {
        let (mut part, mut whole) = (BitSet::new(200), BitSet::new(130));
        assert!(part.is_subset(&whole));
        part.insert(129);
        assert!(!part.is_subset(&whole));
        whole.insert(129);
        whole.insert(3);
        assert!(part.is_subset(&whole) && !whole.is_subset(&part));
        part.insert(199);
        assert!(!part.is_subset(&whole));
    }
}
