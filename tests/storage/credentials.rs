//! Whose a credential is: one list over both stores, and what only real servers can show (`storage.md` 7).

use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_flags::auth::{AuthError, AuthSettings, AuthStores, Authenticator, Credential, Principal, Team};
use feature_flags::store::connected::Connected;
use feature_flags::store::embedded::EmbeddedStore;
use redis::cmd;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::servers::Servers;
use crate::stores::{Layout, Stores, until};

const ORGANIZATION: &str = "0191aaaa-0000-7000-8000-000000000001";
const OTHER: &str = "0191bbbb-0000-7000-8000-000000000002";
const TEAM: Team<'static> = Team {
    id: 7,
    organization_id: Some(ORGANIZATION),
};

const SETTINGS: AuthSettings = AuthSettings {
    ttl: Duration::from_secs(60),
    lookups_max: 32,
    legacy_hashes: false,
};

pub fn document() -> Value {
    let read = json!(["feature_flag:read"]);
    json!({
        "team": { "id": 7, "api_token": "phc_keys", "organization_id": ORGANIZATION,
            "secret_api_token": "phs_keys", "secret_api_token_backup": "phs_keys_before" },
        "personal_api_keys": [
            { "value": "phx_reads", "user_id": 1, "scopes": read },
            { "value": "phx_unrestricted", "user_id": 1 },
            { "value": "phx_nothing", "user_id": 1, "scopes": [] },
            { "value": "phx_persons", "user_id": 1, "scopes": ["person:read"] },
            { "value": "phx_team", "user_id": 1, "scopes": read, "scoped_teams": [9, 7] },
            { "value": "phx_other_team", "user_id": 1, "scopes": read, "scoped_teams": [9] },
            { "value": "phx_organization", "user_id": 1, "scopes": read, "scoped_organizations": [ORGANIZATION] },
            { "value": "phx_other_organization", "user_id": 1, "scopes": read, "scoped_organizations": [OTHER] },
            { "value": "phx_inactive", "user_id": 2, "scopes": read },
            { "value": "phx_stranger", "user_id": 3, "scopes": read },
        ],
        "flags": [{ "id": 71, "key": "a", "active": true, "filters": { "groups": [] } }]
    })
}

/// What a document has no words for, in both dialects.
pub const CHANGES: [&str; 2] = [
    "UPDATE posthog_user SET is_active = false WHERE id = 2",
    "DELETE FROM posthog_organizationmembership WHERE user_id = 3",
];

fn stored(value: &str) -> String {
    let digest = Sha256::digest(value);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256${hex}")
}

async fn judge(authenticator: &Arc<Authenticator>, value: &str) -> Result<(), AuthError> {
    let header = format!("Bearer {value}");
    let credential = Credential::read(&header).expect("a credential");
    authenticator
        .identify(&credential, None)
        .await?
        .principal
        .opens(TEAM)
}

async fn every_credential_is_judged(stores: AuthStores) {
    let authenticator = Arc::new(Authenticator::new(stores, SETTINGS));
    for (value, expected) in [
        ("phs_keys", Ok(())),
        ("phs_keys_before", Ok(())),
        ("phs_keys_", Err(AuthError::SecretInvalid)),
        ("phs_nobody", Err(AuthError::SecretInvalid)),
        ("phx_reads", Ok(())),
        ("phx_unrestricted", Ok(())),
        ("phx_team", Ok(())),
        ("phx_organization", Ok(())),
        ("phx_nothing", Err(AuthError::LacksScope)),
        ("phx_persons", Err(AuthError::LacksScope)),
        ("phx_other_team", Err(AuthError::PersonalKeyInvalid)),
        ("phx_other_organization", Err(AuthError::PersonalKeyInvalid)),
        ("phx_inactive", Err(AuthError::PersonalKeyInvalid)),
        ("phx_stranger", Err(AuthError::PersonalKeyInvalid)),
        ("phx_nobody", Err(AuthError::PersonalKeyInvalid)),
        ("phc_keys", Err(AuthError::PersonalKeyInvalid)),
        ("'; --", Err(AuthError::PersonalKeyInvalid)),
    ] {
        for _ in 0..2 {
            assert_eq!(judge(&authenticator, value).await, expected, "{value}");
        }
    }
}

#[tokio::test]
async fn every_credential_is_judged_embedded() {
    let store = Arc::new(EmbeddedStore::temporary().expect("store"));
    store
        .import(document().to_string().as_bytes())
        .expect("the document is sound");
    let file = rusqlite::Connection::open(store.path()).expect("the file opens");
    file.execute_batch(&CHANGES.join(";")).expect("sound statements");
    every_credential_is_judged(store.auth(false)).await;
}

/// Rows of the document in PostgreSQL.
async fn open(stores: &Stores) -> Connected {
    stores.import_rows(&document()).await;
    stores.sql(&CHANGES.join(";")).await;
    stores.open().await
}

#[tokio::test]
async fn every_credential_is_judged_connected() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    every_credential_is_judged(connected.auth()).await;
}

#[tokio::test]
async fn project_secret_keys_are_looked_at_after_team_secrets() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    for (id, value, scopes) in [
        ("read", "phs_project_reads", "'{feature_flag:read}'"),
        ("null", "phs_project_unrestricted", "NULL"),
        ("none", "phs_project_persons", "'{person:read}'"),
        // The same value as a team's secret: the team comes first.
        ("same", "phs_keys", "'{}'"),
    ] {
        let hash = stored(value);
        stores
            .sql(&format!(
                "INSERT INTO posthog_projectsecretapikey (id, team_id, label, secure_value, scopes)
                 VALUES ('{id}', 7, '{id}', '{hash}', {scopes})"
            ))
            .await;
    }
    let authenticator = Arc::new(Authenticator::new(connected.auth(), SETTINGS));
    for (value, expected) in [
        ("phs_project_reads", Ok(())),
        ("phs_project_unrestricted", Ok(())),
        ("phs_project_persons", Err(AuthError::SecretInvalid)),
        ("phs_keys", Ok(())),
    ] {
        assert_eq!(judge(&authenticator, value).await, expected, "{value}");
    }
    let header = "Bearer phs_project_reads";
    let known = authenticator
        .identify(&Credential::read(header).expect("a credential"), None)
        .await
        .expect("somebody's");
    let other = Team { id: 8, ..TEAM };
    assert_eq!(known.principal.opens(other), Err(AuthError::SecretInvalid));
    assert_eq!(known.principal.project_token(), Some("phc_keys"));
}

#[tokio::test]
async fn a_database_without_the_newer_table_still_has_secrets_and_keys() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    stores.sql("DROP TABLE posthog_projectsecretapikey").await;
    every_credential_is_judged(connected.auth()).await;
}

#[tokio::test]
async fn pbkdf2_hashes_are_accepted_only_when_told_so() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    // hashlib.pbkdf2_hmac('sha256', b'phx_legacy_<n>', b'posthog_personal_api_key', n)
    for (iterations, hash) in [
        (260_000, "KH25TSWcFzNJCRkZZ4eaiMxIaSEg8oBM2BMnV0SPZl4="),
        (390_000, "5i3N8fsUYqVxp+L0ATGCOAEEEIDCuZjLKEwmPNqxmfc="),
    ] {
        let value = format!("pbkdf2_sha256${iterations}$posthog_personal_api_key${hash}");
        stores
            .sql(&format!(
                "INSERT INTO posthog_personalapikey (id, user_id, label, secure_value, scopes)
                 VALUES ('old-{iterations}', 1, 'old', '{value}', '{{feature_flag:read}}')"
            ))
            .await;
    }
    let off = Arc::new(Authenticator::new(connected.auth(), SETTINGS));
    // A cache of its own: the first one remembers that nobody has them.
    let again = stores.open().await;
    let on = Arc::new(Authenticator::new(
        again.auth(),
        AuthSettings {
            legacy_hashes: true,
            ..SETTINGS
        },
    ));
    for value in ["phx_legacy_260000", "phx_legacy_390000"] {
        assert_eq!(
            judge(&off, value).await,
            Err(AuthError::PersonalKeyInvalid),
            "{value}"
        );
        assert_eq!(judge(&on, value).await, Ok(()), "{value}");
    }
    assert_eq!(
        judge(&on, "phx_legacy_1").await,
        Err(AuthError::PersonalKeyInvalid)
    );
}

#[tokio::test]
async fn a_known_credential_costs_no_query_and_a_flood_of_a_new_one_costs_one() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    let authenticator = Arc::new(Authenticator::new(connected.auth(), SETTINGS));
    let asked = || connected.pools().non_persons_reader.stats().round_trips;
    assert_eq!(judge(&authenticator, "phs_keys").await, Ok(()));
    for value in ["phx_reads", "phs_nobody"] {
        let before = asked();
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let authenticator = Arc::clone(&authenticator);
            flood.spawn(async move { judge(&authenticator, value).await.is_ok() });
        }
        let opened = flood.join_all().await;
        assert!(
            opened.iter().all(|opened| *opened == (value == "phx_reads")),
            "{value}"
        );
        assert_eq!(asked() - before, 1, "{value}");
    }
    let before = asked();
    for _ in 0..100 {
        assert_eq!(judge(&authenticator, "phs_keys").await, Ok(()));
        assert_eq!(judge(&authenticator, "phx_reads").await, Ok(()));
        assert_eq!(
            judge(&authenticator, "phs_nobody").await,
            Err(AuthError::SecretInvalid)
        );
    }
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn a_revoked_key_ends_within_the_time_to_live() {
    const TTL: Duration = Duration::from_secs(2);
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    let settings = AuthSettings { ttl: TTL, ..SETTINGS };
    let authenticator = Arc::new(Authenticator::new(connected.auth(), settings));
    for value in ["phx_reads", "phs_keys"] {
        assert_eq!(judge(&authenticator, value).await, Ok(()));
    }
    stores
        .sql("DELETE FROM posthog_personalapikey; UPDATE posthog_team SET secret_api_token = 'phs_next'")
        .await;
    let revoked = Instant::now();
    for (value, error) in [
        ("phx_reads", AuthError::PersonalKeyInvalid),
        ("phs_keys", AuthError::SecretInvalid),
    ] {
        let ended = until("the end of the key", async || {
            let begun = revoked.elapsed();
            let judged = judge(&authenticator, value).await;
            (judged == Err(error.clone())).then_some(begun)
        })
        .await;
        // What still was accepted was asked before it; the last such question began within the time.
        assert!(ended <= TTL * 3, "{value}: {ended:?}");
    }
    assert_eq!(judge(&authenticator, "phs_next").await, Ok(()));
}

#[tokio::test]
async fn while_the_database_is_away_known_credentials_work_and_others_are_not_refused() {
    const TTL: Duration = Duration::from_secs(4);
    let database = Servers::start(&["postgres"]);
    let mut stores = Stores::start(Layout::Shared).await;
    stores.database = database.database();
    let connected = open(&stores).await;
    let settings = AuthSettings {
        ttl: TTL,
        lookups_max: 1,
        ..SETTINGS
    };
    let authenticator = Arc::new(Authenticator::new(connected.auth(), settings));
    let since = Instant::now();
    assert_eq!(judge(&authenticator, "phs_keys").await, Ok(()));
    database.command("pause postgres");
    // The one look-up that there may be waits for an answer; another is turned away, and says so.
    let mut waiting = tokio::task::JoinSet::new();
    for value in ["phs_keys_before", "phx_reads"] {
        let authenticator = Arc::clone(&authenticator);
        waiting.spawn(async move { judge(&authenticator, value).await });
    }
    let first = waiting.join_next().await.expect("two").expect("no panic");
    assert_eq!(first, Err(AuthError::Busy));
    let mut served = 0;
    while since.elapsed() < TTL - Duration::from_millis(200) {
        let begun = since.elapsed();
        match judge(&authenticator, "phs_keys").await {
            Ok(()) => served += 1,
            // Overslept.
            Err(error) => assert!(begun + Duration::from_millis(100) > TTL, "{error} at {begun:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(served > 10, "{served}");
    database.command("kill postgres");
    let second = waiting.join_next().await.expect("two").expect("no panic");
    assert!(matches!(second, Err(AuthError::Store(_))), "{second:?}");
    until("the end of what is remembered", async || {
        match judge(&authenticator, "phs_keys").await {
            Ok(()) => None,
            Err(AuthError::Store(_) | AuthError::Busy) => Some(()),
            Err(error) => panic!("an outage is no {error}"),
        }
    })
    .await;
    database.command("start postgres");
    until("the database", async || {
        judge(&authenticator, "phs_keys").await.ok()
    })
    .await;
}

#[tokio::test]
async fn made_up_credentials_keep_only_their_own_team_s_new_ones_out() {
    const TTL: Duration = Duration::from_secs(1);
    const LOOKUPS: usize = 16;
    /// An eighth of them.
    const OF_A_TEAM: usize = 2;
    let database = Servers::start(&["postgres"]);
    let mut stores = Stores::start(Layout::Shared).await;
    stores.database = database.database();
    let connected = open(&stores).await;
    let settings = AuthSettings {
        ttl: TTL,
        lookups_max: LOOKUPS,
        ..SETTINGS
    };
    let authenticator = Arc::new(Authenticator::new(connected.auth(), settings));
    assert_eq!(judge(&authenticator, "phs_keys").await, Ok(()));
    let known = Instant::now();
    database.command("pause postgres");
    let mut made_up = tokio::task::JoinSet::new();
    let mut ask = |number: usize, team_id: i32| {
        let authenticator = Arc::clone(&authenticator);
        made_up.spawn(async move {
            let header = format!("Bearer phx_made_up_{team_id}_{number}");
            let credential = Credential::read(&header).expect("a credential");
            authenticator.identify(&credential, Some(team_id)).await.map(drop)
        });
    };
    (0..LOOKUPS).for_each(|number| ask(number, TEAM.id));
    ask(0, TEAM.id + 1);
    for _ in OF_A_TEAM..LOOKUPS {
        let turned_away = made_up.join_next().await.expect("many").expect("no panic");
        assert_eq!(turned_away, Err(AuthError::Busy));
    }
    // Its time over, a known credential is asked for with the turns of known ones: the store decides, not the flood.
    while known.elapsed() < TTL {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let over = judge(&authenticator, "phs_keys").await;
    assert!(matches!(over, Err(AuthError::Store(_))), "{over:?}");
    // The rest was let in, the other team's with it.
    while let Some(waited) = made_up.join_next().await {
        let waited = waited.expect("no panic");
        assert!(matches!(waited, Err(AuthError::Store(_))), "{waited:?}");
    }
    database.command("resume postgres");
    until("the database", async || {
        judge(&authenticator, "phs_keys").await.ok()
    })
    .await;
}

async fn set(stores: &Stores, value: &str, text: &str) {
    let mut redis = stores.redis("flags-redis").await;
    cmd("SET")
        .arg(format!("posthog:auth_token:{}", stored(value)))
        .arg(text)
        .exec_async(&mut redis)
        .await
        .expect("SET");
}

#[tokio::test]
async fn shared_results_are_read_and_forgotten_when_they_are_deleted() {
    for layout in [Layout::Dedicated, Layout::DualWrite] {
        let stores = Stores::start(layout).await;
        let connected = open(&stores).await;
        let authenticator = Arc::new(Authenticator::new(connected.auth(), SETTINGS));
        until("tracking", async || {
            let following = connected
                .trackers()
                .iter()
                .all(|tracker| tracker.watch().borrow().is_none());
            following.then_some(())
        })
        .await;
        // Known to nobody but the shared results, so that it shows where an answer came from.
        let secret = json!({ "type": "secret", "team_id": 7, "api_token": "phc_keys" });
        set(&stores, "phs_shared", &secret.to_string()).await;
        let personal = json!({ "type": "personal", "user_id": 1, "key_id": "k", "org_ids": [ORGANIZATION],
            "scoped_teams": null, "scoped_orgs": null, "scopes": ["feature_flag:read"] });
        set(&stores, "phx_shared", &personal.to_string()).await;
        let restricted = json!({ "type": "personal", "user_id": 1, "key_id": "k", "org_ids": [OTHER],
            "scoped_teams": [7], "scoped_orgs": null, "scopes": null });
        set(&stores, "phx_restricted", &restricted.to_string()).await;
        for _ in 0..2 {
            assert_eq!(judge(&authenticator, "phs_shared").await, Ok(()));
            assert_eq!(judge(&authenticator, "phx_shared").await, Ok(()));
            let judged = judge(&authenticator, "phx_restricted").await;
            assert_eq!(judged, Err(AuthError::PersonalKeyInvalid));
        }
        // Of another shape: the database decides.
        for text in ["", "{}", "\u{80}garbage", r#"{"type": "secret", "team_id": 7}"#] {
            set(&stores, "phs_keys", text).await;
            let fresh = Arc::new(Authenticator::new(
                AuthStores {
                    cache: Arc::default(),
                    ..connected.auth()
                },
                SETTINGS,
            ));
            assert_eq!(judge(&fresh, "phs_keys").await, Ok(()), "{text:?}");
        }

        let mut redis = stores.redis("flags-redis").await;
        let revoked = Instant::now();
        for value in ["phs_shared", "phx_shared"] {
            cmd("DEL")
                .arg(format!("posthog:auth_token:{}", stored(value)))
                .exec_async(&mut redis)
                .await
                .expect("DEL");
        }
        for value in ["phs_shared", "phx_shared"] {
            until("the revocation", async || {
                judge(&authenticator, value).await.err()
            })
            .await;
        }
        assert!(revoked.elapsed() < SETTINGS.ttl / 2, "by notice, not by age");
        // Nothing of ours was written there.
        let keys: Vec<String> = cmd("KEYS")
            .arg("posthog:auth_token:*")
            .query_async(&mut redis)
            .await
            .expect("KEYS");
        assert_eq!(keys.len(), 2, "{keys:?}");
    }
}

#[tokio::test]
async fn without_a_dedicated_redis_there_are_no_shared_results() {
    let stores = Stores::start(Layout::Shared).await;
    let connected = open(&stores).await;
    let mut redis = stores.redis("redis").await;
    let secret = json!({ "type": "secret", "team_id": 7, "api_token": "phc_keys" });
    cmd("SET")
        .arg(format!("posthog:auth_token:{}", stored("phs_shared")))
        .arg(secret.to_string())
        .exec_async(&mut redis)
        .await
        .expect("SET");
    stores.replicate().await;
    let authenticator = Arc::new(Authenticator::new(connected.auth(), SETTINGS));
    assert_eq!(
        judge(&authenticator, "phs_shared").await,
        Err(AuthError::SecretInvalid)
    );
}

#[tokio::test]
async fn the_use_of_a_key_is_noted_once_an_hour_among_all_processes() {
    let stores = Stores::start(Layout::Shared).await;
    let first = open(&stores).await;
    let second = stores.open().await;
    let writes =
        || [&first, &second].map(|connected| connected.pools().non_persons_writer.stats().round_trips);
    let mut noted = [0, 0];
    let mut key_id = String::new();
    for (at, connected) in [&first, &second].into_iter().enumerate() {
        let authenticator = Arc::new(Authenticator::new(connected.auth(), SETTINGS));
        let credential = Credential::read("Bearer phx_reads").expect("a credential");
        let known = authenticator
            .identify(&credential, None)
            .await
            .expect("somebody's");
        let Principal::Personal(key) = &known.principal else {
            panic!("a personal key");
        };
        key_id.clone_from(&key.key_id);
        for _ in 0..10 {
            authenticator.note_use(&known);
        }
        let mut redis = stores.redis("redis").await;
        until("the note", async || {
            let calls: String = cmd("INFO")
                .arg("commandstats")
                .query_async(&mut redis)
                .await
                .expect("INFO");
            let sets = calls
                .lines()
                .find_map(|line| line.strip_prefix("cmdstat_set:calls="))
                .and_then(|rest| rest.split(',').next()?.parse::<usize>().ok());
            // One command a process, however often the key was used.
            (sets == Some(at + 1)).then_some(())
        })
        .await;
        if at == 0 {
            until("the row", async || (writes()[0] == 1).then_some(())).await;
        }
        noted = writes();
    }
    assert_eq!(noted, [1, 0], "the second process heard that it was noted");
    let mut redis = stores.redis("redis").await;
    let name = format!("posthog:pak_last_used:{key_id}");
    let value: Vec<u8> = cmd("GET").arg(&name).query_async(&mut redis).await.expect("GET");
    assert_eq!(
        value,
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x011\x94."
    );
    let left: i64 = cmd("TTL").arg(&name).query_async(&mut redis).await.expect("TTL");
    assert!((3500..=3600).contains(&left), "{left}");
}
