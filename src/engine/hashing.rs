//! Hashes of flags: together where flags can wait for them, alone where one is needed at once.

use super::conditions::{Progress, Walk};
use super::evaluate::{Evaluator, WorkerScratch};
use super::hash::{HOLDOUT_PREFIX, VARIANT_SALT, fraction, hash};
use super::lanes::{HashBatch, Level, Salt, Slot};
use super::outcome::{FlagIndex, FlagResult};
use super::project::{Condition, Flag};
use super::property::GroupIndex;

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
    /// Position in its stage.
    position: usize,
    flag: FlagIndex,
    slots: Slots,
    walk: Walk,
}

/// Where the hashes that a flag waits for will be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    rollout: Option<Slot>,
    variant: Option<Slot>,
}

/// The hashes of a flag that are known, for one kind of identifier: its conditions mostly ask for the same.
#[derive(Debug, Default)]
pub(super) struct FlagHashes {
    aggregation: Option<GroupIndex>,
    rollout: Option<f64>,
    variant: Option<f64>,
}

/// Answer to the question for a hash.
pub(super) enum Asked {
    Known(f64),
    Waits(Slots),
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

    /// Whether the next flag might find no room.
    pub fn is_full(&self) -> bool {
        self.batch.len() + 2 > HashBatch::ROOM
    }

    /// Whether a flag waits.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The flag at `position` of its stage waits.
    pub fn wait(&mut self, position: usize, flag: FlagIndex, slots: Slots, walk: Walk) {
        self.waiting.push(Waiting {
            position,
            flag,
            slots,
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

    fn hash(&self, slot: Option<Slot>) -> Option<f64> {
        slot.map(|slot| fraction(self.batch.hash60(slot)))
    }
}

impl FlagHashes {
    fn get(&self, salt: Salt) -> Option<f64> {
        match salt {
            Salt::Rollout => self.rollout,
            Salt::Variant => self.variant,
        }
    }
}

impl Evaluator<'_, '_, '_> {
    /// Hashes what waits and goes on with the flags that wait; some of them may wait again.
    pub(super) fn resume(&self, results: &mut [FlagResult], worker: &mut WorkerScratch) {
        worker.hashing.batch.run();
        let empty = std::mem::take(&mut worker.hashing.resumed);
        let mut resumed = std::mem::replace(&mut worker.hashing.waiting, empty);
        for waiting in resumed.drain(..) {
            let Waiting {
                position,
                flag,
                slots,
                mut walk,
            } = waiting;
            walk.hashes.rollout = worker.hashing.hash(slots.rollout).or(walk.hashes.rollout);
            walk.hashes.variant = worker.hashing.hash(slots.variant).or(walk.hashes.variant);
            match self.conditions(flag, self.project.flag(flag), &mut walk, worker) {
                Progress::Settled(result) => results[position] = result,
                Progress::Waits(slots) => worker.hashing.wait(position, flag, slots, walk),
            }
        }
        worker.hashing.resumed = resumed;
    }

    /// The hash that a condition needs: known, or waited for, together with the variant's if a match will need that.
    pub(super) fn ask(
        &self,
        index: FlagIndex,
        flag: &Flag,
        condition: &Condition,
        salt: Salt,
        known: &mut FlagHashes,
        worker: &mut WorkerScratch,
    ) -> Asked {
        if known.aggregation != condition.aggregation {
            *known = FlagHashes {
                aggregation: condition.aggregation,
                ..FlagHashes::default()
            };
        }
        if let Some(hash) = known.get(salt) {
            return Asked::Known(hash);
        }
        let identifier = self.identifier(flag, condition.aggregation, self.hash_key_override(index));
        if identifier.is_empty() {
            return Asked::Known(0.0);
        }
        let prefix = self.project.prefixes.window(flag.hash_prefix);
        let batch = &mut worker.hashing.batch;
        let Some(slot) = batch.push(prefix, identifier, salt) else {
            return Asked::Known(self.hash_alone(flag, identifier, salt));
        };
        Asked::Waits(match salt {
            Salt::Variant => Slots {
                rollout: None,
                variant: Some(slot),
            },
            Salt::Rollout => Slots {
                rollout: Some(slot),
                variant: condition
                    .hashes_variant(flag)
                    .then(|| batch.push(prefix, identifier, Salt::Variant))
                    .flatten(),
            },
        })
    }

    /// A hash that cannot wait. An empty identifier is inside every rollout that is not negative (11.3).
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
