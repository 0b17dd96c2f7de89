//! What the snapshot map believes that teams take is what the allocator gives them, within a fifth.
//!
//! One test function: the counter is the process's, and a second test would be counted too.

#[path = "support/teams.rs"]
mod teams;
#[path = "../benches/support/workload.rs"]
#[allow(dead_code, reason = "shared with benches and examples")]
mod workload;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use feature_flags::definition::RawProject;
use feature_flags::snapshot::{KnownInputs, ProjectSnapshot, Tags};
use feature_flags::wire::response::ConfigFragments;
use teams::{KINDS, flags_text, project};

/// Counts bytes that are held.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system allocator unchanged; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, that is from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Ordering::Relaxed);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Teams of each kind and size.
const TEAMS: i32 = 100;

/// What an estimate may be off by (`design.md`).
const TOLERANCE: f64 = 0.2;

#[test]
fn the_estimate_is_within_a_fifth_of_what_is_allocated() {
    // A request that wants stored facts has a deadline for them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _inside = runtime.enter();
    let mut wrong = Vec::new();
    for kind in KINDS {
        for flags in [1, 5, 50, 250] {
            let teams = if flags == 250 { 10 } else { TEAMS };
            let texts: Vec<String> = (1..=teams).map(|team| flags_text(team, flags, kind)).collect();
            let mut snapshots = Vec::with_capacity(texts.len());
            // What the first one sets up for the whole process is not a team's.
            use_once(&ProjectSnapshot::build(&project(1, &texts[0])), 1);
            let before = HELD.load(Ordering::Relaxed);
            for (team, text) in (1..=teams).zip(&texts) {
                let raw = project(team, text);
                snapshots.push(Box::new(ProjectSnapshot::build_tagged(
                    &raw,
                    Tags::default(),
                    KnownInputs::default(),
                )));
            }
            // Teams are held because they are asked: patterns make their caches at the first use.
            for (team, snapshot) in (1..).zip(&snapshots) {
                use_once(snapshot, team);
            }
            let allocated = HELD.load(Ordering::Relaxed) - before;
            let estimated: usize = snapshots.iter().map(|snapshot| snapshot.heap_bytes()).sum();
            let ratio = estimated as f64 / allocated as f64;
            let per_flag = allocated / (snapshots.len() * flags);
            println!("{kind:?}, {flags} flags: {per_flag} bytes a flag, estimate {ratio:.2} of it");
            if (ratio - 1.0).abs() > TOLERANCE {
                wrong.push((kind, flags, ratio));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    let ratio = configuration();
    println!("configuration: estimate {ratio:.2} of what is allocated");
    assert!((ratio - 1.0).abs() <= TOLERANCE, "{ratio}");
}

/// The same of what teams hold for config fields, their flags apart.
fn configuration() -> f64 {
    let domains: Vec<String> = (0..40).map(|at| format!("https://*.shop-{at}.example")).collect();
    let mut config: serde_json::Value =
        serde_json::from_str(include_str!("hypercache/config.json")).expect("JSON");
    config["sessionRecording"]["domains"] = serde_json::json!(domains);
    config["quotaLimited"] = serde_json::json!(["surveys", "events"]);
    let text = config.to_string();
    let before = HELD.load(Ordering::Relaxed);
    let built: Vec<ConfigFragments> = (0..TEAMS).filter_map(|_| ConfigFragments::build(&text)).collect();
    let allocated = HELD.load(Ordering::Relaxed) - before - built.capacity() * size_of::<ConfigFragments>();
    let estimated: usize = built.iter().map(ConfigFragments::heap_bytes).sum();
    // A snapshot's estimate has them.
    let raw = |remote_config| RawProject {
        remote_config,
        ..RawProject::default()
    };
    let with = ProjectSnapshot::build(&raw(Some(text.clone()))).heap_bytes();
    let without = ProjectSnapshot::build(&raw(None)).heap_bytes();
    assert_eq!(with - without, estimated / built.len());
    estimated as f64 / allocated as f64
}

fn use_once(snapshot: &ProjectSnapshot, team: i32) {
    workload::Pipeline::new(snapshot, None).request(body(team).as_bytes());
}

/// A person with a value for everything that the flags look at.
fn body(team: i32) -> String {
    let mut properties = serde_json::Map::new();
    for at in 0..8 {
        properties.insert(
            format!("email-{at}"),
            format!("team-{team}-{at}x.y@example.com").into(),
        );
        properties.insert(format!("plan-{at}"), "value".into());
        properties.insert(format!("cohort-property-{at}"), "text".into());
    }
    for at in 0..250 {
        properties.insert(format!("seats-{at}"), 7.into());
    }
    serde_json::json!({ "token": "any", "distinct_id": format!("person-{team}"), "person_properties": properties })
        .to_string()
}
