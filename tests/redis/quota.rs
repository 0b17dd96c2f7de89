//! Reading quota limits (`storage.md` 6.5).

use feature_flags::hypercache::TierError;
use feature_flags::quota::{LimitSource, Limited, Resource};
use feature_flags::store::redis::{Client, RedisLimits, set_quota_limits};
use redis::cmd;

use crate::servers::Servers;
use crate::setup::{client, until};

const NOW: u64 = 1_767_225_600;

async fn add(client: &Client, members: &[(String, u64)]) {
    for page in members.chunks(1000) {
        let mut add = cmd("ZADD");
        add.arg("@posthog/quota-limits/feature_flag_requests");
        for (member, score) in page {
            add.arg(score).arg(member);
        }
        client.write::<()>(&add).await.expect("ZADD");
    }
}

async fn read(limits: &RedisLimits, tokens_max: usize) -> Limited {
    limits
        .limited(Resource::FeatureFlags, NOW, tokens_max)
        .await
        .expect("read")
}

#[tokio::test]
async fn limits_hold_up_to_their_score_and_come_from_the_replica() {
    let servers = Servers::start(&["redis", "redis-replica"]);
    let client = client(&servers, "redis", Some("redis-replica")).await;
    let limits = RedisLimits::new(client.clone());
    assert!(read(&limits, 10).await.tokens.is_empty());
    let members = [
        ("phc_past".to_owned(), NOW - 1),
        ("phc_now".to_owned(), NOW),
        ("phc_later".to_owned(), NOW + 1),
        ("phc_\u{fc}".to_owned(), NOW + 1),
        // No token is this long.
        ("x".repeat(10_000), NOW + 1),
    ];
    add(&client, &members).await;
    let mut not_text = cmd("ZADD");
    not_text.arg("@posthog/quota-limits/feature_flag_requests");
    client
        .write::<()>(not_text.arg(NOW + 2).arg(&b"\xff\xfe"[..]))
        .await
        .expect("ZADD");
    let found = until("replication", async || {
        let found = read(&limits, 10).await;
        (found.tokens.len() == 3).then_some(found)
    })
    .await;
    assert!(!found.truncated);
    for token in ["phc_now", "phc_later", "phc_\u{fc}"] {
        assert!(found.tokens.contains(token), "{token}");
    }
    let recordings = limits.limited(Resource::Recordings, NOW, 10).await.expect("read");
    assert!(recordings.tokens.is_empty());
    // What an import writes is found under both names.
    let both = ["feature_flags".to_owned(), "recordings".to_owned()];
    set_quota_limits(&client, "phc_import", &both, NOW)
        .await
        .expect("written");
    for resource in [Resource::FeatureFlags, Resource::Recordings] {
        until("replication", async || {
            let found = limits.limited(resource, NOW, 10).await.expect("read");
            found.tokens.contains("phc_import").then_some(())
        })
        .await;
    }
    servers.command("kill redis-replica");
    until("the primary", async || {
        let found = limits.limited(Resource::FeatureFlags, NOW, 10).await.ok()?;
        found.tokens.contains("phc_now").then_some(())
    })
    .await;
}

#[tokio::test]
async fn many_members_are_read_whole_and_too_many_are_cut() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let limits = RedisLimits::new(client.clone());
    let members: Vec<_> = (0..35_000)
        .map(|at| (format!("phc_{at:06}"), NOW + at % 3))
        .collect();
    add(&client, &members).await;
    let found = read(&limits, 100_000).await;
    assert!(!found.truncated && found.tokens.len() == members.len());
    assert!(
        members
            .iter()
            .all(|(token, _)| found.tokens.contains(token.as_str()))
    );
    let exact = read(&limits, members.len()).await;
    assert!(!exact.truncated && exact.tokens.len() == members.len());
    let cut = read(&limits, 12_345).await;
    assert!(cut.truncated && cut.tokens.len() == 12_345);
}

#[tokio::test]
async fn a_key_of_another_type_and_a_server_that_is_away_are_errors() {
    let servers = Servers::start(&["redis"]);
    let client = client(&servers, "redis", None).await;
    let limits = RedisLimits::new(client.clone());
    let mut set = cmd("SET");
    client
        .write::<()>(set.arg("@posthog/quota-limits/feature_flag_requests").arg("x"))
        .await
        .expect("SET");
    let wrong = limits.limited(Resource::FeatureFlags, NOW, 10).await;
    assert!(matches!(wrong, Err(TierError::Failed(_))), "{wrong:?}");
    servers.command("pause redis");
    let hung = limits.limited(Resource::FeatureFlags, NOW, 10).await;
    assert!(matches!(hung, Err(TierError::Timeout)), "{hung:?}");
}
