use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::{LookupError, SnapshotMap, SnapshotSettings};
use crate::definition::{RawFlag, RawProject, RawTeam};
use crate::snapshot::push::PushClock;
use crate::snapshot::{
    BoxFuture, Changed, Changes, KnownInputs, LoadError, Loaded, LoadedProject, ProjectSnapshot,
    ProjectSource, Tags, Validity,
};

/// Teams in memory; a load waits at the gate, so that a test decides what happens meanwhile.
struct Source {
    teams: Mutex<HashMap<String, Result<i32, LoadError>>>,
    loads: AtomicUsize,
    started: Notify,
    gate: Semaphore,
    validity: Mutex<Validity>,
    clock: Arc<PushClock>,
    announce: mpsc::UnboundedSender<Changes>,
    changes: tokio::sync::Mutex<mpsc::UnboundedReceiver<Changes>>,
}

impl Source {
    fn new(open: usize) -> Arc<Self> {
        let (announce, changes) = mpsc::unbounded_channel();
        Arc::new(Self {
            validity: Mutex::new(Validity::default()),
            clock: Arc::new(PushClock::new(1)),
            announce,
            changes: tokio::sync::Mutex::new(changes),
            teams: Mutex::new(HashMap::new()),
            loads: AtomicUsize::new(0),
            started: Notify::new(),
            gate: Semaphore::new(open),
        })
    }

    fn set(&self, token: &str, team: Result<i32, LoadError>) {
        self.teams.lock().unwrap().insert(token.to_owned(), team);
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }
}

impl ProjectSource for Source {
    fn load<'a>(
        &'a self,
        token: &'a str,
        _known: Option<&'a ProjectSnapshot>,
    ) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        // What the store says is read when the load begins, as a query would.
        let team = self.teams.lock().unwrap().get(token).cloned();
        Box::pin(async move {
            self.loads.fetch_add(1, Ordering::Relaxed);
            self.started.notify_one();
            self.gate.acquire().await.unwrap().forget();
            let Some(id) = team.transpose()? else {
                return Ok(Loaded::UnknownToken);
            };
            assert_ne!(id, PANICS, "asked to");
            let flag = r#"{"id": 1, "key": "flag", "active": true, "filters": {"groups": [{}]}}"#;
            let raw = RawProject {
                team: RawTeam {
                    id,
                    api_token: token.to_owned(),
                    ..RawTeam::default()
                },
                flags: vec![sonic_rs::from_str::<RawFlag>(flag).unwrap()],
                ..RawProject::default()
            };
            Ok(Loaded::Project(Box::new(LoadedProject {
                raw,
                tags: Tags::default(),
                inputs: KnownInputs::default(),
                validity: *self.validity.lock().unwrap(),
            })))
        })
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        Box::pin(async {
            let mut changes = self.changes.lock().await;
            Ok(changes.recv().await.unwrap())
        })
    }

    fn push_clock(&self) -> Arc<PushClock> {
        Arc::clone(&self.clock)
    }
}

/// The team whose load panics.
const PANICS: i32 = -1;

const SETTINGS: SnapshotSettings = SnapshotSettings {
    capacity_bytes: 1 << 20,
    lookups_max: 2,
    negative_capacity: 100,
    negative_time_to_live: Duration::from_secs(30),
    soft_ttl: Duration::from_secs(60),
    hard_ttl: Duration::from_secs(600),
    load_wait: Duration::from_secs(5),
};

fn map(source: &Arc<Source>, settings: SnapshotSettings) -> Arc<SnapshotMap> {
    Arc::new(SnapshotMap::new(Arc::clone(source) as _, settings))
}

#[tokio::test]
async fn requests_for_one_token_share_one_load() {
    let source = Source::new(0);
    source.set("a", Ok(7));
    let map = map(&source, SETTINGS);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let map = Arc::clone(&map);
            tokio::spawn(async move { map.get_or_load("a").await.map(|snapshot| snapshot.team.id) })
        })
        .collect();
    source.started.notified().await;
    source.gate.add_permits(1);
    for request in waiting {
        assert_eq!(request.await.unwrap(), Ok(7));
    }
    assert_eq!(source.loads(), 1);
    assert!(map.get("a").is_some());
}

#[tokio::test]
async fn an_outage_is_never_an_unknown_token_and_is_not_remembered() {
    let source = Source::new(10);
    source.set("a", Err(LoadError::Timeout));
    let map = map(&source, SETTINGS);
    assert_eq!(
        map.get_or_load("a").await.err(),
        Some(LookupError::Load(LoadError::Timeout))
    );
    source.set("a", Ok(1));
    assert!(map.get_or_load("a").await.is_ok());
}

#[tokio::test]
async fn unknown_tokens_are_remembered_until_the_store_names_them() {
    let source = Source::new(10);
    let map = map(&source, SETTINGS);
    for _ in 0..3 {
        assert_eq!(map.get_or_load("a").await.err(), Some(LookupError::UnknownToken));
    }
    assert_eq!(source.loads(), 1);
    source.set("a", Ok(1));
    map.reload("a").await.unwrap();
    assert!(map.get_or_load("a").await.is_ok());
}

#[tokio::test]
async fn lookups_of_new_tokens_are_capped() {
    let source = Source::new(0);
    let map = map(&source, SETTINGS);
    for token in ["a", "b"] {
        let map = Arc::clone(&map);
        tokio::spawn(async move { map.get_or_load(token).await.map(drop) });
        source.started.notified().await;
    }
    assert_eq!(map.get_or_load("c").await.err(), Some(LookupError::Busy));
    source.gate.add_permits(3);
    // A finished load gives its place back.
    while map.get_or_load("c").await.err() == Some(LookupError::Busy) {
        tokio::task::yield_now().await;
    }
    assert_eq!(map.get_or_load("c").await.err(), Some(LookupError::UnknownToken));
}

#[tokio::test]
async fn an_older_load_never_overwrites_a_newer_one() {
    let source = Source::new(0);
    source.set("a", Ok(1));
    let map = map(&source, SETTINGS);
    let old = tokio::spawn({
        let map = Arc::clone(&map);
        async move { map.get_or_load("a").await.map(drop) }
    });
    source.started.notified().await;
    // The change arrives while the first load is under way: the reload reads the new state. The gate lets the
    // first one in line through first, so both orders end with the newer state.
    source.set("a", Ok(2));
    let new = tokio::spawn({
        let map = Arc::clone(&map);
        async move { map.reload("a").await }
    });
    source.started.notified().await;
    source.gate.add_permits(2);
    old.await.unwrap().unwrap();
    new.await.unwrap().unwrap();
    assert_eq!(map.get("a").map(|snapshot| snapshot.team.id), Some(2));
    let (older, newer) = (map.get("a").unwrap(), map.get("a").unwrap());
    map.publish("a", 0, 0, Arc::clone(&older), Validity::default());
    assert!(Arc::ptr_eq(&map.get("a").unwrap(), &newer));
}

#[tokio::test]
async fn the_least_recently_used_team_goes_when_the_bound_is_reached() {
    let source = Source::new(100);
    let tokens: Vec<String> = (0..10).map(|number| format!("token-{number}")).collect();
    for token in &tokens {
        source.set(token, Ok(1));
    }
    let one = {
        let map = map(&source, SETTINGS);
        map.get_or_load("token-0").await.unwrap().heap_bytes()
    };
    let map = map(
        &source,
        SnapshotSettings {
            capacity_bytes: 3 * one,
            ..SETTINGS
        },
    );
    for token in &tokens {
        map.get_or_load(token).await.unwrap();
        assert!(map.held_bytes() <= 3 * one && map.get(token).is_some());
    }
    assert!((2..=3).contains(&map.len()));
}

#[tokio::test]
async fn a_load_that_panics_gives_its_place_back() {
    let source = Source::new(100);
    source.set("a", Ok(PANICS));
    let map = map(&source, SETTINGS);
    for _ in 0..10 {
        assert!(matches!(
            map.get_or_load("a").await.err(),
            Some(LookupError::Load(_))
        ));
    }
    source.set("a", Ok(1));
    assert!(map.get_or_load("a").await.is_ok());
}

#[tokio::test]
async fn a_team_that_is_gone_is_forgotten() {
    let source = Source::new(100);
    source.set("a", Ok(1));
    let map = map(&source, SETTINGS);
    map.get_or_load("a").await.unwrap();
    source.teams.lock().unwrap().clear();
    assert_eq!(map.reload("a").await.err(), Some(LookupError::UnknownToken));
    assert!(map.get("a").is_none() && map.held_bytes() == 0);
}

const ALWAYS_STALE: SnapshotSettings = SnapshotSettings {
    soft_ttl: Duration::ZERO,
    ..SETTINGS
};

const ALWAYS_EXPIRED: SnapshotSettings = SnapshotSettings {
    soft_ttl: Duration::ZERO,
    hard_ttl: Duration::ZERO,
    ..SETTINGS
};

#[tokio::test]
async fn a_stale_snapshot_is_served_and_refreshed_once_in_the_background() {
    let source = Source::new(1);
    source.set("a", Ok(1));
    let map = map(&source, ALWAYS_STALE);
    map.get_or_load("a").await.unwrap();
    source.started.notified().await;
    source.set("a", Ok(2));
    for _ in 0..100 {
        assert_eq!(map.get("a").map(|snapshot| snapshot.team.id), Some(1));
    }
    source.started.notified().await;
    assert_eq!(source.loads(), 2);
    source.gate.add_permits(1);
    while map.get("a").map(|snapshot| snapshot.team.id) != Some(2) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn for_an_expired_snapshot_a_request_waits_until_its_limit_and_then_takes_it() {
    let source = Source::new(1);
    source.set("a", Ok(1));
    let map = map(
        &source,
        SnapshotSettings {
            load_wait: Duration::from_millis(20),
            ..ALWAYS_EXPIRED
        },
    );
    map.get_or_load("a").await.unwrap();
    source.set("a", Ok(2));
    assert!(map.get("a").is_none(), "not without waiting");
    assert_eq!(
        map.get_or_load("a").await.unwrap().team.id,
        1,
        "the load takes too long"
    );
    source.gate.add_permits(1);
    while map.get_or_load("a").await.unwrap().team.id != 2 {
        tokio::task::yield_now().await;
        source.gate.add_permits(1);
    }
}

#[tokio::test]
async fn when_a_refresh_fails_the_old_snapshot_is_served_without_waiting() {
    let source = Source::new(100);
    source.set("a", Ok(1));
    let map = map(&source, ALWAYS_EXPIRED);
    map.get_or_load("a").await.unwrap();
    source.set("a", Err(LoadError::Timeout));
    assert_eq!(map.get_or_load("a").await.unwrap().team.id, 1);
    let loads = source.loads();
    assert!(map.get("a").is_some(), "nobody waits for the next failure");
    assert_eq!(source.loads(), loads);
}

#[tokio::test]
async fn what_is_tracked_stays_fresh_without_a_load_until_tracking_is_lost() {
    let source = Source::new(100);
    source.set("a", Ok(1));
    let epoch = source.clock.begin(0, std::time::Instant::now());
    *source.validity.lock().unwrap() = Validity {
        epochs: source.clock.epochs(),
        ..Validity::default()
    };
    let settings = SnapshotSettings {
        soft_ttl: Duration::from_millis(200),
        ..SETTINGS
    };
    let map = map(&source, settings);
    map.get_or_load("a").await.unwrap();
    let until = std::time::Instant::now() + Duration::from_millis(600);
    while std::time::Instant::now() < until {
        source.clock.prove(0, epoch, std::time::Instant::now());
        assert!(map.get("a").is_some());
        tokio::task::yield_now().await;
    }
    assert_eq!(source.loads(), 1);
    source.clock.end(0);
    assert!(map.get("a").is_some());
    while source.loads() == 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn announced_changes_are_loaded_at_once_by_token_and_by_team() {
    let source = Source::new(1000);
    source.set("a", Ok(1));
    let map = map(&source, SETTINGS);
    tokio::spawn(Arc::clone(&map).follow_changes(Duration::from_secs(1)));
    map.get_or_load("a").await.unwrap();
    for (team, change) in [(2, Changed::Token("a".into())), (3, Changed::Team(2))] {
        source.set("a", Ok(team));
        source
            .announce
            .send(Changes::Projects(vec![change.clone(), change]))
            .unwrap();
        while map.get("a").map(|snapshot| snapshot.team.id) != Some(team) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(
        source.loads(),
        3,
        "each change is loaded once, however often it is named"
    );
    source
        .announce
        .send(Changes::Projects(vec![
            Changed::Team(99),
            Changed::Token("b".into()),
        ]))
        .unwrap();
    source.set("a", Ok(4));
    source.announce.send(Changes::Everything).unwrap();
    while map.get("a").map(|snapshot| snapshot.team.id) != Some(4) {
        tokio::task::yield_now().await;
    }
    assert_eq!(source.loads(), 4, "teams that nobody holds are not loaded");
}

#[tokio::test]
async fn inputs_that_nobody_announces_are_read_again_when_they_are_due() {
    let source = Source::new(100);
    source.set("a", Ok(1));
    source.validity.lock().unwrap().recheck_after = Some(Duration::ZERO);
    let map = map(&source, SETTINGS);
    map.get_or_load("a").await.unwrap();
    assert!(map.get("a").is_some());
    while source.loads() == 1 {
        tokio::task::yield_now().await;
    }
}
