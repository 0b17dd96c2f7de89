//! A million distinct addresses and a million distinct tokens through the limiters: what they take before, at most, and
//! after cleaning. At the bound they take no more, and what they took comes back.
//!
//! One test function: the counter is the process's.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use feature_flags::config::Config;
use feature_flags::limit::{Limits, Verdict};
use governor::clock::FakeRelativeClock;

/// The program's allocator, counting what is in use.
struct Counting(mimalloc::MiMalloc);

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let in_use = IN_USE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(in_use, Ordering::Relaxed);
}

// SAFETY: every call is handed to mimalloc unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller's obligations are passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, that is from mimalloc.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting(mimalloc::MiMalloc);

const KEYS: u32 = 1_000_000;

/// Seen: 48 to 61, and at most 80 while the index grows.
const BYTES_AN_ENTRY: usize = 120;

/// What shared buckets, handles and settings of three limiters take.
const FIXED: usize = 256 << 10;

struct Seen {
    before: usize,
    most: usize,
    full: usize,
    after: usize,
    resident: [usize; 3],
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn limits(entries_max: &str, clock: &FakeRelativeClock) -> Limits<FakeRelativeClock> {
    let source = HashMap::from([
        ("FLAGS_IP_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_IP_RATE_LIMIT_LOG_ONLY", "false"),
        ("FLAGS_RATE_LIMIT_ENABLED", "true"),
        ("FLAGS_RATE_LIMIT_LOG_ONLY", "false"),
        ("RATE_LIMITER_ENTRIES_MAX", entries_max),
    ]);
    let config = Config::read(&source).unwrap();
    Limits::with_clock(&config.rate_limit, &config.definitions, clock)
}

/// Every key once, by `threads` threads; how many were refused.
fn flood(limits: &Limits<FakeRelativeClock>, threads: u32) -> usize {
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (limits, refused) = (&limits, &refused);
            scope.spawn(move || {
                let mut token = String::with_capacity(64);
                for number in (thread..KEYS).step_by(threads as usize) {
                    use std::fmt::Write;
                    let address = IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64 | 1));
                    token.clear();
                    write!(token, "phc_{number:043}").unwrap();
                    for verdict in [limits.ip.check(address), limits.token.check(&token)] {
                        refused.fetch_add(usize::from(verdict == Verdict::Refused), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    refused.into_inner()
}

fn run(name: &str, entries_max: &str, threads: u32) -> (Seen, usize, usize) {
    let clock = FakeRelativeClock::default();
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let at_start = resident();
    let limits = limits(entries_max, &clock);
    let refused = flood(&limits, threads);
    let most = MOST.load(Ordering::Relaxed) - before;
    let full = IN_USE.load(Ordering::Relaxed) - before;
    let at_most = resident();
    let entries = limits.entries();
    clock.advance(Duration::from_secs(60));
    let started = std::time::Instant::now();
    limits.clean();
    let cleaning = started.elapsed();
    let after = IN_USE.load(Ordering::Relaxed) - before;
    let seen = Seen {
        before,
        most,
        full,
        after,
        resident: [at_start, at_most, resident()],
    };
    assert_eq!(limits.entries().ip + limits.entries().token, 0);
    println!(
        "{name}: {} + {} entries, {refused} refused; bytes in use: {} before, then {} more at most, {} when full ({} an entry), {} \
         after cleaning in {cleaning:?}; resident: {:?}",
        entries.ip,
        entries.token,
        seen.before,
        seen.most,
        seen.full,
        seen.full / (entries.ip + entries.token),
        seen.after,
        seen.resident
    );
    (seen, entries.ip + entries.token, refused)
}

#[test]
fn a_flood_of_keys_is_bounded_and_comes_back() {
    few_stay();
    for threads in [1, 4] {
        let (seen, entries, refused) = run("bounded", "100000", threads);
        assert_eq!(entries, 200_000);
        assert!(seen.most < entries * BYTES_AN_ENTRY + FIXED, "{}", seen.most);
        assert!(seen.after < FIXED, "{}", seen.after);
        // 900,000 strangers of each kind share 1,024 buckets, some 879 a bucket: all buckets of 500 by token run dry. Of those of
        // 1,000 by address one may too, by the chance of the hash keys, and then by a few.
        let by_token = 900_000 - 1024 * 500;
        assert!((by_token..by_token + 500).contains(&refused), "{refused}");
    }
    let (seen, entries, refused) = run("unbounded", "100000000", 4);
    assert_eq!((entries, refused), (2 * KEYS as usize, 0));
    assert!(seen.most < entries * BYTES_AN_ENTRY + FIXED, "{}", seen.most);
    assert!(seen.after < FIXED, "{}", seen.after);
}

/// A thousand busy keys among a million idle ones, while requests go on.
fn few_stay() {
    const BUSY: u32 = 1000;
    /// Of 60 million.
    const FEW_BYTES: usize = 1 << 20;
    let clock = FakeRelativeClock::default();
    let before = IN_USE.load(Ordering::Relaxed);
    let limits = limits("100000000", &clock);
    let address = |number: u32| IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64 | 1));
    for number in 0..KEYS {
        let _ = limits.ip.check(address(number));
    }
    for number in 0..BUSY {
        while limits.ip.check(address(number)) == Verdict::Allowed {}
    }
    clock.advance(Duration::from_secs(1));
    let done = AtomicBool::new(false);
    let after = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..BUSY).cycle() {
                let _ = limits.ip.check(address(number));
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        limits.clean();
        // What a reader has moved is freed by that reader, once it has gone on a little.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let after = loop {
            let after = IN_USE.load(Ordering::Relaxed) - before;
            if after < FEW_BYTES || std::time::Instant::now() > deadline {
                break after;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        done.store(true, Ordering::Relaxed);
        after
    });
    println!(
        "{} of {KEYS} keys stay in {after} bytes while requests go on",
        limits.entries().ip
    );
    assert_eq!(limits.entries().ip, BUSY as usize);
    assert!(after < FEW_BYTES, "{after}");
    // Those that stayed have lost no more than they had regained.
    assert_eq!(limits.ip.check(address(7)), Verdict::Refused);
}
