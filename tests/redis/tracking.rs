//! Changes are delivered quickly, and what cannot be proven is not claimed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::hypercache::EntryKey;
use feature_flags::snapshot::PushClock;
use feature_flags::store::redis::{ChangeQueue, Changes, Client, ServerUrl, Tracker, TrackingSettings};
use redis::cmd;

use crate::servers::Servers;
use crate::setup::{client, until};

const HEARTBEAT: Duration = Duration::from_millis(50);

/// Far above what delivery takes, far below anything that polls.
const DELIVERY: Duration = Duration::from_millis(100);

fn follow(url: &str) -> (Arc<PushClock>, Arc<ChangeQueue>, Tracker) {
    let clock = Arc::new(PushClock::new(1));
    let queue = Arc::new(ChangeQueue::new(Arc::clone(&clock)));
    let settings = TrackingSettings {
        heartbeat: HEARTBEAT,
        connection_timeout: Some(Duration::from_secs(5)),
        response_timeout: Some(Duration::from_millis(100)),
    };
    let url = ServerUrl::parse(url).expect("url");
    let tracker = Tracker::start(0, url, settings, Arc::clone(&queue));
    (clock, queue, tracker)
}

async fn set(client: &Client, key: &EntryKey) {
    client
        .write::<()>(cmd("SET").arg(key.redis()).arg("value"))
        .await
        .expect("SET");
}

async fn epochs(clock: &PushClock) -> feature_flags::snapshot::Epochs {
    until("an epoch", async || clock.epochs()).await
}

#[tokio::test]
async fn a_change_on_the_primary_comes_through_the_replica() {
    let servers = Servers::start(&["redis", "redis-replica"]);
    let primary = client(&servers, "redis", None).await;
    let (clock, queue, _tracker) = follow(&servers.url("redis-replica"));
    let before = epochs(&clock).await;
    assert_eq!(queue.next().await, Changes::Everything, "an epoch begins");
    // A primary holds writes back from a new replica until its first acknowledgement, up to a second after the link is
    // up. A key that nobody follows, read by an ordinary command, shows when that is over.
    let replica = client(&servers, "redis-replica", None).await;
    primary
        .write::<()>(cmd("SET").arg("flowing").arg("yes"))
        .await
        .expect("SET");
    until("replication", async || {
        let stored: Option<String> = replica.read(cmd("GET").arg("flowing")).await.ok()?;
        stored.map(drop)
    })
    .await;
    for id in 0..20 {
        let start = Instant::now();
        set(&primary, &EntryKey::Flags(id)).await;
        assert_eq!(queue.next().await, Changes::Entries(vec![EntryKey::Flags(id)]));
        assert!(start.elapsed() < DELIVERY, "change {id}: {:?}", start.elapsed());
    }
    // With the consumer waiting, heartbeats prove.
    let now = Instant::now();
    tokio::select! {
        changes = queue.next() => panic!("{changes:?}"),
        () = until("a proof", async || (clock.fresh_until(before)? > now).then_some(())) => {}
    }

    // A replica without its primary proves nothing, though it answers.
    servers.command("kill redis");
    until("the end", async || clock.epochs().is_none().then_some(())).await;
    assert_eq!(clock.fresh_until(before), None);
    servers.command("start redis");
    epochs(&clock).await;
    assert_eq!(clock.fresh_until(before), None, "another epoch");
}

#[tokio::test]
async fn a_flush_is_everything_and_begins_a_new_epoch() {
    let servers = Servers::start(&["redis"]);
    let primary = client(&servers, "redis", None).await;
    let (clock, queue, _tracker) = follow(&servers.url("redis"));
    let before = epochs(&clock).await;
    assert_eq!(queue.next().await, Changes::Everything);
    primary.write::<()>(&cmd("FLUSHALL")).await.expect("FLUSHALL");
    assert_eq!(queue.next().await, Changes::Everything);
    until("the end", async || {
        clock.fresh_until(before).is_none().then_some(())
    })
    .await;
    epochs(&clock).await;
}

#[tokio::test]
async fn a_lost_or_silent_connection_ends_the_epoch() {
    let servers = Servers::start(&["redis"]);
    let primary = client(&servers, "redis", None).await;
    let (clock, queue, _tracker) = follow(&servers.url("redis"));
    let first = epochs(&clock).await;
    assert_eq!(queue.next().await, Changes::Everything);
    primary
        .write::<u64>(
            cmd("CLIENT")
                .arg("KILL")
                .arg("TYPE")
                .arg("normal")
                .arg("SKIPME")
                .arg("yes"),
        )
        .await
        .expect("CLIENT KILL");
    until("the end", async || {
        clock.fresh_until(first).is_none().then_some(())
    })
    .await;
    let second = epochs(&clock).await;
    assert_eq!(queue.next().await, Changes::Everything);

    servers.command("pause redis");
    let paused = Instant::now();
    // Nothing after the pause is ever proven, and after the reply limit nothing at all.
    until("the end", async || match clock.fresh_until(second) {
        Some(proven) => {
            assert!(proven <= paused);
            None
        }
        None => Some(()),
    })
    .await;
    assert!(
        paused.elapsed() < Duration::from_secs(3),
        "{:?}",
        paused.elapsed()
    );
    servers.command("resume redis");
    let third = epochs(&clock).await;
    assert_ne!(second, third);
    assert_eq!(queue.next().await, Changes::Everything);
    set(&primary, &EntryKey::Team("phc_x".into())).await;
    assert_eq!(
        queue.next().await,
        Changes::Entries(vec![EntryKey::Team("phc_x".into())])
    );
}
