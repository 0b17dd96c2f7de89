//! Every level against the `sha1` crate's digest of the joined text.

use sha1::{Digest, Sha1};

use super::batch::{HashBatch, Salt};
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

/// What was pushed and not hashed yet, by number.
struct Pushed<'t> {
    name: &'static str,
    batch: HashBatch<usize>,
    all: Vec<(&'t str, &'t str, Salt)>,
    open: usize,
    /// Runs by how many messages they hashed.
    runs: [usize; 17],
    checked: usize,
}

impl<'t> Pushed<'t> {
    fn new(name: &'static str, level: Level) -> Self {
        Self {
            name,
            batch: HashBatch::new(level),
            all: Vec::new(),
            open: 0,
            runs: [0; 17],
            checked: 0,
        }
    }

    fn begin(&mut self) {
        assert_eq!(self.open, 0);
        self.batch.begin();
        self.all.clear();
    }

    fn push(&mut self, keys: &'t Keys, key: usize, identifier: &'t str, salt: Salt) {
        let (key, span) = &keys.keys[key];
        let bytes = key.len() + 1 + identifier.len() + if salt == Salt::Variant { 7 } else { 0 };
        let window = keys.prefixes.window(*span);
        let is_there = self.batch.push(window, identifier, salt, self.all.len());
        assert_eq!(is_there, bytes <= 119, "{}: {bytes} bytes", self.name);
        if is_there {
            self.all.push((key, identifier, salt));
            self.open += 1;
        }
    }

    /// Hashes one group, compares, and tells whether there was one.
    fn run(&mut self) -> bool {
        let count = self.batch.run();
        for at in 0..count {
            let (number, hash) = self.batch.hashed(at).expect("a position below the count");
            let (key, identifier, salt) = self.all[number];
            assert_eq!(
                hash,
                expected(key, identifier, salt),
                "{}: {key:?} {identifier:?} {salt:?}, one of {count}",
                self.name,
            );
        }
        self.runs[count] += 1;
        self.checked += count;
        self.open -= count;
        count > 0
    }

    fn run_full(&mut self) {
        while self.batch.is_full() {
            assert!(self.run());
        }
    }

    fn run_all(&mut self) {
        while self.run() {}
        assert_eq!(self.open, 0, "{}", self.name);
    }
}

#[test]
fn every_length_in_every_number_of_lanes() {
    let mut random = Random(1);
    // Prefixes of every length that two blocks can hold, and one more.
    let keys = Keys::new((0..120).map(|length| random.ascii(length)).collect());
    let identifiers: Vec<String> = (1..=200).map(|length| random.ascii(length)).collect();
    for (name, level) in levels() {
        let mut pushed = Pushed::new(name, level);
        for limit in 1..=16 {
            pushed.begin();
            for identifier in &identifiers {
                for key in 0..keys.keys.len() {
                    for salt in [Salt::Rollout, Salt::Variant] {
                        // Every length once for few lanes; all of them only where lanes are full.
                        if limit % 8 != 0 && random.below(16) != 0 {
                            continue;
                        }
                        pushed.push(&keys, key, identifier, salt);
                        pushed.run_full();
                        if pushed.open == limit {
                            pushed.run_all();
                        }
                    }
                }
            }
            pushed.run_all();
        }
        assert!(pushed.checked > 35_000, "{name}: {}", pushed.checked);
        // The last of a queue share lanes in every number.
        for count in 1..=level.lanes() {
            assert!(pushed.runs[count] > 0, "{name}: never {count} at once");
        }
    }
}

#[test]
fn messages_of_one_length_fill_lanes() {
    let mut random = Random(3);
    // The same identifier and keys of one length: as many of the same class as there is room for.
    for (name, level) in levels() {
        let mut pushed = Pushed::new(name, level);
        for bytes in 2..=119 {
            let length = 1 + random.below(bytes - 1);
            let identifier = random.ascii(length);
            let keys = Keys::new(
                (0..64)
                    .map(|_| random.ascii(bytes - 1 - identifier.len()))
                    .collect(),
            );
            let mut these = Pushed::new(name, level);
            for key in 0..64 {
                these.push(&keys, key, &identifier, Salt::Rollout);
                these.run_full();
            }
            these.run_all();
            assert_eq!(
                these.runs[level.lanes()],
                64 / level.lanes(),
                "{name}: {bytes} bytes"
            );
            pushed.checked += these.checked;
        }
        assert_eq!(pushed.checked, 118 * 64);
    }
}

/// Random messages of a level, mostly of one identifier at a time, as in a request.
fn random_messages(seed: u64, messages: usize) {
    let mut random = Random(seed);
    let keys = Keys::new((0..500).map(|_| random.short(60)).collect());
    // Up to 200 characters, up to 800 bytes, mostly fewer.
    let identifiers: Vec<String> = (0..500)
        .map(|at| random.short(if at % 4 == 0 { 200 } else { 40 }))
        .filter(|text| !text.is_empty())
        .collect();
    for (name, level) in levels() {
        let mut pushed = Pushed::new(name, level);
        while pushed.checked < messages {
            pushed.begin();
            for _ in 0..random.below(200) {
                let identifier = &identifiers[random.below(identifiers.len())];
                for _ in 0..=random.below(20) {
                    let salt = if random.below(2) == 0 {
                        Salt::Rollout
                    } else {
                        Salt::Variant
                    };
                    pushed.push(&keys, random.below(500), identifier, salt);
                    pushed.run_full();
                }
            }
            pushed.run_all();
        }
    }
}

#[test]
fn a_million_random_messages() {
    random_messages(2, 1_000_000);
}

#[test]
#[ignore = "minutes: `cargo test --release --lib lanes -- --ignored`"]
fn fifty_million_random_messages() {
    random_messages(5, 50_000_000);
}

#[test]
fn a_batch_refuses_what_finds_no_room() {
    let keys = Keys::new(vec!["some-flag".to_owned()]);
    let prefix = || keys.prefixes.window(keys.keys[0].1);
    let mut batch = HashBatch::new(Level::PORTABLE);
    let mut there = 0;
    while batch.push(prefix(), "user-17", Salt::Rollout, there) {
        there += 1;
    }
    assert!((16..=64).contains(&there), "{there}");
    assert!(!batch.push(prefix(), &"x".repeat(800), Salt::Rollout, 0));
    let mut hashed = 0;
    while batch.run() > 0 {
        hashed += 1;
        assert!(batch.hashed(0).is_some());
    }
    assert!(hashed >= there / 16);
    assert!(batch.push(prefix(), "user-17", Salt::Rollout, 0));
}
