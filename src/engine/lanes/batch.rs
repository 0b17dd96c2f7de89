//! Collects messages and hashes them together.
//!
//! Messages that need equally many blocks stand in one queue. A queue with a message for every lane is hashed at once, so that
//! lanes are rarely empty and never wait for a longer one; what is left at the end shares lanes.

use super::level::{EIGHT, Group, Instructions, LANES_MAX, Level, digest};
use super::message::{Length, Messages, Prefix, Tail};
use super::padding::Second;
use crate::engine::hash::VARIANT_SALT;

/// Which hash of a flag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine) enum Salt {
    /// No salt.
    #[default]
    Rollout,
    /// [`VARIANT_SALT`].
    Variant,
}

/// Messages that wait for their hashes, each with something of its owner's, in memory that is reused.
#[derive(Debug)]
pub(in crate::engine) struct HashBatch<W> {
    level: Level,
    /// Of the level.
    lanes: usize,
    /// By [`Length`]; long ones first, as they are hashed.
    queues: Box<[Queue<W>; 3]>,
    /// Some queue has a message for every lane.
    full: bool,
    hashed: Hashed<W>,
    /// Address and length of the identifier that the tails are made of; nothing is at address 0.
    identifier: (usize, usize),
    tails: [Tail; 2],
}

/// Messages of one class. The last that came are hashed first.
#[derive(Debug)]
struct Queue<W> {
    messages: Messages,
    rows: [u32; Messages::ROOM],
    owners: [W; Messages::ROOM],
    len: usize,
}

/// What the last run hashed.
#[derive(Debug)]
struct Hashed<W> {
    owners: [W; LANES_MAX],
    hashes: [u64; LANES_MAX],
    len: usize,
}

const LONG: usize = 0;
const PADDED: usize = 1;
const SHORT: usize = 2;

impl<W: Copy + Default> Queue<W> {
    fn new() -> Self {
        Self {
            messages: Messages::default(),
            rows: [0; Messages::ROOM],
            owners: [W::default(); Messages::ROOM],
            len: 0,
        }
    }

    fn push(&mut self, prefix: Prefix<'_>, tail: &Tail, owner: W) -> bool {
        let at = self.len;
        let Some(place) = self.owners.get_mut(at) else {
            return false;
        };
        *place = owner;
        self.messages.write(at, prefix, tail);
        self.len = at + 1;
        true
    }

    /// Hashes the last `LANES` messages, if there are so many.
    fn run<const LANES: usize>(
        &mut self,
        class: usize,
        instructions: Instructions,
        hashed: &mut Hashed<W>,
    ) -> Option<()>
    where
        Instructions: Group<LANES>,
    {
        let from = self.len.checked_sub(LANES)?;
        let messages = self.messages.group::<LANES>(from)?;
        let second = match class {
            SHORT => Second::None,
            PADDED => Second::Padding(*self.rows.get(from..)?.first_chunk()?),
            _ => Second::Block,
        };
        *hashed.owners.first_chunk_mut::<LANES>()? = *self.owners.get(from..)?.first_chunk()?;
        let [first, second] = instructions.digests(messages, second);
        *hashed.hashes.first_chunk_mut::<LANES>()? = if class == SHORT { first } else { second };
        hashed.len = LANES;
        self.len = from;
        Some(())
    }
}

impl<W: Copy + Default> Default for HashBatch<W> {
    fn default() -> Self {
        Self::new(Level::detect())
    }
}

impl<W: Copy + Default> HashBatch<W> {
    /// An empty one.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            lanes: level.lanes(),
            queues: Box::new([Queue::new(), Queue::new(), Queue::new()]),
            full: false,
            hashed: Hashed {
                owners: [W::default(); LANES_MAX],
                hashes: [0; LANES_MAX],
                len: 0,
            },
            identifier: (0, 0),
            tails: Default::default(),
        }
    }

    /// Forgets everything. Until the next call, what identifiers borrow from must stay as it is: they are told apart
    /// by where they are.
    pub fn begin(&mut self) {
        self.identifier = (0, 0);
        self.hashed.len = 0;
        self.full = false;
        for queue in &mut *self.queues {
            queue.len = 0;
        }
    }

    /// Whether there is a message for every lane: run before as many more come.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Adds a message. `false` when it is longer than two blocks, or when there is no room: hash it alone.
    #[inline]
    pub fn push(&mut self, prefix: Prefix<'_>, identifier: &str, salt: Salt, owner: W) -> bool {
        if self.identifier != (identifier.as_ptr().addr(), identifier.len()) {
            self.set_identifier(identifier);
        }
        let tail = &self.tails[salt as usize];
        let queues = &mut *self.queues;
        let queue = match Length::of(prefix.len() + tail.len()) {
            Length::Short => &mut queues[SHORT],
            Length::Padded(row) => {
                let queue = &mut queues[PADDED];
                if let Some(place) = queue.rows.get_mut(queue.len) {
                    *place = row;
                }
                queue
            }
            Length::Long => &mut queues[LONG],
            Length::TooLong => return false,
        };
        let is_there = queue.push(prefix, tail, owner);
        self.full |= queue.len >= self.lanes;
        is_there
    }

    #[inline(never)]
    fn set_identifier(&mut self, identifier: &str) {
        self.identifier = (identifier.as_ptr().addr(), identifier.len());
        self.tails[Salt::Rollout as usize].set(identifier.as_bytes(), b"");
        self.tails[Salt::Variant as usize].set(identifier.as_bytes(), VARIANT_SALT);
    }

    /// Hashes messages of full lanes, or, when no lanes are full, as many as there are lanes. What was hashed can be
    /// read until the next run, while new messages are added. Returns how many those are; none: nothing waits.
    pub fn run(&mut self) -> usize {
        let lanes = self.lanes;
        let full = self.queues.iter().position(|queue| queue.len >= lanes);
        let done = full
            .zip(self.level.instructions())
            .and_then(|(class, instructions)| {
                let queue = &mut self.queues[class];
                match lanes {
                    EIGHT => queue.run::<EIGHT>(class, instructions, &mut self.hashed),
                    _ => queue.run::<LANES_MAX>(class, instructions, &mut self.hashed),
                }
            });
        if done.is_none() {
            self.run_rest(lanes);
        }
        self.full = self.queues.iter().any(|queue| queue.len >= lanes);
        self.hashed.len
    }

    /// Hashes up to `lanes` messages of any class, long ones first.
    fn run_rest(&mut self, lanes: usize) {
        let mut taken = [(0, 0); LANES_MAX];
        let mut len = 0;
        let mut counts = [0; 3];
        for (class, queue) in self.queues.iter_mut().enumerate() {
            while queue.len > 0 && len < lanes {
                queue.len -= 1;
                let at = queue.len;
                if class == PADDED {
                    queue.messages.pad(at, queue.rows[at]);
                }
                self.hashed.owners[len] = queue.owners[at];
                taken[len] = (class, at);
                counts[class] += 1;
                len += 1;
            }
        }
        self.hashed.len = len;
        if len == 0 {
            return;
        }
        if len > EIGHT
            && let Some(instructions) = self.level.instructions()
        {
            self.run_mixed::<LANES_MAX>(&taken[..len], counts, instructions);
        } else if let Some(instructions) = self.level.eight_lanes(len) {
            self.run_mixed::<EIGHT>(&taken[..len], counts, instructions);
        } else {
            for (hash, (class, at)) in self.hashed.hashes.iter_mut().zip(&taken[..len]) {
                let blocks = 1 + usize::from(*class != SHORT);
                *hash = digest(self.queues[*class].messages.get(*at), blocks);
            }
        }
    }

    /// Lanes that no message is left for repeat the last.
    fn run_mixed<const LANES: usize>(
        &mut self,
        taken: &[(usize, usize)],
        counts: [usize; 3],
        instructions: Instructions,
    ) where
        Instructions: Group<LANES>,
    {
        let lane = |lane: usize| taken[lane.min(taken.len() - 1)];
        let messages = std::array::from_fn(|at| {
            let (class, message) = lane(at);
            self.queues[class].messages.get(message)
        });
        let second = if counts[LONG] > 0 {
            Second::Block
        } else if counts[PADDED] > 0 {
            // A short message takes any row.
            Second::Padding(std::array::from_fn(|at| {
                let (_, message) = lane(at);
                self.queues[PADDED].rows[message]
            }))
        } else {
            Second::None
        };
        let [first, second] = instructions.digests(messages, second);
        let with_second = counts[LONG] + counts[PADDED];
        for (at, hash) in self.hashed.hashes.iter_mut().enumerate().take(taken.len()) {
            *hash = if at < with_second { second[at] } else { first[at] };
        }
    }

    /// What the last run hashed at position `at`: its owner, and the hash as the 60-bit integer.
    #[inline]
    pub fn hashed(&self, at: usize) -> Option<(W, u64)> {
        let Hashed { owners, hashes, .. } = &self.hashed;
        Some((*owners.get(at)?, *hashes.get(at)?))
    }
}
