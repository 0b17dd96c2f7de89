//! What a snapshot or a request needs besides the entries: persons, group types, cohorts.

use serde_json::json;

use crate::definitions::{Team, cohort, flag, group};
use crate::report::AT_ONCE;
use crate::service::Service;
use crate::world::{World, until};

const PLAN: &str = r#"{"properties": {"type": "AND", "values": [{"type": "AND", "values": [
    {"key": "plan", "type": "person", "value": "pro", "operator": "exact"}]}]}}"#;

#[test]
fn persons_group_types_and_cohorts() {
    let world = World::new(&["redis"]);
    let [plain, unmapped, mapped, cohorts, mixed] = [1, 2, 3, 4, 5].map(Team);
    world.everywhere(plain);
    for team in [unmapped, mapped] {
        world.everywhere(team);
        world.flags_in_redis("redis", team, &team.entry_with("redis", &[group(team)]));
    }
    world.sql(
        "INSERT INTO posthog_grouptypemapping (team_id, project_id, group_type, group_type_index)
               VALUES (3, 3, 'organization', 0)",
    );
    world.everywhere(cohorts);
    let mut entry = cohorts.entry_with("redis", &[cohort(cohorts)]);
    entry.as_object_mut().expect("an object").remove("cohorts");
    world.flags_in_redis("redis", cohorts, &entry);
    world.sql(&format!(
        "INSERT INTO posthog_cohort (id, team_id, name, filters) VALUES (500, 4, 'pro', '{PLAN}')"
    ));
    world.everywhere(mixed);
    let condition = json!({ "properties": [], "aggregation_group_type_index": 0 });
    let condition = flag(mixed, 9, "condition", json!({ "groups": [condition] }));
    world.flags_in_redis("redis", mixed, &mixed.entry_with("redis", &[condition]));
    let service = Service::start(&world, &[]);

    let answer = service
        .ask_with(plain, json!({ "distinct_id": "nobody" }))
        .row("person missing", AT_ONCE);
    assert_eq!((answer.status, answer.has_errors()), (200, false), "{answer:?}");
    assert!(answer.is_on("always") && !answer.is_on("person"), "{answer:?}");
    assert_eq!(answer.reason("person"), "no_condition_match");

    let answer = service
        .ask(unmapped)
        .row("no group type mapping", AT_ONCE)
        .complete("redis");
    assert!(!answer.is_on("group"), "{answer:?}");

    world.sql("ALTER TABLE posthog_grouptypemapping RENAME TO hidden_mapping");
    world.sql("ALTER TABLE posthog_cohort RENAME TO hidden_cohort");
    let answer = service
        .ask(mapped)
        .row("group type mapping cannot be read", AT_ONCE)
        .degraded(&[]);
    assert!(answer.is_on("person") && !answer.is_on("group"), "{answer:?}");
    let answer = service
        .ask(mixed)
        .row("group type mapping cannot be read, a condition needs it", AT_ONCE)
        .degraded(&[]);
    assert_eq!(answer.reason("condition"), "no_group_type", "{answer:?}");
    let unaffected = service
        .ask_with(mapped, json!({ "flag_keys": ["always"] }))
        .row("group type mapping cannot be read, no flag needs it", AT_ONCE);
    assert_eq!(
        (unaffected.status, unaffected.has_errors()),
        (200, false),
        "{unaffected:?}"
    );
    let answer = service
        .ask(cohorts)
        .row("cohort query fails", AT_ONCE)
        .degraded(&[("cohort", "dependency_not_found_cohort")]);
    assert!(answer.is_on("person"), "{answer:?}");

    world.sql("ALTER TABLE hidden_mapping RENAME TO posthog_grouptypemapping");
    world.sql("ALTER TABLE hidden_cohort RENAME TO posthog_cohort");
    for (team, key) in [(mapped, "group"), (cohorts, "cohort")] {
        until("the database's own inputs", || {
            service.ask(team).is_on(key).then_some(())
        });
        service
            .ask(team)
            .row(&format!("{key}s can be read again"), AT_ONCE)
            .complete("redis");
    }
}
