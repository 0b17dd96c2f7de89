//! Every level against the `sha1` crate's digest of the joined text.

use sha1::{Digest, Sha1};

use super::batch::{HashBatch, Salt, Slot};
use super::level::Level;
use super::message::{PrefixSpan, Prefixes};

/// The twin that defines what is right.
fn expected(key: &str, identifier: &str, salt: Salt) -> u64 {
    let salt = match salt {
        Salt::Rollout => "",
        Salt::Variant => "variant",
    };
    let digest = Sha1::digest(format!("{key}.{identifier}{salt}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first) >> 4
}

fn levels() -> impl Iterator<Item = (&'static str, Level)> {
    Level::NAMES
        .into_iter()
        .filter_map(|name| Some((name, Level::named(name)?)))
}

/// Random numbers that repeat (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A text of that many characters of one to four bytes.
    fn text(&mut self, characters: usize) -> String {
        const SAMPLES: [char; 8] = [
            'a',
            'Z',
            '0',
            '-',
            '\u{e9}',
            '\u{20ac}',
            '\u{1f600}',
            '\u{10ffff}',
        ];
        (0..characters).map(|_| SAMPLES[self.below(8)]).collect()
    }

    /// A text of less than that many characters.
    fn short(&mut self, end: usize) -> String {
        let length = self.below(end);
        match self.below(2) {
            0 => self.text(length),
            _ => self.ascii(length),
        }
    }

    fn ascii(&mut self, bytes: usize) -> String {
        (0..bytes)
            .map(|_| char::from(b' ' + self.below(95) as u8))
            .collect()
    }
}

struct Keys {
    prefixes: Prefixes,
    keys: Vec<(String, PrefixSpan)>,
}

impl Keys {
    fn new(keys: Vec<String>) -> Self {
        let mut prefixes = Prefixes::default();
        let keys = keys
            .into_iter()
            .map(|key| (prefixes.add(&key), key))
            .map(|(span, key)| (key, span))
            .collect();
        Self { prefixes, keys }
    }
}

type Pushed<'t> = Vec<(&'t str, &'t str, Salt, Slot)>;

fn check(name: &str, batch: &mut HashBatch, pushed: &mut Pushed<'_>) -> usize {
    batch.run();
    for (key, identifier, salt, slot) in &*pushed {
        assert_eq!(
            batch.hash60(*slot),
            expected(key, identifier, *salt),
            "{name}: {key:?} {identifier:?} {salt:?}, one of {}",
            pushed.len()
        );
    }
    let checked = pushed.len();
    pushed.clear();
    checked
}

#[test]
fn every_length_in_every_number_of_lanes() {
    let mut random = Random(1);
    // Prefixes of every length that two blocks can hold, and one more.
    let keys = Keys::new((0..120).map(|length| random.ascii(length)).collect());
    let identifiers: Vec<String> = (1..=200).map(|length| random.ascii(length)).collect();
    for (name, level) in levels() {
        let mut batch = HashBatch::new(level);
        let mut pushed = Vec::new();
        let mut checked = 0;
        for limit in 1..=HashBatch::ROOM {
            batch.begin();
            for identifier in &identifiers {
                for (key, span) in &keys.keys {
                    for salt in [Salt::Rollout, Salt::Variant] {
                        // Every length once for few lanes; all of them only where lanes are full.
                        if limit % 8 != 0 && random.below(16) != 0 {
                            continue;
                        }
                        let bytes =
                            key.len() + 1 + identifier.len() + if salt == Salt::Variant { 7 } else { 0 };
                        let slot = batch.push(keys.prefixes.window(*span), identifier, salt);
                        assert_eq!(slot.is_some(), bytes <= 119, "{name}: {bytes} bytes");
                        pushed.extend(slot.map(|slot| (key.as_str(), identifier.as_str(), salt, slot)));
                        if pushed.len() == limit {
                            checked += check(name, &mut batch, &mut pushed);
                        }
                    }
                }
            }
            checked += check(name, &mut batch, &mut pushed);
        }
        assert!(checked > 70_000, "{name}: {checked}");
    }
}

#[test]
fn a_million_random_messages() {
    const MESSAGES: usize = 1_000_000;
    let mut random = Random(2);
    let keys = Keys::new((0..500).map(|_| random.short(60)).collect());
    // Up to 200 characters, up to 800 bytes, mostly fewer.
    let identifiers: Vec<String> = (0..500)
        .map(|at| random.short(if at % 4 == 0 { 200 } else { 40 }))
        .filter(|text| !text.is_empty())
        .collect();
    for (name, level) in levels() {
        let mut batch = HashBatch::new(level);
        let mut pushed = Vec::new();
        let mut checked = 0;
        while checked < MESSAGES {
            batch.begin();
            let limit = 1 + random.below(HashBatch::ROOM);
            while pushed.len() < limit {
                // Mostly the same identifier, as in a request.
                let identifier = &identifiers[random.below(identifiers.len())];
                for _ in 0..=random.below(limit) {
                    let (key, span) = &keys.keys[random.below(500)];
                    let salt = if random.below(2) == 0 {
                        Salt::Rollout
                    } else {
                        Salt::Variant
                    };
                    let slot = batch.push(keys.prefixes.window(*span), identifier, salt);
                    pushed.extend(slot.map(|slot| (key.as_str(), identifier.as_str(), salt, slot)));
                }
            }
            checked += check(name, &mut batch, &mut pushed);
        }
    }
}

#[test]
fn a_batch_refuses_what_finds_no_room() {
    let keys = Keys::new(vec!["some-flag".to_owned()]);
    let prefix = || keys.prefixes.window(keys.keys[0].1);
    let mut batch = HashBatch::default();
    for _ in 0..HashBatch::ROOM {
        assert!(batch.push(prefix(), "user-17", Salt::Rollout).is_some());
    }
    assert!(batch.push(prefix(), "user-17", Salt::Rollout).is_none());
    batch.run();
    assert!(batch.push(prefix(), &"x".repeat(800), Salt::Rollout).is_none());
    assert!(batch.push(prefix(), "user-17", Salt::Rollout).is_some());
}
