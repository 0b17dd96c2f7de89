//! Persons, static membership and groups.

use feature_flags::context::{FactsQuery, PersonSource, StoredFacts};
use feature_flags::store::postgres::PostgresPersons;
use serde_json::{Map, json};

use crate::server::{Database, PEOPLE, database, pools, settings};

pub fn persons(database: &Database) -> PostgresPersons {
    let pools = pools(settings(&database.url));
    PostgresPersons::new(pools.persons_reader, pools.persons_writer)
}

pub fn query(distinct_id: &str) -> FactsQuery {
    let groups = [(1, "apollo"), (0, "apollo"), (0, "acme"), (2, "odd"), (0, "a\0b")];
    FactsQuery {
        team_id: 7,
        distinct_id: distinct_id.to_owned(),
        static_cohort_ids: vec![71, 72, 99],
        groups: groups.map(|(index, key)| (index, key.to_owned())).to_vec(),
    }
}

async fn facts(persons: &PostgresPersons, distinct_id: &str) -> StoredFacts {
    persons
        .facts(&query(distinct_id))
        .await
        .expect("the store answers")
}

#[tokio::test]
async fn a_person_comes_with_membership_and_groups() {
    let database = database().await;
    database.run(PEOPLE).await;
    let persons = persons(&database);
    for distinct_id in ["known", "known-phone"] {
        let facts = facts(&persons, distinct_id).await;
        let person = facts.person.expect("the person exists");
        assert_eq!(person.properties["plan"], "pro");
        assert_eq!(
            person.properties["score"].to_string(),
            "5.0",
            "a float stays a float"
        );
        assert_eq!(
            person.created_at.as_deref(),
            Some("2024-05-01T12:00:00.250000+00:00")
        );
        assert_eq!(person.static_cohort_ids, [71]);
        let gold = Map::from_iter([("tier".to_owned(), json!("gold"))]);
        let sized = Map::from_iter([("size".to_owned(), json!(5.0))]);
        assert_eq!(
            facts.groups,
            [Some(sized), None, Some(gold), Some(Map::new()), None]
        );
    }
    let odd = facts(&persons, "anon").await.person.expect("the person exists");
    assert!(odd.properties.is_empty(), "text is no properties");
    assert_eq!(odd.created_at.as_deref(), Some("2024-05-02T00:00:00+00:00"));
    assert_eq!(odd.static_cohort_ids, [72]);
}

#[tokio::test]
async fn persons_that_are_not_there_are_no_error() {
    let database = database().await;
    database.run(PEOPLE).await;
    let persons = persons(&database);
    for distinct_id in ["nobody", "elsewhere", "nul\0", ""] {
        let facts = facts(&persons, distinct_id).await;
        assert_eq!(facts.person, None, "{distinct_id:?}");
        assert_eq!(facts.groups.iter().flatten().count(), 3, "groups are answered");
    }
}

#[tokio::test]
async fn tombstones_count_only_where_the_database_has_them() {
    let database = database().await;
    database.run(PEOPLE).await;
    database
        .run("UPDATE posthog_person SET is_deleted = true WHERE id = 1")
        .await;
    assert_eq!(facts(&persons(&database), "known").await.person, None);
    database
        .run("UPDATE posthog_person SET is_deleted = false; UPDATE posthog_persondistinctid SET is_deleted = true WHERE distinct_id = 'known'")
        .await;
    let newer = persons(&database);
    assert_eq!(facts(&newer, "known").await.person, None);
    assert!(facts(&newer, "known-phone").await.person.is_some());
    // One column alone is not relied on.
    database
        .run("ALTER TABLE posthog_person DROP COLUMN is_deleted")
        .await;
    assert!(facts(&persons(&database), "known").await.person.is_some());
    database
        .run("ALTER TABLE posthog_persondistinctid DROP COLUMN is_deleted")
        .await;
    assert!(facts(&persons(&database), "known").await.person.is_some());
}
