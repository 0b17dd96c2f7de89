//! Collects messages and hashes them together.

use super::level::{LANES, Level, digest};
use super::message::{Messages, Prefix, Tail};
use crate::engine::hash::VARIANT_SALT;

/// Which hash of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Salt {
    /// No salt.
    Rollout,
    /// [`VARIANT_SALT`].
    Variant,
}

/// Where the hash of a message will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Slot(u8);

/// Messages that wait for their hashes, at most [`HashBatch::ROOM`], in memory that is reused.
#[derive(Debug)]
pub(in crate::engine) struct HashBatch {
    level: Level,
    messages: Box<Messages>,
    /// Messages of two blocks from the front, of one block from the back: lanes shall work equally long.
    order: [u8; Messages::ROOM],
    two: usize,
    one: usize,
    hashes: [u64; Messages::ROOM],
    /// Address and length of the identifier that the tails are made of.
    identifier: Option<(usize, usize)>,
    tails: [Tail; 2],
}

impl Default for HashBatch {
    fn default() -> Self {
        Self::new(Level::detect())
    }
}

impl HashBatch {
    /// Messages that find room.
    pub const ROOM: usize = Messages::ROOM;

    /// An empty one.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            messages: Box::default(),
            order: [0; Messages::ROOM],
            two: 0,
            one: 0,
            hashes: [0; Messages::ROOM],
            identifier: None,
            tails: Default::default(),
        }
    }

    /// Forgets everything. Until the next call, what identifiers borrow from must stay as it is: they are told apart
    /// by where they are.
    pub fn begin(&mut self) {
        self.identifier = None;
        self.two = 0;
        self.one = 0;
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.one + self.two
    }

    /// Adds a message. `None` when there is no room or it is longer than two blocks: hash it alone.
    #[inline]
    pub fn push(&mut self, prefix: Prefix<'_>, identifier: &str, salt: Salt) -> Option<Slot> {
        let at = self.len();
        if at == Messages::ROOM {
            return None;
        }
        if self.identifier != Some((identifier.as_ptr().addr(), identifier.len())) {
            self.set_identifier(identifier);
        }
        match self.messages.write(at, prefix, &self.tails[salt as usize])? {
            1 => {
                self.one += 1;
                self.order[Messages::ROOM - self.one] = at as u8;
            }
            _ => {
                self.order[self.two] = at as u8;
                self.two += 1;
            }
        }
        Some(Slot(at as u8))
    }

    #[inline(never)]
    fn set_identifier(&mut self, identifier: &str) {
        self.identifier = Some((identifier.as_ptr().addr(), identifier.len()));
        self.tails[Salt::Rollout as usize].set(identifier.as_bytes(), b"");
        self.tails[Salt::Variant as usize].set(identifier.as_bytes(), VARIANT_SALT);
    }

    /// Hashes what waits. The hashes can be read until the next run, while new messages are added.
    pub fn run(&mut self) {
        let total = self.len();
        let mut done = 0;
        while done < total {
            let taken = (total - done).min(LANES);
            if self.level.is_worth_lanes(taken) {
                self.run_lanes(done, taken);
            } else {
                for at in done..done + taken {
                    let slot = self.slot(at);
                    let blocks = 1 + usize::from(at < self.two);
                    self.hashes[slot] = digest(self.messages.get(slot), blocks);
                }
            }
            done += taken;
        }
        self.two = 0;
        self.one = 0;
    }

    /// Lanes that no message is left for repeat the last.
    fn run_lanes(&mut self, from: usize, taken: usize) {
        let slots: [usize; LANES] = std::array::from_fn(|lane| self.slot(from + lane.min(taken - 1)));
        let two = self.two.saturating_sub(from);
        let [first, second] = self
            .level
            .digests(slots.map(|slot| self.messages.get(slot)), two > 0);
        for (lane, slot) in slots.into_iter().enumerate().take(taken) {
            self.hashes[slot] = if lane < two { second[lane] } else { first[lane] };
        }
    }

    /// The message that is `at` in the order of hashing.
    fn slot(&self, at: usize) -> usize {
        let at = if at < self.two {
            at
        } else {
            Messages::ROOM - 1 - (at - self.two)
        };
        usize::from(self.order[at])
    }

    /// The hash of a message of the last run, as the 60-bit integer.
    pub fn hash60(&self, slot: Slot) -> u64 {
        self.hashes[usize::from(slot.0)]
    }
}
