//! Hashes of flags: together where flags can wait for them, alone where one is needed at once.

use super::conditions::{Place, Walk};
use super::evaluate::{Evaluator, WorkerScratch};
use super::hash::{HOLDOUT_PREFIX, VARIANT_SALT, fraction, hash};
use super::lanes::{HashBatch, Level, Salt, Slot};
use super::outcome::{FlagIndex, FlagResult};
use super::project::{Condition, Flag};

/// Flags of one stage that wait for hashes, and the batch with their messages. Reused; never more flags than the
/// batch has room for messages.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    batch: HashBatch,
    waiting: Vec<Waiting>,
    resumed: Vec<Waiting>,
    /// Address and length of an identifier, and its holdout hash, which is the same for every flag.
    holdout: Option<(usize, usize, f64)>,
}

/// A flag that waits.
#[derive(Debug)]
struct Waiting {
    place: Place,
    slot: Slot,
    salt: Salt,
    walk: Walk,
}

/// Answer to the question for a hash.
pub(super) enum Asked {
    Known(f64),
    Waits(Slot),
}

impl Hashing {
    pub fn with_level(level: Level) -> Self {
        Self {
            batch: HashBatch::new(level),
            ..Self::default()
        }
    }

    /// Forgets everything: a request begins. Identifiers are told apart by where they are until the next begins.
    pub fn begin(&mut self) {
        self.batch.begin();
        self.waiting.clear();
        self.resumed.clear();
        self.holdout = None;
    }

    /// Whether the next flag would find no room.
    pub fn is_full(&self) -> bool {
        self.batch.len() == HashBatch::ROOM
    }

    /// Whether a flag waits.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A flag waits for a hash.
    pub fn wait(&mut self, place: Place, slot: Slot, salt: Salt, walk: Walk) {
        self.waiting.push(Waiting {
            place,
            slot,
            salt,
            walk,
        });
    }

    /// The holdout hash of an identifier, an empty one included (11.3).
    pub fn holdout(&mut self, identifier: &str) -> f64 {
        let place = (identifier.as_ptr().addr(), identifier.len());
        match self.holdout {
            Some((address, len, hash)) if (address, len) == place => hash,
            _ => {
                let hash = hash(HOLDOUT_PREFIX, identifier, b"");
                self.holdout = Some((place.0, place.1, hash));
                hash
            }
        }
    }
}

impl Evaluator<'_, '_, '_> {
    /// Hashes what waits and goes on with the flags that wait; some of them may wait again.
    pub(super) fn resume(&self, results: &mut [FlagResult], worker: &mut WorkerScratch) {
        worker.hashing.batch.run();
        let empty = std::mem::take(&mut worker.hashing.resumed);
        let mut resumed = std::mem::replace(&mut worker.hashing.waiting, empty);
        for waiting in &resumed {
            let hash = fraction(worker.hashing.batch.hash60(waiting.slot));
            match waiting.salt {
                Salt::Variant => {
                    let matched = self.matched_variant(waiting.place, &waiting.walk, hash);
                    results[waiting.place.position as usize] = matched;
                }
                Salt::Rollout => {
                    let mut walk = waiting.walk;
                    walk.rollout = Some(hash);
                    let flag = self.project.flag(waiting.place.flag);
                    self.conditions(waiting.place, flag, walk, results, worker);
                }
            }
        }
        resumed.clear();
        worker.hashing.resumed = resumed;
    }

    /// The hash that a condition needs: known at once, or to be waited for.
    #[inline(never)]
    pub(super) fn ask(
        &self,
        index: FlagIndex,
        flag: &Flag,
        condition: &Condition,
        salt: Salt,
        worker: &mut WorkerScratch,
    ) -> Asked {
        let identifier = self.identifier(flag, condition.aggregation, Some(index));
        if identifier.is_empty() {
            return Asked::Known(0.0);
        }
        let prefix = self.project.prefixes.window(flag.hash_prefix);
        match worker.hashing.batch.push(prefix, identifier, salt) {
            Some(slot) => Asked::Waits(slot),
            None => Asked::Known(self.hash_alone(flag, identifier, salt)),
        }
    }

    /// A hash that cannot wait. An empty identifier is inside every rollout that is not negative (11.3).
    #[cold]
    pub(super) fn hash_alone(&self, flag: &Flag, identifier: &str, salt: Salt) -> f64 {
        if identifier.is_empty() {
            return 0.0;
        }
        let salt = match salt {
            Salt::Rollout => b"",
            Salt::Variant => VARIANT_SALT,
        };
        hash(self.project.prefixes.get(flag.hash_prefix), identifier, salt)
    }
}
