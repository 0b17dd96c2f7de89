//! Feeds over a source in memory.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::hypercache::TierError;
use crate::snapshot::port::Validity;

/// Every team whose token is a number, each with a payload of this size or, without one, with none.
struct Fixed {
    payload_bytes: Mutex<Result<Option<usize>, LoadError>>,
    loads: AtomicUsize,
}

impl DefinitionsSource for Fixed {
    fn team<'a>(
        &'a self,
        token: &'a str,
        _known: Option<&'a FeedTeam>,
    ) -> BoxFuture<'a, Result<Found<FeedTeam>, LoadError>> {
        let found = token.parse().map_or(Found::Nothing, |id| {
            let identity = TeamIdentity {
                id,
                api_token: token.to_owned(),
                organization_id: None,
            };
            Found::Value(Arc::new(FeedTeam::new(identity, 0)), Validity::default())
        });
        Box::pin(std::future::ready(Ok(found)))
    }

    fn feed<'a>(
        &'a self,
        team_id: i32,
        _known: Option<&'a Feed>,
    ) -> BoxFuture<'a, Result<Found<Feed>, LoadError>> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let bytes = self.payload_bytes.lock().unwrap().clone();
        Box::pin(async move {
            let payload = bytes?.map(|bytes| Payload {
                body: vec![b' '; bytes].into(),
                etag: ETag::new(&team_id.to_string()),
                billable: true,
                source: Source::Redis,
                tag: 0,
            });
            Ok(Found::Value(
                Arc::new(Feed::new(team_id, payload, 0)),
                Validity::default(),
            ))
        })
    }

    fn push_clock(&self) -> Arc<PushClock> {
        Arc::new(PushClock::new(0))
    }
}

fn source(payload_bytes: Result<Option<usize>, LoadError>) -> Arc<Fixed> {
    Arc::new(Fixed {
        payload_bytes: Mutex::new(payload_bytes),
        loads: AtomicUsize::new(0),
    })
}

fn settings(capacity_bytes: usize, soft_ttl: Duration) -> SnapshotSettings {
    SnapshotSettings {
        capacity_bytes,
        soft_ttl,
        hard_ttl: soft_ttl,
        ..SnapshotSettings::default()
    }
}

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn payloads_are_bounded_by_their_bytes() {
    let source = source(Ok(Some(1000)));
    let feeds = Feeds::new(Arc::clone(&source) as _, None, settings(20_000, LONG));
    for team in 0..100 {
        let feed = feeds.payloads.get_or_load(&team.to_string()).await.unwrap();
        assert_eq!(feed.team_id, team);
        assert!(feeds.payloads.held_bytes() <= 20_000 + 1000 + OVERHEAD_BYTES);
    }
    assert!(
        (10..=16).contains(&feeds.payloads.len()),
        "{}",
        feeds.payloads.len()
    );
    assert_eq!(feeds.teams.len(), 100, "identities have a bound of their own");
    // The youngest is held, and shared with who asks next.
    let loads = source.loads.load(Ordering::Relaxed);
    let (one, other) = (
        feeds.payloads.get("99").unwrap(),
        feeds.payloads.get("99").unwrap(),
    );
    let bodies = [&one, &other].map(|feed| feed.payload.as_ref().unwrap().body.as_ptr());
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(source.loads.load(Ordering::Relaxed), loads);
}

#[tokio::test]
async fn what_is_held_outlives_a_failure_of_the_tiers_and_an_unknown_team_is_none() {
    let source = source(Ok(Some(10)));
    // Always too old.
    let feeds = Feeds::new(Arc::clone(&source) as _, None, settings(1 << 20, Duration::ZERO));
    assert!(feeds.payloads.get_or_load("7").await.is_ok());
    *source.payload_bytes.lock().unwrap() = Err(LoadError::Timeout);
    let held = feeds.payloads.get_or_load("7").await.unwrap();
    assert!(held.payload.is_some());
    let other = feeds.payloads.get_or_load("8").await;
    assert_eq!(
        other.unwrap_err(),
        crate::snapshot::LookupError::Load(LoadError::Timeout)
    );
    let unknown = feeds.payloads.get_or_load("nobody").await;
    assert_eq!(unknown.unwrap_err(), crate::snapshot::LookupError::UnknownToken);
}

/// Says which teams were asked for; the first answer is a failure.
struct Queue(mpsc::UnboundedSender<i32>, AtomicUsize);

impl RebuildQueue for Queue {
    fn request(&self, team_id: i32) -> BoxFuture<'_, Result<(), TierError>> {
        self.0.send(team_id).unwrap();
        let failed = self.1.fetch_add(1, Ordering::Relaxed) == 0;
        let result = if failed { Err(TierError::Timeout) } else { Ok(()) };
        Box::pin(std::future::ready(result))
    }
}

#[tokio::test]
async fn a_missing_entry_is_asked_for_once_and_again_after_a_failure() {
    let (sender, mut asked) = mpsc::unbounded_channel();
    let queue = Arc::new(Queue(sender, AtomicUsize::new(0)));
    let feeds = Feeds::new(source(Ok(None)), Some(queue), settings(1 << 20, LONG));
    assert!(feeds.payloads.get_or_load("7").await.unwrap().payload.is_none());
    assert_eq!(asked.recv().await, Some(7));
    // The failure is noted by the task that met it; from then on a load asks again.
    while asked.try_recv().is_err() {
        feeds.payloads.reload("7").await.unwrap();
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        feeds.payloads.reload("7").await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(asked.try_recv().is_err(), "once is enough");
    assert!(feeds.payloads.get_or_load("8").await.unwrap().payload.is_none());
    assert_eq!(asked.recv().await, Some(8));
}

#[test]
fn one_value_in_three_forms_matches() {
    let etag = ETag::new("67418ed5287f14d3").unwrap();
    assert_eq!(&etag.header()[..], b"W/\"67418ed5287f14d3\"");
    for (given, matches) in [
        ("W/\"67418ed5287f14d3\"", true),
        ("\"67418ed5287f14d3\"", true),
        ("67418ed5287f14d3", true),
        (" \"67418ed5287f14d3\" ", true),
        ("W/67418ed5287f14d3", true),
        ("w/\"67418ed5287f14d3\"", false),
        ("\"67418ed5287f14d3\", \"b\"", false),
        ("\"b\", \"67418ed5287f14d3\"", false),
        ("*", false),
        ("\"\"", false),
        ("\"", false),
        ("", false),
        ("\"67418ED5287F14D3\"", false),
    ] {
        assert_eq!(etag.matches(given.as_bytes()), matches, "{given}");
    }
    for unsound in ["", "a\"b", "a b", "a\r\nb", "é"] {
        assert_eq!(ETag::new(unsound), None, "{unsound}");
    }
}
