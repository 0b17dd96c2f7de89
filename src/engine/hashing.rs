//! Hashes of flags: together where flags can wait for them, alone where one is needed at once.

use super::conditions::{Place, Walk};
use super::evaluate::{Evaluator, WorkerScratch};
use super::hash::{HOLDOUT_PREFIX, VARIANT_SALT, fraction, hash};
use super::lanes::{HashBatch, Level, PrefixSpan, Salt};
use super::opening::Opening;
use super::outcome::{FlagResult, Reason};
use super::project::{Condition, Flag};

/// Flags of one stage that wait for hashes, and the batch with their messages. Reused.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    batch: HashBatch<Waiting>,
    /// Where those stand that wait amid their conditions.
    walks: Vec<Walk>,
    /// Address and length of an identifier, and its holdout hash, which is the same for every flag.
    holdout: Option<(usize, usize, f64)>,
}

/// A flag that waits.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    place: Place,
    /// Position of its walk; of no meaning when it waits for its opening.
    walk: u32,
    salt: Salt,
    is_opening: bool,
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
        /// Walks kept between requests.
        const KEPT: usize = 4 * 1024;
        self.batch.begin();
        self.walks.clear();
        self.walks.shrink_to(KEPT);
        self.holdout = None;
    }

    /// Whether there is a group to hash before more flags are looked at.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.batch.is_full()
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
    /// Lets a flag wait for the hash that its opening asks for; `false`: it cannot.
    #[inline]
    pub(super) fn open(&self, place: Place, opening: &Opening, worker: &mut WorkerScratch) -> bool {
        self.wait(place, opening.prefix, opening.salt, worker)
    }

    /// Lets a flag wait for a hash of the distinct id at its opening; `false`: it cannot.
    #[inline]
    fn wait(&self, place: Place, prefix: PrefixSpan, salt: Salt, worker: &mut WorkerScratch) -> bool {
        let waiting = Waiting {
            place,
            walk: 0,
            salt,
            is_opening: true,
        };
        let prefix = self.project.prefixes.window(prefix);
        let identifier = self.context.distinct_id;
        worker.hashing.batch.push(prefix, identifier, salt, waiting)
    }

    /// Hashes and settles everything that waits.
    pub(super) fn resume_all(&self, results: &mut [FlagResult], worker: &mut WorkerScratch) {
        while self.resume(results, worker) {}
        worker.hashing.walks.clear();
    }

    /// Hashes one group and goes on with its flags. `false`: none waited.
    #[inline(never)]
    pub(super) fn resume(&self, results: &mut [FlagResult], worker: &mut WorkerScratch) -> bool {
        let count = worker.hashing.batch.run();
        for at in 0..count {
            let Some((waiting, hash)) = worker.hashing.batch.hashed(at) else {
                break;
            };
            let (place, hash) = (waiting.place, fraction(hash));
            if waiting.is_opening {
                self.resume_opening(place, waiting.salt, hash, results, worker);
                continue;
            }
            let Some(mut walk) = worker.hashing.walks.get(waiting.walk as usize).copied() else {
                continue;
            };
            match waiting.salt {
                Salt::Variant => {
                    results[place.position as usize] = self.matched_variant(place, &walk, hash);
                }
                Salt::Rollout => {
                    walk.rollout = Some(hash);
                    self.walk_on(place, walk, results, worker);
                }
            }
        }
        count > 0
    }

    /// Goes on with a flag that waited for its opening's hash.
    #[inline]
    fn resume_opening(
        &self,
        place: Place,
        salt: Salt,
        hash: f64,
        results: &mut [FlagResult],
        worker: &mut WorkerScratch,
    ) {
        let Some(opening) = self.project.openings.get(place.flag.0 as usize) else {
            return;
        };
        let rollout_missed = salt == Salt::Rollout && !opening.rollout.includes(hash);
        if rollout_missed && !opening.is_settled_by(Reason::OutOfRolloutBound) {
            let walk = Walk::after_miss(Reason::OutOfRolloutBound, opening.matched.condition, Some(hash));
            return self.walk_on(place, walk, results, worker);
        }
        if !rollout_missed && salt == Salt::Rollout && opening.hashes_variant {
            if !self.wait(place, opening.prefix, Salt::Variant, worker) {
                self.walk_on(place, Walk::with_rollout(hash), results, worker);
            }
            return;
        }
        let Some(record) = results.get_mut(place.position as usize) else {
            return;
        };
        if rollout_missed {
            opening.write_missed(Reason::OutOfRolloutBound, record);
            return;
        }
        *record = opening.matched;
        if salt == Salt::Variant {
            record.value = self.project.flag(place.flag).hashed_value(hash);
        }
    }

    /// Goes on with a walk that stands amid a flag's conditions.
    #[inline(never)]
    pub(super) fn walk_on(
        &self,
        place: Place,
        walk: Walk,
        results: &mut [FlagResult],
        worker: &mut WorkerScratch,
    ) {
        self.conditions(place, self.project.flag(place.flag), walk, results, worker);
    }

    /// The hash that a condition needs: known at once, or waited for with the walk as it stands (`None`).
    #[inline(never)]
    pub(super) fn ask(
        &self,
        place: Place,
        flag: &Flag,
        condition: &Condition,
        salt: Salt,
        walk: &mut Walk,
        worker: &mut WorkerScratch,
    ) -> Option<f64> {
        let identifier = self.identifier(flag, condition.aggregation, Some(place.flag));
        if identifier.is_empty() {
            return Some(0.0);
        }
        let hashing = &mut worker.hashing;
        let prefix = self.project.prefixes.window(flag.hash_prefix);
        // A flag that waits again stands where it stood.
        let at = walk.kept.unwrap_or(hashing.walks.len() as u32);
        let waiting = Waiting {
            place,
            walk: at,
            salt,
            is_opening: false,
        };
        if !hashing.batch.push(prefix, identifier, salt, waiting) {
            return Some(self.hash_alone(flag, identifier, salt));
        }
        walk.kept = Some(at);
        match hashing.walks.get_mut(at as usize) {
            Some(kept) => *kept = *walk,
            None => hashing.walks.push(*walk),
        }
        None
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
