//! `/flags/definitions` of a serving process on real stores: tiers, ETags, freshness, outages (`storage.md` 2.6, 2.8, 6.8, 12).

use std::time::Duration;

use bytes::Bytes;
use feature_flags::hypercache::value::{Compression, MISSING, encode};
use feature_flags::hypercache::{EntryKey, etag};
use feature_flags::store::connected::Connected;
use redis::cmd;
use serde_json::{Value, json};

use crate::credentials::{CHANGES, document};
use crate::process::{Page, Process, connected};
use crate::servers::Servers;
use crate::stores::{Layout, Stores, until};

const TARGET: &str = "/flags/definitions?token=phc_keys&send_cohorts";
const ENTRY: &str = "posthog:1:cache/teams/7/feature_flags/flags_with_cohorts.json";
const ETAG: &str = "posthog:1:cache/teams/7/feature_flags/flags_with_cohorts.json:etag";
const QUEUE: &str = "flag_definitions:rebuild_requests";
const CACHE_MISSING: &str =
    "Required data not found in cache. This is likely a temporary issue. Please try again later.";

/// The command of a server that tests may ask as often as they like.
fn serving(stores: &Stores) -> std::process::Command {
    let mut command = connected(stores, &["serve"]);
    for name in ["DEFAULT", "CONDITIONAL"] {
        command.env(format!("FLAG_DEFINITIONS_{name}_RATE_PER_MINUTE"), "1000000");
    }
    command
}

async fn ask(server: &Process, credential: &str, headers: &str) -> Page {
    let headers = format!("authorization: Bearer {credential}\r\n{headers}");
    server.get(TARGET, &headers).await
}

/// A payload that no builder makes, so that it shows where an answer came from.
fn payload(marker: usize) -> String {
    json!({ "flags": [{ "key": format!("of-{marker}"), "active": true, "filler": "x".repeat(2000) }],
        "group_type_mapping": {}, "cohorts": {}, "extra": marker })
    .to_string()
}

fn stored(text: &str) -> Vec<u8> {
    encode(text, Compression::Zstd)
}

/// Payload and ETag in one transaction, as Django writes them.
async fn write(stores: &Stores, server: &str, text: &str, etag: &str) {
    let mut redis = stores.redis(server).await;
    let mut both = redis::pipe();
    both.atomic()
        .cmd("SET")
        .arg(ENTRY)
        .arg(stored(text))
        .cmd("SET")
        .arg(ETAG)
        .arg(stored(etag));
    both.exec_async(&mut redis).await.expect("written");
    stores.replicate().await;
}

async fn put_object(connected: &Connected, text: &str) {
    let objects = connected.warmer().objects;
    objects
        .put(&EntryKey::Definitions(7), Bytes::copy_from_slice(text.as_bytes()))
        .await
        .expect("S3 takes it");
}

async fn waiting(stores: &Stores, server: &str) -> Option<f64> {
    let mut redis = stores.redis(server).await;
    cmd("ZSCORE")
        .arg(QUEUE)
        .arg(7)
        .query_async(&mut redis)
        .await
        .expect("ZSCORE")
}

#[tokio::test]
async fn what_django_stored_is_passed_on_with_its_own_etag() {
    let stores = Stores::start(Layout::Shared).await;
    let opened = stores.open().await;
    stores.import(&opened, &document()).await;
    stores.sql(&CHANGES.join(";")).await;
    let server = Process::serve(serving(&stores)).await;
    let built = ask(&server, "phs_keys", "").await;
    assert_eq!(built.status, 200, "{}", built.body);
    assert_eq!(
        built.header("etag"),
        Some(format!("W/\"{}\"", etag(&built.body)).as_str())
    );

    // An ETag is never computed: this one belongs to the text because it is stored beside it.
    write(&stores, "redis", &payload(1), "of-django").await;
    let page = until("the new entry", async || {
        let page = ask(&server, "phs_keys", "").await;
        (page.body == payload(1)).then_some(page)
    })
    .await;
    assert_eq!(page.header("etag"), Some("W/\"of-django\""));
    assert_eq!(page.header("cache-control"), Some("private, must-revalidate"));
    for form in ["W/\"of-django\"", "\"of-django\"", "of-django"] {
        let page = ask(&server, "phx_reads", &format!("if-none-match: {form}\r\n")).await;
        assert_eq!((page.status, page.body.as_str()), (304, ""), "{form}");
        assert_eq!(page.header("etag"), Some("W/\"of-django\""));
    }
    for (credential, status) in [
        ("phs_nobody", 401),
        ("phx_persons", 403),
        ("phx_stranger", 401),
        ("phx_inactive", 401),
        ("phx_team", 304),
    ] {
        let page = ask(&server, credential, "if-none-match: of-django\r\n").await;
        assert_eq!(page.status, status, "{credential}");
    }

    // Deleted ETag: the payload stays, without one.
    let mut redis = stores.redis("redis").await;
    cmd("DEL").arg(ETAG).exec_async(&mut redis).await.expect("DEL");
    let page = until("the lost ETag", async || {
        let page = ask(&server, "phs_keys", "if-none-match: of-django\r\n").await;
        (page.status == 200).then_some(page)
    })
    .await;
    assert_eq!(page.body, payload(1));
    assert_eq!((page.header("etag"), page.header("cache-control")), (None, None));

    // The sentinel.
    cmd("SET")
        .arg(ENTRY)
        .arg(stored(MISSING))
        .exec_async(&mut redis)
        .await
        .expect("SET");
    let page = until("the sentinel", async || {
        let page = ask(&server, "phs_keys", "").await;
        (page.body != payload(1)).then_some(page)
    })
    .await;
    let json: Value = serde_json::from_str(&page.body).expect("JSON");
    assert_eq!(page.status, 200);
    assert_eq!(
        json,
        json!({ "flags": [], "group_type_mapping": {}, "cohorts": {} })
    );
    assert_eq!(page.header("etag"), None);
}

#[tokio::test]
async fn a_payload_never_comes_with_another_one_s_etag() {
    let stores = Stores::start(Layout::Shared).await;
    let opened = stores.open().await;
    stores.import(&opened, &document()).await;
    write(&stores, "redis", &payload(0), "of-0").await;
    let server = Process::serve(serving(&stores)).await;
    let (stop, stopped) = tokio::sync::watch::channel(0);
    let writing = async {
        for marker in 1..=300 {
            write(&stores, "redis", &payload(marker), &format!("of-{marker}")).await;
        }
        stop.send_replace(300);
    };
    let reading = async {
        let (mut answers, mut seen, mut etag) = (0, std::collections::HashSet::new(), String::new());
        loop {
            let last = *stopped.borrow() == 300;
            let page = ask(&server, "phs_keys", &format!("if-none-match: {etag}\r\n")).await;
            let header = page.header("etag").expect("an ETag").to_owned();
            let marker: usize = header
                .trim_start_matches("W/\"of-")
                .trim_end_matches('"')
                .parse()
                .expect("ours");
            match page.status {
                200 => assert_eq!(page.body, payload(marker)),
                304 => assert_eq!(header, etag),
                status => panic!("{status}: {}", page.body),
            }
            answers += 1;
            seen.insert(marker);
            etag = header;
            if last && marker == 300 {
                return (answers, seen.len());
            }
        }
    };
    let reading = tokio::time::timeout(Duration::from_secs(60), reading);
    let ((), read) = tokio::join!(writing, reading);
    let (answers, seen) = read.expect("the last version is seen in time");
    println!("{answers} answers, {seen} of 300 versions seen");
    assert!(seen > 3, "{seen}");
}

#[tokio::test]
async fn nothing_cached_is_503_and_django_is_asked_once() {
    for layout in [Layout::Shared, Layout::Dedicated] {
        let queue = if layout == Layout::Shared {
            "redis"
        } else {
            "flags-redis"
        };
        let stores = Stores::start(layout).await;
        let opened = stores.open().await;
        stores.import_rows(&document()).await;
        let server = Process::serve(serving(&stores)).await;
        // D8; the database has the rows and is not asked for them.
        for _ in 0..3 {
            let page = ask(&server, "phs_keys", "").await;
            assert_eq!((page.status, page.body.as_str()), (503, CACHE_MISSING));
            assert_eq!(page.header("content-type"), Some("text/plain; charset=utf-8"));
        }
        let score = until("the request", async || waiting(&stores, queue).await).await;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        assert!(
            (0.0..60_000.0).contains(&(now.as_millis() as f64 - score)),
            "{score}"
        );
        // Another process does not make it younger.
        let second = Process::serve(serving(&stores)).await;
        assert_eq!(ask(&second, "phs_keys", "").await.status, 503);
        assert_eq!(ask(&second, "phs_nobody", "").await.status, 401);
        assert_eq!(waiting(&stores, queue).await, Some(score));
        assert_eq!(opened.warmer().team(7, Default::default()).await.failed, 0);
        stores.replicate().await;
        for server in [&server, &second] {
            let page = until("the built entry", async || {
                let page = ask(server, "phs_keys", "").await;
                (page.status == 200).then_some(page)
            })
            .await;
            assert!(page.header("etag").is_some());
        }
    }
}

#[tokio::test]
async fn an_instance_that_writes_nothing_asks_for_nothing() {
    let stores = Stores::start(Layout::Shared).await;
    stores.import_rows(&document()).await;
    for variables in [
        ("SKIP_WRITES", "true"),
        ("FLAG_DEFINITIONS_SELF_HEAL_ENABLED", "false"),
    ] {
        let mut command = serving(&stores);
        command.env(variables.0, variables.1);
        let server = Process::serve(command).await;
        assert_eq!(ask(&server, "phs_keys", "").await.status, 503);
        // The same with a task that is asked for later and answers later.
        assert_eq!(ask(&server, "phx_reads", "").await.status, 503);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(waiting(&stores, "redis").await, None, "{variables:?}");
    }
}

#[tokio::test]
async fn s3_answers_without_an_etag_until_redis_has_the_entry() {
    let stores = Stores::start(Layout::Shared).await;
    let opened = stores.open().await;
    stores.import_rows(&document()).await;
    put_object(&opened, &payload(5)).await;
    let mut command = serving(&stores);
    command.env("HYPERCACHE_READ_REPAIR_TTL_SECONDS", "0");
    let unrepaired = Process::serve(command).await;
    let page = ask(&unrepaired, "phs_keys", "if-none-match: *\r\n").await;
    assert_eq!((page.status, page.body.as_str()), (200, payload(5).as_str()));
    assert_eq!((page.header("etag"), page.header("cache-control")), (None, None));
    until("the request", async || waiting(&stores, "redis").await).await;

    let server = Process::serve(serving(&stores)).await;
    // Read repair puts it into Redis, and both processes hear of that.
    for server in [&server, &unrepaired] {
        let page = until("the ETag", async || {
            let page = ask(server, "phs_keys", "").await;
            page.header("etag").is_some().then_some(page)
        })
        .await;
        assert_eq!(page.body, payload(5));
        let expected = format!("W/\"{}\"", etag(&payload(5)));
        assert_eq!(page.header("etag"), Some(expected.as_str()));
    }
    // A value in Redis that no SDK could read: what is held stays, and who holds nothing gets the good one of S3.
    write(&stores, "redis", r#"{"flags": null}"#, "bad").await;
    let fresh = Process::serve(serving(&stores)).await;
    let page = ask(&fresh, "phs_keys", "").await;
    assert_eq!((page.status, page.body.as_str()), (200, payload(5).as_str()));
    assert_eq!(page.header("etag"), None);
    for _ in 0..20 {
        let page = ask(&server, "phs_keys", "if-none-match: \"bad\"\r\n").await;
        assert_eq!((page.status, page.body), (200, payload(5)));
    }
}

#[tokio::test]
async fn a_dedicated_redis_serves_definitions_only_when_told_so() {
    let stores = Stores::start(Layout::Dedicated).await;
    let opened = stores.open().await;
    stores.import(&opened, &document()).await;
    write(&stores, "redis", &payload(1), "shared").await;
    write(&stores, "flags-redis", &payload(2), "dedicated").await;
    for (setting, expected) in [("false", "W/\"shared\""), ("true", "W/\"dedicated\"")] {
        let mut command = serving(&stores);
        command.env("FLAG_DEFINITIONS_DEDICATED_REDIS_ENABLED", setting);
        let server = Process::serve(command).await;
        let page = ask(&server, "phs_keys", "").await;
        assert_eq!((page.status, page.header("etag")), (200, Some(expected)));
    }
}

#[tokio::test]
async fn what_is_held_is_served_while_stores_are_away() {
    let database = Servers::start(&["postgres"]);
    let mut stores = Stores::start(Layout::Shared).await;
    stores.database = database.database();
    let opened = stores.open().await;
    stores.import(&opened, &document()).await;
    let mut command = serving(&stores);
    command.env("AUTH_TOKEN_CACHE_TTL_SECONDS", "60");
    let server = Process::serve(command).await;
    let page = ask(&server, "phs_keys", "").await;
    assert_eq!(page.status, 200);
    let known = format!("if-none-match: {}\r\n", page.header("etag").expect("an ETag"));

    stores.redis.command("kill redis");
    stores.redis.command("kill redis-replica");
    for _ in 0..20 {
        let again = ask(&server, "phs_keys", "").await;
        assert_eq!((again.status, &again.body), (200, &page.body));
        assert_eq!(ask(&server, "phs_keys", &known).await.status, 304);
    }
    // Keys are in PostgreSQL, which is there.
    assert_eq!(ask(&server, "phx_reads", &known).await.status, 304);
    assert_eq!(ask(&server, "phs_nobody", "").await.status, 401);

    database.command("kill postgres");
    for _ in 0..20 {
        assert_eq!(ask(&server, "phs_keys", "").await.status, 200);
        assert_eq!(ask(&server, "phx_reads", &known).await.status, 304);
    }
    for credential in ["phs_keys_before", "phx_team", "phs_nobody_else"] {
        let page = ask(&server, credential, "").await;
        assert_eq!(page.status, 503, "{credential}: {}", page.body);
    }
    // What nobody knows anything of is no reason to say 401 either.
    let other = "/flags/definitions?token=phc_other";
    let page = server.get(other, "authorization: Bearer phs_keys\r\n").await;
    assert_eq!(page.status, 503, "{}", page.body);
}

#[tokio::test]
async fn limits_of_billing_and_of_the_team_hold() {
    let stores = Stores::start(Layout::Shared).await;
    let opened = stores.open().await;
    stores.import(&opened, &document()).await;
    let mut redis = stores.redis("redis").await;
    cmd("ZADD")
        .arg("@posthog/quota-limits/feature_flag_requests")
        .arg(4_000_000_000_u64)
        .arg("phc_keys")
        .exec_async(&mut redis)
        .await
        .expect("ZADD");
    stores.replicate().await;
    let limited = Process::serve(serving(&stores)).await;
    let page = until("the quota", async || {
        let page = ask(&limited, "phs_keys", "").await;
        (page.status != 200).then_some(page)
    })
    .await;
    assert_eq!(page.status, 402);
    let body: Value = serde_json::from_str(&page.body).expect("JSON");
    assert_eq!(
        (&body["type"], &body["code"]),
        (&json!("quota_limited"), &json!("payment_required"))
    );
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(ask(&limited, "phs_nobody", "").await.status, 401);

    let mut command = connected(&stores, &["serve"]);
    command
        .env("BILLING_LIMITER_CACHE_TTL_SECS", "86400")
        .env("LOCAL_EVAL_RATE_LIMITS", r#"{"7": "2/day"}"#);
    let server = Process::serve(command).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(ask(&server, "phs_keys", "").await.status);
    }
    // The rate limit comes before the quota.
    assert!(
        statuses[..2].iter().all(|status| [200, 402].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(statuses[2..], [429, 429]);
}
