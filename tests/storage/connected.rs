//! The suite over real PostgreSQL, Redis and S3, in every layout.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use feature_flags::context::PersonSource;
use feature_flags::snapshot::{BoxFuture, Changed, Changes, ProjectSource};
use feature_flags::store::connected::Connected;
use feature_flags::store::postgres::PostgresPersons;
use serde_json::{Value, json};

use crate::stores::{Layout, Stores, until};
use crate::suite::{self, Subject, TEAM, TOKEN};

/// Seeded by an import into PostgreSQL and a refresh of the caches, as the command does it.
struct ConnectedSubject {
    stores: Stores,
    connected: Connected,
    persons: Arc<PostgresPersons>,
}

impl ConnectedSubject {
    async fn start(layout: Layout) -> Self {
        let stores = Stores::start(layout).await;
        let connected = stores.open().await;
        Self {
            persons: connected.persons(),
            connected,
            stores,
        }
    }
}

impl Subject for ConnectedSubject {
    fn projects(&self) -> Arc<dyn ProjectSource> {
        self.connected.projects()
    }

    fn persons(&self) -> &dyn PersonSource {
        &*self.persons
    }

    fn seed<'a>(&'a self, document: &'a Value) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.stores.import(&self.connected, document).await;
        })
    }
}

macro_rules! suite {
    ($module:ident, $layout:expr; $($rule:ident,)*) => {
        mod $module {
            use super::*;

            $(
                #[tokio::test]
                async fn $rule() {
                    suite::$rule(&ConnectedSubject::start($layout).await).await;
                }
            )*

            #[tokio::test]
            async fn changed_entries_are_news() {
                super::changed_entries_are_news($layout).await;
            }
        }
    };
}

/// Every rule but `only_definitions_are_news`: the file announces tokens of projects, Redis announces entries, of a team by
/// its id, and everything once at the start. What holds instead is `changed_entries_are_news`.
macro_rules! whole_suite {
    ($module:ident, $layout:expr) => {
        suite! {
            $module, $layout;
            an_unknown_token_is_no_project,
            a_project_is_loaded_whole,
            deleted_and_encrypted_flags_are_not_loaded,
            deleted_cohorts_are_not_loaded,
            a_person_is_found_by_each_distinct_id,
            unknown_persons_and_groups_are_no_error,
            groups_are_matched_as_pairs,
            continuity_rows_are_written_for_active_flags_once,
            nothing_is_written_for_unknown_persons,
            a_row_of_either_person_counts_as_recorded,
            the_earlier_distinct_id_wins,
            a_hash_key_that_is_too_long_fails,
            the_whole_protocol_holds,
        }
    };
}

whole_suite!(shared, Layout::Shared);
whole_suite!(persons_apart, Layout::PersonsApart);
// Where entries are is no business of persons.
suite! {
    dual_write, Layout::DualWrite;
    an_unknown_token_is_no_project,
    a_project_is_loaded_whole,
    deleted_and_encrypted_flags_are_not_loaded,
}
suite! {
    dedicated, Layout::Dedicated;
    an_unknown_token_is_no_project,
    a_project_is_loaded_whole,
    deleted_and_encrypted_flags_are_not_loaded,
}

async fn changed_entries_are_news(layout: Layout) {
    let subject = ConnectedSubject::start(layout).await;
    let source = subject.projects();
    // Tracking connections begin with the announcement that anything may have changed before them.
    let mut first = HashSet::new();
    until("tracking", async || {
        let waited = tokio::time::timeout(Duration::from_millis(50), source.changed()).await;
        first.extend(waited.ok().map(|changes| changes == Ok(Changes::Everything)));
        source.push_clock().epochs()
    })
    .await;
    assert_eq!(first, HashSet::from([true]));

    subject.seed(&suite::project()).await;
    let all = HashSet::from([
        Changed::Team(TEAM),
        Changed::Definitions(TEAM),
        Changed::Token(TOKEN.into()),
    ]);
    assert_eq!(news(&subject, 1).await, all);

    suite::write(&subject, &["known", "anon"], "anon").await;
    assert_eq!(
        news(&subject, 2).await,
        HashSet::new(),
        "continuity rows are no definitions"
    );

    let mut moved = suite::project();
    moved["team"]["timezone"] = json!("UTC");
    subject.seed(&moved).await;
    let token = HashSet::from([Changed::Token(TOKEN.into())]);
    assert_eq!(
        news(&subject, 3).await,
        token,
        "the other entries are as they were"
    );

    subject.seed(&moved).await;
    assert_eq!(news(&subject, 4).await, HashSet::new(), "nothing was written");
}

/// What is announced up to now: up to an entry that is written to each server after everything else.
async fn news(subject: &ConnectedSubject, round: i32) -> HashSet<Changed> {
    let source = subject.projects();
    let mut awaited = HashSet::new();
    for (index, name) in (0..).zip(subject.stores.layout.followed()) {
        let marker = 1_000 + 10 * round + index;
        let key = format!("posthog:1:cache/teams/{marker}/feature_flags/flags.json");
        let mut redis = subject.stores.redis(name).await;
        redis::cmd("SET")
            .arg(key)
            .arg("")
            .exec_async(&mut redis)
            .await
            .expect("SET");
        awaited.insert(Changed::Team(marker));
    }
    let mut heard = HashSet::new();
    while !awaited.is_empty() {
        let changes = tokio::time::timeout(Duration::from_secs(30), source.changed()).await;
        match changes.expect("heard of in time").expect("the store answers") {
            Changes::Everything => panic!("no announcement was lost"),
            Changes::Projects(changed) => {
                heard.extend(changed.into_iter().filter(|change| !awaited.remove(change)))
            }
        }
    }
    heard
}
