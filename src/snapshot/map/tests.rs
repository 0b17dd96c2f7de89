use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

use super::{LookupError, SnapshotMap, SnapshotSettings};
use crate::definition::{RawFlag, RawProject, RawTeam};
use crate::snapshot::{BoxFuture, LoadError, ProjectSource};

/// Teams in memory; a load waits at the gate, so that a test decides what happens meanwhile.
struct Source {
    teams: Mutex<HashMap<String, Result<i32, LoadError>>>,
    loads: AtomicUsize,
    started: Notify,
    gate: Semaphore,
}

impl Source {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self {
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
    fn load<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<RawProject>, LoadError>> {
        // What the store says is read when the load begins, as a query would.
        let team = self.teams.lock().unwrap().get(token).cloned();
        Box::pin(async move {
            self.loads.fetch_add(1, Ordering::Relaxed);
            self.started.notify_one();
            self.gate.acquire().await.unwrap().forget();
            let Some(id) = team.transpose()? else {
                return Ok(None);
            };
            assert_ne!(id, PANICS, "asked to");
            let flag = r#"{"id": 1, "key": "flag", "active": true, "filters": {"groups": [{}]}}"#;
            Ok(Some(RawProject {
                team: RawTeam {
                    id,
                    api_token: token.to_owned(),
                    ..RawTeam::default()
                },
                flags: vec![sonic_rs::from_str::<RawFlag>(flag).unwrap()],
                ..RawProject::default()
            }))
        })
    }

    fn changed<'a>(&'a self) -> BoxFuture<'a, Result<Vec<String>, LoadError>> {
        Box::pin(std::future::pending())
    }
}

/// The team whose load panics.
const PANICS: i32 = -1;

const SETTINGS: SnapshotSettings = SnapshotSettings {
    capacity_bytes: 1 << 20,
    lookups_max: 2,
    negative_capacity: 100,
    negative_time_to_live: Duration::from_secs(30),
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
    map.publish("a", 0, &older);
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
    assert_eq!(map.len(), 3);
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
